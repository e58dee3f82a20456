"""The optics that the files of a focal series state, which must agree."""

from __future__ import annotations

import math
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import InputError
from ..files import open_recording, pixel_length, split_name
from ..files.instrument import OPTICS, SAME, told_beside


@dataclass
class Stated:
    """What the files of a focal series and the texts next to them say, but for the planes.

    Attributes
    ----------
    optics : dict of float
        Values by the names of `mcnn_keras.Optics`.
    sources : dict of str
        What states each of them.
    coloured : list of str
        Files of colour images.
    faults, notes : list of str
        As of `mcnn_keras.files.instrument.Instrument`.
    """

    optics: dict[str, float] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    coloured: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def stated_optics(
    names: Sequence[str], unit: str, settled: Container[str] = (), force: bool = False
) -> Stated:
    """The optics from all files, and from the .json files next to them.

    Parameters
    ----------
    names : sequence of str
        As for `mcnn_keras.files.open_recording`.
    unit : {'um', 'A'}
        Unit of lengths.
    settled : container of str
        Names of values that an option states: what the files say of these may differ.
    force : bool
        As for `mcnn_keras.files.open_recording`.

    Raises
    ------
    InputError
        If a file cannot be opened, or two state values that differ by more than 1 %.
    """
    found = Stated()
    places: dict[str, Path] = {}
    for name in names:
        path = Path(split_name(name)[0])
        told = told_beside(name, unit, strict=False)
        found.faults += told.faults
        found.notes += told.notes
        with open_recording(name, force) as recording:
            own = pixel_length(recording.axes[-2:], unit)
            if recording.colour:
                found.coloured.append(name)
        stated = [] if own is None else [("pixel_size", own, path, "the file")]
        beside = path.with_name(told.optics_source or path.name)
        stated += [(key, told.optics[key], beside, beside.name) for key in told.optics]
        for key, value, place, source in stated:
            known = found.optics.setdefault(key, value)
            found.sources.setdefault(key, source)
            before = places.setdefault(key, place)
            if key not in settled and not math.isclose(known, value, rel_tol=SAME):
                shown = f" {unit}" if OPTICS[key] else ""
                raise InputError(
                    f"the {key.replace('_', ' ')} is {known:g}{shown} in {before}, and "
                    f"{value:g}{shown} in {place}; give the right one with "
                    f"--{key.replace('_', '-')}, or correct the files"
                )
    return found
