"""STEM frames with the faults of real frames, by a separate simulator in NumPy and SciPy.

It shares no code with the package's simulator, so that networks trained on the package's frames
can be tested independently.

    clean = specimen("lattice", rng)                   # one of SPECIMENS
    frame, truth = KINDS["hot 1 %"](clean, -3, rng)    # truth is NaN where pixels are burned in
    movie = sequence("drifting", rng)                  # clean, one of SEQUENCES

Images have values from 0 to 1. An SNR is the variance of the clean image to that of the noise.
"""

from __future__ import annotations

from collections.abc import Callable

import imageio.v3 as iio
import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter, map_coordinates, rotate
from scipy.signal import lfilter
from scipy.spatial import cKDTree

Pair = tuple[np.ndarray, np.ndarray]
Kind = Callable[[np.ndarray, float, np.random.Generator], Pair]


def specimen(name: str, rng: np.random.Generator, size: int = 128) -> np.ndarray:
    """Draw a clean image: (size, size) values from 0 to 1.

    Parameters
    ----------
    name : str
        One of `SPECIMENS`.
    rng : numpy.random.Generator
    size : int
        Height and width in pixels.
    """
    image = SPECIMENS[name](rng, size)
    image = image - min(image.min(), 0)
    return image / image.max()


def at_snr(
    clean: np.ndarray, snr_db: float, rng: np.random.Generator, counting: bool = True
) -> np.ndarray:
    """Add noise without correlations, in the image's own scale.

    Parameters
    ----------
    clean : (height, width) array
        Not negative, for counting noise.
    snr_db : float
        Variance of the clean image to that of the noise.
    rng : numpy.random.Generator
    counting : bool
        Counts of electrons, or normal noise of the same strength everywhere.
    """
    variance = clean.var() * 10 ** (-snr_db / 10)
    if not counting:
        return clean + rng.normal(0, variance**0.5, clean.shape)
    dose = clean.mean() / variance
    return rng.poisson(clean * dose) / dose


def sequence(
    kind: str, rng: np.random.Generator, frames: int = 15, size: int = 128, drift: float = 0.8
) -> np.ndarray:
    """Draw a clean sequence: (frames, size, size) values from 0 to 1.

    Parameters
    ----------
    kind : str
        One of `SEQUENCES`.
    rng : numpy.random.Generator
    frames : int
    size : int
        Height and width of a frame in pixels.
    drift : float
        The fastest motion of a drifting specimen, in pixels per frame.
    """
    return SEQUENCES[kind](rng, frames, size, drift)


# Specimens


def _spots(sites: np.ndarray, heights: np.ndarray, width: float, size: int) -> np.ndarray:
    grid = np.arange(size)
    y, x = (np.exp(-((grid - sites[:, i, None]) ** 2) / (2 * width**2)) for i in (0, 1))
    return (y * heights[:, None]).T @ x


def _columns(rng: np.random.Generator, size: int, inside: Callable | None = None) -> np.ndarray:
    """One or two kinds of Gaussian columns on a lattice, a third of them with disorder."""
    pitch = rng.uniform(9, 26)
    angle, shear = rng.uniform(0, np.pi), rng.uniform(np.pi / 3, np.pi / 2)
    a = pitch * np.array([np.cos(angle), np.sin(angle)])
    b = pitch * rng.uniform(0.8, 1.4) * np.array([np.cos(angle + shear), np.sin(angle + shear)])
    reach = size // 4
    cells = np.stack(np.mgrid[-reach : reach + 1, -reach : reach + 1], -1).reshape(-1, 2)
    image = np.zeros((size, size))
    for kind in range(rng.integers(1, 3)):
        sites = cells @ np.stack([a, b]) + size / 2 + rng.uniform(0, 1, 2) @ np.stack([a, b])
        sites += rng.normal(0, rng.choice([0, 0, 0.03]) * pitch, sites.shape)
        sites = sites[(np.abs(sites - size / 2) < size / 2 + 16).all(1)]
        width = pitch * rng.uniform(0.12, 0.22)
        heights = (1, rng.uniform(0.2, 0.8))[kind] * (1 + rng.normal(0, 0.05, len(sites)))
        if inside is not None:
            heights = heights * inside(sites)
        image += _spots(sites, heights.clip(0), width, size)
    return image


def _field(rng: np.random.Generator, size: int, power: float) -> np.ndarray:
    """A random field whose amplitudes fall with a power of the frequency, with deviation one."""
    fy, fx = np.fft.fftfreq(2 * size)[:, None], np.fft.rfftfreq(2 * size)
    falling = np.maximum(np.hypot(fy, fx), 0.5 / size) ** -power
    white = np.fft.rfft2(rng.normal(size=(2 * size, 2 * size)))
    field = np.fft.irfft2(white * falling)[:size, :size]  # half of it, so that it has no period
    return (field - field.mean()) / field.std()


def _film(rng: np.random.Generator, size: int) -> np.ndarray:
    """An amorphous film with mean one: grain, and a thickness that varies slowly."""
    grain = gaussian_filter(rng.normal(size=(size, size)), rng.uniform(0.8, 2.5), mode="wrap")
    grain *= rng.uniform(0.05, 0.3) / grain.std()
    return (1 + grain + rng.uniform(0, 0.4) * _field(rng, size, 2)).clip(0)


def _blob(rng: np.random.Generator, size: int) -> Callable:
    """The height of a particle with a wavy outline, from 0 outside of it to 1."""
    centre = size * rng.uniform(0.35, 0.65, 2)
    radius, orders = size * rng.uniform(0.18, 0.42), np.arange(2, 6)
    waves, phases = rng.normal(0, 0.12, 4) / orders**0.5, rng.uniform(0, 2 * np.pi, 4)
    flatness = rng.uniform(0.1, 0.6)

    def height(sites: np.ndarray) -> np.ndarray:
        y, x = (sites - centre).T
        angle = np.arctan2(y, x)[:, None]
        edge = radius * (1 + np.sum(waves * np.cos(orders * angle + phases), 1))
        inside = np.hypot(y, x) / np.maximum(edge, 1)
        return (1 - np.minimum(inside, 1) ** 2) ** flatness * (inside < 1)

    return height


def _cluster(rng: np.random.Generator, size: int) -> np.ndarray:
    columns = _columns(rng, size, _blob(rng, size))
    return columns / max(columns.max(), 1e-6) + rng.uniform(0.03, 0.4) * _film(rng, size)


def _lone_atoms(rng: np.random.Generator, size: int) -> np.ndarray:
    count = int(np.exp(rng.uniform(np.log(5), np.log(80))) * (size / 128) ** 2) + 1
    sites, heights = rng.uniform(0, size, (count, 2)), rng.choice(rng.uniform(0.3, 1, 2), count)
    image = _spots(sites, heights, rng.uniform(1.3, 3.5), size)
    return image + rng.choice([0, rng.uniform(0.02, 0.3)]) * _film(rng, size)


def _particles(rng: np.random.Generator, size: int) -> np.ndarray:
    """Overlapping balls, ellipsoids and polygons, with their projected thickness."""
    y, x = np.mgrid[:size, :size]
    image = np.zeros((size, size))
    scale = size * np.exp(rng.uniform(np.log(0.04), np.log(0.2)))
    for _ in range(rng.integers(4, 40)):
        cy, cx = rng.uniform(-0.05, 1.05, 2) * size
        radius, turn = scale * rng.uniform(0.6, 1.5), rng.uniform(0, np.pi)
        u = ((y - cy) * np.cos(turn) + (x - cx) * np.sin(turn)) / radius
        v = ((x - cx) * np.cos(turn) - (y - cy) * np.sin(turn)) / radius
        shape = rng.integers(3)
        if shape < 2:
            v = v * (1, rng.uniform(1, 2.5))[shape]
            thickness = np.sqrt(np.maximum(1 - u**2 - v**2, 0))
        else:
            sides = np.arange(corners := rng.integers(3, 8)) * 2 * np.pi / corners
            sides = sides + rng.normal(0, 0.15, corners)
            away = np.max([u * np.cos(s) + v * np.sin(s) for s in sides], axis=0)
            thickness = np.clip((1 - away) * rng.uniform(1, 6), 0, 1)
        image += radius / scale * rng.uniform(0.5, 1) * thickness
    image = gaussian_filter(image, rng.uniform(0.4, 1.5), mode="nearest")
    return image + image.max() * rng.choice([0, rng.uniform(0.02, 0.2)]) * _film(rng, size)


def _film_edges(rng: np.random.Generator, size: int) -> np.ndarray:
    """Regions with one value each, between straight or curved edges, sharp or smooth."""
    y, x = np.mgrid[:size, :size] / size + rng.choice([0, 0.05]) * _field(rng, size, 2.5)
    regions = cKDTree(rng.uniform(0, 1, (rng.integers(2, 14), 2)))
    image = rng.uniform(0, 1, regions.n)[regions.query(np.stack([y, x], -1))[1]]
    return gaussian_filter(image, rng.choice([0.3, 0.8, 2, 4]), mode="nearest")


def _texture(rng: np.random.Generator, size: int) -> np.ndarray:
    """A random field, unchanged, clipped, or as a pattern of two values."""
    field = _field(rng, size, rng.uniform(0.8, 2.2))
    field = gaussian_filter(field, rng.uniform(0.7, 3), mode="nearest")
    way = rng.integers(3)
    if way == 1:
        field = np.clip(field, -0.7, 0.7)
    elif way == 2:
        field = gaussian_filter((field > rng.normal(0, 0.3)).astype(float), 0.8, mode="nearest")
    return field - field.min()


def _fringes(rng: np.random.Generator, size: int) -> np.ndarray:
    """Waves that interfere, brighter in some parts than in others."""
    y, x = np.mgrid[:size, :size]
    wave = np.ones((size, size), complex)
    for _ in range(rng.integers(1, 4)):
        turn, frequency = rng.uniform(0, 2 * np.pi), 2 * np.pi / rng.uniform(4, 20)
        phase = frequency * (y * np.cos(turn) + x * np.sin(turn)) + rng.uniform(0, 2 * np.pi)
        phase = phase + rng.choice([0, 0.6]) * _field(rng, size, 2.5)
        wave += rng.uniform(0.2, 0.9) * np.exp(1j * phase)
    envelope = 0.5 + 0.5 * np.tanh(rng.uniform(0.3, 3) * (_field(rng, size, 2.5) + 0.5))
    return np.abs(wave) ** 2 * envelope


SPECIMENS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "lattice": _columns,
    "cluster on film": _cluster,
    "lone atoms": _lone_atoms,
    "particles": _particles,
    "film edges": _film_edges,
    "texture": _texture,
    "fringes": _fringes,
}


# Kinds of frames


def _with(clean: np.ndarray, snr_db: float, noise: np.ndarray) -> np.ndarray:
    """Noise, scaled to an SNR."""
    strength = clean.std() * 10 ** (-snr_db / 20)
    return clean + (noise - noise.mean()) * strength / noise.std()


def _correlated(sigma: float) -> Kind:
    def kind(clean, snr_db, rng):
        noise = gaussian_filter(rng.normal(size=clean.shape), sigma, mode="wrap")
        return _with(clean, snr_db, noise), clean

    return kind


def _scan(clean: np.ndarray, snr_db: float, rng: np.random.Generator) -> Pair:
    height, width = clean.shape
    noise = lfilter([1], [1, -0.85], rng.normal(size=(height, width + 64)), axis=1)[:, 64:]
    return _with(clean, snr_db, noise), clean


def _resized(image: np.ndarray, size: int) -> np.ndarray:
    """Cubic interpolation to size x size pixels of the same field."""
    places = (np.arange(size) + 0.5) * len(image) / size - 0.5
    return map_coordinates(image, np.meshgrid(places, places, indexing="ij"), mode="nearest")


def _resampled(factor: float) -> Kind:
    def kind(clean, snr_db, rng):
        small = gaussian_filter(clean, 0.4 * factor, mode="nearest")
        small = _resized(small, round(len(clean) / factor)).clip(0)
        return _resized(at_snr(small, snr_db, rng), len(clean)), clean

    return kind


def _jitter(clean: np.ndarray, snr_db: float, rng: np.random.Generator) -> Pair:
    y, x = np.mgrid[: clean.shape[0], : clean.shape[1]].astype(float)
    x += rng.normal(0, rng.uniform(0.5, 2), (len(clean), 1))
    moved = map_coordinates(clean, [y, x], mode="nearest").clip(0)
    return at_snr(moved, snr_db, rng), clean


def _recorded(change: Callable[[np.ndarray, np.ndarray, np.random.Generator], Pair]) -> Kind:
    """Counting noise, followed by a change (frame, clean, rng) -> (frame, truth)."""
    return lambda clean, snr_db, rng: change(at_snr(clean, snr_db, rng), clean, rng)


def _rotated(frame: np.ndarray, clean: np.ndarray, rng: np.random.Generator) -> Pair:
    angle = rng.choice([-1, 1]) * rng.uniform(2, 8)
    images = (frame, clean, np.ones_like(clean))
    frame, clean, seen = (rotate(image, angle, reshape=False, order=1) for image in images)
    return frame, np.where(seen > 0.99, clean, np.nan)  # the corners show nothing


def _burned(frame: np.ndarray, clean: np.ndarray, where: np.ndarray, value: ArrayLike) -> Pair:
    """The frame with a burned-in value, and the truth with NaN in these pixels."""
    return np.where(where, value, frame), np.where(where, np.nan, clean)


def _flyback(frame: np.ndarray, clean: np.ndarray, rng: np.random.Generator) -> Pair:
    left = np.broadcast_to(np.arange(frame.shape[1]) < 3, frame.shape)
    return _burned(frame, clean, left, 2 * frame.max())


def _cross(frame: np.ndarray, clean: np.ndarray, rng: np.random.Generator) -> Pair:
    row, column = (rng.integers(n // 4, n * 3 // 4) + np.arange(8) for n in frame.shape)
    where = np.zeros(frame.shape, bool)
    where[row] = where[:, column] = True
    return _burned(frame, clean, where, 0)


def _text(frame: np.ndarray, clean: np.ndarray, rng: np.random.Generator) -> Pair:
    height, width = frame.shape
    draw = ImageDraw.Draw(picture := Image.new("L", (width, height)))
    draw.rectangle((8, height - 12, 8 + int(rng.integers(20, 50)), height - 9), fill=255)
    draw.text((8, height - 25), f"{rng.integers(1, 10)} nm", fill=255)
    radius, x, y = (int(rng.integers(8, 16)), *(int(n) for n in rng.integers(30, width - 30, 2)))
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=255, width=2)
    return _burned(frame, clean, np.asarray(picture) > 127, frame.max())


def _bytes(frame: np.ndarray, share: float) -> np.ndarray:
    low, high = np.percentile(frame, (share, 100 - share))
    return np.round(255 * np.clip((frame - low) / (high - low), 0, 1)).astype(np.uint8)


def _jpeg(frame: np.ndarray, clean: np.ndarray, rng: np.random.Generator) -> Pair:
    stored = iio.imwrite("<bytes>", _bytes(frame, 0.1), extension=".jpg", quality=70)
    return iio.imread(stored, extension=".jpg").astype(float), clean


def _gamma(frame: np.ndarray, clean: np.ndarray, rng: np.random.Generator) -> Pair:
    low, high = frame.min(), frame.max()
    frame, clean = (((image - low) / (high - low)).clip(0) ** 0.6 for image in (frame, clean))
    return frame, clean


KINDS: dict[str, Kind] = {
    "white": lambda clean, snr_db, rng: (at_snr(clean, snr_db, rng, counting=False), clean),
    "correlated 0.5": _correlated(0.5),
    "correlated 0.8": _correlated(0.8),
    "resampled 1.3": _resampled(1.3),
    "resampled 2": _resampled(2),
    "rotated": _recorded(_rotated),
    "scan AR 0.85": _scan,
    "jitter": _jitter,
    "flyback": _recorded(_flyback),
    "cross": _recorded(_cross),
    "hot 1 %": _recorded(
        lambda f, clean, rng: _burned(f, clean, rng.random(f.shape) < 0.01, f + 20 * f.std())
    ),
    "8 bit": _recorded(lambda frame, clean, rng: (_bytes(frame, 1).astype(float), clean)),
    "jpeg": _recorded(_jpeg),
    "gamma": _recorded(_gamma),
    "text": _recorded(_text),
    "inverted": lambda clean, snr_db, rng: (at_snr(b := 1 - 0.6 * clean, snr_db, rng), b),
    "good 25 dB": lambda clean, snr_db, rng: (at_snr(clean, 25, rng), clean),
}


# Sequences


def _moving(rng: np.random.Generator, frames: int, size: int, drift: float) -> np.ndarray:
    """A lattice or a cluster that drifts, mostly in one direction, and rotates a little."""
    large = size + 2 * int(drift * frames + 0.1 * size)
    image = specimen(rng.choice(["lattice", "cluster on film"]), rng, large)
    way = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.3, frames))
    steps = drift * rng.uniform(0.2, 1, frames)
    path = np.cumsum(steps * np.array([np.sin(way), np.cos(way)]), 1).T
    turns = np.deg2rad(np.cumsum(rng.normal(0, 0.1, frames) + rng.uniform(-0.2, 0.2)))
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    movie = [
        map_coordinates(image, [
            y * np.cos(turn) + x * np.sin(turn) - dy + (large - 1) / 2,
            x * np.cos(turn) - y * np.sin(turn) - dx + (large - 1) / 2,
        ], mode="nearest")
        for (dy, dx), turn in zip(path - path[frames // 2], turns - turns[frames // 2], strict=True)
    ]  # fmt: skip
    return np.clip(movie, 0, 1)


def _jumping(rng: np.random.Generator, frames: int, size: int, drift: float) -> np.ndarray:
    """Single atoms: some jump, some appear or disappear, and some exist in one frame only."""
    width, count = rng.uniform(1.6, 3), rng.integers(12, 30)
    sites = rng.uniform(0, size, (count, 2))
    here = rng.random(count) < 0.8
    movie = []
    for _ in range(frames):
        jumping = rng.random(count) < 0.05
        sites[jumping] += rng.normal(0, 6, (jumping.sum(), 2))
        sites = size - 1 - np.abs(size - 1 - np.abs(sites))
        here ^= rng.random(count) < 0.03
        visitors = rng.uniform(8, size - 8, (3, 2))
        free = cKDTree(sites).query(visitors)[0] > 12
        shown = np.concatenate([sites[here], visitors[free]])
        movie.append(_spots(shown, np.ones(len(shown)), width, size))
    return np.array(movie) / np.max(movie)


def _unrelated(rng: np.random.Generator, frames: int, size: int, drift: float) -> np.ndarray:
    return np.array([specimen(rng.choice(list(SPECIMENS)), rng, size) for _ in range(frames)])


SEQUENCES: dict[str, Callable[[np.random.Generator, int, int, float], np.ndarray]] = {
    "drifting": _moving,
    "jumping atoms": _jumping,
    "unrelated": _unrelated,
}
