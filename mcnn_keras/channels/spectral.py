"""What repeats all over a frame: Wiener's filter, made from the frame's own spectrum."""

from __future__ import annotations

import functools
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
    shape = tuple(frames.shape[-3:-1])
    waves = xp.rfft2(frames[..., 0])
    power = xp.real(waves * xp.conj(waves))
    logarithm = xp.log(xp.maximum(power, FAINTEST)) * _noise_weights(shape)
    noise = xp.exp(xp.mean(logarithm, axis=(-2, -1)) + np.float32(np.euler_gamma))
    gain = 1.0 - np.float32(SUBTRACTED) * noise / xp.maximum(_smooth(power, shape[1]), FAINTEST)
    gain = xp.maximum(gain, np.float32(0.0))
    return xp.irfft2(waves * xp.cast(gain, "complex64"), shape)[..., None]


@functools.lru_cache(16)
def _noise_weights(shape: tuple[int, int]) -> np.ndarray:
    """With these weights, the mean over a real transform is that over the frequencies of noise."""
    height, width = shape
    fy, fx = np.abs(np.fft.fftfreq(height)), np.fft.rfftfreq(width)
    high = 1.0 * (np.maximum.outer(fy, fx) > NOISE_ABOVE)
    # All columns but those of the lowest and the highest frequency stand for two.
    high[:, 1 : (width + 1) // 2] *= 2
    return (high / high.mean()).astype(np.float32)


def _smooth(power: Array, width: int) -> Array:
    """A power spectrum, of half the frequencies, averaged over each frequency's neighbours."""
    xp = arrays.of(power)
    power = 0.5 * power + 0.25 * (xp.roll(power, 1, -2) + xp.roll(power, -1, -2))
    # What lies beyond the first and the last column is the same turned by 180 degrees.
    last = power.shape[-1] - 1
    beyond = xp.roll(power[..., ::-1, :], 1, -2)
    after = beyond[..., last - 1 : last] if width % 2 == 0 else beyond[..., last:]
    wide = xp.concat([beyond[..., 1:2], power, after], axis=-1)
    return 0.5 * power + 0.25 * (wide[..., :-2] + wide[..., 2:])
