"""Results appear by rename: whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Write a file, or a folder that a format takes for a file, as a whole or not at all.

    Parameters
    ----------
    path : Path
        The file to make or to replace.

    Yields
    ------
    Path
        A temporary name beside it, which becomes `path` if no exception leaves the block.
    """
    path = Path(path)
    part = path.with_name(f".{path.stem}.part{os.getpid()}{path.suffix}")
    try:
        yield part
        if part.is_dir() and path.is_dir():  # a folder does not replace one that is not empty
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
