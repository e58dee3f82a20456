"""The arrays of measured pairs: read from files, told from one another, and held for training."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from ..files import open_recording


def channels_of(path: Path) -> tuple[np.ndarray, str]:
    """All channels of a file as one image, (height, width, channels), float32; its stored type."""
    with open_recording(path, force=True) as recording:
        return recording.read_channels(), recording.dtype.name


def stack_of(name: str) -> tuple[list[np.ndarray], str]:
    """The images of a file, each (height, width, channels); their stored type."""
    with open_recording(name, force=True) as recording:
        frames, stored = recording.read(), recording.dtype.name
        if len(recording.axes) == 4 and not recording.axes[-3].name:  # channels come last
            return list(frames.reshape([a.size for a in recording.axes])), stored
        if len(recording.axes) == 4:  # the channels of each image
            frames = frames.reshape(-1, recording.axes[-3].size, *recording.size)
            return list(np.moveaxis(frames, 1, -1)), stored
        return list(frames[..., None]), stored


def statistics(arrays: Sequence[np.ndarray]) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel over images of any size."""
    count = sum(a.shape[0] * a.shape[1] for a in arrays)
    mean = sum(a.sum((0, 1), dtype=np.float64) for a in arrays) / count
    variance = sum(((a - mean) ** 2).sum((0, 1), dtype=np.float64) for a in arrays) / count
    deviation = np.sqrt(variance)
    # A constant channel is not scaled.
    deviation[deviation <= 1e-6 * np.abs(mean)] = 1.0
    return mean.tolist(), deviation.tolist()


def digest_of(array: np.ndarray) -> str:
    """What tells an array from others of the same name."""
    digest = hashlib.blake2b(f"{array.shape}".encode(), digest_size=8)
    digest.update(array.tobytes())
    return digest.hexdigest()


def same_scale(one: Any, other: Any) -> bool:
    """Whether two scales are the same, up to the rounding of sums."""
    told, known = ({**n.config(), "kind": 0, "limits": 0} for n in (one, other))
    return told.keys() == known.keys() and all(
        np.shape(told[n]) == np.shape(known[n]) and np.allclose(told[n], known[n], rtol=1e-4)
        for n in known
    )


def held(arrays: Sequence[np.ndarray]) -> tuple[Any, Any, Any]:
    """Images of any size in one block: their values, shapes, and start positions."""
    starts = np.cumsum([0, *(a.size for a in arrays)])[:-1]
    return (
        tf.constant(np.concatenate([a.ravel() for a in arrays])),
        tf.constant(np.array([a.shape for a in arrays], np.int32)),
        tf.constant(starts.astype(np.int64)),
    )
