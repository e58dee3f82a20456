"""Fail where a sample does not follow its seed, its ranges or its own forward model."""

import numpy as np
import pytest
import tensorflow as tf

from mcnn_keras import InputError, Optics, Problem, predict, train
from mcnn_keras.problems import Phase, from_card, from_config
from mcnn_keras.problems.phase import RANGES

SEED = tf.constant([0, 7], tf.int64)


def test_a_sample_is_a_function_of_its_seed(phase_problem):
    """Fails where a sample changes from call to call, or not with its seed and split."""
    image, _, target = phase_problem.sample(SEED, 32)
    again = phase_problem.sample(SEED, 32)
    np.testing.assert_array_equal(image, again[0])
    np.testing.assert_array_equal(target, again.target)
    assert np.any(image != phase_problem.sample(SEED + 1, 32)[0])
    assert np.any(image != phase_problem.sample(SEED, 32, "test")[0])


@pytest.mark.parametrize("amplitude", [False, True])
def test_shapes_and_conventions(optics, amplitude):
    """Fails where a channel is missing, a mean is kept, or an amplitude is not of unit power."""
    problem = Phase([-20.0, 5.0, 30.0], optics, amplitude=amplitude, input="physical")
    image, target = problem.network_pair(problem.sample(SEED, 48))
    image = image[..., :3]
    assert image.shape == (48, 48, 3)
    assert target.shape == (48, 48, 1 + amplitude)
    np.testing.assert_allclose(np.mean(image, (0, 1)), 0, atol=1e-5)
    np.testing.assert_allclose(np.mean(target[..., 0]), 0, atol=1e-5)
    if amplitude:
        np.testing.assert_allclose(np.mean(target[..., 1] ** 2), 1, rtol=1e-5)


def test_the_image_is_what_the_target_makes(optics):
    """Fails where, without noise, an image is not the defocused intensity of the target's wave."""
    quiet = {key: (1.0, 1.0) if key == "aperture" else (0.0, 0.0) for key in RANGES}
    quiet |= {"dose": (1e12, 1e12 + 1)}
    problem = Phase([-20.0], optics, phase_span=(1.0, 1.0 + 1e-6), ranges=quiet)
    seeds = tf.unstack(tf.random.split(SEED, 2))
    target = problem.targets(seeds[0], 64, "train").numpy()
    np.testing.assert_allclose(target[..., 1], 1)
    told = problem.conditions(SEED)
    image = problem.observe(tf.constant(target), seeds[1], **told).numpy()[..., 0]
    n, spectrum = 64, np.fft.fft2(np.exp(1j * target[..., 0].astype(float)))
    f = np.sqrt(np.add.outer(np.fft.fftfreq(n, 0.31) ** 2, np.fft.fftfreq(n, 0.31) ** 2))
    aperture = 0.5 + 0.5 * np.cos(np.pi * np.clip((f * 0.65 / 0.45 - 0.95) / 0.1, 0, 1))
    root = np.sqrt(np.clip(1 / 0.65**2 - f**2, 0, None))
    kernel = aperture * np.exp(-2j * np.pi * 20 * (root - 1 / 0.65))
    np.testing.assert_allclose(image, np.abs(np.fft.ifft2(spectrum * kernel)) ** 2, atol=1e-4)


def test_stated_ranges_hold(phase_problem):
    """Fails where a phase spans more than is stated, or all spans are alike."""
    spans = []
    for i in range(40):
        target = phase_problem.sample(tf.constant([1, i], tf.int64), 32).target
        spans.append(np.ptp(target))
    assert max(spans) <= 3.0 + 1e-3
    assert max(spans) > 1.0
    assert min(spans) < 0.5


@pytest.mark.parametrize(
    ("defocus", "message"),
    [([], "no defocus"), ([0.0], "out of focus"), ([5, 5], "twice"), ([float("nan")], "nan")],
)
def test_impossible_planes_are_refused(defocus, message):
    """Fails where no plane, one in focus, twice the same or one that is no number is accepted."""
    with pytest.raises(InputError, match=message):
        Phase(defocus)


@pytest.mark.parametrize("span", [(0, 1), (3, 1), (1, float("inf"))])
def test_impossible_spans_are_refused(span):
    """Fails where a span that begins at zero, goes downwards or never ends is accepted."""
    with pytest.raises(InputError, match="phase_span"):
        Phase(-5, phase_span=span)


def test_config_brings_the_problem_back():
    """Fails where `from_config` loses an argument, or accepts a name that no problem has."""
    problem = Phase(
        [-52, 52], Optics(0.5, 0.2), amplitude=True, input="intensity", phase_span=(1, 6)
    )
    again = from_config("phase", problem.config())
    assert again.config() == problem.config()
    assert again.optics == problem.optics
    with pytest.raises(InputError, match="'mine'"):
        from_config("mine", {})


class Enlarge(Problem):
    """Targets twice as large as the image, with a margin."""

    name = "enlarge"
    margin = 4

    def targets(self, seed, size, split):
        ramp = tf.range(2.0 * size) / 2
        return tf.tile(ramp[:, None, None], (1, 2 * size, 1))

    def observe(self, target, seed):
        return tf.nn.avg_pool2d(target[None], 2, 2, "VALID")[0]


def test_margins_are_cut_alike_from_images_and_larger_targets():
    """Fails where as many pixels are cut from a target twice as large as from its image."""
    image, _, target = Enlarge().sample(SEED, 8)
    assert image.shape == (8, 8, 1)
    assert target.shape == (16, 16, 1)
    np.testing.assert_allclose(tf.nn.avg_pool2d(target[None], 2, 2, "VALID")[0], image)


def test_a_model_that_enlarges_trains_and_predicts(tiny, rng):
    """Fails where a network that enlarges does not train, or answers in the image's size."""
    run = train(Enlarge(), **tiny)
    assert run.model.card.scale == 2
    assert predict(run.model, rng.random((40, 50))).shape == (80, 100)


def test_focus_errors_stay_on_their_side_of_focus(optics):
    """Fails where a drawn focus error takes a plane through focus, which turns its contrast."""
    # A plane a tenth of a um from focus: its phase contrast keeps its sign in every sample.
    problem = Phase([0.1], optics)
    told = problem.conditions(SEED)
    bump = tf.exp(-((tf.range(64.0) - 32) ** 2) / 8)
    target = tf.stack([bump[:, None] * bump[None], tf.ones((64, 64))], -1)
    middles = [
        problem.observe(target, tf.constant([0, i], tf.int64), **told).numpy()[32, 32, 0]
        for i in range(20)
    ]
    assert min(middles) > 1


def test_electrons_are_a_problem_too(tiny, tmp_path):
    """Fails where Angstrom are taken for um, or the card loses the optics of electrons."""
    # A thin specimen, underfocused, with spherical aberration; lengths are in Angstrom.
    optics = Optics.electron(300e3, 0.3, 1.2e7, aperture_angle=0.02)
    problem = Phase([-600.0, -2000.0], optics, phase_span=(0.05, 0.5), input="physical")
    image = problem.sample(tf.constant([1, 2], tf.int64), 32).image
    assert image.shape == (32, 32, 2)
    assert np.isfinite(image).all()
    assert 0.005 < np.std(image) < 1
    assert problem.pixel_size == pytest.approx(0.3e-4)
    run = train(problem, **tiny)
    assert from_card(run.model.card).optics == optics
    answer = predict(run.model, np.asarray(image, np.float32))
    assert np.isfinite(answer).all()
