"""The wave at focus by repeated projection onto the measured amplitudes of all planes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import fft

from ..errors import InputError
from ..physics.optics import Optics
from ..physics.waves import coherence_envelope, imaging_kernels, margins_of, spread
from .tie import is_reflecting, unit_intensities


def iterative_phase(
    images: np.ndarray,
    defocus: ArrayLike,
    optics: Optics,
    iterations: int = 50,
    start: np.ndarray | None = None,
    boundary: str = "reflect",
    progress: Callable[[int, int], None] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Phase and amplitude of any object from several planes.

    The wave at focus is propagated to each plane in turn. There the measured amplitude replaces its
    own, and the wave is propagated back. The object need not be weak. With few planes, low
    frequencies converge slowly; a good start helps.

    Parameters
    ----------
    images : (height, width, planes) array
        Intensities; each plane is divided by its mean.
    defocus : sequence of float
        Of each plane, in um; planes in focus are allowed.
    optics : Optics
        The imaging system, see `mcnn_keras.physics.optics`. An extended source blurs the
        intensities that are compared.
    iterations : int
        Number of passes over all planes.
    start : (height, width) array, optional
        Phase to start from, in rad; a flat one by default.
    boundary : {'reflect', 'periodic'}
        How the field continues beyond its borders.
    progress : callable, optional
        Called with (iterations done, iterations).

    Returns
    -------
    phase : numpy.ndarray
        (height, width), rad, mean-free and unwrapped.
    amplitude : numpy.ndarray
        (height, width), with a mean square of one.

    Raises
    ------
    InputError
        If `iterations` is not positive.

    References
    ----------
    Allen and Oxley, Optics Communications 199, 65 (2001); Pedrini, Osten and Zhang, Optics
    Letters 30, 833 (2005).
    """
    from skimage.restoration import unwrap_phase

    if iterations < 1:
        raise InputError(f"iterations is {iterations}; it must be at least 1")
    planes = np.asarray(defocus, np.float64)
    images = unit_intensities(images)
    margins, inner = surroundings(images.shape[:2], planes, optics, boundary)
    amplitudes = np.sqrt(np.maximum(np.pad(images, (*margins, (0, 0)), mode="symmetric"), 0))
    shape = amplitudes.shape[:2]
    kernels = imaging_kernels(shape, planes, optics)
    blurs = coherence_envelope(shape, planes, optics) if optics.coherence_angle > 0 else None
    wave = np.ones(shape, complex)
    if start is not None:
        wave = np.exp(1j * np.pad(start, margins, mode="symmetric"))
    # The outermost planes come first: they determine the low frequencies.
    order = np.argsort(-np.abs(planes))
    for i in range(iterations):
        wave = projected(wave, amplitudes, kernels, order, blurs)
        if progress:
            progress(i + 1, iterations)
    wave = wave[inner]
    amplitude = np.abs(wave)
    # The phase of the mean wave is arbitrary; without it, fewer pixels lie near the 2 pi jump.
    phase = unwrap_phase(np.angle(wave * np.exp(-1j * np.angle(wave.mean()))))
    return phase - phase.mean(), amplitude / np.sqrt(np.mean(amplitude**2))


def surroundings(
    shape: Sequence[int], defocus: ArrayLike, optics: Optics, boundary: str
) -> tuple[tuple[tuple[int, int], ...], tuple[slice, ...]]:
    """Margins to add around a field before propagation, and the place of the field within them.

    Parameters
    ----------
    shape : tuple of int
    defocus : sequence of float
    optics : Optics
    boundary : {'reflect', 'periodic'}
        'reflect' adds the distance that light travels sideways, at most half of the field on each
        side; 'periodic' adds nothing.

    Returns
    -------
    margins : tuple
        (before, after) for height and width, in pixels.
    inner : tuple of slice
    """
    planes = np.asarray(defocus, np.float64).tolist()
    reach = spread(planes, optics) if is_reflecting(boundary) else 0
    return margins_of(shape, reach)


def projected(
    wave: np.ndarray,
    amplitudes: np.ndarray,
    kernels: np.ndarray,
    order: Sequence[int] | np.ndarray,
    blurs: np.ndarray | None = None,
) -> np.ndarray:
    """A wave at focus after one projection onto the amplitude of each plane in turn.

    Parameters
    ----------
    wave : (height, width) array
        Complex; the computation keeps its precision.
    amplitudes : (height, width, planes) array
        The measured amplitudes.
    kernels : (planes, height, width) array
        From focus to each plane.
    order : sequence of int
        Indices of the planes, in the order of their use.
    blurs : (planes, height, width // 2 + 1) array, optional
        Transfer functions of the blur of the intensities by an extended source.
    """
    for plane in order:
        there = propagated(wave, kernels[plane])
        seen = np.abs(there)
        if blurs is not None:
            seen = np.sqrt(np.maximum(filtered(seen**2, blurs[plane]), 0))
        there *= amplitudes[..., plane] / np.maximum(seen, 1e-6)
        wave = propagated(there, kernels[plane].conj())
    return wave


def propagated(wave: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """A wave after multiplication of its spectrum by a kernel, in the precision of the wave."""
    return fft.ifft2(fft.fft2(wave, workers=2) * kernel, workers=2)


def filtered(image: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """A real image after multiplication of its spectrum by a gain."""
    return fft.irfft2(fft.rfft2(image, workers=2) * gain, s=image.shape, workers=2)
