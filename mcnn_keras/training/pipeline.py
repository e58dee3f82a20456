"""The tf.data pipeline: a stream of (inputs, targets) batches that can start at any position.

Its stages:

1. ``range``    sample numbers from the current step, so that resuming does not read skipped
                samples. For batches of two sizes there are two such streams.
2. ``map``      number -> sample -> network input and target, a pure function of (seed, number):
                simulated, normalised, fixed channels computed; in parallel, in order.
3. ``batch``    after the simulation, so that one sample is one unit of parallel work.
4. ``prefetch`` a few batches, so that simulation and training run at the same time.

Nothing is cached, as simulating a sample again costs less than the memory to store it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from ..errors import InputError
from ..models.onnx import usable_cores
from ..problems.base import Problem, Sample
from .settings import Settings


@dataclass(frozen=True)
class Share:
    """The part of each batch that one of several workers simulates.

    Attributes
    ----------
    index, count : int
        The place of the worker, and the number of workers.
    replicas : int
        Devices of each worker. A step takes one batch for each of them.
    """

    index: int
    count: int
    replicas: int

    def numbers(self, batch_size: int, count: int, step: int, chosen: Callable[[Any], Any]) -> Any:
        """Numbers of the worker's part of the first `count` samples of each chosen batch."""
        own = count // self.count
        return _numbers_of(batch_size, own, step, chosen, own * self.index)


ALL = Share(0, 1, 1)


def stream(
    problem: Problem,
    split: str,
    batch_size: int,
    image_size: int,
    seed: int,
    start: int = 0,
    samples: int | None = None,
    fresh: bool = True,
    share: Share = ALL,
) -> tf.data.Dataset:
    """An endless stream of batches of network inputs and targets.

    Parameters
    ----------
    problem : Problem
        The problem to simulate.
    split : {'train', 'test'}
        Which targets.
    batch_size, image_size : int
        Samples per batch; height and width of each.
    seed : int
        Seed of all samples.
    start : int
        The number of the first sample.
    samples : int, optional
        Size of an epoch; used only with fresh=False.
    fresh : bool
        True: each sample is new. False: the first `samples` are repeated in each epoch, in a new
        order.
    share : Share
        The worker's part of each batch; `start` is then the first number of a batch.

    Returns
    -------
    tf.data.Dataset
        (inputs, targets), each (batch, size, size, channels), float32.
    """
    numbers = tf.data.Dataset.range(start, tf.int64.max)
    if share.count > 1:
        numbers = share.numbers(batch_size, batch_size, start // batch_size, lambda step: step >= 0)
        batch_size //= share.count * share.replicas
    return _batches(problem, split, batch_size, image_size, seed, samples, fresh, numbers)


def _batches(
    problem: Problem,
    split: str,
    batch_size: int,
    image_size: int,
    seed: int,
    samples: int | None,
    fresh: bool,
    numbers: tf.data.Dataset,
) -> tf.data.Dataset:
    """Batches of the samples with the given numbers."""

    def pair(number: Any) -> Any:
        if not fresh and samples is not None:
            number = _again(number, samples, seed)
        return problem.network_pair(_sample(problem, number, seed, image_size, split))

    batches = _mapped(numbers, pair).batch(batch_size, drop_remainder=True).prefetch(4)
    # Fused, the two stages would make up to 16 batches more ahead: with large ones, gigabytes.
    options = tf.data.Options()
    options.experimental_optimization.map_and_batch_fusion = False
    return batches.with_options(options)


def _again(number: Any, samples: int, seed: int) -> Any:
    """The number of the sample that stands for another one where those of an epoch come again."""
    epoch, place = number // samples, number % samples
    order = tf.stack([tf.cast(seed, tf.int64), tf.cast(epoch, tf.int64)])
    return tf.random.experimental.index_shuffle(place, order, samples - 1)


def batch_of(step: int, settings: Settings) -> dict[str, Any]:
    """What the batch of a training step consists of, for its samples to be made again.

    Returns
    -------
    dict
        ``samples``, their numbers, ``seed`` and ``image_size``: sample n is
        ``problem.sample(tf.stack([seed, n]), image_size, "train")``, the seed as int64.
    """
    s = settings
    large = s.mixed_sizes and bool(is_large(step))
    count = s.batch_size // 4 if large else s.batch_size
    numbers = list(range(step * s.batch_size, step * s.batch_size + count))
    if not s.fresh:
        epoch = s.steps_per_epoch * s.batch_size
        numbers = [int(_again(tf.constant(n, tf.int64), epoch, s.seed)) for n in numbers]
    size = s.image_size * (2 if large else 1)
    return {"samples": numbers, "seed": s.seed, "image_size": size}


def _mapped(numbers: tf.data.Dataset, function: Callable[[Any], Any]) -> tf.data.Dataset:
    plain = tf.autograph.experimental.do_not_convert(function)
    return numbers.map(plain, num_parallel_calls=usable_cores(), deterministic=True)


def _sample(problem: Problem, number: Any, seed: int, image_size: int, split: str) -> Sample:
    return problem.sample(tf.stack([tf.cast(seed, tf.int64), number]), image_size, split)


def measurements(
    problem: Problem, split: str, image_size: int, seed: int, start: int = 0
) -> tf.data.Dataset:
    """An endless stream of single samples in the units of the instrument.

    Parameters
    ----------
    problem, split, image_size, seed, start :
        As for `stream`, which has the same samples.

    Returns
    -------
    tf.data.Dataset
        Dictionaries: ``image`` and ``target``, (size, size, channels), float32, and
        ``conditions``, numbers by name.
    """

    def sample(number: Any) -> dict[str, Any]:
        found = _sample(problem, number, seed, image_size, split)
        conditions = {n: tf.cast(v, tf.float32) for n, v in found.conditions.items()}
        return {"image": found.image, "conditions": conditions, "target": found.target}

    return _mapped(tf.data.Dataset.range(start, tf.int64.max), sample).prefetch(4)


def mixed_stream(
    problem: Problem,
    batch_size: int,
    image_size: int,
    seed: int,
    step: int,
    samples: int | None = None,
    fresh: bool = True,
    share: Share = ALL,
) -> tf.data.Dataset:
    """As `stream`, but every fourth batch has a quarter of the samples, with twice the size.

    Parameters
    ----------
    problem, batch_size, image_size, seed, samples, fresh, share :
        As for `stream`; the split is 'train'.
    step : int
        The number of the first batch.

    Returns
    -------
    tf.data.Dataset
        Of (inputs, targets).
    """
    parts = share.count * share.replicas
    usual, large = (
        _batches(problem, "train", size // parts, image_size * times, seed, samples, fresh, numbers)
        for size, times, numbers in (
            (batch_size, 1, share.numbers(batch_size, batch_size, step, lambda s: s % 4 < 3)),
            (batch_size // 4, 2, share.numbers(batch_size, batch_size // 4, step, is_large)),
        )
    )
    steps = tf.data.Dataset.range(step, tf.int64.max)
    if share.replicas > 1:
        steps = steps.flat_map(lambda s: tf.data.Dataset.from_tensors(s).repeat(share.replicas))
    return tf.data.Dataset.choose_from_datasets(
        [usual, large], steps.map(lambda s: tf.cast(is_large(s), tf.int64))
    )


def unsharded(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """A dataset without sharding: each batch is split over the replicas."""
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return dataset.with_options(options)


def endless(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """A dataset that is known to have no end: workers need not ask one another at each step."""
    return dataset.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))


def is_large(step: Any) -> Any:
    """Whether a batch of `mixed_stream` holds large samples."""
    return step % 4 == 3


def _numbers_of(
    batch_size: int, count: int, step: int, chosen: Callable[[Any], Any], first: int
) -> tf.data.Dataset:
    """The numbers of `count` samples of each chosen batch, from its sample `first` on."""
    steps = tf.data.Dataset.range(step, tf.int64.max // batch_size).filter(chosen)
    return steps.flat_map(
        lambda s: tf.data.Dataset.range(s * batch_size + first, s * batch_size + first + count)
    )


def fixed_set(
    problem: Problem, split: str, samples: int, image_size: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """The first samples of a stream, in memory.

    Parameters
    ----------
    problem : Problem
        The problem to simulate.
    split : {'train', 'test'}
        Which targets.
    samples, image_size, seed : int
        As for `stream`.

    Returns
    -------
    inputs, targets : numpy.ndarray
        (samples, size, size, channels), float32; the image's channels first, then the fixed ones.

    Raises
    ------
    InputError
        If one has values that are NaN or infinite.
    """
    singles = stream(problem, split, 1, image_size, seed).take(samples).as_numpy_iterator()
    inputs, targets = zip(*singles, strict=True)
    for number, pair in enumerate(zip(inputs, targets, strict=True)):
        if not all(np.isfinite(array).all() for array in pair):
            batch = {"samples": [number], "seed": seed, "image_size": image_size}
            raise InputError(not_finite(problem, batch, split))
    return np.concatenate(inputs), np.concatenate(targets)


def not_finite(problem: Problem, batch: Mapping[str, Any], split: str = "train") -> str:
    """The first of the samples of a batch with values that are NaN or infinite, and the mend.

    Parameters
    ----------
    problem : Problem
    batch : dict
        From `batch_of`.
    split : {'train', 'test'}

    Returns
    -------
    str
        Empty if all values are finite.
    """
    for number in batch["samples"]:
        told = tf.constant(number, tf.int64)
        sample = _sample(problem, told, batch["seed"], batch["image_size"], split)
        inputs, target = problem.network_pair(sample)
        if np.isfinite(inputs).all() and np.isfinite(target).all():
            continue
        arrays = {"image": sample.image, "target": sample.target, "normalised image": inputs}
        arrays["normalised target"] = target
        what, array = next((n, a) for n, a in arrays.items() if not np.isfinite(a).all())
        count = int((~np.isfinite(array)).sum())
        return (
            f"the {what} of the {split} sample {number} (seed {batch['seed']}) has {count} of "
            f"{np.size(array)} values that are NaN or infinite: the problem {problem.name!r} gives "
            "no numbers there; mend its forward model, or narrow its ranges"
        )
    return ""
