"""The parts of a run: the network for a problem, its card, and the learning rate at each step."""

from __future__ import annotations

import dataclasses
import datetime
import warnings
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ..errors import InputError
from ..models import Frames, ModelCard, Tile
from ..models.card import OVERLAP, TILE, card_from
from ..models.saving import load, versions
from ..network import build, preset_settings, receptive_radius
from ..network.interval import PREFIX
from ..physics import arrays
from ..problems.base import FULL, WHOLE, Problem, Sample, inputs_of, learned_by, some
from .settings import Settings

# Kernel size of the full-size output's layer; cards store it, as older models have another.
HEAD_KERNEL = 4
# Layers that only a model with a gate has.
GATE = ("gate_1", "gate_1_closing", "gate_2_conv", "passed_1")


def build_model(network: dict[str, Any], precision: str) -> keras.Model:
    """The network in a precision; wrong arguments raise InputError."""
    try:
        return build(network, precision)
    except ValueError as error:
        raise InputError(str(error)) from None


def first_sample(problem: Problem, settings: Settings) -> Sample:
    """The first sample of a run, which gives the shapes; wrong shapes raise InputError."""
    sample = problem.sample(tf.zeros((2,), tf.int64), settings.image_size, "train")
    image, target = sample.image, sample.target
    scale = target.shape[0] / image.shape[0]
    if scale not in (1, 2) or target.shape[1] != scale * image.shape[1]:
        raise InputError(
            f"the problem {problem.name!r} gives targets of {tuple(target.shape)} for images of "
            f"{tuple(image.shape)}; the same size or twice the size is expected"
        )
    if len(problem.outputs) != target.shape[-1] and len(problem.outputs) != 1:
        raise InputError(
            f"the problem {problem.name!r} names {len(problem.outputs)} outputs, but its targets "
            f"have {target.shape[-1]} channels; name each of them"
        )
    return sample


def start_from(model: keras.Model, path: str, problem: Problem) -> dict[str, Any]:
    """Copy the weights of a saved model, layer by layer; returns its training settings.

    Weights of fixed channels that the saved model does not have start at zero. A smaller kernel in
    the last layer is padded with zeros.
    """
    start = load(path)
    pairs = zip(start.weights, start.get_weights(), strict=True)
    given = {_place(variable): value for variable, value in pairs}
    # A new training makes the errors, and so the interval, other ones.
    given = {name: value for name, value in given.items() if not name.startswith(PREFIX)}
    channels = model.weights[0].shape[2]
    for name in (next(iter(given)), "passed_1/kernel"):  # layers that see the network's input
        if name in given:
            given[name] = _further_channels(given[name], start.card, channels)
    values = []
    for variable in model.weights:
        name, shape = _place(variable), tuple(variable.shape)
        value = given.pop(name, None)
        if value is None and name.split("/")[0] in GATE:
            value = variable.numpy()
        elif value is not None and name == "output_1/kernel" and value.shape[0] < shape[0]:
            value = np.pad(value, ((1, 1), (1, 1), (0, 0), (0, 0)))
        if value is None or value.shape != shape:
            raise _unfit(path, f"{name} of {None if value is None else value.shape}, not {shape}")
        values.append(value)
    if given:
        raise _unfit(path, f"{next(iter(given))} is not used")
    model.set_weights(values)
    known = learned_by(start.card.training)
    tests = sorted(n for n in problem.files if n not in problem.learned and n in known)
    if tests:
        warnings.warn(
            f"{path} has learned {len(tests)} of the files that this run is tested on "
            f"({some(tests)}): the test error will be too small",
            stacklevel=2,
        )
    return start.card.training


def _further_channels(kernel: np.ndarray, card: ModelCard, channels: int) -> np.ndarray:
    """A kernel with weights of zero for input channels that its model did not have."""
    further = channels - kernel.shape[2]
    if further <= 0 or not (card.channels is None or isinstance(card.inputs, Frames)):
        return kernel
    zeros = np.zeros((*kernel.shape[:2], further, kernel.shape[3]), kernel.dtype)
    if isinstance(card.inputs, Frames) and card.inputs.window > 1:
        return np.concatenate([kernel, zeros], axis=2)  # the same frames, more fixed channels
    # Fixed channels stay last; further channels of the measurement come before them.
    own = kernel.shape[2] if card.channels is None else card.image_channels
    return np.concatenate([kernel[:, :, :own], zeros, kernel[:, :, own:]], axis=2)


def _place(variable: Any) -> str:
    """The layer and name of a variable, such as ``output_1/kernel``."""
    return "/".join(variable.path.split("/")[-2:])


def _unfit(path: str, differ: str) -> InputError:
    return InputError(
        f"the weights of {path} do not fit this network ({differ}); train with the model's "
        "preset, branches, cell, normalization and number of planes, or without start"
    )


def network_arguments(problem: Problem, settings: Settings, sample: Sample) -> dict[str, Any]:
    """The arguments of the network; the sample gives the number of channels."""
    inputs, target = problem.network_pair(sample)
    scale = target.shape[0] // inputs.shape[0]
    overrides = {"filters": settings.filters, "cell": settings.cell}
    try:
        shape_of_network = preset_settings(settings.preset, **overrides)
    except ValueError as error:
        raise InputError(str(error)) from None
    # With fewer filters than the preset's, there are fewer scales to predict.
    most = len(shape_of_network["filters"]) + scale - 1
    shape_of_network["branches"] = (
        min(shape_of_network["branches"], most) if settings.branches is None else settings.branches
    )
    return {
        "input_channels": inputs.shape[-1],
        "output_channels": target.shape[-1],
        "preset": settings.preset,
        **shape_of_network,
        "normalization": settings.normalization,
        "scale": scale,
        "head_kernel": HEAD_KERNEL,
        "gated": settings.gated,
        "scaled_by": None if problem.scaled_by is None else list(problem.scaled_by),
    }


def make_card(
    problem: Problem,
    network: dict[str, Any],
    sample: Sample,
    model: keras.Model,
    training: dict[str, Any],
    metrics: dict[str, Any],
) -> ModelCard:
    """The card of a run's model.

    Parameters
    ----------
    problem : Problem
        The problem that the model was trained on.
    network : dict
        The arguments of `mcnn_keras.MCNN`.
    sample : Sample
        Gives channels and conditions of a measurement.
    model : keras.Model
        Gives the receptive radius.
    training, metrics : dict
        Settings of the run, and its test metrics.
    """
    outputs = tuple(problem.outputs)
    if len(outputs) != network["output_channels"]:  # one name for a problem of several channels
        outputs = tuple(
            dataclasses.replace(outputs[0], name=f"{outputs[0].name} {i}")
            for i in range(network["output_channels"])
        )
    card = ModelCard(
        problem=problem.name,
        config=problem.config(),
        inputs=inputs_of(problem, sample.image.shape[-1]),
        outputs=outputs,
        normalization=problem.normalization,
        network=network,
        training=training,
        channels=None if problem.channels is None else dict(problem.channels),
        conditions={
            name: None if arrays.is_tensor(value) else value
            for name, value in sample.conditions.items()
        },
        pixel_size=problem.pixel_size,
        metrics=metrics,
        versions=versions(),
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    )
    per_frame = problem.normalization.per_frame
    card.tile = (
        Tile(card.largest_trained, OVERLAP) if per_frame else Tile(TILE, receptive_radius(model))
    )
    return card_from(card.asdict())  # as it would be read from a file


def require_divisible(shape: Sequence[int], stride: int, most: int | None = None) -> None:
    """Raise InputError if a side of the problem's images is not a multiple of the stride.

    `most` is `Problem.most_pixels`.
    """
    for size in shape:
        if size % stride:
            below = size // stride * stride
            sides = [n for n in (below, below + stride) if n and (most is None or n <= most)]
            mend = f"choose image_size so that the side is {' or '.join(map(str, sides))}"
            if not sides:
                ways = [WHOLE] if most and most < FULL else []
                ways += (
                    ["choose a network of fewer scales (--preset fast)"] if stride > FULL else []
                )
                mend = ", and ".join(ways) or mend
            raise InputError(
                f"images of {shape[0]}x{shape[1]} pixels are not a multiple of {stride}, the total "
                f"stride of this network; {mend}"
            )


def schedule(settings: Settings) -> Any:
    """The learning rate: a number, or a short warm-up, then half a cosine down to zero."""
    if settings.schedule == "constant":
        return settings.learning_rate
    warm_up = min(200, settings.steps // 20)
    return keras.optimizers.schedules.CosineDecay(
        settings.learning_rate / 20 if warm_up else settings.learning_rate,
        decay_steps=max(1, settings.steps - warm_up),
        warmup_target=settings.learning_rate if warm_up else None,
        warmup_steps=warm_up,
    )
