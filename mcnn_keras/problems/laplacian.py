"""Inversion of a Laplacian: the tutorial problem, whose exact inverse is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from ..errors import InputError
from ..models import Output
from ..physics.arrays import Array
from ..targets.pictures import PicturesOfSplits
from .base import Baseline, Problem
from .recipes import RECIPES

# [1 2 1; 2 4 2; 1 2 1] minus 16 in the middle: its transfer function is known in closed form.
KERNEL = ((1.0, 2.0, 1.0), (2.0, -12.0, 2.0), (1.0, 2.0, 1.0))
BOUNDARIES = ("zero", "open")
STRENGTHS = tuple(10.0**k for k in np.arange(-4, 1.01, 0.5))


class Laplacian(Problem):
    """A picture from its Laplacian.

    Parameters
    ----------
    noise : float
        Standard deviation of the noise that is added to the Laplacian of a picture in 0..1.
    boundary : {'zero', 'open'}
        'zero': the surroundings are zero, so that the borders show the brightness of the picture;
        'open': the picture continues, so that its mean is lost.
    pictures : str or Path, optional
        A folder of pictures instead of the bundled ones.
    pictures_seed : int
        Seed of the procedural pictures.

    Raises
    ------
    InputError
        If the noise is negative, or the boundary is not known.

    Notes
    -----
    The problem of Wang et al. (2020), Fig. 1: the network sees only edges, and must reconstruct
    slow changes from them.
    """

    name = "laplacian"
    recipe = RECIPES["laplacian"]
    outputs = (Output("picture"),)

    def __init__(
        self,
        noise: float = 0.01,
        boundary: str = "zero",
        pictures: str | Path | None = None,
        pictures_seed: int = 0,
    ) -> None:
        if not noise >= 0:
            raise InputError(f"noise {noise} is negative; give a standard deviation")
        if boundary not in BOUNDARIES:
            raise InputError(
                f"boundary {boundary!r} is not known; choose from {', '.join(BOUNDARIES)}"
            )
        self.noise, self.boundary = float(noise), boundary
        self.margin = int(boundary == "open")
        self.pictures_from = None if pictures is None else str(pictures)
        self.pictures_seed = pictures_seed
        self._pictures = PicturesOfSplits(self.pictures_from, pictures_seed)
        self._kernel = tf.constant(KERNEL)[..., None, None]

    @property
    def baselines(self) -> dict[str, Baseline]:
        """The inverse in Fourier space, with the regularisation that is best on the set."""
        from ..classical.denoisers import best_strength
        from ..classical.laplacian import inverse_laplacian

        def inverse(images: np.ndarray, targets: np.ndarray) -> tuple[Any, dict[str, Any]]:
            # If the mean is lost, the mean of all pictures is the best guess.
            mean = targets.mean() if self.boundary == "open" else 0.0
            answers, strength = best_strength(
                lambda image, strength: inverse_laplacian(image, strength, self.boundary) + mean,
                images[..., 0],
                targets[..., 0],
                STRENGTHS,
                lambda a, t: -np.abs(a - t).mean(),
            )
            return np.stack(answers)[..., None], {"regularization": strength}

        return {"Fourier inverse": inverse}

    def targets(self, seed: Array, size: int, split: str) -> Array:
        """A picture, (size, size, 1), in 0..1."""
        return self._pictures[split].draw(seed, size)[..., None]

    def observe(self, target: Array, seed: Array, **conditions: Array) -> Array:
        """The Laplacian of a picture."""
        return tf.nn.conv2d(target[None], self._kernel, 1, "SAME")[0]

    def noise_free(self, target: Array, **conditions: Array) -> Array:
        """The Laplacian of a picture, which needs no seed."""
        return self.observe(target, tf.zeros(2, tf.int32))

    def detect(self, image: Array, seed: Array) -> Array:
        """The Laplacian with white noise."""
        return image + self.noise * tf.random.stateless_normal(tf.shape(image), seed)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments as JSON values."""
        return {"noise": self.noise, "boundary": self.boundary, "pictures": self.pictures_from,
                "pictures_seed": self.pictures_seed}  # fmt: skip
