"""The transport-of-intensity equation with the axial derivative by Gaussian-process regression."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from ..errors import InputError
from ..physics.optics import Optics
from .tie import solution, spectrum_of, squared_frequencies, unit_intensities

# Number of frequencies at which the regression is solved; its weights are interpolated between.
NODES = 100
# Variance of the part that is constant along the axis, relative to that of the process.
CONSTANT = 100.0


def gp_tie(
    images: np.ndarray,
    defocus: ArrayLike,
    optics: Optics,
    cutoff: float,
    boundary: str = "reflect",
    noise: float = 1e-3,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Phase of a weakly absorbing object from many planes, preferably exponentially spaced.

    Along the optical axis, a spatial frequency f of the image of a weak object changes as
    sin(pi wavelength z f^2). At each frequency the intensity is modelled as a Gaussian process of z
    whose length scale is that of this change. Low frequencies are thus estimated from all planes,
    and high ones from the planes near focus. The derivative of the process at focus is the axial
    derivative of the equation.

    Parameters
    ----------
    images : (height, width, planes) array
        Intensities; each plane is divided by its mean.
    defocus : sequence of float
        Of each plane, in um.
    optics : Optics
        Wavelength, pixel size and refractive index are used.
    cutoff : float
        Spatial frequency, in 1/um, below which the solution is damped.
    boundary : {'reflect', 'periodic'}
        How the field continues beyond its borders.
    noise : float
        Variance of the noise, relative to that of the process.
    progress : callable, optional
        Called with (planes done, planes).

    Returns
    -------
    numpy.ndarray
        (height, width), rad, mean-free.

    Raises
    ------
    InputError
        If there are fewer than two planes, or the noise is not positive.

    References
    ----------
    Jingshan, Claus, Dauwels, Tian and Waller, Optics Express 22, 10661 (2014).
    """
    z = np.asarray(defocus, np.float64)
    if len(z) < 2:
        raise InputError("one plane has no slope along the axis; give two or more, or use tie")
    if not noise > 0:
        raise InputError(f"noise is {noise:g}; a positive variance is expected")
    intensities = unit_intensities(images)
    squared = squared_frequencies(images.shape[:2], optics.pixel_size, boundary)
    wavelength = optics.wavelength / optics.refractive_index
    # Low frequencies need finer steps, as the length scale changes faster there.
    nodes = squared.max() * np.linspace(0, 1, NODES + 1)[1:] ** 3
    weights = np.stack([_derivative_weights(z, wavelength * s, noise) for s in nodes])
    slope = np.zeros(squared.shape, complex)
    for plane in range(len(z)):
        share = np.interp(squared, nodes, weights[:, plane])
        slope = slope + share * spectrum_of(intensities[..., plane], boundary)
        if progress:
            progress(plane + 1, len(z))
    return solution(slope, squared, optics, cutoff, images.shape[:2], boundary)


def _derivative_weights(z: np.ndarray, rate: float, noise: float) -> np.ndarray:
    """Weights of the planes in the derivative at focus, at pi * rate radians per um."""
    # The rate of the sine is one standard deviation of the process's spectrum. The length scale is
    # limited: the planes cannot resolve a much shorter one, and with a much longer one the process
    # would be a straight line over the series.
    span = np.ptp(z)
    length = np.clip(1 / (math.pi * rate), 1e-6 * span, 3 * span)
    apart = (z[:, None] - z[None]) / length
    # The image at focus adds an unknown constant along the axis.
    kernel = np.exp(-(apart**2) / 2) + noise * np.eye(len(z)) + CONSTANT
    slope = z / length**2 * np.exp(-((z / length) ** 2) / 2)
    return np.linalg.solve(kernel, slope)
