"""Match the images of a focal series to a model's planes, one to one, within its focus error."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from ..errors import InputError
from ..models import Planes


def match_planes(planes: Planes, there: Sequence[float], source: str = "") -> list[int]:
    """The index of the image for each plane of a model.

    Parameters
    ----------
    planes : Planes
        Planes of the model.
    there : sequence of float
        Plane of each image, in the model's unit.
    source : str
        Name of the series, for messages.

    Returns
    -------
    list of int
        A different image for each plane of the model, in the order of the planes.

    Raises
    ------
    InputError
        If a plane has no image of its own within the focus error of the model's training.
    """
    from scipy.optimize import linear_sum_assignment

    wanted = ", ".join(f"{z:g}" for z in planes.defocus)
    of = f" of {source}" if source else ""
    if len(there) < planes.count:
        raise InputError(
            f"{counted(len(there), 'image')}{of}, and the model was trained on "
            f"{counted(planes.count, 'plane')} ({wanted} {planes.unit}); give at least "
            f"{planes.count}"
        )
    apart = np.abs(np.asarray(there, np.float64)[None] - np.asarray(planes.defocus)[:, None])
    apart = apart / np.asarray(planes.tolerance)[:, None]
    # The large cost of images outside the tolerance prevents that one is used to improve others.
    rows, columns = linear_sum_assignment(np.where(apart <= 1, apart, 1e6 + apart))
    for plane, image in zip(rows, columns, strict=True):
        if apart[plane, image] > 1:
            z, nearest = planes.defocus[plane], int(np.argmin(apart[plane]))
            taken = " and belongs to another plane" if apart[plane, nearest] <= 1 else ""
            raise InputError(
                f"the model was trained for {wanted} {planes.unit}, and the image{of} nearest to "
                f"{z:g} {planes.unit} lies at {there[nearest]:g}{taken}; the allowed error is "
                f"{planes.tolerance[plane]:.3g} {planes.unit}; give other images, or train a model "
                "for these planes"
            )
    return [int(i) for i in columns]


def require_out_of_focus(planes: ArrayLike) -> None:
    """Raise InputError if no plane shows the phase.

    Raises
    ------
    InputError
        If all planes are in focus.
    """
    if not np.any(planes):
        raise InputError(
            "all planes are in focus, where a phase is invisible; add planes out of focus"
        )


def counted(number: int, thing: str) -> str:
    """A number of things, in words."""
    return f"{number} {thing}{'s' * (number != 1)}"
