"""A neighbour in time: moved onto a frame, and compared with it in brightness."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..physics.motion import interpolated

# The largest shift, in pixels, that is not interpolated.
NOTHING = 0.03
# The width, in pixels, of the box whose mean replaces a missing pixel in interpolation.
BOX = 4
# From which ratio on of their means or contrasts frames are of unlike brightness, if chance gives
# it hardly ever: this many deviations.
UNLIKE, SURE = 1.06, 5.0
# The share of the highest and of the lowest pixels that tell nothing of it, and about how many
# pixels tell it.
OUTLIERS, ENOUGH = 1e-3, 2**16


class Brightness(NamedTuple):
    """The least value of a frame but outliers; mean and deviation, each with its relative error."""

    low: float
    mean: tuple[float, float]
    deviation: tuple[float, float]


def brightness_ratio(frame: np.ndarray, other: np.ndarray, away: np.ndarray) -> float:
    """How many times brighter one of two frames of a field is, by what both of them show.

    Parameters
    ----------
    frame, other : (height, width) array
        NaN where pixels are missing.
    away : (2,) array
        How far down and to the right the other one is to be moved, in pixels.

    Returns
    -------
    float
        At least `UNLIKE`, or 1 for frames of like brightness. The ratio of their contrasts, which
        an offset leaves as it is; or of their means, where no values are negative.
    """
    there, here = _overlap(np.rint(away).astype(int), frame.shape)
    both = np.isfinite(frame[there]) & np.isfinite(other[here])
    first, second = (
        brightness(np.where(both, part, np.nan)) for part in (frame[there], other[here])
    )
    return ratio_of(first, second)


def ratio_of(first: Brightness, second: Brightness) -> float:
    """As `brightness_ratio`, by the frames as a whole."""
    found = _far(first.deviation, second.deviation)
    if min(first.low, second.low) >= 0:
        found = max(found, _far(first.mean, second.mean))
    return found


def brightness(frame: np.ndarray) -> Brightness:
    """The brightness of a frame, (height, width), NaN where pixels are missing."""
    each = max(1, int((frame.size / ENOUGH) ** 0.5))
    values = frame[::each, ::each]
    values = values[np.isfinite(values)].astype(np.float64)
    if not values.size:
        return Brightness(0.0, (0.0, 0.0), (0.0, 0.0))
    count = max(1, int(OUTLIERS * values.size))
    kept = np.partition(values, (count - 1, values.size - count))
    low, high = kept[count - 1], kept[values.size - count]
    if high > low:  # else few pixels differ: they are no outliers
        values = values.clip(low, high)
    mean, variance = float(values.mean()), float(values.var())
    if not variance > 0:
        return Brightness(float(low), (mean, 0.0), (0.0, 0.0))
    squares = ((values - mean) / variance**0.5) ** 2
    excess = float(np.mean(squares * squares)) - 1
    error = (variance / values.size) ** 0.5 / abs(mean) if mean else np.inf
    deviation = (variance**0.5, (excess / values.size) ** 0.5 / 2)
    return Brightness(float(low), (mean, error), deviation)


def _far(first: tuple[float, float], second: tuple[float, float]) -> float:
    """The ratio of two numbers with relative errors, at least 1; 1 if chance may give it."""
    (low, one), (high, two) = sorted((first, second))
    if not high > 0 or (low <= 0 and not np.isfinite(one + two)):
        return 1.0
    ratio = high / low if low > 0 else np.inf
    return ratio if np.log(ratio) > max(np.log(UNLIKE), SURE * np.hypot(one, two)) else 1.0


def moved(frame: np.ndarray, away: np.ndarray) -> np.ndarray:
    """A frame moved down and to the right; pixels from outside of it are NaN."""
    whole = np.rint(away).astype(int)
    parts = away - whole
    if np.abs(parts).max() > NOTHING:
        missing = np.isnan(frame)
        if missing.any():
            frame = np.where(missing, np.nan, interpolated(_filled(frame, missing), *parts))
        else:
            frame = interpolated(frame, *parts)
    return _by_pixels(frame, whole) if whole.any() else frame


def _filled(frame: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """A frame whose missing pixels are the mean of near ones, or else of the whole frame."""
    if missing.all():
        return np.zeros_like(frame)
    from scipy.ndimage import uniform_filter

    near = uniform_filter((~missing).astype(np.float32), BOX)
    values = uniform_filter(np.where(missing, 0, frame), BOX) / np.maximum(near, 1e-3)
    values = np.where(near > 1e-3, values, frame[~missing].mean())
    return np.where(missing, values, frame).astype(np.float32)


def _by_pixels(frame: np.ndarray, away: np.ndarray) -> np.ndarray:
    moved_frame = np.full_like(frame, np.nan)
    there, here = _overlap(away, frame.shape)
    moved_frame[there] = frame[here]
    return moved_frame


def _overlap(away: np.ndarray, shape: tuple[int, ...]) -> tuple[tuple[slice, ...], ...]:
    """Where a frame that is moved by whole pixels lies, and which part of it."""
    steps = list(zip(away.tolist(), shape, strict=True))
    there, here = (
        tuple(slice(max(d, 0), n + min(d, 0)) for d, n in ((sign * d, n) for d, n in steps))
        for sign in (1, -1)
    )
    return there, here
