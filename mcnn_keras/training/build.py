"""What a run is made of: the network for a problem, and the learning rate at each step."""

import keras
import numpy as np
import tensorflow as tf

from ..errors import InputError
from ..network import build, preset_settings
from ..saving import load

# Of the full-size output's layer; a card tells it, since there are models with another.
HEAD_KERNEL = 4


def build_model(network, precision):
    """The network in a precision; what is wrong with its arguments is the user's to mend."""
    try:
        return build(network, precision)
    except ValueError as error:
        raise InputError(str(error)) from None


def start_from(model, path):
    """Give a model the weights of a saved one, layer by layer; returns the saved one's card.

    The channels of a fixed first layer that the saved model lacks begin with weights of zero, and
    so do the neighbours that a last layer of a smaller kernel does not overlap with.
    """
    start = load(path)
    weights = [
        np.pad(value, ((1, 1), (1, 1), (0, 0), (0, 0)))
        if variable.path.endswith("output_1/kernel") and value.shape[0] == 2 else value
        for variable, value in zip(start.weights, start.get_weights(), strict=True)
    ]  # fmt: skip
    further = model.weights[0].shape[2] - weights[0].shape[2]
    had_none = start.card["network"]["first_layer"] is None
    if further > 0 and had_none and model.input_shape == start.input_shape:
        weights[0] = np.pad(weights[0], ((0, 0), (0, 0), (0, further), (0, 0)))
    names = ([v.path.split("/", 1)[-1] for v in m.weights] for m in (model, start))
    shapes = ([tuple(v.shape) for v in variables] for variables in (model.weights, weights))
    shapes, given = (list(zip(*pairs, strict=True)) for pairs in zip(names, shapes, strict=True))
    if shapes != given:
        differ = next((a for a, b in zip(given, shapes, strict=False) if a != b), "more layers")
        raise InputError(
            f"the weights of {path} do not fit this network ({differ}); train with the model's "
            "own preset, branches, cell, normalization and number of planes, or without start"
        )
    model.set_weights(weights)
    return start.card


def network_arguments(problem, settings):
    """What to build the network with; one sample tells the channels."""
    seed = tf.zeros((2,), tf.int64)
    image, target = problem.sample(seed, settings.image_size, "train")
    scale = target.shape[0] / image.shape[0]
    if scale not in (1, 2) or target.shape[1] != scale * image.shape[1]:
        raise InputError(
            f"the problem {problem.name!r} gives targets of {tuple(target.shape)} for images of "
            f"{tuple(image.shape)}; the same size or twice the size is expected"
        )
    overrides = {"filters": settings.filters, "cell": settings.cell}
    try:
        shape_of_network = preset_settings(settings.preset, **overrides)
    except ValueError as error:
        raise InputError(str(error)) from None
    # Fewer filters than the preset's leave fewer scales to predict.
    most = len(shape_of_network["filters"]) + int(scale) - 1
    shape_of_network["branches"] = (
        min(shape_of_network["branches"], most) if settings.branches is None else settings.branches
    )
    return {
        "input_channels": image.shape[-1],
        "output_channels": target.shape[-1],
        "preset": settings.preset,
        **shape_of_network,
        "normalization": settings.normalization,
        "scale": int(scale),
        "first_layer": problem.first_layer,
        "head_kernel": HEAD_KERNEL,
    }


def require_divisible(shape, stride):
    """The images that a problem makes, which need not be as large as image_size."""
    for size in shape:
        if size % stride:
            below = size // stride * stride
            offered = f"{below} or {below + stride}" if below else str(stride)
            raise InputError(
                f"images of {shape[0]}x{shape[1]} pixels are no multiple of {stride}, the total "
                f"stride of this network; choose image_size so that they have {offered}"
            )


def schedule(settings):
    """The learning rate: a short warm-up, then half a cosine down to zero."""
    warm_up = min(200, settings.steps // 20)
    return keras.optimizers.schedules.CosineDecay(
        settings.learning_rate / 20 if warm_up else settings.learning_rate,
        decay_steps=max(1, settings.steps - warm_up),
        warmup_target=settings.learning_rate if warm_up else None,
        warmup_steps=warm_up,
    )
