"""The receptive field of a network, computed from its layers."""

from __future__ import annotations

import math
from typing import Any, NamedTuple


class _Reach(NamedTuple):
    """Element i of a tensor depends on input pixels step * i - before to step * i + after."""

    step: float
    before: float
    after: float


def receptive_radius(model: Any, output: int = 0) -> int | None:
    """The largest distance at which an input pixel affects a pixel of an output.

    Parameters
    ----------
    model : keras.Model
        A model that `MCNN` built.
    output : int
        Which of its outputs; by default the full-size answer.

    Returns
    -------
    int or None
        In pixels of the input. None if a layer uses the whole image (group normalisation).
    """
    reaches: dict[int, _Reach | None] = {}
    for layer in model.layers:
        inputs = layer.input if isinstance(layer.input, list) else [layer.input]
        if type(layer).__name__ == "InputLayer":
            reaches[id(layer.output)] = _Reach(1.0, 0.0, 0.0)
            continue
        reaches[id(layer.output)] = _after(layer, [reaches[id(t)] for t in inputs])
    found = reaches[id(model.outputs[output])]
    return None if found is None else math.ceil(max(found.before, found.after))


def _after(layer: Any, inputs: list[_Reach | None]) -> _Reach | None:
    """The reach of a layer's output."""
    kind = type(layer).__name__
    if kind == "GroupNormalization" or any(reach is None for reach in inputs):
        return None
    known = [reach for reach in inputs if reach is not None]
    step = known[0].step
    before, after = max(r.before for r in known), max(r.after for r in known)
    if kind in ("Conv2D", "SeparableConv2D"):
        kernel, stride = layer.kernel_size[0], layer.strides[0]
        first = max(kernel - stride, 0) // 2  # what 'same' padding adds before
        return _Reach(step * stride, before + first * step, after + (kernel - 1 - first) * step)
    if kind == "AveragePooling2D":
        beside = (layer.pool_size[0] - 1) / 2
        return _Reach(step, before + beside * step, after + beside * step)
    if kind == "Conv2DTranspose":
        kernel, stride = layer.kernel_size[0], layer.strides[0]
        cut = (kernel - stride) // 2  # what 'same' padding cuts off before
        fine = step / stride
        return _Reach(fine, before + (kernel - 1 - cut) * fine, after + cut * fine)
    return _Reach(step, before, after)
