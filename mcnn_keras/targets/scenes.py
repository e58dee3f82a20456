"""Pictures of structures other than atoms: islands, facets, textures and interference fringes.

TensorFlow operations, random by seed, with any contrast; `mcnn_keras.targets.specimens` scales
them.
"""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from ..physics.arrays import Array
from ..physics.noise import filtered
from .draws import Ranges, between

# Ranges of these pictures; lengths are shares of the field unless another unit is given.
SCENES: Ranges = {
    "roughness": (1.6, 4.5),  # b of a random field of power 1 / f^b
    "softness": (0.03, 0.5),  # of an island's rim, in deviations of the random field
    "facet": (0.05, 0.4),  # radius
    "fringe": (3.5, 24.0),  # period, pixels
    "grain": (0.005, 0.15),  # deviation, relative to the specimen's maximum
    "grain_width": (1.0, 3.5),  # of its autocorrelation over sqrt(2), pixels; less looks like noise
}
# Share of specimens with grain.
GRAINY = 0.25
MOST_FACETS = 12
SIDES = 6


def field(seed: Array, size: int, roughness: Array) -> Array:
    """A Gaussian random field of power 1 / f^roughness, with mean zero and deviation one.

    Parameters
    ----------
    seed : (2,) int tensor
    size : int
        Height and width in pixels.
    roughness : float or tensor

    Returns
    -------
    tf.Tensor
        (size, size), float32.
    """
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    logarithm = np.log(np.where(frequency > 0, frequency, 1.0)).astype(np.float32)
    amplitude = tf.exp(-0.5 * roughness * logarithm) * np.float32(frequency > 0)
    white = tf.random.stateless_normal((2, *frequency.shape), seed)
    waves = tf.complex(white[0] * amplitude, white[1] * amplitude)
    found = tf.signal.irfft2d(waves, fft_length=(size, size))
    return found / tf.maximum(tf.math.reduce_std(found), 1e-12)


def islands(ranges: Ranges, seed: Array, size: int) -> Array:
    """Islands, films and holes of any outline: a random field cut at one or two levels.

    Parameters
    ----------
    ranges : dict
        As `SCENES`.
    seed : (2,) int tensor
    size : int
        Height and width in pixels.

    Returns
    -------
    tf.Tensor
        (size, size), float32, non-negative.
    """
    seeds = tf.unstack(tf.random.split(seed, 3))
    u = tf.unstack(tf.random.stateless_uniform((8,), seeds[0]))
    outline = field(seeds[1], size, between(u[0], 3.0, 5.0))
    texture = field(seeds[2], size, between(u[1], *ranges["roughness"]))
    width = between(u[2], *ranges["softness"], logarithmic=True)
    picture = tf.sigmoid((outline - between(u[3], -1.0, 1.6)) / width)
    second = tf.sigmoid((outline - between(u[4], 0.0, 2.0)) / width)
    picture += tf.where(u[5] < 0.4, second, 0.0)
    # A texture on the islands, and between them on half of the films.
    ground = tf.where(u[6] < 0.5, 0.0, 0.3)
    grain = tf.where(u[7] < 0.4, 0.0, 0.25 * u[7] * tf.maximum(1.0 + texture, 0.0))
    return picture * (1.0 + grain) + ground * (0.2 + grain)


def facets(ranges: Ranges, seed: Array, size: int) -> Array:
    """Crystallites at low magnification: overlapping polygons, flat or thicker in the middle.

    Parameters
    ----------
    ranges, seed, size :
        As for `islands`.

    Returns
    -------
    tf.Tensor
        (size, size), float32, non-negative.
    """
    seeds = tf.unstack(tf.random.split(seed, 3))
    count, summed, soft, ground = tf.unstack(tf.random.stateless_uniform((4,), seeds[0]))
    u = tf.random.stateless_uniform((MOST_FACETS, 6), seeds[1])[:, :, None, None]
    turns = tf.random.stateless_uniform((MOST_FACETS, SIDES, 2), seeds[2])[..., None, None]
    y, x = np.mgrid[: 1 : size * 1j, : 1 : size * 1j].astype(np.float32)
    radius = between(u[:, 0], *ranges["facet"], logarithmic=True)
    dy, dx = y - (1.2 * u[:, 1] - 0.1), x - (1.2 * u[:, 2] - 0.1)
    # The sides look into all directions, so that each polygon is closed.
    angle = 2 * math.pi / SIDES * (np.arange(SIDES)[:, None, None] + 0.8 * turns[:, :, 0])
    away = dy[:, None] * tf.sin(angle) + dx[:, None] * tf.cos(angle)
    depth = tf.reduce_min(radius[:, None] * (0.5 + 0.5 * turns[:, :, 1]) - away, axis=1)
    rim = (0.5 + 3.0 * soft) / size
    inside = tf.sigmoid(depth / rim)
    thick = tf.where(u[:, 3] < 0.5, 1.0, 0.3 + tf.maximum(depth, 0.0) / radius)
    height = inside * thick * between(u[:, 4], 0.3, 1.0)
    present = tf.range(MOST_FACETS, dtype=tf.float32) < 1.0 + count * MOST_FACETS
    height = tf.where(present[:, None, None], height, 0.0)
    picture = tf.where(summed < 0.5, tf.reduce_sum(height, axis=0), tf.reduce_max(height, axis=0))
    return picture + 0.3 * ground


def texture(ranges: Ranges, seed: Array, size: int) -> Array:
    """A rough or cloudy texture that fills the field; some consist of ridges or of grains.

    Parameters
    ----------
    ranges, seed, size :
        As for `islands`.

    Returns
    -------
    tf.Tensor
        (size, size), float32, non-negative.
    """
    seeds = tf.unstack(tf.random.split(seed, 2))
    u = tf.unstack(tf.random.stateless_uniform((2,), seeds[0]))
    found = field(seeds[1], size, between(u[0], *ranges["roughness"]))
    found = tf.where(u[1] < 0.25, tf.abs(found), tf.where(u[1] < 0.4, tf.exp(found), found))
    return found - tf.reduce_min(found)


def fringes(ranges: Ranges, seed: Array, size: int) -> Array:
    """Interference fringes of two to four waves within an envelope, as in a phase-contrast image.

    Parameters
    ----------
    ranges, seed, size :
        As for `islands`.

    Returns
    -------
    tf.Tensor
        (size, size), float32, non-negative.
    """
    seeds = tf.unstack(tf.random.split(seed, 3))
    u = tf.random.stateless_uniform((4, 4), seeds[0])
    v = tf.unstack(tf.random.stateless_uniform((4,), seeds[1]))
    y, x = np.mgrid[:size, :size].astype(np.float32) - np.float32(size / 2)
    period = between(u[:, 0], *ranges["fringe"], logarithmic=True)[:, None, None]
    angle, start = (2 * math.pi * u[:, i, None, None] for i in (1, 2))
    along = (y * tf.sin(angle) + x * tf.cos(angle)) / period
    strength = between(u[:, 3], 0.2, 1.0) * tf.constant([1.0, 1.0, 0.0, 0.0])
    more = tf.constant([0.0, 0.0, 1.0, 1.0]) * between(u[:, 3], 0.2, 1.0)
    strength += tf.where(v[0] < 0.6, more, 0.0)
    waves = tf.reduce_sum(strength[:, None, None] * tf.cos(2 * math.pi * along + start), axis=0)
    outline = field(seeds[2], size, 4.5)
    crystal = tf.sigmoid((outline - between(v[1], -2.0, 0.8)) / 0.3)
    envelope = tf.where(v[2] < 0.5, 1.0, crystal)
    ground = tf.where(v[3] < 0.5, 0.0, v[3] * outline)
    picture = envelope * waves + ground
    return picture - tf.reduce_min(picture)


def grainy(ranges: Ranges, seed: Array, picture: Array, share: Array) -> Array:
    """A specimen, with the grain of a film or of ice in some; a blank field has none.

    Parameters
    ----------
    ranges : dict
        As `SCENES`.
    seed : (2,) int tensor
    picture : (size, size) tensor
    share : float or tensor
        Share of specimens with grain.

    Returns
    -------
    tf.Tensor
        (size, size), float32, non-negative.
    """
    seeds = tf.unstack(tf.random.split(seed, 2))
    u = tf.unstack(tf.random.stateless_uniform((3,), seeds[0]))

    def with_grain() -> Array:
        width = between(u[1], *ranges["grain_width"], logarithmic=True)
        white = tf.random.stateless_normal(picture.shape, seeds[1])
        grain = between(u[2], *ranges["grain"], logarithmic=True) * filtered(white, width, width, 0)
        span = tf.reduce_max(picture) - tf.reduce_min(picture)
        return tf.maximum(picture + span * grain, 0.0)

    return tf.cond(u[0] < share, with_grain, lambda: picture)
