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
