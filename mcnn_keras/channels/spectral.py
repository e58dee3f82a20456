"""Filters from a frame's own spectrum, which enhance periodic structures."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np

from ..physics import arrays
from ..physics.arrays import Array

# This multiple of the noise's mean power is subtracted from the power spectrum.
SUBTRACTED = 2.0
# Noise is measured above this frequency, in cycles per pixel, along y or x.
NOISE_ABOVE = 0.25
FAINTEST = np.float32(1e-6)
# Half the width of the surroundings of a frequency, as a share of all frequencies; and how far, in
# logarithms, a value may be above its surroundings and still be included in them.
SURROUNDINGS, PEAK = 1 / 18, 1.0


def spectral_wiener(frames: Array, conditions: Mapping[str, Array]) -> Array:
    """Frames with one channel after a Wiener filter.

    A lattice that fills a frame has few spatial frequencies, high above the noise. The filter
    averages all its cells, over longer distances than a convolutional network sees. The noise is
    assumed to be white; its power is measured above a quarter of a cycle per pixel.

    Parameters
    ----------
    frames : (..., height, width, channels) array or tensor
        float32; the first channel is used.
    conditions : dict
        Not used.

    Returns
    -------
    array or tensor
        (..., height, width, 1), float32.

    Notes
    -----
    The gain at each frequency is max(0, 1 - 2 noise / power), with the power averaged over
    neighbouring frequencies; see Kilaas, Journal of Microscopy 190, 45 (1998). The power p of white
    noise with mean one has -mean(ln p) = Euler's constant.
    """
    return _Spectrum(frames[..., 0]).above_white()[..., None]


def spectral_series(frames: Array, conditions: Mapping[str, Array]) -> Array:
    """The mean of a frame and its neighbours in time, and frame and mean after spectral filters.

    The mean over aligned neighbours has less noise, so that lattices are visible in its spectrum at
    lower doses. Noise that is correlated between pixels has a smooth spectrum of any shape, in
    which lattices and fringes are peaks.

    Parameters
    ----------
    frames : (..., height, width, channels) array or tensor
        float32: the frame, its neighbours, and a mask that is one in missing pixels. Missing pixels
        are zero.
    conditions : dict
        Not used.

    Returns
    -------
    array or tensor
        (..., height, width, 4), float32: the frame after a Wiener filter, see `spectral_wiener`;
        the mean over the frames in which a pixel is not missing; the mean after a Wiener filter;
        the mean's peaks, which are above the mean logarithm of the power at surrounding
        frequencies.
    """
    xp = arrays.of(frames)
    frame, neighbours = frames[..., 0], frames[..., 1:-1]
    alone = _Spectrum(frame)
    own = alone.above_white()
    if xp is arrays.Numbers and not neighbours.any():
        channels = [own, frame, own, alone.above_surroundings()]
    else:
        there = xp.cast(neighbours != 0, "float32")
        count = 1.0 - frames[..., -1] + _sum(there)
        mean = (frame + _sum(neighbours)) / xp.maximum(count, np.float32(1.0))
        spectrum = _Spectrum(mean)
        channels = [own, mean, spectrum.above_white(), spectrum.above_surroundings()]
    return xp.stack(channels, -1)


class _Spectrum:
    """The spectrum of frames, (..., height, width), and the frames after filters from it."""

    def __init__(self, frames: Array) -> None:
        self.xp = arrays.of(frames)
        self.shape = tuple(int(n) for n in frames.shape[-2:])
        self.waves = self.xp.rfft2(frames)
        self.power = self.xp.real(self.waves * self.xp.conj(self.waves))
        self.logarithm = self.xp.log(self.xp.maximum(self.power, FAINTEST))
        # The power of noise scatters: about two thirds of its values are below the mean.
        self.smooth = self.xp.maximum(_smooth(self.power, self.shape[1]), FAINTEST)

    def above_white(self) -> Array:
        """The frames without white noise."""
        logarithm = self.logarithm * _noise_weights(self.shape)
        return self._above(self.xp.mean(logarithm, axis=(-2, -1)))

    def above_surroundings(self) -> Array:
        """The frames without the part of the spectrum that changes slowly with frequency."""
        reach = [max(2, round(n * SURROUNDINGS)) for n in self.shape]
        level = _surroundings(self.logarithm, reach, self.shape[1])
        # A second time, without the peaks, which have raised the level.
        level = _surroundings(
            self.xp.minimum(self.logarithm, level + np.float32(PEAK)), reach, self.shape[1]
        )
        return self._above(level)

    def _above(self, logarithm: Array) -> Array:
        xp = self.xp
        noise = xp.exp(logarithm + np.float32(np.euler_gamma))
        gain = xp.maximum(1.0 - np.float32(SUBTRACTED) * noise / self.smooth, np.float32(0.0))
        return xp.irfft2(self.waves * xp.cast(gain, "complex64"), self.shape)


def _sum(channels: Array) -> Array:
    """The sum over the last axis."""
    return arrays.of(channels).einsum("...c->...", channels)


@functools.lru_cache(16)
def _noise_weights(shape: tuple[int, int]) -> np.ndarray:
    """Weights for the mean over the frequencies of noise, for the transform of a real image."""
    height, width = shape
    fy, fx = np.abs(np.fft.fftfreq(height)), np.fft.rfftfreq(width)
    high = 1.0 * (np.maximum.outer(fy, fx) > NOISE_ABOVE)
    # All columns count twice, except those of the lowest and the highest frequency.
    high[:, 1 : (width + 1) // 2] *= 2
    return (high / high.mean()).astype(np.float32)


def _widened(power: Array, reach: int, width: int) -> Array:
    """A half power spectrum, with further columns before its first and after its last one."""
    xp = arrays.of(power)
    # They are the existing columns, rotated by 180 degrees.
    end = (width + 1) // 2
    before, after = (
        xp.roll(columns[..., ::-1, ::-1], 1, -2)
        for columns in (power[..., 1 : reach + 1], power[..., end - reach : end])
    )
    return xp.concat([before, power, after], axis=-1)


def _smooth(power: Array, width: int) -> Array:
    """A half power spectrum, averaged over each frequency's neighbours."""
    xp = arrays.of(power)
    power = 0.5 * power + 0.25 * (xp.roll(power, 1, -2) + xp.roll(power, -1, -2))
    wide = _widened(power, 1, width)
    return 0.5 * power + 0.25 * (wide[..., :-2] + wide[..., 2:])


def _surroundings(power: Array, reach: list[int], width: int) -> Array:
    """A half spectrum, averaged over a box around each frequency."""
    xp = arrays.of(power)
    down, across = (2 * r + 1 for r in reach)
    sums = xp.cumsum(_widened(power, reach[1], width), -1)
    rows = xp.concat(
        [sums[..., across - 1 : across], sums[..., across:] - sums[..., :-across]], axis=-1
    )
    rows = xp.concat([rows[..., -reach[0] :, :], rows, rows[..., : reach[0], :]], axis=-2)
    sums = xp.cumsum(rows, -2)
    boxes = xp.concat(
        [sums[..., down - 1 : down, :], sums[..., down:, :] - sums[..., :-down, :]], axis=-2
    )
    return boxes / np.float32(down * across)
