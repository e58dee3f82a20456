"""Disturbances that no training here simulates, for a model to learn when it is wrong.

TensorFlow code; each disturbance is in units of the image's own deviation, so that it fits any
image. The truth stays as it is.
"""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from .arrays import Array

# Limits of each, and whether they are drawn on a logarithmic scale.
COLOURS = (-2.0, 1.0)  # exponent of the spatial frequency, of the amplitude of the noise
STRENGTHS = (0.05, 3.0)  # deviation of coloured noise and of hum, in the image's deviations
FREQUENCIES = (0.02, 0.5)  # of hum, in cycles per pixel
KEPT = (0.3, 0.98)  # share of the pixels below the value at which a detector saturates
SPECKLE = (0.1, 0.8)  # deviation of the logarithm of a random gain of each pixel
WHITE = (1.0, 6.0)  # deviation of white noise, in the image's deviations


def disturbed(image: Array, seed: Array) -> Array:
    """An image with one of these: coloured noise, hum, saturation, speckle, strong white noise.

    Parameters
    ----------
    image : (height, width, channels) tensor
        NaN where pixels are missing; they stay NaN. All channels have the same kind.
    seed : (2,) int tensor
        The result is a pure function of it.
    """
    seen = tf.math.is_finite(image)
    own = tf.where(seen, image, 0.0)
    share = tf.maximum(tf.reduce_mean(tf.cast(seen, tf.float32), (0, 1)), 1e-6)
    mean = tf.reduce_mean(own, (0, 1)) / share
    away = tf.where(seen, image - mean, 0.0)
    deviation = tf.sqrt(tf.reduce_mean(away**2, (0, 1)) / share)
    seeds = tf.unstack(tf.random.split(seed, 3))
    u = tf.unstack(tf.random.stateless_uniform((6,), seeds[0]))
    noise = tf.random.stateless_normal(tf.shape(image), seeds[1])
    strength = _logarithmic(u[1], STRENGTHS) * deviation

    def speckled() -> Any:
        return (away + mean) * tf.exp(_logarithmic(u[1], SPECKLE) * noise) - mean

    def saturated() -> Any:
        at = KEPT[0] + u[2] * (KEPT[1] - KEPT[0])
        ordered = tf.sort(tf.reshape(away, (-1, tf.shape(image)[-1])), axis=0)
        place = tf.cast(at * tf.cast(tf.shape(ordered)[0], tf.float32), tf.int32)
        return tf.minimum(away, ordered[place])

    changed = tf.switch_case(
        tf.cast(u[0] * 5, tf.int32),
        [
            lambda: (
                away + strength * _coloured(noise, COLOURS[0] + u[2] * (COLOURS[1] - COLOURS[0]))
            ),
            lambda: away + math.sqrt(2) * strength * _hum(image, u[2:]),
            saturated,
            speckled,
            lambda: away + _logarithmic(u[1], WHITE) * deviation * noise,
        ],
    )
    return tf.ensure_shape(tf.where(seen, mean + changed, image), image.shape)


def _logarithmic(u: Array, limits: tuple[float, float]) -> Array:
    low, high = (math.log(limit) for limit in limits)
    return tf.exp(low + u * (high - low))


def _coloured(noise: Array, exponent: Array) -> Array:
    """White noise whose amplitudes are multiplied by a power of the frequency, deviation one."""
    shape = tf.shape(noise)
    height, width = tf.cast(shape[0], tf.float32), tf.cast(shape[1], tf.float32)
    fy = tf.range(height) / height
    fy = tf.minimum(fy, 1.0 - fy)
    fx = tf.range(shape[1] // 2 + 1)
    radius = tf.sqrt(fy[:, None] ** 2 + (tf.cast(fx, tf.float32) / width)[None] ** 2)
    gain = tf.maximum(radius, 1.0 / tf.maximum(height, width)) ** exponent
    waves = tf.signal.rfft2d(tf.transpose(noise, (2, 0, 1)))
    found = tf.signal.irfft2d(waves * tf.cast(gain, tf.complex64), shape[:2])
    found -= tf.reduce_mean(found, (1, 2), keepdims=True)
    found /= tf.maximum(tf.math.reduce_std(found, (1, 2), keepdims=True), 1e-12)
    return tf.transpose(found, (1, 2, 0))


def _hum(image: Array, u: list[Array]) -> Array:
    """A plane wave across the field, the same in all channels."""
    frequency, turn = _logarithmic(u[0], FREQUENCIES), 2 * math.pi * u[1]
    shape = tf.shape(image)
    y, x = tf.cast(tf.range(shape[0]), tf.float32), tf.cast(tf.range(shape[1]), tf.float32)
    along = y[:, None] * tf.sin(turn) + x[None] * tf.cos(turn)
    return tf.sin(2 * math.pi * (frequency * along + u[2]))[..., None]
