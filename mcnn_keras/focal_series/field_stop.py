"""The dark rim of a field stop: find it, and fill it with the mean."""

from __future__ import annotations

import numpy as np

from .series import FocalSeries

# Pixels below this share of the lit intensity are dark; smoothing before, in pixels.
DARK, SMOOTH = 0.25, 2.0
# The least share of the field that counts as a rim, and the least that must be lit.
LEAST, LIT = 0.002, 0.1
# A stop is dark in all planes, an object where its light is spread: the least share of a dark area.
COMMON = 0.5
# Pixels inside the stop's edge that are left out for its diffraction, and pixels of the fade.
EDGE, FADE = 3, 8


def lit_field(images: np.ndarray) -> np.ndarray | None:
    """The pixels that are lit in all planes: the field without the dark rim of a field stop.

    Parameters
    ----------
    images : (height, width, planes) array
        Intensities.

    Returns
    -------
    numpy.ndarray or None
        (height, width), bool; None if no dark rim touches the border of the field.
    """
    from scipy import ndimage

    least = np.full(images.shape[:2], np.inf, np.float32)
    most = np.zeros_like(least)
    for plane in range(images.shape[2]):
        image = ndimage.gaussian_filter(images[..., plane].astype(np.float32), SMOOTH)
        bright = float(np.percentile(image, 90))
        if not bright > 0:
            return None
        least = np.minimum(least, image / bright)
        most = np.maximum(most, image / bright)
    labels, _ = ndimage.label(least < DARK)
    border = np.unique([*labels[0], *labels[-1], *labels[:, 0], *labels[:, -1]])
    border = border[border > 0]
    common = ndimage.mean(most < DARK, labels, border)
    rim = np.isin(labels, border[np.asarray(common) >= COMMON])
    lit = ndimage.binary_erosion(~rim, iterations=EDGE, border_value=1)
    if rim.mean() < LEAST or lit.mean() < LIT:
        return None
    return lit


def within_stop(series: FocalSeries) -> tuple[FocalSeries, np.ndarray | None]:
    """A series with the same energy inside the field stop in all planes, and its rim filled.

    Each plane is divided by its mean inside the stop. Outside it is one, with a smooth transition
    over some pixels.

    Returns
    -------
    series : FocalSeries
        Unchanged if there is no dark rim.
    lit : numpy.ndarray or None
        From `lit_field`.
    """
    from scipy import ndimage

    lit = lit_field(series.images)
    if lit is None:
        return series, None
    weight = np.clip(ndimage.distance_transform_edt(lit) / FADE, 0, 1).astype(np.float32)
    means = series.images[lit].mean(axis=0, dtype=np.float64).astype(np.float32)
    images = 1 + weight[..., None] * (series.images / means - 1)
    return series._replace(images=images.astype(np.float32)), lit
