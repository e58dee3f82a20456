"""Phase and amplitude of a focal series by a network for given planes, or for any planes.

series -> the model's planes, or all -> fields of several sizes -> combined
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..inference.axes import SMALLEST
from ..inference.planes import match_planes
from ..models import AnyPlanes, ModelCard, Planes
from ..physics.optics import Optics
from .series import FocalSeries

# Standard deviation, in pixels, of the Gaussian that separates slow changes from others.
SLOW = 16.0


def load_network(
    name: str | Path, planes: Sequence[float], unit: str = "um"
) -> tuple[Any, list[int]]:
    """Load a phase model, and find the images of a series at its planes.

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
        If the model is not a phase model, or its planes are not in the series.

    Notes
    -----
    A model for any planes takes all images.
    """
    from ..models.saving import load_once

    model = load_once(name)
    return model, frames_of(model.card, name, planes, unit)


def frames_of(
    card: ModelCard, name: str | Path, planes: Sequence[float], unit: str = "um"
) -> list[int]:
    """The images of a series that a phase model takes, as in `load_network`."""
    if isinstance(card.inputs, AnyPlanes):
        return list(range(len(planes)))
    if not isinstance(card.inputs, Planes):
        raise InputError(f"{name} is a model for {card.problem}, not for phases")
    if card.inputs.unit != unit:
        kinds = {"um": "light", "A": "electrons"}
        raise InputError(
            f"{name} is a model for {kinds[card.inputs.unit]}, and the series is of "
            f"{kinds[unit]}; choose a model for {kinds[unit]}, or give optics for "
            f"{kinds[card.inputs.unit]}"
        )
    return match_planes(card.inputs, planes)


def network_answer(
    model: Any,
    series: FocalSeries,
    optics: Optics,
    progress: Callable[[int, int], Any] = lambda done, count: None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Phase, in rad, and amplitude (or None) that a network retrieves from a series.

    As `with_uncertainty`, which see for the parameters, without the uncertainties.
    """
    return with_uncertainty(model, series, optics, progress)[:2]


def with_uncertainty(
    model: Any,
    series: FocalSeries,
    optics: Optics,
    progress: Callable[[int, int], Any] = lambda done, count: None,
) -> tuple[np.ndarray, np.ndarray | None, list[np.ndarray]]:
    """Phase, in rad, amplitude (or None), and the uncertainty of each.

    Parameters
    ----------
    model : keras.Model or engine
    series : FocalSeries
        The planes of the model, in any order; for a model for any planes, all are used.
    optics : Optics
        Only a model for any planes uses it.
    progress : callable
        As for `mcnn_keras.predict`, for each size of the field.

    Returns
    -------
    phase, amplitude : numpy.ndarray
    uncertainty : list of numpy.ndarray
        Of phase and amplitude; empty unless the model is an engine that gives it.
    """
    from ..inference.predict import computed

    if isinstance(model.card.inputs, AnyPlanes):
        return _at_any_planes(model, series.images, series.defocus, optics, progress)
    own = match_planes(model.card.inputs, series.defocus)
    found = computed(model, series.images[..., own], axes="yxz", progress=progress)
    return _parts(np.atleast_3d(found), len(getattr(model, "answers", model.card).outputs))


def _parts(
    found: np.ndarray, outputs: int
) -> tuple[np.ndarray, np.ndarray | None, list[np.ndarray]]:
    """Phase, amplitude or None, and uncertainties, of (height, width, channels)."""
    channels = [found[..., c] for c in range(found.shape[-1])]
    return channels[0], channels[1] if outputs > 1 else None, channels[outputs:]


def at_any_planes(
    model: Any,
    images: np.ndarray,
    defocus: Sequence[float],
    optics: Optics,
    progress: Callable[[int, int], Any] = lambda done, count: None,
) -> tuple[np.ndarray, np.ndarray]:
    """Phase and amplitude by a model for any planes, with slow changes from a smaller field.

    Slow changes of a phase hardly show in an image. The network estimates them from its training,
    which has fields of a limited size. A field with pixels twice as large has half as many pixels
    across, and a quarter of the dimensionless defocus. So the same network can process a wide field
    with large pixels. Its slow changes replace those of the field at full size.

    Parameters
    ----------
    model : keras.Model or engine
    images : (height, width, planes) array
    defocus : sequence of float
    optics : Optics
    progress : callable
        As for `network_answer`.

    Returns
    -------
    phase, amplitude : numpy.ndarray
        (height, width); in rad, mean-free.
    """
    phase, amplitude, _ = _at_any_planes(model, images, defocus, optics, progress)
    return phase, amplitude


def _at_any_planes(
    model: Any,
    images: np.ndarray,
    defocus: Sequence[float],
    optics: Optics,
    progress: Callable[[int, int], Any],
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """As `at_any_planes`; with the uncertainties, that of the phase the largest of all fields."""
    from ..inference.predict import computed

    def answer(images: np.ndarray, times: int) -> np.ndarray:
        # Not as Optics, which would warn about a pixel size that the user did not give.
        told = {**optics.conditions(), "pixel_size": optics.pixel_size * times}
        return computed(
            model, images, axes="yxz", defocus=defocus, conditions=told, progress=progress
        )

    shape = images.shape[:2]
    wide = max(shape) / model.card.largest_trained, min(shape) / SMALLEST
    levels = max(0, min(math.ceil(math.log2(wide[0]) - 0.25), math.floor(math.log2(wide[1]))))
    whole = [-(-n // 2**levels) * 2**levels for n in shape]
    added = [(0, m - n) for n, m in zip(shape, whole, strict=True)]
    fields = [np.pad(images, (*added, (0, 0)), mode="symmetric") if levels else images]
    for _ in range(levels):
        fields.append(halved(fields[-1]))
    phase = amplitude = slow = np.zeros(0)
    widths: list[np.ndarray] = []
    for level in range(levels, -1, -1):
        found = answer(fields[level], 2**level)
        slow, wider = phase, widths
        phase, amplitude = found[..., 0], found[..., 1]
        widths = [found[..., c] for c in range(2, found.shape[-1])]
        if level < levels:
            phase = with_slow(phase, enlarged(slow))
        if level < levels and widths:
            widths[0] = np.maximum(widths[0], enlarged(wider[0]))
    phase = phase[: shape[0], : shape[1]]
    inner = [field[: shape[0], : shape[1]] for field in (amplitude, *widths)]
    return phase - phase.mean(), inner[0], inner[1:]


def halved(field: np.ndarray) -> np.ndarray:
    """The means of 2x2 pixels; height and width must be even."""
    height, width = field.shape[:2]
    parts = field.reshape(height // 2, 2, width // 2, 2, *field.shape[2:])
    return parts.mean((1, 3), dtype=np.float32)


def enlarged(field: np.ndarray) -> np.ndarray:
    """A field of twice the height and width, interpolated linearly between pixel centres."""
    from scipy.ndimage import zoom

    return zoom(field, 2, order=1, mode="nearest", grid_mode=True)


def with_slow(phase: np.ndarray, slow: np.ndarray) -> np.ndarray:
    """A phase whose changes over more than about 5 * SLOW pixels come from another phase."""
    from scipy.ndimage import gaussian_filter

    return phase + gaussian_filter(slow - phase, SLOW, mode="reflect")
