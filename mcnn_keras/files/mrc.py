"""MRC files: headers by mrcfile (extra `em`), frames read where they lie.

MRC2014 and its relatives: .mrc and .mrcs, IMOD's .st, .ali and .rec, maps (.map), in either byte
order, with any extended header. Pixel sizes are in Angstrom.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from .checks import require_whole
from .recording import Axis, RawFrames, Recording, axis, length, recording_of
from .whole import replacing

# Endings of MRC files; .map files of others are told apart by `is_mrc`.
SUFFIXES = (".mrc", ".mrcs", ".st", ".ali", ".rec", ".map")
WRITTEN = SUFFIXES[:-1]
TYPES = ("int8", "int16", "uint16", "float16", "float32")
# By mode, the type of the values, and those that are no plain real numbers.
MODES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
REFUSED = {3: "complex integers", 4: "complex numbers", 16: "colours", 101: "numbers of 4 bits"}
# The first label of files that `write` makes begins with it; the second is their title.
MARK = "mcnn-keras"
# IMOD's mark in a header, behind which the first bit tells whether bytes are signed.
IMOD, IMOD_PLACE = 1146047817, 152
# Bytes of the extended header of older FEI files, which names no kind, and where in it the pixel
# size lies, in metres.
FEI_BYTES, FEI_PIXEL = 131072, 44


def is_mrc(path: Path) -> bool:
    """Whether a file has the mark of MRC files, which the oldest of them lack."""
    with open(path, "rb") as file:
        file.seek(208)
        return file.read(3) == b"MAP"


def described_beside(path: Path) -> bool:
    """Whether a text file of Direct Electron beside a movie describes it: its axes, a scan, say."""
    stamp = re.match(r"\d{8}_\d+_", path.name)
    return bool(stamp and "movie" in path.name and [*path.parent.glob(f"{stamp[0]}*info.txt")])


def read(path: Path) -> Recording:
    """A recording of an MRC file.

    Raises
    ------
    InputError
        If it holds no real numbers, or fewer frames than it announces.
    """
    header = _header(path)
    dtype = _dtype(path, header)
    if min(int(header.nx), int(header.ny), int(header.nz)) < 1 or int(header.nsymbt) < 0:
        raise InputError(
            f"{path} announces {header.nx} x {header.ny} x {header.nz} values; it is damaged, or "
            "no MRC file"
        )
    shape: tuple[int, ...] = (int(header.nz), int(header.ny), int(header.nx))
    offset = 1024 + int(header.nsymbt)
    require_whole(path, shape, dtype.itemsize, offset)
    height, width, between = _scales(header, path)
    origin = [float(header.origin[c]) / 10 for c in "yx"]
    field = [
        axis(name, size, scale, start, "nm")
        for name, size, scale, start in zip(
            ("height", "width"), shape[1:], (height, width), origin, strict=True
        )
    ]
    frames = RawFrames(path, dtype, shape, offset)
    is_volume = int(header.ispg) != 0
    outer = _outer(header, is_volume)
    flat = recording_of(np.broadcast_to(np.zeros((), dtype), shape), path)
    notes: tuple[str, ...] = ()
    if is_volume and between and len(outer) == 1:
        notes = (
            f"the slices' distance of {between:g} nm is not kept: many programs write any number "
            "there",
        )
    return Recording(frames, (*outer, *field), _title(header), flat.path, notes=notes)


def _header(path: Path) -> Any:
    """The header's fields, in the byte order that makes sense of them.

    mrcfile itself would take as much memory as a damaged header announces of an extended one.
    """
    from mrcfile.dtypes import HEADER_DTYPE

    with open(path, "rb") as file:
        head = file.read(HEADER_DTYPE.itemsize)
    if len(head) < HEADER_DTYPE.itemsize:
        raise InputError(f"{path} holds {len(head)} bytes, and an MRC file at least 1024")
    # The stamp of big-endian files; it is wrong in some, so that the mode is asked, too.
    orders = "><" if head[212] == 0x11 else "<>"
    found = [np.frombuffer(head, HEADER_DTYPE.newbyteorder(o)).view(np.recarray)[0] for o in orders]
    return next((h for h in found if int(h.mode) in MODES), found[0])


def _title(header: Any) -> str:
    """The title that `write` stored; labels of other programs are no titles."""
    labels = [bytes(label).decode("ascii", "ignore").strip("\0 ") for label in header.label[:2]]
    return labels[1] if int(header.nlabl) == 2 and labels[0].startswith(MARK) else ""


def _outer(header: Any, is_volume: bool) -> tuple[Axis, ...]:
    """Frames of a stack, slices of a volume, or volumes and slices."""
    count, each = int(header.nz), int(header.mz)
    if 401 <= int(header.ispg) <= 630 and each > 0 and count % each == 0:
        return (Axis("volume", count // each), Axis("z", each))
    return (Axis("z" if is_volume else "frame", count),) if count > 1 else ()


def _dtype(path: Path, header: Any) -> np.dtype:
    """The type of the values, in the byte order of the header."""
    mode = int(header.mode)
    if mode in REFUSED:
        raise InputError(
            f"{path} holds {REFUSED[mode]} (MRC mode {mode}); real numbers of 8, 16 or 32 bits "
            "are read"
        )
    if mode not in MODES:
        raise InputError(f"{path} has the mode {mode}, and is damaged or no MRC file")
    stamp, flags = np.frombuffer(header.tobytes(), _order(header) + "i4", 2, IMOD_PLACE)
    if mode == 0 and stamp == IMOD and not flags & 1:
        return np.dtype("u1")
    return np.dtype(_order(header) + MODES[mode])


def _order(header: Any) -> str:
    """The byte order of a header."""
    order = header.dtype["mode"].byteorder
    return order if order in "<>" else "<" if sys.byteorder == "little" else ">"


def _scales(header: Any, path: Path) -> tuple[Any, Any, Any]:
    """Sizes of a pixel and distance of slices in nm; 0 or None where they are not known."""
    own = _instruments(header, path)
    if own:
        return own, own, None
    cell = {"xyz"[i]: _ratio(header.cella["xyz"[i]], header[m]) / 10
            for i, m in enumerate(("mx", "my", "mz"))}  # fmt: skip
    order = [int(header[m]) for m in ("mapc", "mapr", "maps")]
    order = order if sorted(order) == [1, 2, 3] else [1, 2, 3]
    width, height, between = (cell["xyz"[i - 1]] for i in order)
    return height, width, between


def _ratio(whole: Any, count: Any) -> float:
    ratio = float(whole) / int(count) if int(count) > 0 else 0.0
    return ratio if np.isfinite(ratio) and ratio > 0 else 0.0


def _instruments(header: Any, path: Path) -> float:
    """The pixel size in nm that FEI's microscopes write behind the header; 0 where none is."""
    from mrcfile.dtypes import get_ext_header_dtype

    kind, order, size = bytes(header.exttyp), _order(header), int(header.nsymbt)
    found = 0.0
    if kind in (b"FEI1", b"FEI2"):
        fields = get_ext_header_dtype(kind, order)
        if size >= fields.itemsize:
            found = float(np.fromfile(path, fields, 1, offset=1024)["Pixel size X"][0])
    elif size == FEI_BYTES and not kind.strip(b"\0 "):
        found = float(np.fromfile(path, order + "f4", 1, offset=1024 + FEI_PIXEL)[0])
    return found * 1e9 if np.isfinite(found) and 0 < found < 1e-3 else 0.0


def write(
    path: Path,
    frames: Any,
    shape: Sequence[int],
    dtype: Any,
    axes: Sequence[Axis],
    title: str = "",
    software: str = "",
) -> None:
    """Write frames as an MRC file. Its header stores the pixel size and origin in Angstrom."""
    import mrcfile

    with replacing(path) as part:
        with warnings.catch_warnings(), mrcfile.new(part) as file:
            warnings.simplefilter("ignore")
            file.set_data(np.zeros((1, *shape[1:]), dtype))
            file.set_image_stack()
            file.header.nz = shape[0]
            file.reset_header_stats()
            y, x = (length(a, "A") or 0.0 for a in axes[-2:])
            file.voxel_size = (x, y, 0.0)
            for name, size, a in zip("yx", (y, x), axes[-2:], strict=True):
                file.header.origin[name] = a.offset * size / abs(a.scale or 1.0)
            file.header.label[:] = b""
            file.header.nlabl = 0
            file.add_label(software or f"{MARK} data")
            if title:
                known = "".join(c if c.isascii() and c.isprintable() else "?" for c in title)
                file.add_label(known[:79])
            header = file.header.tobytes()
        # Not mapped into memory: where a disk is full, the system would end the process.
        with open(part, "wb") as raw:
            raw.write(header)
            for frame in frames:
                raw.write(np.ascontiguousarray(frame, dtype).data)
