"""The one tf.data pipeline: a stream of (images, targets) batches, any position of it at once.

The order of its stages, and why:

1. ``range``    sample numbers, from the step where training stands: resuming skips nothing by
                reading it.
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

    @tf.autograph.experimental.do_not_convert
    def number_to_sample(number):
        if not fresh:
            epoch, place = number // samples, number % samples
            order = tf.stack([tf.cast(seed, tf.int64), epoch])
            number = tf.random.experimental.index_shuffle(place, order, samples - 1)
        return problem.sample(tf.stack([tf.cast(seed, tf.int64), number]), image_size, split)

    numbers = tf.data.Dataset.range(start, tf.int64.max)
    return (
        numbers.map(number_to_sample, num_parallel_calls=os.cpu_count(), deterministic=True)
        .batch(batch_size, drop_remainder=True)
        .prefetch(4)
    )


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
