"""Phase retrieval: the phase (and amplitude) of a wave from intensities out of focus."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from ..channels.wave import PHASE_SCALE
from ..errors import InputError
from ..models import Contrast, Output, Planes, ScaledContrast
from ..physics import noise
from ..physics.arrays import Array
from ..physics.optics import Optics
from ..physics.waves import defocus_stack, spread
from ..targets.draws import between
from ..targets.pictures import PicturesOfSplits
from .base import Baseline, Problem
from .ranges import checked_ranges
from .recipes import RECIPES

# Limits of quantities that vary between instruments and objects, and so between samples.
RANGES = {
    "absorption": (0.0, 0.1),  # of the amplitude, for a phase object
    "amplitude_span": (0.05, 0.5),  # of the amplitude, if it is retrieved
    "focus_error": (-0.02, 0.02),  # of each plane's defocus, the same for all
    "focus_offset": (-1.0, 1.0),  # um, the same for all; at most a quarter of the least defocus
    "aperture": (0.8, 1.1),  # of the numerical aperture
    "coherence_angle": (0.0, 0.004),  # rad, added to the optics' own
    "illumination": (0.0, 0.04),  # unevenness of the intensity over the field
    "dose": (1000.0, 20000.0),  # counts per pixel, log-uniform
    "white_noise": (0.0, 0.01),  # of the mean intensity
}
# Electron sources are smaller, and defocus is in Angstrom.
ELECTRON_RANGES = {"focus_offset": (-20.0, 20.0), "coherence_angle": (0.0, 0.0003)}
# In um, the unit in files.
UNITS = {"um": 1.0, "A": 1e-4}
# A sample's phase is a picture of values in 0..1 times a span in rad, log-uniform.
PHASE_SPAN = (0.2, 3.0)
INPUTS = ("estimates", "physical", "intensity")
MOST_MARGIN = 48


class Phase(Problem):
    """Phase retrieval from one or more defocused images.

    Parameters
    ----------
    defocus : float or sequence of float
        Signed distance of each plane from focus, in um (Angstrom for electrons), positive
        downstream.
    optics : Optics, optional
        The imaging system.
    amplitude : bool
        Retrieve the amplitude, too, as a second channel.
    input : {'estimates', 'physical', 'intensity'}
        The network's input channels. 'estimates': those of the model for any planes (see
        `mcnn_keras.channels.wave`); the training starts from that model, and retrieves phase and
        amplitude. 'physical': the intensities, and classical estimates of the wave from each plane
        (see `mcnn_keras.channels.focus`). 'intensity': the intensities only, as in the paper.
    phase_span : (float, float)
        The phase of a training sample is a picture with values in 0..1 times a span between these
        limits, in rad. Objects with larger spans are retrieved too flat.
    ranges : dict of str to (float, float), optional
        Limits of quantities that vary between samples, replacing those in `RANGES` (and
        `ELECTRON_RANGES`).
    pictures : str or Path, optional
        A folder of target pictures instead of the bundled ones.
    pictures_seed : int
        Seed of the procedural target pictures.

    Raises
    ------
    InputError
        If there is no plane; if a plane is in focus, given twice or not finite; or if the phase
        span or a range is not from low to high.

    Notes
    -----
    The network's input is intensity / mean(intensity) - 1 of each plane, so that the contrast shows
    the size of the phase; its target is the phase in rad minus its mean.
    """

    name = "phase"

    def __init__(
        self,
        defocus: float | Sequence[float],
        optics: Optics | None = None,
        amplitude: bool = False,
        input: str = "estimates",
        phase_span: Sequence[float] = PHASE_SPAN,
        ranges: Mapping[str, Sequence[float]] | None = None,
        pictures: str | Path | None = None,
        pictures_seed: int = 0,
    ) -> None:
        self.optics = optics if optics is not None else Optics()
        self.defocus = checked_planes(defocus)
        self.amplitude = bool(amplitude)
        if input not in INPUTS:
            raise InputError(f"input={input!r} is not known; choose one of {', '.join(INPUTS)}")
        self.input = input
        low, high = (float(x) for x in phase_span)
        self.phase_span = (low, high)
        if not 0 < low < high < math.inf:
            raise InputError(
                f"phase_span {low:g} to {high:g} is not from low to high; give for example 0.2 3"
            )
        self.pictures_from = None if pictures is None else str(pictures)
        self.pictures_seed = pictures_seed
        # Light from outside the border reaches in by the spread. A wider margin would cost time,
        # and the remaining light is weak.
        self.margin = min(MOST_MARGIN, spread(self.defocus, self.optics))
        self.pixel_size = self.optics.pixel_size * UNITS[self.optics.unit]
        electrons = ELECTRON_RANGES if self.optics.unit == "A" else {}
        self.ranges = checked_ranges(ranges, RANGES | electrons)
        found = [Output("phase", "rad", "phase"), Output("amplitude", "1", "amplitude")]
        general = input == "estimates"
        self.outputs = tuple(found if self.amplitude or general else found[:1])
        kind = ScaledContrast if general else Contrast
        self.normalization = kind([o.role for o in self.outputs])
        names = {"physical": "focus_estimates", "estimates": "wave_estimates"}
        self.channels = {"name": names[input]} if input in names else None
        self.scaled_by = (PHASE_SCALE, None) if general else None
        self._pictures = PicturesOfSplits(self.pictures_from, pictures_seed)

    @property
    def recipe(self) -> dict[str, Any]:
        """With input 'estimates', the training starts from the model for any planes."""
        return RECIPES["given_planes" if self.input == "estimates" else "phase"]

    @property
    def inputs(self) -> Planes:
        """The planes, each with the focus error of its training."""
        error = max(map(abs, self.ranges["focus_error"]))
        offset = max(map(abs, self._focus_offset))
        tolerance = tuple(error * abs(z) + offset for z in self.defocus)
        return Planes(tuple(self.defocus), tolerance, self.optics.unit)

    @property
    def _focus_offset(self) -> tuple[float, float]:
        """The range of the error that all planes share; it never moves a plane through focus."""
        most = min(abs(z) for z in self.defocus) / 4
        low, high = self.ranges["focus_offset"]
        return max(low, -most), min(high, most)

    @property
    def label(self) -> str:
        """A name for the run's folder: phase_-52_52."""
        return "_".join(["phase", *(f"{z:g}" for z in self.defocus)])

    @property
    def baselines(self) -> dict[str, Baseline]:
        """The transport-of-intensity solution, with the regularisation that is best on the set."""
        from ..focal_series.tie import best_tie

        def tie(images: np.ndarray, targets: np.ndarray) -> tuple[Any, dict[str, Any]]:
            found, settings = best_tie(images, targets[..., :1], self.defocus, self.optics)
            others = [np.ones_like(found)] * (targets.shape[-1] - 1)
            return np.concatenate([found, *others], axis=-1), settings

        return {} if self.amplitude else {"transport of intensity": tie}

    def targets(self, seed: Array, size: int, split: str) -> Array:
        """Phase in rad and amplitude of an object, (size, size, 2)."""
        seeds = tf.unstack(tf.random.split(seed, 3))
        pictures = self._pictures[split]
        shape = pictures.draw_object(seeds[0], size)
        span, strength, share = tf.unstack(tf.random.stateless_uniform((3,), seeds[2]))
        phase = between(span, *self.phase_span, logarithmic=True) * shape
        if self.amplitude:
            strength = between(strength, *self.ranges["amplitude_span"])
            other = pictures.draw(seeds[1], size)
        else:
            # The few percent of absorption of a phase object partly follow its shape. The other
            # part is the mirrored shape, as a second picture would cost more time.
            strength = between(strength, *self.ranges["absorption"])
            other = shape * (share + (1.0 - share) * tf.reverse(shape, [0]))
        return tf.stack([phase, 1.0 - strength * other], axis=-1)

    def answer(self, target: Array) -> Array:
        """The phase, and the amplitude if it is retrieved."""
        return target[..., : len(self.outputs)]

    def conditions(self, seed: Array) -> dict[str, Array]:
        """The nominal planes and optics, without their errors."""
        return {"defocus": self.defocus, **self.optics.conditions()}

    def observe(self, target: Array, seed: Array, **conditions: Array) -> Array:
        """The intensities of every plane, (size, size, planes)."""
        u = iter(tf.unstack(tf.random.stateless_uniform((4,), seed)))
        phase, amplitude = target[..., 0], target[..., 1]
        optics = Optics.from_conditions(conditions, self.optics.unit)
        stretch = between(next(u), *self.ranges["focus_error"])
        offset = between(next(u), *self._focus_offset)
        aperture = optics.numerical_aperture
        if aperture is not None:
            aperture = aperture * between(next(u), *self.ranges["aperture"])
        angle = optics.coherence_angle + between(next(u), *self.ranges["coherence_angle"])
        return defocus_stack(
            tf.complex(amplitude * tf.cos(phase), amplitude * tf.sin(phase)),
            tf.cast(conditions["defocus"], tf.float32) * (1.0 + stretch) + offset,
            dataclasses.replace(optics, numerical_aperture=aperture, coherence_angle=angle),
        )

    def detect(self, image: Array, seed: Array) -> Array:
        """Uneven illumination, counting noise and white noise."""
        seeds = tf.unstack(tf.random.split(seed, 3))
        unevenness, dose, white_noise = tf.unstack(tf.random.stateless_uniform((3,), seeds[0]))
        unevenness = between(unevenness, *self.ranges["illumination"])
        dose = between(dose, *self.ranges["dose"], logarithmic=True)
        image *= illumination(image.shape[0], unevenness, seeds[1])
        return noise.camera(
            image, dose, between(white_noise, *self.ranges["white_noise"]), seeds[2]
        )

    def config(self) -> dict[str, Any]:
        """The constructor's arguments as JSON values."""
        return {
            "defocus": self.defocus,
            "optics": self.optics.asdict(),
            "amplitude": self.amplitude,
            "input": self.input,
            "phase_span": list(self.phase_span),
            "ranges": {name: list(limits) for name, limits in self.ranges.items()},
            "pictures": self.pictures_from,
            "pictures_seed": self.pictures_seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Phase:
        """The problem that `config` describes."""
        return cls(**{**config, "optics": Optics(**config["optics"])})


def checked_planes(defocus: float | Sequence[float]) -> list[float]:
    """The planes as a list.

    Raises
    ------
    InputError
        If there is none, or one is in focus, given twice or not finite.
    """
    planes = [defocus] if isinstance(defocus, (int, float)) else list(defocus)
    if not planes:
        raise InputError(
            "no defocus was given; give at least one plane, for example --defocus -108 (the "
            "problem any_phase is for any planes)"
        )
    for z in planes:
        if not math.isfinite(z) or z == 0:
            raise InputError(
                f"defocus {z:g} um shows no phase; give planes out of focus, such as -108"
            )
    if len(set(planes)) < len(planes):
        raise InputError(f"defocus {planes} names a plane twice; give each plane once")
    return [float(z) for z in planes]


def illumination(size: int, unevenness: Array, seed: Array) -> Array:
    """A smooth brightness of mean one: slopes and a bump, (size, size, 1)."""
    slopes = tf.random.stateless_normal((5,), seed)
    t = tf.linspace(-1.0, 1.0, size)
    y, x = t[:, None], t[None, :]
    terms = [x + 0 * y, y + 0 * x, x * y, x**2 - 1 / 3 + 0 * y, y**2 - 1 / 3 + 0 * x]
    shape = tf.add_n([slopes[i] * term for i, term in enumerate(terms)])
    return tf.maximum(1.0 + unevenness * shape / 2, 0.1)[..., None]
