"""Planes of focus and optics of the instrument, from text files next to an image file or from it.

stack.tif -> stack.defocus.txt, stack.txt, stack.csv (a number for each image) and stack.json
({"defocus": [...], "wavelength": 0.65, ...}); else the focus axis and pixel size of stack.tif.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ..errors import InputError
from .formats import open_recording, split_name
from .recording import Axis
from .units import LENGTHS, spelled

# Names of an axis along which focus changes.
FOCUS_AXES = ("z", "defocus", "focus", "depth")
SIDECARS = (".defocus.txt", ".txt", ".csv", ".json")
# Keys of a .json file, and the power of a length of each value.
OPTICS = {
    "wavelength": 1, "pixel_size": 1, "spherical_aberration": 1, "numerical_aperture": 0,
    "refractive_index": 0, "coherence_angle": 0,
}  # fmt: skip
KEYS = ("defocus", *OPTICS, "unit", "defocus_unit")
# What others call some of them.
ALIASES = {"na": "numerical_aperture", "lambda": "wavelength", "cs": "spherical_aberration"}
EXPECTED = '{"defocus": [-52, 52], "wavelength": 0.65, "pixel_size": 0.31}'
# Numbers with a smaller relative difference are taken as equal.
SAME = 0.01


class NotMeant(InputError):
    """A text file that holds nothing of the instrument; it may belong to something else."""


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
    optics_source : str
        Their source.
    faults : tuple of str
        Why a .json file was not taken, a line each.
    notes : tuple of str
        What was ignored in one that was, a line each.
    """

    defocus: tuple[float, ...] | None = None
    source: str = ""
    optics: dict[str, float] = field(default_factory=dict)
    optics_source: str = ""
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


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
        .json with ``unit`` (of all lengths) or ``defocus_unit``, are converted to it.
    strict : bool
        Raise an error for a text file that cannot be read where no other holds planes; otherwise it
        is ignored, and `Instrument.faults` names a .json that is meant for this and wrong.
    axes : sequence of Axis, optional
        The file's axes without height and width, if they are known; by default the file is opened.

    Raises
    ------
    InputError
        If the file cannot be opened, two text files next to it hold different planes, or (strict)
        one cannot be read.
    """
    told = told_beside(name, unit, strict)
    if told.defocus is not None:
        return told
    if axes is None:
        with open_recording(name, force=True) as recording:
            axes = recording.axes[:-2]
    planes = planes_of_axis(axes, unit)
    return (
        told if planes is None else replace(told, defocus=tuple(planes), source="the file's axis")
    )


def told_beside(name: str | Path, unit: str = "um", strict: bool = True) -> Instrument:
    """Planes and optics from the text files next to a file; empty if there is none.

    Planes may stand in one, and optics in another. A .defocus.txt counts before .txt and .csv.

    Parameters
    ----------
    name, unit, strict :
        As for `instrument_of`. The file itself is not opened.

    Raises
    ------
    InputError
        If two text files hold different planes, or (strict) one cannot be read.
    """
    path = Path(split_name(name)[0])
    there = [path.with_suffix(s) for s in SIDECARS]
    there = [beside for beside in there if beside.is_file() and beside != path]
    if there and there[0].name.endswith(SIDECARS[0]):
        there = [there[0], *(beside for beside in there if beside.suffix == ".json")]
    found: list[Instrument] = []
    faults: list[InputError] = []
    for beside in there:
        try:
            found.append(read_instrument(beside, unit))
        except InputError as error:
            faults.append(error)
    planes = [own for own in found if own.defocus is not None]
    for own in planes[1:]:
        if not _same(own.defocus or (), planes[0].defocus or ()):
            raise InputError(
                f"{planes[0].source} and {own.source} next to {path} hold different planes; remove "
                "or correct one of the two"
            )
    if strict and faults and not planes:
        raise next((f for f in faults if not isinstance(f, NotMeant)), faults[0])
    told = planes[0] if planes else Instrument()
    for own in found:
        if own.optics_source:
            told = replace(
                told, optics=own.optics, optics_source=own.optics_source, notes=own.notes
            )
    return replace(told, faults=tuple(str(f) for f in faults if not isinstance(f, NotMeant)))


def _same(some: Sequence[float], others: Sequence[float]) -> bool:
    return len(some) == len(others) and all(
        math.isclose(a, b, rel_tol=SAME) for a, b in zip(some, others, strict=True)
    )


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
        If it holds no list of planes, or a value in it cannot be; `NotMeant` if it is a text
        without numbers, or a .json without any known key.
    """
    text = path.read_text("utf-8-sig", errors="replace")
    if path.suffix == ".json":
        return _read_json(text, path, unit)
    try:
        lines = [line.split("#")[0] for line in text.splitlines()]
        planes = tuple(float(part) for part in re.split(r"[\s,;]+", " ".join(lines).strip()))
    except ValueError:
        raise NotMeant(
            f"{path} holds no list of planes; write one number in {unit} for each image"
        ) from None
    if not all(map(math.isfinite, planes)):
        raise InputError(f"{path} has a plane that is not a finite number; correct it")
    return Instrument(planes, path.name)


def _read_json(text: str, path: Path, unit: str) -> Instrument:
    try:
        told = json.loads(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise InputError(f"{path} is not valid JSON ({error.msg}, {where}); correct it") from None
    except (ValueError, RecursionError):
        raise InputError(f"{path} is not valid JSON; {EXPECTED} is expected") from None
    if not isinstance(told, dict):
        raise InputError(
            f"{path} holds {_shown(told)}, and planes and optics by their names are expected: "
            f"{EXPECTED}; correct or rename it"
        )
    told = {key: value for key, value in told.items() if value is not None}
    unknown = [key for key in told if key not in KEYS]
    for key in unknown:
        if meant := _meant(key):
            raise InputError(f"{path} has the key {key!r}, which is not known; write {meant!r}")
    known = f"known are {', '.join(KEYS)}"
    if not any(key in told for key in ("defocus", *OPTICS)):
        raise NotMeant(f"{path} holds no list of planes and no optics; {known}")
    own = _unit(told, "unit", path, unit)
    along = _unit(told, "defocus_unit", path, own)
    scale, planes = LENGTHS[own] / LENGTHS[unit], None
    if "defocus" in told:
        values = told["defocus"]
        values = values if isinstance(values, list) else [values]
        if isinstance(told["defocus"], (str, dict)) or not values:
            raise InputError(
                f'{path}: "defocus" is {_shown(told["defocus"])}; write a list with a number for '
                "each image"
            )
        factor = LENGTHS[along] / LENGTHS[unit]
        planes = tuple(_number(z, "a plane in defocus", path) * factor for z in values)
    optics = {
        key: _number(told[key], f'"{key}"', path) * scale**power
        for key, power in OPTICS.items()
        if key in told and not (key == "numerical_aperture" and _is_none(told[key]))
    }
    note = f"{path}: ignored, as not known: {', '.join(unknown)}; {known}"
    notes = (note,) if unknown else ()
    return Instrument(planes, path.name, optics, path.name, (), notes)


def _unit(told: Mapping[str, Any], key: str, path: Path, default: str) -> str:
    """A unit of length that a .json names."""
    if key not in told:
        return default
    unit = told[key]
    own = spelled(unit) if isinstance(unit, str) else None
    if own not in LENGTHS:
        raise InputError(f"{path} names the unit {unit!r}; choose from {', '.join(LENGTHS)}")
    return own


def _number(value: Any, name: str, path: Path) -> float:
    """A finite number of a .json; JSON's true and false are none."""
    try:
        if isinstance(value, bool):
            raise ValueError
        number = float(value)
    except (ValueError, TypeError, OverflowError):
        raise InputError(f"{path}: {name} is {_shown(value)}; write a number") from None
    if not math.isfinite(number):
        raise InputError(f"{path}: {name} is {_shown(value)}, no finite number; correct it")
    return number


def _is_none(value: Any) -> bool:
    """Whether an aperture is 'none', as on the command line: all waves pass."""
    return isinstance(value, str) and value.lower() == "none"


def _meant(key: str) -> str | None:
    """The known key that another one looks like."""
    plain = {known.replace("_", ""): known for known in KEYS} | ALIASES
    letters = re.sub("[^a-z]", "", key.lower())
    if letters in ALIASES:
        return ALIASES[letters]
    close = get_close_matches(letters, [name for name in plain if name not in ALIASES], 1, 0.85)
    return plain[close[0]] if close else None


def _shown(value: Any) -> str:
    """A value of a .json, for messages."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:40]}..."
