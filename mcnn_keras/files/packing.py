"""The arrays of a sample as compressed bytes, exactly or in 16-bit levels."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

from ..errors import reason

# A channel is rounded to multiples of a power of two that is at most its deviation divided by this:
# the error is 0.11 % of the deviation (root mean square), and 0.2 % at most.
LEVELS = 256
# Pixels that the deviation is estimated from, in addition to the standard deviation.
PROBES = 1024
MISSING, HIGHEST = 65535, 65534  # NaN, and the highest rounded value
RAW, ROUNDED = 0, 1


def packed(arrays: Sequence[np.ndarray], rounded: bool) -> bytes:
    """A sample as compressed bytes.

    Parameters
    ----------
    arrays : sequence of numpy.ndarray
        float32; the last axis holds channels.
    rounded : bool
        Of arrays with three axes, store each channel as 16-bit multiples of a power of two, the
        largest one of at most 1/256 of the channel's deviation: the smaller one of the standard
        deviation and of one that outliers and an even background do not change. NaN stays NaN, and
        zero stays zero. Arrays whose range is too wide for that are stored as they are.
    """
    import imagecodecs

    blocks = []
    for array in arrays:
        array = np.asarray(array, "<f4", order="C")
        levels = _levels(array) if rounded and array.ndim == 3 and array.size else None
        kind = RAW if levels is None else ROUNDED
        head = struct.pack(f"<BB{array.ndim}I", kind, array.ndim, *array.shape)
        blocks.append(head + (array.tobytes() if levels is None else levels))
    # Numbers of two bytes compress better with their high bytes together, and floats no worse.
    block = imagecodecs.blosc_encode(
        b"".join(blocks), level=5, compressor="lz4", shuffle=1, typesize=2 if rounded else 4
    )
    return bytes(block)


def unpacked(block: bytes) -> list[np.ndarray]:
    """The arrays of a sample from `packed`, float32.

    Raises
    ------
    ValueError
        If the bytes are not those of a sample.
    """
    import imagecodecs

    try:
        data = memoryview(imagecodecs.blosc_decode(block))
    except RuntimeError as error:  # imagecodecs' own errors are
        raise ValueError(reason(error)) from None
    arrays, at = [], 0
    while at < len(data):
        kind, axes = struct.unpack_from("<BB", data, at)
        shape = struct.unpack_from(f"<{axes}I", data, at + 2)
        at += 2 + 4 * axes
        count = int(np.prod(shape, dtype=np.int64))
        if kind == RAW:
            array = np.frombuffer(data, "<f4", count, at).astype(np.float32).reshape(shape)
            at += 4 * count
        else:
            step, lowest = np.frombuffer(data, "<f4", 2 * shape[-1], at).reshape(2, -1, 1)
            at += 8 * shape[-1]
            levels = np.frombuffer(data, "<u2", count, at).reshape(shape[-1], -1)
            at += 2 * count
            planes = levels.astype(np.float32)
            planes *= step
            planes += lowest
            planes[levels == MISSING] = np.nan
            planes = np.moveaxis(planes.reshape(shape[-1], *shape[:-1]), 0, -1)
            array = np.ascontiguousarray(planes)
        arrays.append(array)
    return arrays


def _levels(array: np.ndarray) -> bytes | None:
    """The channels' steps and lowest values, and the 16-bit multiples; None if they do not fit."""
    planes = np.array(np.moveaxis(array, -1, 0), order="C").reshape(array.shape[-1], -1)
    missing = np.isnan(planes)
    some = bool(missing.any())
    if some:
        planes[missing.all(1)] = 0.0  # a frame that is missing as a whole
    with np.errstate(over="ignore", invalid="ignore"):
        if some:
            low, high, deviation = (f(planes, 1) for f in (np.nanmin, np.nanmax, np.nanstd))
        else:  # several times as fast
            low, high, deviation = planes.min(1), planes.max(1), planes.std(1)
        deviation = np.minimum(deviation, [_robust(plane) for plane in planes])
        constant = high == low
        exponent = np.frexp(deviation / LEVELS)[1] - 1  # step <= deviation / 256 < 2 step
        step = np.where(constant, np.float32(1), np.ldexp(np.float32(1), exponent)).astype("<f4")
        first = np.round(low / step)
        told = np.stack([step, np.where(constant, low, first * step)])
        fit = (deviation >= 1e-30) | constant
        fit &= np.isfinite([low, high, deviation]).all(0)
        fit &= np.round(high / step) - first <= HIGHEST
    if not fit.all():
        return None
    levels = planes
    levels /= step[:, None]
    np.rint(levels, out=levels)
    levels -= first[:, None]
    if some:
        levels[missing] = MISSING
    return told.astype("<f4").tobytes() + levels.astype("<u2").tobytes()


def _robust(plane: np.ndarray) -> float:
    """A deviation that neither a few outliers nor a background of one value changes much."""
    probes = plane[:: plane.size // PROBES | 1]
    probes = probes[~np.isnan(probes)]
    apart = np.abs(probes - np.median(probes)) if probes.size else probes
    apart = apart[apart > 0]
    return 1.48 * float(np.median(apart)) if apart.size else np.inf
