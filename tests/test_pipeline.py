"""Fail where a stream depends on where it started, or repeats or mixes samples."""

import numpy as np

from mcnn_keras.training.pipeline import fixed_set, mixed_stream, stream


def take(problem, batches, **options):
    settings = {"split": "train", "batch_size": 4, "image_size": 32, "seed": 0, **options}
    return [
        (images, targets)
        for images, targets in stream(problem, **settings).take(batches).as_numpy_iterator()
    ]


def test_a_stream_can_start_anywhere(phase_problem):
    """Fails where a stream that starts late has other samples than the whole one has there."""
    whole = take(phase_problem, 3)
    late = take(phase_problem, 1, start=8)
    np.testing.assert_array_equal(whole[2][0], late[0][0])
    np.testing.assert_array_equal(whole[2][1], late[0][1])


def test_batches_hold_the_samples_in_order(phase_problem):
    """Fails where the samples, or their order, depend on the batch size."""
    singles = take(phase_problem, 4, batch_size=1)
    batch = take(phase_problem, 1)[0]
    np.testing.assert_array_equal(np.concatenate([image for image, _ in singles]), batch[0])


def test_a_fixed_set_comes_again_in_another_order(phase_problem):
    """Fails where an epoch lacks or repeats a sample, or keeps the order of the one before."""
    epochs = take(phase_problem, 4, samples=8, fresh=False)
    first = np.concatenate([epochs[0][0], epochs[1][0]])
    second = np.concatenate([epochs[2][0], epochs[3][0]])
    assert np.any(first != second)
    order = [np.argmin([np.abs(a - b).max() for b in second]) for a in first]
    assert sorted(order) == list(range(8))
    np.testing.assert_array_equal(first, second[order])


def test_fresh_samples_never_come_again(phase_problem):
    """Fails where the second epoch repeats samples of the first."""
    images = np.concatenate([image for image, _ in take(phase_problem, 4, samples=8)])
    assert len(np.unique(images.sum((1, 2, 3)))) == 16


def test_seeds_and_splits_differ(phase_problem):
    """Fails where two seeds, or training and test, share samples."""
    base = take(phase_problem, 1)[0][0]
    assert np.all(np.any(base != take(phase_problem, 1, seed=1)[0][0], axis=(1, 2, 3)))
    assert np.all(np.any(base != take(phase_problem, 1, split="test")[0][0], axis=(1, 2, 3)))


def test_fixed_set_is_the_start_of_the_stream(phase_problem):
    """Fails where the set in memory has other samples than the stream of its split and seed."""
    images, targets = fixed_set(phase_problem, "test", 3, 32, 5)
    batch = take(phase_problem, 1, split="test", seed=5)[0]
    np.testing.assert_array_equal(images, batch[0][:3])
    np.testing.assert_array_equal(targets, batch[1][:3])


def test_mixed_sizes_take_every_fourth_batch_larger(phase_problem):
    """Fails where the wrong batches are large, or a batch depends on where the stream began."""

    def batches(step, count):
        mixed = mixed_stream(phase_problem, 4, 32, seed=0, step=step)
        return list(mixed.take(count).as_numpy_iterator())

    whole = batches(0, 8)
    assert [len(images) for images, _ in whole] == [4, 4, 4, 1, 4, 4, 4, 1]
    assert whole[3][0].shape[1:3] == (64, 64)
    np.testing.assert_array_equal(whole[1][0], take(phase_problem, 2)[1][0])
    large = take(phase_problem, 1, batch_size=1, image_size=64, start=12)[0]
    np.testing.assert_array_equal(whole[3][0], large[0])
    for late, early in zip(batches(6, 2), whole[6:], strict=True):
        np.testing.assert_array_equal(late[0], early[0])
        np.testing.assert_array_equal(late[1], early[1])
