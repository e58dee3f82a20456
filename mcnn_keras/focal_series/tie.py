"""The transport-of-intensity equation, solved in Fourier space."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..errors import InputError
from ..metrics import mean_absolute_error
from ..physics import contrast_transfer as transfer
from ..physics import waves
from ..physics.intensity_transport import phase_gain, slope_weights
from ..physics.optics import Optics


def tie(
    images: np.ndarray,
    defocus: ArrayLike,
    optics: Optics,
    cutoff: float,
    boundary: str = "reflect",
) -> np.ndarray:
    """Phase of a weakly absorbing object from one or more defocused images.

    Solves dI/dz = -lambda / (2 pi n) laplacian(phase) at unit intensity, with Tikhonov
    regularisation. The axial derivative is the slope of a line fitted to the planes. A single plane
    is joined to unit intensity at focus.

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


def best_tie(
    images: np.ndarray,
    targets: np.ndarray,
    defocus: ArrayLike,
    optics: Optics,
    cutoffs: int = 15,
) -> tuple[np.ndarray, dict[str, Any]]:
    """`tie` on a whole set, with the cutoff and boundary of the lowest error on this set.

    Parameters
    ----------
    images, targets : (samples, height, width, channels) array
        Contrasts or intensities, and phases in rad.
    defocus, optics :
        As for `tie`.
    cutoffs : int
        Number of cutoffs to try, from a tenth of the lowest frequency to the highest.

    Returns
    -------
    answers : numpy.ndarray
        (samples, height, width, 1), rad.
    settings : dict
        The best cutoff and boundary.
    """
    field = images.shape[1] * optics.pixel_size
    grid = np.geomspace(0.1 / field, 0.5 / optics.pixel_size, cutoffs)
    best: tuple[float, Any, Any] = (math.inf, None, None)
    for boundary in ("reflect", "periodic"):
        solvers = [_solver(image, defocus, optics, boundary) for image in images]
        for cutoff in grid:
            answers = np.stack([solve(cutoff) for solve in solvers])[..., None]
            error = mean_absolute_error(answers, targets)
            if error < best[0]:
                best = (error, answers, {"cutoff": float(cutoff), "boundary": boundary})
    return best[1], best[2]


def _solver(
    images: np.ndarray, defocus: ArrayLike, optics: Optics, boundary: str
) -> Callable[[float], np.ndarray]:
    """The solution as a function of the cutoff; the transform is computed once."""
    # Minus one, so that the line of a single plane goes through unit intensity at focus.
    slope = (unit_intensities(images) - 1) @ slope_weights(defocus)
    spectrum = spectrum_of(slope, boundary)
    squared = squared_frequencies(slope.shape, optics.pixel_size, boundary)

    def solve(cutoff: float) -> np.ndarray:
        return solution(spectrum, squared, optics, cutoff, slope.shape, boundary)

    return solve


def unit_intensities(images: ArrayLike) -> np.ndarray:
    """Intensities of mean one from intensities or contrasts: (height, width, planes), float64.

    Raises
    ------
    InputError
        If a plane is dark or has infinite or missing pixels.
    """
    images = np.asarray(images, np.float64)
    # Background subtraction leaves a few negative intensities; contrasts have a mean of zero.
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


def spectrum_of(image: np.ndarray, boundary: str) -> np.ndarray:
    """The Fourier transform of a field that `boundary` continues beyond its borders."""
    if boundary == "reflect":
        image = np.pad(image, [(0, n) for n in image.shape], mode="symmetric")
    return np.fft.rfft2(image)


def squared_frequencies(shape: Sequence[int], pixel_size: float, boundary: str) -> np.ndarray:
    """The squared spatial frequency of each element of `spectrum_of`, in 1 / um^2."""
    whole = _extended(shape, boundary)
    return waves.squared_frequencies(whole, pixel_size)[:, : whole[1] // 2 + 1]


def solution(
    slope: np.ndarray,
    squared: np.ndarray,
    optics: Optics,
    cutoff: float,
    shape: Sequence[int],
    boundary: str,
) -> np.ndarray:
    """The mean-free phase, in rad, from the spectrum `slope` of the axial derivative."""
    if not cutoff > 0:
        raise InputError(f"cutoff is {cutoff:g}; a positive spatial frequency is expected")
    spectrum = slope * phase_gain(squared, optics, cutoff)
    phase = np.fft.irfft2(spectrum, s=_extended(shape, boundary))[: shape[0], : shape[1]]
    return phase - phase.mean()


def lowest_cutoff(shape: Sequence[int], pixel_size: float) -> float:
    """The frequency of one period over four fields; lower ones cannot be measured in a field."""
    return 0.25 / (max(shape) * pixel_size)


def noise_cutoff(images: np.ndarray, defocus: ArrayLike, optics: Optics) -> float:
    """The frequency below which noise dominates the axial derivative of the images.

    White noise is measured in the corners of each plane's spectrum. The power of the phase is
    assumed to fall with the cube of the frequency; its strength follows from the derivative, see
    `mcnn_keras.physics.contrast_transfer`. The contribution of the phase to the derivative grows
    with the square of the frequency, so noise dominates below some frequency.

    Parameters
    ----------
    images, defocus, optics :
        As for `tie`.

    Returns
    -------
    float
        In 1/um, at most a tenth of what the pixels resolve.
    """
    planes, weights = np.asarray(defocus, np.float64), slope_weights(defocus)
    contrasts = np.moveaxis(unit_intensities(images) - 1, -1, 0)
    shape, pixel = contrasts.shape[-2:], optics.pixel_size
    window = np.hanning(shape[0] + 2)[1:-1, None] * np.hanning(shape[1] + 2)[1:-1]
    spectra = np.fft.rfft2(contrasts * window)
    noise = float((transfer.noise_power(spectra, shape)[..., 0, 0] * weights**2).sum())
    slope = np.abs(np.tensordot(weights, spectra, 1)) ** 2
    squared = waves.squared_frequencies(shape, 1.0, half=True)
    rate = 2 * math.pi * optics.wavelength / optics.refractive_index / pixel**2
    farthest = np.abs(transfer.dimensionless(planes, optics)).max()
    # Up to where the images still change evenly with focus.
    inside = (squared > 0) & (squared * farthest < 0.3)
    expected = (rate * squared[inside]) ** 2 * transfer.power_law(shape)[inside]
    strength = (expected * (slope[inside] - noise)).sum() / max((expected**2).sum(), 1e-300)
    most = 0.05 / pixel
    if not strength > 0:
        return most
    return min(noise / (rate**2 * strength) / pixel, most)


def slow_share(phase: np.ndarray, cutoff: float, pixel_size: float) -> float:
    """How much of a phase's variance lies at spatial frequencies below a cutoff, 0 to 1."""
    power = np.abs(np.fft.fft2(phase - phase.mean())) ** 2
    squared = waves.squared_frequencies(phase.shape, pixel_size)
    return float(power[squared < cutoff**2].sum() / max(power.sum(), 1e-300))


def is_reflecting(boundary: str) -> bool:
    """Whether a field is mirrored at its borders; raises ValueError for an unknown `boundary`."""
    if boundary not in ("reflect", "periodic"):
        raise ValueError(f"boundary={boundary!r} is not known; choose 'reflect' or 'periodic'")
    return boundary == "reflect"


def _extended(shape: Sequence[int], boundary: str) -> tuple[int, ...]:
    reflecting = is_reflecting(boundary)
    return tuple(2 * n if reflecting else n for n in shape)
