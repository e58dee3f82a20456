"""The phase that best explains all measured amplitudes, close to a given start."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from ..errors import InputError
from ..physics.optics import Optics
from .iterative import filtered, surroundings
from .misfit import Misfit, passed
from .tie import unit_intensities


def variational_phase(
    images: np.ndarray,
    defocus: ArrayLike,
    optics: Optics,
    iterations: int = 100,
    start: np.ndarray | None = None,
    smoothness: float = 0.3,
    boundary: str = "reflect",
    amplitude: np.ndarray | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Phase of an object whose absorption is known, from one or more planes and a start.

    Minimises the sum of two terms. The first is the squared difference between the measured
    amplitudes and those of a wave with this phase and this amplitude, averaged over the planes. The
    second is `smoothness` times the squared gradient of the change from the start, so frequencies
    that the planes do not determine stay as in the start. This improves the agreement of a phase
    from a network, or from the transport-of-intensity equation, with the measurement. The change
    has no finer detail than the aperture transmits, because light that the aperture stops would be
    mistaken for absorption.

    Parameters
    ----------
    images : (height, width, planes) array
        Intensities; each plane is divided by its mean.
    defocus : sequence of float
        Of each plane, in um.
    optics : Optics
        The imaging system, see `mcnn_keras.physics.optics`.
    iterations : int
        Maximum number of iterations of L-BFGS.
    start : (height, width) array, optional
        Phase to start from, in rad; zero by default.
    smoothness : float
        Weight of the squared differences between neighbouring pixels of the change.
    boundary : {'reflect', 'periodic'}
        How the field continues beyond its borders.
    amplitude : (height, width) array, optional
        Of the wave at focus; one everywhere by default.
    progress : callable, optional
        Called with (iterations done, iterations).

    Returns
    -------
    numpy.ndarray
        (height, width), rad, mean-free; not wrapped.

    Raises
    ------
    InputError
        If `iterations` is not positive, or `smoothness` negative or infinite.

    References
    ----------
    Fienup, Applied Optics 21, 2758 (1982), section V; Liu and Nocedal, Mathematical Programming
    45, 503 (1989).
    """
    from scipy.optimize import minimize

    if iterations < 1:
        raise InputError(f"iterations is {iterations}; it must be at least 1")
    if not 0 <= smoothness < np.inf:
        raise InputError(f"smoothness is {smoothness}; it must be 0 or more")
    images = unit_intensities(images)
    margins, inner = surroundings(images.shape[:2], defocus, optics, boundary)
    misfit = Misfit(np.pad(images, (*margins, (0, 0)), mode="symmetric"), defocus, optics)
    known = 1.0 if amplitude is None else np.pad(amplitude, margins, mode="symmetric")
    first = np.zeros(images.shape[:2]) if start is None else np.asarray(start, np.float64)
    first = np.pad(first, margins, mode="symmetric")
    band, laplacian = passed(first.shape, optics), _laplacian(first.shape)
    done: list[int] = []

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        change = flat.reshape(first.shape)
        value, _, gradient = misfit(known, first + change)
        rough = filtered(change, laplacian)
        value += smoothness * float((change * rough).sum())
        return value, filtered(gradient + 2 * smoothness * rough, band).ravel()

    def report(_: np.ndarray) -> None:
        done.append(1)
        if progress:
            progress(len(done), iterations)

    result = minimize(
        loss, np.zeros(first.size), jac=True, method="L-BFGS-B", callback=report,
        options={"maxiter": iterations, "maxfun": 10 * iterations},
    )  # fmt: skip
    if progress and len(done) < iterations:
        progress(iterations, iterations)
    phase = (first + result.x.reshape(first.shape))[inner]
    return phase - phase.mean()


def _laplacian(shape: Sequence[int]) -> np.ndarray:
    """Transfer function of the negative Laplacian of differences between neighbouring pixels."""
    f = np.fft.fftfreq(shape[0]), np.fft.rfftfreq(shape[1])
    return np.add.outer(*(2 - 2 * np.cos(2 * np.pi * v) for v in f))
