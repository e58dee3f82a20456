"""Units as this package spells them."""

from __future__ import annotations

import re

# Units of length in metres, and other spellings of units.
LENGTHS = {
    "m": 1.0, "cm": 1e-2, "mm": 1e-3, "um": 1e-6, "nm": 1e-9, "A": 1e-10, "pm": 1e-12,
}  # fmt: skip
SPELLINGS = {
    "µm": "um", "\u03bcm": "um", "\\u00b5m": "um", "u_m": "um", "micron": "um", "microns": "um",
    "n_m": "nm", "Å": "A", "\u212b": "A", "Angstrom": "A", "Ang": "A", "ang": "A", "pixel": "",
    "pixels": "", "px": "", "<undefined>": "", "undefined": "", "none": "", "None": "",
    "Micron": "um", "Microns": "um", "mum": "um", "angstroms": "A", "Angstroms": "A",
    "sec": "s", "secs": "s", "msec": "ms", "degree": "°", "degrees": "°", "deg": "°",
    **{
        name + tail: unit
        for name, unit in {
            "meter": "m", "metre": "m", "centimeter": "cm", "centimetre": "cm", "millimeter": "mm",
            "millimetre": "mm", "micrometer": "um", "micrometre": "um", "nanometer": "nm",
            "nanometre": "nm", "angstrom": "A", "picometer": "pm", "picometre": "pm",
            "second": "s", "millisecond": "ms", "microsecond": "us", "minute": "min", "hour": "h",
        }.items()
        for tail in ("", "s")
    },
}  # fmt: skip


def spelled(units: str) -> str:
    """A unit as this package spells it; reciprocal lengths as 1/nm."""
    units = units.strip()
    inverse = re.fullmatch(r"1 ?/ ?(.+)|(.+?) ?\^? ?(?:-1|\(-1\)|\{-1\}|⁻¹)", units)
    if inverse:
        return f"1/{spelled(inverse[1] or inverse[2])}"
    return SPELLINGS.get(units, units)
