"""Axes, planes and optics of image layers, and result layers that are placed like other layers.

layer -> array, axes, planes, optics; layer + result -> arguments of ``viewer.add_image``
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import InputError
from ..files.instrument import FOCUS_AXES, OPTICS
from ..files.recording import Axis, axis, pixel_length
from ..files.units import LENGTHS, spelled

# Properties of a layer that define its place in the viewer, by axis.
PLACED = ("scale", "translate", "units", "axis_labels")


def array_of(layer: Any) -> Any:
    """The array of a layer, in full resolution: (..., height, width).

    Raises
    ------
    InputError
        If there is no layer, or it does not hold real images of one channel.
    """
    if layer is None:
        raise InputError("there is no image; add or choose an image layer")
    if layer.rgb:
        raise InputError(f"the layer {layer.name} is in colour; split it into channels first")
    array = layer.data[0] if layer.multiscale else layer.data
    if array.dtype.kind not in "buif":
        raise InputError(f"the layer {layer.name} holds {array.dtype}; real numbers are expected")
    return array


def axes_of(layer: Any) -> list[Axis]:
    """The axes of a layer, height and width last; napari's labels (-1, -2, ...) are not used.

    Parameters
    ----------
    layer : napari.layers.Image
    """
    names = [name if not name.lstrip("-").isdigit() else "" for name in layer.axis_labels]
    shape = (layer.data[0] if layer.multiscale else layer.data).shape
    return [
        axis(name, size, scale, offset, f"{units:~}")
        for name, size, scale, offset, units in zip(
            names, shape, layer.scale, layer.translate, layer.units, strict=False
        )
    ]


def pixel_size_of(layer: Any, unit: str) -> float | None:
    """The size of a layer's pixels in a unit; None if its units are not lengths.

    Raises
    ------
    InputError
        If height and width of the pixels differ.
    """
    return pixel_length(axes_of(layer), unit)


def planes_of(layer: Any, unit: str) -> list[float] | None:
    """The planes of a layer, in a unit.

    Parameters
    ----------
    layer : napari.layers.Image
    unit : {'um', 'A'}

    Returns
    -------
    list of float or None
        From ``layer.metadata["defocus"]``, in the unit or in ``metadata["unit"]``; or from its
        first axis, if this is named z or defocus and has a unit of length.
    """
    told = layer.metadata.get("defocus")
    if told is not None:
        return [float(z) * _factor(layer, unit) for z in np.atleast_1d(told)]
    first = axes_of(layer)[0]
    if layer.ndim != 3 or first.name.lower() not in FOCUS_AXES or first.units not in LENGTHS:
        return None
    steps = np.arange(first.size) * layer.scale[0] + layer.translate[0]
    return [float(z) * LENGTHS[first.units] / LENGTHS[unit] for z in steps]


def optics_of(layer: Any, unit: str) -> dict[str, float]:
    """The optics in a layer's metadata, by the names of `mcnn_keras.Optics`, in a unit."""
    factor = _factor(layer, unit)
    return {
        name: float(layer.metadata[name]) * factor**power
        for name, power in OPTICS.items()
        if layer.metadata.get(name) is not None
    }


def _factor(layer: Any, unit: str) -> float:
    """The factor from the unit of the layer's metadata to another."""
    own = str(layer.metadata.get("unit", unit))
    own = spelled(own)
    if own not in LENGTHS:
        raise InputError(
            f"the unit {own!r} in the layer's metadata is not known; use {', '.join(LENGTHS)}"
        )
    return LENGTHS[own] / LENGTHS[unit]


def placed_like(layer: Any, suffix: str, facts: dict[str, Any], without: int | None = None) -> dict:
    """Arguments of ``viewer.add_image`` for a result that is placed like a layer.

    Parameters
    ----------
    layer : napari.layers.Image
    suffix : str
        Of the result's name.
    facts : dict
        A record of the processing, for the result's metadata.
    without : int, optional
        An axis that the result does not have.
    """

    def kept(values: Sequence[Any]) -> list[Any]:
        return [value for i, value in enumerate(values) if i != without]

    placed = {name: kept(getattr(layer, name)) for name in PLACED}
    return {"name": f"{layer.name} {suffix}", "metadata": {"mcnn_keras": facts}, **placed}
