"""Movies with each frame in its own file, as many microscopes write them.

files whose names differ in one running number -> one series -> windows of frames that they share
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import InputError
from ..models import Frames, ModelCard
from .frames import Batch, FrameWindows, Series
from .planning import Job, open_measurements
from .stack import check

# A name up to its last number, the number, and the rest.
NUMBERED = re.compile(r"(.*?)(\d+)(\D*)")


class MovieOfFiles:
    """The windows of a movie with one file for each frame, in the order of their numbers.

    Parameters
    ----------
    jobs : list of Job
        One job for each file.
    card : ModelCard
        Card of a model whose inputs are `Frames`.
    temporal, faults : str
        As for `FrameWindows`.
    """

    def __init__(self, jobs: Sequence[Job], card: ModelCard, temporal: str, faults: str) -> None:
        self.jobs, self._card, self._own = list(jobs), card, -1
        self.windows = FrameWindows(self._read, card, Series(len(jobs)), temporal, faults)

    def batch(self, number: int) -> Batch:
        """`FrameWindows.batch` for the frame of one file."""
        self._own = number
        return self.windows.batch(number, number + 1)

    def summary(self) -> list[str]:
        """Lines for the user about all frames together."""
        names = [job.source.name for job in self.jobs]
        lines = self.windows.neighbours_told(lambda number: names[number])
        return [f"{names[0]} to {names[-1]}: {line}" for line in lines]

    def _read(self, number: int) -> np.ndarray:
        try:
            with open_measurements(self.jobs[number], self._card) as measurements:
                if len(measurements) == 1:
                    frame = measurements.frame(0)
                    check(frame[..., None], self._card)
                    return frame
        except InputError:
            if number == self._own:
                raise
        # An unusable neighbour: it is not similar to any frame.
        return np.full((1, 1), np.nan, np.float32)


class FileOfMovie(NamedTuple):
    """The place of a file in a movie, with the methods of `FrameWindows` for its one frame."""

    movie: MovieOfFiles
    number: int

    def batch(self, start: int, stop: int) -> Batch:
        """As `FrameWindows.batch`, for the only frame."""
        return self.movie.batch(self.number)

    def summary(self) -> list[str]:
        """A line about the faults of the frame; neighbours are reported by the movie."""
        windows = self.movie.windows
        told = windows.told.get(self.number)
        source = self.movie.jobs[self.number].source
        return [f"{source} has {told}: {windows.treatment(told)}"] if told else []


def movies_of(
    jobs: Sequence[Job], card: ModelCard, temporal: str, faults: str
) -> list[FileOfMovie | None]:
    """Each job's place in a movie, or None.

    Parameters
    ----------
    jobs : list of Job
    card : ModelCard
    temporal, faults : str
        As for `FrameWindows`.

    Returns
    -------
    list
        For each job.
    """
    groups: dict[tuple[str, ...], list[tuple[int, int]]] = {}
    takes = isinstance(card.inputs, Frames) and card.inputs.window > 1 and temporal == "auto"
    for place, job in enumerate(jobs):
        path = Path(job.inputs[0])
        found = NUMBERED.fullmatch(path.stem)
        if takes and found and len(job.inputs) == 1 and not job.failed:
            before, number, after = found.groups()
            key = (str(path.parent), before, after, path.suffix)
            groups.setdefault(key, []).append((int(number), place))
    movies: list[FileOfMovie | None] = [None] * len(jobs)
    for group in groups.values():
        if len(group) > 1:
            places = [place for _, place in sorted(group)]
            movie = MovieOfFiles([jobs[i] for i in places], card, temporal, faults)
            for number, place in enumerate(places):
                movies[place] = FileOfMovie(movie, number)
    return movies
