"""Planes of focus and optics of the instrument, from a text file next to an image file or from it.

stack.tif -> stack.defocus.txt, stack.txt, stack.csv (a number for each image) or stack.json
({"defocus": [...], "wavelength": 0.65, ...}); else the focus axis and pixel size of stack.tif.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError
from .formats import open_recording, split_name
from .recording import Axis
from .units import LENGTHS

# Names of an axis along which focus changes.
FOCUS_AXES = ("z", "defocus", "focus", "depth")
SIDECARS = (".defocus.txt", ".txt", ".csv", ".json")
# Keys of a .json file, and the power of a length of each value.
OPTICS = {
    "wavelength": 1, "pixel_size": 1, "spherical_aberration": 1, "numerical_aperture": 0,
    "refractive_index": 0, "coherence_angle": 0,
}  # fmt: skip


@dataclass(frozen=True)
class Instrument:
    """Planes and optics of a measurement.

    Attributes
    ----------
    defocus : tuple of float or None
        Of each image.
    source : str
        The source of the planes, for messages.
    optics : dict
        Values by the names of `mcnn_keras.Optics`, in the requested unit.
    """

    defocus: tuple[float, ...] | None = None
    source: str = ""
    optics: dict[str, float] = field(default_factory=dict)


def instrument_of(
    name: str | Path,
    unit: str = "um",
    strict: bool = True,
    axes: Sequence[Axis] | None = None,
) -> Instrument:
    """Planes and optics from a text file next to a file, or from the file itself.

    Parameters
    ----------
    name : str
        As for `open_recording`.
    unit : {'um', 'A'}
        Unit of the result. Plain numbers are taken to be in it; lengths of a file's axis, and of a
        .json with ``defocus_unit`` or ``unit``, are converted to it.
    strict : bool
        Raise an error for a text file without a list of planes; otherwise it is ignored.
    axes : sequence of Axis, optional
        The file's axes without height and width, if they are known; by default the file is opened.

    Raises
    ------
    InputError
        If the file cannot be opened, or (strict) the text file next to it cannot be read.
    """
    told = told_beside(name, unit, strict)
    if told.defocus is not None:
        return told
    if axes is None:
        with open_recording(name, force=True) as recording:
            axes = recording.axes[:-2]
    planes = planes_of_axis(axes, unit)
    return told if planes is None else Instrument(tuple(planes), "the file's axis", told.optics)


def told_beside(name: str | Path, unit: str = "um", strict: bool = True) -> Instrument:
    """Planes and optics from a text file next to a file; empty if there is none.

    Parameters
    ----------
    name, unit, strict :
        As for `instrument_of`. The file itself is not opened.

    Raises
    ------
    InputError
        If (strict) the text file cannot be read.
    """
    path = Path(split_name(name)[0])
    for suffix in SIDECARS:
        beside = path.with_suffix(suffix)
        if beside.is_file() and beside != path:
            try:
                return read_instrument(beside, unit)
            except InputError:
                if strict:
                    raise
                break
    return Instrument()


def planes_of_axis(outer: Sequence[Axis], unit: str) -> list[float] | None:
    """The planes, in a unit, of a file whose last outer axis is a focus axis; else None."""
    if not outer or outer[-1].name.lower() not in FOCUS_AXES or outer[-1].units not in LENGTHS:
        return None
    axis = outer[-1]
    if axis.scale is None:
        return None
    factor = LENGTHS[axis.units] / LENGTHS[unit]
    return [(axis.offset + i * axis.scale) * factor for i in range(axis.size)]


def read_instrument(path: Path, unit: str) -> Instrument:
    """Planes and optics from a text file with numbers, or from a .json file.

    Raises
    ------
    InputError
        If it holds no list of planes, or a number in it is not finite.
    """
    text = path.read_text(errors="replace")
    try:
        if path.suffix == ".json":
            return _read_json(json.loads(text), path, unit)
        lines = [line.split("#")[0] for line in text.splitlines()]
        planes = tuple(float(part) for part in re.split(r"[\s,;]+", " ".join(lines).strip()))
    except (ValueError, KeyError, TypeError):
        raise InputError(
            f"{path} holds no list of planes; write one number in {unit} for each image"
        ) from None
    if not all(map(math.isfinite, planes)):
        raise InputError(f"{path} has a plane that is not a finite number; correct it")
    return Instrument(planes, path.name)


def _read_json(told: Any, path: Path, unit: str) -> Instrument:
    own = str(told.get("defocus_unit", told.get("unit", unit)))
    if own not in LENGTHS:
        raise InputError(f"{path} names the unit {own!r}; choose from {', '.join(LENGTHS)}")
    factor = LENGTHS[own] / LENGTHS[unit]
    planes = told.get("defocus")
    optics = {
        key: float(told[key]) * factor**power
        for key, power in OPTICS.items()
        if told.get(key) is not None
    }
    if planes is None and not optics:
        raise ValueError
    found = None if planes is None else tuple(float(z) * factor for z in planes)
    return Instrument(found, path.name, optics)
