"""Tiles, for images larger than the network takes at once.

A model that scales each frame by itself (denoising) gets tiles of its largest training size, each
with its own scale, blended over 16 pixels. (Over 32 pixels, the signal-to-noise ratio of the
results is 0.02 to 0.06 dB higher, in a quarter more time.) For all other models the whole field is
normalised and gets its fixed channels. The network then gets tiles of a fixed size, with margins
as wide as its receptive radius. So the result is that of the whole field, on every machine.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from ..channels import network_input
from ..errors import InputError
from ..models import ModelCard
from ..models.card import OVERLAP
from .engines import measured_radius
from .memory import compute

# Number of pixels of the images or tiles that are computed together.
PIXELS = 2**18
# Bytes that the light network needs per pixel of a tile.
BYTES = 400


def choose_size(engine: Any, shape: Sequence[int], asked: int | None = None) -> int | None:
    """The height and width of the tiles for an image; None for the image in one piece.

    Parameters
    ----------
    engine : engine
    shape : tuple of int
        Shape of the image.
    asked : int, optional
        The size that the user gave.

    Raises
    ------
    InputError
        If the given size is not a multiple of the network's stride.
    """
    if asked is not None and (asked < engine.stride or asked % engine.stride):
        raise InputError(
            f"tile size {asked} is not a multiple of {engine.stride}, the network's stride; give "
            f"for example {max(1, asked // engine.stride) * engine.stride}"
        )
    size = asked or engine.card.tile.size
    return None if max(shape) <= size else size


def pad(images: np.ndarray, stride: int, card: ModelCard) -> tuple[np.ndarray, tuple[slice, slice]]:
    """Mirror the images up to a multiple of the stride; also returns where to cut the result.

    Images larger than those in training are extended by at least one stride on each side. Near the
    border, the network's zero padding changes the coarsest features, which would draw a frame into
    the result.
    """
    widths, inner, scale = [], [], card.scale
    margin = stride if max(images.shape[1:3]) > card.largest_trained else 0
    for n in images.shape[1:3]:
        total = -(-(n + 2 * margin) // stride) * stride
        before = (total - n) // 2
        widths.append((before, total - n - before))
        inner.append(slice(scale * before, scale * (before + n)))
    if not any(sum(width) for width in widths):
        return images, (inner[0], inner[1])
    padded = np.pad(images, ((0, 0), *widths, (0, 0)), mode="symmetric")
    return padded, (inner[0], inner[1])


def blended(
    engine: Any,
    image: np.ndarray,
    size: int,
    tick: Callable[[int], None] = lambda tiles: None,
    conditions: Mapping[str, Any] | None = None,
) -> np.ndarray:
    """Invert a large image in overlapping tiles with their own scales, a row at a time.

    The coarsest features then get fields of the same size as in training, and an image may contain
    regions of any brightness.

    Parameters
    ----------
    engine : engine
    image : (height, width, channels) array
    size : int
        Size of the tiles.
    tick : callable
        Called with the number of tiles that were done since the last call.
    conditions : dict, optional
        Conditions of the measurement.

    Returns
    -------
    numpy.ndarray
        (height, width, outputs), float32.
    """
    card = engine.card
    scale, outputs = card.scale, len(card.outputs)
    height, width = (min(n, size) for n in image.shape[:2])
    rows, columns = (
        tile_starts(n, t, card.tile.overlap or OVERLAP)
        for n, t in zip(image.shape[:2], (height, width), strict=True)
    )
    # The weight of a tile falls towards its borders.
    down, across = (
        (np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 2 + 1e-3).astype(np.float32)
        for n in (scale * height, scale * width)
    )
    weight = (down[:, None] * across)[..., None]
    total = np.zeros((*(scale * n for n in image.shape[:2]), outputs), np.float32)
    each = max(1, PIXELS // (height * width))
    works = [
        (y, columns[first : first + each]) for y in rows for first in range(0, len(columns), each)
    ]

    def prepare(y: int, some: np.ndarray) -> tuple[np.ndarray, Any, list[Any]]:
        tiles = [card.normalization.apply(image[y : y + height, x : x + width]) for x in some]
        batch, inner = pad(np.stack([t for t, _ in tiles]), engine.stride, card)
        batch = network_input(batch.astype(np.float32, copy=False), card.channels, conditions or {})
        return batch, inner, [scale for _, scale in tiles]

    with ThreadPoolExecutor(1) as ahead:
        ready = ahead.submit(prepare, *works[0])
        for (y, some), following in zip(works, [*works[1:], None], strict=True):
            batch, inner, scales = ready.result()
            if following is not None:
                ready = ahead.submit(prepare, *following)
            answers = compute(engine, batch)[(slice(None), *inner)]
            for x, answer, own in zip(some, answers, scales, strict=True):
                place = tuple(
                    slice(scale * a, scale * (a + n)) for a, n in ((y, height), (x, width))
                )
                total[place] += weight * card.normalization.result(answer, own)
            tick(len(some))
    sums = []
    for starts, ramp, n in ((rows, down, image.shape[0]), (columns, across, image.shape[1])):
        sums.append(np.zeros(scale * n, np.float32))
        for start in starts:
            sums[-1][scale * start : scale * start + len(ramp)] += ramp
    total /= sums[0][:, None, None]
    total /= sums[1][None, :, None]
    return total


def tile_starts(length: int, tile: int, overlap: int = OVERLAP) -> np.ndarray:
    """First pixels of tiles that cover a length with at least the given overlap.

    Parameters
    ----------
    length, tile : int
        Length of the image and of a tile along one axis, in pixels.
    overlap : int
        In pixels; at most an eighth of the tile.
    """
    count = 1 + -(-(length - tile) // (tile - min(overlap, tile // 8)))
    return np.linspace(0, length - tile, count).round().astype(int)


def joined(
    engine: Any,
    image: np.ndarray,
    size: int,
    tick: Callable[[int], None] = lambda tiles: None,
    conditions: Mapping[str, Any] | None = None,
) -> np.ndarray:
    """Invert a large image in tiles with halos as wide as the network's receptive radius.

    Parameters
    ----------
    engine : engine
    image : (height, width, channels) array
    size : int
        Size of the tiles, without halos.
    tick : callable
        As for `blended`.
    conditions : dict, optional
        Conditions of the measurement.

    Returns
    -------
    numpy.ndarray
        (height, width, outputs), float32.
    """
    card, stride = engine.card, engine.stride
    normalized, own = card.normalization.apply(image)
    batch, inner = pad(normalized[None], stride, card)
    field = network_input(batch.astype(np.float32, copy=False), card.channels, conditions or {})[0]
    scale, halo = card.scale, _halo(engine)
    answer = np.empty((*(scale * n for n in field.shape[:2]), len(card.outputs)), np.float32)
    # Tiles start at multiples of the stride, as the network's own grid does.
    for y in range(0, field.shape[0], size):
        for x in range(0, field.shape[1], size):
            around, within, place = [], [], []
            for start, n in ((y, field.shape[0]), (x, field.shape[1])):
                stop = min(start + size, n)
                first, last = max(0, start - halo), min(n, stop + halo)
                around.append(slice(first, last))
                within.append(slice(scale * (start - first), scale * (stop - first)))
                place.append(slice(scale * start, scale * stop))
            tile = np.ascontiguousarray(field[tuple(around)])[None]
            answer[tuple(place)] = engine.compute(tile)[0][tuple(within)]
            tick(1)
    return card.normalization.result(answer[inner], own)


def _halo(engine: Any) -> int:
    return -(-overlap(engine) // engine.stride) * engine.stride


def overlap(engine: Any) -> int:
    """The receptive radius of the network in pixels: from the card, or measured once."""
    tile = engine.card.tile
    if tile.overlap is None:
        tile = dataclasses.replace(tile, overlap=measured_radius(engine))
        engine.card.tile = tile
    return tile.overlap


def count(engine: Any, shape: Sequence[int], size: int) -> int:
    """The number of tiles of an image, (height, width)."""
    if engine.card.normalization.per_frame:
        return int(
            np.prod(
                [
                    len(tile_starts(n, min(n, size), engine.card.tile.overlap or OVERLAP))
                    for n in shape
                ]
            )
        )
    padded = pad(np.empty((1, *shape, 0)), engine.stride, engine.card)[0].shape[1:3]
    return int(np.prod([-(-n // size) for n in padded]))


def estimate(engine: Any, shape: Sequence[int], size: int) -> tuple[float, float]:
    """The time and memory that an image in tiles will need.

    Parameters
    ----------
    engine : engine
    shape : tuple of int
        Height and width of the image.
    size : int
        Of the tiles.

    Returns
    -------
    seconds : float
        Estimated from the time of one batch of tiles.
    memory : float
        In bytes, in addition to the program: image, channels, result and the network's features.
    """
    card = engine.card
    per_frame = card.normalization.per_frame
    side = size if per_frame else size + 2 * _halo(engine)
    together = max(1, PIXELS // size**2) if per_frame else 1
    channels = card.network["input_channels"]
    batch = np.zeros((together, side, side, channels), np.float32)
    engine.compute(batch)
    began = time.perf_counter()
    engine.compute(batch)
    seconds = (time.perf_counter() - began) / together * count(engine, shape, size)
    held = 2 * (channels + len(card.outputs))
    return seconds, 4 * int(np.prod(shape)) * held + BYTES * together * side**2
