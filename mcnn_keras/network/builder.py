"""The multi-scale network: a U-Net whose decoder also predicts the target at coarser scales."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import layers, ops

from .cells import CELLS, convolve
from .interval import interval_head

PRESETS: dict[str, dict[str, Any]] = {
    # About 4 M parameters, and no layer at full size, since such layers take most of the time: the
    # first convolution halves the image, and the full-size output is made from features of half
    # the size.
    "light": {
        "filters": (32, 48, 96, 128, 160, 192),
        "cell": "plain",
        "depth": 1,
        "full_size_filters": 0,
        "branches": 6,
    },
    # A third of these parameters, in about half of the time.
    "fast": {
        "filters": (16, 32, 48, 64, 96, 128),
        "cell": "plain",
        "depth": 1,
        "full_size_filters": 0,
        "branches": 6,
    },
    # The paper's phase network: one strided convolution in each cell, about 50 M parameters.
    "paper": {
        "filters": (64, 128, 256, 512, 576, 576, 576),
        "cell": "plain",
        "depth": 0,
        "full_size_filters": 64,
        "branches": 7,
    },
    # The paper's network for many planes: hundreds of layers in bottleneck cells, about 20 M.
    "paper-bottleneck": {
        "filters": (64, 128, 256, 320, 384, 432),
        "cell": "resnext",
        "depth": 2,
        "full_size_filters": 32,
        "branches": 3,
    },
}

# Of a gate: width of its averages in pixels, and the mean squared difference between input and
# answer, in the input's scale, at which it starts half open.
GATE_POOL, GATE_OPENS = 9, 0.02


def MCNN(
    input_channels: int = 1,
    output_channels: int = 1,
    preset: str = "light",
    filters: Sequence[int] | None = None,
    branches: int | None = None,
    cell: str | None = None,
    normalization: str | None = None,
    scale: int = 1,
    depth: int | None = None,
    full_size_filters: int | None = None,
    head_kernel: int = 4,
    gated: bool = False,
    scaled_by: Sequence[int | None] | None = None,
    interval: bool = False,
    name: str = "mcnn",
) -> keras.Model:
    """Build a multi-scale convolutional network for an image-to-image problem.

    Parameters
    ----------
    input_channels, output_channels : int
        Channels of the network's input, including fixed channels, and of its target.
    preset : {'light', 'fast', 'paper', 'paper-bottleneck'}
        The network to start from; the arguments below override it.
    filters : sequence of int, optional
        Channels after each encoder cell. Their number is the number of times that the image is
        halved, so height and width must be multiples of 2 ** len(filters).
    branches : int, optional
        Number of coarse outputs, each half the size of the one before. 0 is the plain U-Net.
    cell : {'plain', 'resnext', 'xception'}, optional
        The kind of layers in each level.
    normalization : {'none', 'batch', 'group'}, optional
        Normalisation layers. None by default, since they leave speckle and stripes in maps that
        have a physical scale.
    scale : {1, 2}
        Size of the target as a multiple of the input's size.
    depth : int, optional
        Additional blocks in each cell, after the convolution that changes the size.
    full_size_filters : int, optional
        Channels of the last cell, which works at full size; 0 makes the full-size output from
        features of half the size.
    head_kernel : {4, 2}
        Kernel size of the transposed convolution that makes this full-size output. With 4, the
        contributions of neighbouring features overlap.
    gated : bool
        The full-size output is answer + gate (input - answer): the gate, 0 to 1 at each pixel,
        passes the input where it needs no correction. The passed input is a learned sum of the
        input's channels, which starts as the first channel.
    scaled_by : sequence of int or None, optional
        For each channel of the target, the channel of the input that multiplies the output; None
        for no scaling. Such an input channel is constant over a field.
    interval : bool
        Add a last output, ``interval``: the logarithm of the half-width of an interval around the
        full-size answer. No other output depends on it.

    Returns
    -------
    keras.Model
        Input: (batch, height, width, input_channels), with height and width that are multiples of
        `stride`. Outputs: a list of ``output_1`` (full size), ``output_2`` (half size), ..., all
        linear and float32. With branches=0 there is only ``output_1``.

    Raises
    ------
    ValueError
        If an argument is not one of its choices, or there are more branches than scales.

    References
    ----------
    Wang et al., Multi-resolution convolutional neural networks for inverse problems, Scientific
    Reports 10 (2020), 5730.
    """
    settings = preset_settings(preset, filters=filters, cell=cell, depth=depth,
                               full_size_filters=full_size_filters)  # fmt: skip
    normalization = normalization or "none"
    _choice("normalization", normalization, dict.fromkeys(("none", "batch", "group")))
    _choice("scale", scale, {1: None, 2: None})
    if gated and scale != 1:
        raise ValueError("gated=True needs a target of the input's size, scale=1")
    _choice("head_kernel", head_kernel, {4: None, 2: None})
    encoder, decoder = _choice("cell", settings["cell"], CELLS)
    filters, depth = list(settings["filters"]), settings["depth"]
    full_size_filters = settings["full_size_filters"] or filters[0] // 2
    decoders = len(filters) + int(math.log2(scale))
    # With fewer filters than the preset has, there are fewer scales to predict.
    branches = min(settings["branches"], decoders) if branches is None else branches
    if not 0 <= branches <= decoders:
        raise ValueError(
            f"branches={branches} does not fit a network with {decoders} coarser scales; "
            f"give 0 to {decoders}, or more filters"
        )

    image = keras.Input((None, None, input_channels), name="input")
    x = image
    # skips[k] holds the features at 1 / 2^k of the input's size.
    skips = {0: x}
    for level, channels in enumerate(filters, 1):
        x = skips[level] = encoder(x, channels, depth, normalization, f"encoder_{level}")

    outputs = {}
    if branches == decoders:
        outputs[decoders + 1] = _head(x, output_channels, decoders + 1)
    for m in range(decoders, 0, -1):
        level = m - 1 - int(math.log2(scale))
        if m == 1:
            features = x
        if m == 1 and not settings["full_size_filters"]:
            own = convolve(x, 8 * output_channels, normalization, "decoder_1")
            outputs[1] = _sub_pixel_head(own, output_channels, head_kernel)
            if gated:
                # From all features, as those of the answer do not show how good the image is.
                x = convolve(x, 8 * output_channels, normalization, "gate_2")
                gate = layers.Conv2DTranspose(
                    output_channels, head_kernel, strides=2, padding="same", **_gate_start()
                )(x)
                outputs[1] = _gated(image, outputs[1], gate, scaled_by)
            break
        channels = filters[level - 1] if level > 0 else full_size_filters
        blocks = depth if level > 0 else 0
        x = decoder(x, skips.get(level), channels, blocks, normalization, f"decoder_{m}")
        if m <= branches + 1:
            outputs[m] = _head(x, output_channels, m)
            if m == 1 and gated:
                gate = layers.Conv2D(output_channels, 3, padding="same", **_gate_start())(x)
                outputs[1] = _gated(image, outputs[1], gate, scaled_by)
    if scaled_by is not None and any(k is not None for k in scaled_by):
        outputs = _scaled(image, outputs, scaled_by)
    found = [outputs[m] for m in sorted(outputs)]
    if interval:
        found.append(interval_head(image, outputs[1], features, decoders - 1, scale))
    return keras.Model(image, found, name=name)


def preset_settings(preset: str, **overrides: Any) -> dict[str, Any]:
    """The arguments of `MCNN` for a preset; given arguments replace them.

    A model file stores these arguments, so that it does not depend on a preset that may change.
    """
    settings = dict(_choice("preset", preset, PRESETS))
    settings.update({key: value for key, value in overrides.items() if value is not None})
    return settings


def build(arguments: Mapping[str, Any], precision: str = "float32") -> keras.Model:
    """Build an MCNN whose layers compute in a given precision. Weights and outputs are float32.

    Parameters
    ----------
    arguments : dict
        Arguments of `MCNN`.
    precision : {'float32', 'bfloat16'}

    Returns
    -------
    keras.Model
    """
    policies = {"float32": "float32", "bfloat16": "mixed_bfloat16"}
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(_choice("precision", precision, policies))
    try:
        return MCNN(**arguments)
    finally:
        keras.config.set_dtype_policy(before)


def stride(model: Any) -> int:
    """The number of which height and width of the model's input must be multiples.

    Parameters
    ----------
    model : keras.Model
        A model that `MCNN` built.
    """
    levels = [name for name in (layer.name for layer in model.layers) if _is_halving(name)]
    return 2 ** len(levels)


def _is_halving(name: str) -> bool:
    parts = name.split("_")
    return len(parts) == 3 and parts[0] == "encoder" and parts[2] == "conv"


def _head(x: Any, channels: int, m: int) -> Any:
    # Linear and in float32: with a sparse target, a sigmoid can get stuck at zero, and bfloat16
    # would round the answer to three digits.
    return layers.Conv2D(channels, 3, padding="same", dtype="float32", name=f"output_{m}")(x)


def _sub_pixel_head(x: Any, channels: int, kernel: int) -> Any:
    # Each pixel at half the size makes four pixels of the output (Shi et al., 2016).
    head = layers.Conv2DTranspose(
        channels, kernel, strides=2, padding="same", dtype="float32", name="output_1"
    )
    answer = head(x)
    # The weights start as interpolation. Otherwise a checkerboard or steps stay visible for long
    # (Aitken et al., 2017).
    share = ops.array({4: [0.25, 0.75, 0.75, 0.25], 2: [1.0, 1.0]}[kernel], "float32")
    share = (share[:, None] * share)[..., None, None]
    head.kernel.assign(kernel / 2 * share * head.kernel[:1, :1])
    return answer


def _scaled(
    image: Any, outputs: Mapping[int, Any], scaled_by: Sequence[int | None]
) -> dict[int, Any]:
    """The outputs times channels of the input that are constant over a field."""
    pick = layers.Conv2D(len(scaled_by), 1, dtype="float32", name="scales_1", trainable=False)
    scales = pick(image)
    kernel = [[float(k == channel) for k in scaled_by] for channel in range(image.shape[-1])]
    pick.kernel.assign(ops.array(kernel, "float32")[None, None])
    pick.bias.assign(ops.array([float(k is None) for k in scaled_by], "float32"))
    found = {}
    for m in range(1, max(outputs) + 1):
        if m > 1:
            scales = layers.AveragePooling2D(2, dtype="float32", name=f"scales_{m}")(scales)
        if m in outputs:
            multiply = layers.Multiply(dtype="float32", name=f"scaled_{m}")
            found[m] = multiply([outputs[m], scales])
    return found


def _gate_start() -> dict[str, Any]:
    # It starts the same everywhere; see `_gated`.
    return {
        "dtype": "float32", "name": "gate_1", "kernel_initializer": "zeros",
        "bias_initializer": keras.initializers.Constant(5.0),
    }  # fmt: skip


def _gated(
    image: Any, answer: Any, logit: Any, scaled_by: Sequence[int | None] | None = None
) -> Any:
    """Pass the input where it needs no correction: answer + gate (input - answer).

    If the answer removes little on average over some pixels, the input is good, and the difference
    is about the network's own error: there the gate starts open. If it removes much, this is noise.
    Learned features change where the gate opens. For scaled answers, the first channels are
    estimates of unknown quality: there the gate starts at least half open, and passes zero for the
    other channels.
    """
    channels = answer.shape[-1]
    passed = layers.Conv2D(channels, 1, dtype="float32", name="passed_1")
    through = passed(image)
    own = [k is not None for k in scaled_by or (0,) * channels]
    kernel = ops.eye(image.shape[-1], channels) * ops.array(own, "float32")
    passed.kernel.assign(kernel[None, None])
    change = layers.Subtract(dtype="float32", name="gate_1_change")([through, answer])
    removed = layers.Multiply(dtype="float32", name="gate_1_square")([change, change])
    # Down, then across: a single square pool of this size takes a fifth of the network's time.
    for name, pool in (("down", (GATE_POOL, 1)), ("across", (1, GATE_POOL))):
        mean = layers.AveragePooling2D(
            pool, 1, padding="same", dtype="float32", name=f"gate_1_mean_{name}"
        )
        removed = mean(removed)
    removed = layers.Rescaling(1 / GATE_OPENS, dtype="float32", name="gate_1_scale")(removed)
    removed = layers.Activation("softsign", dtype="float32", name="gate_1_share")(removed)
    closing = layers.Conv2D(channels, 1, use_bias=False, dtype="float32", name="gate_1_closing")
    closed = closing(removed)
    strength = -10.0 if scaled_by is None else -5.0
    closing.kernel.assign(strength * ops.eye(channels, channels)[None, None])
    gate = layers.Add(dtype="float32", name="gate_1_sum")([logit, closed])
    gate = layers.Activation("sigmoid", dtype="float32", name="gate_1_act")(gate)
    change = layers.Multiply(dtype="float32", name="gate_1_let")([gate, change])
    return layers.Add(dtype="float32", name="gated_1")([answer, change])


def _choice(argument: str, value: Any, choices: Mapping[Any, Any]) -> Any:
    if value not in choices:
        offered = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"{argument}={value!r} is not known; choose one of {offered}")
    return choices[value]
