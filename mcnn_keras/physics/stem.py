"""Annular dark-field (ADF) images of atoms, as TensorFlow operations that run inside tf.data.

An annular detector at high angles makes imaging incoherent: the image is the projected scattering
power of the atoms, about Z^1.7, convolved with the intensity of the probe and the size of its
source (Pennycook and Jesson, Ultramicroscopy 37, 1991). Every parameter may be a tensor, so that it
can differ between samples. Lengths are in Angstrom, energies in eV, angles in rad.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from .arrays import Array
from .electrons import electron_wavelength

# Samples of the probe's transfer function from 0 to its limit, and nodes of its two integrals.
TRANSFER_SAMPLES = 129
NODES = (24, 12)


def scattering(elements: Array, exponent: Array = 1.7) -> Array:
    """Scattering power of atoms into the annular detector, relative to platinum.

    Parameters
    ----------
    elements : tensor
        Atomic numbers.
    exponent : float or tensor
        Of the atomic number: 2 for Rutherford scattering, less with screening.
    """
    return (elements / 78.0) ** exponent


def probe_transfer(
    frequency: Array,
    energy: Array,
    semi_angle: Array,
    defocus: Array = 0.0,
    spherical_aberration: Array = 0.0,
) -> Array:
    """Fourier transform of the intensity, with sum one, of the probe of a round lens.

    Parameters
    ----------
    frequency : tensor
        Spatial frequencies in 1 / Angstrom, of any shape.
    energy : float or tensor
        In eV.
    semi_angle : float or tensor
        Half-angle of convergence, in rad.
    defocus, spherical_aberration : float or tensor
        In Angstrom.

    Returns
    -------
    tf.Tensor
        Of the frequencies' shape, float32; zero beyond 2 semi_angle / wavelength.

    Notes
    -----
    The autocorrelation of the pupil exp(-i chi), chi = (2 pi / wavelength) (defocus theta^2 / 2 +
    spherical_aberration theta^4 / 4), integrated by Gauss's rule over the lens-shaped overlap of
    two pupils, so that it does not alias at any pixel size. It is real for a round lens.
    """
    wavelength = electron_wavelength(energy)
    u = np.linspace(0, 2, TRANSFER_SAMPLES)[:, None, None]
    (s, ws), (t, wt) = (_gauss(n) for n in NODES)
    # A quarter of the overlap: x from 0 to its tip, y from 0 to the shifted pupil's edge.
    x = (1 - u / 2) * s[:, None]
    edge = np.sqrt(np.clip(1 - (x + u / 2) ** 2, 0, None))
    y = edge * t
    area = 4 / math.pi * (1 - u / 2) * edge * ws[:, None] * wt
    far, near = (x + u / 2) ** 2 + y**2, (x - u / 2) ** 2 + y**2
    second = math.pi * defocus * semi_angle**2 / wavelength
    fourth = math.pi / 2 * spherical_aberration * semi_angle**4 / wavelength
    chi = second * np.float32(far - near) + fourth * np.float32(far**2 - near**2)
    table = tf.reduce_sum(np.float32(area) * tf.cos(chi), axis=(1, 2))
    place = frequency * (wavelength / semi_angle / 2 * (TRANSFER_SAMPLES - 1))
    place = tf.minimum(place, TRANSFER_SAMPLES - 1.001)
    before = tf.cast(place, tf.int32)
    share = place - tf.cast(before, tf.float32)
    return (1 - share) * tf.gather(table, before) + share * tf.gather(table, before + 1)


def frequencies(shape: Sequence[int], pixel_size: Array) -> tuple[Array, Array]:
    """Spatial frequencies of a real image's discrete Fourier transform.

    Parameters
    ----------
    shape : tuple of int
        Height and width in pixels.
    pixel_size : float or tensor
        In Angstrom.

    Returns
    -------
    fy, fx : tf.Tensor
        (height, 1) and (1, width // 2 + 1), float32, in 1 / Angstrom.
    """
    fy = np.fft.fftfreq(shape[0]).astype(np.float32)[:, None]
    fx = np.fft.rfftfreq(shape[1]).astype(np.float32)[None]
    return fy / pixel_size, fx / pixel_size


def project(positions: Array, weights: Array, shape: Sequence[int]) -> Array:
    """Add the weights of points to the pixels around them, bilinearly.

    Parameters
    ----------
    positions : (points, 2) tensor
        Row and column, in pixels; points outside of the image are ignored.
    weights : (points,) tensor
    shape : tuple of int
        Height and width in pixels.

    Returns
    -------
    tf.Tensor
        (height, width), float32.
    """
    height, width = shape
    corner = tf.floor(positions)
    row, column = tf.unstack(tf.cast(corner, tf.int32), axis=1)
    below, right = tf.unstack(positions - corner, axis=1)
    inside = (row >= 0) & (row < height - 1) & (column >= 0) & (column < width - 1)
    weights = tf.where(inside, weights, 0.0)
    first = tf.where(inside, row * width + column, 0)
    shares = [(1 - below) * (1 - right), (1 - below) * right, below * (1 - right), below * right]
    places = tf.concat([first, first + 1, first + width, first + width + 1], axis=0)
    values = tf.concat([share * weights for share in shares], axis=0)
    return tf.reshape(tf.math.unsorted_segment_sum(values, places, height * width), shape)


def image(
    projected: Array,
    pixel_size: Array,
    transfer: Array,
    source_size: Sequence[Array] = (0.0, 0.0),
) -> Array:
    """Convolve projected scattering power with the probe and its source.

    Parameters
    ----------
    projected : (height, width) tensor
        From `project`. The field is periodic: leave a margin.
    pixel_size : float or tensor
        In Angstrom.
    transfer : (height, width // 2 + 1) tensor
        Of the probe, from `probe_transfer`.
    source_size : (float or tensor, float or tensor)
        Standard deviations of the image of the source, down and across, in Angstrom.

    Returns
    -------
    tf.Tensor
        (height, width), float32, with the sum of `projected`.

    Notes
    -----
    Frequencies that the pixels cannot resolve are cut off: probe and source together should be
    wider than about one pixel.
    """
    shape = projected.shape
    fy, fx = frequencies(shape, pixel_size)
    transfer *= tf.exp(-2 * math.pi**2 * ((fy * source_size[0]) ** 2 + (fx * source_size[1]) ** 2))
    # Undo the blur of the bilinear projection, a triangle in each direction.
    by = (np.sinc(np.fft.fftfreq(shape[0])) ** -2).astype(np.float32)
    bx = (np.sinc(np.fft.rfftfreq(shape[1])) ** -2).astype(np.float32)
    transfer *= by[:, None] * bx
    spectrum = tf.signal.rfft2d(projected) * tf.cast(transfer, tf.complex64)
    return tf.signal.irfft2d(spectrum, fft_length=shape)


def _gauss(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of Gauss's rule on 0..1."""
    nodes, weights = np.polynomial.legendre.leggauss(n)
    return (nodes + 1) / 2, weights / 2
