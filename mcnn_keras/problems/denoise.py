"""Denoising of scanning transmission electron microscope (STEM) images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from ..errors import InputError
from ..models import Frames, FrameScale, Output
from ..physics import noise
from ..physics.arrays import Array
from ..targets import specimens
from ..targets.draws import between
from ..targets.pictures import Pictures
from ..targets.specimens import FAMILIES, Specimens
from .base import Baseline, Problem, Sample
from .ranges import checked_ranges
from .recipes import RECIPES

# What differs from one frame to another.
RANGES = {
    "contrast_snr": (-16.0, 9.0),  # dB: variance of the clean frame to that of the noise
    "counting": (0.3, 1.0),  # share of the noise's variance that is counting noise
    "background": (0.0, 1.0),  # counts beside the image's, in means of the image
    "jitter": (0.0, 0.6),  # pixels
    "decay": (0.0, 0.6),  # of the afterglow
    "spill": (0.0, 1.0),  # of each pixel into the next
    "line_offsets": (0.0, 0.4),  # deviations of the noise
    "hot_share": (1e-5, 5e-4),  # of the pixels
    "hot_height": (5.0, 40.0),  # deviations of the noise
}
# In how many of the frames each of these happens.
CHANCES = {
    "counting_alone": 0.55, "jitter": 0.3, "decay": 0.15, "spill": 0.3, "line_offsets": 0.25,
    "hot": 0.2, "clipped": 0.25,
}  # fmt: skip
# Counting noise is drawn exactly up to this mean rate and from its normal limit above.
MOST_COUNTS = 30.0
# Standard deviations, in pixels, of the blurs to compare with.
BLURS = (0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6)
CHANNELS = ("spectral_wiener", "low_pass", None)


class Denoise(Problem):
    """A clean STEM image from one noisy frame.

    Parameters
    ----------
    photographs : int, optional
        Of the first so many training samples every second one is a photograph, which keeps a
        network from learning to answer the mean of nearly empty images (Wang et al., 2020). By
        default a quarter of the samples of a training run.
    families : dict, optional
        Relative frequencies of the families of specimens; see `mcnn_keras.targets.specimens`.
    ranges : dict of str to (float, float), optional
        What differs from one frame, instrument and specimen to another, where it differs from
        `RANGES` and from `RANGES` of `mcnn_keras.targets.specimens`.
    pictures : str or Path, optional
        A folder of pictures instead of the bundled photographs.
    pictures_seed : int
        Of the procedural pictures among the photographs.
    channels : {'spectral_wiener', 'low_pass', None}
        What the network is given beside the frame: the frame after Wiener's filter, made from its
        own spectrum; or four blurred copies, as in the paper; or nothing.

    Raises
    ------
    InputError
        If the number of photographs is negative, or a family, a range or the channels are not
        known.

    Notes
    -----
    A frame's scale is its own: the network sees (frame - mean) / deviation, with outlying pixels
    drawn in (see `mcnn_keras.models.FrameScale`), and answers the clean frame in the same scale.
    """

    name = "denoise"
    recipe = RECIPES["denoise"]
    outputs = (Output("image", "", "image"),)
    inputs = Frames(1)
    normalization = FrameScale()

    def __init__(
        self,
        photographs: int | None = None,
        families: Mapping[str, float] | None = None,
        ranges: Mapping[str, Sequence[float]] | None = None,
        pictures: str | Path | None = None,
        pictures_seed: int = 0,
        channels: str | None = "spectral_wiener",
    ) -> None:
        if photographs is not None and photographs < 0:
            raise InputError(f"photographs {photographs} is negative; give a number of samples")
        self.photographs = None if photographs is None else int(photographs)
        self.families = dict(families or FAMILIES)
        unknown = [name for name in self.families if name not in FAMILIES]
        if unknown:
            raise InputError(
                f"the family {unknown[0]!r} is not known; choose from {', '.join(FAMILIES)}"
            )
        self.ranges = checked_ranges(ranges, RANGES | specimens.RANGES)
        self.pictures_from = None if pictures is None else str(pictures)
        self.pictures_seed = pictures_seed
        if channels not in CHANNELS:
            raise InputError(f"the channels {channels!r} are not known; choose from {CHANNELS}")
        self.channels = {"name": channels} if channels else None
        self._specimens = Specimens(self.families, self.ranges)
        self._pictures = (
            Pictures("train", self.pictures_from, pictures_seed) if self.photographs else None
        )

    def for_run(self, samples: int) -> Denoise:
        """With the photographs' number, where it was left to the run."""
        if self.photographs is not None:
            return self
        return Denoise(**{**self.config(), "photographs": samples // 4})

    @property
    def baselines(self) -> dict[str, Baseline]:
        """The Gaussian blur that is best on the set."""
        from ..classical.denoisers import best_strength, gaussian

        def blur(images: np.ndarray, targets: np.ndarray) -> tuple[Any, dict[str, Any]]:
            answers, pixels = best_strength(
                gaussian,
                images[..., 0],
                targets[..., 0],
                BLURS,
                lambda a, t: -np.mean((a - t) ** 2),
            )
            return np.stack(answers)[..., None], {"pixels": pixels}

        return {"Gaussian blur": blur}

    def sample(self, seed: Array, size: int, split: str = "train") -> Sample:
        """One frame and the clean one, see `Problem.sample`."""
        if split == "train" and self.photographs:
            # Known from the sample's number alone, so that the order of samples does not matter.
            number = seed[1]
            early = (number < self.photographs) & (number % 2 == 0)
            image, target = tf.cond(
                early,
                lambda: self._photograph(seed, size),
                lambda: self._specimen(seed, size, split),
            )
            return Sample(image, {}, target)
        return super().sample(seed, size, split)

    def _specimen(self, seed: Array, size: int, split: str) -> tuple[Array, Array]:
        image, _, target = super().sample(seed, size, split)
        return image, target

    def _photograph(self, seed: Array, size: int) -> tuple[Array, Array]:
        assert self._pictures is not None
        seeds = tf.unstack(tf.random.split(tf.random.fold_in(seed, 7), 2))
        picture = self._pictures.draw(seed, size)[..., None]
        image, _, target = self._measured(picture, size, seeds[0], seeds[1], {})
        return image, target

    def targets(self, seed: Array, size: int, split: str) -> Array:
        """A clean image, its maximum one, (size, size, 1)."""
        return self._specimens.draw(seed, size)[..., None]

    def observe(self, target: Array, seed: Array, **conditions: Array) -> Array:
        """The image as an unsteady scan finds it."""
        seeds = tf.unstack(tf.random.split(seed, 2))
        chance, jitter = tf.unstack(tf.random.stateless_uniform((2,), seeds[0]))
        jitter = between(jitter, *self.ranges["jitter"])
        image = tf.cond(
            chance < CHANCES["jitter"],
            lambda: noise.line_jitter(target[..., 0], jitter, seeds[1]),
            lambda: target[..., 0],
        )
        return image[..., None]

    def detect(self, image: Array, seed: Array) -> Array:
        """Counting noise, read-out noise, and the detector's faults."""
        seeds = tf.unstack(tf.random.split(seed, 6))
        u = tf.unstack(tf.random.stateless_uniform((13,), seeds[0]))
        image = image[..., 0]
        signal = tf.math.reduce_variance(image)
        # An empty frame has no contrast to compare with: its mean stands for it.
        signal = tf.where(signal > 1e-8, signal, 0.02 * tf.reduce_mean(image) ** 2 + 1e-8)
        snr = between(u[0], *self.ranges["contrast_snr"])
        variance = signal * 10.0 ** (-snr / 10.0)
        share = tf.where(
            u[1] < CHANCES["counting_alone"], 1.0, between(u[2], *self.ranges["counting"])
        )
        background = tf.where(u[3] < 0.5, 0.0, between(u[4], *self.ranges["background"]))
        image += background * tf.reduce_mean(image)
        # The dose at which counting makes its share of the variance.
        dose = tf.maximum(tf.reduce_mean(image), 1e-6) / (share * variance)
        image = tf.cond(
            dose * tf.reduce_mean(image) < MOST_COUNTS,
            lambda: noise.poisson(image, dose, seeds[1]),
            lambda: noise.camera(image, dose, 0.0, seeds[1]),
        )
        deviation = tf.sqrt(variance)
        image += tf.sqrt(1.0 - share) * deviation * tf.random.stateless_normal(
            image.shape, seeds[2]
        )  # fmt: skip
        image = tf.case([
            (u[5] < CHANCES["decay"],
             lambda: noise.afterglow(image, between(u[6], *self.ranges["decay"]))),
            (u[5] > 1.0 - CHANCES["spill"],
             lambda: noise.afterglow(image, between(u[6], *self.ranges["spill"]), taps=2)),
        ], default=lambda: image)  # fmt: skip
        offsets = between(u[7], *self.ranges["line_offsets"]) * deviation
        offsets = tf.where(u[8] < CHANCES["line_offsets"], offsets, 0.0)
        image = noise.line_offsets(image, offsets, seeds[3])
        hot = between(u[9], *self.ranges["hot_share"], logarithmic=True)
        image = tf.cond(
            u[10] < CHANCES["hot"],
            lambda: noise.hot_pixels(
                image, hot, between(u[12], *self.ranges["hot_height"]) * deviation, seeds[4]
            ),
            lambda: image,
        )
        return tf.where(u[11] < CHANCES["clipped"], tf.maximum(image, 0.0), image)[..., None]

    def config(self) -> dict[str, Any]:
        """The constructor's arguments as JSON can hold them."""
        return {
            "photographs": self.photographs,
            "families": self.families,
            "ranges": {name: list(limits) for name, limits in self.ranges.items()},
            "pictures": self.pictures_from,
            "pictures_seed": self.pictures_seed,
            "channels": self.channels["name"] if self.channels else None,
        }
