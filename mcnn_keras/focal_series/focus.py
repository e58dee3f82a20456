"""The focus of a series: given as the number of an image, or found from the contrast."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import InputError
from .series import FocalSeries


def refocused(series: FocalSeries, focus: float) -> FocalSeries:
    """A series whose planes are measured from another position along the axis."""
    planes = np.asarray(series.defocus) - focus
    # A plane in focus is at exactly zero, without rounding errors.
    planes[np.abs(planes) < 1e-9 * np.abs(planes).max()] = 0.0
    return series._replace(defocus=tuple(float(z) for z in planes))


def flipped(series: FocalSeries) -> FocalSeries:
    """A series whose planes were counted the other way: positive upstream."""
    planes = tuple(-z if z else 0.0 for z in reversed(series.defocus))
    return series._replace(images=series.images[..., ::-1], defocus=planes)


def least_contrast(series: FocalSeries) -> float:
    """The position of least contrast: the focus of an object that hardly absorbs.

    A phase shows out of focus, but not in focus. The position is the vertex of a parabola through
    the contrasts (standard deviation / mean) of the image of least contrast and its two neighbours.

    Returns
    -------
    float
        On the scale of the planes of the series.

    Raises
    ------
    InputError
        If there are fewer than three images, or the contrast is least at an end of the series.
    """
    images, planes = series.images, np.asarray(series.defocus)
    if len(planes) < 3:
        raise InputError(
            f"finding the focus needs at least three images, and there are {len(planes)}; give "
            "more, or give --focus the number of the image in focus"
        )
    contrast = images.std((0, 1)) / images.mean((0, 1))
    least = int(np.argmin(contrast))
    if least in (0, len(planes) - 1):
        raise InputError(
            f"the contrast is least in the image at {planes[least]:g}, at an end of the series: "
            "the focus lies outside of the series, or the object absorbs; give --focus the number "
            "of the image in focus"
        )
    near = slice(least - 1, least + 2)
    a, b, _ = np.polyfit(planes[near] - planes[least], contrast[near], 2)
    return float(planes[least] - b / (2 * a)) if a > 0 else float(planes[least])


def on_one_side(planes: Sequence[float]) -> bool:
    """Whether there are several planes, all on one side of focus or in focus."""
    z = np.asarray(planes)
    return len(z) > 1 and (bool((z >= 0).all()) or bool((z <= 0).all()))
