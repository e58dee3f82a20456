"""Train and calibrate the interval of a finished model; nothing else in the model changes.

model -> + interval head, trained on the errors of the answers -> corrected on other samples
(conformal calibration) -> measured on further ones -> model with its calibration in the card
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from .errors import InputError, TrainingStopped
from .files import Axis
from .focal_series.agreement import agreement
from .focal_series.refinement import refined_wave
from .focal_series.series import FocalSeries
from .inference.engines import output_function
from .inference.predict import computed
from .inference.stack import prepared
from .inference.statistics import OF_CAMERAS, statistics
from .inference.uncertain import UncertainEngine
from .models import AnyPlanes, Frames
from .models.calibration import COVERAGE, SMALLEST, Interval, smoothed
from .models.normalization import Contrast
from .models.reference import UNUSUAL, Reference
from .models.saving import load
from .network import build
from .network.interval import PREFIX
from .physics.disturbances import disturbed
from .problems import from_card
from .problems.any_phase import instrument_of
from .problems.base import Problem, Sample, as_problem
from .training.devices import faster_precision
from .training.pipeline import measurements, mixed_stream, stream

# Seeds of the samples: to train on, to correct with, to measure with, and to describe.
SEEDS = 1001, 1002, 1003, 1004
LEARNING_RATE = 2e-3
# Probability that an image is disturbed as none of the training is, while the head is trained: so
# that it also learns when the answer is wrong.
DISTURBED = 0.3
# Phases that are also refined, to know the uncertainty afterwards; and bins of their widths.
REFINED, REFINED_BINS = 192, 5
# Pixels of each sample that the correction and the measurement use.
PIXELS = 1024


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
    width, error = _errors(compute, problem, card, size, calibration_samples, SEEDS[1])
    interval = Interval.fitted(width, error)
    width, error = _errors(compute, problem, card, size, calibration_samples, SEEDS[2])
    told = interval.measured(width, error)
    calibration = {**card.calibration, "coverage": COVERAGE, **interval.asdict(), "measured": told}
    final.card = dataclasses.replace(final.card, calibration=calibration)
    with warnings.catch_warnings():  # of optics of any unit, as they are drawn
        warnings.simplefilter("ignore", UserWarning)
        looks, agreements, refined = _looks(final, problem, size, calibration_samples, SEEDS[3])
    uncertain = [look.pop("uncertainty") for look in looks]
    if agreements:
        calibration["least agreement"] = float(np.quantile(agreements, UNUSUAL))
    if len(refined) >= 8:
        width, error = (np.stack(arrays) for arrays in zip(*refined, strict=True))
        own_interval = Interval.fitted(width[::2], error[::2], bins=REFINED_BINS)
        measured_too = own_interval.measured(width[1::2], error[1::2])
        calibration["refined"] = {**own_interval.asdict(), "measured": measured_too}
    final.card = dataclasses.replace(
        final.card, calibration={
            **calibration, "reference": Reference.fitted(looks).asdict(),
            "greatest mean uncertainty": float(np.quantile(uncertain, 1 - UNUSUAL)),
            "samples": samples or card.calibration.get("samples", 0),
            "calibration_samples": calibration_samples,
        },
    )  # fmt: skip
    return final


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

    learned: Any = _Disturbed(problem)
    if card.training.get("mixed_sizes"):
        batches = mixed_stream(learned, batch_size, size, SEEDS[0], 0)
    else:
        batches = stream(learned, "train", batch_size, size, SEEDS[0])
    for done, (images, targets) in enumerate(batches.take(steps), 1):
        loss = step(images, targets)
        if not np.isfinite(loss):
            raise TrainingStopped(f"the interval's loss is not finite at step {done}")
        progress(done, steps)


class _Disturbed:
    """A problem some of whose images are disturbed as none of its training is."""

    def __init__(self, problem: Problem) -> None:
        self.problem, self.network_pair = problem, problem.network_pair

    def sample(self, seed: Any, size: int, split: str) -> Sample:
        """A sample; the truth is that of the problem."""
        found = self.problem.sample(seed, size, split)
        seeds = tf.unstack(tf.random.split(tf.random.fold_in(seed, 99), 2))
        image = tf.cond(
            tf.random.stateless_uniform((), seeds[0]) < DISTURBED,
            lambda: disturbed(found.image, seeds[1]),
            lambda: found.image,
        )
        return found._replace(image=image)


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


def _looks(
    model: Any, problem: Problem, size: int, samples: int, seed: int
) -> tuple[list[dict[str, float]], list[float], list[tuple[np.ndarray, np.ndarray]]]:
    """What unseen samples and their results look like.

    Returns
    -------
    looks : list of dict
        Statistics of images, results and uncertainties.
    agreements : list of float
        Of phases with their images.
    refined : list of (widths, errors)
        Of some refined waves: logarithms, (pixels, outputs), before and after the refinement.
    """
    engine, found, agreements = UncertainEngine(model), list[dict[str, float]](), list[float]()
    refined: list[tuple[np.ndarray, np.ndarray]] = []
    rng = np.random.default_rng(seed)
    card, role = model.card, model.card.outputs[0].role
    for sample in measurements(problem, "test", size, seed).take(samples):
        image = sample["image"].numpy()
        told = {name: value.numpy() for name, value in sample["conditions"].items()}
        if isinstance(card.inputs, AnyPlanes):
            planes, optics = instrument_of(told)
            answer = computed(
                engine, image, axes="yxz", defocus=planes, conditions=optics.conditions()
            )
        else:
            free = {n: told[n] for n, value in card.conditions.items() if value is None}
            finish, batch = prepared(engine, image[None], conditions=card.measured_conditions(free))
            answer = finish(batch)[0]
        middle = image.shape[-1] // 2 if isinstance(card.inputs, Frames) else 0
        own = answer.shape[-1] // 2
        look = statistics(image[..., middle], answer[..., 0], answer[..., own], role == "image")
        if role == "phase":
            known = {n: v for n, v in {**card.conditions, **told}.items() if v is not None}
            planes, optics = instrument_of(known)
            amplitude = answer[..., 1] if own > 1 else None
            scores = agreement(answer[..., 0], amplitude, image, planes, optics)
            agreements.append(float(np.mean(scores)))
            if len(planes) > 1 and len(refined) < REFINED:
                truth = Contrast([o.role for o in card.outputs]).target(sample["target"].numpy(), 1)
                errors = _refined(image, planes, optics, answer[..., :own]) - truth
                pixels = rng.choice(errors[..., 0].size, PIXELS, replace=False)
                widths = answer[..., own:].reshape(-1, own)[pixels]
                errors = np.abs(errors).reshape(-1, own)[pixels]
                refined.append((np.log(widths), np.log(np.maximum(errors, SMALLEST))))
        if look:
            look.pop("greatest uncertainty")
            if role != "image":
                # These simulations have no camera that rounds to whole numbers, and cuts off.
                for name in OF_CAMERAS:
                    look.pop(name), look.pop(f"answer {name}")
            found.append(look)
    return found, agreements, refined


def _refined(
    images: np.ndarray, planes: Sequence[float], optics: Any, answer: np.ndarray
) -> np.ndarray:
    """The refined wave of a sample, (height, width, outputs)."""
    order = np.argsort(planes)
    axes = (Axis("height", images.shape[0]), Axis("width", images.shape[1]))
    series = FocalSeries(images[..., order], tuple(planes[i] for i in order), axes)
    amplitude = answer[..., 1] if answer.shape[-1] > 1 else None
    phase, amplitude = refined_wave(series, optics, answer[..., 0], amplitude)
    return np.stack([phase] if amplitude is None else [phase, amplitude], axis=-1)
