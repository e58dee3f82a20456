"""Frames in another data type, or with an offset, as they are read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..errors import InputError
from .recording import frames_at_once

# Shares of pixels that do not fit a data type: up to where that is usual, as a denoiser goes a
# little below zero; and from where on nothing is written.
FEW_LOST, MOST_LOST = 1e-3, 0.5
# What conversion may change, in deviations of a frame; rounding to integers changes by 0.29.
COARSE = 0.1


class Shifted:
    """Frames with an offset added in float64, as they are read.

    Parameters
    ----------
    frames : object
        With shape (frames, height, width) and slices.
    offset : float
    """

    def __init__(self, frames: Any, offset: float) -> None:
        self.frames, self.offset = frames, np.float64(offset)
        self.shape, self.dtype = tuple(frames.shape), np.dtype(np.float64)

    def __getitem__(self, frames: Any) -> np.ndarray:
        return np.asarray(self.frames[frames]) + self.offset


class Part:
    """Some frames of each group of frames, as they are read.

    Parameters
    ----------
    frames : object
        With shape (frames, height, width) and slices.
    group : int
        Frames of a group, which follow each other.
    first, count : int
        Which frames of each group.
    """

    def __init__(self, frames: Any, group: int, first: int, count: int) -> None:
        self.frames, self.group, self.first, self.count = frames, group, first, count
        self.shape = (frames.shape[0] // group * count, *frames.shape[1:])
        self.dtype, self.ndim = np.dtype(frames.dtype), len(self.shape)

    def __getitem__(self, frames: Any) -> np.ndarray:
        if isinstance(frames, tuple):  # of frames and of the rest
            return self[frames[0]][(slice(None), *frames[1:])]
        wanted = np.arange(self.shape[0])[frames]
        if not len(wanted):
            return np.empty((0, *self.shape[1:]), self.dtype)
        at = wanted // self.count * self.group + self.first + wanted % self.count
        return np.asarray(self.frames[int(at[0]) : int(at[-1]) + 1])[at - at[0]]


class Converted:
    """Frames in another data type, converted as they are read; counts what does not fit.

    Parameters
    ----------
    frames : object
        With shape (frames, height, width) and slices.
    dtype : str
    name : str
        How messages call the frames.

    Raises
    ------
    InputError
        When they are read, once more than half of the pixels do not fit the type.
    """

    def __init__(self, frames: Any, dtype: Any, name: str = "the result") -> None:
        self.frames, self.dtype, self.name = frames, np.dtype(dtype), name
        self.shape, self.ndim = tuple(frames.shape), len(frames.shape)
        self._seen = self._lost = 0
        self._low, self._high = np.inf, -np.inf
        # Of the frame where each is largest: what conversion changes, and how much values vary.
        self._change = self._spread = 0.0

    def __getitem__(self, frames: Any) -> np.ndarray:
        values = np.asarray(self.frames[frames])
        if np.can_cast(values.dtype, self.dtype, "safe"):
            return values.astype(self.dtype, copy=False)
        if self.dtype.kind in "ui":
            limits = np.iinfo(self.dtype)
            # float32 cannot represent the upper limits of 32-bit integers; float64 can. It cannot
            # represent those of 64 bits: the number before is the largest that does not wrap.
            high = float(limits.max)
            high = np.nextafter(high, 0) if high > limits.max else high
            rounded = np.round(values.astype(np.float64))
            fits = (rounded >= limits.min) & (rounded <= high)  # not NaN, which becomes 0
            rounded[np.isnan(rounded)] = 0
            converted = np.clip(rounded, limits.min, high).astype(self.dtype)
        else:
            with np.errstate(over="ignore"):  # counted
                converted = values.astype(self.dtype)
            fits = np.isfinite(converted) | ~np.isfinite(values)
        self._count(values, converted, fits)
        return converted

    def __iter__(self) -> Iterator[np.ndarray]:
        each = frames_at_once(self.shape)
        for start in range(0, self.shape[0], each):
            yield from self[start : start + each]

    def _count(self, values: np.ndarray, converted: np.ndarray, fits: np.ndarray) -> None:
        finite = np.isfinite(values)
        if finite.any():
            self._low = min(self._low, float(values[finite].min()))
            self._high = max(self._high, float(values[finite].max()))
        self._seen += values.size
        self._lost += values.size - int(np.count_nonzero(fits))
        if self._lost > MOST_LOST * np.prod(self.shape, dtype=np.int64):
            raise InputError(f"most of {self._told()}; {self._mend()}")
        fits &= finite
        for frame, other, there in zip(values, converted, fits, strict=True):
            if there.any():
                own = frame[there].astype(np.float64)
                change = float(np.sqrt(np.mean((own - other[there]) ** 2)))
                self._change = max(self._change, change)
                self._spread = max(self._spread, float(own.std()))

    def _told(self) -> str:
        """What does not fit."""
        if self.dtype.kind in "ui":
            limits: Any = np.iinfo(self.dtype)
            low, high = str(limits.min), str(limits.max)
        else:
            limits = np.finfo(self.dtype)
            low, high = f"{limits.min:.5g}", f"{limits.max:.5g}"
        return (
            f"{self.name} does not fit {self.dtype.name} ({low} to {high}): its values are "
            f"{self._low:.5g} to {self._high:.5g}"
        )

    def _mend(self) -> str:
        other = "float64" if self.dtype.name == "float32" else "float32"
        return f"choose another --dtype (dtype= in Python), {other} for example"

    def lines(self) -> list[str]:
        """Lines for the user about what was lost, once all was read."""
        found = []
        if self._lost:
            share = self._lost / self._seen
            integers = self.dtype.kind in "ui"
            warning = "" if integers and share < FEW_LOST else "Warning: "
            found.append(
                f"{warning}{100 * share:.2g} % of {self._told()}; these pixels are "
                f"{'clipped' if integers else 'infinite'}; {self._mend()}"
            )
        if self._change > COARSE * self._spread:
            found.append(
                f"Warning: as {self.dtype.name}, the values of {self.name} change by "
                f"{self._change:.2g}, and they vary by {self._spread:.2g} only; {self._mend()}"
            )
        return found
