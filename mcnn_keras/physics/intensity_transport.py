"""The transport-of-intensity equation in Fourier space, for fixed channels and classical methods.

dI/dz = -wavelength / (2 pi n) laplacian(phase) at unit intensity, so that a pure phase of spatial
frequency f changes the intensity by 2 pi (wavelength / n) f^2 for each rad and um (Teague, JOSA 73,
1434 (1983)); solved with Tikhonov regularisation (Paganin and Nugent, PRL 80, 2586 (1998)).
"""

from __future__ import annotations

import math

from . import arrays
from .arrays import Array
from .optics import Optics


def slope_weights(defocus: Array) -> Array:
    """Weights of the planes in the axial slope of a line through their contrasts.

    Parameters
    ----------
    defocus : (planes,) array or tensor
        In um. The line of one plane goes through zero at focus.

    Returns
    -------
    array
        (planes,), float64, in 1 / um.
    """
    xp = arrays.of(defocus)
    z = xp.cast(defocus, "float64")
    centred = z - xp.mean(z)
    # One plane, or several at one position, do not determine a slope.
    spread, whole = xp.sum(centred * centred), xp.sum(z * z)
    z = xp.where(spread > 1e-9 * whole, centred, z)
    return z / xp.sum(z * z)


def slope_gain(squared: Array, optics: Optics) -> Array:
    """Gain from the spectrum of the phase to that of the axial derivative of the intensity.

    Parameters
    ----------
    squared : array
        Squared spatial frequencies, float64, in 1 / um^2.
    optics : Optics
        Wavelength and refractive index are used.

    Returns
    -------
    array
        Of the frequencies' shape, float64, in 1 / (rad um).
    """
    xp = arrays.of(squared, optics.wavelength, optics.refractive_index)
    wavelength, index = (
        xp.cast(v, "float64") for v in (optics.wavelength, optics.refractive_index)
    )
    return 2 * math.pi * wavelength / index * squared


def phase_gain(squared: Array, optics: Optics, cutoff: Array) -> Array:
    """Gain from the spectrum of the axial derivative of the intensity to that of the phase.

    Parameters
    ----------
    squared : array
        Squared spatial frequencies, float64, in 1 / um^2.
    optics : Optics
        Wavelength and refractive index are used.
    cutoff : float or tensor
        Spatial frequency, in 1 / um, below which the solution is damped.

    Returns
    -------
    array
        Of the frequencies' shape, float64, in rad um.
    """
    gain = slope_gain(squared, optics)
    limit = arrays.of(gain, cutoff).cast(cutoff, "float64")
    return gain / (gain * gain + slope_gain(limit**2, optics) ** 2)
