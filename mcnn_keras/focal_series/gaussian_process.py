"""The transport-of-intensity equation with the axial derivative by Gaussian-process regression."""

import math

import numpy as np

from ..errors import InputError
from .tie import solution, spectrum_of, squared_frequencies, unit_intensities

# Frequencies at which the regression is solved; between them its weights are interpolated.
NODES = 100
# Variance of what does not change along the axis, that of the process being one.
CONSTANT = 100.0


def gp_tie(images, defocus, optics, cutoff, boundary="reflect", noise=1e-3, progress=None):
    """Phase of a weakly absorbing object from many planes, exponentially spaced ones at best.

    Along the optical axis a spatial frequency f of a weak object's image changes as
    sin(pi wavelength z f^2). At each frequency the intensity is taken as a Gaussian process of z
    whose length is that of this change, so that low frequencies are learned from all planes and
    high ones from those near focus; the process's derivative at focus enters the equation.

    Parameters
    ----------
    images : (height, width, planes) array
        Intensities; each plane is divided by its mean.
    defocus : sequence of float
        Of each plane, in um.
    optics : Optics
        Its wavelength, pixel size and refractive index count.
    cutoff : float
        Spatial frequency, in 1/um, below which the solution is damped.
    boundary : {'reflect', 'periodic'}
        How the field goes on beyond its borders.
    noise : float
        Variance of the noise, that of the process being one.
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
    if len(defocus) < 2:
        raise InputError("one plane has no slope along the axis; give two or more, or use tie")
    if not noise > 0:
        raise InputError(f"noise is {noise:g}; a positive variance is expected")
    intensities = unit_intensities(images)
    squared = squared_frequencies(images.shape[:2], optics.pixel_size, boundary)
    wavelength = optics.wavelength / optics.refractive_index
    z = np.asarray(defocus, np.float64)
    # Low frequencies need finer steps, as the length changes faster there.
    nodes = squared.max() * np.linspace(0, 1, NODES + 1)[1:] ** 3
    weights = np.stack([_derivative_weights(z, wavelength * s, noise) for s in nodes])
    slope = 0
    for plane in range(len(z)):
        share = np.interp(squared, nodes, weights[:, plane])
        slope = slope + share * spectrum_of(intensities[..., plane], boundary)
        if progress:
            progress(plane + 1, len(z))
    return solution(slope, squared, optics, cutoff, images.shape[:2], boundary)


def _derivative_weights(z, rate, noise):
    """Weights of the planes in the derivative at focus, at pi * rate radians per um."""
    # The process has the sine's rate within its spectrum's deviation, and is nowhere shorter than
    # the planes can tell nor so much longer than the series that it is a straight line only.
    span = np.ptp(z)
    length = np.clip(1 / (math.pi * rate), 1e-6 * span, 3 * span)
    apart = (z[:, None] - z[None]) / length
    # The image at focus is a constant along the axis, of a size that is not known.
    kernel = np.exp(-(apart**2) / 2) + noise * np.eye(len(z)) + CONSTANT
    slope = z / length**2 * np.exp(-((z / length) ** 2) / 2)
    return np.linalg.solve(kernel, slope)
