"""Denoising of scanning transmission electron microscope (STEM) images."""

import numpy as np
import tensorflow as tf

from .. import noise
from ..draws import between
from ..errors import InputError
from ..images import Pictures
from ..specimens import FAMILIES, Specimens
from .base import Problem

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
FIRST_LAYERS = ("spectral_wiener", "low_pass", None)
# The share of the highest and of the lowest pixels that say nothing of a frame's scale: hot ones.
OUTLIERS = 1e-3


class Denoise(Problem):
    """A clean STEM image from one noisy frame.

    Parameters
    ----------
    photographs : int
        Of the first so many training samples every second one is a photograph, which keeps a
        network from learning to answer the mean of nearly empty images (Wang et al., 2020).
    families : dict, optional
        Relative frequencies of the families of specimens; see `mcnn_keras.specimens`.
    images : str or Path, optional
        A folder of pictures instead of the bundled photographs.
    pictures_seed : int
        Of the procedural pictures among the photographs.
    first_layer : {'spectral_wiener', 'low_pass', None}
        What the network is given beside the frame: the frame after Wiener's filter, made from its
        own spectrum; or four blurred copies, as in the paper; or nothing.

    Raises
    ------
    InputError
        If the number of photographs is negative, or a family or first layer is unknown.

    Notes
    -----
    A frame's scale is its own: the network sees (frame - mean) / deviation, with outlying pixels
    drawn in (see `frame_scale`), and answers the clean frame in the same scale. The answer's
    mean is set to the frame's, as noise changes it by less than any network can know.
    """

    name = "denoise"
    output_names = ("image",)
    normalization = {"input": "frame", "output": "frame"}  # noqa: RUF012 - never changed

    def __init__(
        self,
        photographs=0,
        families=None,
        images=None,
        pictures_seed=0,
        first_layer="spectral_wiener",
    ):
        if photographs < 0:
            raise InputError(f"photographs {photographs} is negative; give a number of samples")
        self.photographs = int(photographs)
        self.families = dict(families or FAMILIES)
        unknown = [name for name in self.families if name not in FAMILIES]
        if unknown:
            raise InputError(
                f"the family {unknown[0]!r} is not known; choose from {', '.join(FAMILIES)}"
            )
        self.images = None if images is None else str(images)
        self.pictures_seed = pictures_seed
        if first_layer not in FIRST_LAYERS:
            raise InputError(
                f"the first layer {first_layer!r} is not known; choose from {FIRST_LAYERS}"
            )
        self._first_layer = first_layer
        self._specimens = Specimens(self.families)
        self._pictures = Pictures("train", self.images, pictures_seed) if self.photographs else None

    @property
    def first_layer(self):
        """The fixed filters that were chosen."""
        return {"name": self._first_layer} if self._first_layer else None

    @property
    def baselines(self):
        """The Gaussian blur that is best on the set."""
        from ..classical.denoisers import best_strength, gaussian

        def blur(images, targets):
            answers, pixels = best_strength(
                gaussian,
                images[..., 0],
                targets[..., 0],
                BLURS,
                lambda a, t: -np.mean((a - t) ** 2),
            )
            return np.stack(answers)[..., None], {"pixels": pixels}

        return {"Gaussian blur": blur}

    def sample(self, seed, size, split="train"):
        """One pair of network input and target, see `Problem.sample`."""
        if split == "train" and self.photographs:
            # Known from the sample's number alone, so that the order of samples does not matter.
            number = seed[1]
            early = (number < self.photographs) & (number % 2 == 0)
            return tf.cond(
                early,
                lambda: self._photograph(seed, size),
                lambda: super(Denoise, self).sample(seed, size, split),
            )
        return super().sample(seed, size, split)

    def _photograph(self, seed, size):
        seeds = tf.unstack(tf.random.split(tf.random.fold_in(seed, 7), 2))
        return self._measured(self._pictures.draw(seed, size)[..., None], size, *seeds)

    def targets(self, seed, size, split):
        """A clean image, its maximum one, (size, size, 1)."""
        return self._specimens.draw(seed, size)[..., None]

    def observe(self, target, seed):
        """The image as an unsteady scan finds it."""
        seeds = tf.unstack(tf.random.split(seed, 2))
        chance, jitter = tf.unstack(tf.random.stateless_uniform((2,), seeds[0]))
        jitter = between(jitter, *RANGES["jitter"])
        image = tf.cond(
            chance < CHANCES["jitter"],
            lambda: noise.line_jitter(target[..., 0], jitter, seeds[1]),
            lambda: target[..., 0],
        )
        return image[..., None]

    def detect(self, image, seed):
        """Counting noise, read-out noise, and the detector's faults."""
        seeds = tf.unstack(tf.random.split(seed, 6))
        u = tf.unstack(tf.random.stateless_uniform((13,), seeds[0]))
        image = image[..., 0]
        signal = tf.math.reduce_variance(image)
        # An empty frame has no contrast to compare with: its mean stands for it.
        signal = tf.where(signal > 1e-8, signal, 0.02 * tf.reduce_mean(image) ** 2 + 1e-8)
        snr = between(u[0], *RANGES["contrast_snr"])
        variance = signal * 10.0 ** (-snr / 10.0)
        share = tf.where(u[1] < CHANCES["counting_alone"], 1.0, between(u[2], *RANGES["counting"]))
        background = tf.where(u[3] < 0.5, 0.0, between(u[4], *RANGES["background"]))
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
             lambda: noise.afterglow(image, between(u[6], *RANGES["decay"]))),
            (u[5] > 1.0 - CHANCES["spill"],
             lambda: noise.afterglow(image, between(u[6], *RANGES["spill"]), taps=2)),
        ], default=lambda: image)  # fmt: skip
        offsets = between(u[7], *RANGES["line_offsets"]) * deviation
        offsets = tf.where(u[8] < CHANCES["line_offsets"], offsets, 0.0)
        image = noise.line_offsets(image, offsets, seeds[3])
        hot = between(u[9], *RANGES["hot_share"], logarithmic=True)
        image = tf.cond(
            u[10] < CHANCES["hot"],
            lambda: noise.hot_pixels(
                image, hot, between(u[12], *RANGES["hot_height"]) * deviation, seeds[4]
            ),
            lambda: image,
        )
        return tf.where(u[11] < CHANCES["clipped"], tf.maximum(image, 0.0), image)[..., None]

    def normalize(self, image, target):
        """Image and target less their means, in the image's deviations."""
        image, mean, deviation = frame_scale(image)
        # Nothing can be told from an empty frame, and nothing is to be learned from it.
        scale = tf.where(deviation > 1e-6 * tf.abs(mean), 1.0 / tf.maximum(deviation, 1e-12), 0.0)
        image, target = (image - mean) * scale, (target - tf.reduce_mean(target)) * scale
        # What is drawn in at the input cannot be told at the output.
        return image, tf.clip_by_value(target, tf.reduce_min(image), tf.reduce_max(image))

    def config(self):
        """The constructor's arguments as JSON can hold them."""
        return {
            "photographs": self.photographs,
            "families": self.families,
            "images": self.images,
            "pictures_seed": self.pictures_seed,
            "first_layer": self._first_layer,
        }


def frame_scale(image):
    """A frame with its outliers drawn in, its mean and its deviation.

    The deviation is that between the quantiles at a thousandth from either end. Pixels that lie
    more than twice as far from the middle as these quantiles, and six deviations at least, are
    drawn in to that distance: hot ones, but hardly ever a pixel of an atom.
    `mcnn_keras.inference` does the same.

    Parameters
    ----------
    image : (height, width, 1) tensor

    Returns
    -------
    image : (height, width, 1) tensor
    mean, deviation : scalar tensor
    """
    values = tf.reshape(image, [-1])
    count = max(1, int(OUTLIERS * values.shape[0]))
    high, low = tf.math.top_k(values, count)[0][-1], -tf.math.top_k(-values, count)[0][-1]
    kept = tf.clip_by_value(values, low, high)
    middle, deviation = tf.reduce_mean(kept), tf.math.reduce_std(kept)
    low, high = (tf.maximum(tf.abs(q - middle), 3 * deviation) for q in (low, high))
    drawn = tf.clip_by_value(image, middle - 2 * low, middle + 2 * high)
    # Where nearly all pixels are empty, the few counts are no outliers but all there is.
    whole = tf.math.reduce_std(values)
    sparse = deviation <= 1e-6 * whole
    image = tf.where(sparse, image, drawn)
    return image, tf.reduce_mean(image), tf.where(sparse, whole, deviation)
