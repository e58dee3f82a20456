"""How large a network is at least, without building it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .builder import preset_settings


def least_size(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """Layers with weights, and weights, that a network has at least: about half of all.

    A file that has fewer cannot hold the network, which then need not be built to know it.

    Parameters
    ----------
    arguments : dict
        Of `mcnn_keras.MCNN`.

    Returns
    -------
    layers, weights : int
    """
    names = ("filters", "cell", "depth", "full_size_filters")
    settings = preset_settings(
        arguments.get("preset", "light"), **{n: arguments.get(n) for n in names}
    )
    filters, depth = list(settings["filters"]), settings["depth"]
    before = [arguments["input_channels"], *filters]
    layers = weights = 0
    for level, channels in enumerate(filters):
        # The encoder's strided convolution; the decoder's, where its cell is not left out.
        layers += 1 + (level > 0)
        weights += 16 * channels * before[level] * (1 + (level > 0))
        # Of a block of bottlenecks, the first convolution alone.
        each = 9 * channels**2 if settings["cell"] == "plain" else channels**2 // 2
        blocks = depth * (1 + (level < len(filters) - 1))
        layers, weights = layers + blocks, weights + blocks * each
    outputs, full_size = arguments["output_channels"], settings["full_size_filters"]
    if full_size:
        weights += full_size * (16 * filters[0] + 9 * outputs)
    else:
        weights += 72 * outputs * max(1, filters[0] // 2)
    between = arguments["input_channels"] * outputs
    if arguments.get("gated"):
        weights += between + outputs**2
    if any(k is not None for k in arguments.get("scaled_by") or ()):
        weights += between
    return layers, weights
