"""What a worker of a cluster does: read its part of a recording, compute it, and return it.

A worker writes nothing: the process that asked writes, in order. So a part that is computed twice,
since a worker was lost, is written once.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import InputError, reason
from ..files import split_name
from ..files.fingerprint import fingerprint
from ..version import version_of
from .engines import Averaged
from .fastest import engine_for
from .filling import Kept, Unchanged, compute, windows_of
from .memory import is_out_of_memory
from .movie_files import FileOfMovie, MovieOfFiles
from .planning import Job, open_measurements
from .range_check import RangeCheck
from .uncertain import UncertainEngine

# Versions that must be the same everywhere, and those that change the last digits of results.
SAME, ALIKE = ("mcnn-keras", "Python"), ("numpy", "tensorflow", "keras", "onnxruntime")
# Networks and files that a worker keeps ready.
MOST_ENGINES, MOST_FILES = 2, 64

_loading, _computing, _looking = threading.Lock(), threading.Lock(), threading.Lock()
_engines: OrderedDict[Any, Any] = OrderedDict()
_files: OrderedDict[Any, Unchanged] = OrderedDict()


class Network(NamedTuple):
    """How workers make an engine; all of them make the same one."""

    digest: str
    suffix: str
    choice: str
    precision: str
    uncertainty: bool
    average: bool


class Part(NamedTuple):
    """The measurements start..stop of a job, and how they are computed."""

    inputs: tuple[str, ...]
    fingerprints: tuple[str, ...]
    frames: tuple[int, ...] | None
    force: bool
    start: int
    stop: int
    each: int
    tiled: int | None
    temporal: str
    faults: str
    # Of a file in a movie: the files around it with their sizes, and its place among them.
    around: tuple[tuple[str, int], ...] = ()
    place: int = 0
    axes: str | None = None

    def job(self, name: str = "") -> Job:
        """The job of its files, or that of another file of the movie."""
        frames = None if self.frames is None else [*self.frames]
        return Job(
            (name,) if name else self.inputs, Path(), frames, force=self.force, axes=self.axes
        )


class Computed(NamedTuple):
    """The results of a part, and what is to be told of it."""

    frames: np.ndarray
    check_range: RangeCheck
    windows: tuple[int, int, dict[int, str], set[int]] | None
    versions: dict[str, str]


def versions() -> dict[str, str]:
    """The versions of this process that results depend on."""
    python = ".".join(map(str, sys.version_info[:2]))
    return {"Python": python, **{n: version_of(n) for n in (*SAME, *ALIKE) if n != "Python"}}


def content(data: bytes) -> bytes:
    """A model file's content, as a task: workers that come later get it, too."""
    return data


def choose(
    asked: Mapping[str, Any], network: Network, begun: Mapping[str, Any] | None, data: bytes
) -> tuple[str, str, int, list[str]]:
    """The engine that all workers are to use: name, precision, stride, and lines for the user.

    Parameters
    ----------
    asked : dict
        The versions of the process that asks.
    network : Network
        With what the user allows.
    begun : dict, optional
        The "engine" and "precision" of a run that is resumed.
    data : bytes
        Of the model's file.
    """
    _require_versions(asked)
    said: list[str] = []
    engine = _engine(network, data, said.append, begun)
    return engine.name, engine.precision, engine.stride, said


def compute_part(asked: Mapping[str, Any], network: Network, part: Part, data: bytes) -> Computed:
    """The results of a part.

    Raises
    ------
    InputError
        If the worker cannot read the files, or reads others than the process that asks.
    MemoryError
        If the memory does not suffice.
    """
    own = _require_versions(asked)
    unchanged = _same_files(part)
    try:
        return _computed(_engine(network, data), unchanged, part, own)
    except Exception as error:
        if is_out_of_memory(error):  # the errors of engines cannot be sent
            raise MemoryError(reason(error)) from None
        raise


def _computed(engine: Any, unchanged: Unchanged, part: Part, own: dict[str, str]) -> Computed:
    card = getattr(engine, "answers", engine.card)
    frames: list[np.ndarray] = []
    try:
        measurements = open_measurements(part.job(), card)
    except InputError as error:
        raise InputError(f"{error} (on the worker {name()})") from None
    with measurements:
        check_range = RangeCheck(card, len(measurements), part.inputs[0])
        place, windows = None, None
        if part.around:
            jobs = [part.job(path) for path, _ in part.around]
            movie = MovieOfFiles(jobs, engine.card, part.temporal, part.faults)
            place, windows = FileOfMovie(movie, part.place), movie.windows
        else:
            windows = windows_of(measurements, engine.card, unchanged, part.temporal, part.faults)
        compute(
            measurements, _OneAtATime(engine), unchanged, place or windows,
            (part.start, part.stop, part.each), part.tiled, lambda done: None, check_range,
            frames.append,
        )  # fmt: skip
    unchanged.check()
    told = None
    if windows is not None:
        told = windows.frames, windows.with_neighbours, windows.told, windows.cuts
    return Computed(np.concatenate(frames), check_range, told, own)


class _OneAtATime:
    """An engine of which one thread of a worker computes, while the others read."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def compute(self, batch: np.ndarray) -> np.ndarray:
        """As `compute` of the engine."""
        with _computing:
            return self.engine.compute(batch)


def name() -> str:
    """The worker's address, or the machine's name."""
    with contextlib.suppress(ImportError, ValueError):
        from distributed import get_worker

        return str(get_worker().address)
    return os.uname().nodename


def _require_versions(asked: Mapping[str, Any]) -> dict[str, str]:
    own = versions()
    for package in SAME:
        if own[package] != asked.get(package):
            raise InputError(
                f"the worker {name()} has {package} {own[package]}, and this machine "
                f"{asked.get(package)}; install the same version everywhere"
            )
    return own


def _same_files(part: Part) -> Unchanged:
    """Sees that the files are those that the process that asks has seen, and stay so."""
    key = (part.inputs, part.fingerprints)
    with _looking:
        if key in _files:
            with contextlib.suppress(InputError):
                _files[key].check()
                return _files[key]
        for path, told in zip(part.inputs, part.fingerprints, strict=True):
            own = split_name(path)[0]
            try:
                same = fingerprint(own) == told
            except OSError as error:
                raise _unreachable(own, f"cannot be read ({reason(error)})") from None
            if not same:
                raise Kept(
                    f"{own} is not the same on the worker {name()}, or has changed while it was "
                    "read; every worker must reach the same file under the same path"
                )
        for path, size in part.around:
            own = split_name(path)[0]
            if size >= 0 and not (os.path.exists(own) and os.stat(own).st_size == size):
                raise _unreachable(own, "is not there, or has another size,")
        try:
            _files[key] = Unchanged(part.job())
        except OSError as error:
            raise _unreachable(part.inputs[0], f"cannot be read ({reason(error)})") from None
        while len(_files) > MOST_FILES:
            _files.popitem(last=False)
        return _files[key]


def _unreachable(path: Any, why: str) -> Kept:
    return Kept(
        f"{path} {why} on the worker {name()}; every worker must reach the file under the same "
        "path, so put it on a disk that all machines share"
    )


def _engine(
    network: Network,
    data: bytes,
    say: Callable[[str], Any] = lambda text: None,
    begun: Mapping[str, Any] | None = None,
) -> Any:
    """The engine, loaded once in each process."""
    with _loading:  # one thread loads, the others wait
        if network not in _engines:
            with tempfile.TemporaryDirectory(prefix="mcnn-keras-") as folder:
                path = Path(folder) / f"model{network.suffix}"
                path.write_bytes(data)
                engine = engine_for(path, network.choice, network.precision, say, begun)
            engine = UncertainEngine(engine.model) if network.uncertainty else engine
            _engines[network] = Averaged(engine) if network.average else engine
            while len(_engines) > MOST_ENGINES:
                _engines.popitem(last=False)
        return _engines[network]
