"""The transport-of-intensity equation, solved in Fourier space."""

import math

import numpy as np

from ..errors import InputError
from ..metrics import mean_absolute_error
from ..physics.intensity_transport import phase_gain, slope_weights


def tie(images, defocus, optics, cutoff, boundary="reflect"):
    """Phase of a weakly absorbing object from one or more defocused images.

    Solves dI/dz = -lambda / (2 pi n) laplacian(phase) at unit intensity, with Tikhonov
    regularisation. The axial derivative is the slope of a line through the planes; through unit
    intensity at focus where there is one plane only.

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

    Returns
    -------
    numpy.ndarray
        (height, width), rad, mean-free.

    References
    ----------
    Teague, JOSA 73, 1434 (1983); Paganin and Nugent, PRL 80, 2586 (1998).
    """
    solve = _solver(images, defocus, optics, boundary)
    return solve(cutoff)


def best_tie(images, targets, defocus, optics, cutoffs=15):
    """`tie` over a whole set, with the one cutoff that is best on that very set.

    Parameters
    ----------
    images, targets : (samples, height, width, channels) array
        Contrasts or intensities, and phases in rad.
    defocus, optics :
        As for `tie`.
    cutoffs : int
        How many cutoffs to try, from a tenth of the lowest frequency to the highest.

    Returns
    -------
    answers : numpy.ndarray
        (samples, height, width, 1), rad.
    settings : dict
        The cutoff and the boundary that were best.
    """
    field = images.shape[1] * optics.pixel_size
    grid = np.geomspace(0.1 / field, 0.5 / optics.pixel_size, cutoffs)
    best = (math.inf, None, None)
    for boundary in ("reflect", "periodic"):
        solvers = [_solver(image, defocus, optics, boundary) for image in images]
        for cutoff in grid:
            answers = np.stack([solve(cutoff) for solve in solvers])[..., None]
            error = mean_absolute_error(answers, targets)
            if error < best[0]:
                best = (error, answers, {"cutoff": float(cutoff), "boundary": boundary})
    return best[1], best[2]


def _solver(images, defocus, optics, boundary):
    """The solution as a function of the cutoff, the transform done once."""
    # Less one, so that the line of a single plane goes through unit intensity at focus.
    slope = (unit_intensities(images) - 1) @ slope_weights(defocus)
    spectrum = spectrum_of(slope, boundary)
    squared = squared_frequencies(slope.shape, optics.pixel_size, boundary)

    def solve(cutoff):
        return solution(spectrum, squared, optics, cutoff, slope.shape, boundary)

    return solve


def unit_intensities(images):
    """Intensities, or contrasts, as intensities of mean one: (height, width, planes), float64.

    Raises
    ------
    InputError
        If a plane is dark or has pixels that are not finite.
    """
    images = np.asarray(images, np.float64)
    # A background taken away leaves a few negative intensities; contrasts have a mean of zero.
    if (images < 0).any() and images.mean() < 0.25 * images.std():
        images = images + 1
    means = images.mean(axis=(0, 1))
    for plane, mean in enumerate(means):
        if not 0 < mean < np.inf:
            raise InputError(
                f"image {plane + 1} of the series has a mean of {mean:.4g}; intensities with a "
                "positive mean and no missing pixels are expected (is a background subtracted "
                "twice?)"
            )
    return images / means


def spectrum_of(image, boundary):
    """The transform of a field that goes on beyond its borders as `boundary` says."""
    if boundary == "reflect":
        image = np.pad(image, [(0, n) for n in image.shape], mode="symmetric")
    return np.fft.rfft2(image)


def squared_frequencies(shape, pixel_size, boundary):
    """The squared spatial frequency of each element of `spectrum_of`, in 1 / um^2."""
    height, width = _extended(shape, boundary)
    fy, fx = np.fft.fftfreq(height, pixel_size), np.fft.rfftfreq(width, pixel_size)
    return fy[:, None] ** 2 + fx[None] ** 2


def solution(slope, squared, optics, cutoff, shape, boundary):
    """The mean-free phase whose intensity changes along the axis with the spectrum `slope`."""
    if not cutoff > 0:
        raise InputError(f"cutoff is {cutoff:g}; a positive spatial frequency is expected")
    spectrum = slope * phase_gain(squared, optics, cutoff)
    phase = np.fft.irfft2(spectrum, s=_extended(shape, boundary))[: shape[0], : shape[1]]
    return phase - phase.mean()


def lowest_cutoff(shape, pixel_size):
    """The frequency of one wave over four fields, below which a field tells nothing."""
    return 0.25 / (max(shape) * pixel_size)


def is_reflecting(boundary):
    """Whether a field is mirrored at its borders; refuses what is no choice."""
    if boundary not in ("reflect", "periodic"):
        raise ValueError(f"boundary={boundary!r} is not known; choose 'reflect' or 'periodic'")
    return boundary == "reflect"


def _extended(shape, boundary):
    reflecting = is_reflecting(boundary)
    return tuple(2 * n if reflecting else n for n in shape)
