"""Frames in another data type, or with an offset, as they are read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .recording import frames_at_once


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
    """Frames in another data type, converted as they are read.

    Parameters
    ----------
    frames : object
        With shape (frames, height, width) and slices.
    dtype : str
    """

    def __init__(self, frames: Any, dtype: Any) -> None:
        self.frames, self.dtype = frames, np.dtype(dtype)
        self.shape, self.ndim = tuple(frames.shape), len(frames.shape)

    def __getitem__(self, frames: Any) -> np.ndarray:
        values = np.asarray(self.frames[frames])
        if self.dtype.kind in "ui":
            limits = np.iinfo(self.dtype)
            # float32 cannot represent the upper limits of 32-bit integers; float64 can. It cannot
            # represent those of 64 bits: the number before is the largest that does not wrap.
            high = float(limits.max)
            high = np.nextafter(high, 0) if high > limits.max else high
            values = np.clip(np.round(values.astype(np.float64)), limits.min, high)
        return values.astype(self.dtype)

    def __iter__(self) -> Iterator[np.ndarray]:
        each = frames_at_once(self.shape)
        for start in range(0, self.shape[0], each):
            yield from self[start : start + each]
