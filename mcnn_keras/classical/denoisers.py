"""Classical denoisers for single frames: Gaussian blur, TV, non-local means and BM3D."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import InputError


def gaussian(frame: np.ndarray, strength: float) -> np.ndarray:
    """A Gaussian blur.

    Parameters
    ----------
    frame : (height, width) array
    strength : float
        Standard deviation of the Gaussian, in pixels.
    """
    from skimage.filters import gaussian as blur

    return blur(np.asarray(frame, np.float64), strength, mode="reflect")


def total_variation(frame: np.ndarray, strength: float) -> np.ndarray:
    """Total-variation denoising (Chambolle 2004).

    Parameters
    ----------
    frame : (height, width) array
    strength : float
        Weight of the total variation, in standard deviations of the frame.
    """
    from skimage.restoration import denoise_tv_chambolle

    frame = np.asarray(frame, np.float64)
    return denoise_tv_chambolle(frame, weight=strength * _deviation(frame))


def non_local_means(frame: np.ndarray, strength: float) -> np.ndarray:
    """Non-local means (Buades 2005), patches of 5x5 pixels in a window of 23x23.

    Parameters
    ----------
    frame : (height, width) array
    strength : float
        Assumed standard deviation of the noise, in deviations of the frame.
    """
    from skimage.restoration import denoise_nl_means

    frame = np.asarray(frame, np.float64)
    sigma = strength * _deviation(frame)
    return denoise_nl_means(frame, patch_size=5, patch_distance=11, h=0.8 * sigma, sigma=sigma)


def bm3d(frame: np.ndarray, strength: float) -> np.ndarray:
    """Block matching and 3D filtering (Dabov 2007), with the package bm3d.

    Parameters
    ----------
    frame : (height, width) array
    strength : float
        Assumed standard deviation of the noise, in deviations of the frame.

    Raises
    ------
    InputError
        If the package is not installed.
    """
    frame = np.asarray(frame, np.float64)
    deviation = _deviation(frame)
    return _bm3d(frame / deviation, strength) * deviation


def bm3d_anscombe(frame: np.ndarray, strength: float, offset: float = 0.0) -> np.ndarray:
    """`bm3d` between Anscombe's variance-stabilising transform and its unbiased inverse.

    Parameters
    ----------
    frame : (height, width) array
        Counts with Poisson noise, in any unit.
    strength : float
        The value of one count in the frame's unit.
    offset : float
        The frame's value at zero counts.

    References
    ----------
    Makitalo and Foi, IEEE Trans. Image Processing 20 (2011), 99: closed-form approximation of the
    exact unbiased inverse.
    """
    counts = np.maximum((np.asarray(frame, np.float64) - offset) / strength, 0.0)
    stable = _bm3d(2 * np.sqrt(counts + 3 / 8), 1.0)
    stable = np.maximum(stable, 2 * np.sqrt(3 / 8))
    back = stable**2 / 4 + np.sqrt(3 / 2) / 4 / stable - 11 / 8 / stable**2
    back = back + 5 / 8 * np.sqrt(3 / 2) / stable**3 - 1 / 8
    return np.maximum(back, 0.0) * strength + offset


def best_strength(
    denoise: Callable[[Any, float], Any],
    frames: Any,
    targets: Any,
    strengths: Sequence[float],
    score: Callable[[Any, Any], float],
) -> tuple[list[Any], float]:
    """The strength with which a method has the best mean score over a set of frames.

    Parameters
    ----------
    denoise : callable
        (frame, strength) -> frame.
    frames, targets : sequence of (height, width) array
        Noisy frames, and the same frames without noise.
    strengths : sequence of float
        The strengths to try.
    score : callable
        (answer, target) -> number; larger is better.

    Returns
    -------
    answers : list of array
    strength : float
    """
    best: tuple[float, list[Any], float] = (-np.inf, [], 0.0)
    for strength in strengths:
        answers = [denoise(frame, strength) for frame in frames]
        mean = float(np.mean([score(a, t) for a, t in zip(answers, targets, strict=True)]))
        if mean > best[0]:
            best = (mean, answers, strength)
    return best[1], best[2]


def _deviation(frame: np.ndarray) -> float:
    return float(frame.std()) or 1.0


def _bm3d(frame: np.ndarray, sigma: float) -> np.ndarray:
    try:
        import bm3d as package
    except ImportError:
        raise InputError(
            'BM3D needs the package bm3d; run pip install "mcnn-keras[compare]"'
        ) from None
    return package.bm3d(frame, sigma)
