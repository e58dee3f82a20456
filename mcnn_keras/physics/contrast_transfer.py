"""Contrast transfer: from a weak object's phase and absorption to each defocused image.

For a wave 1 + a + i phase with small a and phase, the contrast of the image for a kernel K is

    contrast(f) = phase_transfer(f) phase(f) + absorption_transfer(f) a(f),
    phase_transfer = -2 Im K envelope,  absorption_transfer = 2 Re K envelope,

linear in each spatial frequency, so that all planes together can be inverted by least squares. All
functions take NumPy arrays or TensorFlow tensors. Spectra are those of real images, over the last
two axes, with the planes before them.

References: Cloetens et al., Applied Physics Letters 75, 2912 (1999); Schiske, Optik 29 (1969);
for strong, slowly changing phases the logarithm of the intensity replaces the contrast
(Rytov's approximation; Gureyev et al., Optics Communications 231, 53 (2004)).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from . import arrays
from .arrays import Array
from .optics import Optics
from .waves import squared_frequencies

# The power of an object's phase falls with this power of the spatial frequency.
FALL = 3.0
# Power at radii beyond this many cycles per pixel, in the corners of a spectrum, is noise.
CORNER = 0.5
# The variance of the absorption relative to that of the phase: for several planes, which separate
# the two, and for a single plane, which does not.
ABSORPTION, FAINT = 0.1, 0.01
# The power that the model of a weak object in a bounded field does not explain, at 1 cycle per
# pixel, as a share of the contrast's mean power. It grows towards low frequencies as 1 / f, as
# light that crosses the border is unknown. From simulated objects (experiments/phase_any.py).
UNEXPLAINED = 0.05


def transfers(kernels: Array, envelope: Array) -> tuple[Array, Array]:
    """The contrast of each plane for each rad of phase, and for each change of the amplitude.

    Parameters
    ----------
    kernels : (planes, height, width // 2 + 1) complex64
        From `mcnn_keras.physics.waves.imaging_kernels`, with half=True.
    envelope : (planes, height, width // 2 + 1) float32
        From `mcnn_keras.physics.waves.coherence_envelope`.

    Returns
    -------
    phase, absorption : array
        (planes, height, width // 2 + 1), float32.
    """
    xp = arrays.of(kernels, envelope)
    return -2.0 * envelope * imaginary(kernels), 2.0 * envelope * xp.real(kernels)


def imaginary(values: Array) -> Array:
    """The imaginary part, as the real part of a product, so that `arrays` needs no function."""
    return arrays.of(values).real(values * np.complex64(-1j))


def simulated(phase: Array, absorbed: Array, kernels: Array, envelope: Array) -> Array:
    """The intensities of an object at every plane, in periodic fields.

    Parameters
    ----------
    phase, absorbed : (..., height, width) array or tensor
        The phase in rad, and amplitude minus one; the amplitude is kept above zero.
    kernels, envelope : (planes, height, width // 2 + 1) array
        As for `transfers`.

    Returns
    -------
    array
        (..., planes, height, width), float32.
    """
    xp = arrays.of(phase, kernels)
    shape = tuple(int(n) for n in phase.shape[-2:])
    amplitude = xp.maximum(1.0 + absorbed, np.float32(0.05))
    wave = xp.complex(amplitude * xp.cos(phase), amplitude * xp.sin(phase))
    # Kernels are symmetric: the missing half is mirrored.
    whole = xp.concat([kernels, kernels[..., (shape[1] - 1) // 2 : 0 : -1]], axis=-1)
    waves = xp.ifft2(xp.fft2(wave)[..., None, :, :] * whole)
    intensity = xp.real(waves * xp.conj(waves))
    return xp.irfft2(xp.rfft2(intensity) * xp.cast(envelope, "complex64"), shape)


def power_law(shape: Sequence[int]) -> np.ndarray:
    """The assumed power of an object's phase: 1 / f^3, with f in cycles per pixel.

    Returns
    -------
    numpy.ndarray
        (height, width // 2 + 1), float32; zero at f = 0, as a mean phase shows in no image.
    """
    squared = squared_frequencies(shape, 1.0, half=True)
    squared[0, 0] = np.inf
    return (squared ** (-FALL / 2)).astype(np.float32)


def noise_power(spectra: Array, shape: Sequence[int]) -> Array:
    """The variance of the white noise in each plane, from the corners of its spectrum.

    Parameters
    ----------
    spectra : (..., planes, height, width // 2 + 1) complex64
    shape : tuple of int
        Height and width of the images, in pixels.

    Returns
    -------
    array
        (..., planes, 1, 1), float32, per element of the spectrum.
    """
    xp = arrays.of(spectra)
    corner = squared_frequencies(shape, 1.0, half=True) > CORNER**2
    weights = (corner / corner.sum()).astype(np.float32)
    return xp.sum(power(spectra) * weights, axis=(-2, -1))[..., None, None]


def power(spectra: Array) -> Array:
    """The squared magnitude of each element, float32."""
    xp = arrays.of(spectra)
    return xp.real(spectra * xp.conj(spectra))


def unexplained(spectra: Array, shape: Sequence[int], share: float = UNEXPLAINED) -> Array:
    """The power in each plane's contrast that is neither noise nor a weak object.

    Parameters
    ----------
    spectra : (..., planes, height, width // 2 + 1) complex64
        Of the contrasts.
    shape : tuple of int
        Height and width of the images, in pixels.
    share : float
        Share of the mean power, at one cycle per pixel.

    Returns
    -------
    array
        (..., planes, height, width // 2 + 1), float32.
    """
    xp = arrays.of(spectra)
    squared = squared_frequencies(shape, 1.0, half=True)
    squared[0, 0] = np.inf
    rise = (share / np.sqrt(squared)).astype(np.float32)
    return xp.mean(power(spectra), axis=(-2, -1)) * rise


def object_power(spectra: Array, transfer: Array, noise: Array, prior: np.ndarray) -> Array:
    """The power of the phase in units of `power_law`, from the contrast's power above the noise.

    Parameters
    ----------
    spectra : (..., planes, height, width // 2 + 1) complex64
        Of the contrasts.
    transfer : (planes, height, width // 2 + 1) array
        Of the phase, from `transfers`.
    noise : (..., planes, 1, 1) array
        From `noise_power`.
    prior : (height, width // 2 + 1) array
        From `power_law`.

    Returns
    -------
    array
        (..., 1, 1), float32, positive.
    """
    xp = arrays.of(spectra, transfer)
    whole = power(spectra)
    # A least-squares fit: the weight of each element is its expected power. So uneven illumination
    # has little effect, as it lies at frequencies where a phase hardly shows.
    expected = transfer * transfer * prior
    seen = xp.sum(expected * (whole - noise), axis=(-3, -2, -1))
    least = 1e-6 * xp.sum(expected * whole, axis=(-3, -2, -1))
    return (xp.maximum(seen, least) / xp.sum(expected * expected))[..., None, None]


class LeastSquares:
    """The most probable phase and absorption of a weak object, given the contrasts of all planes.

    Assumes normal noise with a known variance in each plane, and normal phase and absorption with
    known power. This is a Wiener filter for several images: least squares, damped by the noise.

    Parameters
    ----------
    phase_transfer, absorption_transfer : (planes, height, width // 2 + 1) array
        From `transfers`.
    noise : (..., planes, 1, 1) or (..., planes, height, width // 2 + 1) array
        Variance of each plane's noise.
    prior : (..., height, width // 2 + 1) array
        Power of the phase.
    """

    def __init__(
        self, phase_transfer: Array, absorption_transfer: Array, noise: Array, prior: Array
    ) -> None:
        xp = arrays.of(phase_transfer, noise)
        weight = 1.0 / xp.maximum(noise, 1e-20)
        by_phase = weight * phase_transfer
        self.prior = prior
        self.phases = xp.sum(by_phase * phase_transfer, axis=-3)
        # The part of the absorption's transfer that a phase cannot imitate. The plain normal
        # equations would be differences of large numbers.
        self.mixed = xp.sum(by_phase * absorption_transfer, axis=-3)
        self.ratio = self.mixed / xp.maximum(self.phases, 1e-30)
        own = absorption_transfer - self.ratio[..., None, :, :] * phase_transfer
        by_own = weight * own
        self.apart = xp.sum(by_own * own, axis=-3)
        self.by_phase, self.by_own = (xp.cast(v, "complex64") for v in (by_phase, by_own))

    def solve(self, spectra: Array, absorption: float = ABSORPTION) -> tuple[Array, Array]:
        """Phase and absorption from contrasts.

        Parameters
        ----------
        spectra : (..., planes, height, width // 2 + 1) complex64
            Of the contrasts.
        absorption : float
            Power of the absorption relative to that of the phase; 0 for a pure phase object.

        Returns
        -------
        phase, absorption : array
            Spectra, (..., height, width // 2 + 1), complex64.
        """
        xp = arrays.of(spectra, self.by_phase)

        def complex64(value: Array) -> Array:
            return xp.cast(value, "complex64")

        prior, phases = self.prior, self.phases
        seen = xp.sum(self.by_phase * spectra, axis=-3)
        if absorption == 0:
            # Multiplied by the prior, which may be zero.
            found = complex64(prior / (1.0 + prior * phases)) * seen
            return found, xp.zeros_like(found)
        alone = xp.sum(self.by_own * spectra, axis=-3)
        dark = alone + complex64(self.ratio) * seen
        other = absorption * prior
        absorptions = self.apart + self.ratio * self.mixed
        scale = 1.0 + prior * phases + other * (absorptions + prior * phases * self.apart)
        phase = seen + complex64(other * self.apart) * seen - complex64(other * self.mixed) * alone
        absorbed = dark + complex64(prior * phases) * alone
        return complex64(prior / scale) * phase, complex64(other / scale) * absorbed


def contrast_scale(contrast: Array) -> Array:
    """The root mean square of the contrasts of all planes.

    Parameters
    ----------
    contrast : (..., height, width, planes) array or tensor

    Returns
    -------
    array
        (..., 1, 1, 1), float32, positive.
    """
    xp = arrays.of(contrast)
    square = xp.mean(contrast * contrast, axis=(-3, -2, -1))
    return xp.maximum(xp.sqrt(xp.cast(square, "float32")), np.float32(1e-4))


def dimensionless(defocus: Array, optics: Optics) -> Array:
    """Each defocus in pixels squared: wavelength defocus / (index pixel_size^2).

    For small angles, the effect of defocus depends on this number only: the contrast of a phase
    with spatial frequency f, in cycles per pixel, is proportional to sin(pi times it times f^2).
    """
    xp = arrays.of(defocus, *optics.conditions().values())
    scale = xp.cast(optics.wavelength, "float64") / xp.cast(optics.refractive_index, "float64")
    return xp.cast(defocus, "float64") * (scale / xp.cast(optics.pixel_size, "float64") ** 2)


def aperture_radius(optics: Optics) -> Array:
    """The aperture in cycles per pixel, at most 0.75: this passes all that the pixels resolve."""
    if optics.numerical_aperture is None:
        return 0.75
    xp = arrays.of(optics.numerical_aperture, optics.pixel_size, optics.wavelength)
    found = xp.cast(optics.numerical_aperture, "float64") * (
        xp.cast(optics.pixel_size, "float64") / xp.cast(optics.wavelength, "float64")
    )
    return xp.minimum(found, xp.cast(0.75, "float64"))


def decades(value: Array) -> Array:
    """The logarithm to base ten, of positive values, float32."""
    xp = arrays.of(value)
    return xp.cast(xp.log(value), "float32") * np.float32(1 / math.log(10))
