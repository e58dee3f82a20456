"""Phase of a focal series by a classical method, chosen by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..errors import InputError
from ..inference.planes import require_out_of_focus
from ..physics.optics import Optics
from .ctf import ctf_phase
from .gaussian_process import gp_tie
from .iterative import iterative_phase
from .multi_focus import multi_focus_tie
from .series import FocalSeries
from .tie import lowest_cutoff, noise_cutoff, tie
from .variational import variational_phase

METHODS: dict[str, Callable[..., Any]] = {
    "tie": tie, "ctf": ctf_phase, "mf-tie": multi_focus_tie, "gp-tie": gp_tie,
    "iterative": iterative_phase, "variational": variational_phase,
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
    method : {'tie', 'ctf', 'mf-tie', 'gp-tie', 'iterative', 'variational'}
        See `mcnn_keras.focal_series`. The last two start from `tie` of two planes, the nearest to
        focus on each side. If one side has no plane, the iterative method starts from a flat
        phase, and the variational one from `tie` of all planes.
    series : FocalSeries
    optics : Optics
    cutoff : float, optional
        Spatial frequency, in 1/um, below which the solution of the transport-of-intensity
        equation is damped; by default where noise dominates (`noise_cutoff`), but at least a
        quarter of the lowest frequency in the field.
    progress : callable, optional
        Called with (steps done, steps) by the slow methods.
    **options
        Further arguments of the method.

    Returns
    -------
    phase : numpy.ndarray
        (height, width), rad, mean-free.
    amplitude : numpy.ndarray or None
        (height, width) by the iterative method and by ctf, None by the others.

    Raises
    ------
    InputError
        If the method or an option is not known, or the method cannot use the planes.
    """
    if method not in METHODS:
        raise InputError(f"the method {method!r} is not known; choose from {', '.join(METHODS)}")
    function = METHODS[method]
    known = inspect.signature(function).parameters
    unknown = [name for name in options if name not in known]
    if unknown:
        raise InputError(f"the method {method} takes no {unknown[0]}; leave it out")
    images, defocus = series.images, np.asarray(series.defocus)
    if method == "ctf":
        return ctf_phase(images, defocus, optics, **options)
    cutoff = lowest_useful(images, defocus, optics) if cutoff is None else cutoff
    if "progress" in known:
        options["progress"] = progress
    if method == "iterative":
        options.setdefault("start", _start(images, defocus, optics, cutoff))
        return iterative_phase(images, defocus, optics, **options)
    require_out_of_focus(defocus)
    seen = defocus != 0  # a plane in focus does not contribute to a difference
    # A line through several planes may include a plane in focus.
    if method != "gp-tie" and not (method == "tie" and len(defocus) > 1):
        images, defocus = images[..., seen], defocus[seen]
    if method == "variational":
        if "start" not in options:
            start = _start(images, defocus, optics, cutoff)
            options["start"] = tie(images, defocus, optics, cutoff) if start is None else start
        return variational_phase(images, defocus, optics, **options), None
    return function(images, defocus, optics, cutoff, **options), None


def lowest_useful(images: np.ndarray, defocus: ArrayLike, optics: Optics) -> float:
    """The default cutoff of transport of intensity: limited by the field size and by noise."""
    lowest = lowest_cutoff(images.shape[:2], optics.pixel_size)
    return max(lowest, noise_cutoff(images, defocus, optics)) if np.any(defocus) else lowest


def _start(
    images: np.ndarray, defocus: np.ndarray, optics: Optics, cutoff: float
) -> np.ndarray | None:
    """`tie` of two planes, the nearest to focus on each side; None if one side has no plane."""
    sides = [np.flatnonzero(side) for side in (defocus < 0, defocus > 0)]
    if not all(len(side) for side in sides):
        return None
    pair = [side[np.argmin(np.abs(defocus[side]))] for side in sides]
    return tie(images[..., pair], defocus[pair], optics, cutoff)
