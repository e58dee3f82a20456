"""Any image-to-image problem with measured pairs."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from ..errors import InputError
from ..files import split_name
from ..files.formats import is_image_file
from ..models import Fixed, ModelCard, Output
from ..physics.arrays import Array
from .base import FULL, WHOLE, Baseline, Problem, Sample, learned_by, some
from .pairs import channels_of, digest_of, held, same_scale, stack_of, statistics
from .recipes import RECIPES

COLOURS = tuple(Output(name, "", "colour") for name in ("red", "green", "blue"))
# One in this number of pairs, chosen by name, is kept for testing.
TEST_SHARE = 5


class Paired(Problem):
    """Images and their targets from two folders, or from two datasets of HDF5 files.

    Parameters
    ----------
    inputs, targets : str or Path
        Folders whose files are matched by name without extension; or ``file.h5:/inputs`` and
        ``file.h5:/targets``, each (pairs, height, width) or (pairs, height, width, channels). A
        colour picture has three channels, a stack has one for each image.
    whole : bool
        Train on whole images of one size instead of windows, for results that depend on distant
        pixels. Images are extended by mirroring to multiples of 64.

    Attributes
    ----------
    report : list of str
        Lines about the matched pairs, and about skipped files with the reason.

    Raises
    ------
    InputError
        If fewer than two pairs can be used.

    Notes
    -----
    Sizes may differ from pair to pair; training uses random windows. A target may be twice as large
    as its image. A fifth of the pairs, chosen by a hash of their names, is the test split. Images
    and targets are normalised by the mean and standard deviation of each channel over the training
    pairs; `mcnn_keras.predict` undoes this for its results.
    """

    name = "paired"
    recipe = RECIPES["paired"]
    files: Mapping[str, str] = {}
    learned: Mapping[str, str] = {}

    def __init__(self, inputs: str | Path, targets: str | Path, whole: bool = False) -> None:
        self.images_from, self.targets_from = str(inputs), str(targets)
        self.whole = bool(whole)
        self.report: list[str] = []
        self._types: set[str] = set()  # data types of the stored targets
        pairs = self._read()
        self.scale, pairs = self._alike(pairs)
        self._require_two_sides(pairs)
        names = sorted(pairs, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
        if len(names) < 2:
            why = f" ({'; '.join(self.report)})" if self.report else ""
            raise InputError(
                f"{len(names)} {'pair' if len(names) == 1 else 'pairs'} can be used of "
                f"{self.images_from} and {self.targets_from}; at least two are needed, for "
                f"training and testing{why}"
            )
        tests = max(1, len(names) // TEST_SHARE)
        self.report.insert(0, f"{len(names)} pairs: {len(names) - tests} train, {tests} test")
        each = {name: [digest_of(array) for array in pair] for name, pair in pairs.items()}
        self.files = {name: "".join(digests) for name, digests in each.items()}
        self.learned = {name: each[name][0] for name in names[tests:]}
        train = [pairs[name] for name in names[tests:]]
        (means, deviations) = zip(
            *(statistics([pair[which] for pair in train]) for which in (0, 1)), strict=True
        )
        # Pictures of 8 bits have no values outside of these limits.
        limits = (0.0, 255.0) if self._types == {"uint8"} else None
        self.normalization: Fixed = Fixed(means[0], deviations[0], means[1], deviations[1], limits)
        channels = train[0][1].shape[-1]
        self.outputs = (
            (Output("output"),) if channels == 1
            else COLOURS if channels == 3
            else tuple(Output(f"output {i}") for i in range(channels))
        )  # fmt: skip
        self._channel_counts = [image.shape[-1] for image in train[0]]
        self._hold(pairs, {"test": names[:tests], "train": names[tests:]})

    def _hold(self, pairs: dict[str, Any], chosen: dict[str, list[str]]) -> None:
        """Keep the pairs of each split for `sample`."""
        used = [name for names in chosen.values() for name in names]
        self._side = pairs[used[0]][0].shape[:2]
        self.smallest = min((min(pairs[name][0].shape[:2]), name) for name in used)
        self.most_pixels = 0 if self.whole else self.smallest[0]
        with tf.init_scope():  # captured by tf.data's functions, rather than copied into them
            self._held = {
                split: [held([pairs[name][which] for name in names]) for which in (0, 1)]
                for split, names in chosen.items()
                if names
            }

    def for_model(self, card: ModelCard) -> Paired:
        """The problem in the scale of a model, with all pairs for testing that it has not learned.

        Raises
        ------
        InputError
            If there are none, they do not fit the model, or the model does not tell which pairs it
            has learned and these are others than those of its training.
        """
        learned, (images_from, targets_from) = learned_by(card.training), self._sources
        where = f"{images_from} and {targets_from}"
        if not learned:  # of an earlier version: the scale tells whether pairs have changed
            if not same_scale(self.normalization, card.normalization):
                raise InputError(
                    f"the pairs of {where} are others than those of the training, and the model "
                    "does not tell which it has learned; restore them, or train again"
                )
        elif learned != self.learned:
            scale, pairs = self._alike(self._read())
            kinds = [
                (*self._channel_counts, scale),
                (card.image_channels, len(card.outputs), card.scale),
            ]
            if kinds[0] != kinds[1]:
                there, expected = (_channels_told(*kind) for kind in kinds)
                raise InputError(
                    f"the pairs of {where} are {there}; the model was trained on {expected}"
                )
            own = {name: digest_of(pairs[name][0]) for name in pairs}
            # Where some are as they were, the names are those of the training, too.
            same = any(learned.get(name) == digest for name, digest in own.items())
            known = set(learned.values())
            out = {n for n, digest in own.items() if digest in known or (same and n in learned)}
            unseen = sorted(set(own) - out)
            if not unseen:
                raise InputError(
                    f"the model has learned all {len(own)} pairs of {where}; give other ones with "
                    "--inputs and --targets"
                )
            if set(unseen) != set(self.files) - set(self.learned):
                warnings.warn(
                    f"the pairs of {where} are not all as in the training; measured on the "
                    f"{len(unseen)} of {len(own)} that the model has not learned: {some(unseen)}",
                    stacklevel=2,
                )
            self._hold(pairs, {"test": unseen, "train": sorted(out)})
            self.learned = learned
        if isinstance(card.normalization, Fixed):
            self.normalization = card.normalization
        return self

    def _require_two_sides(self, pairs: Mapping[str, Any]) -> None:
        """Raise InputError if images and targets are the same pictures; report single ones."""
        same = [
            name for name, (image, target) in pairs.items()
            if image.shape == target.shape and np.array_equal(image, target)
        ]  # fmt: skip
        if same and len(same) == len(pairs):
            raise InputError(
                f"the images of {self.images_from} and the targets of {self.targets_from} are "
                f"identical in all pairs ({len(same)}), so there is nothing to learn; give the "
                "folder of images with --inputs, and that of what they should become with --targets"
            )
        if same:
            self.report.append(f"{len(same)} with an image identical to its target: {some(same)}")

    @property
    def baselines(self) -> dict[str, Baseline]:
        """The image itself, if it has the size and channels of its target."""
        if self.scale != 1 or self._channel_counts[0] != self._channel_counts[1]:
            return {}

        def unchanged(images: np.ndarray, targets: np.ndarray) -> tuple[Any, dict[str, Any]]:
            n = self.normalization
            mean, deviation = (np.asarray(v, np.float32) for v in (n.input_mean, n.input_deviation))
            own = images * deviation + mean
            return n.target(own, None), {}

        return {"the image itself": unchanged}

    def _read(self) -> dict[str, Any]:
        """Images and targets, (height, width, channels), by name."""
        if all(split_name(name)[1] or Path(name).is_file() for name in self._sources):
            return self._read_datasets()
        images, targets = (self._files(Path(name)) for name in self._sources)
        for one, other, what in ((images, targets, "target"), (targets, images, "image")):
            lonely = sorted(set(one) - set(other))
            if lonely:
                self.report.append(f"{len(lonely)} without {what}: {some(lonely)}")
        pairs = {}
        for name in sorted(set(images) & set(targets)):
            try:
                (image, _), (target, stored) = (channels_of(f[name]) for f in (images, targets))
            except InputError as error:
                self.report.append(f"{name} left out: {error}")
                continue
            pairs[name] = image, target
            self._types.add(stored)
        return pairs

    def _read_datasets(self) -> dict[str, Any]:
        """Pairs from two datasets, by number."""
        (images, _), (targets, stored) = (stack_of(name) for name in self._sources)
        self._types = {stored}
        if len(images) != len(targets):
            raise InputError(
                f"{self.images_from} holds {len(images)} images and {self.targets_from} "
                f"{len(targets)} targets; the numbers must be equal"
            )
        return {f"{i:06}": pair for i, pair in enumerate(zip(images, targets, strict=True))}

    def _files(self, folder: Path) -> dict[str, Path]:
        """The image files of a folder, by their names without extension."""
        if not folder.is_dir():
            raise InputError(
                f"{folder} is not a folder (looked for in {Path.cwd()}); name the folders of "
                "images and targets with --inputs and --targets"
            )
        files = [p for p in sorted(folder.rglob("*")) if p.is_file()]
        others = [p.name for p in files if not is_image_file(p)]
        if others:
            self.report.append(f"{len(others)} of {folder} are not images: {some(others)}")
        found: dict[str, Path] = {}
        for p in filter(is_image_file, files):
            key = str(p.relative_to(folder).with_suffix(""))
            if key in found:
                self.report.append(f"{p} left out: {found[key].name} has the same name")
            found.setdefault(key, p)
        return found

    @property
    def _sources(self) -> tuple[str, str]:
        return self.images_from, self.targets_from

    def _alike(self, pairs: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """The size of targets relative to images, and the pairs of the most frequent kind."""
        kinds: dict[Any, list[str]] = {}
        for name, (image, target) in pairs.items():
            scales = {t / i for t, i in zip(target.shape[:2], image.shape[:2], strict=True)}
            if len(scales) > 1 or scales.pop() not in (1, 2):
                self.report.append(
                    f"{name} left out: the target has {target.shape[0]}x{target.shape[1]} pixels "
                    f"for an image of {image.shape[0]}x{image.shape[1]}; the same size or twice "
                    "the size is expected"
                )
                continue
            scale = target.shape[0] // image.shape[0]
            kind = (image.shape[-1], target.shape[-1], scale)
            kinds.setdefault((*kind, image.shape[:2]) if self.whole else kind, []).append(name)
        if not kinds:
            return 1, {}
        kind = max(kinds, key=lambda k: len(kinds[k]))
        for other, names in kinds.items():
            if other != kind:
                tell = _channels_told if other[:3] != kind[:3] else _size_told
                self.report.append(
                    f"{len(names)} left out, with {tell(*other)}, where most have {tell(*kind)}: "
                    f"{some(names)}"
                )
        return kind[2], {name: pairs[name] for name in kinds[kind]}

    def sample(self, seed: Array, size: int, split: str = "train") -> Sample:
        """A window of a pair, or a whole one; see `Problem.sample`."""
        smallest, name = self.smallest
        if size > smallest and not self.whole:
            below = smallest // FULL * FULL
            smaller = f"choose image_size {below} (--image-size), " if below else ""
            raise InputError(
                f"image_size {size} is larger than the smallest image, {name} with {smallest} "
                f"pixels; remove that image, {smaller}or {WHOLE}"
            )
        seeds = tf.unstack(tf.random.split(seed, 2))
        if split not in self._held:
            raise InputError(
                f"none of the pairs that the model has learned is in {self.images_from} and "
                f"{self.targets_from}; restore them"
            )
        images, targets = self._held[split]
        number = tf.random.stateless_uniform((), seeds[0], 0, len(images[1]), tf.int32)
        shape = tf.gather(images[1], number)
        sides = self._side if self.whole else (size, size)
        room = tf.cast(shape[:2] - tf.constant(sides) + 1, tf.float32)
        corner = tf.cast(tf.random.stateless_uniform((2,), seeds[1]) * room, tf.int32)
        windows = []
        for (flat, shapes, starts), scale in ((images, 1), (targets, self.scale)):
            height, width, channels = tf.unstack(tf.gather(shapes, number))
            first = tf.gather(starts, number)
            whole = tf.reshape(
                flat[first : first + tf.cast(height * width * channels, tf.int64)],
                (height, width, channels),
            )
            y, x = tf.unstack(corner * scale)
            down, right = (scale * n for n in sides)
            window = whole[y : y + down, x : x + right]
            windows.append(tf.ensure_shape(window, (down, right, None)))
        image, target = (
            tf.ensure_shape(w, (*w.shape[:2], n))
            for w, n in zip(windows, self._channel_counts, strict=True)
        )
        if self.whole:
            image, target = filled(image), filled(target, self.scale)
        return Sample(image, {}, target)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments as JSON values."""
        return {"inputs": self.images_from, "targets": self.targets_from, "whole": self.whole}


def filled(image: Array, scale: int = 1) -> Array:
    """Mirror an image at its borders up to a multiple of 64 in height and width.

    Parameters
    ----------
    image : (height, width, channels) tensor
    scale : int
        Size of a target relative to its image, which is extended by the same share.
    """
    beyond = [-n % (scale * FULL) for n in image.shape[:2]]
    # Divided between both sides as in inference.
    before = [n // scale // 2 * scale for n in beyond]
    widths = [(b, n - b) for b, n in zip(before, beyond, strict=True)]
    return tf.pad(image, (*widths, (0, 0)), mode="SYMMETRIC")


def _channels_told(images: int, targets: int, scale: int, size: Any = None) -> str:
    larger = ", twice as large" if scale == 2 else ""
    return f"images of {images} and targets of {targets} channels{larger}"


def _size_told(images: int, targets: int, scale: int, size: Any) -> str:
    return f"images of {size[0]}x{size[1]} pixels"
