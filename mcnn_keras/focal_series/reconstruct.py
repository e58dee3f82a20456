"""Phase of a focal series by a classical method, chosen by name, or by a network."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..inference.planes import match_planes
from ..models import Planes
from ..physics.optics import Optics
from .gaussian_process import gp_tie
from .iterative import iterative_phase
from .multi_focus import multi_focus_tie
from .series import FocalSeries
from .tie import lowest_cutoff, tie
from .variational import variational_phase

METHODS: dict[str, Callable[..., Any]] = {
    "tie": tie, "mf-tie": multi_focus_tie, "gp-tie": gp_tie, "iterative": iterative_phase,
    "variational": variational_phase,
}  # fmt: skip


def reconstruct(
    method: str,
    series: FocalSeries,
    optics: Optics,
    cutoff: float | None = None,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Retrieve the phase of a focal series by a classical method.

    Parameters
    ----------
    method : {'tie', 'mf-tie', 'gp-tie', 'iterative', 'variational'}
        See `mcnn_keras.focal_series`. The last two start from `tie` of two planes, the nearest to
        focus on each side. If one side has no plane, the iterative method starts from a flat
        phase, and the variational one from `tie` of all planes.
    series : FocalSeries
    optics : Optics
    cutoff : float, optional
        Spatial frequency, in 1/um, below which the solution of the transport-of-intensity
        equation is damped; by default a quarter of the lowest frequency in the field.
    progress : callable, optional
        Called with (steps done, steps) by the slow methods.
    **options
        Further arguments of the method.

    Returns
    -------
    phase : numpy.ndarray
        (height, width), rad, mean-free.
    amplitude : numpy.ndarray or None
        (height, width) by the iterative method, None by the others.

    Raises
    ------
    InputError
        If the method or an option is not known, or the planes do not suit it.
    """
    if method not in METHODS:
        raise InputError(f"the method {method!r} is not known; choose from {', '.join(METHODS)}")
    function = METHODS[method]
    known = inspect.signature(function).parameters
    unknown = [name for name in options if name not in known]
    if unknown:
        raise InputError(f"the method {method} takes no {unknown[0]}; leave it out")
    images, defocus = series.images, np.asarray(series.defocus)
    cutoff = lowest_cutoff(images.shape[:2], optics.pixel_size) if cutoff is None else cutoff
    if "progress" in known:
        options["progress"] = progress
    if method == "iterative":
        options.setdefault("start", _start(images, defocus, optics, cutoff))
        return iterative_phase(images, defocus, optics, **options)
    seen = defocus != 0  # a plane in focus does not contribute to a difference
    if not seen.any():
        raise InputError(
            "all planes are in focus, where a phase is invisible; add planes out of focus"
        )
    if method != "gp-tie":
        images, defocus = images[..., seen], defocus[seen]
    if method == "variational":
        if "start" not in options:
            start = _start(images, defocus, optics, cutoff)
            options["start"] = tie(images, defocus, optics, cutoff) if start is None else start
        return variational_phase(images, defocus, optics, **options), None
    return function(images, defocus, optics, cutoff, **options), None


def load_network(
    name: str | Path, planes: Sequence[float], unit: str = "um"
) -> tuple[Any, list[int]]:
    """Load a network for phases, and find the images of a series at its planes.

    Parameters
    ----------
    name : str or Path
        Name or file of the model.
    planes : sequence of float
        Defocus of each image of the series.
    unit : {'um', 'A'}
        Unit of the planes.

    Returns
    -------
    model : keras.Model
    frames : list of int
        Index of the image at each plane of the model, in the model's order.

    Raises
    ------
    InputError
        If the model is not one for phases, or its planes are not in the series.
    """
    from ..models.saving import load_once

    model = load_once(name)
    card = model.card
    if not isinstance(card.inputs, Planes):
        raise InputError(f"{name} is a model for {card.problem}, not for phases")
    if card.inputs.unit != unit:
        kinds = {"um": "light", "A": "electrons"}
        raise InputError(
            f"{name} is a model for {kinds[card.inputs.unit]}, and the series is of "
            f"{kinds[unit]}; choose a model for {kinds[unit]}, or give optics for "
            f"{kinds[card.inputs.unit]}"
        )
    return model, match_planes(card.inputs, planes)


def network_answer(model: Any, series: FocalSeries) -> tuple[np.ndarray, np.ndarray | None]:
    """Phase, in rad, and amplitude (or None) that a network retrieves from a series.

    Parameters
    ----------
    model : keras.Model
    series : FocalSeries
        The planes of the model, in any order.
    """
    from ..inference.predict import predict

    own = match_planes(model.card.inputs, series.defocus)
    found = predict(model, series.images[..., own], axes="yxz")
    return (found, None) if found.ndim == 2 else (found[..., 0], found[..., 1])


def _start(
    images: np.ndarray, defocus: np.ndarray, optics: Optics, cutoff: float
) -> np.ndarray | None:
    """`tie` of two planes, the nearest to focus on each side; None if one side has no plane."""
    sides = [np.flatnonzero(side) for side in (defocus < 0, defocus > 0)]
    if not all(len(side) for side in sides):
        return None
    pair = [side[np.argmin(np.abs(defocus[side]))] for side in sides]
    return tie(images[..., pair], defocus[pair], optics, cutoff)
