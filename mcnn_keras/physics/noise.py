"""Noise and artefacts of detectors and scans. The same seed gives the same noise."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from .arrays import Array

# Length of the tail of a slow detector's signal, in pixels.
TAIL = 24


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
        Length of the smear in pixels, including the pixel itself. With 2, the signal reaches the
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
        Value added to the brightest hot pixel; the others get less.
    seed : (2,) int tensor
    """
    u = tf.random.stateless_uniform(tf.shape(image), seed)
    return image + tf.where(u < share, height * u / share, 0.0)


def filtered(image: Array, down: Array, across: Array, decay: Array) -> Array:
    """Correlate noise with mean zero between pixels; the variance of white noise is kept.

    Parameters
    ----------
    image : (height, width) tensor
        Noise only.
    down, across : float or tensor
        Standard deviations of a Gaussian point spread, in pixels, up to 3.
    decay : float or tensor
        Share that a pixel passes to the next one along the scan, as in a slow detector: 0 to 0.95.

    Returns
    -------
    tf.Tensor
        (height, width), float32.
    """
    reach = 9
    t = np.arange(-reach, reach + 1, dtype=np.float32)
    column = tf.exp(-(t**2) / (2 * tf.maximum(down, 0.05) ** 2))
    row = tf.exp(-(t**2) / (2 * tf.maximum(across, 0.05) ** 2))
    # The direction of the tail does not matter for noise.
    tail = decay ** np.arange(TAIL, dtype=np.float32)
    image = tf.pad(image, ((reach, reach), (reach + TAIL - 1, reach)), mode="SYMMETRIC")
    for kernel, shape in ((column, (-1, 1, 1, 1)), (row, (1, -1, 1, 1)), (tail, (1, -1, 1, 1))):
        kernel /= tf.sqrt(tf.reduce_sum(kernel**2))
        image = tf.nn.conv2d(
            image[None, ..., None] if image.shape.rank == 2 else image,
            tf.reshape(kernel, shape), 1, "VALID",
        )  # fmt: skip
    return image[0, ..., 0]


def resampled(image: Array, factor: Array, turn: Array, cubic: Array) -> Array:
    """Noise of a frame that was enlarged or rotated after it was recorded.

    Parameters
    ----------
    image : (size, size) tensor
        Noise only, with a standard deviation of one.
    factor : float or tensor
        Factor of the enlargement, 1 to 3.
    turn : float or tensor
        Rotation in rad, by linear interpolation.
    cubic : bool tensor
        Whether it was enlarged by cubic interpolation, or by linear.

    Returns
    -------
    tf.Tensor
        (size, size), float32, with a standard deviation of one.
    """
    size = image.shape[0]
    kept = tf.cast(tf.math.ceil(size / factor), tf.int32)
    part = image[:kept, :kept, None]
    image = tf.where(
        cubic,
        tf.image.resize(part, (size, size), "bicubic"),
        tf.image.resize(part, (size, size), "bilinear"),
    )
    image = moved(image[..., 0], tf.zeros((1, 2)), tf.reshape(turn, [1]))[0]
    return image / tf.maximum(tf.math.reduce_std(image), 1e-6)


def moved(picture: Array, away: Array, turn: Array) -> Array:
    """A picture shifted and rotated about its middle, mirrored at its borders.

    Parameters
    ----------
    picture : (size, size) tensor
    away : (frames, 2) tensor
        Shifts down and to the right, in pixels.
    turn : (frames,) tensor
        In rad.

    Returns
    -------
    tf.Tensor
        (frames, size, size), interpolated linearly.
    """
    size, frames = picture.shape[0], away.shape[0]
    centre = (size - 1) / 2
    cos, sin = tf.cos(turn), tf.sin(turn)
    down, right = away[:, 0] + centre, away[:, 1] + centre
    # Where each output pixel is taken from: x' = cos (x - right) + sin (y - down) + centre, ...
    zero = tf.zeros_like(turn)
    transforms = tf.stack([
        cos, sin, centre - cos * right - sin * down,
        -sin, cos, centre + sin * right - cos * down,
        zero, zero,
    ], axis=1)  # fmt: skip
    found = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.tile(picture[None, ..., None], (frames, 1, 1, 1)),
        transforms=transforms, output_shape=(size, size), interpolation="BILINEAR",
        fill_mode="REFLECT", fill_value=0.0,
    )  # fmt: skip
    return tf.reshape(found, (frames, size, size))


def missing_places(seed: Array, size: int) -> Array:
    """Missing pixels of a frame: lines, crosses, rims, or burned-in marks.

    Parameters
    ----------
    seed : (2,) int tensor
    size : int
        Height and width in pixels.

    Returns
    -------
    tf.Tensor
        (size, size), bool, with one kind of fault.
    """
    u = tf.unstack(tf.random.stateless_uniform((8,), seed))
    y, x = np.mgrid[:size, :size].astype(np.float32)
    kind = tf.cast(u[0] * 5, tf.int32)
    width = 1.0 + tf.floor(u[1] ** 2 * 16)
    start_y, start_x = tf.floor(u[2] * size), tf.floor(u[3] * size)
    down = (y >= start_y) & (y < start_y + width)
    across = (x >= start_x) & (x < start_x + width)
    turn, middle = 2 * math.pi * u[4], (size - 1) / 2
    side = (y - middle) * tf.sin(turn) + (x - middle) * tf.cos(turn)
    high, wide = 4.0 + 0.25 * size * u[5], 4.0 + 0.4 * size * u[6]
    box = (y >= start_y) & (y < start_y + high) & (x >= start_x) & (x < start_x + wide)
    round_ = ((y - start_y) / high) ** 2 + ((x - start_x) / high) ** 2 < 1
    return tf.switch_case(kind, [
        # Flyback at the left, or a few columns or rows anywhere.
        lambda: tf.where(u[7] < 0.5, x < width, tf.where(u[7] < 0.8, across, down)),
        lambda: across | down,
        lambda: side > (0.42 + 0.25 * u[5]) * size,  # the corner of a rotated frame
        lambda: (y < width * u[5]) | (x < width * u[6]),  # the rims of a shifted frame
        lambda: tf.where(u[7] < 0.6, box, round_),
    ])  # fmt: skip
