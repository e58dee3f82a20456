"""Whether a denoising model invents or loses columns of atoms: counts on unseen frames.

The truth is what `mcnn_keras.metrics.find_columns` finds in the clean frame. Frame, best blur and
network are searched in the same way, each with the least height that suits it best.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import InputError
from ..metrics.columns import ColumnCounts, column_maxima, column_shape, match_columns, total
from ..models.saving import load_once
from ..problems import from_card, from_config
from ..problems.base import Problem

# Families of specimens whose images show columns or single atoms.
FAMILIES = ("columns", "lattices", "clusters", "foils", "lone_atoms")
# Limits of the groups of frames, in dB: variance of the clean frame to that of the error.
LEVELS = (-10.0, 0.0)
# Heights relative to the typical column of the clean frame: what is surely one, and what might be.
SURE, UNSURE = 0.4, 0.05
# Least heights that are tried for each kind of image, in the same unit.
LEAST = (0.05, 0.1, 0.15, 0.25, 0.35, 0.5, 0.7)
# A frame with well-resolved columns: at least this spacing in widths and in pixels, this height in
# deviations of the frame, this many columns, and at most this share of doubtful ones.
SPACING_IN_WIDTHS, SPACING, TALL, FEWEST, DOUBTFUL = 3.0, 4.0, 1.0, 4, 0.25
# A true column lies within one width of its place; within this many pixels, if it is narrower.
LEAST_WITHIN = 1.5
# Largest share of missing pixels; and samples that are drawn for each one wanted.
MISSING, DRAWN = 0.01, 6


@dataclass(frozen=True)
class Truth:
    """The columns of a clean frame.

    Attributes
    ----------
    columns, unsure : (columns, 2) array
        Positions; the unsure ones are faint or at the border, and are not counted.
    spacing, width, height : float
        Of the columns; see `mcnn_keras.metrics.find_columns`.
    dark : bool
        Whether they are dark.
    size : int
        Height and width of the frame.
    """

    columns: np.ndarray
    unsure: np.ndarray
    spacing: float
    width: float
    height: float
    dark: bool
    size: int

    @property
    def within(self) -> float:
        """The largest distance at which a found column is a true one.

        With more than a width, maxima of noise alone would often be near enough.
        """
        return min(self.spacing / 3, max(self.width, LEAST_WITHIN))

    @property
    def border(self) -> float:
        """Nearer to the border than this, nothing is counted."""
        return self.width

    def inner(self, positions: np.ndarray, border: float) -> np.ndarray:
        """Which positions have this distance from the border."""
        return np.all((positions >= border) & (positions <= self.size - 1 - border), axis=1)


def truth_of(clean: np.ndarray) -> Truth | None:
    """The columns of a clean frame, or None if it shows no well-resolved ones.

    Parameters
    ----------
    clean : (size, size) array

    Returns
    -------
    Truth or None
        Well resolved: at least four columns, four pixels and three of their widths apart, typically
        as high as the frame's standard deviation or higher; of all maxima higher than a twentieth
        of the typical column at most a quarter are lower than two fifths of it.
    """
    clean = np.asarray(clean, np.float64)
    if np.ptp(clean) == 0:
        return None
    # The filter answers to a column more than to what lies between columns.
    dark = _highest(clean, True) > _highest(clean, False)
    width, spacing = column_shape(clean, dark)
    if spacing < max(SPACING, SPACING_IN_WIDTHS * width):
        return None
    positions, heights = column_maxima(clean, spacing, width=width, dark=dark)
    if not len(heights):
        return None
    typical = float(np.median(heights[heights >= heights.max() / 2]))
    there = heights >= UNSURE * typical
    positions, sure = positions[there], heights[there] >= SURE * typical
    if typical < TALL * clean.std() or np.mean(~sure) > DOUBTFUL:
        return None
    truth = Truth(positions, positions, spacing, width, typical, dark, clean.shape[0])
    counted = sure & truth.inner(positions, truth.border + truth.within)
    if counted.sum() < FEWEST:
        return None
    return replace(truth, columns=positions[counted], unsure=positions[~counted])


class Frames(NamedTuple):
    """Unseen frames with well-resolved columns, in the scale of the network.

    Attributes
    ----------
    inputs : (frames, size, size, channels) array
        Of the network.
    images, clean : (frames, size, size) array
    truths : list of Truth
    snr : (frames,) array
        In dB.
    drawn : int
        Number of samples that these were chosen from.
    """

    inputs: np.ndarray
    images: np.ndarray
    clean: np.ndarray
    truths: list[Truth]
    snr: np.ndarray
    drawn: int


def frames_with_columns(problem: Any, samples: int, seed: int, image_size: int) -> Frames | None:
    """Frames of the test split with well-resolved columns, see `truth_of`.

    Parameters
    ----------
    problem : Problem
        Denoising; only those of its families are drawn that may show columns. Frames of which more
        than a hundredth is missing are left out.
    samples : int
        The number of frames; there are fewer if six times as many samples do not have them.
    seed, image_size : int
        Of the samples.

    Returns
    -------
    Frames or None
        None for another problem, and if no frame has such columns.
    """
    own = _of_columns(problem)
    if own is None:
        return None
    found: list[tuple[Any, ...]] = []
    drawn = 0
    for inputs, target, seen in _drawn(own, seed, image_size).take(DRAWN * samples):
        drawn += 1
        clean = target.numpy()[..., 0]
        truth = truth_of(clean) if float(seen) >= 1 - MISSING else None
        if truth is not None:
            found.append((inputs.numpy(), inputs.numpy()[..., 0], clean, truth))
        if len(found) == samples:
            break
    if not found:
        return None
    inputs, images, clean = (np.stack([row[k] for row in found]) for k in range(3))
    noise = np.mean((images - clean) ** 2, axis=(1, 2))
    snr = 10 * np.log10(clean.var(axis=(1, 2)) / np.maximum(noise, 1e-12))
    return Frames(inputs, images, clean, [row[3] for row in found], snr, drawn)


def _drawn(problem: Problem, seed: int, size: int) -> Any:
    """A data set of network inputs, targets and the share of valid pixels."""
    import tensorflow as tf

    def one(number: Any) -> Any:
        sample = problem.sample(tf.stack([tf.cast(seed, tf.int64), number]), size, "test")
        middle = sample.image[..., sample.image.shape[-1] // 2]
        seen = tf.reduce_mean(tf.cast(tf.math.is_finite(middle), tf.float32))
        return *problem.network_pair(sample), seen

    plain = tf.autograph.experimental.do_not_convert(one)
    numbers = tf.data.Dataset.range(tf.int64.max)
    return numbers.map(plain, num_parallel_calls=2, deterministic=True)


def _of_columns(problem: Any) -> Problem | None:
    """The problem with only those families that may show columns."""
    if problem.name != "denoise":
        return None
    config = problem.config()
    families = {n: config["families"][n] for n in FAMILIES if config["families"].get(n)}
    return from_config("denoise", {**config, "families": families}) if families else None


def best_counts(answers: Any, truths: Sequence[Truth]) -> tuple[ColumnCounts, float]:
    """The columns of some images, with the least height that gives the best counts.

    Parameters
    ----------
    answers : sequence of (size, size) array
    truths : sequence of Truth

    Returns
    -------
    counts : ColumnCounts
        Of all images together.
    least : float
        The least height of a column that was chosen for all of them, relative to the height of the
        typical column of each clean image: that with the best harmonic mean of precision and
        recall.
    """
    maxima = [
        column_maxima(answer, truth.spacing, width=truth.width, dark=truth.dark)
        for answer, truth in zip(answers, truths, strict=True)
    ]
    tried = []
    for least in LEAST:
        counts = []
        for (positions, heights), truth in zip(maxima, truths, strict=True):
            found = positions[heights >= least * truth.height]
            found = found[truth.inner(found, truth.border)]
            counts.append(match_columns(found, truth.columns, truth.within, truth.unsure))
        tried.append((total(counts), least))
    return max(tried, key=lambda pair: pair[0].f1)


def evaluate_columns(
    model: Any,
    problem: Any = None,
    samples: int = 64,
    seed: int = 1,
    image_size: int | None = None,
    levels: Sequence[float] = LEVELS,
) -> dict[str, Any]:
    """Count the columns of atoms that a denoising model invents and loses on unseen frames.

    Parameters
    ----------
    model : keras.Model
        With its card; or the name of a model file.
    problem, samples, seed, image_size :
        As for `mcnn_keras.evaluate`; the samples are frames with well-resolved columns.
    levels : sequence of float
        Limits between the groups of frames, in dB.

    Returns
    -------
    dict
        ``frames`` and ``drawn``, the number of frames and of samples that they were chosen from;
        and ``groups``, a list by noise, the noisiest first: ``snr_db``, its limits, None for open
        ends; ``frames``; ``columns``, their number in the clean frames; and ``answers``, by name
        ('network', 'Gaussian blur', 'noisy frame'), see `counted`. An empty dictionary for models
        of other problems, and if no frame has such columns.
    """
    from . import network_answers

    if samples < 1:
        raise InputError(f"samples is {samples}; it must be at least 1")
    if isinstance(model, (str, Path)):
        model = load_once(model)
    problem = from_card(model.card) if problem is None else problem
    size = image_size or model.card.training["image_size"]
    frames = frames_with_columns(problem, samples, seed, size)
    if frames is None:
        return {}
    answers = {"network": network_answers(model, frames.inputs)[..., 0]}
    groups = []
    limits = [-math.inf, *levels, math.inf]
    for low, high in itertools.pairwise(limits):
        own = np.flatnonzero((frames.snr >= low) & (frames.snr < high))
        if len(own):
            groups.append({
                "snr_db": [v if math.isfinite(v) else None for v in (low, high)],
                **counted(frames, own, answers),
            })  # fmt: skip
    return {"frames": len(frames.truths), "drawn": frames.drawn, "groups": groups}


def counted(frames: Frames, own: Any, answers: Mapping[str, Any]) -> dict[str, Any]:
    """Counts of some of the frames: of the answers, the best blur and the frames themselves.

    Parameters
    ----------
    frames : Frames
    own : sequence of int
        Which of them.
    answers : dict of str to (frames, size, size) array
        Results for all frames.

    Returns
    -------
    dict
        ``frames``, ``columns``, and ``answers`` by name: ``true``, ``invented``, ``missed``,
        ``precision``, ``recall``, ``position_error`` in pixels, ``least_height`` and, for the blur,
        ``pixels``, both chosen for the best counts.
    """
    from ..classical.denoisers import gaussian
    from ..problems.denoise import BLURS

    truths = [frames.truths[i] for i in own]
    rows: dict[str, tuple[ColumnCounts, float, dict[str, float]]]
    rows = {name: (*best_counts(answer[own], truths), {}) for name, answer in answers.items()}
    blurs = [
        (*best_counts([gaussian(frames.images[i], sigma) for i in own], truths), {"pixels": sigma})
        for sigma in BLURS
    ]
    rows["Gaussian blur"] = max(blurs, key=lambda row: row[0].f1)
    rows["noisy frame"] = (*best_counts(frames.images[own], truths), {})
    return {
        "frames": len(truths),
        "columns": sum(len(t.columns) for t in truths),
        "answers": {name: {**_numbers(counts), "least_height": least, **chosen}
                    for name, (counts, least, chosen) in rows.items()},
    }  # fmt: skip


def _numbers(counts: ColumnCounts) -> dict[str, Any]:
    numbers = {
        "true": counts.true, "invented": counts.invented, "missed": counts.missed,
        "precision": counts.precision, "recall": counts.recall,
        "position_error": counts.position_error,
    }  # fmt: skip
    return {n: None if isinstance(v, float) and math.isnan(v) else v for n, v in numbers.items()}


def _highest(image: np.ndarray, dark: bool) -> float:
    _, heights = column_maxima(image, width=1.0, dark=dark)
    return float(heights.max(initial=0.0))
