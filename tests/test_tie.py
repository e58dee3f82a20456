"""Fail where transport of intensity misses a weak smooth phase, or its cutoff does nothing."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.ndimage import gaussian_filter

from mcnn_keras import Optics
from mcnn_keras.focal_series import best_tie, tie
from mcnn_keras.physics.waves import defocus_stack


@pytest.fixture
def optics():
    return Optics(0.65, 1.0, None)


@pytest.fixture
def phase(rng):
    smooth = gaussian_filter(rng.standard_normal((128, 128)), 8, mode="wrap")
    smooth *= 0.05 / smooth.std()
    return smooth - smooth.mean()


def images_of(phase, planes, optics):
    return defocus_stack(
        tf.constant(np.exp(1j * phase).astype(np.complex64)), planes, optics
    ).numpy()


@pytest.mark.parametrize("planes", [[-4.0, 4.0], [8.0], [-8.0], [-8.0, -4.0, 4.0, 8.0]])
def test_it_recovers_a_weak_smooth_phase(phase, planes, optics):
    """Fails where the sign, the factor, or the slope through one or several planes is wrong."""
    images = images_of(phase, planes, optics)
    answer = tie(images, planes, optics, cutoff=1e-4, boundary="periodic")
    error = np.sqrt(np.mean((answer - phase) ** 2)) / phase.std()
    # One plane alone has the second order of the phase in it.
    assert error < (0.01 if len(planes) > 1 else 0.05)


def test_the_cutoff_damps_low_frequencies(phase, optics):
    """Fails where the cutoff has no effect, or damps the high frequencies."""
    images = images_of(phase, [-4.0, 4.0], optics)
    faint = tie(images, [-4.0, 4.0], optics, cutoff=0.2, boundary="periodic")
    assert faint.std() < 0.1 * phase.std()


def test_the_best_cutoff_is_better_than_its_neighbours(phase, optics, rng):
    """Fails where the search keeps another cutoff than that of the lowest error."""
    images = images_of(phase, [8.0], optics)[None]
    images = images + 0.002 * rng.standard_normal(images.shape)
    answers, settings = best_tie(images, phase[None, ..., None], [8.0], optics)
    error = np.abs(answers[0, ..., 0] - phase).mean()
    for factor in (0.2, 5):
        other = tie(images[0], [8.0], optics, settings["cutoff"] * factor, settings["boundary"])
        assert error <= np.abs(other - phase).mean()
    assert error < np.abs(phase).mean()


def test_an_unknown_boundary_is_refused(optics):
    """Fails where an unknown boundary passes for one of the two."""
    with pytest.raises(ValueError, match="boundary"):
        tie(np.ones((8, 8, 1)), [1.0], optics, 0.1, boundary="wall")
