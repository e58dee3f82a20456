"""The frames that a spool lacks: one thread reads ahead, one writes behind."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from ..errors import InputError, reason
from ..models import Frames, ModelCard
from ..progress import FrameProgress, duration
from . import tiles
from .frames import FrameWindows, series_of
from .measurements import Measurements
from .movie_files import FileOfMovie
from .planning import Job
from .range_check import RangeCheck
from .spool import Spool, stamps
from .stack import check, prepared

# Pixels in tiles from which on time and memory are estimated before they are spent.
WORTH_A_WORD = 2**24
# Seconds between two looks at all files of a folder.
LOOK = 2.0


class Kept(InputError):
    """An input that could not be read on; what was computed of it is kept."""


class Unchanged:
    """Sees that the files of a job stay as they are while they are read.

    Parameters
    ----------
    job : Job
    """

    def __init__(self, job: Job) -> None:
        self.job, self.before = job, stamps(job)
        self._folder, self._seen = job.source.is_dir(), time.monotonic()

    def check(self, always: bool = False) -> None:
        """Raise `Kept` if a file is gone or has changed."""
        if self._folder and not always and time.monotonic() - self._seen < LOOK:
            return
        self._seen = time.monotonic()
        try:
            changed = stamps(self.job) != self.before
        except OSError as error:
            raise Kept(f"{self.job.source} is gone while it was read ({reason(error)})") from None
        if changed:
            raise Kept(
                f"{self.job.source} has changed while it was read; try again once it is whole"
            )

    def reading(self, get: Callable[..., np.ndarray], *numbers: int) -> np.ndarray:
        """What a function reads of frames with these numbers; errors tell of the file's state."""
        try:
            return get(*numbers)
        except (OSError, InputError) as error:
            raise self.failed(error, f"frame {numbers[0]}") from None

    def failed(self, error: Exception, what: str) -> InputError:
        """The error to raise where reading has failed."""
        self.check(always=True)  # the better reason, if it is that
        if isinstance(error, OSError):
            return Kept(f"{what} cannot be read ({reason(error)})")
        if isinstance(error.__context__, OSError):
            return Kept(str(error))
        assert isinstance(error, InputError)
        return error


def fill(
    spool: Spool,
    measurements: Measurements,
    engine: Any,
    unchanged: Unchanged,
    each: int,
    tiled: int | None,
    say: Callable[[str], Any],
    temporal: str,
    faults: str,
    place: FileOfMovie | None,
    check_range: RangeCheck,
) -> None:
    """Compute the frames that a spool lacks.

    Parameters
    ----------
    spool : Spool
    measurements : Measurements
    engine : engine
    unchanged : Unchanged
        Of the files that are read.
    each : int
        How many measurements are computed together.
    tiled : int or None
        The size of tiles.
    say : callable
    temporal, faults : str
        As for `mcnn_keras.predict`.
    place : FileOfMovie, optional
        That of a file of one frame in a movie.
    check_range : RangeCheck
        Looks at the images and their results.
    """
    channels, count = len(engine.card.outputs), len(measurements)
    first = spool.done // channels
    parts = tiles.count(engine, measurements.size, tiled) if tiled else 1
    if tiled and (count - first) * np.prod(measurements.size) > WORTH_A_WORD:
        seconds, memory = tiles.estimate(engine, measurements.size, tiled)
        say(
            f"{parts} tiles of {tiled}x{tiled} for each of {count - first} images: about "
            f"{duration((count - first) * seconds)} and {memory / 2**30:.1f} GiB of memory"
        )
    frames = place or windows_of(measurements, engine.card, unchanged, temporal, faults)
    with FrameProgress(count * parts, first * parts, "tile" if tiled else "frame") as progress:
        compute(
            measurements, engine, unchanged, frames, (first, count, each), tiled, progress.add,
            check_range, spool.append,
        )  # fmt: skip
    unchanged.check(always=True)
    for line in frames.summary() if frames else ():
        say(line)


def first_try(engine: Any, size: tuple[int, ...], count: int, options: Any) -> tuple[int, Any]:
    """How many images of a size to compute together, and the size of tiles, by the options."""
    each = options.batch_size or max(1, tiles.PIXELS // int(np.prod(size)))
    return min(each, count), tiles.choose_size(engine, size, options.tile_size)


def windows_of(
    measurements: Measurements, card: ModelCard, unchanged: Unchanged, temporal: str, faults: str
) -> FrameWindows | None:
    """The windows of a recording's frames, for a model of frames."""
    if not isinstance(card.inputs, Frames):
        return None
    outer = measurements.outer
    series = series_of([a.name for a in outer], [a.size for a in outer])

    def frame(number: int) -> np.ndarray:
        found = unchanged.reading(measurements.frame, number)
        check(found[..., None], card)
        return found

    return FrameWindows(frame, card, series, temporal, faults)


def compute(
    measurements: Measurements,
    engine: Any,
    unchanged: Unchanged,
    frames: FrameWindows | FileOfMovie | None,
    part: tuple[int, int, int],
    tiled: int | None,
    tick: Callable[[int], Any],
    check_range: RangeCheck,
    append: Callable[[np.ndarray], Any],
) -> None:
    """Compute a part of the measurements, in their order.

    Parameters
    ----------
    measurements, engine, unchanged, tiled, check_range :
        As for `fill`.
    frames : FrameWindows or FileOfMovie, optional
        For a model of frames.
    part : tuple of int
        The first measurement, the one after the last, and how many are computed together.
    tick : callable
        Called with how many measurements, or tiles of them, are done since the last call.
    append : callable
        Takes the next results, (frames, height, width).
    """
    first, last, each = part
    channels, card = len(engine.card.outputs), engine.card

    def measured(start: int, stop: int) -> np.ndarray:
        stack = unchanged.reading(measurements.read, start, stop)
        for image in stack:
            check(image, card)
        return stack

    def read(start: int) -> Any:
        stop = min(start + each, last)
        stack, completed = frames.batch(start, stop) if frames else (measured(start, stop), None)
        unchanged.check()
        finish, batch = prepared(engine, stack, tiled, tick if tiled else lambda tiles: None)
        return (lambda b: completed(finish(b))) if completed else finish, batch, stack

    shown = card.inputs.window // 2 if isinstance(card.inputs, Frames) else 0

    def write(start: int, stack: np.ndarray, answers: np.ndarray) -> None:
        every = answers if answers.ndim == 4 else answers[..., None]
        for i, answer in enumerate(every):
            width = answer[..., channels // 2] if hasattr(engine, "answers") else None
            check_range.see(start + i, stack[i, ..., shown], answer[..., 0], width)
        if answers.ndim == 4:
            answers = np.moveaxis(answers, -1, 1).reshape(-1, *answers.shape[1:3])
        append(answers)

    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        ahead, behind = None, None
        for start in range(first, last, each):
            finish, batch, stack = (ahead or reader.submit(read, start)).result()
            ahead = reader.submit(read, start + each) if start + each < last else None
            answers = finish(batch)
            if behind is not None:
                behind.result()
            behind = writer.submit(write, start, stack, answers)
            if not tiled:
                tick(min(each, last - start))
        if behind is not None:
            behind.result()
