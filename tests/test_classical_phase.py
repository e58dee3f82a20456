"""Fail where a classical phase misses a simulated truth, or is no better than one pair."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.ndimage import gaussian_filter

from mcnn_keras import InputError, Optics
from mcnn_keras.focal_series import (
    gp_tie,
    iterative_phase,
    multi_focus_tie,
    tie,
    variational_phase,
)
from mcnn_keras.focal_series.misfit import Misfit
from mcnn_keras.physics.waves import defocus_stack

OPTICS = Optics(0.65, 0.5, None)
EXPONENTIAL = [s * 1.6**k for k in range(-1, 9) for s in (-1, 1)]


def smooth(rng, width, deviation, size=128):
    phase = gaussian_filter(rng.standard_normal((size, size)), width, mode="wrap")
    phase *= deviation / phase.std()
    return phase - phase.mean()


def images_of(phase, planes, optics=OPTICS, amplitude=1.0):
    wave = (amplitude * np.exp(1j * phase)).astype(np.complex64)
    return defocus_stack(tf.constant(wave), planes, optics).numpy().astype(np.float64)


def relative(answer, phase):
    return np.sqrt(np.mean((answer - phase) ** 2)) / phase.std()


def test_multi_focus_recovers_a_weak_smooth_phase(rng):
    """Fails where the sign or the factor of the phase is wrong."""
    phase = smooth(rng, 12, 0.02)
    planes = [-8, -4, -2, 2, 4, 8]
    answer = multi_focus_tie(images_of(phase, planes), planes, OPTICS, 1e-4, "periodic")
    assert relative(answer, phase) < 0.01


def test_refinement_extends_it_to_high_frequencies(rng):
    """Fails where the refinements do not add the detail that the first solution lacks."""
    phase = smooth(rng, 1.5, 0.02)
    images = images_of(phase, EXPONENTIAL)
    plain, refined = (
        multi_focus_tie(images, EXPONENTIAL, OPTICS, 1e-4, "periodic", refinements=n)
        for n in (0, 20)
    )
    assert relative(refined, phase) < 0.3 * relative(plain, phase)
    assert relative(refined, phase) < 0.03


def test_multi_focus_takes_out_the_blur_of_the_source(rng):
    """Fails where the refinements leave out the blur of an extended source."""
    phase = smooth(rng, 4, 0.02)
    wide = Optics(0.65, 0.5, None, coherence_angle=0.02)
    planes = [-20, -10, 10, 20]
    images = images_of(phase, planes, wide)
    known, unknown = (
        multi_focus_tie(images, planes, optics, 1e-4, "periodic", refinements=10)
        for optics in (wide, OPTICS)
    )
    assert relative(known, phase) < 0.03
    assert relative(known, phase) < 0.5 * relative(unknown, phase)


def test_multi_focus_is_better_than_one_pair_in_noise(rng):
    """Fails where the pairs are weighted so badly that one of them alone is as good."""
    phase = smooth(rng, 3, 0.2)
    images = images_of(phase, EXPONENTIAL)
    images += 0.01 * rng.standard_normal(images.shape)
    answer = multi_focus_tie(images, EXPONENTIAL, OPTICS, 0.01, "periodic", refinements=3)
    pairs = [
        tie(images[..., i : i + 2], EXPONENTIAL[i : i + 2], OPTICS, cutoff, "periodic")
        for i in range(0, len(EXPONENTIAL), 2)
        for cutoff in (0.01, 0.03, 0.06)
    ]
    assert relative(answer, phase) < min(relative(pair, phase) for pair in pairs)


def test_multi_focus_wants_pairs(rng):
    """Fails where planes on one side of focus, or at unequal distances, pass for a pair."""
    images = np.ones((16, 16, 2))
    with pytest.raises(InputError, match="no pair"):
        multi_focus_tie(images, [4, 8], OPTICS, 0.01)
    with pytest.raises(InputError, match="no pair"):
        multi_focus_tie(images, [-2, 8], OPTICS, 0.01)


def test_gaussian_process_recovers_weak_phases_smooth_or_fine(rng):
    """Fails where the process smooths fine detail away, or its slope has a wrong factor."""
    for width in (12, 2):
        phase = smooth(rng, width, 0.02)
        images = images_of(phase, EXPONENTIAL)
        answer = gp_tie(images, EXPONENTIAL, OPTICS, 1e-4, "periodic", noise=1e-6)
        assert relative(answer, phase) < 0.01


def test_gaussian_process_is_better_than_one_pair_in_noise(rng):
    """Fails where the noise is fitted too, or the progress does not reach its end."""
    phase = smooth(rng, 3, 0.2)
    images = images_of(phase, EXPONENTIAL)
    images += 0.01 * rng.standard_normal(images.shape)
    seen = []
    answer = gp_tie(
        images, EXPONENTIAL, OPTICS, 0.01, "periodic", progress=lambda *done: seen.append(done)
    )
    pairs = [
        tie(images[..., i : i + 2], EXPONENTIAL[i : i + 2], OPTICS, cutoff, "periodic")
        for i in range(0, len(EXPONENTIAL), 2)
        for cutoff in (0.01, 0.03, 0.06)
    ]
    assert relative(answer, phase) < min(relative(pair, phase) for pair in pairs)
    assert seen[-1] == (len(EXPONENTIAL), len(EXPONENTIAL))


def test_a_constant_image_has_no_slope(rng):
    """What absorbs without refracting near focus is no phase, on one side of it, too.

    Fails where the slope is taken from unit intensity at focus.
    """
    absorbing = np.repeat(1 + 0.1 * smooth(rng, 4, 1.0)[..., None], 5, axis=2)
    answer = gp_tie(absorbing, [1, 2, 4, 8, 16], OPTICS, 1e-3, "periodic")
    slope = tie(absorbing, [1, 2, 4, 8, 16], OPTICS, 1e-3, "periodic")
    assert np.abs(slope).max() < 1e-9
    assert answer.std() < 0.01


def test_one_plane_is_no_process():
    """Fails where a slope is made of one plane."""
    with pytest.raises(InputError, match="two or more"):
        gp_tie(np.ones((16, 16, 1)), [4], OPTICS, 0.01)


def test_amplitude_projections_recover_strong_phase_and_amplitude(rng):
    """Fails where the projections do not converge, or the amplitude stays at one."""
    optics = Optics(0.65, 0.5, 0.4)
    phase = smooth(rng, 5, 0.8)
    amplitude = 1 + 0.1 * smooth(rng, 5, 1.0)
    amplitude /= np.sqrt(np.mean(amplitude**2))
    planes = [-40, -20, -10, 0, 10, 20, 40]
    images = images_of(phase, planes, optics, amplitude)
    start = tie(images[..., [2, 4]], [-10, 10], optics, 1e-4, "periodic")
    found, there = iterative_phase(
        images, planes, optics, iterations=60, start=start, boundary="periodic"
    )
    assert relative(found, phase) < 0.05
    assert np.abs(there - amplitude).mean() < 0.01
    assert relative(found, phase) < relative(start, phase)


def test_amplitude_projections_recover_a_weak_smooth_phase(rng):
    """Fails where the low frequencies, which converge last, are not reached."""
    phase = smooth(rng, 8, 0.05)
    planes = [-200, -50, 50, 200]
    images = images_of(phase, planes)
    found, _ = iterative_phase(images, planes, OPTICS, iterations=300, boundary="periodic")
    assert relative(found, phase) < 0.01


def test_amplitude_projections_know_an_extended_source(rng):
    """Fails where the projections leave out the blur of an extended source."""
    wide = Optics(0.65, 0.5, 0.4, coherence_angle=0.02)
    point = Optics(0.65, 0.5, 0.4)
    phase = smooth(rng, 2, 0.3)
    planes = [-60, -30, 30, 60]
    images = images_of(phase, planes, wide)
    start = tie(images[..., 1:3], [-30, 30], wide, 1e-4, "periodic")
    known, unknown = (
        iterative_phase(images, planes, optics, iterations=40, start=start, boundary="periodic")[0]
        for optics in (wide, point)
    )
    assert relative(known, phase) < 0.6 * relative(unknown, phase)


def test_phases_beyond_pi_are_unwrapped(rng):
    """Fails where the phase comes back wrapped."""
    phase = smooth(rng, 12, 2.5)
    assert np.ptp(phase) > 8
    planes = [-20, -10, -5, 5, 10, 20]
    images = images_of(phase, planes)
    start = tie(images[..., [2, 3]], [-5, 5], OPTICS, 1e-4, "periodic")
    found, _ = iterative_phase(
        images, planes, OPTICS, iterations=30, start=start, boundary="periodic"
    )
    assert relative(found, phase) < 0.1


def test_the_variational_gradient_is_that_of_the_misfit(rng):
    """Against finite differences.

    Fails where the gradient has a wrong sign or factor, or leaves out the blur of the source.
    """
    for angle in (0.0, 0.02):
        optics = Optics(0.65, 0.5, 0.4, coherence_angle=angle)
        shape = (16, 20)
        misfit = Misfit(1 + 0.2 * rng.random((*shape, 2)), [-20, 30], optics)
        start, direction = 0.3 * rng.standard_normal((2, 2, *shape))
        ahead, behind = (
            misfit(np.exp(a), phase)[0]
            for a, phase in (start + step * direction for step in (0.01, -0.01))
        )
        slope = (ahead - behind) / 0.02
        _, *slopes = misfit(np.exp(start[0]), start[1])
        assert np.sum(slopes * direction) == pytest.approx(slope, rel=1e-3, abs=1e-3)


def test_the_variational_method_recovers_a_weak_smooth_phase(rng):
    """Fails where the minimisation stops before it reaches the low frequencies."""
    phase = smooth(rng, 8, 0.05)
    planes = [-200, -50, 50, 200]
    found = variational_phase(
        images_of(phase, planes), planes, OPTICS, smoothness=0, boundary="periodic"
    )
    assert relative(found, phase) < 0.01


def test_the_variational_method_makes_a_first_answer_agree_with_two_noisy_planes(rng):
    """Fails where the start is not used, or the smoothness does not act on the change from it."""
    optics = Optics(0.65, 0.5, 0.4)
    phase = smooth(rng, 4, 1.0)
    planes = [-40, 40]
    images = rng.poisson(1000 * images_of(phase, planes, optics)) / 1000
    first = min(
        (tie(images, planes, optics, c, "periodic") for c in np.geomspace(1e-3, 0.3, 20)),
        key=lambda answer: relative(answer, phase),
    )
    seen = []
    found = variational_phase(
        images,
        planes,
        optics,
        start=first,
        boundary="periodic",
        progress=lambda *done: seen.append(done),
    )
    assert relative(found, phase) < 0.25 * relative(first, phase)
    assert seen[-1] == (100, 100)
    # What nothing was measured of stays.
    free = variational_phase(images, planes, optics, 5, start=first, smoothness=1e9)
    np.testing.assert_allclose(free, first - first.mean(), atol=1e-3)


@pytest.mark.parametrize("wrong", [{"iterations": 0}, {"smoothness": -1.0}, {"smoothness": np.inf}])
def test_variational_settings_are_checked(wrong):
    """Fails where no iterations, or a negative or infinite smoothness, give an answer."""
    with pytest.raises(InputError, match="must be"):
        variational_phase(np.ones((8, 8, 2)), [-1, 1], OPTICS, **wrong)


def test_fields_go_on_beyond_their_borders(rng):
    """A field that is mirrored at its borders, and nowhere periodic.

    Fails where a method wraps the field around in spite of its `boundary`.
    """
    optics = Optics(0.65, 0.5, 0.4)
    phase = smooth(rng, 4, 0.5)[:96, :96]
    phase -= phase.mean()
    planes = [-20, -10, 10, 20]
    whole = np.pad(phase, ((0, 96), (0, 96)), mode="symmetric")
    images = images_of(whole, planes, optics)[:96, :96]
    start = tie(images[..., 1:3], planes[1:3], optics, 1e-3)
    for method in (variational_phase, lambda *a, **k: iterative_phase(*a, **k)[0]):
        mirrored, periodic = (
            method(images, planes, optics, iterations=40, start=start, boundary=boundary)
            for boundary in ("reflect", "periodic")
        )
        assert relative(mirrored, phase) < 0.2 * relative(periodic, phase)


def test_a_negative_pixel_does_not_make_contrasts_of_intensities(rng):
    """Fails where one negative pixel makes intensities pass for contrasts."""
    phase = smooth(rng, 4, 0.3)
    images = images_of(phase, [-10, 10])
    spoilt = images.copy()
    spoilt[5, 5, 0] = -0.01
    answers = [tie(i, [-10, 10], OPTICS, 1e-3, "periodic") for i in (images, spoilt, images - 1)]
    assert relative(answers[1], answers[0]) < 0.2  # taken for contrasts, it is half as large
    np.testing.assert_allclose(answers[2], answers[0], atol=1e-5)


def test_senseless_settings_are_refused():
    """Fails where a cutoff of zero, or negative noise or refinements, give an answer."""
    images = np.random.default_rng(0).random((32, 32, 2)) + 1
    with pytest.raises(InputError, match="cutoff is 0"):
        tie(images, [-1, 1], OPTICS, 0)
    with pytest.raises(InputError, match="noise is -1"):
        gp_tie(images, [-1, 1], OPTICS, 1e-3, noise=-1)
    with pytest.raises(InputError, match="refinements is -1"):
        multi_focus_tie(images, [-1, 1], OPTICS, 1e-3, refinements=-1)


@pytest.mark.parametrize("wrong", [0.0, np.nan])
def test_dark_and_missing_planes_are_refused(wrong):
    """Fails where a plane without light is divided by its mean, or a NaN spreads into the phase."""
    images = np.ones((32, 32, 2))
    images[..., 1] = wrong
    for method in (iterative_phase, variational_phase):
        with pytest.raises(InputError, match="image 2 of the series has a mean"):
            method(images, [-1, 1], OPTICS)


def test_iterations_must_be_positive():
    """Fails where no iterations give an answer."""
    with pytest.raises(InputError, match="at least 1"):
        iterative_phase(np.ones((8, 8, 2)), [-1, 1], OPTICS, iterations=0)
