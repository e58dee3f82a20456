"""Phase retrieval from a focal series with any planes and optics; each sample draws new ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from ..channels.wave import PHASE_SCALE
from ..models import AnyPlanes, Output, ScaledContrast
from ..physics import noise
from ..physics.arrays import Array
from ..physics.optics import Optics
from ..physics.waves import coherence_envelope, imaging_kernels, squared_frequencies
from ..targets.draws import between
from ..targets.pictures import PicturesOfSplits
from .base import Problem
from .phase import illumination
from .ranges import checked_ranges
from .recipes import RECIPES

RANGES = {
    "defocus": (3.0, 3000.0),  # wavelength |defocus| / (index pixel_size^2) of the farthest plane
    "planes": (1.0, 32.0),
    "phase_span": (0.05, 8.0),  # rad
    "absorption": (0.0, 0.1),  # of the amplitude, for a phase object
    "amplitude_span": (0.05, 0.6),  # of the amplitude, for others
    "wavelength": (0.01, 3.5),  # index pixel_size
    "aperture": (0.05, 0.5),  # numerical aperture pixel_size / wavelength; a third have none
    "spherical_aberration": (1.0, 1000.0),  # C wavelength^3 / pixel_size^4; of one in seven
    "coherence": (0.1, 3.0),  # pixels of blur at the farthest plane; of one in three
    "focus_error": (-0.02, 0.02),  # of each plane's defocus, the same for all
    "focus_offset": (-0.1, 0.1),  # of the least defocus, the same for all, mostly small
    "shift": (0.0, 0.5),  # pixels, of each plane
    "illumination": (0.0, 0.03),  # unevenness of the intensity over the field, at most
    "uneven_contrast": (0.0, 0.5),  # the same, at most this share of the contrast
    "dust": (0.0, 0.3),  # share of the light that a grain on the camera absorbs; in a third
    "noise": (0.02, 1.0),  # deviation of counting noise, of the contrast's, log-uniform
    "least_noise": (0.0005, 0.005),  # of the mean intensity, log-uniform
    "most_noise": (0.005, 0.1),  # the same, at most: limits the noise of strong objects
}
MARGIN = 48
GRAINS = 6
# Numbers of planes, and the probability of each.
COUNTS = {1: 0.32, 2: 0.32, 3: 0.12, 4: 0.12, 5: 0.04, 8: 0.05, 12: 0.01, 16: 0.01, 32: 0.01}
# The share of samples whose amplitude is an independent picture; the others absorb a little.
ABSORBING = 0.3
NO_APERTURE = 100.0


class AnyPhase(Problem):
    """Phase and amplitude from images at any planes, for any optics; see `Phase` for given planes.

    Planes, wavelength, aperture, aberration and coherence of each sample are random, in units of
    its pixels. The network receives them through its fixed channels.

    Parameters
    ----------
    ranges : dict of str to (float, float), optional
        Limits of quantities that vary between samples, replacing those in `RANGES`.
    pictures : str or Path, optional
        A folder of target pictures instead of the bundled ones.
    pictures_seed : int
        Seed of the procedural target pictures.
    """

    name = "any_phase"
    margin = MARGIN
    outputs = (Output("phase", "rad", "phase"), Output("amplitude", "1", "amplitude"))
    scaled_by = (PHASE_SCALE, None)
    recipe = RECIPES["any_phase"]
    label = "phase"

    def __init__(
        self,
        ranges: Mapping[str, Sequence[float]] | None = None,
        pictures: str | None = None,
        pictures_seed: int = 0,
    ) -> None:
        self.ranges = checked_ranges(ranges, RANGES)
        self.pictures_from = None if pictures is None else str(pictures)
        self.pictures_seed = pictures_seed
        self.normalization = ScaledContrast([o.role for o in self.outputs])
        self.channels = {"name": "wave_estimates"}
        self._pictures = PicturesOfSplits(self.pictures_from, pictures_seed)

    @property
    def inputs(self) -> AnyPlanes:
        """Any planes, up to the highest number of the training."""
        return AnyPlanes(int(self.ranges["planes"][1]))

    def targets(self, seed: Array, size: int, split: str) -> Array:
        """Phase in rad and amplitude of an object, (size, size, 2)."""
        seeds = tf.unstack(tf.random.split(seed, 3))
        pictures = self._pictures[split]
        shape = pictures.draw_object(seeds[0], size)
        u = tf.unstack(tf.random.stateless_uniform((6,), seeds[2]))
        # Weak objects differ only in scale, so strong ones are drawn more often.
        span = between(tf.sqrt(u[0]), *self.ranges["phase_span"], logarithmic=True)
        # A camera cannot resolve steps of many radians: strong objects are smooth over some pixels.
        smooth = u[1] < tf.minimum(span / 8.0, 1.0)
        blur = tf.where(smooth, 4.0 * u[2] * tf.minimum(span / 4.0, 1.0), 0.0)
        shape = tf.cond(blur > 0.3, lambda: _blurred(shape, blur), lambda: shape)

        def absorbing() -> Array:
            strength = between(u[3], *self.ranges["amplitude_span"], logarithmic=True)
            return strength * pictures.draw(seeds[1], size)

        def clear() -> Array:
            strength = between(u[3], *self.ranges["absorption"])
            other = shape * (u[4] + (1.0 - u[4]) * tf.reverse(shape, [0]))
            return strength * other

        absorbed = tf.cond(u[5] < ABSORBING, absorbing, clear)
        return tf.stack([span * shape, 1.0 - absorbed], axis=-1)

    def _measured(self, target: Array, size: int, *others: Any) -> Any:
        """One plane cannot separate phase and absorption: then objects hardly absorb."""
        phase, amplitude = target[..., 0], target[..., 1]
        alone = tf.equal(tf.size(others[-1]["defocus"]), 1)
        most = self.ranges["absorption"][1]
        strongest = tf.reduce_max(1.0 - amplitude)
        share = tf.where(alone, tf.minimum(1.0, most / tf.maximum(strongest, 1e-6)), 1.0)
        target = tf.stack([phase, 1.0 - share * (1.0 - amplitude)], axis=-1)
        return super()._measured(target, size, *others)

    def conditions(self, seed: Array) -> dict[str, Array]:
        """The nominal planes and optics, without their errors."""
        return drawn_instrument(seed, self.ranges)

    def observe(self, target: Array, seed: Array, **conditions: Array) -> Array:
        """The intensities of every plane, (size, size, planes)."""
        seeds = tf.unstack(tf.random.split(seed, 2))
        u = tf.unstack(tf.random.stateless_uniform((3,), seeds[0]))
        phase, amplitude = target[..., 0], target[..., 1]
        defocus = tf.cast(conditions["defocus"], tf.float32)
        least = tf.reduce_min(tf.where(tf.abs(defocus) > 0, tf.abs(defocus), np.inf))
        defocus = defocus * (1.0 + between(u[0], *self.ranges["focus_error"]))
        # The focus is usually well known: third power of a uniform random number.
        offset = 0.5 + 0.5 * (2.0 * u[1] - 1.0) ** 3
        defocus += least * between(offset, *self.ranges["focus_offset"])
        optics = Optics.from_conditions(conditions)
        shape = tuple(target.shape[:2])
        kernels = imaging_kernels(shape, defocus, optics)
        wave = tf.complex(amplitude * tf.cos(phase), amplitude * tf.sin(phase))
        waves = tf.signal.ifft2d(tf.signal.fft2d(wave) * kernels)
        intensity = tf.math.real(waves * tf.math.conj(waves))
        # The shift of each plane, and the blur of an extended source.
        reach = u[2] * self.ranges["shift"][1] * tf.cast(u[2] > 0.5, tf.float32)
        away = reach * tf.random.stateless_normal((tf.shape(defocus)[0], 2, 1, 1), seeds[1])
        fy, fx = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None]
        turn = -2 * math.pi * (away[:, 0] * np.float32(fy) + away[:, 1] * np.float32(fx))
        envelope = tf.cast(coherence_envelope(shape, defocus, optics), tf.complex64)
        blurred = envelope * tf.complex(tf.cos(turn), tf.sin(turn))
        intensity = tf.signal.irfft2d(tf.signal.rfft2d(intensity) * blurred, shape)
        return tf.transpose(intensity, (1, 2, 0))

    def detect(self, image: Array, seed: Array) -> Array:
        """Uneven illumination, dust and counting noise, in proportion to the object's contrast.

        Weak objects are recorded with more light and corrected for uneven light. A network learns
        nothing from noise that hides the object completely.
        """
        seeds = tf.unstack(tf.random.split(seed, 3))
        u = tf.unstack(tf.random.stateless_uniform((6,), seeds[0]))
        contrast = tf.math.reduce_std(image) / tf.reduce_mean(image)
        unevenness = tf.minimum(
            between(u[0], *self.ranges["illumination"]),
            contrast * between(u[3], *self.ranges["uneven_contrast"]),
        )
        image *= illumination(image.shape[0], unevenness, seeds[1])
        image *= tf.cond(
            u[4] < 0.3,
            lambda: _dust(image.shape[0], self.ranges["dust"], seeds[2])[..., None],
            lambda: tf.ones((image.shape[0], image.shape[0], 1)),
        )
        share = contrast * between(u[1], *self.ranges["noise"], logarithmic=True)
        least = between(u[2], *self.ranges["least_noise"], logarithmic=True)
        most = between(u[5], *self.ranges["most_noise"], logarithmic=True)
        deviation = tf.maximum(tf.minimum(share, most), least)
        return noise.camera(image, 1.0 / deviation**2, 0.0, seeds[2])

    def config(self) -> dict[str, Any]:
        """The constructor's arguments as JSON values."""
        return {
            "ranges": {name: list(limits) for name, limits in self.ranges.items()},
            "pictures": self.pictures_from,
            "pictures_seed": self.pictures_seed,
        }


def drawn_instrument(seed: Array, ranges: Mapping[str, tuple[float, float]]) -> dict[str, Array]:
    """Random planes and optics, in units of the pixels.

    Parameters
    ----------
    seed : (2,) int tensor
    ranges : dict
        `RANGES`.

    Returns
    -------
    dict
        The conditions of a measurement; ``defocus`` has a random number of planes.
    """
    seeds = tf.unstack(tf.random.split(seed, 3))
    u = iter(tf.unstack(tf.random.stateless_uniform((14,), seeds[0])))
    low, high = ranges["planes"]
    counts = {n: p for n, p in COUNTS.items() if low <= n <= high} or {int(low): 1.0}
    steps = np.cumsum(list(counts.values())) / sum(counts.values())
    which = tf.searchsorted(np.float32(steps), next(u)[None])[0]
    count = tf.gather(list(counts), tf.minimum(which, len(counts) - 1))
    # Far planes are harder than near ones, so they are drawn more often.
    farthest = between(next(u) ** 0.75, *ranges["defocus"], logarithmic=True)
    places = drawn_planes(count, farthest, seeds[1], next(u), next(u), next(u))

    wavelength = between(next(u), *ranges["wavelength"], logarithmic=True)
    # Most apertures are wide, as little can be learned from narrow ones.
    radius = between(tf.sqrt(next(u)), *ranges["aperture"], logarithmic=True)
    # The aperture cannot exceed the refractive index.
    radius = tf.minimum(radius, 0.95 / wavelength)
    aperture = tf.where(next(u) < 0.67, radius * wavelength, NO_APERTURE)
    aberrated, strength = next(u) < 0.15, next(u)
    aberration = between(strength, *ranges["spherical_aberration"], logarithmic=True)
    # Only for short wavelengths, as of electrons; light lenses are corrected.
    aberration = tf.where(aberrated & (wavelength < 0.3), aberration / wavelength**3, 0.0)
    coherent, blur = next(u) < 0.67, between(next(u), *ranges["coherence"], logarithmic=True)
    defocus = places / wavelength
    angle = tf.where(coherent, 0.0, blur / (farthest / wavelength))
    return {
        "defocus": defocus, "wavelength": wavelength, "pixel_size": tf.ones(()),
        "numerical_aperture": aperture, "refractive_index": tf.ones(()),
        "coherence_angle": tf.minimum(angle, 0.3), "spherical_aberration": aberration,
    }  # fmt: skip


def instrument_of(conditions: Mapping[str, Any]) -> tuple[list[float], Optics]:
    """The planes and the optics of a sample, as a user would give them.

    Parameters
    ----------
    conditions : dict
        Conditions of a sample of this problem, as numbers.
    """
    told = {name: float(v) for name, v in conditions.items() if name != "defocus"}
    if told.get("numerical_aperture") == NO_APERTURE:
        del told["numerical_aperture"]
    return [float(z) for z in conditions["defocus"]], Optics.from_conditions(told)


def drawn_planes(
    count: Array, farthest: Array, seed: Array, way: Array, side: Array, turn: Array
) -> Array:
    """Planes on one or both sides of focus, with even, exponential or random spacing, (count,)."""
    u = tf.random.stateless_uniform((2, count), seed)
    number = tf.cast(count, tf.float32)
    steps = tf.range(number)
    least = tf.math.log(0.01 + 0.3 * turn)

    def spaced(rank: Array) -> tuple[Array, Array]:
        """Even and exponential spacing, for ranks up to one."""
        return rank, tf.exp(least * (1.0 - rank))

    # On both sides of focus: planes alternate between the sides.
    signs = tf.where(tf.math.floormod(steps, 2.0) == 0, 1.0, -1.0)
    both = spaced((tf.floor(steps / 2) + 1.0) / tf.math.ceil(number / 2))
    one = spaced((steps + 1.0) / number)
    one_sided = side < 0.25
    even, exponential = (tf.where(one_sided, a, signs * b) for a, b in zip(one, both, strict=True))
    anyhow = tf.exp(-3.5 * u[0]) * tf.where((u[1] < 0.5) & ~one_sided, -1.0, 1.0)
    # Even spacing from end to end; includes the focus if the number is odd.
    ends = tf.where(number > 1.5, 2.0 * steps / tf.maximum(number - 1.0, 1.0) - 1.0, 1.0)
    places = tf.where(
        way < 0.3, even, tf.where(way < 0.5, exponential, tf.where(way < 0.75, ends, anyhow))
    )
    places = places / tf.reduce_max(tf.abs(places)) * farthest
    return tf.where(turn < 0.5, -places, places)


def _blurred(picture: Array, deviation: Array) -> Array:
    """A picture blurred by a Gaussian; the deviation is in pixels."""
    squared = np.float32(squared_frequencies(picture.shape, 1.0, half=True))
    gain = tf.exp(-2 * math.pi**2 * deviation**2 * squared)
    return tf.signal.irfft2d(tf.signal.rfft2d(picture) * tf.cast(gain, tf.complex64), picture.shape)


def _dust(size: int, depth: tuple[float, float], seed: Array) -> Array:
    """The transmission of dust grains on the camera, (size, size)."""
    u = tf.random.stateless_uniform((5, GRAINS), seed)
    y, x = (u[i] * size for i in (0, 1))
    width = between(u[2], 0.7, 5.0)
    dark = tf.where(u[4] < 0.5, between(u[3], *depth), 0.0)
    t = tf.range(size, dtype=tf.float32)[:, None]
    down, across = (tf.exp(-(((t - c) / width) ** 2)) for c in (y, x))
    return tf.maximum(1.0 - tf.einsum("yg,xg,g->yx", down, across, dark), 0.05)
