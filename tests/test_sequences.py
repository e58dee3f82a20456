"""Fail where simulated neighbours in time do not drift, end or change as stated."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.ndimage import shift

from mcnn_keras.targets import sequences
from mcnn_keras.targets.sequences import SEQUENCES, around, events, moved


def blob(size=48, y=20.0, x=26.0, width=4.0):
    rows, columns = np.mgrid[:size, :size]
    return np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * width**2)).astype(np.float32)


def place(picture):
    rows, columns = np.mgrid[: picture.shape[0], : picture.shape[1]]
    return np.array([(picture * rows).sum(), (picture * columns).sum()]) / picture.sum()


def test_a_picture_moves_as_far_as_stated():
    """Fails where a shift has another size or sign than SciPy's."""
    picture = blob()
    away = np.array([[0.0, 0.0], [1.5, -0.75], [-2.0, 3.25]], np.float32)
    found = moved(tf.constant(picture), tf.constant(away), tf.zeros(3)).numpy()
    np.testing.assert_allclose(found[0], picture, atol=1e-6)
    for image, by in zip(found, away, strict=True):
        np.testing.assert_allclose(image, shift(picture, by, order=1, mode="reflect"), atol=1e-4)


def test_a_picture_turns_about_its_middle():
    """Fails where it turns about a corner, or by another angle."""
    picture, angle = blob(), 0.3
    found = moved(tf.constant(picture), tf.zeros((1, 2)), tf.constant([angle])).numpy()[0]
    before, after = (place(p) - 23.5 for p in (picture, found))
    assert np.linalg.norm(after) == pytest.approx(np.linalg.norm(before), abs=0.05)
    between = np.arctan2(*after) - np.arctan2(*before)
    assert abs(between) == pytest.approx(angle, abs=0.02)


def drawn(count, **changed):
    """(count, size, size, window) of one blob, with chances replaced."""
    patch = pytest.MonkeyPatch()
    patch.setattr(sequences, "CHANCES", {**sequences.CHANCES, **changed})
    seeds = tf.data.Dataset.range(count).map(lambda i: tf.stack([tf.constant(3, tf.int64), i]))
    clean = tf.constant(blob())
    try:
        frames = seeds.map(lambda s: around(SEQUENCES, clean, s, 5))
        return np.stack(list(frames.as_numpy_iterator()))
    finally:
        patch.undo()


def test_single_frames_have_no_neighbours():
    """Fails where a frame alone gets neighbours, or loses itself."""
    frames = drawn(4, alone=1.0)
    np.testing.assert_array_equal(frames[..., 2], np.broadcast_to(blob(), (4, 48, 48)))
    assert np.isnan(frames[..., [0, 1, 3, 4]]).all()


def test_neighbours_drift_on_in_one_direction():
    """Fails where frames jump to and fro, or the middle one is not the clean picture."""
    quiet = {"alone": 0.0, "events": 0.0, "ends": 0.0, "cut": 0.0, "unrelated": 0.0}
    frames = drawn(20, **quiet)
    assert np.isfinite(frames).all()
    np.testing.assert_allclose(frames[..., 2], np.broadcast_to(blob(), (20, 48, 48)), atol=1e-6)
    for sample in frames:
        places = np.stack([place(sample[..., k]) for k in range(5)])
        steps = np.diff(places, axis=0)
        most = SEQUENCES["drift"][1] + 4 * SEQUENCES["wander"][1] + 0.3
        assert np.linalg.norm(steps, axis=1).max() < most
        # About the same step each time: what is left beside it is the wander.
        assert np.abs(steps - steps.mean(0)).max() < 5 * SEQUENCES["wander"][1]


def test_movies_end_and_cut():
    """Fails where frames beyond an end are there, or those beyond a cut show the same field."""
    quiet = {"alone": 0.0, "events": 0.0, "unrelated": 0.0}
    ended = drawn(30, ends=1.0, cut=0.0, **quiet)
    gone = np.isnan(ended).all((1, 2))
    assert not gone[:, 2].any()
    assert gone.any(1).mean() > 0.5
    assert not (gone[:, 0] & gone[:, 4]).any()
    cut = drawn(30, ends=0.0, cut=1.0, **quiet)
    away = np.abs(cut - cut[..., 2:3]).mean((1, 2))
    assert (away.max(1) > 0.03).mean() > 0.5


def test_atoms_come_and_go():
    """Fails where every atom is in all frames, or in frames that do not follow each other."""
    seen = []
    for i in range(12):
        frames = events(SEQUENCES, tf.constant([1, i]), 48, tf.zeros((5, 2))).numpy()
        assert frames.min() >= 0
        seen.append(frames.max((1, 2)) > 0.1)
    seen = np.array(seen)
    assert 0.1 < seen.mean() < 0.99
    assert (seen.sum(1) < 5).any()


def test_neighbours_are_as_smooth_as_prediction_makes_them():
    """Fails where the middle frame is interpolated, or its neighbours are not."""
    noise = tf.random.stateless_normal((96, 96, 5), (1, 2))
    kept = []
    for i in range(20):
        found = sequences.laid_on(tf.zeros_like(noise), noise, tf.constant([4, i])).numpy()
        np.testing.assert_array_equal(found[..., 2], noise[..., 2])
        kept.append(np.nanvar(found[..., [0, 1, 3, 4]]))
    assert (np.array(kept) > 0.99).any()  # a specimen that stands still
    assert 0.7 < np.median(kept) < 0.95
