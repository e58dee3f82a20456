"""From files to files: reading, network and writing at the same time, in bounded memory.

    measurements -> batches (reading ahead) -> network -> spool (writing behind) -> result file

A result file appears when all of its frames are done. Until then they are in a spool next to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, reason
from ..files import open_recording, split_name, write_png, write_recording
from ..files.formats import default_type, require_type
from ..models import Frames, ModelCard
from ..models.saving import model_path, read_card
from ..progress import FrameProgress, duration
from . import tiles
from .assumptions import compare_pixels, compare_sizes, compare_text
from .engines import Averaged
from .fastest import engine_for
from .frames import FrameWindows, series_of
from .measurements import Measurements
from .movie_files import FileOfMovie, movies_of
from .planning import Job, open_measurements, plan
from .spool import Spool, digest, identity, settings_of, spool_folder, stamp
from .stack import check, prepared
from .video import check_video, write_columns

# From this number of pixels in tiles, time and memory are estimated first.
WORTH_A_WORD = 2**24
# Largest width of the preview picture of a result, in pixels.
MOST_SHOWN = 2048


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
        Continue an interrupted run.
    precision : {'float32', 'bfloat16', 'auto'}
        Precision of the network; 'auto' allows both.
    temporal, faults, average :
        For denoising models, as for `mcnn_keras.predict`.
    video : str or Path, optional
        A .gif or .mp4 of input and result side by side, for a single result.
    truth : str, optional
        The file of the true result, for two more columns of the video.
    fps : float
        Frames per second of the video.
    """

    dtype: str | None = None
    batch_size: int | None = None
    tile_size: int | None = None
    resume: bool = False
    precision: str = "float32"
    temporal: str = "auto"
    faults: str = "mend"
    average: bool = False
    video: str | None = None
    truth: str | None = None
    fps: float = 2.0


def predict_files(
    model: str | Path,
    inputs: Sequence[str],
    output: str | Path,
    frames: list[int] | None = None,
    defocus: Sequence[float] | None = None,
    force: bool = False,
    **options: Any,
) -> list[Path]:
    """Invert measured images in files; see `plan` and `execute` for the arguments.

    Parameters
    ----------
    force : bool
        Treat as images what a file says is none: diffraction patterns, spectra, 4D-STEM.

    Returns
    -------
    list of Path
        The written files.

    Raises
    ------
    InputError
        If an input cannot be used; with several inputs, after the others are done.
    """
    say = options.get("say", lambda text: None)
    jobs = plan(model, read_card(model), inputs, output, frames, defocus, force, say)
    return execute(model, jobs, **options)


def execute(
    model: str | Path,
    jobs: Sequence[Job],
    say: Callable[[str], Any] = lambda text: None,
    engine: Any = "auto",
    start: Callable[[], Any] = lambda: None,
    wrote: Callable[[Path], Any] = lambda path: None,
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
    _check(how, jobs)
    if isinstance(engine, str):
        left = [settings_of(job.output) for job in jobs] if how.resume else []
        begun = next((settings for settings in left if settings), None)
        engine = engine_for(model, engine, how.precision, say, begun, start)
    how = replace(how, precision=engine.precision)
    engine = Averaged(engine) if how.average else engine
    fingerprint = digest(model_path(model))
    written: list[Path] = []
    failed: list[str] = []
    places = movies_of(jobs, engine.card, how.temporal, how.faults)
    known: set[str] = set()
    for job, place in zip(jobs, places, strict=True):
        try:
            if job.failed:
                raise InputError(job.failed)
            if how.resume and len(jobs) > 1 and _is_done(job):
                say(f"{job.output} is there already")
                continue
            files = _result(job, place, engine, fingerprint, how, say, known)
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
    if failed:
        raise InputError(
            f"{len(failed)} of {len(jobs)} inputs failed; the others are done: {failed[0]}"
        )
    return written


def _is_done(job: Job) -> bool:
    """Whether an earlier run finished a job, and its inputs are older than its result."""
    if spool_folder(job.output).exists() or not job.output.exists():
        return False
    newest = max(stamp(Path(split_name(name)[0]))[1] for name in job.inputs)
    return stamp(job.output)[1] >= newest


def _check(options: Options, jobs: Sequence[Job]) -> None:
    """Raise InputError for wrong options before anything is computed."""
    if options.dtype is not None:
        for job in jobs:
            require_type(job.output, options.dtype)
    if options.video is not None:
        check_video(options.video)
        if len(jobs) > 1:
            raise InputError(
                f"one video {options.video} was asked for {len(jobs)} results; give one input"
            )
    elif options.truth is not None:
        raise InputError(f"the truth {options.truth} is for a video; add --video FILE")
    if not options.fps > 0:
        raise InputError(f"fps {options.fps} must be positive")


def _result(
    job: Job,
    place: FileOfMovie | None,
    engine: Any,
    model: str,
    options: Options,
    say: Callable[[str], Any],
    known: set[str],
) -> list[Path]:
    """Make one result; returns its files. What is `known` of inputs is not said again."""
    card = engine.card
    outputs = len(card.outputs)
    with open_measurements(job, card) as measurements:
        for recording in measurements.recordings:
            for line in recording.told(known):
                say(line)
        if job.note:
            say(job.note)
        compare_pixels(card, measurements.field, job.source, say)
        compare_text(card, job.inputs[0], say)
        compare_sizes(card, measurements.field, job.source, say)
        if measurements.recordings[0].colour and not measurements.colours:
            say(f"the colours of {job.source} are averaged to grey, as the model takes grey images")
        axes = measurements.result_axes(card)
        shape = (int(np.prod([a.size for a in axes[:-2]])), *(a.size for a in axes[-2:]))
        written = [job.output, job.output.with_suffix(".png")]
        if options.truth is not None:
            _check_truth(options.truth, shape, outputs)
        try:
            tile_size = tiles.choose_size(engine, measurements.size, options.tile_size)
            settings = {
                "tile_size": tile_size, "precision": options.precision, "average": options.average,
                "temporal": options.temporal, "faults": options.faults,
            }  # fmt: skip
            told = identity(job, model, {**settings, "engine": engine.name})
            spool = Spool(job.output, shape, told, outputs, options.resume)
            if spool.foreign:
                say(f"{job.output.name} starts again: the input or the model has changed")
            try:
                place = place if len(measurements) == 1 else None
                _fill(spool, measurements, engine, options, tile_size, say, place)
            except KeyboardInterrupt:
                spool.leave()
                raise KeyboardInterrupt(
                    f"{spool.done} of {shape[0]} frames are done; add --resume to the same command "
                    "to continue"
                ) from None
            except OSError:  # a full disk: the finished frames are kept
                spool.leave()
                raise
            except BaseException:
                spool.remove()
                raise
            try:
                results = spool.frames()
                dtype = options.dtype or default_type(job.output, results, measurements.dtype, say)
                names = [output.name for output in card.outputs]
                labels = names * (shape[0] // outputs) if outputs > 1 else None
                write_recording(job.output, results, axes, measurements.title, dtype, labels, say)
                _write_picture(written[1], results[:outputs], card, job.output.name)
                if options.video is not None:
                    write_columns(
                        options.video, measurements, results, outputs, options.truth, options.fps
                    )
                    written.append(Path(options.video))
            except BaseException:  # e.g. a full disk: the finished frames are kept
                spool.leave()
                raise
            spool.remove()
        except (OSError, ValueError, OverflowError) as error:
            if isinstance(error, InputError):
                raise
            left = spool_folder(job.output).exists()
            kept = "; the finished frames are kept for --resume" if left else ""
            raise InputError(f"{job.output} cannot be written: {reason(error)}{kept}") from None
    return written


def _check_truth(name: str, shape: tuple[int, ...], outputs: int) -> None:
    with open_recording(name, force=True) as truth:
        expected = (shape[0] // outputs, *shape[1:])
        if (len(truth), *truth.size) != expected:
            raise InputError(
                f"the truth {name} has {len(truth)} images of {truth.size}; {expected[0]} of "
                f"{expected[1:]} are expected"
            )


def _write_picture(path: Path, frames: np.ndarray, card: ModelCard, of: str) -> None:
    """Write the first result, its outputs side by side, or in colour."""
    low, high = card.normalization.limits or (None, None)
    thin = -(-max(frames.shape[1:]) // MOST_SHOWN)
    frames = frames[:, ::thin, ::thin]
    shown = np.moveaxis(frames, 0, -1) if card.gives_colours else np.concatenate(frames, 1)
    write_png(path, shown, low, high, of)


def _fill(
    spool: Spool,
    measurements: Measurements,
    engine: Any,
    options: Options,
    tiled: int | None,
    say: Callable[[str], Any],
    place: FileOfMovie | None,
) -> None:
    """Compute the frames that the spool lacks; one thread reads ahead, one writes.

    `place` is the place in a movie of a file with one frame.
    """
    channels, count = len(engine.card.outputs), len(measurements)
    each = options.batch_size or max(1, tiles.PIXELS // int(np.prod(measurements.size)))
    first = spool.done // channels
    parts = tiles.count(engine, measurements.size, tiled) if tiled else 1
    if tiled and (count - first) * np.prod(measurements.size) > WORTH_A_WORD:
        seconds, memory = tiles.estimate(engine, measurements.size, tiled)
        say(
            f"{parts} tiles of {tiled}x{tiled} for each of {count - first} images: about "
            f"{duration((count - first) * seconds)} and {memory / 2**30:.1f} GiB of memory"
        )

    def measured(start: int, stop: int) -> np.ndarray:
        try:
            stack = measurements.read(start, stop)
        except OSError as error:  # e.g. a network share that is gone
            raise InputError(f"frame {start} cannot be read ({reason(error)})") from None
        for image in stack:
            check(image, engine.card)
        return stack

    frames: FrameWindows | FileOfMovie | None = place
    if isinstance(engine.card.inputs, Frames) and place is None:
        outer = measurements.outer
        series = series_of([a.name for a in outer], [a.size for a in outer])

        def frame(number: int) -> np.ndarray:
            found = measurements.frame(number)
            check(found[..., None], engine.card)
            return found

        frames = FrameWindows(frame, engine.card, series, options.temporal, options.faults)

    def read(start: int) -> Any:
        stop = min(start + each, count)
        stack, completed = frames.batch(start, stop) if frames else (measured(start, stop), None)
        tick = progress.add if tiled else lambda tiles: None
        finish, batch = prepared(engine, stack, tiled, tick)
        return (lambda b: completed(finish(b))) if completed else finish, batch

    def write(answers: np.ndarray) -> None:
        if answers.ndim == 4:
            answers = np.moveaxis(answers, -1, 1).reshape(-1, *answers.shape[1:3])
        spool.append(answers)

    with (
        ThreadPoolExecutor(1) as reader,
        ThreadPoolExecutor(1) as writer,
        FrameProgress(count * parts, first * parts, "tile" if tiled else "frame") as progress,
    ):
        ahead, behind = None, None
        for start in range(first, count, each):
            finish, batch = (ahead or reader.submit(read, start)).result()
            ahead = reader.submit(read, start + each) if start + each < count else None
            answers = finish(batch)
            if behind is not None:
                behind.result()
            behind = writer.submit(write, answers)
            if not tiled:
                progress.add(min(each, count - start))
        if behind is not None:
            behind.result()
    for line in frames.summary() if frames else ():
        say(line)
