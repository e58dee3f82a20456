"""Phase retrieval: the phase (and amplitude) of a wave from intensities out of focus."""

import math

import tensorflow as tf

from .. import noise
from ..draws import between
from ..errors import InputError
from ..images import Pictures
from ..optics import Optics, defocus_stack, spread
from .base import Problem

# What differs from one instrument and object to another, and so from one sample to another.
RANGES = {
    "absorption": (0.0, 0.1),  # of the amplitude, for a phase object
    "amplitude_span": (0.05, 0.5),  # of the amplitude, where it is to be retrieved
    "focus_error": (-0.02, 0.02),  # of each plane's defocus, the same for all
    "focus_offset": (-1.0, 1.0),  # um, the same for all; at most a quarter of the least defocus
    "aperture": (0.8, 1.1),  # of the numerical aperture
    "coherence_angle": (0.0, 0.004),  # rad, added to the optics' own
    "illumination": (0.0, 0.04),  # unevenness of the intensity over the field
    "dose": (1000.0, 20000.0),  # counts per pixel, log-uniform
    "white_noise": (0.0, 0.01),  # of the mean intensity
}
# Electron lenses are illuminated by smaller sources, and focus in Angstrom.
ELECTRON_RANGES = {"focus_offset": (-20.0, 20.0), "coherence_angle": (0.0, 0.0003)}
# In um, as files have it.
UNITS = {"um": 1.0, "A": 1e-4}
# A sample's phase is a picture of values in 0..1 times a span in rad, log-uniform.
PHASE_SPAN = (0.2, 3.0)
INPUTS = ("physical", "intensity")
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
    input : {'physical', 'intensity'}
        'physical' gives the network, beside the bare intensities, what optics alone says of the
        wave (see `mcnn_keras.network.physical`); 'intensity' is the paper's direct mapping.
    phase_span : (float, float)
        A training sample's phase is a picture of values in 0..1 times a span between these, in
        rad. An object of more than the higher one comes out too flat.
    images : str or Path, optional
        A folder of target pictures instead of the bundled ones.
    pictures_seed : int
        Of the procedural target pictures.

    Raises
    ------
    InputError
        If there is no plane, a plane is in focus or given twice, or no finite number; or if the
        phase span is no range.

    Notes
    -----
    The network's input is intensity / mean(intensity) - 1 of each plane, so that contrast tells
    the size of the phase; its target is the phase in rad less its mean. What varies between
    instruments and objects varies between samples, within `RANGES` and `phase_span`.
    """

    name = "phase"

    def __init__(
        self,
        defocus,
        optics=None,
        amplitude=False,
        input="physical",
        phase_span=PHASE_SPAN,
        images=None,
        pictures_seed=0,
    ):
        self.optics = optics if optics is not None else Optics()
        self.defocus = _checked_planes(defocus)
        self.amplitude = bool(amplitude)
        if input not in INPUTS:
            raise InputError(f"input={input!r} is not known; choose one of {', '.join(INPUTS)}")
        self.input = input
        low, high = self.phase_span = [float(x) for x in phase_span]
        if not 0 < low < high < math.inf:
            raise InputError(f"phase_span {low:g} to {high:g} is no range; give for example 0.2 3")
        self.images = None if images is None else str(images)
        self.pictures_seed = pictures_seed
        # Light from beyond the border reaches in by the spread; a wider margin would cost more
        # than the weak remainder matters.
        self.margin = min(MOST_MARGIN, spread(self.defocus, self.optics))
        self.pixel_size = self.optics.pixel_size * UNITS[self.optics.unit]
        self.ranges = RANGES | (ELECTRON_RANGES if self.optics.unit == "A" else {})
        self.output_names = ("phase", "amplitude") if self.amplitude else ("phase",)
        self.units = ("rad", "1") if self.amplitude else ("rad",)
        self.normalization = {
            "input": "contrast",
            "output": "first-channel-mean-free" if self.amplitude else "mean-free",
        }
        self._pictures = {}

    @property
    def label(self):
        """A name for the run's folder: phase_-52_52."""
        return "_".join(["phase", *(f"{z:g}" for z in self.defocus)])

    @property
    def baselines(self):
        """The transport-of-intensity solution, at the regularisation that is best on the set."""
        from ..classical import best_tie

        def tie(images, targets):
            return best_tie(images, targets, self.defocus, self.optics)

        return {} if self.amplitude else {"transport of intensity": tie}

    @property
    def first_layer(self):
        """The physical estimates, where they were chosen."""
        if self.input == "intensity":
            return None
        return {
            "name": "focus_estimates",
            "defocus": self.defocus,
            "wavelength": self.optics.wavelength,
            "pixel_size": self.optics.pixel_size,
            "numerical_aperture": self.optics.numerical_aperture,
            "refractive_index": self.optics.refractive_index,
            "spherical_aberration": self.optics.spherical_aberration,
        }

    def pictures(self, split):
        """The target pictures of a split, made when first asked for."""
        if split not in self._pictures:
            self._pictures[split] = Pictures(split, self.images, self.pictures_seed)
        return self._pictures[split]

    def targets(self, seed, size, split):
        """Phase in rad and amplitude of an object, (size, size, 2)."""
        seeds = tf.unstack(tf.random.split(seed, 3))
        pictures = self.pictures(split)
        shape = pictures.draw_object(seeds[0], size)
        span, strength, share = tf.unstack(tf.random.stateless_uniform((3,), seeds[2]))
        phase = between(span, *self.phase_span, logarithmic=True) * shape
        if self.amplitude:
            strength = between(strength, *RANGES["amplitude_span"])
            other = pictures.draw(seeds[1], size)
        else:
            # A phase object's few percent of absorption follow its shape in part; the mirrored
            # shape stands for the other part, as a second picture would cost more.
            strength = between(strength, *RANGES["absorption"])
            other = shape * (share + (1.0 - share) * tf.reverse(shape, [0]))
        return tf.stack([phase, 1.0 - strength * other], axis=-1)

    def observe(self, target, seed):
        """The intensities of every plane, (size, size, planes)."""
        u = iter(tf.unstack(tf.random.stateless_uniform((4,), seed)))
        phase, amplitude = target[..., 0], target[..., 1]
        stretch = between(next(u), *RANGES["focus_error"])
        # The error must not carry a plane through focus, where the contrast changes its sign.
        most = min(abs(z) for z in self.defocus) / 4
        low, high = self.ranges["focus_offset"]
        offset = between(next(u), max(low, -most), min(high, most))
        aperture = self.optics.numerical_aperture
        if aperture is not None:
            aperture = aperture * between(next(u), *RANGES["aperture"])
        return defocus_stack(
            tf.complex(amplitude * tf.cos(phase), amplitude * tf.sin(phase)),
            tf.constant(self.defocus, tf.float32) * (1.0 + stretch) + offset,
            self.optics,
            numerical_aperture=aperture,
            coherence_angle=self.optics.coherence_angle
            + between(next(u), *self.ranges["coherence_angle"]),
        )

    def detect(self, image, seed):
        """Uneven illumination, counting noise and white noise."""
        seeds = tf.unstack(tf.random.split(seed, 3))
        unevenness, dose, white_noise = tf.unstack(tf.random.stateless_uniform((3,), seeds[0]))
        unevenness = between(unevenness, *RANGES["illumination"])
        dose = between(dose, *RANGES["dose"], logarithmic=True)
        image *= _illumination(image.shape[0], unevenness, seeds[1])
        return noise.camera(image, dose, between(white_noise, *RANGES["white_noise"]), seeds[2])

    def normalize(self, image, target):
        """Contrast of each plane; phase less its mean; amplitude for a mean intensity of one."""
        image = image / tf.reduce_mean(image, axis=(0, 1)) - 1.0
        phase, amplitude = target[..., 0], target[..., 1]
        channels = [phase - tf.reduce_mean(phase)]
        if self.amplitude:
            channels.append(amplitude / tf.sqrt(tf.reduce_mean(amplitude**2)))
        return image, tf.stack(channels, axis=-1)

    def config(self):
        """The constructor's arguments as JSON can hold them."""
        return {
            "defocus": self.defocus,
            "optics": self.optics.asdict(),
            "amplitude": self.amplitude,
            "input": self.input,
            "phase_span": self.phase_span,
            "images": self.images,
            "pictures_seed": self.pictures_seed,
        }

    @classmethod
    def from_config(cls, config):
        """The problem that `config` describes."""
        return cls(**{**config, "optics": Optics(**config["optics"])})


def _checked_planes(defocus):
    planes = [defocus] if isinstance(defocus, (int, float)) else list(defocus)
    if not planes:
        raise InputError(
            "no defocus was given; name at least one plane, --defocus -108 for example"
        )
    for z in planes:
        if not math.isfinite(z) or z == 0:
            raise InputError(
                f"defocus {z:g} um shows nothing of a phase; give planes out of focus, such as -108"
            )
    if len(set(planes)) < len(planes):
        raise InputError(f"defocus {planes} names a plane twice; give each plane once")
    return [float(z) for z in planes]


def _illumination(size, unevenness, seed):
    """A smooth brightness of mean one: slopes and a bump, (size, size, 1)."""
    slopes = tf.random.stateless_normal((5,), seed)
    t = tf.linspace(-1.0, 1.0, size)
    y, x = t[:, None], t[None, :]
    terms = [x + 0 * y, y + 0 * x, x * y, x**2 - 1 / 3 + 0 * y, y**2 - 1 / 3 + 0 * x]
    shape = tf.add_n([slopes[i] * term for i, term in enumerate(terms)])
    return tf.maximum(1.0 + unevenness * shape / 2, 0.1)[..., None]
