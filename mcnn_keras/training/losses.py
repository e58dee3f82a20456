"""The multi-scale loss: the error of each output, and its weights during training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

# The share of a growing run after which all outputs are in use.
GROWN = 0.5
# Keeps the slope of the logarithm finite for samples with almost no error.
LEAST = 3e-4
# Typical variation of outputs that are not scaled, next to scaled ones.
UNSCALED = 0.25


def coarse_targets(target: Any, count: int) -> list[Any]:
    """The target and its averages over 2x2, 4x4, ... pixels.

    Parameters
    ----------
    target : (batch, height, width, channels) tensor
    count : int
        Number of coarse targets.

    Returns
    -------
    list of tf.Tensor
        `count` + 1 of them, the full size first.
    """
    targets = [target]
    for _ in range(count):
        targets.append(tf.nn.avg_pool2d(targets[-1], 2, 2, "VALID"))
    return targets


def multiscale_errors(
    outputs: Sequence[Any],
    targets: Sequence[Any],
    fade: Any = 1.0,
    kind: str = "absolute",
    sizes: Any = None,
) -> Any:
    """Mean error of each sample at each scale.

    Parameters
    ----------
    outputs, targets : list of (batch, height, width, channels) tensor
        From fine to coarse, the same scales.
    fade : float or tensor
        Of the finest output: 1 uses it unchanged, 0 replaces it by the enlarged next coarser output
        (the fading-in of Karras et al., 2017).
    kind : {'absolute', 'squared', 'logarithmic'}
        Error of each pixel; 'logarithmic' is the logarithm of each sample's mean squared error, so
        that samples with much and with little noise have the same weight, as in a mean
        signal-to-noise ratio in dB.
    sizes : (batch, 1, 1, channels) tensor, optional
        Outputs and targets are compared in units of these.

    Returns
    -------
    tf.Tensor
        (scales, batch), float32.
    """
    finest = outputs[0]
    if len(outputs) > 1:
        enlarged = tf.repeat(tf.repeat(outputs[1], 2, axis=1), 2, axis=2)
        finest = fade * finest + (1.0 - fade) * enlarged
    outputs = [finest, *outputs[1:]]
    if sizes is not None:
        outputs, targets = [o / sizes for o in outputs], [t / sizes for t in targets]
    pairs = zip(outputs, targets, strict=True)
    if kind == "logarithmic":
        squares = [tf.reduce_mean(tf.square(o - t), axis=(1, 2, 3)) for o, t in pairs]
        return 0.5 * tf.math.log(tf.stack(squares) + LEAST)
    measure = tf.abs if kind == "absolute" else tf.square
    return tf.stack([tf.reduce_mean(measure(o - t), axis=(1, 2, 3)) for o, t in pairs])


def answer_sizes(inputs: Any, scaled_by: Sequence[int | None] | None) -> Any:
    """The units of a network's outputs: channels of its input, see `mcnn_keras.MCNN`.

    The weight of a sample must not depend on them. If the classical estimates are mostly noise,
    their unit is large; without division by it, these samples would dominate the training.

    Parameters
    ----------
    inputs : (batch, height, width, channels) tensor
    scaled_by : sequence of int or None, optional
        See `mcnn_keras.MCNN`.

    Returns
    -------
    tf.Tensor or None
        (batch, 1, 1, outputs); None if outputs are not scaled. If only some are, the others have
        the unit `UNSCALED`.
    """
    if scaled_by is None:
        return None
    ones = UNSCALED * tf.ones_like(inputs[:, 0, 0, 0])
    sizes = [ones if k is None else inputs[:, 0, 0, k] for k in scaled_by]
    return tf.stack(sizes, axis=-1)[:, None, None, :]


def scale_weights(kind: str, branches: int, step: int, steps: int) -> np.ndarray:
    """The weight of each output's error at a step.

    Parameters
    ----------
    kind : {'constant', 'annealed', 'closing'}
        See `Settings.loss_weights`.
    branches : int
        Number of coarse outputs.
    step, steps : int
        Current step, and number of steps.

    Returns
    -------
    numpy.ndarray
        (branches + 1,), float32, the full size first.
    """
    if kind == "constant":
        return np.ones(branches + 1, np.float32)
    t = step / max(steps - 1, 1)
    most = 2 if kind == "annealed" else 1
    return ((most - most * t) ** np.arange(branches + 1)).astype(np.float32)


def growth(branches: int, step: int, steps: int) -> tuple[int, float]:
    """Which outputs a growing network has at a step.

    Parameters
    ----------
    branches : int
        Number of coarse outputs.
    step, steps : int
        Current step, and number of steps.

    Returns
    -------
    finest : int
        Index of the finest output in use: `branches` at the start, 0 when grown.
    fade : float
        How far it is faded in, 0 to 1.
    """
    if branches == 0:
        return 0, 1.0
    progress = step / max(steps * GROWN, 1) * (branches + 1)
    stage = min(int(progress), branches)
    # The coarsest output is not faded in; each later one takes half its stage.
    fade = 1.0 if stage == 0 else min(1.0, 2 * (progress - stage))
    return branches - stage, fade
