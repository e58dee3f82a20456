"""The one tf.data pipeline: a stream of (images, targets) batches, any position of it at once.

The order of its stages, and why:

1. ``range``    sample numbers, from the step where training stands: resuming skips nothing by
                reading it. Where batches are of two sizes, there are two such streams.
2. ``map``      number -> sample, a pure function of (seed, number); in parallel, in order.
3. ``batch``    after the simulation, so that one sample is one unit of parallel work.
4. ``prefetch`` a few batches, so that simulation fills the gaps of the training step.

Nothing is cached: simulating a sample again costs less than the memory to keep it.
"""

import os

import numpy as np
import tensorflow as tf


def stream(problem, split, batch_size, image_size, seed, start=0, samples=None, fresh=True):
    """An endless stream of batches.

    Parameters
    ----------
    problem : Problem
        What to simulate.
    split : {'train', 'test'}
        Which targets.
    batch_size, image_size : int
        Samples per batch; height and width of each.
    seed : int
        Of all samples.
    start : int
        The number of the first sample.
    samples : int, optional
        Size of an epoch; it counts only with fresh=False.
    fresh : bool
        True: every sample is new. False: the first `samples` come again in every epoch, in a new
        order.

    Returns
    -------
    tf.data.Dataset
        Of (images, targets), each (batch, size, size, channels), float32.
    """
    numbers = tf.data.Dataset.range(start, tf.int64.max)
    return _batches(problem, split, batch_size, image_size, seed, samples, fresh, numbers)


def _batches(problem, split, batch_size, image_size, seed, samples, fresh, numbers):
    """Batches of the samples of the given numbers."""

    @tf.autograph.experimental.do_not_convert
    def number_to_sample(number):
        if not fresh:
            epoch, place = number // samples, number % samples
            order = tf.stack([tf.cast(seed, tf.int64), epoch])
            number = tf.random.experimental.index_shuffle(place, order, samples - 1)
        return problem.sample(tf.stack([tf.cast(seed, tf.int64), number]), image_size, split)

    return (
        numbers.map(number_to_sample, num_parallel_calls=os.cpu_count(), deterministic=True)
        .batch(batch_size, drop_remainder=True)
        .prefetch(4)
    )


def mixed_stream(problem, batch_size, image_size, seed, step, samples=None, fresh=True):
    """As `stream`, but each fourth batch has a quarter of the samples, of twice the size.

    Parameters
    ----------
    problem, batch_size, image_size, seed, samples, fresh :
        As for `stream`; the split is that of training.
    step : int
        The number of the first batch.

    Returns
    -------
    tf.data.Dataset
        Of (images, targets).
    """
    usual, large = (
        _batches(problem, "train", size, image_size * times, seed, samples, fresh, numbers)
        for size, times, numbers in (
            (batch_size, 1, _numbers_of(batch_size, batch_size, step, lambda s: s % 4 < 3)),
            (batch_size // 4, 2, _numbers_of(batch_size, batch_size // 4, step, is_large)),
        )
    )
    steps = tf.data.Dataset.range(step, tf.int64.max)
    return tf.data.Dataset.choose_from_datasets(
        [usual, large], steps.map(lambda s: tf.cast(is_large(s), tf.int64))
    )


def is_large(step):
    """Whether a batch of `mixed_stream` holds large samples."""
    return step % 4 == 3


def _numbers_of(batch_size, count, step, chosen):
    """The numbers of the first `count` samples of each chosen batch."""
    steps = tf.data.Dataset.range(step, tf.int64.max // batch_size).filter(chosen)
    return steps.flat_map(lambda s: tf.data.Dataset.range(s * batch_size, s * batch_size + count))


def fixed_set(problem, split, samples, image_size, seed):
    """The first samples of a stream, in memory.

    Parameters
    ----------
    problem : Problem
        What to simulate.
    split : {'train', 'test'}
        Which targets.
    samples, image_size, seed : int
        As for `stream`.

    Returns
    -------
    images, targets : numpy.ndarray
        (samples, size, size, channels), float32.
    """
    singles = stream(problem, split, 1, image_size, seed).take(samples).as_numpy_iterator()
    images, targets = zip(*singles, strict=True)
    return np.concatenate(images), np.concatenate(targets)
