"""TIFF files, read page by page, with pixel sizes as ImageJ, OME and microscopes store them."""

from __future__ import annotations

import errno
import logging
import os
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from ..errors import InputError, reason
from .recording import Axis, RawFrames, Recording, length, recording_of
from .tiff_calibration import axes_of, escaped, ome_image
from .tiff_parts import chosen, compression_of, members, photometric_of, require_whole
from .units import LENGTHS
from .whole import replacing

# What is wrong with a file is told by errors; without a handler its log would go to the terminal.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

SUFFIXES = (".tif", ".tiff", ".btf")
# Data types of ImageJ's TIFF dialect. Others are written as OME-TIFF.
IMAGEJ_TYPES = ("uint8", "uint16", "float32")
# Compressions whose codecs leave YCbCr as it is.
UNCONVERTED = ("NONE", "LZW", "DEFLATE", "ADOBE_DEFLATE", "PACKBITS", "ZSTD", "LZMA")
# Bytes that ImageJ's dialect can hold. Larger files are written as BigTIFF.
IMAGEJ_MOST = 2**32 - 2**20
TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")


def read(path: Path) -> Recording:
    """A recording of the pages of a TIFF file.

    Values and types are those that are stored: of a palette the indices, of images where white is
    zero (MinIsWhite) the numbers as they are.

    Parameters
    ----------
    path : Path

    Returns
    -------
    Recording

    Raises
    ------
    InputError
        If fewer frames are there than the file announces, or its values are no intensities.
    """
    import tifffile

    file = tifffile.TiffFile(path)
    notes: list[str] = []
    try:
        _require_master(file, path)
        alike = chosen(file, notes)
        if alike[0].keyframe.dtype is None:
            raise InputError(f"{path} holds values of a type that is not known; save it as float32")
        require_whole(file, path, alike)
        series, page = alike[0], alike[0].keyframe
        colour = _has_colours(page, path, notes)
        shape, letters, moved = series.shape, series.axes, None
        if "S" in letters and (place := letters.index("S")) != (
            wanted := _samples(letters, colour)
        ):
            # Colours come last; other samples become an outer axis.
            moved = place, wanted
            shape, letters = (_moved(x, place, wanted) for x in (tuple(shape), letters))
            letters = "".join(letters)
        inner = 2 + colour
        outer = shape[:-inner] if len(alike) == 1 else (len(alike), *shape[:-inner])
        whole = (int(np.prod(outer)), *shape[-inner:])
        data = _pages(file, alike, whole, moved)
        letters = ("I" if len(alike) > 1 else "") + letters[: len(shape) - inner]
        number = [s is series for s in file.series].index(True)
        axes = axes_of(file, page, letters, (*outer, *shape[-inner:][:2]), notes, number)
        _require_codec(data, path)
        recording = recording_of(data, path, None, _title(file, number), colour, file.close)
        recording.axes, recording.notes = axes, tuple(notes)
        recording.files = members(alike) if file.is_ome else set()
        return recording
    except BaseException:
        file.close()
        raise


def _require_master(file: Any, path: Path) -> None:
    """Refuse a part of an OME-TIFF that leaves its description to another file."""
    if file.is_ome:
        found = ElementTree.fromstring(file.ome_metadata).find("{*}BinaryOnly")
        if found is not None:
            raise InputError(
                f"{path} is a part of a set that {found.get('MetadataFile')} describes; give that "
                "file"
            )


def _has_colours(page: Any, path: Path, notes: list[str]) -> bool:
    """Whether the samples of a page are red, green and blue; notes on what values mean."""
    kind, samples = photometric_of(page), page.samplesperpixel
    # Codecs of pictures give red, green and blue for YCbCr.
    compression = compression_of(page)
    converted = kind == "YCBCR" and compression not in UNCONVERTED
    if kind in ("SEPARATED", "CIELAB", "ICCLAB", "ITULAB") or (kind == "YCBCR" and not converted):
        raise InputError(
            f"{path} holds {kind} colours, which are no intensities; save it as grey or as RGB"
        )
    if kind == "PALETTE" and not _is_ramp(page):
        raise InputError(
            f"{path} holds numbers of colours in a palette, which are no intensities; save it as "
            "grey or as RGB"
        )
    if compression in ("JPEG2000", "APERIO_JP2000_RGB") and page.dtype.itemsize > 2:
        raise InputError(
            f"{path} holds JPEG 2000 pixels of {page.dtype.name}, of which decoders lose digits; "
            "save it uncompressed or with LZW"
        )
    if compression.isdecimal():
        raise InputError(
            f"{path} is compressed in a way that is not known (number {compression}); save it "
            "uncompressed or with LZW"
        )
    if kind == "MINISWHITE":
        notes.append("white is zero in this file (MinIsWhite); values are taken as stored")
    return (kind == "RGB" or converted) and samples in (3, 4)


def _is_ramp(page: Any) -> bool:
    """Whether a palette only draws intensities: ImageJ's, and those that get brighter."""
    if page.colormap is None or page.parent.is_imagej:
        return True
    light = page.colormap.astype(np.float64).sum(axis=0)
    return bool((np.diff(light) >= 0).all() or (np.diff(light) <= 0).all())


def _samples(letters: str, colour: bool) -> int:
    """Where the axis of samples belongs among the letters of a series."""
    return len(letters) - (1 if colour else 3)


def _moved(values: Sequence[Any], place: int, wanted: int) -> tuple[Any, ...]:
    rest = [*values[:place], *values[place + 1 :]]
    return (*rest[:wanted], values[place], *rest[wanted:])


def _require_codec(data: Any, path: Path) -> None:
    """Fail if the package that decodes the pages is missing; no other one reads them for it."""
    try:
        data[0:1]
    except Exception as error:  # of any type, by codec
        if "imagecodecs" not in str(error) and getattr(error, "name", "") != "imagecodecs":
            raise
        raise InputError(
            f"{path} is compressed in a way that needs the package imagecodecs ({reason(error)}); "
            "pip install -U imagecodecs"
        ) from None


class _Pages:
    """The pages of series of one shape, decoded on demand."""

    def __init__(self, series: Any, shape: Sequence[int]) -> None:
        self.series, self.shape, self.dtype = series, shape, series[0].dtype

    def __getitem__(self, frames: Any) -> np.ndarray:
        found = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the other files of a set, opened for each page
            for number in range(self.shape[0])[frames]:
                which, page = divmod(number, self.shape[0] // len(self.series))
                found.append(self.series[which].asarray(key=page).reshape(self.shape[1:]))
        return np.stack(found)


def _pages(
    file: Any, alike: Sequence[Any], shape: Sequence[int], moved: tuple[int, int] | None
) -> Any:
    series = alike[0]
    if moved:
        return np.concatenate([np.moveaxis(s.asarray(), *moved).reshape(-1, *shape[1:])
                               for s in alike])  # fmt: skip
    if len(alike) == 1 and series.dataoffset is not None:
        dtype = series.dtype.newbyteorder(file.byteorder)
        return RawFrames(Path(file.filehandle.path), dtype, shape, series.dataoffset)
    frames = shape[0] // len(alike)
    if all(len(s.pages) == frames for s in alike):
        return _Pages(alike, shape)
    # Some pages hold several planes (separate colours, tiled volumes).
    return np.concatenate([s.asarray().reshape(-1, *shape[1:]) for s in alike])


def _title(file: Any, number: int) -> str:
    if file.is_ome:
        image = ome_image(file, number)
        return "" if image is None else image.get("Name", "")
    if file.is_imagej:
        found = re.search(r"^Title: (.*)$", (file.imagej_metadata or {}).get("Info", ""), re.M)
        return found.group(1) if found else ""
    return ""


def write(
    path: Path,
    frames: Any,
    shape: Sequence[int],
    dtype: Any,
    axes: Sequence[Axis],
    title: str = "",
    labels: Sequence[str] | None = None,
    software: str = "",
) -> None:
    """Write frames as a TIFF file, with the pixel size in the form of ImageJ or OME.

    Parameters
    ----------
    path : Path
        The file, replaced if it exists. A name that ends in .ome.tif makes an OME-TIFF.
    frames : iterable of (height, width) array
    shape : tuple of int
        (frames, height, width).
    dtype : str
        One of `TYPES`.
    axes : sequence of Axis
    title : str
    labels : list of str, optional
        A name for each frame.
    software : str
        What wrote the file.
    """
    import tifffile

    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    letters, full = _letters(axes[:-2], shape)
    outer = axes[:-2] if len(letters) == len(axes) - 2 else ()
    units, scales = _common_unit(axes[-2:])
    ome = (
        str(path).lower().endswith((".ome.tif", ".ome.tiff"))
        or np.dtype(dtype).name not in IMAGEJ_TYPES
        or size > IMAGEJ_MOST
        or letters != "".join(sorted(letters, key="TZC".index))  # ImageJ's only order
    )
    if ome:
        metadata: dict[str, Any] = _ome_metadata([*outer, *axes[-2:]], letters, title)
        options: dict[str, Any] = {"ome": True, "bigtiff": size > IMAGEJ_MOST}
    else:
        metadata = {"axes": letters + "YX"}
        options = {"imagej": True}
        if scales is not None:
            metadata["unit"] = escaped(units)
            options["resolution"] = (1 / scales[1], 1 / scales[0])
            for key, a in zip(("yorigin", "xorigin"), axes[-2:], strict=True):
                if a.offset and a.scale:
                    metadata[key] = -a.offset / a.scale
        for letter, a in zip(letters, outer, strict=False):
            if letter == "Z" and _in_units(a, units):
                metadata["spacing"] = _in_units(a, units)
            if letter == "T" and a.scale and a.units not in LENGTHS:
                metadata.update(finterval=a.scale, tunit=escaped(a.units))
        if title:
            metadata["Info"] = f"Title: {escaped(title)}\n"
        if labels is not None:
            metadata["Labels"] = labels
    frames = (np.asarray(frame, dtype) for frame in frames)
    with replacing(path) as part:
        try:
            tifffile.imwrite(part, frames, shape=full, dtype=dtype, photometric="minisblack",
                             software=software or None, metadata=metadata, **options)  # fmt: skip
        except OSError as error:
            if error.errno is None:  # NumPy's, of how many numbers were written
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from None
            raise


def _letters(outer: Sequence[Axis], shape: Sequence[int]) -> tuple[str, tuple[int, ...]]:
    """The letters of TIFF dialects for the outer axes, and the shape in the file."""
    if len(outer) > 3 or (not outer and shape[0] > 1):
        return "T", tuple(shape)
    known = {"z": "Z", "channel": "C", "output": "C", "time": "T"}
    letters, taken = [], {known.get(a.name) for a in outer}
    free = [c for c in "TZC" if c not in taken]
    for a in outer:
        letter = known.get(a.name)
        letters.append(letter if letter and letter not in letters else free.pop(0))
    return "".join(letters), (*(a.size for a in outer), *shape[1:])


def _common_unit(axes: Sequence[Axis]) -> tuple[str, list[float] | None]:
    """A unit for height and width in which TIFF can store both scales, and these scales."""
    units = axes[-1].units
    scales = [s for a in axes if (s := _in_units(a, units)) is not None]
    if len(scales) < len(axes):
        return units, None
    if units in LENGTHS and not 1e-5 < scales[-1] < 1e5:
        in_metres = scales[-1] * LENGTHS[units]
        best = min(LENGTHS, key=lambda u: abs(np.log10(in_metres / LENGTHS[u])))
        return best, [s * LENGTHS[units] / LENGTHS[best] for s in scales]
    return units, scales


def _in_units(a: Axis, units: str) -> float | None:
    if a.scale is None or a.units == units:
        return a.scale
    return length(a, units) if units in LENGTHS else None


def _ome_metadata(axes: Sequence[Axis], letters: str, title: str) -> dict[str, Any]:
    spelled = {"um": "µm", "A": "Å"}
    metadata: dict[str, Any] = {"axes": letters + "YX"}
    if title:
        metadata["Name"] = title
    pairs = [*zip("YX", axes[-2:], strict=True), *zip(letters, axes[:-2], strict=False)]
    for letter, a in pairs:
        if a.scale is None:
            continue
        if letter == "T" and a.units not in LENGTHS:
            metadata.update(TimeIncrement=a.scale, TimeIncrementUnit=a.units or "s")
        elif letter in "XYZ" and length(a, "m"):
            metadata[f"PhysicalSize{letter}"] = a.scale
            metadata[f"PhysicalSize{letter}Unit"] = spelled.get(a.units, a.units)
    return metadata
