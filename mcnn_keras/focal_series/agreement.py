"""Agreement of a retrieved wave with its images: simulate them from it, and compare."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..metrics import correlation
from ..physics.optics import Optics
from ..physics.waves import defocus_stack
from .iterative import surroundings

# Width of the borders that scores leave out, as a share of the field. There the simulated images
# are disturbed by the unknown surroundings of the field.
BORDER = 0.06


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
    margins, inner = surroundings(phase.shape, defocus, optics, "reflect")
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
    inner = tuple(slice(int(BORDER * n), n - int(BORDER * n)) for n in phase.shape)
    found = []
    for i, z in enumerate(defocus):
        image = resimulated(phase, amplitude, [z], optics)[..., 0]
        found.append(float(correlation(image[inner], images[..., i][inner])))
    return found
