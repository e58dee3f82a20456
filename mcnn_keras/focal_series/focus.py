"""Where a series is in focus: told by the number of an image, or found from the contrast."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import InputError
from .series import FocalSeries


def refocused(series: FocalSeries, focus: float) -> FocalSeries:
    """A series whose planes are distances from another place along the axis."""
    planes = np.asarray(series.defocus) - focus
    # A plane in focus is at zero, not at what rounding leaves.
    planes[np.abs(planes) < 1e-9 * np.abs(planes).max()] = 0.0
    return series._replace(defocus=tuple(float(z) for z in planes))


def least_contrast(series: FocalSeries) -> float:
    """The place of least contrast: the focus of an object that hardly absorbs.

    Out of focus a phase shows, in focus it does not. The place is the vertex of a parabola through
    the three images of least contrast, each as a share of its own mean.

    Returns
    -------
    float
        On the scale of the series' planes.

    Raises
    ------
    InputError
        If there are fewer than three images, or the contrast is least at an end of the series.
    """
    images, planes = series.images, np.asarray(series.defocus)
    if len(planes) < 3:
        raise InputError(
            f"focus is looked for between images, and there are {len(planes)}; give three or more, "
            "or tell --focus the number of the image in focus"
        )
    contrast = images.std((0, 1)) / images.mean((0, 1))
    least = int(np.argmin(contrast))
    if least in (0, len(planes) - 1):
        raise InputError(
            f"the contrast is least in the image at {planes[least]:g}, at an end of the series, so "
            "that the focus lies beyond it or the object absorbs; tell --focus the number of the "
            "image in focus"
        )
    near = slice(least - 1, least + 2)
    a, b, _ = np.polyfit(planes[near] - planes[least], contrast[near], 2)
    return float(planes[least] - b / (2 * a)) if a > 0 else float(planes[least])


def on_one_side(planes: Sequence[float]) -> bool:
    """Whether several planes all lie on one side of focus, or in it."""
    z = np.asarray(planes)
    return len(z) > 1 and (bool((z >= 0).all()) or bool((z <= 0).all()))
