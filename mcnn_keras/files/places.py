"""Where results may go: nothing that is there is replaced unless that is asked for.

What a result is made from is never replaced, under whatever name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..errors import InputError
from .locking import lock_file
from .own import made_here, result_of
from .whole import is_left

# Names in a Zarr store: metadata, and chunks such as 0.0.0 or c/0/0/0.
_ZARR_NAMES = re.compile(r"zarr\.json|\.z(array|attrs|group|metadata)|[0-9]+([./][0-9]+)*|c")
# What this package writes beside the data of a Zarr array.
_ZARR_ATTRIBUTES = {"axes", "scales", "offsets", "units", "title"}
_WAYS = "name another output, or add --overwrite to replace it"


def spool_folder(output: Path) -> Path:
    """Where the frames of a result are kept until it is whole."""
    return output.with_name(f".{output.name}.unfinished")


def require_free(
    results: Iterable[Path],
    sources: Iterable[str | Path] = (),
    overwrite: bool = False,
    ways: str = _WAYS,
) -> None:
    """Refuse results that would replace what they are made from, or anything else that is there.

    Parameters
    ----------
    results : iterable of Path
        All files, and folders such as a .zarr, that are to be written.
    sources : iterable of str or Path
        Inputs, models, truths, ...
    overwrite : bool
        Whether files that are there may be replaced. A picture of this program may be where the
        result that it was written beside is gone. Of folders, only those may that hold one
        Zarr array or signal and nothing else.
    ways : str
        What to do about a file that is there.

    Raises
    ------
    InputError
    """
    results = list(results)
    require_not_source(results, sources)
    there = [path for path in results if os.path.lexists(path) and not _is_left_picture(path)]
    if there and not overwrite:
        more = f" (and {len(there) - 1} more)" if len(there) > 1 else ""
        raise InputError(f"{there[0]}{more} is there already; {ways}")
    for path in there:
        if path.is_dir() and not path.is_symlink() and not _is_store(path):
            raise InputError(
                f"the folder {path} holds what this program did not write, and is not replaced; "
                "name another output"
            )


def _is_left_picture(path: Path) -> bool:
    """Whether it is a picture of this program, and the result that it shows is gone."""
    if path.suffix.lower() != ".png" or path.is_symlink() or not path.is_file():
        return False
    shown = result_of(path)
    return bool(shown and made_here(path)) and not os.path.lexists(path.with_name(shown))


def require_not_source(results: Iterable[Path], sources: Iterable[str | Path]) -> None:
    """Refuse results that would replace what they are made from; see `require_free`."""
    given = [Path(name) for name in sources]
    # The text that tells the planes and the optics of an input lies beside it.
    beside = [path.with_suffix(ending) for path in given for ending in (".txt", ".json")]
    known = [(path, path.resolve()) for path in (*given, *filter(Path.exists, beside))]
    for path in results:
        place = path.resolve()
        for source, real in known:
            within = place in real.parents or real in place.parents
            kept = [spool_folder(path), lock_file(path)]
            ours = source.parent.resolve() == path.parent.resolve() and (
                source in kept or is_left(source.name, path.name)
            )
            below = any(k.resolve() in real.parents for k in kept)
            if place == real or within or ours or below or _same(path, source):
                raise InputError(f"the result {path} would replace an input; name another output")


def _same(path: Path, source: Path) -> bool:
    """Whether two names are of one file: links, or case on file systems that ignore it."""
    try:
        return os.path.samefile(path, source)
    except OSError:
        return False


def _is_store(path: Path) -> bool:
    """Whether a folder is one Zarr array of this package, or one signal, and nothing else."""
    for part in path.rglob("*"):
        inner = part.relative_to(path).as_posix()
        if part.is_file() and not _ZARR_NAMES.fullmatch(part.name):
            return False
        if part.is_symlink() or (path.suffix.lower() == ".zarr" and not _is_chunk(inner)):
            return False
    try:
        import zarr

        opened: Any = zarr.open(str(path), mode="r")
        if path.suffix.lower() == ".zarr":
            return hasattr(opened, "shape") and set(opened.attrs) >= _ZARR_ATTRIBUTES
        return [*opened] == ["Experiments"] and len([*opened["Experiments"]]) == 1
    except Exception:  # whatever it is, it is no store
        return False


def _is_chunk(inner: str) -> bool:
    return all(_ZARR_NAMES.fullmatch(name) for name in inner.split("/"))
