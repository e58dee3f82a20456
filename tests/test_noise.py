"""Fail where noise has another mean, variance or extent than stated."""

import numpy as np
import pytest
import tensorflow as tf

from mcnn_keras.physics import noise

SEED = tf.constant([3, 4])


def white(size=256, seed=0):
    return np.random.default_rng(seed).standard_normal((size, size)).astype(np.float32)


def correlation(image, down, across):
    """Of pixels so far apart."""
    a, b = image[down:, across:], image[: image.shape[0] - down, : image.shape[1] - across]
    return np.mean(a * b) / np.mean(image**2)


@pytest.mark.parametrize("sigma", [0.5, 0.8, 1.6])
def test_a_point_spread_correlates_noise(sigma):
    """Fails where the correlation is not that of a Gaussian, or the variance changes."""
    found = noise.filtered(tf.constant(white()), sigma, sigma, 0.0).numpy()
    assert found.var() == pytest.approx(1, rel=0.06)
    taps = np.exp(-(np.arange(-9, 10) ** 2) / (2 * sigma**2))
    for lag in (1, 2):
        wanted = np.sum(taps[lag:] * taps[:-lag]) / np.sum(taps**2)
        for down, across in ((lag, 0), (0, lag)):
            assert correlation(found, down, across) == pytest.approx(wanted, abs=0.03)


def test_a_slow_detector_correlates_noise_along_the_scan():
    """Fails where it is not an autoregression of the stated decay, or reaches other lines."""
    found = noise.filtered(tf.constant(white()), 0.0, 0.0, 0.8).numpy()
    assert found.var() == pytest.approx(1, rel=0.06)
    for lag in (1, 2, 4):
        assert correlation(found, 0, lag) == pytest.approx(0.8**lag, abs=0.04)
    assert abs(correlation(found, 1, 0)) < 0.03


@pytest.mark.parametrize("cubic", [False, True])
def test_enlarged_noise_is_that_of_an_enlarged_frame(cubic):
    """Fails where noise is enlarged by another factor than SciPy enlarges it."""
    from scipy.ndimage import zoom

    found = noise.resampled(tf.constant(white()), 2.0, 0.0, tf.constant(cubic)).numpy()
    wanted = zoom(white(128, 1), 2, order=3 if cubic else 1, grid_mode=True, mode="reflect")
    assert found.std() == pytest.approx(1, rel=1e-3)
    for down, across in ((1, 0), (0, 1), (1, 1), (2, 0), (4, 0)):
        ours, theirs = correlation(found, down, across), correlation(wanted, down, across)
        # SciPy's cubic splines interpolate a little more sharply.
        assert ours == pytest.approx(theirs, abs=0.12 if cubic else 0.04)


def test_turned_noise_keeps_its_deviation():
    """Fails where turning leaves rims without noise."""
    found = noise.resampled(tf.constant(white()), 1.0, 0.2, tf.constant(False)).numpy()
    assert found.std() == pytest.approx(1, rel=1e-3)
    assert found[:8].std() > 0.5
    assert 0.1 < correlation(found, 0, 1) < 0.5


def test_missing_places_are_few_and_of_many_kinds():
    """Fails where a frame loses most of its pixels, or always the same ones."""
    places = np.stack([noise.missing_places(tf.constant([7, i]), 64).numpy() for i in range(60)])
    shares = places.mean((1, 2))
    assert np.median(shares) < 0.15
    assert shares.max() < 0.75
    assert (shares > 0).mean() > 0.8
    lines = [(p.all(0).any(), p.all(1).any()) for p in places]
    assert {(True, False), (False, True), (True, True), (False, False)} <= set(lines)


@pytest.mark.parametrize("dose", [0.5, 8.0, 300.0])
def test_poisson_has_the_mean_and_variance_of_counts(dose):
    """Fails where the dose is not that of a pixel of value one, or the counts are not whole."""
    image = tf.fill((400, 400), 0.7)
    noisy = noise.poisson(image, dose, SEED).numpy()
    np.testing.assert_allclose(noisy.mean(), 0.7, rtol=0.02)
    np.testing.assert_allclose(noisy.var(), 0.7 / dose, rtol=0.03)
    np.testing.assert_allclose(noisy * dose, np.round(noisy * dose), atol=1e-3)


def test_camera_has_the_variance_of_both_noises():
    """Fails where one of the two noises is missing, or a deviation is taken for a variance."""
    image = tf.fill((400, 400), 1.5)
    noisy = noise.camera(image, 2000.0, 0.03, SEED).numpy()
    np.testing.assert_allclose(noisy.mean(), 1.5, rtol=1e-3)
    np.testing.assert_allclose(noisy.var(), 1.5 / 2000 + 0.03**2, rtol=0.03)


def test_camera_is_close_to_poisson_where_counts_are_many():
    """Fails where the normal limit has another width than the counts."""
    image = tf.fill((400, 400), 1.0)
    counted = np.sort(noise.poisson(image, 2000.0, SEED).numpy().ravel())
    normal = np.sort(noise.camera(image, 2000.0, 0.0, SEED).numpy().ravel())
    # Quantiles of the two distributions, from 1 % to 99 %, in units of their deviation.
    middle = slice(1600, -1600)
    assert np.abs(counted - normal)[middle].max() < 0.1 * counted.std()


@pytest.mark.parametrize(
    "add",
    [
        lambda x, s: noise.poisson(x, 5.0, s),
        lambda x, s: noise.camera(x, 500.0, 0.01, s),
        lambda x, s: noise.line_jitter(x * tf.range(16.0), 0.5, s),
        lambda x, s: noise.line_offsets(x, 0.5, s),
        lambda x, s: noise.hot_pixels(x, 0.5, 3.0, s),
    ],
)
def test_the_seed_decides(add):
    """Fails where more than the seed decides the noise, or the seed is not used."""
    image = tf.ones((16, 16))
    np.testing.assert_array_equal(add(image, SEED), add(image, SEED))
    assert np.any(add(image, SEED) != add(image, SEED + 1))


def test_line_jitter_moves_lines_as_wholes():
    """Fails where pixels of a line move apart, or the lines have another deviation."""
    ramp = tf.tile(tf.range(64.0)[None], (200, 1))
    moved = noise.line_jitter(ramp, 0.8, SEED).numpy() - ramp.numpy()
    inner = moved[:, 4:-4]
    assert np.ptp(inner, axis=1).max() < 1e-3
    assert inner[:, 0].std() == pytest.approx(0.8, rel=0.15)


def test_line_offsets_are_one_for_each_line():
    """Fails where an offset changes along its line, or the lines have another deviation."""
    added = noise.line_offsets(tf.zeros((500, 8)), 0.3, SEED).numpy()
    assert np.ptp(added, axis=1).max() == 0
    assert added[:, 0].std() == pytest.approx(0.3, rel=0.1)


def test_afterglow_decays_along_the_scan_and_keeps_the_sum():
    """Fails where light goes backwards, into another line or out of the sum."""
    point = np.zeros((3, 40), np.float32)
    point[1, 10] = 1
    smeared = noise.afterglow(tf.constant(point), 0.5).numpy()
    assert smeared.sum() == pytest.approx(1, rel=1e-5)
    np.testing.assert_allclose(smeared[1, 11:15] / smeared[1, 10:14], 0.5, rtol=1e-4)
    assert smeared[1, :10].sum() == smeared[0].sum() == 0
    spilt = noise.afterglow(tf.constant(point), 1.0, taps=2).numpy()
    np.testing.assert_allclose(spilt[1, 9:14], [0, 0.5, 0.5, 0, 0], atol=1e-6)
    np.testing.assert_allclose(noise.afterglow(tf.ones((4, 30)), 0.6), 1, rtol=1e-5)
    np.testing.assert_allclose(noise.afterglow(tf.constant(point), 0.0), point, atol=1e-7)


def test_hot_pixels_are_as_many_as_stated():
    """Fails where the share of hot pixels or their greatest height is another one."""
    image = noise.hot_pixels(tf.zeros((500, 500)), 0.002, 30.0, SEED).numpy()
    assert (image > 0).mean() == pytest.approx(0.002, rel=0.15)
    assert 29 < image.max() <= 30
