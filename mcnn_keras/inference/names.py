"""Names of inputs: files, folders and patterns, without what this package wrote itself."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from glob import escape, glob
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import open_recording, split_name
from ..files.formats import FOLDERS, is_image_file
from ..files.own import inputs_among, made_here


def expanded(name: str | Path, say: Callable[[str], Any] = lambda text: None) -> list[str]:
    """The files that a folder, a pattern or a name stands for, numbers in names by their value.

    What is there by the very name is taken before a pattern is. Of a folder or a pattern, results
    and pictures of earlier runs are left out: results only where there is anything else.

    Parameters
    ----------
    name : str or Path
    say : callable
        Takes a line about what is left out.
    """
    path = Path(name)
    if path.is_dir() and path.suffix.lower() not in FOLDERS:
        found = sorted((p for p in path.iterdir() if is_image_file(p)), key=natural)
        kept = [str(p) for p in without_parts(inputs_among(found, say), say)]
        if not kept:
            raise InputError(
                f"the folder {path} holds no image file; these are read: .tif, .png, .jpg, .npy, "
                ".h5, .zarr, .mrc, and with the extra [em] .dm3, .dm4, .emd, .ser, .hspy and others"
            )
        return kept
    file, image = split_name(name)
    if os.path.exists(file) or not any(c in file for c in "*?["):
        return [str(name)]
    found = inputs_among([Path(p) for p in sorted(glob(_pattern(file)), key=natural)], say)
    kept = [str(p) + f":{image}" * bool(image) for p in without_parts(found, say)]
    if not kept:
        raise InputError(f"no file matches {name}")
    return kept


def natural(name: str | Path) -> tuple[list[tuple[str, int]], str]:
    """A key for sorting: numbers in names by their value, so that f_7 comes before f_10."""
    parts = re.findall("[0-9]+|[^0-9]", str(name))
    return [("0", int(p)) if p[0] in "0123456789" else (p, 0) for p in parts], str(name)


def tell_of_order(names: Sequence[str], say: Callable[[str], Any]) -> None:
    """Tell in which order files are taken, where characters and numbers give different ones."""
    names = list(names)
    by_characters, by_numbers = sorted(names), sorted(names, key=natural)
    if by_characters == by_numbers:
        return
    later, earlier = next(
        (Path(c).name, Path(n).name)
        for c, n in zip(by_characters, by_numbers, strict=True)
        if c != n
    )
    if names == by_numbers:
        say(f"the files are taken by the numbers in their names, {earlier} before {later}")
    elif names == by_characters:
        say(
            f"Warning: the files are taken in the order given, {later} before {earlier}, as a "
            "shell sorts names; for the order of their numbers, put the pattern into quotes"
        )


def without_parts(
    paths: Sequence[Path],
    say: Callable[[str], Any] = lambda text: None,
    taken: Callable[[Path], Any] = lambda path: False,
) -> list[Path]:
    """The files, each image once: of TIA's .emi and the .ser files that it describes.

    The .emi tells the microscope's mode, and is taken if it reads as one recording.

    Parameters
    ----------
    paths : sequence of Path
    say : callable
        Takes a line about what is left out.
    taken : callable
        Whether the images of a .ser file are taken already; its .emi then is left out.
    """
    left: set[Path] = set()
    for emi in (p for p in paths if p.suffix.lower() == ".emi"):
        name = re.compile(re.escape(emi.stem) + r"_[0-9]\.ser", re.IGNORECASE)
        parts = [p for p in paths if p.parent == emi.parent and name.fullmatch(p.name)]
        if parts:
            stats = [p.stat() for p in (emi, *parts)]
            opens = _opens(emi, tuple((s.st_size, s.st_mtime_ns) for s in stats))
            whole = opens and not any(taken(part) for part in parts)
            out, instead = (parts, [emi]) if whole else ([emi], parts)
            left.update(out)
            names = (", ".join(p.name for p in some) for some in (out, instead))
            say("left out: {}; the images are taken from {}".format(*names))
    return [p for p in paths if p not in left]


@lru_cache
def _opens(path: Path, stamps: tuple[tuple[int, int], ...]) -> bool:
    """Whether a file reads as one recording, as long as it and its parts are as they are."""
    try:
        with open_recording(path, force=True):
            return True
    except InputError:
        return False


def _pattern(name: str) -> str:
    """A pattern for glob, with the parts of it that are there by their own name taken as such."""
    path = Path(name)
    done, pattern = Path(path.anchor), Path(path.anchor)
    for part in path.parts[len(path.anchor) > 0 :]:
        done = done / part
        pattern = pattern / (escape(part) if os.path.exists(done) else part)
    return str(pattern)


def tell_of_own(inputs: Sequence[str], say: Callable[[str], Any]) -> None:
    """Warn of results of earlier runs among other files, as a shell's pattern names them."""
    files = [Path(split_name(name)[0]) for name in inputs]
    kinds = {f.name: made_here(f) for f in files if len(files) > 1 and is_image_file(f)}
    own = [name for name, kind in kinds.items() if kind]
    if own and len(own) < len(kinds):
        say(
            f"Warning: mcnn-keras itself wrote {', '.join(own[:3])}"
            f"{f' and {len(own) - 3} more' * (len(own) > 3)}, given beside other files; take out "
            "what is no measurement"
        )
