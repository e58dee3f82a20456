"""Scalar wave optics: from a wave at focus to the intensities that a camera sees out of focus.

Making a kernel (`transfer_function`, `pupil`, `coherence_envelope`) is apart from applying it
(`propagate`, `defocus_stack`). All are TensorFlow operations that run inside tf.data, and every
instrument parameter may be a tensor, so that it can differ from sample to sample.

Lengths are in um (light) or Angstrom (electrons), angles and phases in rad. Positive defocus is
downstream of focus, and a denser object has positive phase.
"""

import math
import warnings
from dataclasses import asdict, dataclass

import numpy as np
import tensorflow as tf

from .errors import InputError

# The pupil falls from one to zero between these fractions of its radius.
PUPIL_EDGE = (0.95, 1.05)


# Values beyond these look like another unit.
PLAUSIBLE = {
    "um": {
        "wavelength": (0.01, 20.0, "um (0.65 for red light)"),
        "pixel_size": (0.005, 100.0, "um in the object (0.31, say)"),
        "refractive_index": (1.0, 4.0, "a refractive index, 1 to 4"),
        "coherence_angle": (0.0, 0.3, "rad (0.005 for 5 mrad)"),
    },
    "A": {
        "wavelength": (0.003, 0.2, "Angstrom (0.0197 at 300 keV; energies are in eV)"),
        "pixel_size": (0.01, 100.0, "Angstrom in the object (0.2, say)"),
        "coherence_angle": (0.0, 0.02, "rad (0.0002 for 0.2 mrad)"),
        "spherical_aberration": (-1e9, 1e9, "Angstrom (1.2e7 for 1.2 mm)"),
    },
}


@dataclass(frozen=True)
class Optics:
    """The imaging system.

    Parameters
    ----------
    wavelength : float
        Vacuum wavelength in um.
    pixel_size : float
        Size of a camera pixel in the object, in um.
    numerical_aperture : float or None
        Of the objective; None lets every propagating wave pass.
    refractive_index : float
        Of the medium through which the defocus is taken.
    coherence_angle : float
        Half-angle, in rad, at which the source's angular brightness has fallen to 1/e. 0 is a
        fully coherent source.
    spherical_aberration : float
        Of the lens, in the unit of length; positive where marginal rays meet too early.
    unit : {'um', 'A'}
        Of all lengths: micrometre for light, Angstrom for electrons (see `electron`).

    Raises
    ------
    InputError
        If a value is not a positive finite number, or the aperture exceeds the index.

    Warns
    -----
    UserWarning
        If a value looks like another unit (nm or m for um, degrees for rad).
    """

    wavelength: float = 0.65
    pixel_size: float = 0.31
    numerical_aperture: float | None = 0.45
    refractive_index: float = 1.0
    coherence_angle: float = 0.0
    spherical_aberration: float = 0.0
    unit: str = "um"

    @classmethod
    def electron(
        cls,
        energy,
        pixel_size,
        spherical_aberration=0.0,
        aperture_angle=None,
        coherence_angle=0.0,
    ):
        """A transmission electron microscope.

        Parameters
        ----------
        energy : float
            Of the electrons, in eV.
        pixel_size : float
            In the object, in Angstrom.
        spherical_aberration : float
            In Angstrom; 1.2e7 for 1.2 mm.
        aperture_angle : float, optional
            Half-angle of the objective aperture, in rad; none by default.
        coherence_angle : float
            Half-angle of the illumination at 1/e of its brightness, in rad.

        Returns
        -------
        Optics
            Whose defocus is in Angstrom, negative for underfocus.
        """
        from .stem import electron_wavelength

        _require_positive("energy", energy)
        return cls(
            electron_wavelength(energy), pixel_size, aperture_angle, 1.0, coherence_angle,
            spherical_aberration, "A",
        )  # fmt: skip

    def __post_init__(self):
        for name in ("wavelength", "pixel_size", "refractive_index"):
            _require_positive(name, getattr(self, name))
        if self.numerical_aperture is not None:
            _require_positive("numerical_aperture", self.numerical_aperture)
            if self.numerical_aperture > self.refractive_index:
                raise InputError(
                    f"numerical_aperture {self.numerical_aperture} is larger than the refractive "
                    f"index {self.refractive_index}; give the index of the immersion medium, too"
                )
        if not (math.isfinite(self.coherence_angle) and self.coherence_angle >= 0):
            raise InputError(
                f"coherence_angle must be 0 or a positive angle in rad, not {self.coherence_angle}"
            )
        if self.unit not in PLAUSIBLE:
            raise InputError(f"unit {self.unit!r} is not known; choose 'um' or 'A'")
        if not math.isfinite(self.spherical_aberration):
            raise InputError("spherical_aberration must be a number, 0 for none")
        self._warn_of_units()

    def _warn_of_units(self):
        for name, (low, high, unit) in PLAUSIBLE[self.unit].items():
            value = getattr(self, name)
            if not low <= value <= high:
                warnings.warn(
                    f"{name} {value:g} is implausible; it is read as {unit}", stacklevel=4
                )

    def asdict(self):
        """The values by name, for a configuration file."""
        return asdict(self)


def _require_positive(name, value):
    if not isinstance(value, (int, float)) or not math.isfinite(value) or value <= 0:
        raise InputError(f"{name} must be a positive number, not {value!r}")


def squared_frequencies(shape, pixel_size):
    """Squared spatial frequency of each element of a discrete Fourier transform.

    Parameters
    ----------
    shape : tuple of int
        Height and width in pixels.
    pixel_size : float
        In um.

    Returns
    -------
    numpy.ndarray
        (height, width), float64, in 1 / um^2.
    """
    height, width = shape
    fy, fx = np.fft.fftfreq(height, pixel_size), np.fft.fftfreq(width, pixel_size)
    return fy[:, None] ** 2 + fx[None, :] ** 2


def transfer_function(shape, defocus, optics):
    """Angular-spectrum transfer function of free propagation, without evanescent waves.

    H(f) = exp(2 pi i z (sqrt(k^2 - f^2) - k)), k = refractive_index / wavelength; zero for f >= k.

    Parameters
    ----------
    shape : tuple of int
        Height and width in pixels.
    defocus : (planes,) array or tensor
        Distances in um, positive downstream.
    optics : Optics
        Of which wavelength, pixel size and refractive index count here.

    Returns
    -------
    tf.Tensor
        (planes, height, width), complex64.

    References
    ----------
    Goodman, Introduction to Fourier Optics, 3.10.4.
    """
    squared = squared_frequencies(shape, optics.pixel_size)
    k = optics.refractive_index / optics.wavelength
    passed = squared < k**2
    # k - sqrt(k^2 - f^2) without the cancellation: the turns that the wave loses in each um.
    lost = squared / (np.sqrt(np.where(passed, k**2 - squared, 0.0)) + k)
    # The phase reaches thousands of radians: count its turns in float64 and drop the whole ones
    # before float32.
    turns = tf.cast(defocus, tf.float64)[:, None, None] * lost
    angle = tf.cast(turns - tf.floor(turns), tf.float32) * (-2 * math.pi)
    passed = passed.astype(np.float32)
    return tf.complex(passed * tf.cos(angle), passed * tf.sin(angle))


def pupil(shape, optics, numerical_aperture=None):
    """The objective's aperture, with an edge that falls like a cosine over a tenth of its radius.

    Parameters
    ----------
    shape : tuple of int
        Height and width in pixels.
    optics : Optics
        Its numerical aperture counts where none is given here.
    numerical_aperture : float or tensor, optional
        Of this sample.

    Returns
    -------
    tf.Tensor
        (height, width), float32 in [0, 1]; all ones if neither gives an aperture.
    """
    if numerical_aperture is None:
        numerical_aperture = optics.numerical_aperture
    if numerical_aperture is None:
        return tf.ones(shape, tf.float32)
    radius = np.sqrt(squared_frequencies(shape, optics.pixel_size)).astype(np.float32)
    radius = radius * (optics.wavelength / numerical_aperture)
    low, high = PUPIL_EDGE
    fall = tf.clip_by_value((radius - low) / (high - low), 0.0, 1.0)
    return 0.5 + 0.5 * tf.cos(math.pi * fall)


def imaging_kernels(shape, defocus, optics, numerical_aperture=None):
    """What aperture, lens and free space do to the spectrum of the wave at focus.

    The spherical aberration turns it by -pi / 2 C wavelength^3 f^4 (Kirkland, Advanced Computing
    in Electron Microscopy, 3.1).

    Parameters
    ----------
    shape : tuple of int
        Height and width in pixels.
    defocus : (planes,) array or tensor
        Distances, positive downstream.
    optics : Optics
        The imaging system.
    numerical_aperture : float or tensor, optional
        Of this sample.

    Returns
    -------
    tf.Tensor
        (planes, height, width), complex64.
    """
    lens = tf.cast(pupil(shape, optics, numerical_aperture), tf.complex64)
    if optics.spherical_aberration:
        squared = squared_frequencies(shape, optics.pixel_size)
        turns = optics.spherical_aberration * optics.wavelength**3 / 4 * squared**2
        lens *= np.exp(-2j * math.pi * turns).astype(np.complex64)
    return lens[None] * transfer_function(shape, defocus, optics)


def coherence_envelope(shape, defocus, optics, coherence_angle):
    """What an extended source leaves of each spatial frequency of a defocused intensity.

    A source whose angular brightness is exp(-theta^2 / angle^2) shifts the image at distance z by
    theta z, so that the intensity's spectrum is multiplied by exp(-(pi angle z f)^2). With a
    spherical aberration C the slope of the whole phase shift counts: z f + C wavelength^2 f^3
    (Frank, Optik 38, 1973).

    Parameters
    ----------
    shape : tuple of int
        Height and width in pixels.
    defocus : (planes,) array or tensor
        Distances in um.
    optics : Optics
        Its pixel size and spherical aberration count here.
    coherence_angle : float or tensor
        In rad.

    Returns
    -------
    tf.Tensor
        (planes, height, width // 2 + 1), float32, for the spectrum of a real image.
    """
    squared = squared_frequencies(shape, optics.pixel_size)[:, : shape[1] // 2 + 1]
    slope = tf.cast(defocus, tf.float32)[:, None, None]
    if optics.spherical_aberration:
        further = optics.spherical_aberration * optics.wavelength**2 * squared
        slope = slope + further.astype(np.float32)
    reach = tf.cast(coherence_angle, tf.float32) * slope
    return tf.exp(-((math.pi * reach) ** 2) * squared.astype(np.float32))


def propagate(wave, defocus, optics):
    """Propagate a wave through free space; there and back gives the wave (evanescent part aside).

    Parameters
    ----------
    wave : (height, width) complex64
        At focus.
    defocus : (planes,) array or tensor
        Distances in um.
    optics : Optics
        No aperture is applied.

    Returns
    -------
    tf.Tensor
        (planes, height, width), complex64.
    """
    spectrum = tf.signal.fft2d(wave)
    return tf.signal.ifft2d(spectrum[None] * transfer_function(wave.shape, defocus, optics))


def defocus_stack(wave, defocus, optics, numerical_aperture=None, coherence_angle=None):
    """The intensities that a camera records at each plane.

    Parameters
    ----------
    wave : (height, width) complex64
        The object's exit wave at focus. The field is periodic: leave a margin.
    defocus : (planes,) array or tensor
        Distances in um, positive downstream.
    optics : Optics
        The imaging system.
    numerical_aperture, coherence_angle : float or tensor, optional
        Of this sample, instead of the optics' own.

    Returns
    -------
    tf.Tensor
        (height, width, planes), float32, in units of the squared wave.
    """
    if coherence_angle is None:
        coherence_angle = optics.coherence_angle
    shape = wave.shape
    kernels = imaging_kernels(shape, defocus, optics, numerical_aperture)
    waves = tf.signal.ifft2d(tf.signal.fft2d(wave)[None] * kernels)
    intensity = tf.math.real(waves) ** 2 + tf.math.imag(waves) ** 2
    if not isinstance(coherence_angle, (int, float)) or coherence_angle > 0:
        envelope = coherence_envelope(shape, defocus, optics, coherence_angle)
        blurred = tf.signal.rfft2d(intensity) * tf.cast(envelope, tf.complex64)
        intensity = tf.signal.irfft2d(blurred, fft_length=shape)
    return tf.transpose(intensity, (1, 2, 0))


def spread(defocus, optics):
    """How far, in pixels, light of the highest passed frequency travels sideways.

    Parameters
    ----------
    defocus : sequence of float
        Distances in um; the farthest counts.
    optics : Optics
        The imaging system; without an aperture the pixel size limits the angle.
    """
    sine = optics.wavelength / (2 * optics.pixel_size) / optics.refractive_index
    if optics.numerical_aperture is not None:
        sine = min(sine, optics.numerical_aperture / optics.refractive_index)
    sine = min(sine, 0.99)
    reach = max(abs(z) for z in defocus) * sine / math.sqrt(1 - sine**2)
    return math.ceil(reach / optics.pixel_size)
