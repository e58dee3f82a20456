"""What is no image: diffraction patterns, spectra and scans of them, told by a file's metadata.

Values are never looked at: only units, names of axes and the signal's type tell.
"""

from __future__ import annotations

from collections.abc import Sequence

from .recording import Axis, length
from .units import LENGTHS

ANGLES = ("rad", "mrad")
ENERGIES = ("eV", "keV", "meV")
# Names of two outer axes that count the places of a scan.
PLACES = ("x", "y", "scan_x", "scan_y", "scan x", "scan y", "scan-x", "scan-y", "rx", "ry")


def kind_of(axes: Sequence[Axis], signal_type: str = "") -> str:
    """What a recording holds where it is no image; "" for images, and where nothing tells.

    Parameters
    ----------
    axes : sequence of Axis
        The last two are those of a frame.
    signal_type : str
        As HyperSpy names it: "electron_diffraction", "EELS", ...
    """
    inner, outer = axes[-2:], axes[:-2]
    if sum(a.name.lower() in PLACES for a in outer) > 1:
        return "a scan of patterns (4D-STEM)"
    if "diffraction" in signal_type.lower() or all(_is_reciprocal(a.units) for a in inner):
        units = next((f" (axes in {a.units})" for a in inner if a.units), "")
        return f"diffraction patterns{units}"
    if all((length(a, "m") or 0.0) > 1 for a in inner):  # 1/m that a program wrote as m
        return f"diffraction patterns (pixels of {length(inner[-1], 'm'):.2g} m)"
    if any(a.units in ENERGIES for a in inner):
        return "spectra"
    return ""


def _is_reciprocal(units: str) -> bool:
    return units in ANGLES or (units.startswith("1/") and units[2:] in LENGTHS)
