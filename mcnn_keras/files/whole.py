"""Results are written under a temporary name and then renamed."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Write a file, or a folder such as a .zarr, completely or not at all.

    Parameters
    ----------
    path : Path
        The file to create or replace.

    Yields
    ------
    Path
        A temporary name in the same folder. It is renamed to `path` at the end of the block, or
        removed if the block raises an exception.
    """
    path = Path(path)
    part = path.with_name(f".part{os.getpid()}.{path.name}")
    try:
        yield part
        if part.is_file():
            with open(part, "r+b") as file:  # on the disk before it has its name
                os.fsync(file.fileno())
        if part.is_dir() and path.is_dir() and not path.is_symlink():
            # No rename replaces a folder with content.
            old = path.with_name(f".old{os.getpid()}.{path.name}")
            os.replace(path, old)
            os.replace(part, path)
            shutil.rmtree(old)
        else:
            os.replace(part, path)
    finally:
        _remove(part)


def remove_left(path: Path) -> None:
    """Remove what a killed run has left of a result; only for the one that holds its lock."""
    for old in _left(path, "old"):
        if path.exists():
            _remove(old)
        else:  # the kill came between two renames
            os.replace(old, path)
    for part in _left(path, "part"):
        _remove(part)


def is_left(name: str, result: str) -> bool:
    """Whether a file's name is one that `remove_left` removes of a result of this name."""
    return bool(re.fullmatch(r"(\.(part|old)\d+\.)+" + re.escape(result), name))


def _left(path: Path, kind: str) -> list[Path]:
    with contextlib.suppress(OSError):
        found = [p for p in path.parent.iterdir() if p.name.startswith(f".{kind}")]
        return [p for p in found if is_left(p.name, path.name)]
    return []


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):  # the error that is under way matters more
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
