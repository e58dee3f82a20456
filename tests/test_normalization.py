"""One object scales measurements, in training and in prediction, and results back."""

import numpy as np
import pytest
import tensorflow as tf

from mcnn_keras import InputError, Problem, load, predict, save, train
from mcnn_keras.models import Contrast, Fixed, FrameScale, Normalization, normalization
from mcnn_keras.problems import Phase
from mcnn_keras.training.pipeline import fixed_set, measurements

KINDS = [
    Normalization(limits=(0, 1)),
    Contrast(["phase", "amplitude"]),
    FrameScale(),
    FrameScale(missing=True),
    Fixed([5.0], [2.0], [1.0, 3.0], [4.0, 0.5], (-9, 9)),
]


@pytest.mark.parametrize("scaling", KINDS, ids=lambda k: k.kind)
def test_tensors_and_arrays_are_scaled_alike(scaling, rng):
    """Fails where training sees other numbers than prediction."""
    image = (rng.random((24, 20, 1)) + 0.5).astype(np.float32)
    target = (rng.random((24, 20, 2)) + 0.5).astype(np.float32)
    ours, scale = scaling.apply(image)
    theirs, tensor_scale = scaling.apply(tf.constant(image))
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    wanted = scaling.target(target, scale)
    np.testing.assert_allclose(wanted, scaling.target(tf.constant(target), tensor_scale), atol=1e-5)


@pytest.mark.parametrize("scaling", KINDS, ids=lambda k: k.kind)
def test_a_card_brings_it_back(scaling):
    """Fails where a value is lost on the way through a file."""
    assert normalization.from_config(scaling.config()) == scaling
    assert scaling != Normalization()


def test_missing_pixels_count_for_nothing(rng):
    """Fails where a saturated line, marked as missing, changes the scale of the others."""
    frame = rng.poisson(5.0, (40, 40, 1)).astype(np.float32)
    faulty = frame.copy()
    faulty[:, :4] = np.nan
    scaled, scale = FrameScale(missing=True).apply(faulty)
    alone, alone_scale = FrameScale().apply(frame[:, 4:])
    np.testing.assert_allclose(scaled[:, 4:, 0], alone[..., 0], atol=0.02)
    assert scale["deviation"] == pytest.approx(alone_scale["deviation"], rel=0.02)
    np.testing.assert_array_equal(scaled[..., 1], np.isnan(faulty[..., 0]))
    assert np.abs(scaled[:, :4, 0]).max() < 1e-5
    tensors, _ = FrameScale(missing=True).apply(tf.constant(faulty))
    np.testing.assert_allclose(scaled, tensors, atol=1e-4)
    # The truth in this scale, and back: its mean is that over the pixels that are seen.
    truth = rng.random((40, 40, 1)).astype(np.float32)
    wanted = FrameScale().target(truth, scale)
    assert np.mean(wanted[:, 4:]) == pytest.approx(0, abs=1e-3)


def test_the_middle_frame_gives_the_scale(rng):
    """Fails where a brighter neighbour sets the scale, or its brightness stays."""
    frames = rng.poisson(5.0, (32, 32, 3)).astype(np.float32)
    frames[..., 0] += 100
    frames[..., 2] = np.nan
    scaled, _ = FrameScale().apply(frames)
    alone, _ = FrameScale().apply(frames[..., 1:2])
    np.testing.assert_allclose(scaled[..., 0], alone[..., 0], atol=1e-5)
    assert abs(scaled[..., 1].mean()) < 1e-3
    assert scaled[..., 1].std() == pytest.approx(1, rel=0.1)
    np.testing.assert_array_equal(scaled[..., 2], 0)
    tensors, _ = FrameScale().apply(tf.constant(frames))
    np.testing.assert_allclose(scaled, tensors, atol=1e-4)


def test_a_frame_without_pixels_is_empty():
    """Fails where nothing becomes NaN."""
    scaled, _ = FrameScale(missing=True).apply(np.full((32, 32, 1), np.nan, np.float32))
    np.testing.assert_array_equal(scaled[..., 0], 0)


def test_fixed_scales_go_there_and_back(rng):
    """Fails where the mean or the deviation is forgotten on one of the ways."""
    scaling, image = Fixed(5.0, 2.0, 5.0, 2.0), rng.random((8, 8, 1)).astype(np.float32)
    scaled, _ = scaling.apply(image)
    np.testing.assert_allclose(scaled, (image - 5) / 2, rtol=1e-6)
    np.testing.assert_allclose(scaling.restore(scaling.target(image, None), None), image, atol=1e-6)
    with pytest.raises(InputError, match="positive"):
        Fixed(0.0, 0.0)


class Percent(Problem):
    """A problem of measurements in percent, whose network sees 0..1."""

    name = "percent"
    normalization = Fixed(input_deviation=100.0)

    def targets(self, seed, size, split):
        return tf.random.stateless_uniform((size, size, 1), seed)

    def observe(self, target, seed):
        return 100.0 * target


def test_a_users_scale_is_known_in_prediction(tmp_path):
    """Fails where a problem trains on 0.5 and predicts on 50."""
    settings = {"image_size": 32, "samples": 8, "epochs": 1, "filters": (8,), "branches": 0}
    run = train(Percent(), precision="float32", **settings)
    save(run.model, tmp_path / "m.h5")
    assert load(tmp_path / "m.h5").card.normalization == Percent.normalization
    inputs, _ = fixed_set(Percent(), "train", 1, 32, 0)
    assert 0.9 < inputs.max() < 1
    measured = next(iter(measurements(Percent(), "train", 32, 0)))["image"].numpy()
    assert measured.max() > 90
    seen = run.model(inputs)
    np.testing.assert_allclose(predict(tmp_path / "m.h5", measured), seen[0, ..., 0], atol=1e-5)


def test_a_scale_that_no_card_can_hold_is_refused():
    """Fails where training would use what prediction cannot know."""

    class Own(Percent):
        def normalize(self, image, target):
            return image / 100, target

    with pytest.raises(InputError, match=r"method normalize, .* Fixed\(input_deviation=100\)"):
        train(Own())

    class Odd(Normalization):
        kind = "odd"

    class Other(Percent):
        normalization = Odd()

    with pytest.raises(InputError, match="a Odd, which a card cannot store"):
        train(Other())


def test_phases_are_mean_free_and_amplitudes_of_unit_power(rng):
    """Fails where the mean of an amplitude, which is known, is taken out, or a phase's kept."""
    scaling = Phase(-5.0, amplitude=True, input="physical").normalization
    target = rng.random((16, 16, 2)) + 1
    phase, amplitude = np.moveaxis(scaling.target(target, None), -1, 0)
    assert abs(phase.mean()) < 1e-12
    assert np.mean(amplitude**2) == pytest.approx(1)
    back = scaling.restore(np.float32(target), None)
    assert abs(back[..., 0].mean()) < 1e-5
    np.testing.assert_allclose(back[..., 1], target[..., 1], rtol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38])
def test_a_result_that_is_no_number_is_refused(value):
    """Fails where an answer that is too large becomes NaN without a word."""
    answer = np.ones((8, 8, 1), np.float32)
    answer[3, 4] = value
    for scaling in (Fixed(output_deviation=1e4), FrameScale()):
        _, scale = scaling.apply(np.random.default_rng(0).random((8, 8, 1)) * 1e4)
        with pytest.raises(InputError, match="NaN or infinity"):
            scaling.result(answer, scale)
