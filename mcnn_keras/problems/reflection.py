"""The content of a screen, from its light on a wall."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from ..errors import InputError
from ..models import Channels, Normalization
from ..physics.arrays import Array
from ..physics.wall import Scene, transport_matrix, vignetting
from ..targets.draws import between
from ..targets.pictures import SPLITS, PicturesOfSplits
from .base import FULL, Baseline, Problem, Sample
from .paired import COLOURS, filled
from .ranges import checked_ranges
from .recipes import RECIPES

# Columns of cells over which light is summed; the light on the wall is far smoother.
CELLS = 64
GAMMA = 2.2
# Limits of quantities that vary between shots.
RANGES = {
    "exposure": (0.9, 1.1),  # of the automatic exposure's choice
    "counts": (2e3, 1e4),  # a pixel at full exposure
    "read_out": (0.001, 0.005),  # of full exposure
    "vibration": (0.0, 1.0),  # pixels
    "delay": (0.0, 0.02),  # motion of the film between the two shots, relative to its width
}
# Target brightness of the automatic exposure, and its strength: 1 reaches the target.
AIM, AUTOMATIC = 0.35, 0.7
# Light at the corner of the view, relative to the middle.
VIGNETTING = 0.7
# Number of pairs, and strengths, of the linear inverse for comparison.
RIDGE_PAIRS = 1024
STRENGTHS = tuple(10.0**k for k in range(-6, 3))


class Reflection(Problem):
    """The picture on a screen, from a photograph of the wall that faces it.

    Parameters
    ----------
    scene : dict, optional
        Fields of `mcnn_keras.physics.wall.Scene` that differ from its defaults.
    ranges : dict of str to (float, float), optional
        Limits of quantities that vary between shots, replacing those in `RANGES`.
    pictures : str or Path, optional
        A folder of pictures for the screen instead of the bundled ones.
    pictures_seed : int
        Seed of the procedural pictures.

    Notes
    -----
    Image sizes are given by their width; the height is 9/16 of it. The target is twice as large
    as the photograph (Wang et al., 2020, Fig. 4). Both are red, green and blue in 0..1; heights and
    widths are extended by mirroring to multiples of 64.
    """

    name = "reflection"
    recipe = RECIPES["reflection"]
    outputs = COLOURS
    inputs = Channels(3)
    normalization = Normalization(limits=(0.0, 1.0))
    lost = "gain"  # the exposure varies

    def __init__(
        self,
        scene: Mapping[str, Any] | None = None,
        ranges: Mapping[str, Sequence[float]] | None = None,
        pictures: str | Path | None = None,
        pictures_seed: int = 0,
    ) -> None:
        fields = dict(scene or {})
        unknown = sorted(set(fields) - set(Scene._fields))
        if unknown:
            raise InputError(
                f"a scene has no {unknown[0]!r}; choose from {', '.join(Scene._fields)}"
            )
        if "camera" in fields:
            fields["camera"] = tuple(fields["camera"])
        self.scene = Scene(**fields).check()
        self.ranges = checked_ranges(ranges, RANGES)
        self.pictures_from = None if pictures is None else str(pictures)
        self.pictures_seed = pictures_seed
        self._pictures = PicturesOfSplits(self.pictures_from, pictures_seed)
        cells = (CELLS * 9 // 16, CELLS)
        with tf.init_scope():  # captured by tf.data's functions, rather than copied into them
            self._transport = tf.constant(transport_matrix(self.scene, cells))
        self._cells = cells
        # A linear estimate of the screen, which the network refines.
        self.channels = {
            "name": "screen_estimate",
            "scene": self.config()["scene"],
            "gamma": GAMMA,
            "aim": AIM,
            "automatic": AUTOMATIC,
            "corner": VIGNETTING,
        }

    @property
    def baselines(self) -> dict[str, Baseline]:
        """The best linear inverse, by ridge regression on separate pairs."""
        from ..classical.denoisers import best_strength
        from ..classical.ridge import Ridge

        def ridge(images: np.ndarray, targets: np.ndarray) -> tuple[Any, dict[str, Any]]:
            width = images.shape[2]
            draw = tf.function(lambda n: self.sample(tf.stack([1, n]), width, "train"))
            samples = [draw(tf.constant(n)) for n in range(RIDGE_PAIRS)]
            pairs = [(s.image, s.target) for s in samples]
            fitted = Ridge(*(np.stack([p[i] for p in pairs]) for i in (0, 1)))
            answers, strength = best_strength(
                lambda image, strength: fitted.predict(image[None], strength)[0],
                images,
                targets,
                STRENGTHS,
                lambda a, t: -np.abs(a - t).mean(),
            )
            return np.stack(answers), {"strength": strength}

        return {"linear inverse": ridge}

    def sample(self, seed: Array, size: int, split: str = "train") -> Sample:
        """A photograph, `size` pixels wide, and the picture; see `Problem.sample`."""
        if size % FULL:
            raise InputError(
                f"image_size {size} is not a multiple of {FULL}; give for example "
                f"{max(1, round(size / FULL)) * FULL}"
            )
        seeds = tf.unstack(tf.random.split(tf.random.fold_in(seed, SPLITS.index(split)), 3))
        target = self.targets(seeds[0], 2 * size, split)
        image = self.detect(self.observe(target, seeds[1]), seeds[2])
        return Sample(filled(image), {}, filled(target, scale=2))

    def targets(self, seed: Array, size: int, split: str) -> Array:
        """A colour picture, (9/16 size, size, 3), in 0..1."""
        seeds = tf.unstack(tf.random.split(seed, 3))
        height = even_height(size)
        first, second = (self._pictures[split].draw(s, size)[:height, :, None] for s in seeds[:2])
        # A picture between two colours, with the tint of another picture.
        colours = tf.random.stateless_uniform((3, 3), seeds[2])
        dark, bright = 0.4 * colours[0], 0.5 + 0.5 * colours[1]
        picture = dark + first * (bright - dark) + 0.4 * (second - 0.5) * (colours[2] - 0.5)
        return tf.clip_by_value(picture, 0.0, 1.0)

    def observe(self, target: Array, seed: Array, **conditions: Array) -> Array:
        """The wall's light at the camera, half the target's size, with a mean of about one."""
        width = target.shape[1] // 2
        draws = tf.random.stateless_uniform((4,), seed, -1.0)
        # The film moves between the two shots, and the camera shakes.
        delay = between(tf.abs(draws[0]), *self.ranges["delay"]) * 2 * width * draws[1:3]
        vibration = between(tf.abs(draws[3]), *self.ranges["vibration"]) * draws[1:3]
        return _vignetted(_shifted(self._light(_shifted(target, delay)), vibration))

    def _light(self, target: Array) -> Array:
        """The light on the wall, half the target's size."""
        cells = tf.image.resize(target**GAMMA, self._cells, "area")
        light = tf.matmul(self._transport, tf.reshape(cells, (-1, 3)))
        light = tf.reshape(light, (*self._cells, 3))
        return tf.image.resize(light, (target.shape[0] // 2, target.shape[1] // 2), "bicubic")

    def noise_free(self, target: Array, **conditions: Array) -> Array:
        """The photograph at the automatic exposure, still and without noise.

        Of a target that is higher than 9/16 of its width, the middle rows are the screen, as
        `mcnn_keras.channels.screen_estimate` takes it; the others are mirrored.
        """
        height, width = (n // 2 for n in target.shape[:2])
        inner = min(height, even_height(width))
        above = (height - inner) // 2
        light = _vignetted(self._light(target[2 * above : 2 * (above + inner)]))
        image = _developed(self._exposed(light, np.mean(self.ranges["exposure"])))
        below = height - inner - above
        return tf.pad(image, ((above, below), (0, 0), (0, 0)), mode="SYMMETRIC")

    def detect(self, image: Array, seed: Array) -> Array:
        """Automatic exposure, counting and read-out noise, clipping, and 8-bit levels."""
        seeds = tf.unstack(tf.random.split(seed, 3))
        u = tf.random.stateless_uniform((3,), seeds[0])
        image = self._exposed(image, between(u[0], *self.ranges["exposure"]))
        counts = between(u[1], *self.ranges["counts"], logarithmic=True)
        read_out = between(u[2], *self.ranges["read_out"])
        deviation = tf.sqrt(image / counts + read_out**2)
        image += deviation * tf.random.stateless_normal(tf.shape(image), seeds[1])
        return tf.round(255.0 * _developed(image)) / 255.0

    def _exposed(self, image: Array, exposure: Array) -> Array:
        """The wall's light relative to full exposure."""
        # A fixed exposure would be set for a white screen.
        white = tf.reduce_mean(tf.reduce_sum(self._transport, axis=1))
        mean = tf.maximum(tf.reduce_mean(image), 1e-6)
        level = AIM * (mean / white) ** (1.0 - AUTOMATIC) * exposure
        return tf.maximum(image / mean * level, 0.0)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments as JSON values."""
        return {
            "scene": {**self.scene._asdict(), "camera": list(self.scene.camera)},
            "ranges": {name: list(limits) for name, limits in self.ranges.items()},
            "pictures": self.pictures_from,
            "pictures_seed": self.pictures_seed,
        }


def even_height(width: int) -> int:
    """The height of a picture of 16:9, an even number of pixels."""
    return int(width * 9 / 16 / 2) * 2


def _vignetted(light: Array) -> Array:
    """The light that the camera receives."""
    y, x = np.mgrid[-1 : 1 : light.shape[0] * 1j, -1 : 1 : light.shape[1] * 1j].astype(np.float32)
    return light * vignetting(y, x, VIGNETTING)[..., None]


def _developed(image: Array) -> Array:
    """The values of a photograph, 0..1, for light relative to full exposure."""
    return tf.clip_by_value(image, 0.0, 1.0) ** (1 / GAMMA)


def _shifted(image: Array, shift: Array) -> Array:
    """Move an image by any number of pixels; its border is repeated."""
    one, zero = tf.ones(()), tf.zeros(())
    transform = tf.stack([one, zero, shift[0], zero, one, shift[1], zero, zero])
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=image[None],
        transforms=transform[None],
        output_shape=tf.constant([*image.shape[:2]], tf.int32),
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )
    return tf.ensure_shape(moved[0], image.shape)
