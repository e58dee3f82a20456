"""What samples and their results look like, in numbers, and how wrong the results are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from ..errors import NotFinite
from ..files import Axis
from ..focal_series.refinement import refined_wave
from ..focal_series.series import FocalSeries
from ..inference.consistency import Consistency
from ..inference.predict import computed
from ..inference.stack import prepared
from ..inference.statistics import OF_CAMERAS, statistics
from ..inference.uncertain import UncertainEngine
from ..models import AnyPlanes, Frames
from ..models.calibration import SMALLEST
from ..models.normalization import Contrast
from ..physics.agreement import agreement
from ..physics.disturbances import disturbed
from ..problems import forward_of
from ..problems.any_phase import instrument_of
from ..problems.base import Problem, Sample
from ..training.pipeline import measurements

# Phases that are also refined, to know the uncertainty afterwards; and pixels of each.
REFINED, PIXELS = 192, 1024
# Deviations of truths count as at least this share of their median.
FLAT = 0.05
# Of a wrong instrument: its probability, and the deviation of the logarithm of its defocus.
WRONG, FACTOR = 0.5, 0.4


class Disturbed:
    """A problem some of whose images are disturbed as none of its training is.

    Parameters
    ----------
    problem : Problem
    share : float
        Probability of each image.
    """

    def __init__(self, problem: Problem, share: float) -> None:
        self.problem, self.share, self.network_pair = problem, share, problem.network_pair

    def sample(self, seed: Any, size: int, split: str) -> Sample:
        """A sample; the truth is that of the problem."""
        found = self.problem.sample(seed, size, split)
        seeds = tf.unstack(tf.random.split(tf.random.fold_in(seed, 99), 2))
        image = tf.cond(
            tf.random.stateless_uniform((), seeds[0]) < self.share,
            lambda: disturbed(found.image, seeds[1]),
            lambda: found.image,
        )
        return found._replace(image=image)


@dataclass
class Looks:
    """What samples look like.

    Attributes
    ----------
    statistics : list of dict
        Of images and results; of phases also the agreement with their images.
    agreements : list of float
        Of results with their images, of problems with a forward model.
    uncertainties : list of float
        Mean uncertainty of each, as a statistic.
    errors : numpy.ndarray
        Mean absolute error of the first output of each, relative to the deviation of the image, or
        of the truth where this is another quantity.
    refined : list of (widths, errors)
        Of some refined waves: logarithms, (pixels, outputs), before and after the refinement.
    """

    statistics: list[dict[str, float]] = field(default_factory=list)
    agreements: list[float] = field(default_factory=list)
    uncertainties: list[float] = field(default_factory=list)
    errors: np.ndarray = field(default_factory=lambda: np.zeros(0))
    refined: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)


def looks_of(
    model: Any, problem: Any, size: int, samples: int, seed: int, wrong: bool = False
) -> Looks:
    """What unseen samples and their results look like.

    Parameters
    ----------
    model : keras.Model
        With an interval.
    problem : Problem or Disturbed
    size, samples, seed : int
        Of the samples.
    wrong : bool
        Give half of the samples a wrong defocus, of models for any planes; refine none.
    """
    engine, found, scales = UncertainEngine(model), Looks(), []
    rng, errors = np.random.default_rng(seed), []
    card, role = model.card, model.card.outputs[0].role
    own_forward = isinstance(problem, Problem) and role != "phase"
    known = Consistency(card, lambda c: forward_of(c, problem=problem) if own_forward else None)
    for sample in measurements(problem, "test", size, seed).take(samples):
        image = sample["image"].numpy()
        told = {name: value.numpy() for name, value in sample["conditions"].items()}
        if isinstance(card.inputs, AnyPlanes):
            if wrong and rng.uniform() < WRONG:
                factor = np.exp(FACTOR * rng.normal()) * rng.choice([1, 1, -1])
                told["defocus"] = (factor * told["defocus"]).astype(np.float32)
            planes, optics = instrument_of(told)
            try:
                answer = computed(
                    engine, image, axes="yxz", defocus=planes, conditions=optics.conditions()
                )
            except NotFinite:  # a wrong instrument, whose images would be refused
                continue
        else:
            free = {n: told[n] for n, value in card.conditions.items() if value is None}
            finish, batch = prepared(engine, image[None], conditions=card.measured_conditions(free))
            answer = finish(batch)[0]
        middle = image.shape[-1] // 2 if isinstance(card.inputs, Frames) else 0
        own = answer.shape[-1] // 2
        frame, truth = image[..., middle], sample["target"].numpy()[..., 0]
        look = statistics(frame, answer[..., 0], answer[..., own], role == "image")
        if role == "phase":
            both = {n: v for n, v in {**card.conditions, **told}.items() if v is not None}
            planes, optics = instrument_of(both)
            amplitude = answer[..., 1] if own > 1 else None
            scores = agreement(answer[..., 0], amplitude, image, planes, optics)
            look = look and {**look, "agreement": float(np.mean(scores))}
            if len(planes) > 1 and len(found.refined) < REFINED and not wrong:
                target = sample["target"].numpy()
                found.refined.append(_refined(image, planes, optics, answer, target, card, rng))
        else:
            scores = known.scores(np.moveaxis(answer[..., :own], -1, 0), image)
        if not look:
            continue
        if scores:
            found.agreements.append(float(np.mean(scores)))
        found.uncertainties.append(look.pop("uncertainty"))
        look.pop("greatest uncertainty")
        if role != "image":
            # These simulations have no camera that rounds to whole numbers, and cuts off.
            for name in OF_CAMERAS:
                look.pop(name), look.pop(f"answer {name}")
        found.statistics.append(look)
        seen = np.isfinite(frame if frame.shape == truth.shape else truth)
        away = (answer[..., 0] - truth)[seen]
        # Neither a frame nor a phase has an absolute zero.
        away -= away.mean() if card.normalization.mean_free else 0.0
        errors.append(float(np.abs(away).mean()))
        scales.append(float((frame if role == "image" else truth)[seen].std()))
    if errors:
        found.errors = np.array(errors) / np.maximum(scales, FLAT * float(np.median(scales)))
    return found


def _refined(
    images: np.ndarray,
    planes: Sequence[float],
    optics: Any,
    answer: np.ndarray,
    target: np.ndarray,
    card: Any,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Logarithms of predicted widths and of the errors of the refined wave, at some pixels."""
    own = answer.shape[-1] // 2
    order = np.argsort(planes)
    axes = (Axis("height", images.shape[0]), Axis("width", images.shape[1]))
    series = FocalSeries(images[..., order], tuple(planes[i] for i in order), axes)
    amplitude = answer[..., 1] if own > 1 else None
    phase, amplitude = refined_wave(series, optics, answer[..., 0], amplitude)
    wave = np.stack([phase] if amplitude is None else [phase, amplitude], axis=-1)
    errors = np.abs(wave - Contrast([o.role for o in card.outputs]).target(target, 1))
    pixels = rng.choice(errors[..., 0].size, PIXELS, replace=False)
    widths = answer[..., own:].reshape(-1, own)[pixels]
    return np.log(widths), np.log(np.maximum(errors.reshape(-1, own)[pixels], SMALLEST))
