"""Unfinished results: frames are appended as they are computed, and survive a killed process."""

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
    """A folder next to the result, with the frames that are done.

    Parameters
    ----------
    output : Path
        The result that is being made.
    shape : tuple of int
        (frames, height, width) of the complete result.
    identity : dict
        What the frames depend on: only a spool with the same identity is resumed.
    together : int
        Number of frames of one measurement; they are computed together.
    resume : bool
        Continue with the frames that are there.

    Attributes
    ----------
    done : int
        Number of frames that are there.
    foreign : bool
        Whether the folder holds frames of another model or input; they are replaced.
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
                # An incomplete measurement is computed again.
                done = min(self.path.stat().st_size // self.frame, shape[0])
                self.done = done // together * together

    def append(self, frames: np.ndarray) -> None:
        """Add the next frames, (frames, height, width)."""
        if self._file is None:  # a failure before the first result leaves no folder
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
        """Keep what is done for a later run."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # a full disk keeps what is already written
                self._file.flush()
                os.fsync(self._file.fileno())
            with contextlib.suppress(OSError):
                self._file.close()

    def remove(self) -> None:
        """Delete the folder: the result is written, or never will be."""
        if self._file is not None:
            self._file.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def spool_folder(output: Path) -> Path:
    """The folder for the frames of a result until it is complete."""
    return output.with_name(f".{output.name}.unfinished")


def identity(job: Job, model: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What results depend on: the present state of the files, and how they are inverted.

    Parameters
    ----------
    job : Job
    model : str
        The digest of the model's file.
    settings : dict
        All other settings that change the results.
    """
    files = [Path(split_name(name)[0]) for name in job.inputs]
    stamps = [(str(p.resolve()), *stamp(p)) for p in files]
    images = [split_name(name)[1] for name in job.inputs]
    return {"files": stamps, "images": images, "model": model, "frames": job.frames, **settings}


def digest(path: str | Path) -> str:
    """A digest that identifies a model's file."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def settings_of(output: Path) -> dict[str, Any]:
    """The `identity` of the unfinished frames of a result; {} if there are none."""
    try:
        return json.loads((spool_folder(output) / "identity.json").read_text())
    except (OSError, ValueError):
        return {}


def stamp(path: Path) -> tuple[int, int]:
    """Size and modification time of a file, or of the whole content of a folder."""
    parts = [path, *path.rglob("*")] if path.is_dir() else [path]
    told = [part.stat() for part in parts]
    return sum(t.st_size for t in told), max(t.st_mtime_ns for t in told)
