"""Fail where pictures do not follow their seed, or training and test share a source."""

import imageio.v3 as iio
import numpy as np
import pytest
import tensorflow as tf

from mcnn_keras import InputError
from mcnn_keras.targets import procedural
from mcnn_keras.targets.pictures import PHOTOGRAPHS, Pictures


@pytest.mark.parametrize(
    "family", [*procedural.FAMILIES, procedural.mask], ids=lambda s: s.__name__
)
def test_procedural_pictures_follow_their_seed(family):
    """Fails where values leave 0 to 1, a picture is flat, or more than the seed decides it."""
    picture = family(np.random.default_rng(5), 96)
    assert picture.shape == (96, 96)
    assert picture.dtype == np.float32
    assert picture.min() >= 0
    assert picture.max() <= 1
    assert picture.std() > 0.01
    np.testing.assert_array_equal(picture, family(np.random.default_rng(5), 96))
    assert np.any(picture != family(np.random.default_rng(6), 96))


@pytest.mark.parametrize("family", [procedural.cells, procedural.flakes, procedural.beads])
def test_objects_lie_on_an_empty_background(family):
    """Fails where the objects cover the field, or the background is not zero."""
    empty = [np.mean(family(np.random.default_rng(i), 96) == 0) for i in range(8)]
    assert np.median(empty) > 0.1


def test_fractal_has_the_power_spectrum_it_claims():
    """Fails where the exponent is that of amplitudes instead of powers."""
    field = procedural._fractal(np.random.default_rng(0), 512, 3.0)
    power = np.abs(np.fft.rfft2(field)) ** 2
    f = np.hypot(np.fft.fftfreq(512)[:, None], np.fft.rfftfreq(512)[None])
    octaves = [power[(f >= lo) & (f < 2 * lo)].mean() for lo in (0.02, 0.04, 0.08, 0.16)]
    slopes = np.diff(np.log2(octaves))
    np.testing.assert_allclose(slopes, -3, atol=0.2)


def test_draws_follow_their_seed_and_differ():
    """Fails where more than the seed decides a draw, draws are alike, or values leave 0 to 1."""
    pictures = Pictures("train")
    first = pictures.draw_object(tf.constant([0, 1]), 48)
    assert first.shape == (48, 48)
    assert 0 <= np.min(first) <= np.max(first) <= 1
    np.testing.assert_array_equal(first, pictures.draw_object(tf.constant([0, 1]), 48))
    others = [pictures.draw_object(tf.constant([0, i]), 48).numpy() for i in range(2, 12)]
    assert all(np.any(first != other) for other in others)


def test_the_same_seed_makes_the_same_set_and_another_seed_another():
    """Fails where the seed of a set is not used, or not the only thing that decides it."""
    same, other = Pictures("train", seed=1), Pictures("train", seed=2)
    np.testing.assert_array_equal(same.pictures, Pictures("train", seed=1).pictures)
    assert np.any(same.pictures != other.pictures)


def test_training_and_test_pictures_come_from_different_sources():
    """Fails where a picture is in both splits."""
    train, test = Pictures("train"), Pictures("test")
    assert not set(PHOTOGRAPHS["train"]) & set(PHOTOGRAPHS["test"])
    for unseen in test.pictures.numpy().astype(float):
        differences = np.abs(train.pictures.numpy() - unseen).mean((1, 2))
        assert differences.min() > 2


def test_a_folder_of_any_pictures(tmp_path, rng):
    """Fails where a format is not read, a broken file is fatal, or the splits share a picture."""
    for i in range(8):
        iio.imwrite(tmp_path / f"{i}.png", rng.integers(0, 255, (40 + i, 60, 3), np.uint8))
    np.save(tmp_path / "array.npy", rng.standard_normal((50, 30)))
    iio.imwrite(tmp_path / "deep.tif", rng.integers(0, 60000, (33, 44), np.uint16))
    (tmp_path / "broken.jpg").write_text("no picture")
    with pytest.warns(UserWarning, match=r"1 of 10 .* left out \(broken.jpg"):
        train, test = Pictures("train", tmp_path), Pictures("test", tmp_path)
    readable = {*(f"{i}.png" for i in range(8)), "array.npy", "deep.tif"}
    assert set(train.names) | set(test.names) == readable
    assert not set(train.names) & set(test.names)
    assert test.names


def test_a_useless_folder_is_refused(tmp_path):
    """Fails where a folder that is missing, empty or unreadable gives another exception."""
    with pytest.raises(InputError, match="not a folder"):
        Pictures("train", tmp_path / "none")
    with pytest.raises(InputError, match="0 pictures"):
        Pictures("train", tmp_path)
    for i in range(3):
        (tmp_path / f"{i}.png").write_text("no picture")
    with pytest.raises(InputError, match="can be read"):
        Pictures("train", tmp_path)
