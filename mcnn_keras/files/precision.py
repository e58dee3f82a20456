"""What float32 keeps of values in wider types, and of masked ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import InputError

# What float32 may lose of wide types, in deviations of a frame: from where on an offset is taken
# out of them, and how much is refused.
WORTH, MOST_LOST = 1e-4, 1e-3


def offset_of(data: Any) -> float:
    """What to subtract from frames so that float32 keeps what they show; 0 where it does anyway.

    Parameters
    ----------
    data : object
        With shape (frames, ...), dtype and slices; the first, middle and last frame are read.
    """
    if not is_wide(data.dtype):
        return 0.0
    count, means, most = data.shape[0], [], 0.0
    for i in sorted({0, count // 2, count - 1}):
        try:
            frame = np.asarray(data[i : i + 1])
        except Exception:  # of any type for damaged data; told when the frame is read
            continue
        share, mean, _ = _lost(frame, frame.astype(np.float32))
        means.append(mean)
        most = max(most, share)
    return float(np.median(means)) if most > WORTH else 0.0


def narrowed(values: np.ndarray, name: Any) -> np.ndarray:
    """Values, (frames, ...), as float32.

    Raises
    ------
    InputError
        If they differ by so little that float32 does not tell them apart.
    """
    kept = values.astype(np.float32, copy=False)
    if is_wide(values.dtype):
        share, mean, deviation = _lost(values, kept)
        if share > MOST_LOST:
            raise InputError(
                f"{name}: values about {mean:.6g} with a deviation of {deviation:.3g} lose their "
                f"digits in float32; subtract {mean:.6g} from them first"
            )
    return kept


def without_mask(images: Any) -> np.ndarray:
    """An array; masked pixels of a `numpy.ma.MaskedArray` are missing, so NaN."""
    if not np.ma.is_masked(images) or images.dtype.kind not in "buif":
        return np.asarray(images)
    return images.astype(np.result_type(images.dtype, np.float32)).filled(np.nan)


def is_wide(dtype: np.dtype) -> bool:
    """Whether a type holds more digits than float32."""
    dtype = np.dtype(dtype)
    return dtype.itemsize > 4 or (dtype.kind in "iu" and dtype.itemsize == 4)


def _lost(values: np.ndarray, kept: np.ndarray) -> tuple[float, float, float]:
    """What float32 loses, in deviations of the frames; their mean, and this deviation."""
    share, mean, deviation = 0.0, 0.0, 0.0
    for value, other in zip(values, kept, strict=True):
        there = np.isfinite(other)
        value, other = value[there].astype(np.float64), other[there]
        own = float(value.std()) if value.size else 0.0
        if own > deviation:
            deviation, mean = own, float(value.mean())
            share = float((value - other).std())
    # Differences near float64's own rounding are those of a constant frame.
    if not deviation > 1e-12 * abs(mean):
        return 0.0, mean, deviation
    return share / deviation, mean, deviation
