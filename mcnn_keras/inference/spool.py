"""Results on their way to a file: frames appended as they are computed; a kill spoils none.

A spool is a folder beside the result:

    identity.json   what the frames depend on
    frames.raw      the frames, float32, one after the other
    blocks.txt      a line for each block that was appended: its frames and their checksum
    results.json    fingerprints of the files that were made of all frames, before they appear
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..files import RawFrames, replacing, split_name
from ..files.fingerprint import fingerprint
from ..files.places import spool_folder
from .planning import Job

# Seconds after which what is appended is on the disk, and not only with the system. A loss of
# power before costs these frames; a kill costs none.
SYNC = 1.0


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
        Whether there are frames of another model or input, which will be replaced.
    lost : int
        Frames that are there and are not as they were written; they are made again.
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
        self.path, self.index = self.folder / "frames.raw", self.folder / "blocks.txt"
        self.shape, self.frame = tuple(shape), 4 * int(np.prod(shape[1:]))
        self.identity = json.dumps(identity, sort_keys=True)
        self.done = self.lost = 0
        self.foreign = False
        self._kept = ""  # the lines of the index that are true
        self._files: tuple[Any, ...] = ()
        self._synced = time.monotonic()
        told = self.folder / "identity.json"
        if resume and told.is_file() and self.path.exists():
            self.foreign = told.read_text(errors="replace") != self.identity
            if not self.foreign:
                self._verify(together)

    def _verify(self, together: int) -> None:
        """Count the frames that are as they were written."""
        whole = 0
        with contextlib.suppress(OSError, ValueError), open(self.path, "rb") as frames:
            for line in self.index.read_text(errors="replace").splitlines(keepends=True):
                count, _ = line.split(" ")
                data = frames.read(int(count) * self.frame)
                if len(data) < int(count) * self.frame or line != _line(int(count), data):
                    break
                whole += int(count)
                self._kept += line
        # A measurement that a kill has cut short is made again.
        self.done = min(whole, self.shape[0]) // together * together
        self.lost = max(0, self.path.stat().st_size // self.frame - whole)
        if self.done != whole:
            with open(self.path, "rb") as frames:
                self._kept = _line(self.done, frames.read(self.done * self.frame))

    def append(self, frames: np.ndarray) -> None:
        """Add the next frames, (frames, height, width)."""
        if not self._files:  # nothing is left behind by what fails before there is a result
            self._open()
        data = np.ascontiguousarray(frames, np.float32).data.cast("B")
        raw, index = self._files
        os.stat(self.path)  # what is written to a file that was removed is lost
        # First the frames, then the line that says so: what a break leaves is told by its line.
        raw.write(data)
        raw.flush()
        line = _line(len(frames), data)
        index.write(line.encode())
        index.flush()
        self._kept += line
        self.done += len(frames)
        if time.monotonic() - self._synced > SYNC:
            self._sync()

    def _sync(self) -> None:
        for file in self._files:
            file.flush()
            os.fsync(file.fileno())
        self._synced = time.monotonic()

    def _open(self) -> None:
        if not self.done:
            forget(self.folder)
            self.folder.mkdir(parents=True)
            with replacing(self.folder / "identity.json") as part:
                part.write_text(self.identity)
        with replacing(self.index) as part:
            part.write_text(self._kept)
        self._files = (self.path.open("ab"), self.index.open("ab"))
        self._files[0].truncate(self.done * self.frame)

    def frames(self) -> RawFrames:
        """All frames, once they are done, read as they are needed."""
        if self._files:
            self._sync()
        return RawFrames(self.path, np.float32, self.shape)

    def leave(self) -> None:
        """Keep what is done for another time."""
        with contextlib.suppress(OSError):  # a full disk keeps what it has
            self._sync()
        self._close()
        if not self.done:
            forget(self.folder)

    def remove(self) -> None:
        """Forget it: the result is written, or never will be."""
        self._close()
        forget(self.folder)

    def _close(self) -> None:
        for file in self._files:
            with contextlib.suppress(OSError):
                file.close()
        self._files = ()

    def announce(self, place: Path, part: Path) -> None:
        """Note that a file is about to appear at a place: a run that goes on knows it as its own.

        Parameters
        ----------
        place, part : Path
            Where it will be, and where it is.
        """
        told = {**announced(self.folder), place.name: fingerprint(part)}
        with replacing(self.folder / "results.json") as file:
            file.write_text(json.dumps(told))


def forget(folder: Path) -> None:
    """Remove a spool's folder."""
    shutil.rmtree(folder, ignore_errors=True)


def _line(count: int, data: Any) -> str:
    return f"{count} {zlib.crc32(data):08x}\n"


def announced(folder: Path) -> dict[str, str]:
    """The fingerprints of results that a spool tells of, by their names."""
    with contextlib.suppress(OSError, ValueError):
        return dict(json.loads((folder / "results.json").read_text()))
    return {}


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
    told = [fingerprint(path) for path in files]
    images = [split_name(name)[1] for name in job.inputs]
    axes = {} if job.axes is None else {"axes": job.axes}
    return {
        "files": told, "images": images, "model": model, "frames": job.frames, **axes, **settings,
    }  # fmt: skip


def digest(path: str | Path) -> str:
    """A digest that identifies a model's file."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def settings_of(output: Path) -> dict[str, Any]:
    """The `identity` of the unfinished frames of a result; {} if there are none."""
    try:
        return json.loads((spool_folder(output) / "identity.json").read_text())
    except (OSError, ValueError):
        return {}


def stamps(job: Job) -> list[tuple[int, int]]:
    """`stamp_of` each of a job's files.

    Raises
    ------
    OSError
        If one is not there.
    """
    return [stamp_of(Path(split_name(name)[0])) for name in job.inputs]


def stamp_of(path: Path) -> tuple[int, int]:
    """Size and time of change of a file, or of all that is in a folder."""
    parts = [path, *path.rglob("*")] if path.is_dir() else [path]
    each = [part.stat() for part in parts]
    return sum(t.st_size for t in each), max(t.st_mtime_ns for t in each)
