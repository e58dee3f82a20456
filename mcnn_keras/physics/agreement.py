"""Agreement of a result with its images: simulate them from it, and compare.

result -> forward model -> simulated images, on the scale of the measured -> correlation, residual
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..metrics import correlation
from .optics import Optics
from .waves import defocus_stack, margins_of, spread

# Width of the borders that scores leave out, as a share of the field. There the simulated images
# are disturbed by the unknown surroundings of the field.
BORDER = 0.06
# What the images of a measurement do not keep of their scale, see `Forward`.
LOST = ("", "gain", "gain and offset")


class Forward(NamedTuple):
    """A forward model: it simulates the images that a result explains, without noise.

    Parameters
    ----------
    simulate : callable
        Takes a result, (height, width, outputs), and returns its images, (height, width, channels).
    lost : {'', 'gain', 'gain and offset'}
        What the normalisation, or the instrument, removes of the scale of images. It is fitted to
        each image before the residual is computed, see `on_scale`. The agreement does not depend on
        either.
    """

    simulate: Callable[[np.ndarray], Any]
    lost: str = ""


def within_borders(shape: Sequence[int]) -> tuple[slice, ...]:
    """The part of a field, (height, width, ...), that scores use."""
    return tuple(slice(int(BORDER * n), n - int(BORDER * n)) for n in shape[:2])


def on_scale(found: np.ndarray, image: np.ndarray, lost: str) -> np.ndarray:
    """A simulated image on the scale of a measured one.

    Parameters
    ----------
    found, image : (height, width) or (height, width, 3) array
        Simulated and measured; colours have one scale.
    lost : {'', 'gain', 'gain and offset'}
        '' changes nothing. A lost gain makes the means equal. A lost gain and offset are those of a
        least-squares fit. Both leave the borders out.

    Returns
    -------
    numpy.ndarray
        In the unit of the measured image.
    """
    inner = within_borders(image.shape)
    seen, own = (np.asarray(a[inner], np.float64) for a in (image, found))
    mean, middle = own.mean(), seen.mean()
    if lost == "gain":
        return found * (middle / mean) if mean else found
    if lost == "gain and offset":
        variance = own.var()
        gain = np.mean((own - mean) * (seen - middle)) / variance if variance else 0.0
        return gain * (found - mean) + middle
    return found


def resimulated(
    phase: np.ndarray, amplitude: np.ndarray | None, defocus: Sequence[float], optics: Optics
) -> np.ndarray:
    """Simulate the intensities of a retrieved wave; the field is mirrored at its borders.

    Parameters
    ----------
    phase : (height, width) array
        In rad.
    amplitude : (height, width) array or None
        None stands for one everywhere.
    defocus : sequence of float
        Of each plane, in the unit of length.
    optics : Optics

    Returns
    -------
    numpy.ndarray
        (height, width, planes), float32.
    """
    margins, inner = margins_of(phase.shape, spread(list(defocus), optics))
    wave = np.exp(1j * phase) if amplitude is None else amplitude * np.exp(1j * phase)
    wave = np.pad(wave, margins, mode="symmetric").astype(np.complex64)
    return defocus_stack(wave, defocus, optics)[inner]


def agreement(
    phase: np.ndarray,
    amplitude: np.ndarray | None,
    images: np.ndarray,
    defocus: Sequence[float],
    optics: Optics,
) -> list[float]:
    """Agreement of a wave with images: the correlation of each image with its simulation.

    Parameters
    ----------
    phase : (height, width) array
        In rad.
    amplitude : (height, width) array or None
        None stands for one everywhere.
    images : (height, width, planes) array
    defocus : sequence of float
        Of each plane, in the unit of the optics.
    optics : Optics

    Returns
    -------
    list of float
        For each plane, -1 to 1; the borders are left out.
    """
    inner = within_borders(phase.shape)
    found = []
    for i, z in enumerate(defocus):
        image = resimulated(phase, amplitude, [z], optics)[..., 0]
        found.append(float(correlation(image[inner], images[..., i][inner])))
    return found
