"""Prediction of files by the workers of a Dask cluster; this process alone writes.

jobs -> parts, never more than some at a time -> workers: read, network -> parts, in their order
-> spool

A worker that is lost costs time: its parts are computed again by another. All else (the result's
place, --resume, pictures, reports) is that of one machine.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, reason
from ..files import split_name
from ..files.fingerprint import fingerprint
from ..models import Frames, ModelCard
from ..models.saving import model_path, read_card
from ..progress import FrameProgress
from . import worker
from .asked import Options
from .filling import Kept, Unchanged, first_try, windows_of
from .finished import noted
from .measurements import Measurements
from .movie_files import FileOfMovie
from .planning import Job, open_measurements
from .range_check import WARNING, RangeCheck
from .spool import Spool, digest, settings_of
from .uncertain import with_uncertainty
from .worker import Computed, Network, Part

# Seconds to wait for the scheduler; between two looks at the workers.
PATIENCE, LOOK = 10.0, 2.0
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
        self.address, self._say = address, say
        self._pending: dict[tuple[int, Part], Any] = {}
        self._planned: dict[int, list[Part]] = {}
        self._threads = self._limit = 0
        self._looked = -LOOK
        self._told: set[str] = set()
        self._log = logging.getLogger("distributed")
        self._level = self._log.level
        # What goes wrong is told in one line, by an error.
        self._log.setLevel(logging.CRITICAL + 1)
        try:
            self.client = _connected(address)
        except BaseException:
            self._log.setLevel(self._level)
            raise

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            with contextlib.suppress(Exception):  # the scheduler may be gone
                self._forget(lambda key: True)
                self.client.close(timeout=5)
        finally:
            self._log.setLevel(self._level)

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
        self._require_workers()
        network = Network(
            digest(path), path.suffix, choice, how.precision, how.uncertainty, how.average
        )
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sending large graph")
            self._data = self.client.submit(worker.content, path.read_bytes(), pure=False)
        future = self._submit(worker.choose, network, begun)
        name, chosen, stride, said = self._waited(future, f"the network of {model}")
        for line in said:
            self._say(line)
        # The choice of the one holds for all.
        self._network = network._replace(choice=name, precision=chosen)
        self._say(f"computed by {self._workers()} at {self.address}")
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
                computed = self._waited(self._pending[number, part], what)
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
        names, around, at = tuple(map(_absolute, job.inputs)), (), 0
        if place is not None:
            around, at = _around(place)
        frames = None if job.frames is None else tuple(job.frames)
        return [
            Part(
                names, fingerprints, frames, job.force, start, stop, each, tiled, how.temporal,
                how.faults, around, at,
            )  # fmt: skip
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
        self._look()
        for key in wanted:
            if key not in self._pending:
                if len(self._pending) >= self._limit:
                    return
                self._pending[key] = self._submit(worker.compute_part, self._network, key[1])

    def _submit(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return self.client.submit(work, worker.versions(), *arguments, self._data, pure=False)

    def _waited(self, future: Any, what: str) -> Any:
        """What a task returns, however long it takes."""
        from distributed import CancelledError, KilledWorker, TimeoutError
        from distributed.comm import CommClosedError

        while True:
            try:
                return future.result(timeout=LOOK)
            except TimeoutError:
                if future.done():  # the task's own
                    raise
                self._require_workers()
            except KilledWorker:
                raise Kept(
                    f"the workers end while they compute {what}; if their memory does not suffice, "
                    "give them more, or add --batch-size 1 or a smaller --tile-size"
                ) from None
            except (CancelledError, CommClosedError):
                raise Kept(f"the scheduler at {self.address} is gone") from None
            except (ImportError, AttributeError, RuntimeError) as error:
                if isinstance(error, RuntimeError) and "deserializ" not in str(error):
                    raise
                cause = error.__cause__ or error
                raise Kept(
                    f"scheduler and workers cannot run this mcnn-keras ({reason(cause)}); install "
                    "the same version on all machines"
                ) from None

    def _require_workers(self) -> None:
        """Wait until there is a worker."""
        self._looked = -LOOK
        self._look()
        if not self._limit:
            self._say(f"no worker is connected to {self.address}; waiting for one (Ctrl-C stops)")
        while not self._limit:
            time.sleep(LOOK / 4)
            self._looked = -LOOK
            self._look()

    def _look(self) -> None:
        """Count the workers; two parts more than they compute at a time are on their way."""
        if time.monotonic() - self._looked < LOOK:
            return
        self._looked = time.monotonic()
        try:
            threads = self.client.nthreads()
        except Exception as error:  # of any kind, by the state of the connection
            raise Kept(f"the scheduler at {self.address} is gone ({reason(error)})") from None
        self._count, total = len(threads), sum(threads.values())
        self._threads = self._threads or total
        self._limit = total + len(threads)

    def _workers(self) -> str:
        total = self._limit - self._count
        return (
            f"{self._count} worker{'s' * (self._count > 1)} with {total} "
            f"thread{'s' * (total > 1)}"
        )

    def _forget(self, which: Callable[[Any], bool]) -> None:
        for key in [key for key in self._pending if which(key)]:
            self._pending.pop(key).cancel()


def _connected(address: str) -> Any:
    """A client of the scheduler, which no other code of this process uses by default."""
    try:
        import distributed
    except ImportError:
        raise InputError(
            "--scheduler needs dask and distributed; run pip install 'mcnn-keras[dask]'"
        ) from None
    place = _of_file(address) if address.endswith(".json") else address
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            client = distributed.Client(place, timeout=PATIENCE, set_as_default=False)
        except Exception as error:  # of any kind, by what is wrong with the address
            raise InputError(
                f"no scheduler can be reached at {address} ({reason(error)}); start one with dask "
                "scheduler, and give the address that it prints, such as tcp://host:8786, or its "
                "--scheduler-file"
            ) from None
    for doubt in told:
        if issubclass(doubt.category, UserWarning):
            lines = [line.strip(" |") for line in str(doubt.message).splitlines()]
            rows = [line for line in lines if "|" in line and not line.startswith("Package")]
            shown = "; ".join(" ".join(row.replace("|", " ").split()) for row in rows)
            warnings.warn(
                f"versions differ (package, here, scheduler, workers): {shown}"
                if shown else reason(doubt.message), stacklevel=2,
            )  # fmt: skip
    return client


def _of_file(path: str) -> str:
    """The address in a scheduler file."""
    try:
        return str(json.loads(Path(path).read_text())["address"])
    except OSError as error:
        raise InputError(
            f"the scheduler file {path} cannot be read ({error.strerror}); dask scheduler writes "
            f"it with --scheduler-file {path}"
        ) from None
    except (ValueError, KeyError, TypeError):
        raise InputError(
            f"{path} is no scheduler file; give that of dask scheduler --scheduler-file, or the "
            "scheduler's address"
        ) from None


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
    chunks = getattr(getattr(data, "array", data), "chunks", None)
    alone = measurements.planes == 1 and len(measurements.recordings) == 1
    known = alone and chunks and len(chunks) > 2 and isinstance(chunks[-3], int)
    return chunks[-3] if known else 1


def _require_parts(measurements: Measurements) -> None:
    """Refuse a large file that each worker would read as a whole for each of its parts."""
    for recording in measurements.recordings:
        data = _stored(measurements)
        if isinstance(data, np.ndarray) and data.nbytes > MOST_WHOLE:
            raise InputError(
                f"{recording.path} can only be read as a whole, {data.nbytes / 2**20:.0f} MiB, so "
                "that a cluster cannot share it; convert it to .zarr or .h5, or leave --scheduler "
                "out"
            )
