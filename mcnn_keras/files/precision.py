"""What float32 keeps of the values in a file, and of masked ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import InputError

# What float32 may lose of wide types, in deviations of a frame: from where on an offset is taken
# out of them, and how much is refused.
WORTH, MOST_LOST = 1e-4, 1e-3
# What rounding a result to float32 may add, in deviations of a frame, before an offset is taken out
# of values that float32 holds exactly.
ROUNDED = 1e-2
# The share of the highest and of the lowest pixels that tell nothing of a frame's deviation, and
# how many pixels tell it.
OUTLIERS, ENOUGH = 1e-3, 2**16
# Least deviation of a frame, in steps of its type, that is no rounding of a constant.
STEPS = 0.5
# The range of float32, with room for sums and differences.
LEAST, MOST = 1e-35, 1e38


def offset_of(data: Any) -> float:
    """What to subtract from frames so that float32 keeps what they show; 0 where it does anyway.

    Parameters
    ----------
    data : object
        With shape (frames, ...), dtype and slices; the first, middle and last frame are read.

    Raises
    ------
    InputError
        If the offset is so large that float64 does not keep what they show either.
    """
    if np.dtype(data.dtype).itemsize < 4:
        return 0.0
    count, means, far = data.shape[0], [], False
    for i in sorted({0, count // 2, count - 1}):
        try:
            frame = np.asarray(data[i : i + 1])
        except Exception:  # of any type for damaged data; told when the frame is read
            continue
        share, mean, deviation = _lost(frame, strict=True)
        rounded = deviation > 0 and _step(mean) / 12**0.5 > ROUNDED * deviation
        if rounded and not _float64_holds(frame):
            raise InputError(
                f"values about {mean:.6g} with a deviation of {deviation:.3g} lose their digits in "
                "float64; subtract their least value from them first"
            )
        means.append(mean)
        far = far or share > WORTH or rounded
    offset = float(np.median(means)) if far else 0.0
    # Of integers, one of them: differences are integers, too.
    return float(np.rint(offset)) if np.dtype(data.dtype).kind in "iu" else offset


def narrowed(values: np.ndarray, name: Any, strict: bool = False) -> np.ndarray:
    """Values, (frames, ...), as float32.

    Parameters
    ----------
    values : (frames, ...) array
    name : object
        Of their file.
    strict : bool
        Also of frames that are nearly constant; by default, what is near the rounding of sums in
        float64 counts as a constant.

    Raises
    ------
    InputError
        If they differ by so little that float32 does not tell them apart, or are larger or smaller
        than it can hold.
    """
    with np.errstate(over="ignore", under="ignore"):
        kept = values.astype(np.float32, copy=False)
    if is_wide(values.dtype):
        if values.dtype.kind == "f":
            _require_range(values, kept, name)
        share, mean, deviation = _lost(values, strict)
        if share > MOST_LOST:
            raise InputError(
                f"{name}: values about {mean:.6g} with a deviation of {deviation:.3g} lose their "
                f"digits in float32; subtract {mean:.6g} from them first"
            )
    return kept


def less_offset(values: np.ndarray, offset: float) -> np.ndarray:
    """Values minus an offset, in float64; as they are without one."""
    return values - np.float64(offset) if offset else values


def without_mask(images: Any) -> np.ndarray:
    """An array; masked pixels of a `numpy.ma.MaskedArray` are missing, so NaN."""
    if not np.ma.is_masked(images) or images.dtype.kind not in "buif":
        return np.asarray(images)
    return images.astype(np.result_type(images.dtype, np.float32)).filled(np.nan)


def is_wide(dtype: np.dtype) -> bool:
    """Whether a type holds more digits than float32."""
    dtype = np.dtype(dtype)
    return dtype.itemsize > 4 or (dtype.kind in "iu" and dtype.itemsize == 4)


def _require_range(values: np.ndarray, kept: np.ndarray, name: Any) -> None:
    """Refuse frames whose values float32 has no numbers for; single pixels become infinite."""
    for value, other in zip(values, kept, strict=True):
        seen = np.isfinite(value)
        large = seen & ~np.isfinite(other)
        some = value[seen]
        if large.sum() > OUTLIERS * some.size:
            peak = float(np.abs(some).max())
            raise InputError(
                f"{name}: values up to {peak:.3g} are larger than float32 can hold; divide them by "
                f"{10.0 ** np.floor(np.log10(peak)):.0e} first"
            )
        if some.size and 0 < (peak := float(np.abs(some).max())) < LEAST:
            raise InputError(
                f"{name}: values up to {peak:.3g} are smaller than float32 can hold; multiply them "
                f"by {10.0 ** -np.floor(np.log10(peak)):.0e} first"
            )


def _lost(values: np.ndarray, strict: bool = False) -> tuple[float, float, float]:
    """What float32 loses, in deviations of the frames; their mean, and this deviation.

    That of the frame with the greatest deviation. Outliers do not count.
    """
    share, mean, deviation = 0.0, 0.0, 0.0
    for value in values:
        value = value[np.isfinite(value)]
        sample = value[:: max(1, value.size // ENOUGH)]
        own, middle, loss = _usual(sample, strict)
        if not own > 0 and sample.size < value.size:
            own, middle, loss = _usual(value, strict)  # few pixels differ
        if own > deviation:
            share, mean, deviation = loss / own, middle, own
    return share, mean, deviation


def _usual(values: np.ndarray, strict: bool) -> tuple[float, float, float]:
    """Deviation and mean of values without outliers, and what float32 loses of them.

    A deviation near the rounding of the type, or of sums in it, is that of a constant frame: zero.
    """
    with np.errstate(over="ignore", under="ignore"):
        kept = values.astype(np.float32)
    held = np.isfinite(kept)
    values, kept = values[held].astype(values.dtype.newbyteorder("="), copy=False), kept[held]
    if not values.size:
        return 0.0, 0.0, 0.0
    lost, away = values.astype(np.float64) - kept, _differences(values)
    low, high = np.quantile(away, (OUTLIERS, 1 - OUTLIERS))
    usual = (away >= low) & (away <= high)
    first, least = float(values[0]), 0.0
    if values.dtype.kind == "f":
        level = abs(first + float(np.median(away)))
        step = float(np.spacing(values.dtype.type(level)))
        least = 1e-12 * level if values.dtype.itemsize > 4 and not strict else STEPS * step
    for part in (usual, np.full(away.shape, True)):  # where few pixels differ, they are no outliers
        own, mean = float(away[part].std()), first + float(away[part].mean())
        if own > least:
            return own, mean, float(lost[part].std())
    return 0.0, mean, 0.0


def _step(value: float) -> float:
    """The distance of neighbouring numbers of float32 at a value."""
    return float(np.spacing(np.float32(min(abs(value), MOST))))


def _differences(values: np.ndarray) -> np.ndarray:
    """What values are above the first, in float64, without a loss before that of the type."""
    if values.dtype.kind in "iu" and values.dtype.itemsize == 8:
        return (values - values[0]).view(np.int64).astype(np.float64)  # beyond float64's digits
    return values.astype(np.float64) - float(values[0])


def _float64_holds(frame: np.ndarray) -> bool:
    """Whether float64 holds every value."""
    if frame.dtype.kind not in "iu" or frame.dtype.itemsize < 8:
        return True
    return bool(np.abs(frame.astype(np.float64)).max(initial=0) <= 2.0**53)
