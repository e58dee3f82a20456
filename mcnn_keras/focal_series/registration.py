"""Registration of a focal series: corrects shifts and changes of size with focus."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ..errors import InputError
from ..metrics import correlation
from ..physics.optics import Optics
from ..physics.waves import imaging_kernels
from .gaussian_process import gp_tie
from .iterative import projected, propagated
from .multi_focus import symmetric_pairs
from .series import FocalSeries
from .tie import lowest_cutoff

# A shift between two frames that is larger than this share of the field is rejected.
MOST_SHIFT = 0.1
# Cross-correlation finds shifts to this fraction (1 / UPSAMPLING) of a pixel.
UPSAMPLING = 20
# With fewer planes, half of them cannot predict the others, and a shift cannot be distinguished
# from the spreading of diffraction.
FEWEST = 4
# The consistency of planes is judged on frames of at most this size, after this many iterations.
JUDGED_SIZE, ITERATIONS = 384, 4
# The search: first steps of the shift, in pixels of the judged frames, and of the growth, both at
# the outermost plane; and the maximum number of evaluations.
STEPS, LOOKS = (3.0, 0.01), 80


class Drift(NamedTuple):
    """Change of the image with focus: shift down and right in pixels, and growth, all per um."""

    down: float
    right: float
    growth: float


def registered(
    series: FocalSeries,
    optics: Optics,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[FocalSeries, Drift]:
    """Align the frames of a series and bring the object to the same size in all of them.

    Oblique illumination shifts a frame in proportion to its defocus; light that is not collimated
    changes its size in the same way. The shift is first found by cross-correlation of planes at
    about equal distances on both sides of focus, whose diffraction differs only in sign. A search
    then finds the shift and the growth for which amplitude projections over every second plane
    best predict the other planes. Cross-correlation cannot find the growth, because it mistakes
    the spreading of diffraction for growth.

    Parameters
    ----------
    series : FocalSeries
    optics : Optics
    progress : callable, optional
        Called with (evaluations done, maximum number of evaluations).

    Returns
    -------
    series : FocalSeries
    drift : Drift
        The drift that is removed.

    Raises
    ------
    InputError
        If fewer than four planes are out of focus, or no shift can be found between any two frames
        on opposite sides of focus.
    """
    seen = [i for i, z in enumerate(series.defocus) if z != 0]
    if len(seen) < FEWEST:
        raise InputError(
            f"{len(seen)} planes out of focus; registration needs at least {FEWEST}; give more "
            "planes, or register the series with other software"
        )
    images = series.images / series.images.mean(axis=(0, 1))
    steps = [
        np.divide(shift, 2 * z)
        for below, above, z in symmetric_pairs(series.defocus)
        if (shift := _shift(images[..., below], images[..., above])) is not None
    ]
    if not steps:
        raise InputError(
            "no shift between frames on opposite sides of focus can be found; register the series "
            "with other software, or give nearer planes"
        )
    down, right = np.median(steps, axis=0).tolist()
    planes = np.array(series.defocus)[seen]
    start = Drift(down, right, 0.0)
    drift = _consistent(images[..., seen], planes, optics, start, progress)
    moved = _straightened(series.images, series.defocus, drift, order=3)
    return series._replace(images=moved.astype(np.float32)), drift


def _shift(reference: np.ndarray, image: np.ndarray) -> np.ndarray | None:
    """Shift of an image, down and right of a reference, in pixels; None if it is too large.

    The contrast of the image may be inverted.
    """
    from scipy.ndimage import gaussian_filter
    from skimage.registration import phase_cross_correlation

    shape = np.array(reference.shape)
    window = np.hanning(shape[0])[:, None] * np.hanning(shape[1])
    # A band-pass filter removes noise and uneven light.
    pair = [
        window * (gaussian_filter(a, 2) - gaussian_filter(a, shape.min() / 16))
        for a in (reference, image)
    ]
    found, _, _ = phase_cross_correlation(*pair, upsample_factor=UPSAMPLING, normalization=None)
    return None if (np.abs(found) > MOST_SHIFT * shape).any() else -found


def _straightened(
    images: np.ndarray, defocus: Sequence[float] | np.ndarray, drift: Drift, order: int
) -> np.ndarray:
    """Frames with a drift removed."""
    from scipy.ndimage import affine_transform

    middle = (np.array(images.shape[:2]) - 1) / 2
    out = np.empty(images.shape)
    for plane, z in enumerate(defocus):
        scale = 1 + drift.growth * z
        offset = middle * (1 - scale) + np.array([drift.down, drift.right]) * z
        out[..., plane] = affine_transform(
            images[..., plane], [scale, scale], offset, order=order, mode="nearest"
        )
    return out


def _consistent(
    images: np.ndarray,
    defocus: np.ndarray,
    optics: Optics,
    drift: Drift,
    progress: Callable[[int, int], None] | None,
) -> Drift:
    """The drift with which every second plane best predicts the others."""
    from scipy.optimize import minimize

    bins = max(1, -(-max(images.shape[:2]) // JUDGED_SIZE))
    judged = _binned(images, bins)
    predict = _Prediction(judged, defocus, optics, bins)
    farthest = np.abs(defocus).max()
    units = np.array([STEPS[0] * bins, STEPS[0] * bins, STEPS[1]]) / farthest
    looks: list[float] = []

    def disagreement(step: np.ndarray) -> float:
        found = Drift(*(np.array(drift) + step * units))
        there = found._replace(down=found.down / bins, right=found.right / bins)
        looks.append(-predict(_straightened(judged, defocus, there, order=1)))
        if progress:
            progress(len(looks), LOOKS)
        return looks[-1]

    start = np.vstack([np.zeros(3), np.eye(3)])
    result = minimize(
        disagreement, start[0], method="Nelder-Mead",
        options={"initial_simplex": start, "xatol": 0.02, "fatol": 1e-4, "maxfev": LOOKS},
    )  # fmt: skip
    if progress:
        progress(LOOKS, LOOKS)
    return Drift(*(float(v) for v in np.array(drift) + result.x * units))


class _Prediction:
    """How well amplitude projections over every second plane predict the others."""

    def __init__(self, images: np.ndarray, defocus: np.ndarray, optics: Optics, bins: int) -> None:
        self.optics = dataclasses.replace(optics, pixel_size=optics.pixel_size * bins)
        self.defocus, shape = defocus, images.shape[:2]
        self.cutoff = lowest_cutoff(shape, self.optics.pixel_size)
        self.kernels = imaging_kernels(shape, defocus, self.optics)
        order = np.argsort(np.abs(defocus))[::-1]
        # Both halves have planes on both sides of focus.
        sides = [[i for i in order if (defocus[i] < 0) == side] for side in (True, False)]
        self.used = [i for side in sides for i in side[::2]]
        self.others = [i for side in sides for i in side[1::2]]

    def __call__(self, images: np.ndarray) -> float:
        amplitudes = np.sqrt(np.maximum(images, 0)).astype(np.float32)
        # From a flat start the low frequencies would converge late, and the search would replace
        # them by growth.
        phase = gp_tie(
            images[..., self.used], self.defocus[self.used], self.optics, self.cutoff, "periodic"
        )
        wave = np.exp(1j * phase).astype(np.complex64)
        for _ in range(ITERATIONS):
            wave = projected(wave, amplitudes, self.kernels, self.used)
        answers = [np.abs(propagated(wave, self.kernels[i])) ** 2 for i in self.others]
        pairs = zip(answers, self.others, strict=True)
        return float(np.mean([correlation(answer, images[..., i]) for answer, i in pairs]))


def _binned(images: np.ndarray, bins: int) -> np.ndarray:
    height, width, planes = images.shape
    cut = images[: height // bins * bins, : width // bins * bins]
    return cut.reshape(height // bins, bins, width // bins, bins, planes).mean((1, 3))
