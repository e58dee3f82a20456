"""Noise and artefacts of detectors and scans. The same seed gives the same noise."""

from __future__ import annotations

import tensorflow as tf

from .arrays import Array


def poisson(image: Array, dose: Array, seed: Array) -> Array:
    """Counting noise at a given dose.

    Parameters
    ----------
    image : tensor, float32
        Non-negative intensities whose mean is about one.
    dose : float or tensor
        Counts per pixel where the image is one.
    seed : (2,) int tensor

    Returns
    -------
    tf.Tensor
        Counts / dose, so that the mean is that of the image.
    """
    rate = tf.maximum(image, 0.0) * dose
    return tf.random.stateless_poisson(tf.shape(image), seed, rate, dtype=tf.float32) / dose


def camera(image: Array, dose: Array, white_noise: Array, seed: Array) -> Array:
    """Counting and white noise of a well-lit camera: normal noise with the sum of both variances.

    The normal limit of counting noise holds from about 100 counts per pixel. It is ten times as
    fast as `poisson`.

    Parameters
    ----------
    image : tensor, float32
        Intensities whose mean is about one.
    dose : float or tensor
        Counts per pixel where the image is one.
    white_noise : float or tensor
        Standard deviation of the white part, in the image's units.
    seed : (2,) int tensor

    Returns
    -------
    tf.Tensor
        Noisy image with mean `image` and variance image / dose + white_noise^2.
    """
    deviation = tf.sqrt(tf.maximum(image, 0.0) / dose + white_noise**2)
    return image + deviation * tf.random.stateless_normal(tf.shape(image), seed)


def line_jitter(image: Array, deviation: Array, seed: Array) -> Array:
    """Shift each scan line by a random distance, as an unsteady scan does.

    Parameters
    ----------
    image : (height, width) tensor
    deviation : float or tensor
        Standard deviation of the shifts, in pixels.
    seed : (2,) int tensor

    Returns
    -------
    tf.Tensor
        Interpolated linearly; a line continues with its last value beyond its ends.
    """
    height, width = image.shape
    shift = deviation * tf.random.stateless_normal((height, 1), seed)
    place = tf.clip_by_value(tf.range(width, dtype=tf.float32) + shift, 0.0, width - 1.001)
    before = tf.floor(place)
    index, share = tf.cast(before, tf.int32), place - before
    left, right = (tf.gather(image, index + i, batch_dims=1) for i in (0, 1))
    return (1.0 - share) * left + share * right


def line_offsets(image: Array, deviation: Array, seed: Array) -> Array:
    """Add a random offset to each scan line, as a flickering emitter does.

    Parameters
    ----------
    image : (height, width) tensor
    deviation : float or tensor
        Standard deviation of the offsets, in the image's units.
    seed : (2,) int tensor
    """
    return image + deviation * tf.random.stateless_normal((image.shape[0], 1), seed)


def afterglow(image: Array, decay: Array, taps: int = 10) -> Array:
    """Smear each scan line along the scan, as a detector slower than the scan does.

    Parameters
    ----------
    image : (height, width) tensor
    decay : float or tensor
        Signal of the previous pixel in a pixel, relative to its own signal: 0 to 0.7.
    taps : int
        Length of the smear in pixels, the pixel itself included. With 2, the signal reaches the
        next pixel only, and the decay may be up to 1.

    Returns
    -------
    tf.Tensor
        The sum of the image is kept, except at the ends of lines.
    """
    kernel = decay ** tf.range(taps - 1, -1, -1, dtype=tf.float32)
    kernel /= tf.reduce_sum(kernel)
    padded = tf.pad(image, ((0, 0), (taps - 1, 0)), mode="SYMMETRIC")
    return tf.nn.conv1d(padded[..., None], kernel[:, None, None], 1, "VALID")[..., 0]


def hot_pixels(image: Array, share: Array, height: Array, seed: Array) -> Array:
    """Add bright pixels that are independent of the object.

    Parameters
    ----------
    image : tensor
    share : float or tensor
        Share of the pixels that are hot.
    height : float or tensor
        Value that the brightest of them adds; the others add less.
    seed : (2,) int tensor
    """
    u = tf.random.stateless_uniform(tf.shape(image), seed)
    return image + tf.where(u < share, height * u / share, 0.0)
