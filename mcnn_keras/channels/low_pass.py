"""Blurred copies of a frame, input channels of the denoising network of Wang et al. (2020)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..physics import arrays
from ..physics.arrays import Array

REACH = 7


def _profiles() -> list[np.ndarray]:
    """The four filters along one axis, 15 pixels each, with sum one; all four are separable."""
    x = np.arange(-REACH, REACH + 1)
    profiles = [
        1.0 * (np.abs(x) <= 2),  # 5x5 ones
        1.0 * (np.abs(x) <= 3),  # 7x7 ones
        np.exp(-(x**2) / np.sqrt(20)),
        np.exp(-(x**2) / np.sqrt(30)),
    ]
    return [p / p.sum() for p in profiles]


def low_pass(frames: Array, conditions: Mapping[str, Array]) -> Array:
    """Four blurred copies: averages over 5x5 and 7x7 pixels, and two Gaussians.

    Parameters
    ----------
    frames : (..., height, width, 1) array or tensor
        float32; mirrored at their borders.
    conditions : dict
        Not used.

    Returns
    -------
    array or tensor
        (..., height, width, 4), float32.
    """
    xp = arrays.of(frames)
    height, width = frames.shape[-3:-1]
    widths = [(0, 0)] * (len(frames.shape) - 3) + [(REACH, REACH)] * 2
    padded = xp.pad(frames[..., 0], widths)
    copies = []
    for profile in _profiles():
        weights = [(i, np.float32(w)) for i, w in enumerate(profile) if w > 0]
        rows = sum(w * padded[..., i : i + height, :] for i, w in weights)
        copies.append(sum(w * rows[..., i : i + width] for i, w in weights))
    return xp.stack(copies, axis=-1)
