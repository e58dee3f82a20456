"""The transport-of-intensity equation over many pairs of planes, each for its own frequencies."""

import math

import numpy as np

from ..errors import InputError
from .tie import solution, spectrum_of, squared_frequencies, unit_intensities

# Pairs of planes whose distances from focus differ by more than this share are no pairs.
UNEQUAL = 0.25


def multi_focus_tie(
    images, defocus, optics, cutoff, boundary="reflect", refinements=0, progress=None
):
    """Phase of a weakly absorbing object from pairs of planes on either side of focus.

    Far pairs see low frequencies with little noise, near pairs see high ones without saturation.
    Each pair answers up to the frequency 1 / sqrt(2 wavelength z), where its transfer of phase
    has its first maximum; the borders of these bands are Gaussian and overlap.

    Parameters
    ----------
    images : (height, width, planes) array
        Intensities; each plane is divided by its mean.
    defocus : sequence of float
        Of each plane, in um, on both sides of focus. Planes without a partner are left out.
    optics : Optics
        Its wavelength, pixel size, refractive index and coherence angle count.
    cutoff : float
        Spatial frequency, in 1/um, below which the solution is damped.
    boundary : {'reflect', 'periodic'}
        How the field goes on beyond its borders.
    refinements : int
        How often the weak-phase images of the answer are simulated and what they leave
        unexplained is solved for in turn, which extends the answer to higher frequencies.
    progress : callable, optional
        Called with (refinements done, refinements).

    Returns
    -------
    numpy.ndarray
        (height, width), rad, mean-free.

    Raises
    ------
    InputError
        If no two planes lie about as far on either side of focus, or `refinements` is negative.

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
    # An extended source blurs both images of a pair alike.
    envelope = np.exp(-((math.pi * optics.coherence_angle * distances) ** 2) * squared)
    # What a weak phase does to the difference of a pair, in rad per um.
    transfer = 2 * math.pi * wavelength * squared * envelope
    transfer *= np.sinc(wavelength * distances * squared)

    def solve(slopes):
        slope = np.sum(bands * slopes / np.maximum(envelope, 0.1), axis=0)
        return solution(slope, squared, optics, cutoff, shape, boundary)

    phase = solve(slopes)
    for i in range(refinements):
        phase = phase + solve(slopes - transfer * spectrum_of(phase, boundary))
        if progress:
            progress(i + 1, refinements)
    return phase


def symmetric_pairs(defocus):
    """Pairs of planes about as far on either side of focus.

    Parameters
    ----------
    defocus : sequence of float
        Of each plane, in um.

    Returns
    -------
    list of (int, int, float)
        Index of the plane upstream, of the one downstream, and their mean distance from focus in
        um, the nearest first.

    Raises
    ------
    InputError
        If there is none.
    """
    defocus = np.asarray(defocus, np.float64)
    above, found = np.flatnonzero(defocus > 0), []
    for i in np.flatnonzero(defocus < 0):
        if not len(above):
            break
        j = above[np.argmin(np.abs(np.log(defocus[above] / -defocus[i])))]
        apart = abs(defocus[j] + defocus[i])
        if apart <= UNEQUAL * max(defocus[j], -defocus[i]):
            found.append((i, j, (defocus[j] - defocus[i]) / 2))
            above = above[above != j]
    if not found:
        raise InputError(
            f"planes at {', '.join(f'{z:g}' for z in defocus)} um make no pair about as far on "
            "either side of focus; give such pairs, or use another method"
        )
    return sorted(found, key=lambda pair: pair[2])


def _bands(squared, distances, wavelength):
    """Weights of the pairs, the nearest first, at each frequency; their sum is one."""
    # The transfer's first maximum is where a Gaussian has fallen to a half.
    passes = [0.5 ** (squared * 2 * wavelength * z) for z in distances]
    below = [*passes[1:], np.zeros_like(squared)]
    bands = np.stack([p - q for p, q in zip(passes, below, strict=True)])
    bands[0] += 1 - passes[0]
    return bands
