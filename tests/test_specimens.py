"""Fail where a simulated specimen does not follow its seed, widths and densities."""

import numpy as np
import pytest
import tensorflow as tf

from mcnn_keras.targets.specimens import FAMILIES, Specimens


def draws(count, size=64, **options):
    specimens = Specimens(**options)
    seeds = tf.data.Dataset.range(count).map(lambda i: tf.stack([tf.constant(5, tf.int64), i]))
    images = seeds.map(lambda seed: specimens.draw(seed, size))
    return np.stack(list(images.as_numpy_iterator()))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_gives_images(family):
    """Fails where a family gives NaN, another range, or the same image for every seed."""
    images = draws(12, families={family: 1})
    assert np.isfinite(images).all()
    assert images.min() >= 0
    np.testing.assert_allclose(images.max((1, 2)), 1, rtol=1e-5)
    if family == "blank":
        assert np.ptp(images) == 0
    else:
        assert (images.std((1, 2)) > 0.01).all()
        assert len(np.unique(images.mean((1, 2)).round(6))) > 6


def test_a_specimen_is_a_function_of_its_seed():
    """Fails where more than the seed decides an image."""
    np.testing.assert_array_equal(draws(6), draws(6))


def test_columns_have_the_stated_width_and_density():
    """The authors' set: 32-pixel pitch and variance 5 to 50 at a zoom of one; both go with it.

    Fails where width or pitch does not go with the zoom.
    """
    from scipy.ndimage import label, maximum_filter

    widths, counts = [], []
    for image in draws(30, 256, families={"columns": 1}):
        counts.append(label((image == maximum_filter(image, 5)) & (image > 0.1))[1])
        # The curvature at the brightest pixel gives a lone Gaussian's variance.
        y, x = np.unravel_index(np.argmax(image[8:-8, 8:-8]), (240, 240))
        patch = image[y + 6 : y + 11, x + 6 : x + 11]
        curve = patch[2, 1] - 2 * patch[2, 2] + patch[2, 3]
        widths.append(-patch[2, 2] / curve)
    assert 5 / 4 * 0.8 < min(widths) < max(widths) < 50 * 2**0.4 * 1.3
    # (256 / 32)^2 = 64 sites at a zoom of one; zooms of 0.5 to 1.15, 60 to 100 % filled.
    assert 64 / 1.15**2 * 0.5 < min(counts) < max(counts) < 64 * 4 * 1.2


@pytest.mark.parametrize("family", ["foils", "lattices"])
def test_most_crystals_are_periodic(family):
    """Their lattice shows as sharp peaks in the power spectrum.

    Fails where the atoms of most crystals do not repeat.
    """
    peaks = []
    for image in draws(24, 128, families={family: 1}):
        window = np.hanning(128)[:, None] * np.hanning(128)
        power = np.abs(np.fft.rfft2((image - image.mean()) * window)) ** 2
        peaks.append(np.sort(power.ravel())[-40:].sum() / power.sum())
    assert np.median(peaks) > 0.5


def test_some_specimens_have_grain():
    """Fails where no specimen has grain, all have it, or an empty field gets some."""
    from mcnn_keras.targets import scenes

    flat, empty = tf.reshape(tf.linspace(0.2, 1.0, 48 * 48), (48, 48)), tf.ones((48, 48))
    added = []
    for i in range(60):
        seed = tf.constant([5, i])
        grain = (scenes.grainy(scenes.SCENES, seed, flat, scenes.GRAINY) - flat).numpy()
        np.testing.assert_array_equal(scenes.grainy(scenes.SCENES, seed, empty, 1.0), empty)
        added.append(grain.std() / 0.8)
    added = np.array(added)
    assert 0.1 < (added > 0).mean() < 0.45
    assert added[added > 0].min() > 0.5 * scenes.SCENES["grain"][0]
    assert added.max() < 1.5 * scenes.SCENES["grain"][1]
