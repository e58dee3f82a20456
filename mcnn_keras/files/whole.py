"""Results are written under a temporary name and then renamed."""

from __future__ import annotations

import os
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
    part = path.with_name(f".{path.stem}.part{os.getpid()}{path.suffix}")
    try:
        yield part
        if part.is_dir() and path.is_dir():  # no rename replaces a folder with content
            old = path.with_name(f".{path.name}.old{os.getpid()}")
            os.replace(path, old)
            os.replace(part, path)
            shutil.rmtree(old)
        else:
            os.replace(part, path)
    finally:
        if part.is_dir():
            shutil.rmtree(part)
        else:
            part.unlink(missing_ok=True)
