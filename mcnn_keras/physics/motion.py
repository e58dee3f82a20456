"""Move frames by fractions of a pixel."""

from __future__ import annotations

import numpy as np

from . import arrays
from .arrays import Array

# Number of pixels on each side that interpolation uses. With this, white noise stays nearly white;
# a shorter kernel would remove most of its high frequencies, from which noise is measured.
REACH = 4


def interpolated(frames: Array, down: Array, right: Array) -> Array:
    """Frames moved by at most half a pixel, by Lanczos interpolation; mirrored at their borders.

    Parameters
    ----------
    frames : (height, width, ...) array or tensor
        float32, finite.
    down, right : float, or (...) array or tensor
        How far the content moves, in pixels, -0.5 to 0.5.

    Returns
    -------
    array or tensor
        Of the same shape, float32.

    References
    ----------
    Duchon, Lanczos filtering in one and two dimensions, Journal of Applied Meteorology 18 (1979),
    1016.
    """
    xp = arrays.of(frames, down, right)
    for axis, away in ((0, down), (1, right)):
        distances = [k + away for k in range(-REACH, REACH + 1)]
        weights = [_weight(d) for d in distances]
        total = sum(weights)
        weights = [xp.cast(w / total, "float32") for w in weights]
        frames = xp.weighted(frames, weights, axis)
    return frames


def _weight(distance: Array) -> Array:
    """The Lanczos kernel; zero from a distance of `REACH`."""
    xp = arrays.of(distance)
    x = xp.maximum(abs(distance), 1e-6) * np.pi
    kernel = REACH * xp.sin(x) * xp.sin(x / REACH) / x**2
    return xp.where(abs(distance) < REACH, kernel, xp.zeros_like(kernel))
