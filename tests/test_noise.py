import numpy as np
import pytest
import tensorflow as tf

from mcnn_keras import noise

SEED = tf.constant([3, 4])


@pytest.mark.parametrize("dose", [0.5, 8.0, 300.0])
def test_poisson_has_the_mean_and_variance_of_counts(dose):
    image = tf.fill((400, 400), 0.7)
    noisy = noise.poisson(image, dose, SEED).numpy()
    np.testing.assert_allclose(noisy.mean(), 0.7, rtol=0.02)
    np.testing.assert_allclose(noisy.var(), 0.7 / dose, rtol=0.03)
    np.testing.assert_allclose(noisy * dose, np.round(noisy * dose), atol=1e-3)


def test_camera_has_the_variance_of_both_noises():
    image = tf.fill((400, 400), 1.5)
    noisy = noise.camera(image, 2000.0, 0.03, SEED).numpy()
    np.testing.assert_allclose(noisy.mean(), 1.5, rtol=1e-3)
    np.testing.assert_allclose(noisy.var(), 1.5 / 2000 + 0.03**2, rtol=0.03)


def test_camera_is_close_to_poisson_where_counts_are_many():
    image = tf.fill((400, 400), 1.0)
    counted = np.sort(noise.poisson(image, 2000.0, SEED).numpy().ravel())
    normal = np.sort(noise.camera(image, 2000.0, 0.0, SEED).numpy().ravel())
    # Quantiles of the two distributions, from 1 % to 99 %, in units of their deviation.
    middle = slice(1600, -1600)
    assert np.abs(counted - normal)[middle].max() < 0.1 * counted.std()


@pytest.mark.parametrize(
    "add", [lambda x, s: noise.poisson(x, 5.0, s), lambda x, s: noise.camera(x, 500.0, 0.01, s)]
)
def test_the_seed_decides(add):
    image = tf.ones((16, 16))
    np.testing.assert_array_equal(add(image, SEED), add(image, SEED))
    assert np.any(add(image, SEED) != add(image, SEED + 1))
