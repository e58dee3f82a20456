"""Electrons as waves. Lengths in Angstrom, energies in eV; numbers and tensors alike."""

from __future__ import annotations

from .arrays import Array

# Planck's constant times the speed of light, eV Angstrom, and the rest energy of an electron, eV.
HC, REST = 12398.42, 510998.95


def electron_wavelength(energy: Array) -> Array:
    """Relativistic wavelength of an electron.

    Parameters
    ----------
    energy : float or tensor
        Kinetic energy in eV.

    Returns
    -------
    float or tensor
        h c / sqrt(E (2 m c^2 + E)), in Angstrom.
    """
    return HC / (energy * (2 * REST + energy)) ** 0.5


def electron_energy(wavelength: Array) -> Array:
    """Kinetic energy, in eV, of an electron of a wavelength in Angstrom."""
    return ((HC / wavelength) ** 2 + REST**2) ** 0.5 - REST
