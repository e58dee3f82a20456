"""Results are written under a temporary name and then renamed."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

# A mark of a file on its way: who writes it, as a process of a computer. Earlier versions named the
# process alone.
_MARK = re.compile(r"\.(part|old)(\d+)(?:-([0-9a-f]{4}))?\.")


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Write a file, or a folder such as a .zarr, completely or not at all.

    What processes that were killed have left of this result is removed before.

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
    _remove_left(path, _is_dead)
    part = _on_the_way(path, "part")
    try:
        yield part
        if part.is_file():
            with open(part, "r+b") as file:  # on the disk before it has its name
                os.fsync(file.fileno())
        if part.is_dir() and path.is_dir() and not path.is_symlink():
            # No rename replaces a folder with content.
            old = _on_the_way(path, "old")
            os.replace(path, old)
            os.replace(part, path)
            shutil.rmtree(old)
        else:
            os.replace(part, path)
    finally:
        remove(part)


def remove_left(path: Path) -> None:
    """Remove what a killed run has left of a result; only for the one that holds its lock."""
    _remove_left(path, lambda name: True)


def is_left(name: str, result: str) -> bool:
    """Whether a file's name is one that `remove_left` removes of a result of this name."""
    return name.endswith(result) and bool(
        re.fullmatch(f"({_MARK.pattern})+", name.removesuffix(result))
    )


def _on_the_way(path: Path, kind: str) -> Path:
    return path.with_name(f".{kind}{os.getpid()}-{_computer()}.{path.name}")


def _computer() -> str:
    return f"{zlib.crc32(socket.gethostname().encode()) & 0xFFFF:04x}"


def _is_dead(name: str) -> bool:
    """Whether the process that the name of a file on its way tells of is known to have ended."""
    mark = _MARK.match(name)
    if mark is None or mark[3] != _computer() or os.name == "nt":  # where to ask is to interrupt
        return False
    try:
        os.kill(int(mark[2]), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def _remove_left(path: Path, which: Callable[[str], bool]) -> None:
    for old in _left(path, "old", which):
        if path.exists():
            remove(old)
        else:  # the kill came between two renames
            with contextlib.suppress(OSError):  # another may do the same
                os.replace(old, path)
    for part in _left(path, "part", which):
        remove(part)


def _left(path: Path, kind: str, which: Callable[[str], bool]) -> list[Path]:
    with contextlib.suppress(OSError):
        names = [name for name in os.listdir(path.parent) if name.startswith(f".{kind}")]
        return [path.parent / name for name in names if is_left(name, path.name) and which(name)]
    return []


def remove(path: Path) -> None:
    """Remove a file, or a folder such as a .zarr, if it can be."""
    with contextlib.suppress(OSError):  # the error that is under way matters more
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
