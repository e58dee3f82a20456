"""Prediction of files by the workers of a Dask cluster; this process alone writes.

jobs -> parts, never more than some at a time -> workers: read, network -> parts, in their order
-> spool

A worker that is lost costs time: its parts are computed again by another. All else (the result's
place, --resume, pictures, reports) is that of one machine.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..files import split_name
from ..files.fingerprint import fingerprint
from ..files.told_axes import Moved
from ..models import Frames, ModelCard
from ..models.saving import model_path, read_card
from ..progress import FrameProgress
from . import scheduler, worker
from .asked import Options
from .filling import Unchanged, first_try, windows_of
from .finished import noted
from .measurements import Measurements
from .movie_files import FileOfMovie
from .planning import Job, open_measurements
from .range_check import WARNING, RangeCheck
from .spool import Spool, digest, settings_of
from .uncertain import with_uncertainty
from .worker import Computed, Network, Part

# Bytes of the results of a part, at most; parts for each thread of the cluster, at least.
MOST, SHARE = 2**24, 4
# Bytes of a file that may be read as a whole for each part.
MOST_WHOLE = 2**26


class Remote:
    """The engine of the workers, as far as this process needs it: it computes nothing here."""

    def __init__(self, card: ModelCard, uncertainty: bool, told: Sequence[Any]) -> None:
        self.name, self.precision, self.stride = told[:3]
        self.card = card
        if uncertainty:
            self.answers, self.card = card, with_uncertainty(card)


class Cluster:
    """The workers that a scheduler knows.

    Parameters
    ----------
    address : str
        What `distributed.Client` takes, such as tcp://host:8786, or a scheduler file (.json).
    say : callable
        Called with each line for the user.

    Raises
    ------
    InputError
        If the scheduler cannot be reached, or dask is not installed.
    """

    def __init__(self, address: str, say: Callable[[str], Any] = lambda text: None) -> None:
        self._say, self._link = say, scheduler.Connection(address, say)
        self._pending: dict[tuple[int, Part], Any] = {}
        self._planned: dict[int, list[Part]] = {}
        self._told: set[str] = set()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(Exception):  # the scheduler may be gone
            self._forget(lambda key: True)
        self._link.close()

    def engine(
        self, model: str | Path, choice: str, how: Options, begun: dict[str, Any] | None
    ) -> Remote:
        """Have a worker choose the engine that all of them use.

        Parameters
        ----------
        model : str or Path
        choice, how :
            As for `execute`.
        begun : dict, optional
            The "engine" and "precision" of a run that is resumed.
        """
        path, card = model_path(model), read_card(model)
        self._link.require_workers()
        self._threads = self._link.limit - self._link.count
        network = Network(
            digest(path), path.suffix, choice, how.precision, how.uncertainty, how.average
        )
        self._data = self._link.submit(worker.content, path.read_bytes())
        future = self._submit(worker.choose, network, begun)
        name, chosen, stride, said = self._link.waited(future, f"the network of {model}")
        for line in said:
            self._say(line)
        # The choice of the one holds for all.
        self._network = network._replace(choice=name, precision=chosen)
        self._say(f"computed by {self._link.workers()} at {self._link.address}")
        return Remote(card, how.uncertainty, (name, chosen, stride))

    def begin(
        self, engine: Remote, jobs: Sequence[Job], places: Sequence[Any], how: Options
    ) -> None:
        """Tell what is to be computed, so that files can be computed ahead."""
        self._engine, self._jobs, self._places, self._how = engine, jobs, places, how

    def fill(
        self,
        spool: Spool,
        job: Job,
        fingerprints: Sequence[str],
        measurements: Measurements,
        unchanged: Unchanged,
        sizes: tuple[int, int | None],
        say: Callable[[str], Any],
        place: FileOfMovie | None,
        check_range: RangeCheck,
    ) -> None:
        """Compute the frames that a spool lacks; see `mcnn_keras.inference.filling.fill`.

        Parameters
        ----------
        fingerprints : sequence of str
            Of the job's files.
        sizes : tuple
            How many measurements are computed together, and the size of tiles.
        """
        count, how = len(measurements), self._how
        first = spool.done // len(self._engine.card.outputs)
        number = next(i for i, one in enumerate(self._jobs) if one is job)
        parts = self._parts(number, measurements, first, sizes, tuple(fingerprints))
        if len(parts) > 1:
            _require_parts(measurements)
        windows: Any = place.movie.windows if place else None
        if isinstance(self._engine.card.inputs, Frames) and place is None:
            windows = windows_of(
                measurements, self._engine.card, unchanged, how.temporal, how.faults
            )
        with FrameProgress(count, first, "frame") as progress:
            for i, part in enumerate(parts):
                self._ahead(chain(((number, p) for p in parts[i:]), self._following(number)))
                what = f"images {part.start} to {part.stop - 1} of {job.source}"
                computed = self._link.waited(self._pending[number, part], what)
                unchanged.check()
                spool.append(computed.frames)
                self._pending.pop((number, part)).release()
                self._merge(computed, check_range, windows, place)
                progress.add(part.stop - part.start)
        self._forget(lambda key: key[0] == number)  # of other sizes or files than were expected
        unchanged.check(always=True)
        for line in (place or windows).summary() if windows else ():
            say(line)

    def _merge(
        self, computed: Computed, check_range: RangeCheck, windows: Any, place: FileOfMovie | None
    ) -> None:
        own = computed.check_range
        check_range.seen += own.seen
        check_range.found += own.found
        check_range.distances += own.distances
        if computed.windows is not None:
            frames, with_neighbours, told, cuts = computed.windows
            shift = max(0, place.number - windows.window // 2) if place else 0
            windows.frames += frames
            windows.with_neighbours += with_neighbours
            windows.told.update({shift + i: text for i, text in told.items()})
            windows.cuts.update(shift + i for i in cuts)
        here = worker.versions()
        for package in worker.ALIKE:
            if computed.versions[package] != here[package]:
                line = (
                    f"workers have {package} {computed.versions[package]}, and this machine "
                    f"{here[package]}; results may differ in their last digits"
                )
                if line not in self._told:
                    self._told.add(line)
                    self._say(WARNING + line)

    def _parts(
        self,
        number: int,
        measurements: Measurements,
        first: int,
        sizes: tuple[int, int | None],
        fingerprints: tuple[str, ...],
    ) -> list[Part]:
        """The parts of a job from a measurement on."""
        job, how, place = self._jobs[number], self._how, self._places[number]
        count, (each, tiled) = len(measurements), sizes
        place = place if count == 1 else None
        card = self._engine.card
        pixels = int(np.prod(measurements.size)) * card.scale**2
        most = max(1, MOST // (4 * pixels * len(card.outputs)))
        size = min(most, -(-count // (SHARE * self._threads)))
        size = max(each, size // each * each)
        chunk = _chunk(measurements)
        if chunk <= most:  # no two workers unpack the same chunk of a store
            size = -(-size // chunk) * chunk
        inside = range(first // size * size + size, count, size)
        names = tuple(map(_absolute, job.inputs))
        around, at = _around(place) if place else ((), 0)
        frames = None if job.frames is None else tuple(job.frames)
        whole = Part(
            names, fingerprints, frames, job.force, first, count, each, tiled, how.temporal,
            how.faults, around, at, job.axes,
        )  # fmt: skip
        return [
            whole._replace(start=start, stop=stop)
            for start, stop in zip([first, *inside], [*inside, count], strict=True)
            if start < stop
        ]

    def _following(self, number: int) -> Iterator[tuple[int, Part]]:
        """The numbers and parts of the jobs after one, if there is nothing of them yet."""
        for later in range(number + 1, len(self._jobs)):
            if later not in self._planned:
                self._planned[later] = self._expected(later)
            yield from ((later, part) for part in self._planned[later])

    def _expected(self, number: int) -> list[Part]:
        job, how = self._jobs[number], self._how
        if job.failed or (how.resume and (noted(job.output) or settings_of(job.output))):
            return []
        try:
            card = getattr(self._engine, "answers", self._engine.card)
            with open_measurements(job, card) as measurements:
                count = len(measurements)
                sizes = first_try(self._engine, measurements.size, count, how)
                told = tuple(fingerprint(split_name(name)[0]) for name in job.inputs)
                return self._parts(number, measurements, 0, sizes, told)
        except (InputError, OSError):  # told when its turn comes
            return []

    def _ahead(self, wanted: Iterator[tuple[int, Part]]) -> None:
        """Hand out parts, in this order, as long as not too many are on their way."""
        self._link.look()
        for key in wanted:
            if key not in self._pending:
                if len(self._pending) >= self._link.limit:
                    return
                self._pending[key] = self._submit(worker.compute_part, self._network, key[1])

    def _submit(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return self._link.submit(work, worker.versions(), *arguments, self._data)

    def _forget(self, which: Callable[[Any], bool]) -> None:
        for key in [key for key in self._pending if which(key)]:
            self._pending.pop(key).cancel()


def _absolute(name: str) -> str:
    """The name of an image, with its folder: workers run in another one."""
    return os.path.join(os.getcwd(), name)


def _around(place: FileOfMovie) -> tuple[tuple[tuple[str, int], ...], int]:
    """The files whose frames are in a file's window, with their sizes; and its place there."""
    jobs, reach = place.movie.jobs, place.movie.windows.window // 2
    first = max(0, place.number - reach)
    found = []
    for job in jobs[first : place.number + reach + 1]:
        try:
            size = job.source.stat().st_size
        except OSError:  # it has no frame here either
            size = -1
        found.append((_absolute(job.inputs[0]), size))
    return tuple(found), place.number - first


def _stored(measurements: Measurements) -> Any:
    """The frames in the file of a recording."""
    data = measurements.recordings[0].data
    return getattr(data, "data", data) if hasattr(data, "frames") else data


def _chunk(measurements: Measurements) -> int:
    """How many frames a store packs together; 1 if that is not known."""
    data = measurements.recordings[0].data
    chunks: Sequence[Any] = getattr(getattr(data, "array", data), "chunks", None) or ()
    alone = measurements.planes == 1 and len(measurements.recordings) == 1
    return chunks[-3] if alone and len(chunks) > 2 and isinstance(chunks[-3], int) else 1


def _require_parts(measurements: Measurements) -> None:
    """Refuse a large file that each worker would read as a whole for each of its parts."""
    for recording in measurements.recordings:
        data = _stored(measurements)
        if isinstance(data, (np.ndarray, Moved)) and data.nbytes > MOST_WHOLE:
            raise InputError(
                f"{recording.path} can only be read as a whole, {data.nbytes / 2**20:.0f} MiB, so "
                "that a cluster cannot share it; convert it to .zarr or .h5, or leave --scheduler "
                "out"
            )
