"""Which results are finished, and which files on the disk are this program's own.

The picture beside a result is written last. It holds a note of what the result was made from, and
fingerprints of the files as they were written: nothing depends on the clock, and a file that was
changed since, or is another's, is known.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import read_note, require_free
from ..files.fingerprint import fingerprint
from ..files.own import PICTURE, made_here
from ..files.places import spool_folder
from ..files.whole import remove
from .spool import announced

# What can show a result beside it: reports and videos.
VIEWS = (".html", ".gif", ".mp4")


def picture_of(output: Path) -> Path:
    """The picture beside a result."""
    return output.with_suffix(".png")


def uncertainty_of(output: Path) -> Path:
    """The uncertainty beside a result."""
    ending = ".ome" + output.suffix if output.stem.endswith(".ome") else output.suffix
    return output.with_name(output.name.removesuffix(ending) + "_uncertainty" + ending)


def note(output: Path, told: Mapping[str, Any], files: Iterable[Path], **facts: Any) -> str:
    """What the picture keeps.

    Parameters
    ----------
    output : Path
        The result.
    told : dict
        What it depends on.
    files : iterable of Path
        The result, and a video.
    **facts
        To remember.
    """
    prints = {path.name: fingerprint(path) for path in files}
    known = {"result": output.name, "identity": _digest(told), "files": prints}
    return json.dumps({**known, **facts})


def noted(output: Path) -> dict[str, Any]:
    """The note in the picture beside a result; {} if there is none of this result."""
    found = _note_beside(output)
    return found if isinstance(found.get("files"), dict) else {}


def _note_beside(output: Path) -> dict[str, Any]:
    with contextlib.suppress(ValueError, AttributeError):
        found = json.loads(read_note(picture_of(output)) or "{}")
        if found.get("result") == output.name:
            return found
    return {}


def origin_of(told: Mapping[str, Any]) -> str:
    """A digest of what a result, and all that is written beside it, is made from."""
    return _digest({key: value for key, value in told.items() if key != "uncertainty"})


def clear_beside(
    output: Path, written: Iterable[Path], say: Callable[[str], Any], origin: str = ""
) -> list[Path]:
    """Remove the uncertainty of a result that is replaced, and tell of what else is left of it.

    It is called once the result is at its place, and before its picture is.

    Parameters
    ----------
    output : Path
        The result.
    written : iterable of Path
        All that is written anew, also of the whole run.
    say : callable
        Takes a line for each file that is removed, and one for those that may not be this
        program's: these stay.
    origin : str
        `origin_of` the result.

    Returns
    -------
    list of Path
        What stays, since it was made from the same as the result.
    """
    found, width = _note_beside(output), uncertainty_of(output)
    told = (found.get(key) for key in ("files", "beside"))
    known: dict[str, str] = next((files for files in told if isinstance(files, dict)), {})
    names = {*map(str, known), width.name, *(output.with_suffix(e).name for e in VIEWS)}
    new = {path.resolve() for path in (*written, output, picture_of(output))}
    paths = [output.parent / Path(name).name for name in sorted(names)]
    left = [path for path in paths if os.path.lexists(path) and path.resolve() not in new]
    if origin and found.get("origin") == origin:
        return [path for path in left if _is_own(path, output, known)]
    stale = []
    for path in left:
        if path == width and _is_own(path, output, known):
            remove(path)
            if not os.path.lexists(path):
                say(f"{path} belonged to the result before, and is removed")
                continue
        # A result of its own is no uncertainty of this one.
        if path.name in known or (path == width and not noted(path)) or made_here(path) == PICTURE:
            stale.append(path.name)
    if stale:
        what, them = ("is", "it") if len(stale) == 1 else ("are", "them")
        say(
            f"Warning: {', '.join(stale)} beside {output} {what} not of this result, but older; "
            f"rename or delete {them}"
        )
    return []


def is_done(output: Path, told: Mapping[str, Any], files: Iterable[Path]) -> bool:
    """Whether a result was made from what is told, and its files are as they were written."""
    found = noted(output)
    return found.get("identity") == _digest(told) and all(
        path.exists() and found["files"].get(path.name) == fingerprint(path) for path in files
    )


def require_own(output: Path, files: Iterable[Path], resume: bool, overwrite: bool) -> None:
    """Refuse to replace what is at the place of a result.

    Parameters
    ----------
    output : Path
        The result.
    files : iterable of Path
        All that is to be written: the result, its picture, a video.
    resume : bool
        Whether this program's own files may be replaced.
    overwrite : bool
        Whether all may.

    Raises
    ------
    InputError
    """
    if resume:
        known = {**noted(output).get("files", {}), **announced(spool_folder(output))}
        files = [path for path in files if not _is_own(path, output, known)]
        ways = (
            "it is not as an earlier run has written it; name another output, or add --overwrite "
            "to replace it"
        )
    else:
        ways = (
            "add --resume to make only what is missing, --overwrite to replace it, or name "
            "another output"
        )
    require_free(files, (), overwrite, ways)
    begun = spool_folder(output) / "blocks.txt"
    if not (resume or overwrite) and begun.exists() and begun.stat().st_size:
        raise InputError(
            f"{output} was begun by an earlier run; add --resume to continue it, or --overwrite "
            "to start again"
        )


def _is_own(path: Path, output: Path, known: Mapping[str, str]) -> bool:
    if not os.path.lexists(path):
        return True
    if path == picture_of(output):
        return bool(noted(output))
    try:
        return not path.is_symlink() and known.get(path.name) == fingerprint(path)
    except OSError:
        return False


def _digest(told: Mapping[str, Any]) -> str:
    text = json.dumps(told, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
