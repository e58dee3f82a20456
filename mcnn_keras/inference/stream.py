"""From files to files: reading, network and writing at the same time, in bounded memory.

    measurements -> batches (reading ahead) -> network -> spool (writing behind) -> result file

A result file appears when all of its frames are done. Until then they are in a spool next to it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, reason
from ..files import pixel_length, replacing, split_name, write_recording
from ..files.converted import Part, Shifted
from ..files.formats import default_type, widest_type
from ..files.locking import locked
from ..files.places import spool_folder
from ..files.whole import remove_left
from ..models.saving import model_path, read_card
from .asked import Options, check, check_truth, places_of
from .assumptions import compare_pixels, compare_sizes, compare_text
from .axes import doubt_of
from .cluster import Cluster
from .consistency import Consistency
from .engines import Averaged
from .fastest import engine_for
from .filling import Kept, Unchanged, fill, first_try
from .finished import clear_beside, is_done, note, noted, origin_of, require_own
from .memory import with_less
from .missing import look_for_missing
from .movie_files import FileOfMovie, movies_of
from .planning import Job, open_measurements, plan
from .preview import write_preview
from .range_check import RangeCheck
from .reporting import Report, Said
from .spool import Spool, digest, forget, identity, settings_of
from .uncertain import UncertainEngine, engine_with_uncertainty
from .video import write_columns

# The end of the line about a result that is not made again.
THERE = "is there already"


def predict_files(
    model: str | Path,
    inputs: Sequence[str],
    output: str | Path,
    frames: list[int] | None = None,
    defocus: Sequence[float] | None = None,
    force: bool = False,
    axes: str | None = None,
    **options: Any,
) -> list[Path]:
    """Invert measured images in files; see `plan` and `execute` for the arguments.

    Files that are there are replaced only with ``overwrite=True``; see `Options`.

    Parameters
    ----------
    force : bool
        Treat as images what a file says is none: diffraction patterns, spectra, 4D-STEM.
    axes : str, optional
        A letter for each axis of arrays whose files state none, as for `mcnn_keras.predict`.

    Returns
    -------
    list of Path
        The written files.

    Raises
    ------
    InputError
        If an input cannot be used; with several inputs, after the others are done.
    """
    say = options["say"] = Said.of(options.get("say", lambda text: None))
    jobs = plan(model, read_card(model), inputs, output, frames, defocus, force, say, axes)
    return execute(model, jobs, **options)


def execute(
    model: str | Path,
    jobs: Sequence[Job],
    say: Callable[[str], Any] = lambda text: None,
    engine: Any = "auto",
    start: Callable[[], Any] = lambda: None,
    wrote: Callable[[Path], Any] = lambda path: None,
    forward_of: Callable[[Any], Any] | None = None,
    **options: Any,
) -> list[Path]:
    """Make the results of jobs, one after the other.

    Parameters
    ----------
    model : str or Path
        A model file, or the name of a shipped model.
    jobs : list of Job
    say : callable
        Called with each line for the user.
    engine : {'auto', 'tensorflow', 'onnxruntime'} or engine
        'auto' is the fastest on this machine, measured once and remembered, or the engine of the
        run that is resumed. Or a loaded model.
    start : callable
        Called before TensorFlow is imported.
    wrote : callable
        Called with each written file, also if other jobs fail.
    forward_of : callable, optional
        Takes the model's card and returns its forward model, as `mcnn_keras.problems.forward_of`:
        it simulates the images of results, see `mcnn_keras.inference.consistency`. Phase models for
        given planes need none.
    **options
        See `Options`.

    Returns
    -------
    list of Path
        The written files, including a preview picture for each result.

    Raises
    ------
    InputError
        If a job cannot be done; with several jobs, after the others are done.
    """
    how = Options(**options)
    check(how, jobs, model)
    say = Said.of(say)
    if how.scheduler is None:
        return _executed(model, jobs, say, engine, start, wrote, forward_of, how)
    with Cluster(how.scheduler, say) as cluster:
        return _executed(model, jobs, say, engine, start, wrote, forward_of, how, cluster)


def _executed(
    model: str | Path,
    jobs: Sequence[Job],
    say: Said,
    engine: Any,
    start: Callable[[], Any],
    wrote: Callable[[Path], Any],
    forward_of: Callable[[Any], Any] | None,
    how: Options,
    cluster: Cluster | None = None,
) -> list[Path]:
    report = Report(how.report, jobs)
    look_for_missing(jobs, read_card(model) if isinstance(engine, str) else engine.card, say)
    if how.uncertainty:
        engine = engine_with_uncertainty(model, engine)
    if isinstance(engine, str):
        left = [settings_of(j.output) or noted(j.output) for j in jobs] if how.resume else []
        begun = next((settings for settings in left if settings), None)
        if cluster:
            engine = cluster.engine(model, engine, how, begun)
        else:
            engine = engine_for(model, engine, how.precision, say, begun, start)
    how = replace(how, precision=engine.precision)
    if not cluster:
        engine = UncertainEngine(engine.model) if how.uncertainty else engine
        engine = Averaged(engine) if how.average else engine
    report.consistency = Consistency(getattr(engine, "answers", engine.card), forward_of)
    for line in report.consistency.left_out:
        say(line)
    fingerprint = digest(model_path(model))
    written: list[Path] = []
    failed: list[str] = []
    places = movies_of(jobs, engine.card, how.temporal, how.faults)
    if cluster:
        cluster.begin(engine, jobs, places, how)
    known: set[str] = set()
    for job, place in zip(jobs, places, strict=True):
        try:
            if job.failed:
                raise InputError(job.failed)
            with locked(job.output):
                files = _result(job, place, engine, cluster, fingerprint, how, say, known, report)
            stretched = engine.card.normalization.limits is None
            for path in files:
                is_view = stretched and path.suffix == ".png"
                say(f"wrote {path}" + is_view * ", a preview with stretched contrast")
                wrote(path)
            written += files
        except InputError as error:
            message = str(error)
            told = message if str(job.source) in message else f"{job.source}: {message}"
            if len(jobs) == 1:
                raise InputError(told) from None
            failed.append(told)
            say(f"failed: {told}")
    for movie in dict.fromkeys(place.movie for place in places if place):
        for line in movie.summary():
            say(line)
    written += report.write(model, engine, how, say, wrote)
    if failed:
        raise InputError(
            f"{len(failed)} of {len(jobs)} inputs failed; the others are done: {failed[0]}"
        )
    return written


def _result(
    job: Job,
    place: FileOfMovie | None,
    engine: Any,
    cluster: Cluster | None,
    model: str,
    options: Options,
    say: Callable[[str], Any],
    known: set[str],
    report: Report,
) -> list[Path]:
    """Make one result; returns its files. What is `known` of inputs is not said again."""
    # Of an engine that gives uncertainties, the results alone.
    card, written = getattr(engine, "answers", engine.card), places_of(job, options)
    output, picture, *further = written
    made = [output, *further]
    widths, video = (further[: options.uncertainty], further[options.uncertainty :])
    for path in written:
        remove_left(path)
    try:
        unchanged = Unchanged(job)
        asked = {
            "tile_size": options.tile_size, "precision": options.precision,
            "average": options.average, "temporal": options.temporal, "faults": options.faults,
            **({"uncertainty": True} if options.uncertainty else {}),
        }  # fmt: skip
        told = identity(job, model, asked)
        finished = {**told, "dtype": options.dtype}
    except OSError as error:
        raise InputError(f"{job.source} cannot be read ({reason(error)})") from None
    if options.resume and is_done(output, finished, made):
        say(f"{output} {THERE}")
        forget(spool_folder(output))  # a kill may have come after all was written
        report.show_finished(job, card, options.uncertainty)
        return []
    require_own(output, written, options.resume, options.overwrite)
    with open_measurements(job, card) as measurements:
        for recording in measurements.recordings:
            for line in recording.told(known):
                say(line)
            if doubt := doubt_of(recording):
                say(doubt)
        if job.note:
            say(job.note)
        for name, recording in zip(job.inputs, measurements.recordings, strict=True):
            field, first = recording.axes[-2:], name == job.inputs[0]
            if first or pixel_length(field, "um") is not None:  # unknown pixels are told once
                compare_pixels(card, field, split_name(name)[0], say)
            compare_text(card, name, say)
        compare_sizes(card, measurements.field, job.source, say)
        if measurements.recordings[0].colour and not measurements.colours:
            say(f"the colours of {job.source} are averaged to grey, as the model takes grey images")
        outputs, axes = len(card.outputs), measurements.result_axes(card)
        shape = (int(np.prod([a.size for a in axes[:-2]])), *(a.size for a in axes[-2:]))
        if options.truth is not None:
            check_truth(options.truth, shape, outputs)
        other = widest_type(output, options.dtype, measurements.offset)
        try:
            place = place if len(measurements) == 1 else None
            check_range = RangeCheck(card, len(measurements), job.source)
            spool = _computed(
                job, (shape[0] * (1 + options.uncertainty), *shape[1:]),
                {**told, "engine": engine.name}, measurements, unchanged, place,
                engine, cluster, options, say, check_range,
            )  # fmt: skip
            for line in check_range.lines():
                say(line)
            try:
                every = spool.frames()
                results = Part(every, len(engine.card.outputs), 0, outputs)
                whole = Shifted(results, measurements.offset) if measurements.offset else results
                dtype = options.dtype or default_type(output, whole, measurements.dtype, say, other)
                names = [o.name for o in card.outputs]
                labels = names * (shape[0] // outputs) if outputs > 1 else None
                with replacing(output) as part:
                    write_recording(
                        part, whole, axes, measurements.title, dtype, labels, say, name=output.name
                    )
                    spool.announce(output, part)
                half = Part(every, len(engine.card.outputs), outputs, outputs) if widths else None
                for path in widths:
                    with replacing(path) as part:
                        write_recording(part, half, axes, measurements.title, "float32", labels)
                        spool.announce(path, part)
                for path in video:
                    with replacing(path) as part:
                        write_columns(
                            part, measurements, results, outputs, options.truth, options.fps
                        )
                        spool.announce(path, part)
                origin = origin_of(told)
                page = [Path(options.report)] if options.report is not None else []
                made += clear_beside(output, [*written, *page], say, origin)
                facts = {
                    "engine": engine.name, "precision": options.precision, "origin": origin,
                }  # fmt: skip
                text = note(output, finished, made, inputs=job.names, **facts)
                write_preview(picture, results[:outputs], card, measurements, text)
                if report.consistency is not None:
                    for line in report.consistency.lines(measurements, results, job.source):
                        say(line)
                report.show(job, card, measurements, results, half)
            except BaseException as error:  # e.g. a full disk: the finished frames are kept
                spool.leave()
                if isinstance(error, InputError):  # such as a type that the result does not fit
                    raise Kept(str(error)) from None
                raise
            spool.remove()
        except (OSError, ValueError, OverflowError, MemoryError) as error:
            if isinstance(error, InputError) and not isinstance(error, Kept):
                raise
            left = spool_folder(output).exists()
            kept = "; what was computed is kept for --resume" if left else ""
            if isinstance(error, Kept):
                raise InputError(f"{error}{kept}") from None
            raise InputError(f"{output} cannot be written: {reason(error)}{kept}") from None
    return written


def _computed(
    job: Job,
    shape: tuple[int, ...],
    told: dict[str, Any],
    measurements: Any,
    unchanged: Unchanged,
    place: FileOfMovie | None,
    engine: Any,
    cluster: Cluster | None,
    options: Options,
    say: Callable[[str], Any],
    check_range: RangeCheck,
) -> Spool:
    """The spool of a job with all of its frames."""

    @functools.cache
    def spool_of(tile_size: int | None) -> Spool:
        now = {**told, "tile_size": tile_size}
        left = {**settings_of(job.output), "tile_size": tile_size}
        spool = Spool(job.output, shape, now, len(engine.card.outputs), options.resume)
        if spool.foreign and left != now:  # else the memory did not suffice for other tiles
            say(f"{job.output.name} starts again: the input or the model has changed")
        if spool.lost:
            say(
                f"{spool.lost} unfinished frames of {job.output.name} are not whole; they are "
                "computed again"
            )
        return spool

    def work(each: int, tile_size: int | None) -> Spool:
        spool = spool_of(tile_size)
        try:
            if cluster:
                cluster.fill(
                    spool, job, told["files"], measurements, unchanged, (each, tile_size), say,
                    place, check_range,
                )  # fmt: skip
            else:
                fill(
                    spool, measurements, engine, unchanged, each, tile_size, say,
                    options.temporal, options.faults, place, check_range,
                )  # fmt: skip
        except KeyboardInterrupt:
            spool.leave()
            raise KeyboardInterrupt(
                f"{spool.done} of {shape[0]} frames are done; add --resume to the same command "
                "to continue"
            ) from None
        except (OSError, Kept):  # a full disk, a share that is gone: what is there is kept
            spool.leave()
            raise
        except InputError:
            spool.remove()
            raise
        except BaseException:  # a bug, or too little memory
            spool.leave()
            raise
        return spool

    size = measurements.size
    return with_less(work, engine, size, *first_try(engine, size, len(measurements), options), say)
