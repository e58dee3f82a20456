"""Classical estimates of the wave at focus from the contrast at each plane, as fixed channels."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np

from ..physics import arrays
from ..physics.arrays import Array
from ..physics.intensity_transport import phase_gain, slope_weights
from ..physics.optics import Optics
from ..physics.waves import (
    extended,
    has_aberration,
    lens_kernel,
    squared_frequencies,
    transfer_function,
)


def focus_estimates(
    contrast: Array, conditions: Mapping[str, Array], margin: int = 32, period: float = 256.0
) -> Array:
    """Classical estimates of the wave at focus, which a network then corrects.

    Each plane gives two channels: the real part (minus one) and the imaginary part of its
    back-propagated wave, with the amplitude sqrt(1 + contrast). The imaginary part is the phase of
    a weak object, plus its twin image. It lacks slow changes, which hardly show in a defocused
    image. The last channel contains them: the phase, in rad, by the transport-of-intensity
    equation.

    Parameters
    ----------
    contrast : (..., height, width, planes) array or tensor
        intensity / mean(intensity) - 1, float32.
    conditions : dict
        ``defocus`` of each plane, and the values of `Optics`, all in one unit of length. The
        frequencies that the aperture stops are set to zero.
    margin : int
        Pixels by which the field is extended on each side, mirrored and faded to the mean, so
        that opposite borders do not disturb each other.
    period : float
        In pixels; longer periods of the transport-of-intensity phase are damped.

    Returns
    -------
    array or tensor
        (..., height, width, 2 * planes + 1), float32.

    References
    ----------
    Transfer function: Goodman, Introduction to Fourier Optics, 3.10; back propagation as the start
    of phase retrieval: Rivenson et al. 2018; transport of intensity: Paganin and Nugent, PRL 80,
    2586 (1998).
    """
    xp = arrays.of(contrast, *conditions.values())
    defocus, optics = conditions["defocus"], Optics.from_conditions(conditions)
    planes = contrast.shape[-1]
    weights = xp.cast(slope_weights(defocus), "float32")
    amplitude = xp.sqrt(xp.maximum(1.0 + contrast, np.float32(0.0))) - 1.0
    slope = xp.einsum("...p,p->...", contrast, weights)[..., None]
    fields = arrays.channels_first(xp.concat([amplitude, slope], axis=-1))
    fields, inner = extended(fields, margin)
    shape = tuple(fields.shape[-2:])
    if arrays.of(*conditions.values()) is arrays.Numbers:  # the same for each image
        kernels = _constant_kernels(shape, tuple(map(float, defocus)), optics, float(period))
    else:
        kernels = _kernels(shape, defocus, optics, period)
    waves = xp.ifft2(xp.fft2(xp.cast(fields, "complex64")) * kernels)[(..., *inner)]
    back, phase = waves[..., :planes, :, :], waves[..., planes:, :, :]
    # The imaginary part as the real part of a product, so that `arrays` needs no function for it.
    imaginary = xp.real(back * np.complex64(-1j))
    found = xp.concat([xp.real(back), imaginary, xp.real(phase)], axis=-3)
    return arrays.channels_last(found)


@functools.lru_cache(4)
def _constant_kernels(
    shape: tuple[int, ...], defocus: tuple[float, ...], optics: Optics, period: float
) -> Array:
    return _kernels(shape, defocus, optics, period)


def _kernels(shape: tuple[int, ...], defocus: Array, optics: Optics, period: float) -> Array:
    """Kernels from each plane to focus, and one from the slope to the phase: (planes + 1, ...)."""
    forth = transfer_function(shape, defocus, optics)
    if has_aberration(optics):
        forth = forth * lens_kernel(shape, optics)
    squared = squared_frequencies(shape, optics.pixel_size)
    pixels = arrays.of(optics.pixel_size).cast(optics.pixel_size, "float64")
    gain = phase_gain(squared, optics, 1 / (period * pixels))
    xp = arrays.of(forth, gain, optics.numerical_aperture)
    if optics.numerical_aperture is not None:
        limit = xp.cast(optics.numerical_aperture, "float64") / xp.cast(
            optics.wavelength, "float64"
        )
        forth = forth * xp.cast(squared < limit**2, "complex64")
    return xp.concat([xp.conj(forth), xp.cast(gain, "complex64")[None]], axis=0)
