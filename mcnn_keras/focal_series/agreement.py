"""Whether a retrieved wave explains its images: simulated again, compared, made to agree."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..metrics import correlation
from ..physics.optics import Optics
from ..physics.waves import defocus_stack
from .iterative import surroundings
from .series import FocalSeries
from .variational import variational_phase

# Width of the borders that scores leave out, as a share of the field: what lies outside of the
# field is unknown and disturbs the simulated images there.
BORDER = 0.06
# Span of a phase, in rad, from which refining pays. On simulated objects of 0.3 rad it did harm, on
# those of up to 3 rad it took a tenth to a fifth of the error.
STRONG = 1.0


def resimulated(
    phase: np.ndarray, amplitude: np.ndarray | None, defocus: Sequence[float], optics: Optics
) -> np.ndarray:
    """Simulate the intensities of a retrieved wave, whose field is mirrored at its borders.

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
    """How well a wave explains images: the correlation of what is simulated with each of them.

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


def refining_helps(defocus: Sequence[float], phase: np.ndarray) -> bool:
    """Whether a network's phase is refined where nothing else is said.

    From two planes on, where the phase spans more than `STRONG`: a strong object shows more than
    the linear estimates of the network tell. Refining a weak one fits noise, and from one plane
    uneven light and absorption, as if they were phase.

    Parameters
    ----------
    defocus : sequence of float
        Of each plane.
    phase : (height, width) array
        The network's, in rad.
    """
    low, high = np.percentile(phase, (1, 99))
    return len(defocus) > 1 and bool(high - low > STRONG)


def refined_phase(
    series: FocalSeries,
    optics: Optics,
    start: np.ndarray,
    amplitude: np.ndarray | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """A phase near another one that explains the images better, see `variational_phase`.

    Parameters
    ----------
    series : FocalSeries
    optics : Optics
    start : (height, width) array
        The phase, in rad.
    amplitude : (height, width) array, optional
        Of the wave at focus, which is kept.
    progress : callable, optional
        Called with (iterations done, iterations).
    """
    return variational_phase(
        series.images, series.defocus, optics, start=start, amplitude=amplitude, progress=progress
    )
