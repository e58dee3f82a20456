"""What a frame's scale is made of: the pixels that are seen, their mean and deviation."""

from __future__ import annotations

import numpy as np

from ..physics import arrays
from ..physics.arrays import Array

# Greatest values of a frame whose squares neither vanish in float32 nor exceed it.
LEAST, MOST = 2.0**-20, 2.0**40


def seen_of(frame: Array) -> tuple[Array, Array]:
    """A frame with zero in pixels that are not finite, and a mask with one in finite pixels."""
    xp = arrays.of(frame)
    seen = xp.cast(xp.isfinite(frame), "float32")
    return xp.where(seen > 0, frame, xp.zeros_like(frame)), seen


def moderate(values: np.ndarray, frame: np.ndarray) -> tuple[np.ndarray, int]:
    """Values times a power of two, by which a frame's squares stay within float32; this power.

    Nothing is rounded. Values of usual size stay as they are.
    """
    peak = float(np.max(np.abs(frame), where=np.isfinite(frame), initial=0.0))
    if not peak or LEAST < peak < MOST:
        return values, 0
    power = -int(np.frexp(peak)[1])
    with np.errstate(over="ignore", under="ignore"):
        return np.ldexp(values, power), power


def moments(values: Array) -> tuple[Array, Array]:
    """Mean and standard deviation of one-dimensional values."""
    xp = arrays.of(values)
    if arrays.is_tensor(values):
        mean = xp.mean(values)
        return mean, xp.sqrt(xp.mean((values - mean) ** 2))
    mean = values.mean(dtype=np.float64)
    centred = values - np.float32(mean)
    # The sum of squares by one product, without a copy in float64.
    square = float(np.dot(centred, centred)) / centred.size
    return float(mean), square**0.5
