"""Results on their way to a file: frames appended as they are computed; a kill spoils none."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..files import RawFrames, split_name
from .planning import Job


class Spool:
    """A folder beside the result, with the frames that are done.

    Parameters
    ----------
    output : Path
        The result that is being made.
    shape : tuple of int
        (frames, height, width), when all is done.
    identity : dict
        What the frames depend on: only a spool of the same is gone on with.
    together : int
        Frames of one measurement, which are made again together.
    resume : bool
        Go on with what is there.

    Attributes
    ----------
    done : int
        Frames that are there.
    foreign : bool
        Whether there are frames of another model or input, which will be replaced.
    """

    def __init__(
        self,
        output: Path,
        shape: Sequence[int],
        identity: Mapping[str, Any],
        together: int = 1,
        resume: bool = False,
    ) -> None:
        self.folder = spool_folder(output)
        self.path, told = self.folder / "frames.raw", self.folder / "identity.json"
        self.shape, self.frame = tuple(shape), 4 * int(np.prod(shape[1:]))
        self.identity = json.dumps(identity, sort_keys=True)
        self.done = 0
        self._file: Any = None
        self.foreign = False
        if resume and told.is_file() and self.path.exists():
            self.foreign = told.read_text() != self.identity
            if not self.foreign:
                # A measurement that a kill has cut short is made again.
                done = min(self.path.stat().st_size // self.frame, shape[0])
                self.done = done // together * together

    def append(self, frames: np.ndarray) -> None:
        """Add the next frames, (frames, height, width)."""
        if self._file is None:  # nothing is left behind by what fails before there is a result
            self._open()
        np.ascontiguousarray(frames, np.float32).tofile(self._file)
        self.done += len(frames)

    def _open(self) -> None:
        if not self.done:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            (self.folder / "identity.json").write_text(self.identity)
        self._file = open(self.path, "ab")  # noqa: SIM115 - closed by leave or remove
        self._file.truncate(self.done * self.frame)

    def frames(self) -> RawFrames:
        """All frames, once they are done, read as they are needed."""
        if self._file is not None:
            self._file.flush()
        return RawFrames(self.path, np.float32, self.shape)

    def leave(self) -> None:
        """Keep what is done for another time."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # a full disk keeps what it has
                self._file.flush()
                os.fsync(self._file.fileno())
            with contextlib.suppress(OSError):
                self._file.close()

    def remove(self) -> None:
        """Forget it: the result is written, or never will be."""
        if self._file is not None:
            self._file.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def spool_folder(output: Path) -> Path:
    """Where the frames of a result are kept until it is whole."""
    return output.with_name(f".{output.name}.unfinished")


def identity(job: Job, model: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What results depend on: the files as they are now, and how they are inverted.

    Parameters
    ----------
    job : Job
    model : str
        The digest of the model's file.
    settings : dict
        Whatever else changes the results.
    """
    files = [Path(split_name(name)[0]) for name in job.inputs]
    stamps = [(str(p.resolve()), *stamp(p)) for p in files]
    images = [split_name(name)[1] for name in job.inputs]
    return {"files": stamps, "images": images, "model": model, "frames": job.frames, **settings}


def digest(path: str | Path) -> str:
    """What tells one model's file from another."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def settings_of(output: Path) -> dict[str, Any]:
    """What the unfinished frames of a result depend on, as `identity` tells it; {} if none."""
    try:
        return json.loads((spool_folder(output) / "identity.json").read_text())
    except (OSError, ValueError):
        return {}


def stamp(path: Path) -> tuple[int, int]:
    """Size and time of change of a file, or of all that is in a folder."""
    parts = [path, *path.rglob("*")] if path.is_dir() else [path]
    told = [part.stat() for part in parts]
    return sum(t.st_size for t in told), max(t.st_mtime_ns for t in told)
