"""How large a network is, without building it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .builder import preset_settings
from .interval import FILTERS

# Arrays of a normalisation layer, each with a value for each channel.
OF_NORMALIZATION = {"none": 0, "group": 2, "batch": 4}


def size(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """Layers with weights, and weights, of a network.

    A file that has fewer cannot hold the network, which then need not be built to know it.

    Parameters
    ----------
    arguments : dict
        Of `mcnn_keras.MCNN`.

    Returns
    -------
    layers, weights : int
    """
    count = _Count(arguments)
    count.network()
    return count.layers, count.weights


class _Count:
    """Walks through the layers as `MCNN` and its cells do; `x` are the channels at a place."""

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        names = ("filters", "cell", "depth", "full_size_filters")
        self.given = arguments
        self.settings = preset_settings(
            arguments.get("preset") or "light", **{name: arguments.get(name) for name in names}
        )
        self.arrays = OF_NORMALIZATION[arguments.get("normalization") or "none"]
        self.layers = self.weights = 0

    def convolution(self, kernel: int, x: int, filters: int, bias: bool = True) -> int:
        self.layers += 1
        self.weights += kernel**2 * x * filters + bias * filters
        return filters

    def activated(self, kernel: int, x: int, filters: int) -> int:
        self.convolution(kernel, x, filters)
        return self.normalized(filters)

    def normalized(self, x: int) -> int:
        self.layers += self.arrays > 0
        self.weights += self.arrays * x
        return x

    def blocks(self, x: int, filters: int, depth: int) -> int:
        for _ in range(depth):
            if self.settings["cell"] == "plain":
                x = self.activated(3, x, filters)
            elif self.settings["cell"] == "xception":
                for _ in range(2):
                    self.layers += 1
                    self.weights += 9 * x + x * x + x
                    self.normalized(x)
            else:
                inner = self.activated(1, x, max(4, x // 2))
                width = max(1, inner // 4)
                for kernel in (3, 5, 7, 9):
                    self.convolution(1, inner, width)
                    self.convolution(kernel, width, width)
                self.convolution(1, self.normalized(4 * width), x)
        return x

    def decoder(self, x: int, skip: int, filters: int, depth: int) -> int:
        x = self.activated(4, x, filters) + skip
        if skip and self.settings["cell"] != "plain":
            x = self.activated(1, x, filters)
        return self.blocks(x, filters, depth)

    def gate(self, kernel: int, x: int, outputs: int) -> None:
        self.convolution(kernel, x, outputs)
        self.convolution(1, self.given["input_channels"], outputs)
        self.convolution(1, outputs, outputs, bias=False)

    def interval(self, features: int, levels: int) -> None:
        image, outputs = self.given["input_channels"], self.given["output_channels"]
        same = self.given.get("scale", 1) == 1
        self.convolution(4, outputs + image * same, FILTERS)
        x = self.convolution(3, features + FILTERS + image * (not same), FILTERS)
        skips = []
        for _ in range(min(levels, 2)):
            skips.append(x)
            x = self.convolution(3, self.convolution(4, x, 2 * FILTERS), 2 * FILTERS)
        for skip in reversed(skips):
            x = self.convolution(3, self.convolution(4, x, FILTERS) + skip, FILTERS)
        self.convolution(4, x, outputs)

    def network(self) -> None:
        given, settings = self.given, self.settings
        filters, depth = list(settings["filters"]), settings["depth"]
        outputs, head = given["output_channels"], given.get("head_kernel", 4)
        doublings = int(math.log2(given.get("scale", 1)))
        decoders = len(filters) + doublings
        branches = given.get("branches")
        branches = min(settings["branches"], decoders) if branches is None else branches
        # skips[k] are the channels at 1 / 2^k of the input's size.
        x, skips = given["input_channels"], {0: given["input_channels"]}
        for level, channels in enumerate(filters, 1):
            x = skips[level] = self.blocks(self.activated(4, x, channels), channels, depth)
        if branches >= decoders:
            self.convolution(3, x, outputs)
        for m in range(decoders, 0, -1):
            level = m - 1 - doublings
            features = x
            if m == 1 and not settings["full_size_filters"]:
                self.convolution(head, self.activated(3, x, 8 * outputs), outputs)
                if given.get("gated"):
                    self.gate(head, self.activated(3, x, 8 * outputs), outputs)
                break
            own = filters[level - 1] if level > 0 else settings["full_size_filters"]
            own = own or filters[0] // 2
            x = self.decoder(x, skips.get(level, 0), own, depth if level > 0 else 0)
            if m <= branches + 1:
                self.convolution(3, x, outputs)
                if m == 1 and given.get("gated"):
                    self.gate(3, x, outputs)
        if any(channel is not None for channel in given.get("scaled_by") or ()):
            self.convolution(1, given["input_channels"], len(given["scaled_by"]))
        if given.get("interval"):
            self.interval(features, decoders - 1)
