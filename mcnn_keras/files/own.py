"""Files of this package's own making: results, and the pictures beside them.

Each carries a mark, so that a later run over the same folder does not take it for a measurement:
TIFF and PNG in their tag Software, HDF5, HyperSpy and Zarr files in an attribute, MRC files in
their first label, GIFs in a comment, HTML reports in a meta element. A .npy file has no place for
one; the note in the picture beside it names it.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from .checks import TEXTS, require_ending

SOFTWARE = "mcnn-keras"
# The name of the text in a PNG that tells what it was written beside, as JSON.
NOTE = "mcnn-keras"
# The mark of a report.
REPORT = f'<meta name="generator" content="{SOFTWARE} '.encode()
# What a file can be: not ours, a result, or a picture or video to look at.
RESULT, PICTURE = "result", "picture"


def inputs_among(
    paths: Iterable[Path], say: Callable[[str], Any] = lambda text: None
) -> list[Path]:
    """The files that are to be read: no pictures of ours, and results only among themselves.

    Parameters
    ----------
    paths : iterable of Path
        What a folder or a pattern stands for.
    say : callable
        Takes a line about what is left out.
    """
    kinds = {path: made_here(path) for path in paths}
    plain = [path for path, kind in kinds.items() if not kind]
    kept = plain or [path for path, kind in kinds.items() if kind == RESULT]
    left = [path.name for path in kinds if path not in kept]
    if left:
        more = f" and {len(left) - 3} more" if len(left) > 3 else ""
        say(f"left out, as mcnn-keras wrote them: {', '.join(left[:3])}{more}")
    return kept


def made_here(path: Path) -> str:
    """Whether a file is a result of this package, or a picture to look at; "" if neither.

    Parameters
    ----------
    path : Path
        Only what tells is read, not the values.
    """
    suffix = path.suffix.lower()
    try:
        if suffix == ".png":
            return PICTURE if png_texts(path).get("Software") == SOFTWARE else ""
        if suffix == ".gif":
            return PICTURE if _gif_comment(path) == SOFTWARE else ""
        if suffix == ".html":
            return PICTURE if REPORT in _start(path) else ""
        if suffix == ".npy":
            return RESULT if result_of(path.with_suffix(".png")) == path.name else ""
        look = _LOOKS.get(suffix)
        return RESULT if look is not None and SOFTWARE in look(path) else ""
    except Exception:  # damaged, or a package is missing: told when it is read
        return ""


def result_of(picture: Path) -> str:
    """The name of the result that a picture was written beside; "" if it tells none."""
    try:
        return str(json.loads(read_note(picture) or "{}").get("result", ""))
    except (ValueError, AttributeError):
        return ""


def read_note(path: str | Path) -> str:
    """The note that `write_png` and `write_figure` have kept in a file; empty for other files."""
    try:
        return png_texts(Path(path)).get(NOTE, "")
    except OSError:
        return ""


def png_texts(path: Path) -> dict[str, str]:
    """The texts before the pixels of a PNG."""
    found: dict[str, str] = {}
    with open(path, "rb") as file:
        if file.read(8) != b"\x89PNG\r\n\x1a\n":
            return found
        while len(head := file.read(8)) == 8:
            size, kind = struct.unpack(">I4s", head)
            if kind in (b"IDAT", b"IEND"):
                break
            if kind not in (b"tEXt", b"iTXt") or size > 2**16:
                file.seek(size + 4, 1)
                continue
            key, _, text = file.read(size).partition(b"\0")
            file.seek(4, 1)
            # Behind an iTXt's key: two numbers (not compressed), language, translated key.
            text = text if kind == b"tEXt" else text[2:].split(b"\0", 2)[-1]
            found[key.decode("latin-1")] = text.decode("utf-8", "replace")
    return found


def _start(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(512)


def _gif_comment(path: Path) -> str:
    from PIL import Image

    with Image.open(path) as picture:
        return bytes(picture.info.get("comment", b"")).decode("ascii", "ignore")


def _of_tiff(path: Path) -> list[str]:
    import tifffile

    with tifffile.TiffFile(path) as file:
        return [file.pages.first.software]


def _of_hdf5(path: Path) -> list[str]:
    import h5py

    found: list[Any] = []
    require_ending(path, TEXTS)
    with h5py.File(path, "r") as file:
        for name in ("data", *(f"Experiments/{key}/metadata/General"
                               for key in file.get("Experiments", ()))):  # fmt: skip
            if name in file:
                found.append(file[name].attrs.get("software"))
    return [str(text) for text in found]


def _of_zarr(path: Path) -> list[str]:
    found = []
    for name in (".zattrs", "zarr.json", "Experiments/*/metadata/General/.zattrs"):
        for file in path.glob(name):
            told = json.loads(file.read_text())
            found.append(str(told.get("attributes", told).get("software")))
    return found


def _of_mrc(path: Path) -> list[str]:
    with open(path, "rb") as file:
        file.seek(224)
        return [file.read(80).decode("ascii", "ignore").strip("\0 ")]


_LOOKS: dict[str, Callable[[Path], list[str]]] = {
    **dict.fromkeys((".tif", ".tiff", ".btf"), _of_tiff),
    **dict.fromkeys((".h5", ".hdf5", ".hspy"), _of_hdf5),
    **dict.fromkeys((".zarr", ".zspy"), _of_zarr),
    **dict.fromkeys((".mrc", ".mrcs", ".st", ".ali", ".rec"), _of_mrc),
}
