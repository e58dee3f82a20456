"""How far the amplitudes of a wave are from those measured at each plane, and its slope."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from ..physics.optics import Optics
from ..physics.waves import coherence_envelope, imaging_kernels, squared_frequencies
from .iterative import filtered, propagated


class Misfit:
    """Squared differences of amplitudes, averaged over the planes, as a function of a wave.

    Parameters
    ----------
    images : (height, width, planes) array
        Intensities, with a mean of one.
    defocus : sequence of float
        Of each plane, in the unit of the optics.
    optics : Optics
    """

    def __init__(self, images: np.ndarray, defocus: ArrayLike, optics: Optics) -> None:
        self.shape = images.shape[:2]
        self.amplitudes = np.sqrt(np.maximum(images, 0)).astype(np.float32)
        planes = np.asarray(defocus, np.float64)
        self.kernels = imaging_kernels(self.shape, planes, optics)
        self.blurs = (
            coherence_envelope(self.shape, planes, optics) if optics.coherence_angle > 0 else None
        )

    def __call__(
        self, amplitude: np.ndarray | float, phase: np.ndarray
    ) -> tuple[float, np.ndarray, np.ndarray]:
        """The misfit, and its derivatives by the amplitude's logarithm and by the phase."""
        wave = (amplitude * np.exp(1j * phase)).astype(np.complex64)
        value, gradient = 0.0, np.zeros(self.shape, np.complex64)
        for plane, kernel in enumerate(self.kernels):
            there = propagated(wave, kernel)
            seen = self._blurred(np.abs(there) ** 2, plane)
            found = np.sqrt(np.maximum(seen, 1e-8))
            difference = found - self.amplitudes[..., plane]
            value += float(np.sum(difference**2, dtype=np.float64))
            there *= 2 * self._blurred(difference / found, plane)
            gradient += propagated(there, kernel.conj())
        count = len(self.kernels)
        slope = (np.conj(wave) * gradient).astype(complex) / count
        return value / count, slope.real, slope.imag

    def _blurred(self, image: np.ndarray, plane: int) -> np.ndarray:
        if self.blurs is None:
            return image
        return filtered(image, self.blurs[plane])


def passed(shape: Sequence[int], optics: Optics) -> np.ndarray:
    """Which frequencies the aperture passes: (height, width // 2 + 1), of a real image."""
    highest = (optics.numerical_aperture or optics.refractive_index) / optics.wavelength
    return squared_frequencies(shape, optics.pixel_size, half=True) < highest**2
