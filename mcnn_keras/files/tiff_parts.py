"""Which pages of a TIFF file are its images, and whether all that the file announces is there."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from ..errors import InputError

# Of the pixels of the largest images in a file, the share that others need to be taken for the
# measurement if those are a view of it: 8 bits, or colours.
SIMILAR = 0.25


def photometric_of(page: Any) -> str:
    """What a page's values mean, as TIFF calls it; "" or a number where it tells nothing known."""
    import tifffile

    # tifffile takes a page that tells nothing for one where white is zero.
    told = page.photometric if "PhotometricInterpretation" in page.tags else ""
    return _name(tifffile.PHOTOMETRIC, told)


def compression_of(page: Any) -> str:
    """The compression of a page, as TIFF calls it; a number if it is not known."""
    import tifffile

    return _name(tifffile.COMPRESSION, page.compression)


def _name(kind: Any, value: Any) -> str:
    """The name of a tag's value, which tifffile leaves a number if it is unknown or a default."""
    try:
        return str(kind(value).name)
    except ValueError:
        return str(value)


def chosen(file: Any, notes: list[str]) -> list[Any]:
    """The group of series, of one shape and type, that is the measurement.

    Frames that were appended one by one are series of one group. Thumbnails, smaller copies and
    masks are left out, and so is a view for people (colours of 8 bits, or grey ones) beside images
    of about its size with more to them. A note says what was left out.

    Parameters
    ----------
    file : tifffile.TiffFile
    notes : list of str
        Takes the note.
    """
    groups: dict[Any, list[Any]] = {}
    for series in file.series:
        groups.setdefault((series.shape, series.dtype), []).append(series)
    kinds = list(groups.values())
    full = [g for g in kinds if not (g[0].keyframe.is_reduced or g[0].keyframe.is_mask)] or kinds

    def pixels(group: Sequence[Any]) -> int:
        samples = group[0].keyframe.samplesperpixel if _is_colour(group[0]) else 1
        return len(group) * group[0].size // samples

    most = max(map(pixels, full))
    large = [g for g in full if pixels(g) >= SIMILAR * most]
    ranks = [(not _is_colour(g[0]), g[0].dtype.itemsize > 1) for g in large]
    # More than 8 bits come first, then grey before colours.
    best = max(rank[::-1] for rank in ranks)
    taken = max((g for g, r in zip(large, ranks, strict=True) if r[::-1] == best), key=pixels)
    left = [
        f"{len(g)} of {'x'.join(map(str, g[0].shape))} {g[0].dtype.name}"
        for g in kinds
        if g is not taken
    ]
    if left:
        notes.append(
            f"taken: {len(taken)} of {'x'.join(map(str, taken[0].shape))} {taken[0].dtype.name}; "
            f"left out as views, thumbnails or other images: {', '.join(left)}"
        )
    return taken


def _is_colour(series: Any) -> bool:
    return photometric_of(series.keyframe) in ("RGB", "YCBCR", "PALETTE")


def require_whole(file: Any, path: Path, alike: Sequence[Any]) -> None:
    """Fail unless all that a TIFF file announces is there.

    Parameters
    ----------
    file : tifffile.TiffFile
    path : Path
    alike : list of tifffile.TiffPageSeries
        Those that are taken.

    Raises
    ------
    InputError
        With the number of frames that are announced, and of those that are there.
    """
    series = alike[0]
    page = series.keyframe
    planes = int(np.prod(page.shape[-3:] if page.samplesperpixel > 1 else page.shape))
    found = sum(s.size for s in alike) // planes
    missing = 0
    sizes: dict[Any, int] = {}
    for one in alike:
        if one.dataoffset is not None:
            there = (_size(one.parent, sizes) - one.dataoffset) // page.nbytes
            missing += max(0, one.size // planes - max(0, there))
            continue
        missing += sum(p is None or not _is_there(p, sizes) for p in one.pages)
    announced = max(found, _by_imagej(file, page), _by_shape(page, planes), _by_ome(file, alike))
    if page.parent is file and announced > found and page.is_final and page.is_contiguous:
        there = (_size(file, sizes) - page.dataoffsets[0]) // page.nbytes
        found = max(0, min(there, announced))
    if missing or announced > found:
        there = max(0, min(found, announced) - missing)
        frames = f"{announced} frame{'s' * (announced > 1)}"
        other = " with the other files of its set beside it" if file.is_ome else ""
        raise InputError(
            f"{path} announces {frames} and holds {there}; it was cut short, or is still "
            f"being written: copy it again{other}"
        )
    if not _chain_ends(file):
        raise InputError(
            f"{path} announces more frames and holds {found}; it was cut short, or is still being "
            "written: copy it again"
        )


def members(alike: Sequence[Any]) -> set[Path]:
    """The files whose frames series hold: several of an OME-TIFF in parts."""
    pages = [page for series in alike for page in series.pages if page is not None]
    return {Path(p.parent.filehandle.path).resolve() for p in pages}


def _size(parent: Any, sizes: dict[Any, int]) -> int:
    handle = parent.filehandle
    if handle.path not in sizes:
        sizes[handle.path] = Path(handle.path).stat().st_size
    return sizes[handle.path]


def _is_there(page: Any, sizes: dict[Any, int]) -> bool:
    """Whether the data of a page lie within its file."""
    ends = map(sum, zip(page.dataoffsets, page.databytecounts, strict=True))
    return max(ends, default=0) <= _size(page.parent, sizes)


def _by_imagej(file: Any, page: Any) -> int:
    """How many frames ImageJ's description announces."""
    text = file.pages[0].description
    if not text.startswith("ImageJ="):
        return 0
    said = {key: int(n) for key, n in re.findall(r"^(\w+)=(\d+)\s*$", text, re.M)}
    channels = said.get("channels", 1)
    product = said.get("frames", 1) * said.get("slices", 1)
    if channels in (1, page.samplesperpixel):  # samples of a pixel are told as channels
        images = said.get("images", 1)
        return max(product, images // channels if images == product * channels else images)
    return max(product * channels, said.get("images", 1))


def _by_shape(page: Any, planes: int) -> int:
    """How many frames tifffile's own description of a series announces."""
    if page.shaped_description is None:
        return 0
    shape = re.search(r'"shape": \[([\d, ]+)\]', page.shaped_description)
    return int(np.prod([int(n) for n in shape[1].split(",")])) // planes if shape else 0


def _by_ome(file: Any, alike: Sequence[Any]) -> int:
    """How many frames the XML of an OME-TIFF announces for the images that are taken."""
    if not file.is_ome:
        return 0
    images = ElementTree.fromstring(file.ome_metadata).findall("{*}Image")
    sizes = [
        tuple(int(pixels.get(f"Size{c}", 1)) for c in "TZCYX")
        for image in images
        if (pixels := image.find("{*}Pixels")) is not None
    ]
    samples = alike[0].keyframe.samplesperpixel
    alike_sizes = [s for s in sizes if s[3:] == alike[0].keyframe.shape[:2]] if sizes else []
    if len(sizes) == 1:
        alike_sizes = sizes
    counts = [t * z * (c // samples if c % samples == 0 else c) for t, z, c, *_ in alike_sizes]
    return max(counts, default=0) * len(alike) if len(sizes) > 1 else sum(counts)


def _chain_ends(file: Any) -> bool:
    """Whether the list of pages ends as it should, not at one that is missing."""
    layout, handle = file.tiff, file.filehandle
    if getattr(layout, "is_ndpi", False):  # has a chain of its own kind
        return True
    size, seen = Path(handle.path).stat().st_size, set()

    def number(at: int, code: str, length: int) -> int:
        handle.seek(at)
        data = handle.read(length)
        return struct.unpack(code, data)[0] if len(data) == length else size

    offset = number(8 if layout.offsetsize == 8 else 4, layout.offsetformat, layout.offsetsize)
    while offset and offset not in seen:
        seen.add(offset)
        if offset + layout.tagnosize > size:
            return False
        tags = number(offset, layout.tagnoformat, layout.tagnosize)
        after = offset + layout.tagnosize + tags * layout.tagsize
        if after + layout.offsetsize > size:
            return False
        offset = number(after, layout.offsetformat, layout.offsetsize)
    return True
