"""Measures of how well an answer agrees with its target. Importing them takes only NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from .columns import ColumnCounts, find_columns, match_columns

__all__ = [
    "ColumnCounts", "correlation", "find_columns", "match_columns", "mean_absolute_error", "snr_db",
]  # fmt: skip


def mean_absolute_error(answer: Any, target: Any) -> float:
    """Mean of |answer - target|, in their units."""
    return float(np.mean(np.abs(np.asarray(answer, np.float64) - target)))


def correlation(answer: Any, target: Any) -> float:
    """Pearson's correlation of all pixels; 0 if either is constant.

    Parameters
    ----------
    answer, target : array
        Of the same shape. For (samples, height, width, channels), the mean of the channels'
        correlations is returned, since channels may have different units.
    """
    if np.ndim(answer) == 4:
        channels = range(np.shape(answer)[-1])
        return float(np.mean([correlation(answer[..., c], target[..., c]) for c in channels]))
    answer = np.asarray(answer, np.float64) - np.mean(answer, dtype=np.float64)
    target = np.asarray(target, np.float64) - np.mean(target, dtype=np.float64)
    size = np.sqrt(np.sum(answer**2) * np.sum(target**2))
    return float(np.sum(answer * target) / size) if size > 0 else 0.0


def snr_db(answer: Any, target: Any) -> float:
    """Signal-to-noise ratio 10 log10(sum target^2 / sum (target - answer)^2), in dB.

    Parameters
    ----------
    answer, target : array
        Of the same shape. The signal is the whole target, including its background.
    """
    target = np.asarray(target, np.float64)
    error = np.sum((target - answer) ** 2)
    signal = np.sum(target**2)
    return float(10 * np.log10(signal / error)) if error > 0 else float("inf")
