"""Random draws within stated ranges."""

import math

import tensorflow as tf


def between(u, low, high, logarithmic=False):
    """Scale uniform draws in 0..1 to low..high.

    Parameters
    ----------
    u : tensor
        Draws in 0..1.
    low, high : float or tensor
        The range; numbers, positive ones, where it is logarithmic.
    logarithmic : bool
        Spread the draws evenly over the range's logarithm.
    """
    if logarithmic:
        return low * tf.exp(u * math.log(high / low))
    return low + u * (high - low)
