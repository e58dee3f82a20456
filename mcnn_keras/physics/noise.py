"""What a detector adds to an image. Each function takes a seed: same seed, same noise."""

import tensorflow as tf


def poisson(image, dose, seed):
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
        Counts / dose, so that the mean stays the image's.
    """
    rate = tf.maximum(image, 0.0) * dose
    return tf.random.stateless_poisson(tf.shape(image), seed, rate, dtype=tf.float32) / dose


def camera(image, dose, white_noise, seed):
    """Counting and white noise of a well-lit camera: normal noise of both variances together.

    The normal limit of counting noise holds from about 100 counts a pixel, and is ten times as
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
        Of mean `image` and variance image / dose + white_noise^2.
    """
    deviation = tf.sqrt(tf.maximum(image, 0.0) / dose + white_noise**2)
    return image + deviation * tf.random.stateless_normal(tf.shape(image), seed)


def line_jitter(image, deviation, seed):
    """Shift each scan line by its own small distance, as an unsteady scan does.

    Parameters
    ----------
    image : (height, width) tensor
    deviation : float or tensor
        Standard deviation of the shifts, in pixels.
    seed : (2,) int tensor

    Returns
    -------
    tf.Tensor
        Interpolated linearly; beyond its ends a line goes on with its last value.
    """
    height, width = image.shape
    shift = deviation * tf.random.stateless_normal((height, 1), seed)
    place = tf.clip_by_value(tf.range(width, dtype=tf.float32) + shift, 0.0, width - 1.001)
    before = tf.floor(place)
    index, share = tf.cast(before, tf.int32), place - before
    left, right = (tf.gather(image, index + i, batch_dims=1) for i in (0, 1))
    return (1.0 - share) * left + share * right


def line_offsets(image, deviation, seed):
    """Add an offset of its own to each scan line: the flicker of the emitter.

    Parameters
    ----------
    image : (height, width) tensor
    deviation : float or tensor
        Standard deviation of the offsets, in the image's units.
    seed : (2,) int tensor
    """
    return image + deviation * tf.random.stateless_normal((image.shape[0], 1), seed)


def afterglow(image, decay, taps=10):
    """Smear each scan line along the scan, as a detector slower than the scan does.

    Parameters
    ----------
    image : (height, width) tensor
    decay : float or tensor
        What a pixel shows of the one before it, in parts of what it shows of itself: 0 to 0.7.
    taps : int
        Pixels over which it reaches; with 2, a pixel's charge falls into the next at most, and
        the decay may be up to 1.

    Returns
    -------
    tf.Tensor
        Of the same sum but for what leaves at the end of a line.
    """
    kernel = decay ** tf.range(taps - 1, -1, -1, dtype=tf.float32)
    kernel /= tf.reduce_sum(kernel)
    padded = tf.pad(image, ((0, 0), (taps - 1, 0)), mode="SYMMETRIC")
    return tf.nn.conv1d(padded[..., None], kernel[:, None, None], 1, "VALID")[..., 0]


def hot_pixels(image, share, height, seed):
    """Add bright pixels that have nothing to do with the object.

    Parameters
    ----------
    image : tensor
    share : float or tensor
        Of the pixels.
    height : float or tensor
        What the highest of them adds; the others add less.
    seed : (2,) int tensor
    """
    u = tf.random.stateless_uniform(tf.shape(image), seed)
    return image + tf.where(u < share, height * u / share, 0.0)
