"""Pixel sizes of TIFF files, as ImageJ, OME, microscopes and plain TIFF store them.

Each of the readers gives what its dialect says: {"inner": [height, width], "between": {name: ...}},
with (scale, offset, unit) for each axis. What cannot be kept goes into a note with its value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any
from xml.etree import ElementTree

import numpy as np

from .recording import Axis, axis

NAMES = {"T": "time", "Z": "z", "C": "channel", "I": "frame", "Q": "frame", "S": "sample"}
# Resolutions coarser than this, in pixels an inch, are those of screens, printers and scanners.
PRINTED = 10000
INCH = 0.0254
Said = tuple[Any, Any, Any]
UNKNOWN: Said = (None, 0.0, "")


def axes_of(
    file: Any, page: Any, letters: str, shape: Sequence[int], notes: list[str], number: int = 0
) -> tuple[Axis, ...]:
    """The axes of images in a TIFF file.

    Parameters
    ----------
    file : tifffile.TiffFile
    page : tifffile.TiffPage
        The first of those that are taken.
    letters : str
        Of the outer axes, as tifffile calls them.
    shape : tuple of int
        Of the outer axes, then height and width.
    notes : list of str
        Takes what cannot be kept.
    number : int
        Of the image, among those of an OME-TIFF.
    """
    found: dict[str, Any] = {"inner": (UNKNOWN, UNKNOWN), "between": {}}
    for reader in (_imagej, lambda *a: _ome(file, number), *VENDORS, _resolution):
        known = found["inner"][1][0] is not None or any("resolution" in note for note in notes)
        if reader is _resolution and known:
            continue  # what plain tags say of a print matters no more
        said = reader(file, page, notes)
        if said is None:
            continue
        for name, scale in said.get("between", {}).items():
            found["between"].setdefault(name, scale)
        if found["inner"][1][0] is None:
            found["inner"] = said["inner"]
    outer = [Axis(NAMES.get(c, c.lower()), n) for c, n in zip(letters, shape, strict=False)]
    outer = [_kept(a.name, a.size, found["between"].get(a.name, UNKNOWN), notes) for a in outer]
    names = zip(("height", "width"), shape[-2:], found["inner"], strict=True)
    return (*outer, *(_kept(name, size, said, notes) for name, size, said in names))


def _kept(name: str, size: int, said: Said, notes: list[str]) -> Axis:
    kept = axis(name, size, *said)
    scale, _, unit = said
    if scale is not None and not np.isfinite(scale):
        notes.append(f"the scale {scale:g} {unit} of {name} is not kept: it is not finite")
    return kept


def _metres(value: Any, offset: float = 0.0) -> Said:
    """A length in metres in the usual unit of its size."""
    value = float(value)
    if not (np.isfinite(value) and value > 0):
        return UNKNOWN
    unit, factor = ("nm", 1e9) if value < 1e-6 else ("um", 1e6)
    return value * factor, offset * factor, unit


def _square(width: Any, height: Any = None) -> dict[str, Any]:
    return {"inner": [_metres(width if height is None else height), _metres(width)]}


def _per_pixel(page: Any) -> list[float] | None:
    """Height and width of a pixel, in the unit of the resolution tags."""
    sizes = []
    for name in ("YResolution", "XResolution"):
        numerator, denominator = page.tags[name].value if name in page.tags else (0, 1)
        if not numerator or not denominator:
            return None
        sizes.append(denominator / numerator)
    return sizes


def _imagej(file: Any, page: Any, notes: list[str]) -> dict[str, Any] | None:
    text = file.pages[0].description
    if not (file.is_imagej or text.startswith("ImageJ=")):
        return None
    found = file.imagej_metadata or {}
    unit, sizes = unescaped(found.get("unit", "")).strip(), _per_pixel(file.pages[0])
    inner = [UNKNOWN, UNKNOWN]
    if unit.lower() in ("inch", "inches") and sizes:
        inner = _printed(sizes, INCH, notes)
    elif unit and sizes:
        # ImageJ's origin is the pixel at which the coordinate is zero.
        origins = [float(found.get(f"{c}origin", 0.0)) for c in "yx"]
        inner = [(s, -o * s, unit) for s, o in zip(sizes, origins, strict=True)]
    between = {}
    if found.get("finterval"):
        between["time"] = (found["finterval"], 0.0, unescaped(found.get("tunit", "s")))
    if found.get("spacing"):
        between["z"] = (found["spacing"], 0.0, unit)
    return {"inner": inner, "between": between}


def escaped(text: str) -> str:
    """Text in ASCII, as ImageJ writes it."""
    return "".join(c if c.isascii() else f"\\u{ord(c):04x}" for c in text)


def unescaped(unit: Any) -> str:
    """Text of ImageJ's, with its letters that are not ASCII."""
    return re.sub(r"\\u([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)), str(unit))


def _ome(file: Any, number: int) -> dict[str, Any] | None:
    image = ome_image(file, number)
    pixels = None if image is None else image.find("{*}Pixels")
    if pixels is None:
        return None

    def scale(letter: str, kind: str = "PhysicalSize", default: str = "µm") -> Said:
        value = pixels.get(f"{kind}{letter}")
        return float(value) if value else None, 0.0, pixels.get(f"{kind}{letter}Unit", default)

    between = {"z": scale("Z"), "time": scale("", "TimeIncrement", "s")}
    return {"inner": [scale("Y"), scale("X")], "between": between}


def ome_image(file: Any, number: int = 0) -> Any:
    """The XML of one image of an OME-TIFF, or None."""
    if not file.is_ome:
        return None
    images = ElementTree.fromstring(file.ome_metadata).findall("{*}Image")
    return images[number if number < len(images) else 0] if images else None


def _resolution(file: Any, page: Any, notes: list[str]) -> dict[str, Any] | None:
    """Of the plain TIFF tags; that of screens and printers is no pixel size."""
    sizes = _per_pixel(page)
    unit = int(page.tags.valueof("ResolutionUnit", 2))
    if sizes is None or (unit == 1 and sizes == [1.0, 1.0]):
        return None
    if unit not in (2, 3):
        notes.append(f"a resolution of {1 / sizes[1]:g} pixels without a unit is not kept")
        return None
    return {"inner": _printed(sizes, INCH if unit == 2 else 0.01, notes)}


def _printed(sizes: Sequence[float], metres: float, notes: list[str]) -> list[Said]:
    per_inch = INCH / (sizes[1] * metres)
    if per_inch < PRINTED:
        notes.append(
            f"a resolution of {per_inch:.4g} pixels an inch is that of a screen or a printer, and "
            "is not taken for a pixel size"
        )
        return [UNKNOWN, UNKNOWN]
    return [_metres(s * metres) for s in sizes]


def _jeol(file: Any, page: Any, notes: list[str]) -> dict[str, Any] | None:
    """JEOL's TEM cameras: the resolution is that at the camera, the magnification is in XML."""
    sizes = _per_pixel(page)
    is_jeol = page.tags.valueof("Make") == "JEOL Ltd." and "<TemReporter" in page.description
    if not (is_jeol and sizes):
        return None
    root = ElementTree.fromstring(page.description.strip(" \r\n\t\x01\x00"))

    def said(name: str) -> str:
        return root.findtext(name) or ""

    mode = said("Eos/EosMode"), said("ImageFormingSystem/ModeString")
    value = float(said("ImageFormingSystem/SelectorValue") or 0)
    at_camera = INCH if int(page.tags.valueof("ResolutionUnit", 2)) == 2 else 0.01
    if mode == ("eosTEM", "MAG") and value:
        return _square(*(s * at_camera / value for s in reversed(sizes)))
    if mode == ("eosTEM", "DIFF") and value:
        unit = said("ImageFormingSystem/SelectorUnitString")
        length = value * {"mm": 1e-3, "cm": 1e-2}.get(unit, 1.0)
        volts = float(said("ElectronGun/AccelerationVoltage"))
        # Of electrons, h c / sqrt(E (2 m c^2 + E)), in nm.
        wavelength = 1239.842 / (volts * (2 * 510998.95 + volts)) ** 0.5
        factor = at_camera / (length * wavelength)
        return {"inner": [(s * factor, 0.0, "1/nm") for s in sizes]}
    notes.append(f"the pixel size in JEOL's mode {mode[0]}, {mode[1]} is not known")
    return None


def _fei(file: Any, page: Any, notes: list[str]) -> dict[str, Any] | None:
    """FEI and Thermo Fisher: metres a pixel, or the width of the field."""
    said = file.fei_metadata or {}
    for part in ("Scan", "EScan", "IScan"):
        scan = said.get(part) or {}
        if scan.get("PixelWidth"):
            return _square(scan["PixelWidth"], scan.get("PixelHeight"))
    image = said.get("Image") or {}
    for part in ("EBeam", "IBeam", "IRBeam"):
        beam = said.get(part) or {}
        if beam.get("HFW") and image.get("ResolutionX"):
            height = float(beam.get("VFW") or 0) / float(image.get("ResolutionY") or 1)
            return _square(float(beam["HFW"]) / float(image["ResolutionX"]), height or None)
    return None


def _zeiss(file: Any, page: Any, notes: list[str]) -> dict[str, Any] | None:
    """Zeiss SEM: by name with a unit, or in metres for a field of 1024 pixels."""
    said = file.sem_metadata or {}
    for key in ("ap_image_pixel_size", "ap_pixel_size"):
        if key in said and len(said[key]) > 2:
            _, value, unit = said[key][:3]
            return {"inner": [(float(value), 0.0, unit)] * 2}
    unnamed: Sequence[Any] = said.get("") or ()
    return _square(unnamed[3] * 1024 / page.imagewidth) if len(unnamed) > 3 else None


def _sis(file: Any, page: Any, notes: list[str]) -> dict[str, Any] | None:
    """Olympus, EMSIS: metres a pixel."""
    said = file.sis_metadata or {}
    return _square(said["pixelsizex"], said.get("pixelsizey")) if "pixelsizex" in said else None


def _tvips(file: Any, page: Any, notes: list[str]) -> dict[str, Any] | None:
    """TVIPS cameras: nanometres a pixel, except in diffraction."""
    said = file.tvips_metadata or {}
    if not said.get("PixelSizeX"):
        return None
    if said.get("TemMode") == 3:
        notes.append(f"TVIPS's pixel size {said['PixelSizeX']:g} of a diffraction is not kept")
        return None
    return _square(said["PixelSizeX"] * 1e-9, (said.get("PixelSizeY") or 0) * 1e-9 or None)


def _digital_micrograph(file: Any, page: Any, notes: list[str]) -> dict[str, Any] | None:
    """Gatan's DigitalMicrograph: tags of their own for each axis."""
    tags = page.tags

    def said(unit: int, origin: int, scale: int) -> Said:
        name = tags.valueof(unit) or ""
        name = name.decode("latin-1") if isinstance(name, bytes) else str(name)
        return tags.valueof(scale), tags.valueof(origin) or 0.0, name.strip("\0 ")

    if tags.valueof(65009) is None:
        return None
    width, height, depth = (said(65003 + i, 65006 + i, 65009 + i) for i in (0, 1, 2))
    between = dict.fromkeys(("z", "frame"), depth) if depth[0] is not None else {}
    return {"inner": [height, width], "between": between}


def _light(file: Any, page: Any, notes: list[str]) -> dict[str, Any] | None:
    """Programs of light microscopes: Zeiss LSM, MetaMorph, Micro-Manager."""
    lsm, stk = file.lsm_metadata or {}, file.stk_metadata or {}
    if lsm.get("VoxelSizeX"):
        said = _square(lsm["VoxelSizeX"], lsm.get("VoxelSizeY"))
        return {**said, "between": {"z": _metres(lsm.get("VoxelSizeZ") or 0)}}
    if stk.get("XCalibration") and stk.get("CalibrationUnits"):
        unit = str(stk["CalibrationUnits"])
        pair = (stk.get("YCalibration") or stk["XCalibration"], stk["XCalibration"])
        return {"inner": [(float(s), 0.0, unit) for s in pair]}
    plane = (file.metaseries_metadata or {}).get("PlaneInfo") or {}
    if plane.get("spatial-calibration-state") and plane.get("spatial-calibration-x"):
        unit = plane.get("spatial-calibration-units", "")
        return {"inner": [(float(plane[f"spatial-calibration-{c}"]), 0.0, unit) for c in "yx"]}
    manager = page.tags.valueof(51123)
    if isinstance(manager, dict) and manager.get("PixelSizeUm"):
        return _square(float(manager["PixelSizeUm"]) * 1e-6)
    return None


VENDORS: tuple[Callable[..., dict[str, Any] | None], ...] = (
    _jeol, _fei, _zeiss, _sis, _tvips, _digital_micrograph, _light,
)  # fmt: skip
