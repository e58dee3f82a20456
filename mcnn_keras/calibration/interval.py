"""Train and calibrate the interval of a finished model; nothing else in the model changes.

model -> + interval head, trained on the errors of the answers -> corrected on other samples
(conformal calibration) -> measured on further ones -> model with its calibration in the card
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ..errors import InputError, TrainingStopped
from ..inference.engines import output_function
from ..models.calibration import COVERAGE, SMALLEST, Interval, smoothed
from ..models.reference import UNUSUAL, Reference
from ..models.saving import load
from ..network import build
from ..network.interval import PREFIX
from ..problems import from_card
from ..problems.base import Problem, as_problem
from ..training.devices import faster_precision
from ..training.pipeline import mixed_stream, stream
from .failure import fitted
from .looks import PIXELS, Disturbed, looks_of

# Seeds of the samples: to train on, to correct with, to measure with, to describe, to disturb.
SEEDS = 1001, 1002, 1003, 1004, 1005
LEARNING_RATE = 2e-3
# Probability that an image is disturbed as none of the training is, while the head is trained: so
# that it also learns when the answer is wrong.
DISTURBED = 0.3
# Bins of the widths of refined waves.
REFINED_BINS = 5
# Usual and disturbed samples that are described, as multiples of those for the correction.
USUAL, UNLIKE = 2, 3


def calibrate(
    model: Any,
    problem: Problem | None = None,
    samples: int = 16384,
    calibration_samples: int = 512,
    batch_size: int = 16,
    precision: str = "auto",
    progress: Callable[[int, int], Any] = lambda done, count: None,
) -> Any:
    """A model with an interval around its answers, in which the truth is in 90 % of the pixels.

    Parameters
    ----------
    model : keras.Model or str or Path
        From `mcnn_keras.load` or ``run.model``, or the name of a model file.
    problem : Problem, optional
        For problems that this package does not know by name.
    samples : int
        Samples to train the head on; 0 keeps the head of a model that has one, and only corrects
        it again.
    calibration_samples : int
        Further ones for the correction, and as many for the measurement.
    batch_size : int
    precision : {'auto', 'float32', 'bfloat16'}
        Of the network while the head is trained.
    progress : callable
        Called with (steps done, steps).

    Returns
    -------
    keras.Model
        Its card has the calibration.

    Raises
    ------
    InputError
        If there are too few samples, or the problem is not known.

    Notes
    -----
    The head learns the 0.9 quantile of the logarithm of the absolute error by the pinball loss
    (Koenker and Bassett, Econometrica 46 (1978), 33). The correction is that of conformalised
    quantile regression (Romano et al., NeurIPS 2019), in bins of the predicted width.
    """
    if isinstance(model, (str, Path)):
        model = load(model)
    card = model.card
    problem = from_card(card) if problem is None else as_problem(problem)
    least = 0 if card.network.get("interval") else batch_size
    if samples < least or calibration_samples < 8:
        raise InputError(
            f"{samples} samples in batches of {batch_size}, and {calibration_samples} to calibrate "
            f"with, were asked for; give at least {least} and 8"
        )
    own = faster_precision() if precision == "auto" else precision
    network = {**card.network, "interval": True}
    learner = build(network, own)
    _copy(model, learner)
    if samples:
        _train_head(learner, problem, card, samples, batch_size, progress)
    final = build(network, "float32")
    final.set_weights(learner.get_weights())
    final.card = dataclasses.replace(card, network=network)
    compute = output_function(final, interval=True)
    size = card.training["image_size"]
    interval = Interval.fitted(
        *_errors(compute, problem, card, size, calibration_samples, SEEDS[1])
    )
    told = interval.measured(*_errors(compute, problem, card, size, calibration_samples, SEEDS[2]))
    calibration = {**card.calibration, "coverage": COVERAGE, **interval.asdict(), "measured": told}
    final.card = dataclasses.replace(final.card, calibration=calibration)
    calibration = {**calibration, **_described(final, problem, size, calibration_samples)}
    calibration["samples"] = samples or card.calibration.get("samples", 0)
    calibration["calibration_samples"] = calibration_samples
    final.card = dataclasses.replace(final.card, calibration=calibration)
    return final


def _described(model: Any, problem: Any, size: int, samples: int) -> dict[str, Any]:
    """What the card says about the looks of images, and about refined waves."""
    with warnings.catch_warnings():  # of optics of any unit, as they are drawn
        warnings.simplefilter("ignore", UserWarning)
        usual = looks_of(model, problem, size, USUAL * samples, SEEDS[3])
        unlike = looks_of(model, Disturbed(problem, 1.0), size, UNLIKE * samples, SEEDS[4], True)
    found: dict[str, Any] = {
        "reference": Reference.fitted(usual.statistics).asdict(),
        "greatest mean uncertainty": float(np.quantile(usual.uncertainties, 1 - UNUSUAL)),
    }
    failure = fitted(usual.statistics, usual.errors, unlike.statistics, unlike.errors)
    if failure is not None:
        found["failure"] = failure.asdict()
    if usual.agreements:
        found["least agreement"] = float(np.quantile(usual.agreements, UNUSUAL))
    if len(usual.refined) >= 8:
        width, error = (np.stack(arrays) for arrays in zip(*usual.refined, strict=True))
        interval = Interval.fitted(width[::2], error[::2], bins=REFINED_BINS)
        measured = interval.measured(width[1::2], error[1::2])
        found["refined"] = {**interval.asdict(), "measured": measured}
    return found


def _copy(model: Any, learner: Any) -> None:
    """Copy the weights of the layers that both have, and keep them from learning."""
    own = {layer.name: layer for layer in model.layers}
    for layer in learner.layers:
        new = layer.name.startswith(PREFIX)
        layer.trainable = new
        if layer.weights and not (new and layer.name not in own):
            layer.set_weights(own[layer.name].get_weights())


def _train_head(
    learner: Any,
    problem: Problem,
    card: Any,
    samples: int,
    batch_size: int,
    progress: Callable[[int, int], Any],
) -> None:
    steps = samples // batch_size
    schedule = keras.optimizers.schedules.CosineDecay(
        LEARNING_RATE / 20, steps, warmup_target=LEARNING_RATE, warmup_steps=max(1, steps // 20)
    )
    optimizer = keras.optimizers.Adam(schedule, clipnorm=1.0)
    optimizer.build(learner.trainable_variables)
    size = card.training["image_size"]
    both = keras.Model(learner.inputs, [learner.outputs[0], learner.outputs[-1]])

    @tf.function(autograph=False, reduce_retracing=True)
    def step(images: Any, targets: Any) -> Any:
        with tf.GradientTape() as tape:
            answer, width = both(images, training=False)
            error = _log(tf.abs(_free(answer, card) - targets))
            away = error - width
            loss = tf.reduce_mean(tf.maximum(COVERAGE * away, (COVERAGE - 1) * away))
        gradients = tape.gradient(loss, [v.value for v in learner.trainable_variables])
        optimizer.apply(gradients, learner.trainable_variables)
        return loss

    learned: Any = Disturbed(problem, DISTURBED)
    if card.training.get("mixed_sizes"):
        batches = mixed_stream(learned, batch_size, size, SEEDS[0], 0)
    else:
        batches = stream(learned, "train", batch_size, size, SEEDS[0])
    for done, (images, targets) in enumerate(batches.take(steps), 1):
        loss = step(images, targets)
        if not np.isfinite(loss):
            raise TrainingStopped(f"the interval's loss is not finite at step {done}")
        progress(done, steps)


def _free(answer: Any, card: Any) -> Any:
    """The answer as its result is used: of phases and of frames, without its mean."""
    if not card.normalization.mean_free:
        return answer
    free = np.array([o.role != "amplitude" for o in card.outputs], np.float32)
    return answer - free * tf.reduce_mean(answer, (1, 2), keepdims=True)


def _log(error: Any) -> Any:
    return tf.math.log(tf.maximum(error, SMALLEST))


def _errors(
    compute: Callable[[Any], Any], problem: Problem, card: Any, size: int, samples: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Predicted logarithms of the width, and those of the errors, of unseen samples.

    Returns
    -------
    width, error : numpy.ndarray
        (samples, pixels, outputs).
    """
    rng = np.random.default_rng(seed)
    widths, errors = [], []
    batches = stream(problem, "test", 4, size, seed)
    for images, targets in batches.take(-(-samples // 4)):
        answer, width = compute(images)
        error = np.log(np.maximum(np.abs((_free(answer, card) - targets).numpy()), SMALLEST))
        pixels = error.shape[1] * error.shape[2]
        chosen = rng.choice(pixels, min(PIXELS, pixels), replace=False)
        flat = (len(error), pixels, error.shape[-1])
        widths.append(smoothed(width.numpy()).reshape(flat)[:, chosen])
        errors.append(error.reshape(flat)[:, chosen])
    return np.concatenate(widths)[:samples], np.concatenate(errors)[:samples]
