"""What is refused before a file is read: pipes, links to other files, sizes that cannot be true."""

from __future__ import annotations

import mmap
import os
import stat
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError

# No compression that such files use makes data this many times smaller; up to so many bytes,
# what a header announces does no harm.
MOST_COMPRESSED, HARMLESS = 10_000, 2**30

# How an HDF5 file begins, and a heap of texts in it. Those of measurements lie near the start of
# the file, before values of many gigabytes.
HDF5, HEAP = b"\x89HDF\r\n\x1a\n", b"GCOL\x01\0\0\0"
TEXTS = 2**24


def require_file(path: Path) -> None:
    """Refuse what is neither a file nor a folder: reading a pipe waits for ever.

    Raises
    ------
    InputError
        Of a pipe, a socket or a device.
    """
    mode = os.stat(path).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        kind = (
            "a pipe" if stat.S_ISFIFO(mode) else "a socket" if stat.S_ISSOCK(mode) else "a device"
        )
        raise InputError(f"{path} is {kind}; give the name of an image file")


def require_plausible(path: str | Path, shape: Sequence[int], itemsize: int, stored: int) -> None:
    """Refuse a size that the bytes in a file cannot hold, however they are compressed.

    Parameters
    ----------
    path : Path
    shape : sequence of int
        That the file announces.
    itemsize : int
        Of a value, in bytes.
    stored : int
        Bytes that hold the values in the file.

    Raises
    ------
    InputError
        If it is more than 1 GiB and more than 10,000 times what is stored.
    """
    announced = itemsize
    for n in shape:
        announced *= int(n)
    if announced > HARMLESS and announced > MOST_COMPRESSED * stored:
        raise InputError(
            f"{path} announces {' x '.join(map(str, shape))} values and stores {stored} bytes; it "
            "is damaged, or was never filled"
        )


def require_whole(path: str | Path, shape: Sequence[int], itemsize: int, offset: int = 0) -> None:
    """Refuse a file without compression that is shorter than its header announces.

    Parameters
    ----------
    path : Path
    shape : sequence of int
        (..., height, width).
    itemsize : int
        Of a value, in bytes.
    offset : int
        Where the values begin.

    Raises
    ------
    InputError
        With the numbers of frames, announced and there.
    """
    frame, frames = itemsize, 1
    for n in shape[-2:]:
        frame *= int(n)
    for n in shape[:-2]:
        frames *= int(n)
    there = max(os.path.getsize(path) - offset, 0)
    if there < frames * frame:
        raise InputError(
            f"{path} announces {frames} image{'s' * (frames != 1)} and holds {there // frame}; it "
            "is cut off, or still being written"
        )


def require_own_hdf5(array: Any, path: str | Path) -> None:
    """Refuse a dataset of an HDF5 file whose values lie in other files.

    Parameters
    ----------
    array : h5py.Dataset
    path : Path
        The file that was opened.

    Raises
    ------
    InputError
    """
    others = []
    if os.path.realpath(array.file.filename) != os.path.realpath(
        path
    ):  # an external link, maybe behind others
        others = [array.file.filename]
    elif array.external:
        others = [name for name, *_ in array.external]
    elif array.is_virtual:
        others = [s.file_name for s in array.virtual_sources() if not _same(s.file_name, path)]
    if others:
        raise InputError(
            f"{path} takes values of {array.name} from another file, {others[0]}, which is not "
            "opened; give that file itself, or a copy that holds its own values"
        )
    require_plausible(path, array.shape, array.dtype.itemsize, array.id.get_storage_size()
                      or (os.path.getsize(path) if array.is_virtual else 0))  # fmt: skip


def require_own_links(path: Path) -> None:
    """Refuse an HDF5 file, by whatever ending, any part of which lies in other files.

    Parameters
    ----------
    path : Path
        Files of other formats pass.

    Raises
    ------
    InputError
    """
    import h5py

    if not h5py.is_hdf5(path):
        return
    with h5py.File(path, "r") as file:
        groups = [file["/"]]
        seen = set()
        while groups:
            group = groups.pop()
            for key in group:
                link = group.get(key, getlink=True)
                if isinstance(link, h5py.ExternalLink):
                    raise InputError(
                        f"{path} links {key} to another file, {link.filename}, which is not "
                        "opened; give that file itself"
                    )
                if not isinstance(link, h5py.HardLink):  # it leads to what is visited anyway
                    continue
                item = group[key]
                place = h5py.h5o.get_info(item.id).addr
                if place in seen:
                    continue
                seen.add(place)
                if isinstance(item, h5py.Group):
                    groups.append(item)
                elif isinstance(item, h5py.Dataset) and item.ndim > 1:
                    require_own_hdf5(item, path)


def stored_in(folder: Path) -> int:
    """The bytes in a folder's files; refuses links out of it, pipes and devices.

    Raises
    ------
    InputError
    """
    total, root = 0, folder.resolve()
    pending = [folder]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_symlink() and root not in Path(entry.path).resolve().parents:
                    raise InputError(
                        f"{folder} links {entry.name} to {os.readlink(entry.path)}, outside of it, "
                        "which is not opened; give a copy that holds its own values"
                    )
                if entry.is_dir(follow_symlinks=False):
                    pending.append(Path(entry.path))
                elif not entry.is_symlink():
                    if not entry.is_file():
                        raise InputError(f"{folder} holds {entry.name}, which is no file")
                    total += entry.stat().st_size
    return total


def _same(name: Any, path: str | Path) -> bool:
    beside = Path(path).parent / str(name)
    return str(name) == "." or os.path.realpath(beside) == os.path.realpath(path)


def require_ending(path: Path, most: int | None = None) -> None:
    """Refuse a file in which HDF5 would search for a text without end.

    Its texts lie in heaps: objects one after another, each of which tells its size. Where damage
    makes one of them empty, the library stays at it for ever.

    Parameters
    ----------
    path : Path
        Files of other formats pass.
    most : int, optional
        Bytes at the start of the file that are looked through; by default all.

    Raises
    ------
    ValueError
        If an object is empty, or larger than its heap.
    OSError
        If the file cannot be read.
    """
    if not path.stat().st_size:
        raise ValueError("it is empty")
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content[: len(HDF5)] != HDF5:
            return
        last = len(content) if most is None else min(most, len(content))
        start = content.find(HEAP, 0, last)
        while start >= 0:
            place, end = start + 16, len(content)
            if place <= end:
                end = min(end, start + struct.unpack("<Q", content[start + 8 : place])[0])
            while place + 16 <= end:
                number, size = struct.unpack("<H6xQ", content[place : place + 16])
                taken = 16 + -(-size // 8) * 8 if number else size
                if not 0 < taken <= end - place:
                    raise ValueError("a text in it is damaged")
                place += taken
            start = content.find(HEAP, start + 8, last)
