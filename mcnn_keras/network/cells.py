"""The cells of an MCNN: each encoder cell halves the image, each decoder cell doubles it.

Every cell is a pair of functions with the same arguments, so that the builder needs no case
distinctions:

    encoder(x, filters, depth, normalization, name)        -> features at half the size
    decoder(x, skip, filters, depth, normalization, name)  -> features at twice the size

``depth`` is the number of additional blocks at the new size. ``skip`` holds the encoder's features
of that size, or is None.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import layers


def activate(x: Any, normalization: str, name: str) -> Any:
    """Normalise as chosen, then LeakyReLU(0.2), the activation of every cell."""
    x = normalize(x, normalization, f"{name}_norm")
    return layers.LeakyReLU(negative_slope=0.2, name=f"{name}_act")(x)


def normalize(x: Any, kind: str, name: str) -> Any:
    """Apply the normalisation layer ``kind``: 'none', 'batch' or 'group'."""
    if kind == "batch":
        return layers.BatchNormalization(name=name)(x)
    if kind == "group":
        # The largest number of groups up to 8 that divides the channels.
        groups = max(n for n in range(1, 9) if x.shape[-1] % n == 0)
        return layers.GroupNormalization(groups=groups, name=name)(x)
    return x


def join(x: Any, skip: Any, name: str) -> Any:
    """Concatenate the encoder's features, if there are any of this size."""
    return x if skip is None else layers.Concatenate(name=f"{name}_skip")([x, skip])


def convolve(x: Any, filters: int, normalization: str, name: str, kernel: int = 3) -> Any:
    """Convolve at unchanged size and activate."""
    x = layers.Conv2D(filters, kernel, padding="same", name=f"{name}_conv")(x)
    return activate(x, normalization, name)


def halve(x: Any, filters: int, name: str) -> Any:
    """The stride-2 convolution that starts every encoder cell."""
    return layers.Conv2D(filters, 4, strides=2, padding="same", name=f"{name}_conv")(x)


def double(x: Any, filters: int, name: str) -> Any:
    """The stride-2 transposed convolution that starts every decoder cell."""
    return layers.Conv2DTranspose(filters, 4, strides=2, padding="same", name=f"{name}_up")(x)


# -- plain: the paper's cell, one strided convolution, and `depth` additional 3x3 convolutions


def plain_encoder(x: Any, filters: int, depth: int, normalization: str, name: str) -> Any:
    x = activate(halve(x, filters, name), normalization, name)
    for i in range(1, depth + 1):
        x = convolve(x, filters, normalization, f"{name}_block_{i}")
    return x


def plain_decoder(
    x: Any, skip: Any, filters: int, depth: int, normalization: str, name: str
) -> Any:
    x = activate(double(x, filters, name), normalization, name)
    x = join(x, skip, name)
    for i in range(1, depth + 1):
        x = convolve(x, filters, normalization, f"{name}_block_{i}")
    return x


# -- resnext and xception: bottleneck cells, residual blocks after the change of size


def resnext_block(x: Any, normalization: str, name: str) -> Any:
    """Squeeze to half the channels, split them over 3x3, 5x5, 7x7 and 9x9 kernels, expand, add.

    The split-transform-merge block of ResNeXt (Xie et al., 2017), with a different kernel size in
    each path.
    """
    filters = x.shape[-1]
    inner = convolve(x, max(4, filters // 2), normalization, f"{name}_squeeze", kernel=1)
    width = max(1, inner.shape[-1] // 4)
    paths = []
    for kernel in (3, 5, 7, 9):
        path = layers.Conv2D(width, 1, name=f"{name}_split_{kernel}")(inner)
        paths.append(
            layers.Conv2D(width, kernel, padding="same", name=f"{name}_path_{kernel}")(path)
        )
    merged = activate(layers.Concatenate(name=f"{name}_merge")(paths), normalization, name)
    merged = layers.Conv2D(filters, 1, name=f"{name}_expand")(merged)
    return activate(layers.Add(name=f"{name}_add")([x, merged]), "none", f"{name}_out")


def xception_block(x: Any, normalization: str, name: str) -> Any:
    """Two depthwise-separable 3x3 convolutions and an added skip (Chollet, 2017)."""
    filters = x.shape[-1]
    inner = layers.SeparableConv2D(filters, 3, padding="same", name=f"{name}_separable_1")(x)
    inner = activate(inner, normalization, f"{name}_1")
    inner = layers.SeparableConv2D(filters, 3, padding="same", name=f"{name}_separable_2")(inner)
    inner = normalize(inner, normalization, f"{name}_2_norm")
    return activate(layers.Add(name=f"{name}_add")([x, inner]), "none", f"{name}_out")


def bottleneck_cell(block: Callable[..., Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The encoder and decoder functions of a cell that consists of residual blocks."""

    def encoder(x: Any, filters: int, depth: int, normalization: str, name: str) -> Any:
        x = activate(halve(x, filters, name), normalization, name)
        for i in range(1, depth + 1):
            x = block(x, normalization, f"{name}_block_{i}")
        return x

    def decoder(x: Any, skip: Any, filters: int, depth: int, normalization: str, name: str) -> Any:
        x = activate(double(x, filters, name), normalization, name)
        if skip is not None:
            x = convolve(join(x, skip, name), filters, normalization, f"{name}_mix", kernel=1)
        for i in range(1, depth + 1):
            x = block(x, normalization, f"{name}_block_{i}")
        return x

    return encoder, decoder


CELLS = {
    "plain": (plain_encoder, plain_decoder),
    "resnext": bottleneck_cell(resnext_block),
    "xception": bottleneck_cell(xception_block),
}
