"""The imaging system: wavelength, pixels, aperture, medium, source and lens, checked.

Lengths are in um (light) or Angstrom (electrons), angles and phases in rad.
"""

from __future__ import annotations

import math
import numbers
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from ..errors import InputError
from . import arrays
from .arrays import Array
from .electrons import electron_wavelength

# Values beyond these look like another unit.
PLAUSIBLE = {
    "um": {
        "wavelength": (0.01, 20.0, "um (0.65 for red light)"),
        "pixel_size": (0.005, 100.0, "um in the object (for example 0.31)"),
        "refractive_index": (1.0, 4.0, "a refractive index, 1 to 4"),
        "coherence_angle": (0.0, 0.3, "rad (0.005 for 5 mrad)"),
    },
    "A": {
        "wavelength": (0.003, 0.2, "Angstrom (0.0197 at 300 keV; energies are in eV)"),
        "pixel_size": (0.01, 100.0, "Angstrom in the object (for example 0.2)"),
        "coherence_angle": (0.0, 0.02, "rad (0.0002 for 0.2 mrad)"),
        "spherical_aberration": (-1e9, 1e9, "Angstrom (1.2e7 for 1.2 mm)"),
    },
}


@dataclass(frozen=True)
class Optics:
    """The imaging system. Each value is a number, or a tensor if it varies between samples.

    Parameters
    ----------
    wavelength : float or tensor
        Vacuum wavelength in um.
    pixel_size : float or tensor
        Size of a camera pixel in the object, in um.
    numerical_aperture : float, tensor or None
        Of the objective; None lets every propagating wave pass.
    refractive_index : float or tensor
        Of the medium in which the defocus is measured.
    coherence_angle : float or tensor
        Half-angle, in rad, at which the source's angular brightness has fallen to 1/e. 0 is a
        fully coherent source.
    spherical_aberration : float or tensor
        Of the lens, in the unit of length; positive if marginal rays meet too early.
    unit : {'um', 'A'}
        Unit of all lengths: micrometre for light, Angstrom for electrons (see `electron`).

    Raises
    ------
    InputError
        If a number is not positive and finite, or the aperture exceeds the index. The values of
        tensors are not known, and are not checked.

    Warns
    -----
    UserWarning
        If a value looks like another unit (nm or m for um, degrees for rad).
    """

    wavelength: Any = 0.65
    pixel_size: Any = 0.31
    numerical_aperture: Any = 0.45
    refractive_index: Any = 1.0
    coherence_angle: Any = 0.0
    spherical_aberration: Any = 0.0
    unit: str = "um"

    @classmethod
    def electron(
        cls,
        energy: float,
        pixel_size: float,
        spherical_aberration: float = 0.0,
        aperture_angle: float | None = None,
        coherence_angle: float = 0.0,
    ) -> Optics:
        """A transmission electron microscope.

        Parameters
        ----------
        energy : float
            Of the electrons, in eV.
        pixel_size : float
            In the object, in Angstrom.
        spherical_aberration : float
            In Angstrom; 1.2e7 for 1.2 mm.
        aperture_angle : float, optional
            Half-angle of the objective aperture, in rad; none by default.
        coherence_angle : float
            Half-angle of the illumination at 1/e of its brightness, in rad.

        Returns
        -------
        Optics
            Defocus is then in Angstrom, negative for underfocus.
        """
        _require_positive("energy", energy)
        return cls(
            electron_wavelength(energy), pixel_size, aperture_angle, 1.0, coherence_angle,
            spherical_aberration, "A",
        )  # fmt: skip

    @classmethod
    def from_conditions(cls, conditions: Mapping[str, Array], unit: str = "um") -> Optics:
        """The optics from the conditions of a measurement; missing values are the defaults.

        Parameters
        ----------
        conditions : dict
            Values by the names of the parameters; others, such as ``defocus``, are ignored.
            Without a ``numerical_aperture`` there is no aperture.
        unit : {'um', 'A'}
        """
        names = {f.name for f in fields(cls)}
        given = {name: value for name, value in conditions.items() if name in names}
        return cls(**{"unit": unit, "numerical_aperture": None, **given})

    def conditions(self) -> dict[str, Array]:
        """The values by name, without the unit, and without an aperture of None."""
        found = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "unit"}
        return {name: value for name, value in found.items() if value is not None}

    def __post_init__(self) -> None:
        for name in ("wavelength", "pixel_size", "refractive_index"):
            _require_positive(name, getattr(self, name))
        aperture, index = self.numerical_aperture, self.refractive_index
        if aperture is not None:
            _require_positive("numerical_aperture", aperture)
            if not (arrays.is_tensor(aperture) or arrays.is_tensor(index)) and aperture > index:
                raise InputError(
                    f"numerical_aperture {aperture} is larger than the refractive index {index}; "
                    "give also the index of the immersion medium"
                )
        angle = self.coherence_angle
        if not arrays.is_tensor(angle) and not (math.isfinite(angle) and angle >= 0):
            raise InputError(f"coherence_angle must be 0 or a positive angle in rad, not {angle}")
        if self.unit not in PLAUSIBLE:
            raise InputError(f"unit {self.unit!r} is not known; choose 'um' or 'A'")
        aberration = self.spherical_aberration
        if not arrays.is_tensor(aberration) and not math.isfinite(aberration):
            raise InputError("spherical_aberration must be a number; give 0 for none")
        self._warn_of_units()

    def _warn_of_units(self) -> None:
        for name, (low, high, unit) in PLAUSIBLE[self.unit].items():
            value = getattr(self, name)
            if not arrays.is_tensor(value) and not low <= value <= high:
                warnings.warn(
                    f"{name} {value:g} is implausible; it is read as {unit}", stacklevel=4
                )

    def asdict(self) -> dict[str, Any]:
        """The values by name, for a configuration file."""
        return asdict(self)


def _require_positive(name: str, value: Any) -> None:
    if arrays.is_tensor(value):
        return
    if not isinstance(value, numbers.Real) or not math.isfinite(value) or value <= 0:
        raise InputError(f"{name} must be a positive number, not {value!r}")
