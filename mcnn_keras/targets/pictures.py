"""Target pictures: bundled photographs and procedural pictures, or the user's own folder.

A `Pictures` object holds them in one tensor. `draw` cuts a window of random place, rotation and
scale out of one of them. It runs inside tf.data, and its result depends only on its seed.
Training and test pictures come from different sources.
"""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from ..errors import InputError, reason
from ..files import grey, open_recording
from ..physics.arrays import Array
from . import procedural

SIZE = 512
SPLITS = ("train", "test")

# Photographs that the scikit-image package contains (no download), by the split they belong to.
PHOTOGRAPHS = {
    "train": (
        "astronaut", "brick", "cell", "coins", "grass", "gravel", "hubble_deep_field",
        "immunohistochemistry", "page", "retina", "rocket", "text",
    ),
    "test": ("camera", "chelsea", "coffee", "moon"),
}  # fmt: skip

# Number of pictures of each procedural family, and of cell masks, in each split.
PER_FAMILY = {"train": 16, "test": 4}
MASKS = {"train": 32, "test": 8}
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".npy")
# Maximum number of pictures from a folder: 2,048 of 512x512 are half a gigabyte.
MOST_PICTURES = 2048


class Pictures:
    """Target pictures of one split, drawn by seed.

    Parameters
    ----------
    split : {'train', 'test'}
        The two splits share no picture.
    folder : str or Path, optional
        A folder of pictures, searched with its subfolders, that replaces the bundled photographs
        and the procedural pictures. A tenth of them, but at least one, is the test split; a hash
        of the file names chooses them. At most 2,048 pictures of a split are used.
    seed : int
        Seed of the procedural pictures.
    size_held : int, optional
        Height and width, in pixels, of the pictures in memory; `SIZE` by default.
    left_out : collection of str, optional
        Names of pictures of the folder that are not used.

    Attributes
    ----------
    names : list of str
        Source of each picture: a photograph, a procedural family and a number, or a file.
    """

    def __init__(
        self,
        split: str = "train",
        folder: str | Path | None = None,
        seed: int = 0,
        size_held: int | None = None,
        left_out: Collection[str] = (),
    ) -> None:
        if split not in SPLITS:
            raise InputError(f"split={split!r} is not known; choose 'train' or 'test'")
        size_held = size_held or SIZE
        if folder is None:
            photographs = list(_photographs(split, size_held))
            pictures = [*photographs, *_procedural(split, seed, size_held)]
        else:
            photographs = pictures = list(_folder(Path(folder), split, size_held, left_out))
        self.photographs = len(photographs)
        rng = _rng(seed, split, "mask")
        masks = [procedural.mask(rng, size_held) for _ in range(MASKS[split])]
        self.names = [name for name, _ in pictures]
        with tf.init_scope():  # functions of tf.data capture these tensors, not copies
            self.pictures = tf.constant(np.stack([_to_bytes(p) for _, p in pictures]))
            self.masks = tf.constant(np.stack([_to_bytes(m) for m in masks]))

    def draw(self, seed: Array, size: int) -> Array:
        """A random window of a random picture.

        Parameters
        ----------
        seed : (2,) int tensor
        size : int
            Height and width in pixels.

        Returns
        -------
        tf.Tensor
            (size, size), float32 in 0..1. Half of the pictures are photographs. Each is rotated
            and scaled by 0.5 to 1.4, and made brighter or darker in the middle tones. Half are
            mirrored, and half are inverted unless they lie on an empty background.
        """
        seeds = tf.unstack(tf.random.split(seed, 2))
        kind, tone, invert = tf.unstack(tf.random.stateless_uniform((3,), seeds[0]))
        # The photographs come first.
        count, all_of_them = self.photographs, self.pictures.shape[0]
        first = tf.where(kind < 0.5, 0, count % all_of_them)
        last = tf.where(kind < 0.5, count, all_of_them)
        picture = _window(self.pictures, seeds[1], size, first, last)
        empty = tf.reduce_mean(tf.cast(picture < 0.004, tf.float32)) > 0.2
        inverted = tf.cast((invert < 0.5) & ~empty, tf.float32)
        picture = inverted + (1.0 - 2.0 * inverted) * picture
        # A tone curve that keeps 0 and 1. A power would take as long as all other steps together.
        return picture * (1.0 + (2.0 * tone - 1.0) * (1.0 - picture))

    def draw_object(self, seed: Array, size: int) -> Array:
        """As `draw`, but two of five are cut to the silhouette of a cell, on a background of zeros.

        Parameters
        ----------
        seed : (2,) int tensor
        size : int
            Height and width in pixels.
        """
        seeds = tf.unstack(tf.random.split(seed, 3))
        picture = self.draw(seeds[0], size)
        cut, texture = tf.unstack(tf.random.stateless_uniform((2,), seeds[1]))

        def cell() -> Array:
            # The thickness of the silhouette, with the picture as a texture of random strength.
            silhouette = _window(self.masks, seeds[2], size, 0, self.masks.shape[0])
            return silhouette * (1.0 + texture * (picture - 1.0))

        return tf.cond(cut < 0.4, cell, lambda: picture)


class PicturesOfSplits:
    """The target pictures of both splits, each made when it is first used.

    Parameters
    ----------
    folder, seed :
        As for `Pictures`.
    """

    def __init__(self, folder: str | Path | None = None, seed: int = 0) -> None:
        self._folder, self._seed = folder, seed
        self._made: dict[str, Pictures] = {}
        self._left_out: frozenset[str] = frozenset()

    def __getitem__(self, split: str) -> Pictures:
        if split not in self._made:
            out = self._left_out if split == "test" else frozenset()
            self._made[split] = Pictures(split, self._folder, self._seed, left_out=out)
        return self._made[split]

    @property
    def files(self) -> dict[str, str]:
        """The size in bytes of each picture of a folder that is used, by its name."""
        return self._sizes(SPLITS)

    @property
    def learned(self) -> dict[str, str]:
        """Of `files`, those of the training split."""
        return self._sizes(["train"])

    def _sizes(self, splits: Iterable[str]) -> dict[str, str]:
        if self._folder is None:
            return {}
        paths = [path for split in splits for path in chosen(Path(self._folder), split)]
        return {_name(path, self._folder): str(path.stat().st_size) for path in paths}

    def leave_out(self, names: Iterable[str]) -> None:
        """Leave pictures of a folder, by their names, out of the test split."""
        self._left_out = frozenset(names)
        self._made.pop("test", None)


def _window(pictures: Array, seed: Array, size: int, first: Array, last: Array) -> Array:
    """Cut a rotated, scaled, perhaps mirrored window of `size` pixels from pictures[first:last]."""
    seeds = tf.unstack(tf.random.split(seed, 2))
    index = tf.random.stateless_uniform((), seeds[0], first, last, tf.int32)
    turn, zoom, mirror, y, x = tf.unstack(tf.random.stateless_uniform((5,), seeds[1]))
    held = float(pictures.shape[1])
    angle = 2 * math.pi * turn
    # Picture pixels per output pixel. A window must not be larger than the picture.
    step = tf.minimum(2.0 ** (1.5 * zoom - 0.5), held / size)
    flip = tf.where(mirror < 0.5, 1.0, -1.0)
    a, b = step * tf.cos(angle) * flip, -step * tf.sin(angle)
    c, d = step * tf.sin(angle) * flip, step * tf.cos(angle)
    # The centre of the window lies where most of the window is inside the picture.
    room = tf.maximum(held - step * size, 0.0)
    centre_x, centre_y = held / 2 + (x - 0.5) * room, held / 2 + (y - 0.5) * room
    middle = (size - 1) / 2
    shift_x = centre_x - (a + b) * middle
    shift_y = centre_y - (c + d) * middle
    zero = tf.zeros(())
    transform = tf.stack([a, b, shift_x, c, d, shift_y, zero, zero])
    window = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(pictures[index], tf.float32)[None, :, :, None] / 255.0,
        transforms=transform[None],
        output_shape=tf.constant([size, size]),
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    )
    return tf.ensure_shape(window[0, :, :, 0], (size, size))


def _rng(seed: int, split: str, family: str) -> np.random.Generator:
    """A separate generator for each split and family, so that no two share a picture."""
    key = hashlib.sha256(f"{seed}/{split}/{family}".encode()).digest()
    return np.random.default_rng(int.from_bytes(key[:8], "little"))


def _photographs(split: str, size: int) -> Iterator[tuple[str, np.ndarray]]:
    from skimage import data

    for name in PHOTOGRAPHS[split]:
        picture = getattr(data, name)()
        yield name, _fit(grey(picture) if picture.ndim == 3 else picture, size)


def _procedural(split: str, seed: int, size: int) -> Iterator[tuple[str, np.ndarray]]:
    for family in procedural.FAMILIES:
        rng = _rng(seed, split, family.__name__)
        for i in range(PER_FAMILY[split]):
            yield f"{family.__name__}_{i}", family(rng, size)


def chosen(folder: Path, split: str) -> list[Path]:
    """The files of one split of a folder of pictures, in the order of their hashes.

    Raises
    ------
    InputError
        If it is no folder, or holds fewer than two pictures.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; --pictures takes a folder of pictures")
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    if len(paths) < 2:
        raise InputError(
            f"{folder} holds {len(paths)} pictures ({' '.join(IMAGE_SUFFIXES)}); at least two are "
            "needed, one to train and one to test"
        )
    ranked = sorted(paths, key=lambda p: hashlib.sha256(p.name.encode()).hexdigest())
    tests = max(1, len(ranked) // 10)
    return (ranked[:tests] if split == "test" else ranked[tests:])[:MOST_PICTURES]


def _name(path: Path, folder: str | Path) -> str:
    return path.relative_to(folder).as_posix()


def _folder(
    folder: Path, split: str, size: int, left_out: Collection[str]
) -> Iterator[tuple[str, np.ndarray]]:
    """The pictures of one split of a folder; files that cannot be read are left out."""
    found = chosen(folder, split)
    paths = [path for path in found if _name(path, folder) not in left_out]
    if not paths:
        raise InputError(
            f"the training has used all of the {len(found)} {split} pictures in {folder}; add "
            "other ones, or restore the folder as it was"
        )
    read, failed, why = 0, 0, ""
    for path in paths:
        try:
            picture = _fit(_read(path), size)
        except Exception as error:  # readers raise errors of any type for files without a picture
            failed, why = failed + 1, f"{path.name}: {reason(error)}"
            continue
        read += 1
        yield path.name, picture
    if not read:
        raise InputError(
            f"none of the {len(paths)} {split} pictures in {folder} can be read ({why})"
        )
    if failed:
        warnings.warn(
            f"{failed} of {read + failed} {split} pictures in {folder} cannot be read and are left "
            f"out ({why})",
            stacklevel=2,
        )


def _read(path: Path) -> np.ndarray:
    with open_recording(path) as recording:
        return recording.read(0, 1)[0]


def _fit(picture: np.ndarray, size: int) -> np.ndarray:
    """The central square of a picture, resized to `size` pixels, its values scaled to 0..1."""
    from skimage.transform import resize

    side = min(picture.shape)
    top, left = (picture.shape[0] - side) // 2, (picture.shape[1] - side) // 2
    square = picture[top : top + side, left : left + side].astype(np.float32)
    low, high = square.min(), square.max()
    square = (square - low) / max(high - low, 1e-6)
    return resize(square, (size, size), order=1, anti_aliasing=side > size).astype(np.float32)


def _to_bytes(picture: np.ndarray) -> np.ndarray:
    return np.round(255 * np.clip(picture, 0, 1)).astype(np.uint8)
