"""What repeats all over a frame: Wiener's filter, made from the frame's own spectrum."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..physics import arrays
from ..physics.arrays import Array

# How much of the noise's mean power is taken from each power of the spectrum.
SUBTRACTED = 2.0
# Noise is measured above this frequency, in cycles per pixel, along y or x.
NOISE_ABOVE = 0.25
FAINTEST = np.float32(1e-6)


def spectral_wiener(frames: Array, conditions: Mapping[str, Array]) -> Array:
    """Frames of one channel after Wiener's filter.

    A lattice that fills a frame stands in few spatial frequencies, high above the noise, so that
    all its cells are averaged: farther than a convolutional network looks. The noise is taken as
    white, its power that of the frequencies above a quarter of a cycle per pixel.

    Parameters
    ----------
    frames : (..., height, width, 1) array or tensor
        float32.
    conditions : dict
        Nothing of it counts.

    Returns
    -------
    array or tensor
        (..., height, width, 1), float32.

    Notes
    -----
    The gain at each frequency is max(0, 1 - 2 noise / power), the power averaged over neighbouring
    frequencies; see Kilaas, Journal of Microscopy 190, 45 (1998). A power p of white noise of mean
    one has -mean(ln p) = Euler's constant.
    """
    xp = arrays.of(frames)
    waves = xp.fft2(xp.cast(frames[..., 0], "complex64"))
    power = xp.real(waves * xp.conj(waves))
    fy, fx = (np.abs(np.fft.fftfreq(n)) for n in frames.shape[-3:-1])
    high = np.float32(np.maximum.outer(fy, fx) > NOISE_ABOVE)
    logarithm = xp.log(xp.maximum(power, FAINTEST)) * (high / high.mean(dtype=np.float64)).astype(
        np.float32
    )
    noise = xp.exp(xp.mean(logarithm, axis=(-2, -1)) + np.float32(np.euler_gamma))
    for axis in (-2, -1):
        neighbours = xp.roll(power, 1, axis) + xp.roll(power, -1, axis)
        power = 0.5 * power + 0.25 * neighbours
    gain = 1.0 - np.float32(SUBTRACTED) * noise / xp.maximum(power, FAINTEST)
    gain = xp.maximum(gain, np.float32(0.0))
    return xp.real(xp.ifft2(waves * xp.cast(gain, "complex64")))[..., None]
