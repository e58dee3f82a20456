"""The transport-of-intensity equation over many pairs of planes, each in its own frequency band."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from ..errors import InputError
from ..physics.optics import Optics
from .tie import solution, spectrum_of, squared_frequencies, unit_intensities

# Planes whose distances from focus differ by more than this share do not form a pair.
UNEQUAL = 0.25


def multi_focus_tie(
    images: np.ndarray,
    defocus: ArrayLike,
    optics: Optics,
    cutoff: float,
    boundary: str = "reflect",
    refinements: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Phase of a weakly absorbing object from pairs of planes on either side of focus.

    Far pairs show low frequencies with little noise; near pairs show high ones without saturation.
    Each pair is used up to the frequency 1 / sqrt(2 wavelength z), the first maximum of its phase
    transfer. These bands have Gaussian borders and overlap.

    Parameters
    ----------
    images : (height, width, planes) array
        Intensities; each plane is divided by its mean.
    defocus : sequence of float
        Of each plane, in um, on both sides of focus. Planes without a partner are left out.
    optics : Optics
        Wavelength, pixel size, refractive index and coherence angle are used.
    cutoff : float
        Spatial frequency, in 1/um, below which the solution is damped.
    boundary : {'reflect', 'periodic'}
        How the field continues beyond its borders.
    refinements : int
        Number of refinements. Each simulates the images of the phase as those of a weak object,
        solves the equation for the remaining differences and adds the solution. This extends the
        phase to higher frequencies.
    progress : callable, optional
        Called with (refinements done, refinements).

    Returns
    -------
    numpy.ndarray
        (height, width), rad, mean-free.

    Raises
    ------
    InputError
        If no two planes lie at about equal distances on both sides of focus, or `refinements` is
        negative.

    References
    ----------
    Eljarrat, Müller, Huang, Ostasevicius and Koch, Optics Express 26, 11819 (2018).
    """
    if refinements < 0:
        raise InputError(f"refinements is {refinements}; it must be 0 or more")
    pairs = symmetric_pairs(defocus)
    shape = images.shape[:2]
    intensities = unit_intensities(images)
    squared = squared_frequencies(shape, optics.pixel_size, boundary)
    slopes = np.stack([
        spectrum_of(intensities[..., above] - intensities[..., below], boundary) / (2 * z)
        for below, above, z in pairs
    ])  # fmt: skip
    distances = np.array([z for *_, z in pairs])
    wavelength = optics.wavelength / optics.refractive_index
    bands = _bands(squared, distances, wavelength)
    distances = distances[:, None, None]
    # An extended source blurs both images of a pair equally.
    envelope = np.exp(-((math.pi * optics.coherence_angle * distances) ** 2) * squared)
    # Transfer of a weak phase to the scaled difference of a pair, per um.
    transfer = 2 * math.pi * wavelength * squared * envelope
    transfer *= np.sinc(wavelength * distances * squared)

    def solve(slopes: np.ndarray) -> np.ndarray:
        slope = np.sum(bands * slopes / np.maximum(envelope, 0.1), axis=0)
        return solution(slope, squared, optics, cutoff, shape, boundary)

    phase = solve(slopes)
    for i in range(refinements):
        phase = phase + solve(slopes - transfer * spectrum_of(phase, boundary))
        if progress:
            progress(i + 1, refinements)
    return phase


def symmetric_pairs(defocus: ArrayLike) -> list[tuple[int, int, float]]:
    """Pairs of planes at about equal distances on both sides of focus.

    Parameters
    ----------
    defocus : sequence of float
        Of each plane, in um.

    Returns
    -------
    list of (int, int, float)
        Index of the plane upstream, index of the plane downstream, and their mean distance from
        focus in um; the nearest pair comes first.

    Raises
    ------
    InputError
        If there is no pair.
    """
    defocus = np.asarray(defocus, np.float64)
    above = np.flatnonzero(defocus > 0)
    found: list[tuple[int, int, float]] = []
    for i in np.flatnonzero(defocus < 0):
        if not len(above):
            break
        j = above[np.argmin(np.abs(np.log(defocus[above] / -defocus[i])))]
        apart = abs(defocus[j] + defocus[i])
        if apart <= UNEQUAL * max(defocus[j], -defocus[i]):
            found.append((int(i), int(j), (defocus[j] - defocus[i]) / 2))
            above = above[above != j]
    if not found:
        raise InputError(
            f"the planes at {', '.join(f'{z:g}' for z in defocus)} um contain no pair at about "
            "equal distances on both sides of focus; give such pairs, or use another method"
        )
    return sorted(found, key=lambda pair: pair[2])


def _bands(squared: np.ndarray, distances: np.ndarray, wavelength: float) -> np.ndarray:
    """Weights of the pairs at each frequency, the nearest pair first; their sum is one."""
    # Each Gaussian falls to one half at the first maximum of the transfer.
    passes = [0.5 ** (squared * 2 * wavelength * z) for z in distances]
    below = [*passes[1:], np.zeros_like(squared)]
    bands = np.stack([p - q for p, q in zip(passes, below, strict=True)])
    bands[0] += 1 - passes[0]
    return bands
