"""Random draws within stated ranges."""

from __future__ import annotations

import math
from collections.abc import Mapping

import tensorflow as tf

from ..physics.arrays import Array

# Lowest and highest value, by name.
Ranges = Mapping[str, tuple[float, float]]


def either_way(u: Array, low: Array, high: Array) -> Array:
    """Scale uniform draws in 0..1 to low..high, of either sign.

    Parameters
    ----------
    u : tensor
        Draws in 0..1.
    low, high : float or tensor
        The range of the magnitude.
    """
    return tf.sign(2 * u - 1) * between(tf.abs(2 * u - 1), low, high)


def between(u: Array, low: Array, high: Array, logarithmic: bool = False) -> Array:
    """Scale uniform draws in 0..1 to low..high.

    Parameters
    ----------
    u : tensor
        Draws in 0..1.
    low, high : float or tensor
        The range. A logarithmic range consists of positive numbers, not tensors.
    logarithmic : bool
        Spread the draws evenly over the logarithm of the range.
    """
    if logarithmic:
        return low * tf.exp(u * math.log(high / low))
    return low + u * (high - low)
