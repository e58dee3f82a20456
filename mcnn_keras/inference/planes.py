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
        If a plane has no image of its own within the focus error of the model's training, or a
        plane is no finite number.
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
    require_finite(there)
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


def planes_of_chosen(
    planes: Sequence[float], chosen: Sequence[int], images: int, given: bool = False
) -> list[float] | None:
    """The plane of each chosen image; None if the planes fit neither these nor all images.

    Parameters
    ----------
    planes : sequence of float
    chosen : sequence of int
        The numbers of the chosen images, in their order.
    images : int
        Number of all images.
    given : bool
        Whether an option or argument gives the planes: as many as chosen images are those of the
        chosen ones in their order. A file's planes are of its images, by number.

    Raises
    ------
    InputError
        If an image is chosen twice, a plane is no finite number, or a file gives a plane for each
        chosen image only, and these are in another order than in the file.
    """
    twice = next((i for i in chosen if list(chosen).count(i) > 1), None)
    if twice is not None:
        raise InputError(
            f"image {twice} is chosen twice (--frames); choose each image of a focal series once"
        )
    require_finite(planes)
    fit = len(planes) == len(chosen)
    if fit and given:
        return list(planes)
    if len(planes) == images:
        return [planes[i] for i in chosen]
    if fit and list(chosen) != sorted(chosen):
        numbers = ",".join(map(str, chosen))
        raise InputError(
            f"the file states {counted(len(planes), 'plane')} for {counted(images, 'image')}, and "
            f"--frames {numbers} is not the order of the file; give the planes in that order with "
            "--defocus, or write a plane for each image into the file"
        )
    return list(planes) if fit else None


def require_finite(planes: Sequence[float]) -> None:
    """Raise InputError if a plane is no finite number."""
    for z in planes:
        if not np.isfinite(z):
            raise InputError(f"the plane {z:g} is not a finite number; correct it")


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
