"""Refine a network's wave so that it agrees with its images, within their noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import fft

from ..physics import contrast_transfer as transfer
from ..physics.optics import Optics
from ..physics.waves import coherence_envelope
from .iterative import filtered, surroundings
from .misfit import Misfit, passed
from .series import FocalSeries
from .tie import unit_intensities

# Power of the errors of a network's phase and of its amplitude, relative to the power of phase and
# amplitude. Networks often miss a weak absorption.
ERRORS = (0.1, 0.5)
# What uneven light and the surroundings of the field add to the noise, see
# `contrast_transfer.unexplained`: more than for classical estimates, as the network's result
# already takes them into account.
UNEXPLAINED = 0.2
# Enough for the preconditioned search; more iterations change the result by a few percent.
ITERATIONS = 15


def refined_wave(
    series: FocalSeries,
    optics: Optics,
    phase: np.ndarray,
    amplitude: np.ndarray | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """The most probable wave, given images and a start whose errors have a known power.

    Minimises the squared differences between the measured amplitudes and those of the wave, plus a
    weighted power of the change from the start. The weight of each spatial frequency is the noise
    of the images at this frequency, divided by the power of the start's errors. This power falls
    as `contrast_transfer.power_law`, and is a fraction of the power of the start. So a weak object
    in noise does not change, and neither do frequencies that the images do not show.

    One plane cannot separate uneven light from a phase: refinement then often makes the wave worse.

    Parameters
    ----------
    series : FocalSeries
    optics : Optics
    phase : (height, width) array
        The start, in rad.
    amplitude : (height, width) array, optional
        The start of the amplitude, refined with the phase; by default one everywhere, and fixed.
    progress : callable, optional
        Called with (iterations done, maximum number of iterations).

    Returns
    -------
    phase : numpy.ndarray
        (height, width), in rad, mean-free.
    amplitude : numpy.ndarray or None
        None if none is given.

    References
    ----------
    Nocedal and Wright, Numerical Optimization (2006), section 7.2 (L-BFGS); the unknowns are
    scaled by the inverse root of the second derivative for a weak object.
    """
    from scipy.optimize import minimize

    images = unit_intensities(series.images)
    planes = np.asarray(series.defocus, np.float64)
    margins, inner = surroundings(images.shape[:2], planes, optics, "reflect")

    def wide(field: np.ndarray) -> np.ndarray:
        return np.pad(field, margins, mode="symmetric").astype(np.float64)

    images = np.pad(images, (*margins, (0, 0)), mode="symmetric")
    misfit = Misfit(images, planes, optics)
    # The phase, and the logarithm of the amplitude if there is one.
    first = [wide(phase - phase.mean())]
    if amplitude is not None:
        first.append(np.log(np.maximum(wide(amplitude), 0.05)))
    weights, gains = _weights(images, misfit, planes, optics, first)

    def changes(flat: np.ndarray) -> list[np.ndarray]:
        parts = flat.reshape(len(first), *misfit.shape)
        return [filtered(part, gain) for part, gain in zip(parts, gains, strict=True)]

    def wave(found: list[np.ndarray]) -> list[np.ndarray]:
        return [start + change for start, change in zip(first, found, strict=True)]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        found = changes(flat)
        now = wave(found)
        value, by_amplitude, by_phase = misfit(np.exp(now[1]) if now[1:] else 1.0, now[0])
        slopes = []
        for change, weight, gain, slope in zip(
            found, weights, gains, (by_phase, by_amplitude), strict=False
        ):
            unlikely = filtered(change, weight)
            value += float((change * unlikely).sum())
            slopes.append(filtered(slope + 2 * unlikely, gain))
        return value, np.stack(slopes).ravel()

    done: list[int] = []

    def report(_: np.ndarray) -> None:
        done.append(1)
        if progress:
            progress(len(done), ITERATIONS)

    result = minimize(
        loss, np.zeros(len(first) * first[0].size), jac=True, method="L-BFGS-B", callback=report,
        options={"maxiter": ITERATIONS, "maxfun": 3 * ITERATIONS},
    )  # fmt: skip
    if progress and len(done) < ITERATIONS:
        progress(ITERATIONS, ITERATIONS)
    found = [field[inner] for field in wave(changes(result.x))]
    return found[0] - found[0].mean(), np.exp(found[1]) if found[1:] else None


def _weights(
    images: np.ndarray, misfit: Misfit, planes: np.ndarray, optics: Optics, first: list[np.ndarray]
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Weights of the changes by frequency, and the scales of the unknowns."""
    shape = misfit.shape
    half = np.s_[..., : shape[1] // 2 + 1]
    transfers = transfer.transfers(misfit.kernels[half], coherence_envelope(shape, planes, optics))
    spectra = fft.rfft2(np.moveaxis(images - 1, -1, 0).astype(np.float32), workers=2)
    noise = transfer.noise_power(spectra, shape)
    noise = noise + transfer.unexplained(spectra, shape, UNEXPLAINED)
    # A contrast is about twice the difference of amplitudes: hence the factors of four.
    noise = 1 / (4 * np.sum(1 / np.maximum(noise, 1e-20), axis=0))
    law = transfer.power_law(shape)
    band = passed(shape, optics)
    band[0, 0] = False  # the mean phase shows in no image
    weights, gains = [], []
    for field, shows, error in zip(first, transfers, ERRORS, strict=False):
        strength = transfer.power(fft.rfft2(field, workers=2))[band].sum() / law[band].sum()
        weights.append(noise / np.maximum(error * strength * law, 1e-20))
        gains.append(band / np.sqrt(np.square(shows).mean(0) / 4 + weights[-1]))
    return weights, gains
