"""Denoising of scanning transmission electron microscope (STEM) images."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from ..errors import InputError
from ..models import Frames, FrameScale, Output
from ..physics import noise
from ..physics.arrays import Array
from ..targets import sequences, specimens
from ..targets.draws import between, either_way
from ..targets.pictures import PicturesOfSplits
from ..targets.sequences import SEQUENCES
from ..targets.specimens import FAMILIES, Specimens
from .base import Baseline, Problem, Sample
from .ranges import checked_ranges
from .recipes import RECIPES

# Limits of quantities that vary between frames.
RANGES = {
    "contrast_snr": (-16.0, 9.0),  # dB: variance of the clean frame to that of the noise
    "good_snr": (9.0, 42.0),  # dB, of good frames
    "counting": (0.3, 1.0),  # share of the noise's variance that is counting noise
    "background": (0.0, 1.0),  # constant background, relative to the mean of the image
    "inverted": (0.3, 1.0),  # contrast of a bright field
    "gamma": (0.5, 2.0),  # of a tone curve
    "jitter": (0.0, 3.0),  # pixels
    "decay": (0.0, 0.6),  # of the afterglow
    "spill": (0.0, 1.0),  # of each pixel into the next
    "point_spread": (0.35, 1.6),  # of the noise, pixels
    "slow_detector": (0.3, 0.92),  # of the noise, passed from a pixel to the next
    "enlarged": (1.1, 3.0),  # after recording
    "turned": (0.0, 0.3),  # after recording, rad
    "line_offsets": (0.0, 0.4),  # deviations of the noise
    "hot_share": (1e-5, 1e-2),  # of the pixels
    "hot_height": (5.0, 40.0),  # deviations of the noise
    "clipped_ends": (0.0, 0.02),  # share of the pixels, at either end
}
# The probability of each of these in a frame.
CHANCES = {
    "good": 0.35, "counting_alone": 0.55, "jitter": 0.25, "decay": 0.08, "spill": 0.14,
    "point_spread": 0.18, "slow_detector": 0.09, "both": 0.07, "resampled": 0.13,
    "line_offsets": 0.2, "hot": 0.2, "clipped": 0.25, "missing": 0.15, "marked": 0.05,
    "inverted": 0.15, "tone": 0.15, "bytes": 0.1, "ends": 0.08, "flipped": 0.5, "turned_over": 0.12,
}  # fmt: skip
# Probability of correlated noise in good frames, relative to that in others.
CORRELATED_IN_GOOD = 0.3
# Counting noise is Poisson noise up to this mean rate, and its normal approximation above.
MOST_COUNTS = 30.0
# Hot pixels higher than this, in deviations of the noise, are found before the network.
FOUND_HOT = 8.0
# Standard deviations, in pixels, of the Gaussian blurs of the baseline.
BLURS = (0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6)
CHANNELS = ("spectral_series", "spectral_wiener", "low_pass", None)


class Denoise(Problem):
    """A clean STEM image from one noisy frame.

    Parameters
    ----------
    photographs : int, optional
        Every second one of this number of first training samples is a photograph. This keeps the
        network from learning the mean of nearly empty images (Wang et al., 2020). By default a
        quarter of the samples of a training run.
    families : dict, optional
        Relative frequencies of the families of specimens; see `mcnn_keras.targets.specimens`.
    ranges : dict of str to (float, float), optional
        Limits of quantities that vary between frames, instruments and specimens, replacing those
        in `RANGES` and in `RANGES` of `mcnn_keras.targets.specimens`.
    pictures : str or Path, optional
        A folder of pictures instead of the bundled photographs.
    pictures_seed : int
        Seed of the procedural pictures among the photographs.
    channels : {'spectral_series', 'spectral_wiener', 'low_pass', None}
        Input channels in addition to the frame. 'spectral_series': the mean over a window of
        frames, and frame and mean filtered by their own spectra; 'spectral_wiener': the frame after
        a Wiener filter; 'low_pass': four blurred copies, as in the paper. By default the first of
        these that the window allows.
    window : int
        Number of movie frames that the network sees, odd; it denoises the middle one. With more
        than 1 it also sees which pixels are missing, and half of the samples have no neighbours.
        With 1 it sees a single frame.

    Raises
    ------
    InputError
        If the number of photographs is negative, a family, a range or the channels are not known,
        or the window is even.

    Notes
    -----
    Each frame has its own scale: the network sees (frame - mean) / deviation, with outliers
    clipped (see `mcnn_keras.models.FrameScale`). Its target is the clean frame in the same scale.
    """

    name = "denoise"
    recipe = RECIPES["denoise"]
    outputs = (Output("image", "", "image"),)

    def __init__(
        self,
        photographs: int | None = None,
        families: Mapping[str, float] | None = None,
        ranges: Mapping[str, Sequence[float]] | None = None,
        pictures: str | Path | None = None,
        pictures_seed: int = 0,
        channels: str | None = "auto",
        window: int = 5,
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
        self.ranges = checked_ranges(ranges, {**RANGES, **specimens.RANGES, **SEQUENCES})
        self.pictures_from = None if pictures is None else str(pictures)
        self.pictures_seed = pictures_seed
        if window < 1 or window % 2 == 0:
            raise InputError(f"a window of {window} frames has no middle one; give 1, 3, 5, ...")
        self.window = int(window)
        if channels == "auto":
            channels = CHANNELS[0 if window > 1 else 1]
        if channels not in CHANNELS:
            raise InputError(f"the channels {channels!r} are not known; choose from {CHANNELS}")
        if channels == CHANNELS[0] and window == 1:
            raise InputError(
                f"the channels {channels!r} need a window of several frames; give window=5, or "
                "channels='spectral_wiener'"
            )
        self.channels = {"name": channels} if channels else None
        self.inputs = Frames(self.window)
        self.normalization = FrameScale(missing=self.window > 1)
        self._pictures = PicturesOfSplits(self.pictures_from, pictures_seed)
        self._specimens = Specimens(self.families, self.ranges, self._pictures)

    def for_run(self, samples: int) -> Denoise:
        """The problem with a number of photographs, if none was given."""
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
        """Frames and the clean one, see `Problem.sample`."""
        if split == "train" and self.photographs:
            # From the sample's number only, so that the order of samples does not matter.
            number = seed[1]
            early = (number < self.photographs) & (number % 2 == 0)
            image, target = tf.cond(
                early,
                lambda: self._photograph(seed, size),
                lambda: self._specimen(seed, size, split),
            )
        else:
            image, target = self._specimen(seed, size, split)
        image, target = _turned_over(image, target, tf.random.fold_in(seed, 8))
        return Sample(image, {}, target)

    def _specimen(self, seed: Array, size: int, split: str) -> tuple[Array, Array]:
        image, _, target = super().sample(seed, size, split)
        return image, target

    def _photograph(self, seed: Array, size: int) -> tuple[Array, Array]:
        seeds = tf.unstack(tf.random.split(tf.random.fold_in(seed, 7), 3))
        picture = self._pictures["train"].draw(seed, size)
        frames = sequences.around(self.ranges, picture, seeds[2], self.window)
        image, _, target = self._measured(frames, size, seeds[0], seeds[1], {})
        return image, target

    def targets(self, seed: Array, size: int, split: str) -> Array:
        """A clean image with a maximum of one, and its neighbours in time, (size, size, window)."""
        seeds = tf.unstack(tf.random.split(seed, 3))
        clean = self._shown(self._specimens.draw(seeds[0], size, split), seeds[1])
        return sequences.around(self.ranges, clean, seeds[2], self.window)

    def _shown(self, clean: Array, seed: Array) -> Array:
        """Apply a tone curve, or invert the contrast, in some of the samples."""
        u = tf.unstack(tf.random.stateless_uniform((4,), seed))
        gamma = between(u[0], *self.ranges["gamma"], logarithmic=True)
        clean = tf.cond(u[1] < CHANCES["tone"], lambda: clean**gamma, lambda: clean)
        contrast = between(u[2], *self.ranges["inverted"])
        return tf.where(u[3] < CHANCES["inverted"], 1.0 - contrast * clean, clean)

    def observe(self, target: Array, seed: Array, **conditions: Array) -> Array:
        """The frames with the line jitter of an unsteady scan."""
        seeds = tf.unstack(tf.random.split(seed, 2))
        chance, strength = tf.unstack(tf.random.stateless_uniform((2,), seeds[0]))
        # Mostly weak; the strongest displace lines by several pixels.
        jitter = between(strength**2, *self.ranges["jitter"])

        return tf.cond(
            chance < CHANCES["jitter"],
            lambda: _each(target, seeds[1], lambda f, s: noise.line_jitter(f, jitter, s)),
            lambda: target,
        )

    def answer(self, target: Array) -> Array:
        """The middle frame."""
        middle = self.window // 2
        return target[..., middle : middle + 1]

    def detect(self, image: Array, seed: Array) -> Array:
        """Counting noise, read-out noise and detector faults of each frame.

        The instrument's properties are the same in all frames of a sample. Pixels that the search
        for faults finds before prediction are NaN.
        """
        seeds = tf.unstack(tf.random.split(seed, 3))
        u = tf.unstack(tf.random.stateless_uniform((22,), seeds[0]))
        middle = image[..., self.window // 2]
        signal = tf.math.reduce_variance(middle)
        # An empty frame has no contrast: its mean is used instead.
        signal = tf.where(signal > 1e-8, signal, 0.02 * tf.reduce_mean(middle) ** 2 + 1e-8)
        snr = tf.where(
            u[13] < CHANCES["good"],
            between(u[0], *self.ranges["good_snr"]),
            between(u[0], *self.ranges["contrast_snr"]),
        )
        variance = signal * 10.0 ** (-snr / 10.0)
        background = tf.where(u[3] < 0.5, 0.0, between(u[4], *self.ranges["background"]))
        image += background * tf.reduce_mean(middle)
        mean = tf.maximum((1.0 + background) * tf.reduce_mean(middle), 1e-6)
        noisy = _each(image, seeds[1], lambda f, s: self._frame(f, mean, variance, u, s))
        image = sequences.laid_on(image, noisy, tf.random.fold_in(seed, 1))
        missing = tf.cond(
            (u[14] < CHANCES["missing"]) | (u[14] > 1.0 - CHANCES["marked"]),
            lambda: noise.missing_places(seeds[2], image.shape[0]),
            lambda: tf.zeros(image.shape[:2], tf.bool),
        )
        # Burned-in marks that are not found, as bright as the frame or brighter.
        height = 1.0 + u[2] ** 2 * 2.0
        mark = tf.where(
            u[14] > 1.0 - CHANCES["marked"],
            height * tf.reduce_max(image[..., self.window // 2]),
            math.nan,
        )
        return tf.where(missing[..., None], mark, image)

    def _frame(self, image: Array, mean: Array, variance: Array, u: Any, seed: Array) -> Array:
        """One frame of a sample; the random numbers `u` describe its instrument."""
        seeds = tf.unstack(tf.random.split(seed, 5))
        share = tf.where(
            u[1] < CHANCES["counting_alone"], 1.0, between(u[2], *self.ranges["counting"])
        )
        # The dose at which counting noise has its share of the variance.
        dose, clean, deviation = mean / (share * variance), image, tf.sqrt(variance)
        image = tf.cond(
            dose * mean < MOST_COUNTS,
            lambda: noise.poisson(clean, dose, seeds[0]),
            lambda: noise.camera(clean, dose, 0.0, seeds[0]),
        )
        image += tf.sqrt(1.0 - share) * deviation * tf.random.stateless_normal(
            image.shape, seeds[1]
        )  # fmt: skip
        image = tf.case([
            (u[5] < CHANCES["decay"],
             lambda: noise.afterglow(image, between(u[6], *self.ranges["decay"]))),
            (u[5] > 1.0 - CHANCES["spill"],
             lambda: noise.afterglow(image, between(u[6], *self.ranges["spill"]), taps=2)),
        ], default=lambda: image)  # fmt: skip
        # In a good frame, most smooth variation is the specimen.
        often = tf.where(u[13] < CHANCES["good"], CORRELATED_IN_GOOD, 1.0)
        drawn = [u[15] / often, *u[16:20]]
        image = self._correlated(image, clean, mean, share, variance, drawn)
        offsets = between(u[7], *self.ranges["line_offsets"]) * deviation
        offsets = tf.where(u[8] < CHANCES["line_offsets"], offsets, 0.0)
        image = noise.line_offsets(image, offsets, seeds[2])
        image = tf.cond(
            u[10] < CHANCES["hot"], lambda: self._hot(image, deviation, u, seeds[3]), lambda: image
        )
        image = tf.where(u[11] < CHANCES["clipped"], tf.maximum(image, 0.0), image)
        return tf.cond(
            u[20] < CHANCES["bytes"] + CHANCES["ends"], lambda: self._bytes(image, u), lambda: image
        )

    def _correlated(
        self, image: Array, clean: Array, mean: Array, share: Array, variance: Array, u: Any
    ) -> Array:
        """The frame, with noise correlated between pixels in some of the samples."""
        limits = np.cumsum([CHANCES[n] for n in ("point_spread", "slow_detector", "both",
                                                 "resampled")])  # fmt: skip
        width = between(u[1], *self.ranges["point_spread"])
        decay = between(u[2], *self.ranges["slow_detector"])

        def spread(down: Array, across: Array, passed: Array) -> Array:
            return clean + noise.filtered(image - clean, down, across, passed)

        def resampled() -> Array:
            # Resampling moves noise to other places; its local variance is kept.
            own = tf.sqrt(variance * (share * tf.maximum(clean, 0.0) / mean + 1.0 - share))
            white = (image - clean) / tf.maximum(own, 0.05 * tf.sqrt(variance))
            factor = between(u[1], *self.ranges["enlarged"])
            factor = tf.where(u[3] < 0.7, factor, 1.0)
            turn = tf.where(u[3] < 0.4, 0.0, either_way(u[2], *self.ranges["turned"]))
            return clean + own * noise.resampled(white, factor, turn, u[4] < 0.5)

        across = tf.where(u[3] < 0.3, 2.0 * width, width)
        return tf.case([
            (u[0] < limits[0], lambda: spread(width, width, 0.0)),
            (u[0] < limits[1], lambda: spread(0.0, 0.0, decay)),
            (u[0] < limits[2], lambda: spread(width, across, decay * u[4])),
            (u[0] < limits[3], resampled),
        ], default=lambda: image)  # fmt: skip

    def _hot(self, image: Array, deviation: Array, u: Any, seed: Array) -> Array:
        """The frame with hot pixels; most of the high ones are found, and become NaN."""
        share = between(u[9], *self.ranges["hot_share"], logarithmic=True)
        height = between(u[12], *self.ranges["hot_height"]) * deviation
        hot = noise.hot_pixels(image, share, height, seed)
        found = (hot - image > FOUND_HOT * deviation) & (u[2] < 0.8) & (self.window > 1)
        return tf.where(found, math.nan, hot)

    def _bytes(self, image: Array, u: Any) -> Array:
        """The frame in 8-bit levels, with clipped ends in some of the samples."""
        seen = tf.math.is_finite(image)
        known = tf.where(seen, image, tf.reduce_mean(tf.boolean_mask(image, seen)))
        ends = tf.where(u[20] < CHANCES["ends"], between(u[21], *self.ranges["clipped_ends"]), 0.0)
        ordered = tf.sort(tf.reshape(known, [-1]))
        last = ordered.shape[0] - 1
        place = tf.cast(ends * last, tf.int32)
        low, high = ordered[place], ordered[last - place]
        step = tf.maximum((high - low) / 255.0, 1e-12)
        return low + step * tf.round((tf.clip_by_value(image, low, high) - low) / step)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments as JSON values."""
        return {
            "photographs": self.photographs,
            "families": self.families,
            "ranges": {name: list(limits) for name, limits in self.ranges.items()},
            "pictures": self.pictures_from,
            "pictures_seed": self.pictures_seed,
            "channels": self.channels["name"] if self.channels else None,
            "window": self.window,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Denoise:
        """The problem that `config` describes; without a window it is for single frames."""
        return cls(**{"window": 1, **config})


def _each(frames: Array, seed: Array, change: Callable[[Array, Array], Array]) -> Array:
    """Change each frame of (size, size, window) that is not missing, with its own seed."""
    shape = frames.shape[:2]

    def one(numbered: tuple[Array, Array]) -> Array:
        frame, own = tf.ensure_shape(numbered[0], shape), tf.random.fold_in(seed, numbered[1])
        return tf.cond(tf.math.is_finite(frame[0, 0]), lambda: change(frame, own), lambda: frame)

    # A loop in the graph: `change` is traced once for all frames.
    first = tf.transpose(frames, (2, 0, 1))
    changed = tf.map_fn(one, (first, tf.range(frames.shape[2])), fn_output_signature=tf.float32)
    return tf.ensure_shape(tf.transpose(changed, (1, 2, 0)), frames.shape)


def _turned_over(image: Array, target: Array, seed: Array) -> tuple[Array, Array]:
    """A sample, randomly mirrored along each axis, and transposed in a few cases."""
    u = tf.unstack(tf.random.stateless_uniform((3,), seed))
    both = tf.concat([image, target], axis=-1)
    for axis in (0, 1):
        mirrored = u[axis] < CHANCES["flipped"]
        both = tf.cond(mirrored, lambda b=both, axis=axis: tf.reverse(b, [axis]), lambda b=both: b)
    both = tf.cond(
        u[2] < CHANCES["turned_over"], lambda: tf.transpose(both, (1, 0, 2)), lambda: both
    )
    both = tf.ensure_shape(both, (*target.shape[:2], image.shape[-1] + target.shape[-1]))
    return both[..., : image.shape[-1]], both[..., image.shape[-1] :]
