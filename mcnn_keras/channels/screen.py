"""A linear estimate of the picture on a screen, from a photograph of the wall that it lights."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..physics import arrays
from ..physics.arrays import Array
from ..physics.wall import SCREEN_CELLS, Scene, screen_filter


def screen_estimate(
    photographs: Array,
    conditions: Mapping[str, Array],
    scene: Mapping[str, Any],
    gamma: float,
    aim: float,
    automatic: float,
    corner: float,
) -> Array:
    """The estimate of the screen from a photograph of the wall, by a Wiener filter.

    The gamma curve and the automatic exposure are undone, the light is summed over cells, and the
    scene's geometry is inverted. The network adds details, which the wall does not show.

    Parameters
    ----------
    photographs : (..., height, width, 3) array or tensor
        0..1: the height is 9/16 of the width in the middle rows; rows above and below are mirrored.
    conditions : dict
        Not used.
    scene : dict
        Fields of `mcnn_keras.physics.wall.Scene`.
    gamma : float
        Of photographs and of the screen: value = light^(1/gamma).
    aim, automatic : float
        The mean light of a photograph is aim times that of the wall to the power (1 - automatic);
        that of a white screen is one.
    corner : float
        Light at the corner of the view, relative to the middle.

    Returns
    -------
    array or tensor
        (..., height, width, 3), 0..1.
    """
    xp = arrays.of(photographs)
    matrix, offset = _filter(tuple(sorted((k, _fixed(v)) for k, v in scene.items())), corner)
    height, width, colours = photographs.shape[-3:]
    within = width * 9 // 16
    over_rows, to_rows = _weights(height, (height - within) // 2, within, SCREEN_CELLS[0])
    over_columns, to_columns = _weights(width, 0, width, SCREEN_CELLS[1])
    light = xp.maximum(photographs, np.float32(0.0)) ** gamma
    rows = xp.einsum("ih,...hwk->...iwk", over_rows, light)
    cells = xp.einsum("jw,...iwk->...ijk", over_columns, rows)
    level = xp.maximum(xp.mean(cells, axis=(-3, -2, -1)), np.float32(1e-6))
    cells = cells * ((level / aim) ** (1 / (1 - automatic)) / level)
    outer = [-1] if len(photographs.shape) > 3 else []
    cells = xp.reshape(cells, [*outer, matrix.shape[1], colours])
    screen = xp.einsum("ij,...jk->...ik", matrix, cells) + offset[:, None]
    screen = xp.clip(screen, 1e-6, 1.0) ** (1 / gamma)
    screen = xp.reshape(screen, [*outer, *SCREEN_CELLS, colours])
    rows = xp.einsum("hi,...ijk->...hjk", to_rows, screen)
    return xp.einsum("wj,...hjk->...hwk", to_columns, rows)


def _fixed(value: Any) -> Any:
    return tuple(value) if isinstance(value, (list, tuple)) else value


@functools.lru_cache(8)
def _filter(scene: tuple, corner: float) -> tuple[np.ndarray, np.ndarray]:
    return screen_filter(Scene(**dict(scene)), SCREEN_CELLS, corner)


def _weights(pixels: int, first: int, length: int, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights that sum pixels over cells, (cells, pixels), and that interpolate, (pixels, cells).

    The cells cover `length` pixels, starting at `first`.
    """
    spacing = length / cells
    centres = (np.arange(cells) + 0.5) * spacing + first - 0.5
    positions = (np.arange(pixels) + 0.5 - first) / spacing - 0.5
    return _triangles(centres, pixels, max(spacing, 1)), _triangles(positions, cells, 1)


def _triangles(positions: np.ndarray, n: int, reach: float) -> np.ndarray:
    apart = np.clip(positions, 0, n - 1)[:, None] - np.arange(n)
    weights = np.maximum(1 - np.abs(apart) / reach, 0)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)
