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


def test_line_jitter_interpolates_and_ends_with_the_last_value(rng):
    """Fails where a pixel is taken from elsewhere, or something else lies beyond a line's ends."""
    image = rng.random((100, 40)).astype(np.float32)
    ramp = tf.tile(tf.range(40.0)[None], (100, 1))
    # The same seed moves a ramp, whose values tell where each pixel was taken from.
    places = noise.line_jitter(ramp, 30.0, SEED).numpy()
    found = noise.line_jitter(tf.constant(image), 30.0, SEED)
    wanted = [np.interp(p, np.arange(40), line) for p, line in zip(places, image, strict=True)]
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    assert places.min() == 0
    assert 38.99 < places.max() <= 39


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


def test_afterglow_is_a_sum_over_earlier_pixels(rng):
    """Against a loop, for lines that go on mirrored before their beginning.

    Fails where a tap is missing, or has another weight.
    """
    image = rng.random((3, 30)).astype(np.float32)
    weights = [0.7**k for k in range(10)]
    wanted = np.zeros((3, 30))
    for x in range(30):
        for k, weight in enumerate(weights):
            source = x - k if x >= k else k - x - 1
            wanted[:, x] += weight / sum(weights) * image[:, source]
    np.testing.assert_allclose(noise.afterglow(tf.constant(image), 0.7), wanted, atol=1e-5)


def test_hot_pixels_are_as_many_as_stated():
    """Fails where the share of hot pixels or their greatest height is another one."""
    image = noise.hot_pixels(tf.zeros((500, 500)), 0.002, 30.0, SEED).numpy()
    assert (image > 0).mean() == pytest.approx(0.002, rel=0.15)
    assert 29 < image.max() <= 30
    # They add anything from nothing to the greatest height alike.
    assert image[image > 0].mean() == pytest.approx(15, rel=0.1)
    brighter = noise.hot_pixels(tf.fill((500, 500), 7.0), 0.002, 30.0, SEED).numpy()
    np.testing.assert_allclose(brighter, image + 7, rtol=1e-6)


def test_no_light_gives_no_counts():
    """Fails where an intensity below zero has counts, or NaN as noise."""
    dark = tf.fill((200, 200), -0.5)
    np.testing.assert_array_equal(noise.poisson(dark, 100.0, SEED), 0)
    noisy = noise.camera(dark, 100.0, 0.2, SEED).numpy()
    assert noisy.mean() == pytest.approx(-0.5, abs=0.01)
    assert noisy.std() == pytest.approx(0.2, rel=0.03)


def test_a_single_value_spreads_as_stated():
    """Against the closed form: Gaussians of either width, and a tail of 24 pixels along the scan.

    Fails where a width is taken for the other axis', a tail is cut, or the power is not kept.
    """
    point = np.zeros((80, 100), np.float32)
    point[40, 50] = 1
    found = noise.filtered(tf.constant(point), 0.7, 2.5, 0.9).numpy()
    t = np.arange(-9, 10)
    column, row = (np.exp(-(t**2) / (2 * s**2)) for s in (0.7, 2.5))
    tail = 0.9 ** np.arange(24)
    kernels = [k / np.sqrt(np.sum(k**2)) for k in (column, row, tail)]
    along = np.convolve(kernels[1], kernels[2])
    first = np.flatnonzero(found.max(0) > 1e-9)[0]
    part = found[40 - 9 : 40 + 10, first : first + len(along)]
    # The order of the tail in time does not matter.
    wanted = [kernels[0][:, None] * tail for tail in (along, along[::-1])]
    assert any(np.allclose(part, w, atol=1e-5) for w in wanted)
    assert part.sum() == pytest.approx(found.sum(), rel=1e-5)


def test_filtered_noise_has_no_rims():
    """Fails where the noise at the rims has another power, or lacks the mirrored pixels."""
    many = [noise.filtered(tf.constant(white(64, i)), 1.0, 0.5, 0.5).numpy() for i in range(40)]
    power = np.mean(np.square(many), 0)
    assert many[0].shape == (64, 64)
    for rim in (power[0], power[-1], power[:, 0], power[:, -1]):
        assert 0.7 < rim.mean() < 2.5  # mirrored pixels add up where they overlap


@pytest.mark.parametrize(("size", "factor"), [(96, 1.5), (97, 2.5), (96, 1.0)])
def test_enlarging_repeats_linear_interpolation(size, factor):
    """Against the interpolation of the kept part, written out.

    Fails where the kept part begins elsewhere, or has another size.
    """
    image = white(size)
    kept = int(np.ceil(size / factor))
    places = np.clip((np.arange(size) + 0.5) * kept / size - 0.5, 0, kept - 1)
    lines = np.array([np.interp(places, np.arange(kept), line) for line in image[:kept, :kept]])
    wanted = np.array([np.interp(places, np.arange(kept), column) for column in lines.T]).T
    found = noise.resampled(tf.constant(image), factor, 0.0, tf.constant(False)).numpy()
    np.testing.assert_allclose(found, wanted / wanted.std(), atol=1e-3)
    nothing = noise.resampled(tf.zeros((size, size)), factor, 0.1, tf.constant(True))
    np.testing.assert_array_equal(nothing, 0)


def test_a_picture_is_shifted_and_turned_about_its_middle(rng):
    """Against SciPy's interpolation at places found with complex numbers.

    Fails where the middle, an axis, a sign or the order of the two is another one.
    """
    from scipy.ndimage import map_coordinates

    picture = rng.random((31, 31)).astype(np.float32)
    away = np.float32([(0, 0), (2, -3.5), (-1.25, 0.5), (0, 0)])
    turn = np.float32([0, 0, 0.3, -0.7])
    found = noise.moved(tf.constant(picture), tf.constant(away), tf.constant(turn)).numpy()
    y, x = np.mgrid[:31, :31]
    for frame, (down, right), angle in zip(found, away, turn, strict=True):
        # Angles go from right to down, as rows are counted downwards.
        source = (x + 1j * y - complex(right, down) - 15 * (1 + 1j)) * np.exp(-1j * angle)
        source += 15 * (1 + 1j)
        wanted = map_coordinates(picture, [source.imag, source.real], order=1, mode="reflect")
        inner = slice(2, -2)
        np.testing.assert_allclose(frame[inner, inner], wanted[inner, inner], atol=2e-3)


# Draws of `missing_places`: kind / 5, width, two places, an angle, two sizes, a choice; and the
# pixels of a 64x64 frame (row y, column x from its first pixel) that are then missing.
PLACES = [
    # 1 + floor(16 / 4) = 5 columns: at the left, or from 48 on; as many rows from 16 on.
    ([0.0, 0.5, 0.25, 0.75, 0, 0, 0, 0.49], lambda y, x: x < 5),
    ([0.1, 0.5, 0.25, 0.75, 0, 0, 0, 0.79], lambda y, x: (x >= 48) & (x <= 52)),
    ([0.19, 0.5, 0.25, 0.75, 0, 0, 0, 0.8], lambda y, x: (y >= 16) & (y <= 20)),
    ([0.1, 0.999, 0.25, 0.75, 0, 0, 0, 0.9], lambda y, x: (y >= 16) & (y < 32)),
    ([0.1, 0.0, 0.26, 0.75, 0, 0, 0, 0.9], lambda y, x: y == 16),
    # A cross of both.
    ([0.2, 0.5, 0.25, 0.75, 0, 0, 0, 0],
     lambda y, x: (x >= 48) & (x <= 52) | (y >= 16) & (y <= 20)),
    # Beyond a line at 42 % to 67 % of the size from the middle, at any angle.
    ([0.4, 0, 0, 0, 0.0, 0.0, 0, 0], lambda y, x: x - 31.5 > 0.42 * 64),
    ([0.59, 0, 0, 0, 0.5, 0.0, 0, 0], lambda y, x: 31.5 - x > 0.42 * 64),
    ([0.5, 0, 0, 0, 0.125, 0.4, 0, 0], lambda y, x: x + y - 63 > 0.52 * 64 * 2**0.5),
    # Rims above and at the left, each a share of the width.
    ([0.6, 0.999, 0, 0, 0, 0.5, 0.25, 0], lambda y, x: (y < 8) | (x < 4)),
    ([0.79, 0.5, 0, 0, 0, 0.2, 0.61, 0], lambda y, x: (y < 1) | (x < 4)),
    # A box of 4 + 16 u by 4 + 25.6 u pixels, or a disc of the box's height as radius.
    ([0.8, 0, 0.25, 0.125, 0, 0.5, 0.625, 0.59],
     lambda y, x: (y >= 16) & (y < 28) & (x >= 8) & (x < 28)),
    ([0.99, 0, 0.5, 0.5, 0, 0.25, 0.5, 0.6], lambda y, x: (y - 32) ** 2 + (x - 32) ** 2 < 64),
]  # fmt: skip


@pytest.mark.parametrize(("draws", "missing"), PLACES)
def test_each_kind_of_missing_places_has_its_shape(draws, missing, monkeypatch):
    """Fails where a line, rim, corner or mark is wider, elsewhere, or of another kind."""
    monkeypatch.setattr(tf.random, "stateless_uniform", lambda shape, seed: tf.constant(draws))
    found = noise.missing_places(SEED, 64).numpy()
    np.testing.assert_array_equal(found, missing(*np.mgrid[:64, :64]))
