"""TIFF files, read page by page, with pixel sizes as ImageJ, OME and microscopes store them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from .recording import LENGTHS, Axis, RawFrames, Recording, axis, length, recording_of
from .whole import replacing

SUFFIXES = (".tif", ".tiff", ".btf")
# Data types of ImageJ's TIFF dialect. Others are written as OME-TIFF.
IMAGEJ_TYPES = ("uint8", "uint16", "float32")
# Tags with this number or a larger one are private to a program.
PRIVATE = 33000
# Bytes that ImageJ's dialect can hold. Larger files are written as BigTIFF.
IMAGEJ_MOST = 2**32 - 2**20
TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")


def read(path: Path) -> Recording:
    """A recording of the pages of a TIFF file.

    Parameters
    ----------
    path : Path

    Returns
    -------
    Recording
    """
    import tifffile

    file = tifffile.TiffFile(path)
    try:
        alike = _largest(file.series)
        series, letters = alike[0], alike[0].axes
        colour = file.pages[0].photometric == tifffile.PHOTOMETRIC.RGB and (
            series.shape[-1] in (3, 4)
        )
        inner = 2 + colour
        shape = series.shape
        if letters.endswith("S") and not colour:  # other samples become an outer axis
            shape, letters = (*shape[:-3], shape[-1], *shape[-3:-1]), letters[:-3] + "SYX"
        outer = shape[:-inner] if len(alike) == 1 else (len(alike), *shape[:-inner])
        whole = (int(np.prod(outer)), *shape[-inner:])
        data = _pages(file, alike, whole, moved=letters != series.axes)
        letters = ("I" if len(alike) > 1 else "") + letters[: len(shape) - inner]
        axes = _axes(file, path, letters, (*outer, *shape[-inner:][:2]))
        recording = recording_of(data, path, None, _title(file), colour, file.close)
        recording.axes = tuple(axes)
        recording.data = _decoded(recording.data, path)
        return recording
    except BaseException:
        file.close()
        raise


def _largest(series: Any) -> list[Any]:
    """The group of series of one shape and type that holds the most data.

    Frames that were appended one by one are series of one group; thumbnails are another group.
    """
    kinds: dict[Any, list[Any]] = {}
    for s in series:
        kinds.setdefault((s.shape, s.dtype), []).append(s)
    return max(kinds.values(), key=lambda alike: len(alike) * alike[0].size)


def _decoded(data: Any, path: Path) -> Any:
    """The data if tifffile decodes the first page, otherwise all pages as Pillow decodes them."""
    try:
        data[0:1]
        return data
    except ValueError as error:
        # Pillow decodes some compressions for which tifffile needs the package imagecodecs.
        if "imagecodecs" not in str(error):
            raise
    import imageio.v3 as iio

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about unusual tags; the pixels are unaffected
        pages = np.stack(list(iio.imiter(path, plugin="pillow")))
    return pages.reshape(data.shape)


class _Pages:
    """The pages of series of one shape, decoded on demand."""

    def __init__(self, series: Any, shape: Sequence[int]) -> None:
        self.series, self.shape, self.dtype = series, shape, series[0].dtype

    def __getitem__(self, frames: Any) -> np.ndarray:
        found = []
        for number in range(self.shape[0])[frames]:
            which, page = divmod(number, self.shape[0] // len(self.series))
            found.append(self.series[which].asarray(key=page).reshape(self.shape[1:]))
        return np.stack(found)


def _pages(file: Any, alike: Sequence[Any], shape: Sequence[int], moved: bool) -> Any:
    series = alike[0]
    if moved:
        return np.concatenate(
            [np.moveaxis(s.asarray(), -1, -3).reshape(-1, *shape[1:]) for s in alike]
        )
    if len(alike) == 1 and series.dataoffset is not None:
        dtype = series.dtype.newbyteorder(file.byteorder)
        return RawFrames(Path(file.filehandle.path), dtype, shape, series.dataoffset)
    frames = shape[0] // len(alike)
    if all(len(s.pages) == frames for s in alike):
        return _Pages(alike, shape)
    # Some pages hold several planes (separate colours, tiled volumes).
    return np.concatenate([s.asarray().reshape(-1, *shape[1:]) for s in alike])


def _axes(file: Any, path: Path, letters: str, shape: Sequence[int]) -> tuple[Axis, ...]:
    names = {"T": "time", "Z": "z", "C": "channel", "I": "frame", "Q": "frame", "S": "sample"}
    outer = [Axis(names.get(c, c.lower()), n) for c, n in zip(letters, shape, strict=False)]
    inner = [("height", shape[-2]), ("width", shape[-1])]
    found = _imagej(file) or _ome(file) or _vendor(file, path)
    between = found.get("between", {}) if found else {}
    outer = [axis(a.name, a.size, *between[a.name]) if a.name in between else a for a in outer]
    scales = found["inner"] if found else ((None, 0.0, ""), (None, 0.0, ""))
    return (*outer, *(axis(*n, *s) for n, s in zip(inner, scales, strict=True)))


def _imagej(file: Any) -> dict[str, Any] | None:
    if not file.is_imagej:
        return None
    found = file.imagej_metadata or {}
    tags, unit = file.pages[0].tags, _unescaped(found.get("unit", ""))
    inner = []
    for name, origin in (("YResolution", "yorigin"), ("XResolution", "xorigin")):
        numerator, denominator = tags[name].value if name in tags else (0, 1)
        scale = denominator / numerator if numerator and unit else None
        # ImageJ's origin is the pixel at which the coordinate is zero.
        offset = -float(found.get(origin, 0.0)) * (scale or 0.0)
        inner.append((scale, offset, unit))
    between = {}
    if found.get("finterval"):
        between["time"] = (found["finterval"], 0.0, _unescaped(found.get("tunit", "s")))
    if found.get("spacing"):
        between["z"] = (found["spacing"], 0.0, unit)
    return {"inner": inner, "between": between}


def _escaped(text: str) -> str:
    """Text in ASCII, as ImageJ writes it."""
    return "".join(c if c.isascii() else f"\\u{ord(c):04x}" for c in text)


def _unescaped(unit: Any) -> str:
    return re.sub(r"\\u([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)), str(unit))


def _ome(file: Any) -> dict[str, Any] | None:
    if not file.is_ome:
        return None
    root = ElementTree.fromstring(file.ome_metadata)
    pixels = root.find(".//{*}Pixels")
    if pixels is None:
        return None

    def scale(
        letter: str, kind: str = "PhysicalSize", unit: str = "Unit"
    ) -> tuple[float | None, float, str]:
        value = pixels.get(f"{kind}{letter}")
        found = pixels.get(f"{kind}{letter}{unit}", "µm" if kind == "PhysicalSize" else "s")
        return (float(value) if value else None, 0.0, found)

    between = {"z": scale("Z"), "time": scale("", "TimeIncrement")}
    return {"inner": [scale("Y"), scale("X")], "between": between}


def _vendor(file: Any, path: Path) -> dict[str, Any] | None:
    """Pixel sizes in private tags of DigitalMicrograph and others, read by rosettasciio."""
    if all(tag.code < PRIVATE for tag in file.pages[0].tags):
        return None
    try:
        from rsciio.tiff import file_reader

        axes = file_reader(str(path), lazy=True)[0]["axes"]
    except Exception:  # not installed, or an unknown dialect: the pixel size is unknown
        return None
    inner = [(a.get("scale"), a.get("offset", 0.0), a.get("units")) for a in axes[-2:]]
    return {"inner": inner}


def _title(file: Any) -> str:
    if file.is_ome:
        image = ElementTree.fromstring(file.ome_metadata).find(".//{*}Image")
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
            metadata["unit"] = _escaped(units)
            options["resolution"] = (1 / scales[1], 1 / scales[0])
            for key, a in zip(("yorigin", "xorigin"), axes[-2:], strict=True):
                if a.offset and a.scale:
                    metadata[key] = -a.offset / a.scale
        for letter, a in zip(letters, outer, strict=False):
            if letter == "Z" and _in_units(a, units):
                metadata["spacing"] = _in_units(a, units)
            if letter == "T" and a.scale and a.units not in LENGTHS:
                metadata.update(finterval=a.scale, tunit=_escaped(a.units))
        if title:
            metadata["Info"] = f"Title: {_escaped(title)}\n"
        if labels is not None:
            metadata["Labels"] = labels
    frames = (np.asarray(frame, dtype) for frame in frames)
    with replacing(path) as part:
        tifffile.imwrite(part, frames, shape=full, dtype=dtype, photometric="minisblack",
                         software=software or None, metadata=metadata, **options)  # fmt: skip


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
