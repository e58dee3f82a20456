"""Images of Gaussian columns of atoms, drawn by seed: near a jittered grid, or on any lattice."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from ..physics.arrays import Array
from .draws import Ranges, between

# Ranges of the plane lattices: pitch in pixels, angle in rad, ratio and width in pitches.
LATTICE: Ranges = {
    "pitch": (7.0, 32.0), "angle": (math.pi / 3, math.pi / 2), "ratio": (0.75, 1.6),
    "width": (0.1, 0.24),
}  # fmt: skip


def jittered(seed: Array, size: int) -> Array:
    """Gaussian columns of variance 5 to 50 square pixels near a 32-pixel grid, randomly zoomed.

    Parameters
    ----------
    seed : (2,) int tensor
    size : int
        Height and width in pixels.

    Returns
    -------
    tf.Tensor
        (size, size), float32, non-negative.
    """
    seeds = tf.unstack(tf.random.split(seed, 3))
    zoom, filled, turn = tf.unstack(tf.random.stateless_uniform((3,), seeds[0]))
    zoom = 2.0 ** (1.2 * zoom - 1.0)
    pitch = 32.0 * zoom
    # The grid covers the field at the finest pitch and any rotation.
    side = int(size / 16.0 * 1.5) + 3
    u = tf.random.stateless_uniform((side * side, 4), seeds[1])
    grid = np.moveaxis(np.mgrid[:side, :side], 0, -1).reshape(-1, 2) - (side - 1) / 2
    sites = (np.float32(grid) + (u[:, :2] - 0.5) / 4) * pitch
    sites = sites @ _rotation(turn * math.pi / 2) + size / 2
    variance = between(u[:, 2], 5.0, 50.0) * zoom**2
    brightness = between(u[:, 3], 0.2, 1.0)
    present = tf.random.stateless_uniform((side * side,), seeds[2]) < between(filled, 0.6, 1.0)
    brightness = tf.where(present, brightness, 0.0)
    # A sum of separable Gaussians is one matrix product.
    t = tf.range(size, dtype=tf.float32)
    y, x = (tf.exp(-((t[None] - sites[:, i, None]) ** 2) / (2 * variance[:, None])) for i in (0, 1))
    return tf.matmul(y * brightness[:, None], x, transpose_a=True)


def lattice(seed: Array, size: int) -> Array:
    """One to three kinds of Gaussian columns on an oblique lattice, which ends at a line in some.

    Parameters
    ----------
    seed : (2,) int tensor
    size : int
        Height and width in pixels.

    Returns
    -------
    tf.Tensor
        (size, size), float32, non-negative.
    """
    seeds = tf.unstack(tf.random.split(seed, 4))
    u = tf.unstack(tf.random.stateless_uniform((10,), seeds[0]))
    pitch = between(u[0], *LATTICE["pitch"], logarithmic=True)
    turn, angle = math.pi * u[1], between(u[2], *LATTICE["angle"])
    ratio = between(u[3], *LATTICE["ratio"])
    cell = pitch * tf.stack([
        [tf.cos(turn), tf.sin(turn)],
        [ratio * tf.cos(turn + angle), ratio * tf.sin(turn + angle)],
    ])  # fmt: skip
    # This many cells reach every corner, even if they are very oblique.
    reach = tf.cast(0.75 * size / (pitch * tf.sin(angle) * tf.minimum(ratio, 1.0)), tf.int32)
    steps = tf.range(-reach - 3, reach + 4, dtype=tf.int32)
    cells = tf.stack(tf.meshgrid(steps, steps, indexing="ij"), axis=-1)
    cells = tf.cast(tf.reshape(cells, (-1, 2)), tf.float32)
    sites = cells @ cell + size / 2
    within = size / 2 + 1.5 * pitch * tf.maximum(ratio, 1.0)
    near = tf.reduce_all(tf.abs(sites - size / 2) < within, axis=1)
    sites = tf.boolean_mask(sites, near)
    # Half of the lattices each have displaced columns, columns of uneven height, missing columns.
    shift, uneven, missing = (
        tf.where(v < 0.5, 0.0, (2.0 * v - 1.0) * most)
        for v, most in zip(u[4:7], (0.05 * pitch, 0.2, 0.1), strict=True)
    )
    across = tf.linalg.matvec(sites - size / 2, tf.stack([tf.sin(u[7] * 9), tf.cos(u[7] * 9)]))
    missing = tf.where((u[8] < 0.75) | (across < (u[8] - 0.875) * 6 * size), missing, 1.0)
    picture, t = tf.zeros((size, size)), tf.range(size, dtype=tf.float32)
    for kind in range(3):
        own = tf.unstack(tf.random.split(tf.random.fold_in(seeds[1], kind), 2))
        place, width, height = tf.split(tf.random.stateless_uniform((4,), own[0]), (2, 1, 1))
        there = 1.0 if kind == 0 else tf.cast(u[9] < (1.0, 0.6, 0.2)[kind], tf.float32)
        normal = tf.random.stateless_normal((tf.shape(sites)[0], 4), own[1])
        found = sites + (place[None] - 0.5) @ cell + shift * normal[:, :2]
        brightness = 1.0 if kind == 0 else between(height, 0.1, 1.0)
        brightness *= there * tf.maximum(1.0 + uneven * normal[:, 2], 0.0)
        # The normal draws become uniform ones; those below the missing share are the gaps.
        gone = tf.math.erf(normal[:, 3] / math.sqrt(2.0)) * 0.5 + 0.5 < missing
        brightness = tf.where(gone, 0.0, brightness)
        width = tf.maximum(between(width, *LATTICE["width"]) * pitch, 0.8)
        y, x = (tf.exp(-((t[None] - found[:, i, None]) ** 2) / (2 * width**2)) for i in (0, 1))
        picture += tf.matmul(y * brightness[:, None], x, transpose_a=True)
    return picture


def _rotation(angle: Array) -> Array:
    return tf.stack([[tf.cos(angle), tf.sin(angle)], [-tf.sin(angle), tf.cos(angle)]])
