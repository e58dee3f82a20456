"""Procedural target pictures, which add variety to a small set of photographs. NumPy, seeded.

Each function takes (rng, size) and returns a (size, size) float32 picture in 0..1. `cells`,
`flakes` and `beads` lie on an empty background of exact zeros, as most phase objects do.
"""

from __future__ import annotations

from typing import Any

import numpy as np

# Rows and columns of a part of a picture.
Region = tuple[slice, slice]


def fractal(rng: np.random.Generator, size: int) -> np.ndarray:
    """A texture whose power falls as 1 / f^beta, beta between 2 (rough) and 4 (cloudy)."""
    return _stretch(_fractal(rng, size, rng.uniform(2, 4)))


def dead_leaves(rng: np.random.Generator, size: int) -> np.ndarray:
    """Overlapping ellipses of all sizes, the model of occlusion in natural images (Lee 2001)."""
    picture = np.full((size, size), rng.uniform(), np.float32)
    smallest, largest = 0.01 * size, 0.4 * size
    for _ in range(2000):
        # Radii distributed as r^-3 make the picture look the same at every scale.
        u = rng.uniform()
        radius = 1 / np.sqrt(u / smallest**2 + (1 - u) / largest**2)
        region, inside = _ellipse(rng, size, radius)
        shade = rng.uniform() + rng.uniform(-0.2, 0.2) * np.linspace(-1, 1, inside.shape[1])
        picture[region] = np.where(inside, shade, picture[region])
    return _stretch(picture)


def blobs(rng: np.random.Generator, size: int) -> np.ndarray:
    """A smooth random field cut at two levels: regions of any shape with smooth borders."""
    field = _fractal(rng, size, 4.5)
    field /= field.std()
    width = rng.uniform(0.02, 0.3)
    steps = (np.tanh((field - level) / width) for level in rng.uniform(-1, 1, 2))
    return _stretch(sum(steps) + rng.uniform(0, 0.5) * field)


def cells(rng: np.random.Generator, size: int) -> np.ndarray:
    """Flat cells with a nucleus, granules and a textured body, on an empty background."""
    picture = np.zeros((size, size), np.float32)
    texture = _stretch(_fractal(rng, size, rng.uniform(1.5, 3))) - 0.5
    granules = _stretch(_fractal(rng, size, rng.uniform(0.8, 1.6))) - 0.5
    for _ in range(rng.integers(2, 6)):
        radius = size * rng.uniform(0.08, 0.3)
        centre = rng.uniform(0.2, 0.8, 2) * size
        body = _outline(rng, size, centre, radius)
        height = np.clip(body, 0, None) ** rng.uniform(0.3, 1.0)
        height *= 1 + rng.uniform(0, 1.5) * texture + rng.uniform(0, 1.0) * granules
        nucleus = centre + rng.uniform(-0.3, 0.3, 2) * radius
        _add_dome(height, nucleus, radius * rng.uniform(0.15, 0.35), rng.uniform(0, 1))
        picture += rng.uniform(0.4, 1.0) * np.where(body > 0, height, 0)
    return _stretch(np.clip(picture, 0, None))


def flakes(rng: np.random.Generator, size: int) -> np.ndarray:
    """Thin crystals with straight edges and constant thickness, stacked, on an empty background."""
    picture = np.zeros((size, size), np.float32)
    for _ in range(rng.integers(8, 40)):
        centre = rng.uniform(0.1, 0.9, 2) * size
        radius = size * rng.uniform(0.04, 0.25)
        region, y, x = _box(size, centre, radius)
        inside = y**2 + x**2 < radius**2
        for angle in rng.uniform(0, 2 * np.pi, rng.integers(4, 9)):
            side = radius * rng.uniform(0.4, 0.8)
            inside = inside & (y * np.sin(angle) + x * np.cos(angle) < side)
        picture[region] += rng.uniform(0.2, 1.0) * inside
    return _stretch(picture)


def beads(rng: np.random.Generator, size: int) -> np.ndarray:
    """Single spheres and dust particles on an empty background."""
    picture = np.zeros((size, size), np.float32)
    for _ in range(rng.integers(20, 80)):
        centre = rng.uniform(0, size, 2)
        _add_dome(picture, centre, rng.uniform(2, 0.05 * size), rng.uniform(0.2, 1.0))
    return _stretch(picture)


def mask(rng: np.random.Generator, size: int) -> np.ndarray:
    """The soft-edged silhouette of one cell, to cut an object out of a photograph."""
    centre = rng.uniform(0.35, 0.65, 2) * size
    body = _outline(rng, size, centre, size * rng.uniform(0.2, 0.4))
    return np.clip(body / rng.uniform(0.02, 0.5), 0, 1).astype(np.float32)


FAMILIES = (fractal, dead_leaves, blobs, cells, flakes, beads)


def _grid(size: int) -> np.ndarray:
    return np.mgrid[:size, :size].astype(np.float32)


def _stretch(picture: np.ndarray) -> np.ndarray:
    low, high = picture.min(), picture.max()
    return ((picture - low) / max(high - low, 1e-6)).astype(np.float32)


def _fractal(rng: np.random.Generator, size: int, beta: float) -> np.ndarray:
    """A Gaussian random field of power 1 / f^beta."""
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    frequency[0, 0] = np.inf
    noise = rng.standard_normal((size, size // 2 + 1, 2), dtype=np.float32)
    spectrum = (noise[..., 0] + 1j * noise[..., 1]) * frequency ** (-beta / 2)
    return np.fft.irfft2(spectrum, s=(size, size)).astype(np.float32)


def _box(size: int, centre: np.ndarray, radius: float) -> tuple[Region, Any, Any]:
    """The part of the picture within `radius` of a centre: its slices and coordinates."""
    (cy, cx), reach = centre, radius + 1
    rows = slice(int(max(0, cy - reach)), int(max(0, min(size, cy + reach))))
    columns = slice(int(max(0, cx - reach)), int(max(0, min(size, cx + reach))))
    y, x = np.ogrid[rows, columns]
    return (rows, columns), y - cy, x - cx


def _ellipse(rng: np.random.Generator, size: int, radius: float) -> tuple[Region, np.ndarray]:
    """The slices of the bounding box of a random ellipse, and the mask within the box."""
    region, y, x = _box(size, rng.uniform(-0.1, 1.1, 2) * size, radius)
    angle, stretch = rng.uniform(0, np.pi), rng.uniform(1, 3)
    u = y * np.cos(angle) + x * np.sin(angle)
    v = (x * np.cos(angle) - y * np.sin(angle)) * stretch
    return region, u**2 + v**2 < radius**2


def _add_dome(picture: np.ndarray, centre: np.ndarray, radius: float, height: float) -> None:
    """Add the projected thickness of a sphere."""
    region, y, x = _box(len(picture), centre, radius)
    picture[region] += height * np.sqrt(np.clip(1 - (y**2 + x**2) / radius**2, 0, None))


def _outline(rng: np.random.Generator, size: int, centre: np.ndarray, radius: float) -> np.ndarray:
    """One minus the distance from the centre in units of a random contour: positive inside."""
    y, x = _grid(size)
    stretch, turn = rng.uniform(1, 2), rng.uniform(0, np.pi)
    u = (y - centre[0]) * np.cos(turn) + (x - centre[1]) * np.sin(turn)
    v = ((x - centre[1]) * np.cos(turn) - (y - centre[0]) * np.sin(turn)) * stretch
    # The contour is a table over the angle, since a Fourier series at each pixel would be slow.
    angles = np.linspace(-np.pi, np.pi, 721)
    contour = np.ones_like(angles)
    roughness = rng.uniform(0.05, 0.3)
    for order in range(2, 9):
        phase = rng.uniform(0, 2 * np.pi)
        contour += rng.normal(0, roughness / order) * np.cos(order * angles + phase)
    contour = np.interp(np.arctan2(v, u), angles, np.clip(contour, 0.2, None))
    return 1 - np.hypot(u, v) / (radius * contour.astype(np.float32))
