"""Which images of a focal series are a model's planes: one to one, within its focus error."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from ..errors import InputError
from ..models import Planes


def match_planes(planes: Planes, there: Sequence[float], source: str = "") -> list[int]:
    """The image of each of a model's planes.

    Parameters
    ----------
    planes : Planes
        Of the model.
    there : sequence of float
        Of each image, in the model's unit.
    source : str
        The series, for messages.

    Returns
    -------
    list of int
        A different image for each of the model's planes, in their order.

    Raises
    ------
    InputError
        If a plane has no image of its own within the focus error that the model was trained for.
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
    # What lies outside must never be taken to bring others nearer.
    rows, columns = linear_sum_assignment(np.where(apart <= 1, apart, 1e6 + apart))
    for plane, image in zip(rows, columns, strict=True):
        if apart[plane, image] > 1:
            z, nearest = planes.defocus[plane], int(np.argmin(apart[plane]))
            taken = " and is another plane's" if apart[plane, nearest] <= 1 else ""
            raise InputError(
                f"the model was trained for {wanted} {planes.unit}, and the image{of} nearest to "
                f"{z:g} {planes.unit} lies at {there[nearest]:g}{taken}, where "
                f"{planes.tolerance[plane]:.3g} {planes.unit} of error are allowed; give other "
                "images, or train a model for these planes"
            )
    return [int(i) for i in columns]


def require_out_of_focus(planes: ArrayLike) -> None:
    """Refuse planes that show nothing of a phase.

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
