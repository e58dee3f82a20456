"""A field stop's dark rim, which says nothing of the object: found, and filled with the mean."""

from __future__ import annotations

import numpy as np

from .series import FocalSeries

# Of the lit field's intensity, below which a rim is dark; in some pixels' mean.
DARK, SMOOTH = 0.25, 2.0
# The least share of the field that counts as a rim, and the least that must be lit.
LEAST, LIT = 0.002, 0.1
# Pixels inside the stop's edge, which its own diffraction spoils, and over which the rest fades.
EDGE, FADE = 3, 8


def lit_field(images: np.ndarray) -> np.ndarray | None:
    """Where light reaches all planes: a field without the dark rim of a stop.

    Parameters
    ----------
    images : (height, width, planes) array
        Intensities.

    Returns
    -------
    numpy.ndarray or None
        (height, width), bool; None where no dark rim reaches the border of the field.
    """
    from scipy import ndimage

    least = np.full(images.shape[:2], np.inf, np.float32)
    for plane in range(images.shape[2]):
        image = ndimage.gaussian_filter(images[..., plane].astype(np.float32), SMOOTH)
        bright = float(np.percentile(image, 90))
        if not bright > 0:
            return None
        least = np.minimum(least, image / bright)
    dark = least < DARK
    labels, _ = ndimage.label(dark)
    border = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    rim = np.isin(labels, np.unique(border[border > 0]))
    lit = ndimage.binary_erosion(~rim, iterations=EDGE, border_value=1)
    if rim.mean() < LEAST or lit.mean() < LIT:
        return None
    return lit


def within_stop(series: FocalSeries) -> tuple[FocalSeries, np.ndarray | None]:
    """A series with the same energy inside the stop in all planes, and its rim filled.

    Each plane is divided by its mean inside the stop; outside it becomes one, which it fades to
    over some pixels.

    Returns
    -------
    series : FocalSeries
        As it came where there is no dark rim.
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
