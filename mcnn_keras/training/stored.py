"""Training from a set on disk: a problem whose samples are read, not simulated.

`Stored` takes the place of its problem in the pipeline, so that each batch stays a function of its
step: the stream's sample n is a sample of the set, in an order that is shuffled for each pass.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from ..errors import InputError
from ..files.training_set import TrainingSet, difference, identity
from ..physics.arrays import Array
from ..problems.base import KEPT, Problem, Sample, some

# What differs from the problem's own; baselines are for evaluation.
OWN = (*KEPT, "sample", "for_run", "recipe", "baselines")


class Stored(Problem):
    """A problem with the samples of a training set.

    Parameters
    ----------
    problem : Problem
        The problem that the set was simulated for.
    folder : str or Path
        The set, from `simulate_set`.

    Attributes
    ----------
    set : TrainingSet
    facts : dict
        What a model's card tells of the set.
    fault : InputError or None
        Why a sample could not be read.

    Raises
    ------
    InputError
        If the set is not complete, or is that of another problem.
    """

    def __init__(self, problem: Problem, folder: str | Path) -> None:
        self.set = TrainingSet(folder)
        index, counts = self.set.index, self.set.index["samples"]
        problem = problem.for_run(counts["train"])
        asked = {"name": problem.name, "config": problem.config()}
        found = difference(index["problem"], json.loads(json.dumps(asked)), "problem")
        if found:
            raise InputError(
                f"the training set {folder} was simulated with {found}; train the problem of the "
                "set, or simulate a set for this one"
            )
        for name in dir(Problem):
            if not name.startswith("_") and name not in OWN:
                setattr(self, name, getattr(problem, name))
        self.recipe = {
            **problem.recipe,
            "image_size": index["image_size"],
            "mixed_sizes": False,
        }
        self.facts = {
            "name": Path(folder).resolve().name,
            "identity": identity(index),
            "samples": counts["train"],
            "seed": index["seed"],
            "rounded": index["rounded"],
        }
        self.fault: InputError | None = None

    def sample(self, seed: Array, size: int, split: str = "train") -> Sample:
        """A sample of the set: number seed[1] of a stream whose order is of seed[0]."""
        number = tf.cast(seed[1], tf.int64)
        if split == "train":
            number = self.number_of(seed[0], number)
        read = tf.numpy_function(
            lambda n: self._read(split, int(n)), [number], [tf.float32] * len(self.set.shapes)
        )
        arrays = [tf.ensure_shape(a, s) for a, s in zip(read, self.set.shapes, strict=True)]
        varying = dict(zip(self.set.conditions, arrays[2:], strict=True))
        return Sample(arrays[0], {**self.set.index["fixed"], **varying}, arrays[1])

    def number_of(self, seed: Array, number: Array) -> Array:
        """The number in the set of a stream's sample: each pass has an order of its own.

        Parameters
        ----------
        seed : int tensor
            Seed of the run.
        number : int64 tensor
            From 0, without end.
        """
        count = self.facts["samples"]
        order = tf.stack([tf.cast(seed, tf.int64), number // count])
        return tf.random.experimental.index_shuffle(number % count, order, count - 1)

    def _read(self, split: str, number: int) -> list[np.ndarray]:
        try:
            return self.set.read(split, number)
        except InputError as error:
            self.fault = error  # TensorFlow makes a long text of it
            raise

    @property
    def test_samples(self) -> int:
        """Number of samples of the test split."""
        return int(self.set.index["samples"]["test"])


def from_disk(problem: Problem, settings: Mapping[str, Any]) -> Problem:
    """The problem to train on: with the samples of the set that the settings name, if any.

    Parameters
    ----------
    problem : Problem
    settings : dict
        Values of `Settings` that were given.

    Raises
    ------
    InputError
        If the set does not fit the problem or the settings.
    """
    folder = settings.get("dataset")
    if folder is None or isinstance(problem, Stored):
        return problem
    stored = Stored(problem, folder)
    own, asked = stored.recipe["image_size"], settings.get("image_size")
    if asked not in (None, own):
        raise InputError(
            f"the training set {folder} has images of {own} pixels, not {asked}; leave image_size "
            "out, or simulate a set of that size"
        )
    if settings.get("mixed_sizes"):
        raise InputError(f"the training set {folder} has images of one size; leave mixed_sizes out")
    return stored


def as_simulated(problem: Problem, batch: dict[str, Any]) -> dict[str, Any]:
    """The seed and the numbers with which the problem itself makes the samples of a batch again.

    Parameters
    ----------
    problem : Problem
    batch : dict
        From `batch_of`.
    """
    if not isinstance(problem, Stored):
        return batch
    numbers = [
        int(problem.number_of(tf.constant(batch["seed"]), tf.constant(n, tf.int64)))
        for n in batch["samples"]
    ]
    return {**batch, "samples": numbers, "seed": problem.facts["seed"]}


def facts_of(problem: Problem) -> dict[str, Any]:
    """What a model's card, and a run's configuration, tell of the training set, if there is one."""
    return {"set": problem.facts} if isinstance(problem, Stored) else {}


def told_of(problem: Problem) -> dict[str, Any]:
    """What a model's card tells of the training's data: its set, and the files that it learned."""
    return facts_of(problem) | ({"learned": dict(problem.learned)} if problem.learned else {})


def files_differ(begun: Mapping[str, str], own: Mapping[str, str]) -> str:
    """In what the user's files of two runs differ, in words; "" if they do not.

    Parameters
    ----------
    begun, own : dict
        `Problem.files` when the run was begun, and now.
    """
    kinds = {
        "added": [n for n in own if n not in begun],
        "removed": [n for n in begun if n not in own],
        "changed": [n for n in own if begun.get(n, own[n]) != own[n]],
    }
    return ", ".join(f"{len(n)} {kind} ({some(sorted(n))})" for kind, n in kinds.items() if n)


@contextmanager
def faults_told(problem: Problem) -> Iterator[None]:
    """In place of TensorFlow's error, raise the one for which a sample could not be read."""
    try:
        yield
    except tf.errors.OpError:
        fault = getattr(problem, "fault", None)
        if fault is None:
            raise
        raise InputError(f"{fault}; then train again, a run that has begun with --resume") from None
