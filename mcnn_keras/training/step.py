"""One optimiser step of a run, compiled for all replicas; and when a training has failed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ..errors import TrainingStopped
from ..metrics import correlation, mean_absolute_error
from ..problems.base import Problem
from .adversary import Adversary
from .losses import answer_sizes, coarse_targets, multiscale_errors
from .optimizer import Adam, apply_clipped
from .pipeline import not_finite
from .settings import Settings

MEND = "train again in another folder, with a smaller --learning-rate or with --precision float32"
# Training stops if the error is this many times that of the best constant answer, or the output's
# deviation is this small relative to its target's, for this number of epochs.
DIVERGED = 5.0
COLLAPSED, PATIENCE = 1e-3, 3


def compiled_step(
    problem: Problem,
    settings: Settings,
    strategy: tf.distribute.Strategy,
    model: keras.Model,
    optimizer: Adam,
    adversary: Adversary | None,
    finest: int,
    samples: int,
) -> Callable[[Any, Any, Any], Any]:
    """The training step for outputs[finest:] and batches of this size.

    Returns
    -------
    callable
        Takes a batch, the weights of the outputs and the finest one's fade; returns the loss and
        the mean absolute error of the whole batch, over all replicas: (2,), float32.
    """
    branches, scaled_by = len(model.outputs) - 1, problem.scaled_by

    def replica_step(images: Any, targets: Any, weights: Any, fade: Any) -> Any:
        with tf.GradientTape() as tape:
            outputs = keras.tree.flatten(model(images, training=True))[finest:]
            scales = coarse_targets(targets, branches)[finest:]
            sizes = answer_sizes(images, scaled_by)
            errors = multiscale_errors(outputs, scales, fade, settings.loss, sizes)
            loss = tf.reduce_sum(weights[:, None] * errors)
            if adversary is not None:
                loss += settings.adversarial * tf.reduce_sum(adversary.error(outputs))
            loss /= samples
        gradients = tape.gradient(
            loss,
            [variable.value for variable in model.trainable_variables],
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        apply_clipped(optimizer, gradients, model.trainable_variables)
        if adversary is not None:
            adversary.learn(outputs, scales, samples)
        shown = multiscale_errors(outputs, scales, fade)[0]
        return tf.stack([loss, tf.reduce_sum(shown) / samples])

    @tf.function(autograph=False)
    def step(batch: Any, weights: Any, fade: Any) -> Any:
        sums = strategy.run(replica_step, args=(*batch, weights, fade))
        return strategy.reduce("SUM", sums, axis=None)

    return step


def mend(problem: Problem, batch: Mapping[str, Any]) -> str:
    """What to do where a step has given no numbers: about a sample that has none, if there is one.

    Parameters
    ----------
    problem : Problem
    batch : dict
        From `batch_of`.
    """
    return not_finite(problem, batch) or MEND


def errors_of(answer: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """Error and correlation of an answer, and the error of the best constant one.

    Parameters
    ----------
    answer, target : (samples, height, width, channels) array
    """
    constant = np.broadcast_to(np.median(target, axis=(0, 1, 2)), target.shape)
    return {
        "test_mae": mean_absolute_error(answer, target),
        "test_correlation": correlation(answer, target),
        "constant_answer_mae": mean_absolute_error(constant, target),
    }


def require_learning(history: Sequence[Mapping[str, Any]], constant: float) -> None:
    """Compare the last epochs with an answer that needs no network.

    Parameters
    ----------
    history : sequence of mapping
        A row for each epoch.
    constant : float
        Mean absolute error of the best constant answer.

    Raises
    ------
    TrainingStopped
        If the output has become constant, or the error diverges.
    """
    recent = history[-PATIENCE:]
    if len(recent) < PATIENCE:
        return
    if all(r["test_deviation"] < COLLAPSED for r in recent):
        raise TrainingStopped(
            f"the output has been constant for {PATIENCE} epochs: the network has collapsed; "
            f"{MEND}, or inspect samples with mcnn-keras simulate"
        )
    if all(r["test_mae"] > DIVERGED * constant for r in recent):
        raise TrainingStopped(
            f"the test error has been {DIVERGED:g} times the best constant answer's "
            f"({constant:.3g}) for {PATIENCE} epochs: training has diverged; {MEND}"
        )
