"""A model for any planes: set the planes of a measurement, and compare them with its training."""

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

# A number may exceed a range by this factor.
SLACK = 1.05


def with_planes(engine: Any, defocus: Sequence[float], unit: str = "um") -> Any:
    """A copy of an engine whose card has these planes, in this order.

    Parameters
    ----------
    engine : engine
        Engine of a model for any planes.
    defocus : sequence of float
        Defocus of each image of the measurement.
    unit : {'um', 'A'}

    Raises
    ------
    InputError
        If there is no plane, a plane is given twice, or all planes are in focus.
    """
    planes = [float(z) for z in defocus]
    if not planes or not np.isfinite(planes).all():
        raise InputError(f"defocus {planes} is not a list of planes; give a number for each image")
    if len(set(planes)) < len(planes):
        raise InputError(f"defocus {planes} names a plane twice; give each plane once")
    require_out_of_focus(planes)
    told, inputs = copy.copy(engine), Planes(tuple(planes), tuple(0.0 for _ in planes), unit)
    told.card = dataclasses.replace(engine.card, inputs=inputs)
    if hasattr(engine, "answers"):
        told.answers = dataclasses.replace(engine.answers, inputs=inputs)
    return told


def outside(card: ModelCard, defocus: Sequence[float], optics: Optics) -> list[str]:
    """The quantities of a measurement that are outside the training ranges of a model.

    Parameters
    ----------
    card : ModelCard
        Card of a model for any planes.
    defocus : sequence of float
        Defocus of each image, in the unit of the optics.
    optics : Optics

    Returns
    -------
    list of str
        A line for each quantity, with its value and the range of the training.
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
        if radius < ranges["aperture"][1]:  # a wider one hardly limits what the pixels resolve
            values["aperture"] = (radius, "aperture x pixel size / wavelength")
    strength = abs(optics.spherical_aberration) * optics.wavelength**3 / pixel**4
    if strength > ranges["spherical_aberration"][0]:  # a weaker one has no visible effect
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
