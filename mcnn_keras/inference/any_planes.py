"""A model of any planes, told those of a measurement; and what lies outside of its training."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import InputError
from ..models import ModelCard, Planes
from ..physics import contrast_transfer as transfer
from ..physics.optics import Optics
from .planes import require_out_of_focus

# Beyond a range by this factor a number still counts as within.
SLACK = 1.05


def with_planes(engine: Any, defocus: Sequence[float], unit: str = "um") -> Any:
    """An engine whose card names these planes, in this order.

    Parameters
    ----------
    engine : engine
        Of a model of any planes.
    defocus : sequence of float
        Of each image of the measurement.
    unit : {'um', 'A'}

    Raises
    ------
    InputError
        If there is no plane, or one is given twice, or all are in focus.
    """
    planes = [float(z) for z in defocus]
    if not planes or not np.isfinite(planes).all():
        raise InputError(f"defocus {planes} is not a list of planes; give a number for each image")
    if len(set(planes)) < len(planes):
        raise InputError(f"defocus {planes} names a plane twice; give each plane once")
    require_out_of_focus(planes)
    told = copy.copy(engine)
    told.card = dataclasses.replace(
        engine.card, inputs=Planes(tuple(planes), tuple(0.0 for _ in planes), unit)
    )
    return told


def outside(card: ModelCard, defocus: Sequence[float], optics: Optics) -> list[str]:
    """What of a measurement lies outside of what a model of any planes was trained for.

    Parameters
    ----------
    card : ModelCard
    defocus : sequence of float
        Of each image, in the unit of the optics.
    optics : Optics

    Returns
    -------
    list of str
        A line for each thing, with its value and the range of the training.
    """
    ranges, found = card.ranges, []
    farthest = float(np.max(np.abs(transfer.dimensionless(np.asarray(defocus), optics))))
    pixel = optics.pixel_size
    values = {
        "planes": (len(defocus), "the number of planes"),
        "defocus": (
            farthest,
            "wavelength x defocus / (index x pixel size^2) at the farthest plane",
        ),
        "wavelength": (
            optics.wavelength / (optics.refractive_index * pixel),
            "wavelength / (index x pixel size)",
        ),
    }
    if optics.numerical_aperture is not None:
        radius = optics.numerical_aperture * pixel / optics.wavelength
        if radius < ranges["aperture"][1]:  # a wider one stops little that the pixels show
            values["aperture"] = (radius, "aperture x pixel size / wavelength")
    strength = abs(optics.spherical_aberration) * optics.wavelength**3 / pixel**4
    if strength > ranges["spherical_aberration"][0]:  # a weaker one shows nowhere
        values["spherical_aberration"] = (
            strength, "spherical aberration x wavelength^3 / pixel size^4"
        )  # fmt: skip
    for name, (value, what) in values.items():
        low, high = ranges[name]
        if not low / SLACK <= value <= high * SLACK:
            found.append(
                f"{what} is {value:.3g}, and the model was trained for {low:g} to {high:g}"
            )
    return found
