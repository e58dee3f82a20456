"""Scalar wave optics: from a wave at focus to the intensities that a camera sees out of focus.

Some functions make kernels (`transfer_function`, `pupil`, `coherence_envelope`), others apply them
(`propagate`, `defocus_stack`). All take NumPy arrays or TensorFlow tensors and return the same kind
(see `mcnn_keras.physics.arrays`). Each parameter of the instrument may be a tensor, so that it can
vary between samples; with plain numbers the kernels are constants, computed once.

Lengths are in um (light) or Angstrom (electrons), angles and phases in rad. Positive defocus is
downstream of focus, and a denser object has positive phase.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from . import arrays
from .arrays import Array
from .optics import Optics

# The pupil falls from one to zero between these fractions of its radius.
PUPIL_EDGE = (0.95, 1.05)


def squared_frequencies(shape: Sequence[int], pixel_size: Array, half: bool = False) -> Array:
    """Squared spatial frequency of each element of a discrete Fourier transform.

    Parameters
    ----------
    shape : tuple of int
        Height and width in pixels.
    pixel_size : float or tensor
        In um.
    half : bool
        For the transform of a real image, without the negative frequencies along the rows.

    Returns
    -------
    array
        (height, width), or (height, width // 2 + 1); float64, in 1 / um^2.
    """
    xp = arrays.of(pixel_size)
    fy, fx = np.fft.fftfreq(shape[0]), (np.fft.rfftfreq if half else np.fft.fftfreq)(shape[1])
    return (fy[:, None] ** 2 + fx[None, :] ** 2) / xp.cast(pixel_size, "float64") ** 2


def transfer_function(
    shape: Sequence[int], defocus: Array, optics: Optics, half: bool = False
) -> Array:
    """Angular-spectrum transfer function of free propagation, without evanescent waves.

    H(f) = exp(2 pi i z (sqrt(k^2 - f^2) - k)), k = refractive_index / wavelength; zero for f >= k.

    Parameters
    ----------
    shape : tuple of int
        Height and width in pixels.
    defocus : (planes,) array or tensor
        Distances in um, positive downstream.
    optics : Optics
        Wavelength, pixel size and refractive index are used.
    half : bool
        For the transform of a real image, see `squared_frequencies`.

    Returns
    -------
    array
        (planes, height, width) or, with `half`, (planes, height, width // 2 + 1); complex64.

    References
    ----------
    Goodman, Introduction to Fourier Optics, 3.10.4.
    """
    xp = arrays.of(defocus, optics.wavelength, optics.pixel_size, optics.refractive_index)
    squared = squared_frequencies(shape, optics.pixel_size, half)
    k = xp.cast(optics.refractive_index, "float64") / xp.cast(optics.wavelength, "float64")
    passed = squared < k**2
    # k - sqrt(k^2 - f^2), computed without cancellation: lost turns of the wave per um.
    root = xp.sqrt(xp.where(passed, k**2 - squared, xp.cast(0.0, "float64")))
    # The phase reaches thousands of radians: whole turns are removed in float64, before float32.
    turns = xp.cast(defocus, "float64")[:, None, None] * (squared / (root + k))
    angle = xp.cast(turns - xp.floor(turns), "float32") * np.float32(-2 * math.pi)
    passed = xp.cast(passed, "float32")
    return xp.complex(passed * xp.cos(angle), passed * xp.sin(angle))


def pupil(shape: Sequence[int], optics: Optics, half: bool = False) -> Array:
    """The objective's aperture, with an edge that falls like a cosine over a tenth of its radius.

    Parameters
    ----------
    shape : tuple of int
        Height and width in pixels.
    optics : Optics
        Wavelength, pixel size and numerical aperture are used.
    half : bool
        As for `transfer_function`.

    Returns
    -------
    array
        (height, width), float32 in [0, 1]; all ones without an aperture.
    """
    if optics.numerical_aperture is None:
        return np.ones((shape[0], shape[1] // 2 + 1) if half else tuple(shape), np.float32)
    xp = arrays.of(optics.wavelength, optics.pixel_size, optics.numerical_aperture)
    radius = xp.sqrt(squared_frequencies(shape, optics.pixel_size, half)) * (
        xp.cast(optics.wavelength, "float64") / xp.cast(optics.numerical_aperture, "float64")
    )
    low, high = PUPIL_EDGE
    fall = xp.clip((xp.cast(radius, "float32") - low) / (high - low), 0.0, 1.0)
    return 0.5 + 0.5 * xp.cos(math.pi * fall)


def lens_kernel(shape: Sequence[int], optics: Optics, half: bool = False) -> Array:
    """The factor of spherical aberration C for a wave's spectrum: exp(-i pi/2 C wavelength^3 f^4).

    Parameters
    ----------
    shape : tuple of int
        Height and width in pixels.
    optics : Optics
        Wavelength, pixel size and spherical aberration are used.
    half : bool
        As for `transfer_function`.

    Returns
    -------
    array
        (height, width), complex64.

    References
    ----------
    Kirkland, Advanced Computing in Electron Microscopy, 3.1.
    """
    xp = arrays.of(optics.wavelength, optics.pixel_size, optics.spherical_aberration)
    wavelength = xp.cast(optics.wavelength, "float64")
    aberration = xp.cast(optics.spherical_aberration, "float64")
    squared = squared_frequencies(shape, optics.pixel_size, half)
    turns = aberration * wavelength**3 / 4 * squared**2
    angle = xp.cast(turns - xp.floor(turns), "float32") * np.float32(-2 * math.pi)
    return xp.complex(xp.cos(angle), xp.sin(angle))


def has_aberration(optics: Optics) -> bool:
    """Whether the spherical aberration is a tensor, or not zero."""
    return arrays.is_tensor(optics.spherical_aberration) or optics.spherical_aberration != 0


def imaging_kernels(
    shape: Sequence[int], defocus: Array, optics: Optics, half: bool = False
) -> Array:
    """Factors of aperture, lens and free space for the spectrum of the wave at focus.

    Parameters
    ----------
    shape : tuple of int
        Height and width in pixels.
    defocus : (planes,) array or tensor
        Distances, positive downstream.
    optics : Optics
        The imaging system.
    half : bool
        As for `transfer_function`.

    Returns
    -------
    array
        (planes, height, width), complex64.
    """
    aperture = pupil(shape, optics, half)
    free = transfer_function(shape, defocus, optics, half)
    xp = arrays.of(aperture, free)
    lens = xp.cast(aperture, "complex64")
    if has_aberration(optics):
        lens = lens * lens_kernel(shape, optics, half)
    return lens * free


def coherence_envelope(shape: Sequence[int], defocus: Array, optics: Optics) -> Array:
    """The factor of an extended source for each spatial frequency of a defocused intensity.

    A source whose angular brightness is exp(-theta^2 / angle^2) shifts the image at distance z by
    theta z, so that the intensity's spectrum is multiplied by exp(-(pi angle z f)^2). With a
    spherical aberration C, z f is replaced by z f + C wavelength^2 f^3, the slope of the phase
    shift
    (Frank, Optik 38, 1973).

    Parameters
    ----------
    shape : tuple of int
        Height and width in pixels.
    defocus : (planes,) array or tensor
        Distances in um.
    optics : Optics
        Coherence angle, pixel size, wavelength and spherical aberration are used.

    Returns
    -------
    array
        (planes, height, width // 2 + 1), float32, for the spectrum of a real image.
    """
    xp = arrays.of(
        defocus, optics.pixel_size, optics.coherence_angle, optics.wavelength,
        optics.spherical_aberration,
    )  # fmt: skip
    squared = squared_frequencies(shape, optics.pixel_size, half=True)
    slope = xp.cast(defocus, "float32")[:, None, None]
    if has_aberration(optics):
        wavelength = xp.cast(optics.wavelength, "float64")
        further = xp.cast(optics.spherical_aberration, "float64") * wavelength**2 * squared
        slope = slope + xp.cast(further, "float32")
    reach = xp.cast(optics.coherence_angle, "float32") * slope
    return xp.exp(-((np.float32(math.pi) * reach) ** 2) * xp.cast(squared, "float32"))


def propagate(wave: Array, defocus: Array, optics: Optics) -> Array:
    """Propagate a wave through free space, without evanescent waves.

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
    array
        (planes, height, width), complex64.
    """
    kernels = transfer_function(wave.shape, defocus, optics)
    xp = arrays.of(wave, kernels)
    return xp.ifft2(xp.fft2(wave) * kernels)


def defocus_stack(wave: Array, defocus: Array, optics: Optics) -> Array:
    """The intensities that a camera records at each plane.

    Parameters
    ----------
    wave : (height, width) complex64
        The object's exit wave at focus. The field is periodic: leave a margin.
    defocus : (planes,) array or tensor
        Distances in um, positive downstream.
    optics : Optics
        The imaging system.

    Returns
    -------
    array
        (height, width, planes), float32, in units of the squared wave.
    """
    shape = tuple(wave.shape)
    kernels = imaging_kernels(shape, defocus, optics)
    xp = arrays.of(wave, kernels)
    waves = xp.ifft2(xp.fft2(wave) * kernels)
    intensity = xp.real(waves * xp.conj(waves))
    angle = optics.coherence_angle
    if arrays.is_tensor(angle) or angle > 0:
        envelope = xp.cast(coherence_envelope(shape, defocus, optics), "complex64")
        intensity = xp.irfft2(xp.rfft2(intensity) * envelope, shape)
    return xp.transpose(intensity, (1, 2, 0))


def spread(defocus: Sequence[float], optics: Optics) -> int:
    """The sideways distance, in pixels, of light of the highest passed frequency.

    Parameters
    ----------
    defocus : sequence of float
        Distances in um; the farthest is used.
    optics : Optics
        With plain numbers; without an aperture the pixel size limits the angle.
    """
    sine = optics.wavelength / (2 * optics.pixel_size) / optics.refractive_index
    if optics.numerical_aperture is not None:
        sine = min(sine, optics.numerical_aperture / optics.refractive_index)
    sine = min(sine, 0.99)
    reach = max(abs(z) for z in defocus) * sine / math.sqrt(1 - sine**2)
    return math.ceil(reach / optics.pixel_size)


def margins_of(
    shape: Sequence[int], reach: int
) -> tuple[tuple[tuple[int, int], ...], tuple[slice, ...]]:
    """Margins to add around a field before propagation, and the place of the field within them.

    Parameters
    ----------
    shape : (height, width)
    reach : int
        The distance that light travels sideways, in pixels, see `spread`; at most half of the field
        is added on each side.

    Returns
    -------
    margins : tuple
        (before, after) for height and width, in pixels. The size after padding has a fast
        transform; with a reach of zero nothing is added.
    inner : tuple of slice
    """
    from scipy.fft import next_fast_len

    margins = []
    for n in shape:
        before = min(reach, n // 2)
        margins.append((before, next_fast_len(n + 2 * before) - n - before if before else 0))
    inner = tuple(slice(m[0], m[0] + n) for m, n in zip(margins, shape, strict=True))
    return tuple(margins), inner


def extended(fields: Array, margin: int) -> tuple[Array, tuple[slice, slice]]:
    """Fields with a mirrored margin that fades to zero, and the place of the field within them."""
    height, width = fields.shape[-2:]
    margin = min(margin, height, width)  # a field can be mirrored only once
    inner = slice(margin, margin + height), slice(margin, margin + width)
    if margin == 0:
        return fields, inner
    widths = [(0, 0)] * (len(fields.shape) - 2) + [(margin, margin)] * 2

    def fade(n: int) -> Array:
        distance = np.arange(n + 2 * margin) + 0.5
        distance = np.minimum(distance, n + 2 * margin - distance)
        return np.sin(0.5 * math.pi * np.minimum(distance / margin, 1.0)) ** 2

    window = np.float32(fade(height)[:, None] * fade(width))
    return arrays.of(fields).pad(fields, widths) * window, inner
