"""Fail where refining spoils an answer, or leaves it as far from its images as it was."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from mcnn_keras import Optics
from mcnn_keras.focal_series import FocalSeries, variational_phase
from mcnn_keras.focal_series.refinement import refined_wave
from mcnn_keras.physics.waves import defocus_stack

OPTICS = Optics(0.65, 0.31, 0.45)


@pytest.fixture
def seen(rng):
    """Makes a series of two planes of a phase and an amplitude, with a share of noise."""

    def make(phase, amplitude, noise):
        wave = (amplitude * np.exp(1j * phase)).astype(np.complex64)
        images = defocus_stack(wave, np.array([-30.0, 30.0]), OPTICS)
        images = images + noise * rng.standard_normal(images.shape)
        return FocalSeries(images.astype(np.float32), (-30.0, 30.0), ())

    return make


def test_phase_and_amplitude_come_nearer_to_the_truth(seen, rng):
    """Fails where a slope has a wrong sign, or absorption is taken for a phase."""
    smooth = [gaussian_filter(rng.standard_normal((96, 96)), 3, mode="wrap") for _ in range(2)]
    phase, absorption = smooth[0] / smooth[0].std(), 0.3 * smooth[1] / smooth[1].std()
    amplitude = np.exp(-absorption)
    first = 0.7 * phase, np.exp(-0.5 * absorption)
    done = []
    found = refined_wave(
        seen(phase, amplitude, 0.0), OPTICS, *first, progress=lambda *d: done.append(d)
    )
    assert np.abs(found[0] - phase).mean() < 0.9 * np.abs(first[0] - phase).mean()
    assert np.abs(found[1] - amplitude).mean() < np.abs(first[1] - amplitude).mean()
    assert done[-1] == (15, 15)
    blind = refined_wave(seen(phase, amplitude, 0.0), OPTICS, first[0])
    assert blind[1] is None
    assert np.abs(blind[0] - phase).mean() > np.abs(found[0] - phase).mean()


def test_noise_is_not_fitted(seen, rng):
    """Fails where a right answer for a weak object is spoiled by the noise of its images."""
    phase = gaussian_filter(rng.standard_normal((96, 96)), 3, mode="wrap")
    phase *= 0.05 / phase.std()
    series = seen(phase, 1.0, 0.1)
    found, _ = refined_wave(series, OPTICS, phase, np.ones_like(phase))
    free = variational_phase(series.images, series.defocus, OPTICS, start=phase)
    assert np.std(found - phase) < 0.1 * phase.std()
    assert np.std(free - phase) > 0.5 * phase.std()


def test_nothing_is_made_of_a_flat_answer(seen):
    """Fails where a phase of zero everywhere divides by zero."""
    found, amplitude = refined_wave(
        seen(np.zeros((32, 32)), 1.0, 0.0), OPTICS, np.zeros((32, 32)), np.ones((32, 32))
    )
    np.testing.assert_allclose(found, 0, atol=1e-6)
    np.testing.assert_allclose(amplitude, 1, atol=1e-6)
