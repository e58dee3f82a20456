"""Frames moved by parts of a pixel."""

from __future__ import annotations

import math

from . import arrays
from .arrays import Array

# Pixels on either side that an interpolated one depends on.
REACH = 2


def interpolated(frames: Array, down: Array, right: Array) -> Array:
    """Frames moved by half a pixel at most, by cubic convolution.

    Parameters
    ----------
    frames : (height, width, ...) array or tensor
        float32. Pixels that are not numbers are missing, and so are those beyond the rims.
    down, right : float, or (...) array or tensor
        How far the content moves, in pixels, -0.5 to 0.5.

    Returns
    -------
    array or tensor
        Of the same shape, float32. Pixels that depend on missing ones are NaN.

    References
    ----------
    Keys, Cubic convolution interpolation for digital image processing, IEEE Transactions on
    Acoustics, Speech, and Signal Processing 29 (1981), 1153.
    """
    xp = arrays.of(frames, down, right)
    size = frames.shape
    for axis, away in ((0, down), (1, right)):
        rims = [(REACH, REACH) if i == axis else (0, 0) for i in range(len(size))]
        padded = xp.filled(frames, rims, math.nan)
        frames = 0.0
        for k in range(2 * REACH + 1):
            part = padded[k : k + size[0]] if axis == 0 else padded[:, k : k + size[1]]
            frames = frames + xp.cast(_weight(abs(k - REACH + away)), "float32") * part
    return frames


def _weight(distance: Array) -> Array:
    """Keys's kernel with a = -1/2."""
    xp = arrays.of(distance)
    near = (1.5 * distance - 2.5) * distance**2 + 1.0
    far = ((-0.5 * distance + 2.5) * distance - 4.0) * distance + 2.0
    return xp.where(distance < 1.0, near, xp.where(distance < 2.0, far, 0.0))
