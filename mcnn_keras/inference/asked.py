"""How results are to be made, and what is wrong with it before anything is computed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..files import open_recording, split_name
from ..files.formats import require_type
from ..files.locking import locked
from ..files.places import require_not_source
from ..models.saving import model_path
from ..report.places import require_report
from .finished import picture_of, require_own, uncertainty_of
from .planning import Job
from .video import check_video


@dataclass(frozen=True)
class Options:
    """How to make results.

    Parameters
    ----------
    dtype : str, optional
        Data type of the results; by default that of the measurements if it can hold the results.
    batch_size, tile_size : int, optional
        See `predict_stack`.
    resume : bool
        Continue an interrupted run: keep finished results, and replace this program's own results
        of inputs that have changed.
    overwrite : bool
        Replace whatever is at the place of a result, but never what it is made from.
    precision : {'float32', 'bfloat16', 'auto'}
        Precision of the network; 'auto' allows both.
    temporal, faults, average :
        For denoising models, as for `mcnn_keras.predict`.
    uncertainty : bool
        Also write the uncertainty of each result, see `mcnn_keras.predict`.
    video : str or Path, optional
        A .gif or .mp4 of input and result side by side, for a single result.
    truth : str, optional
        The file of the true result, for two more columns of the video.
    fps : float
        Frames per second of the video.
    report : str or Path, optional
        A .html file about all results: images before and after, warnings and facts.
    scheduler : str, optional
        That of a Dask cluster whose workers compute: its address, or its scheduler file (.json).
    """

    dtype: str | None = None
    batch_size: int | None = None
    tile_size: int | None = None
    resume: bool = False
    overwrite: bool = False
    precision: str = "float32"
    temporal: str = "auto"
    faults: str = "mend"
    average: bool = False
    uncertainty: bool = False
    video: str | None = None
    truth: str | None = None
    fps: float = 2.0
    report: str | Path | None = None
    scheduler: str | None = None


def check(options: Options, jobs: Sequence[Job], model: str | Path) -> None:
    """Raise InputError for wrong options before anything is computed."""
    if options.dtype is not None:
        for job in jobs:
            require_type(job.output, options.dtype)
    if options.video is not None:
        check_video(options.video)
        with locked(options.video):  # a folder that may not be written is found now
            pass
        if len(jobs) > 1:
            raise InputError(
                f"one video {options.video} was asked for {len(jobs)} results; give one input"
            )
    elif options.truth is not None:
        raise InputError(f"the truth {options.truth} is for a video; add --video FILE")
    if not options.fps > 0:
        raise InputError(f"fps {options.fps} must be positive")
    given: list[str] = [name for job in jobs for name in job.inputs]
    given += [options.truth] if options.truth else []
    sources = [model_path(model), *(Path(split_name(name)[0]) for name in given)]
    places = [path for job in jobs for path in places_of(job, options)]
    require_not_source(places, sources)
    require_apart([(job.source, job.output) for job in jobs], options.uncertainty)
    require_report(options.report, sources, places, options.overwrite, options.resume)
    if not options.resume:  # else of each by itself
        for job in jobs:
            require_own(job.output, places_of(job, options), False, options.overwrite)


def places_of(job: Job, options: Options) -> list[Path]:
    """All that is written for a job: the result, its picture, its uncertainty, a video."""
    further = [uncertainty_of(job.output)] if options.uncertainty else []
    further += [Path(options.video)] if options.video is not None else []
    return [job.output, picture_of(job.output), *further]


def require_apart(results: Iterable[tuple[Path, Path]], uncertainty: bool) -> None:
    """Raise InputError if two results, or what is written beside them, have the same name.

    Parameters
    ----------
    results : iterable of (source, output)
    uncertainty : bool
        Whether uncertainties are written, too.
    """
    taken: dict[Path, tuple[str, Path]] = {}
    for source, output in results:
        places = {"result": output, "preview": picture_of(output)}
        places |= {"uncertainty": uncertainty_of(output)} if uncertainty else {}
        for kind, place in places.items():
            other, first = taken.setdefault(place.resolve(), (kind, source))
            if (other, first) != (kind, source):
                without = ", or leave --uncertainty out" * ("uncertainty" in (kind, other))
                raise InputError(
                    f"{place} would be the {other} of {first} and the {kind} of {source}; rename "
                    f"one of these{without}"
                )


def check_truth(name: str, shape: tuple[int, ...], outputs: int) -> None:
    """Raise InputError if a file of true results does not fit results of this shape."""
    with open_recording(name, force=True) as truth:
        expected = (shape[0] // outputs, *shape[1:])
        if (len(truth), *truth.size) != expected:
            raise InputError(
                f"the truth {name} has {len(truth)} images of {truth.size}; {expected[0]} of "
                f"{expected[1:]} are expected"
            )
