"""Measure a model on unseen samples, and compare it with simple baselines."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..metrics import correlation, mean_absolute_error
from ..models import AnyPlanes
from ..models.normalization import Contrast, ScaledContrast
from ..models.saving import load_once
from ..problems import from_card
from ..problems.any_phase import instrument_of
from ..problems.base import as_problem
from ..training.pipeline import fixed_set, measurements


def evaluate(
    model: Any,
    problem: Any = None,
    samples: int = 64,
    seed: int = 1,
    image_size: int | None = None,
) -> dict[str, dict[str, Any]]:
    """Measure a model on the test split of its problem, with the ranges of its training.

    Parameters
    ----------
    model : keras.Model
        With its card; or the name of a model file.
    problem : Problem, optional
        For problems that this package does not know by name; or measured pairs that have moved, or
        other ones. Pairs that the model has learned are left out.
    samples : int
        Number of test samples.
    seed : int
        Seed of the samples.
    image_size : int, optional
        As in training by default.

    Returns
    -------
    dict
        For each result by name ('network', 'zero' or 'constant', the problem's baselines): ``mae``,
        the mean absolute error of each output by its name, in the result's units; ``correlation``
        with the truth; and ``with``, the settings that were chosen for a baseline.

    Raises
    ------
    InputError
        If the number of samples is not positive, or the problem is unknown.
    """
    if samples < 1:
        raise InputError(f"samples is {samples}; it must be at least 1")
    if isinstance(model, (str, Path)):
        model = load_once(model)
    card = model.card
    problem = from_card(card) if problem is None else as_problem(problem).for_model(card)
    size = image_size or card.training["image_size"]
    answers: dict[str, Any] = {}
    if isinstance(card.normalization, ScaledContrast):
        # The network's outputs are in each sample's own scale, so results are compared.
        images, targets, found = _results(model, problem, samples, size, seed)
        answers["network"] = (found, {})
    else:
        inputs, targets = fixed_set(problem, "test", samples, size, seed)
        images = inputs[..., : card.image_channels]
        answers["network"] = (network_answers(model, inputs), {})
    if card.normalization.mean_free:
        zero = np.array([o.role == "amplitude" for o in card.outputs], np.float32)
        answers["zero"] = (np.broadcast_to(zero, targets.shape), {})
    else:
        constant = np.median(targets, axis=(0, 1, 2))
        answers["constant"] = (np.broadcast_to(constant, targets.shape), {})
    for name, baseline in problem.baselines.items():
        answers[name] = baseline(images, targets)
    scales = card.normalization.error_scale(targets.shape[-1])
    return {
        name: {
            "mae": {
                output.name: float(scales[c]) * mean_absolute_error(
                    answer[..., c], targets[..., c]
                )
                for c, output in enumerate(card.outputs)
            },
            "correlation": correlation(answer, targets),
            "with": settings,
        }
        for name, (answer, settings) in answers.items()
    }  # fmt: skip


def _results(
    model: Any, problem: Any, samples: int, size: int, seed: int
) -> tuple[Any, np.ndarray, np.ndarray]:
    """Measurements, their truths and the results of a model for phase and amplitude.

    If samples have different numbers of planes, the measurements are None.
    """
    from ..inference.predict import computed

    truth = Contrast([output.role for output in model.card.outputs]).target
    images, targets, answers = [], [], []
    for sample in itertools.islice(measurements(problem, "test", size, seed), samples):
        told = {name: value.numpy() for name, value in sample["conditions"].items()}
        images.append(sample["image"].numpy())
        targets.append(truth(sample["target"].numpy(), None))
        planes, optics = instrument_of(told)
        own = optics.conditions() if isinstance(model.card.inputs, AnyPlanes) else None
        answers.append(computed(model, images[-1], axes="yxz", defocus=planes, conditions=own))
    same = len({image.shape for image in images}) == 1
    return np.stack(images) if same else None, np.stack(targets), np.stack(answers)


def network_answers(model: Any, inputs: np.ndarray, batch: int = 8) -> np.ndarray:
    """The network's full-size output for normalised inputs with fixed channels."""
    from ..inference.engines import engine_of

    engine = engine_of(model)
    return np.concatenate(
        [engine.compute(inputs[i : i + batch]) for i in range(0, len(inputs), batch)]
    )
