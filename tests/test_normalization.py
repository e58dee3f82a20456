"""One object scales measurements, in training and in prediction, and results back."""

import numpy as np
import pytest
import tensorflow as tf
from reference import frame_scale

from mcnn_keras import InputError, Problem, load, predict, save, train
from mcnn_keras.models import (
    Contrast,
    Fixed,
    FrameScale,
    Normalization,
    ScaledContrast,
    normalization,
)
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


def outlying(rng, away, size=64):
    """Counts with bright pixels so far out, fewer dark ones farther out, and missing ones."""
    frame = rng.normal(20, 2, (size, size))
    places = rng.permutation(size**2)
    frame.flat[places[:6]] += away
    frame.flat[places[6:11]] -= away / 4
    frame.flat[places[11:14]] -= 2 * away
    frame.flat[places[14:700]] = np.nan
    return frame.astype(np.float32)


@pytest.mark.parametrize("outliers", [0.0, 1e-3, 0.05])
@pytest.mark.parametrize("away", [0.0, 9.0, 80.0])
@pytest.mark.parametrize("make", [np.asarray, tf.constant], ids=["numbers", "tensors"])
def test_a_frame_is_scaled_by_its_words(outliers, away, make, rng):
    """Against the description, pixel by pixel, in float64.

    Fails where a quantile, a limit or the weight of missing pixels is another one.
    """
    frame = outlying(rng, away)
    wanted, mean, deviation, _ = frame_scale(frame, outliers)
    found, scale = FrameScale(outliers).apply(make(frame[..., None]))
    np.testing.assert_allclose(found[..., 0], wanted, atol=2e-3)
    assert float(scale["mean"]) == pytest.approx(mean, rel=1e-5)
    assert float(scale["deviation"]) == pytest.approx(deviation, rel=1e-4)
    assert float(scale["factor"]) == pytest.approx(1 / deviation, rel=1e-4)


@pytest.mark.parametrize("make", [np.asarray, tf.constant], ids=["numbers", "tensors"])
def test_neighbours_are_drawn_in_as_the_middle_frame(make, rng):
    """Fails where a neighbour's place, mean, limits or missing pixels are another frame's."""
    frames = np.stack([outlying(rng, away) + 7 * i for i, away in enumerate((80, 9, 9, 0, 80))], -1)
    frames[..., 1] = np.nan  # before the others, and missing as a whole
    scaled, mean, deviation, limits = frame_scale(frames[..., 2], 1e-3)
    wanted = [scaled]
    for k in (0, 1, 3, 4):
        neighbour = frames[..., k].astype(float)
        if k == 1:
            wanted.append(np.zeros((64, 64)))
            continue
        drawn = np.clip(neighbour - np.nanmean(neighbour), *(np.array(limits) - mean))
        wanted.append(np.nan_to_num(drawn / deviation))
    wanted.append(np.isnan(frames[..., 2]))
    found, _ = FrameScale(missing=True).apply(make(frames))
    np.testing.assert_allclose(found, np.stack(wanted, -1), atol=3e-3)
    assert np.asarray(found).dtype == np.float32


@pytest.mark.parametrize("make", [np.asarray, tf.constant], ids=["numbers", "tensors"])
def test_few_counts_in_an_empty_frame_are_no_outliers(make):
    """Fails where lone counts are drawn in to nothing, in the frame or in its neighbour."""
    frames = np.zeros((64, 64, 3), np.float32)
    frames[5, 9, 1] = frames[40, 11, 1] = 1
    frames[30, 8, 0] = 1
    found, scale = FrameScale().apply(make(frames))
    alone = frames[..., 1].astype(float)
    np.testing.assert_allclose(found[..., 0], (alone - alone.mean()) / alone.std(), rtol=1e-3)
    neighbour = frames[..., 0] - frames[..., 0].mean()
    np.testing.assert_allclose(found[..., 1], neighbour / alone.std(), atol=1e-3)
    assert float(scale["deviation"]) == pytest.approx(alone.std(), rel=1e-4)


@pytest.mark.parametrize("make", [np.asarray, tf.constant], ids=["numbers", "tensors"])
def test_a_frame_of_one_value_is_empty(make):
    """Fails where rounding is taken for a picture, or an answer is not that value."""
    for value in (0.0, 7.5, -3e5):
        found, scale = FrameScale().apply(make(np.full((32, 32, 1), value, np.float32)))
        np.testing.assert_array_equal(found, 0)
        assert float(scale["deviation"]) == float(scale["factor"]) == 0
        scale = {name: np.asarray(part) for name, part in scale.items()}
        answer = FrameScale().restore(np.ones((32, 32, 1), np.float32), scale)
        np.testing.assert_allclose(answer, value, rtol=1e-6)


def test_a_frame_is_learned_and_restored_in_its_scale(rng):
    """Fails where the mean over missing pixels counts, or a target is not drawn in."""
    frame, truth = outlying(rng, 80)[..., None], rng.normal(20, 2, (64, 64, 1))
    truth[3, 3] = 900
    scaled, scale = FrameScale().apply(frame)
    _, mean, deviation, _ = frame_scale(frame[..., 0], 1e-3)
    seen = np.isfinite(frame)
    wanted = ((truth - truth[seen].mean()) / deviation).clip(scaled.min(), scaled.max())
    np.testing.assert_allclose(FrameScale().target(truth, scale), wanted, atol=2e-3)
    answer = rng.normal(1, 2, (64, 64, 1)).astype(np.float32)
    wanted = (answer - answer[seen].mean()) * deviation + mean
    np.testing.assert_allclose(FrameScale().restore(answer, scale), wanted, rtol=1e-4)


def test_contrasts_are_scaled_by_their_strength_over_all_planes(rng):
    """Fails where planes have scales of their own, or the scale does not come back."""
    image = (rng.random((24, 20, 3)) * [1, 2, 3] + 1).astype(np.float32)
    scaling = ScaledContrast(["phase", "amplitude"])
    contrast = image / image.mean((0, 1), dtype=float) - 1
    strength = np.sqrt(np.mean(contrast**2))
    found, scale = scaling.apply(image)
    np.testing.assert_allclose(found, contrast, atol=1e-5)
    assert np.squeeze(scale) == pytest.approx(strength, rel=1e-4)
    phase, amplitude = rng.random((2, 24, 20, 1))
    amplitude /= np.sqrt(np.mean(amplitude**2))
    answer = scaling.target(np.concatenate([phase, amplitude], -1), scale)
    wanted = [(phase - phase.mean()) / strength, (amplitude - 1) / strength]
    np.testing.assert_allclose(answer, np.concatenate(wanted, -1), rtol=1e-4, atol=1e-5)
    back = scaling.restore(answer + np.float32([5, 0]), scale)
    np.testing.assert_allclose(back[..., :1], phase - phase.mean(), atol=1e-4)
    np.testing.assert_allclose(back[..., 1:], amplitude, atol=1e-4)
    assert scaling.error_unit == "of the contrast"


def test_images_without_light_are_told_by_their_number(rng):
    """Fails where the wrong image is named, or one without contrast is divided by nothing."""
    bright = rng.random((8, 9)).astype(np.float32)
    for other, told in ((-bright, "has a mean of -0"), (bright * 0 + 3, "is constant [(]3[)]"),
                        (bright * np.nan, "has a mean of nan")):  # fmt: skip
        for images, number in (([other, bright], 1), ([bright, other], 2)):
            with pytest.raises(InputError, match=f"^image {number} {told}"):
                Contrast().apply(np.stack(images, -1))


def test_errors_are_told_in_the_results_unit():
    """Fails where an error of scaled outputs is printed as one of the results, or lacks a scale."""
    np.testing.assert_array_equal(Normalization().error_scale(3), [1, 1, 1])
    assert Normalization().error_unit is None
    assert Fixed().error_unit is None
    scaling = Fixed(output_deviation=[2.0, 3.0])
    assert scaling.error_unit == "of the targets' deviation"
    np.testing.assert_array_equal(scaling.error_scale(2), [2, 3])
    np.testing.assert_array_equal(Fixed(output_deviation=2.0).error_scale(2), [2, 2])


def test_results_stay_within_their_limits():
    """Fails where a limit is passed over, changed, or lost in a card."""
    answer = np.float32([[[-5.0], [0.5], [5.0]]])
    for scaling in (Normalization(limits=(-1, 2)), Fixed(limits=(-1, 2))):
        np.testing.assert_array_equal(scaling.restore(answer, None)[0, :, 0], [-1, 0.5, 2])
        assert scaling.config()["limits"] == [-1, 2]
    np.testing.assert_array_equal(Normalization().restore(answer, None), answer)
    assert "limits" not in Normalization().config()
    fixed = Fixed(output_mean=1.0, output_deviation=2.0, limits=(-1, 2))
    np.testing.assert_array_equal(fixed.restore(answer, None)[0, :, 0], [-1, 2, 2])


def test_kinds_tell_of_themselves():
    """Fails where training or tiles treat a kind as another."""
    told = {kind.kind: (kind.mean_free, kind.per_frame) for kind in normalization.KINDS.values()}
    assert told == {
        "none": (False, False), "contrast": (True, False), "scaled_contrast": (True, False),
        "frame": (True, True), "fixed": (False, False),
    }  # fmt: skip
    assert Fixed(1.0, 2.0).config() == {
        "kind": "fixed", "input_mean": [1.0], "input_deviation": [2.0], "output_mean": [0.0],
        "output_deviation": [1.0],
    }  # fmt: skip
    assert Fixed() == Fixed(0.0, 1.0, 0.0, 1.0)
    for value in (0.0, -1.0, np.inf, np.nan):
        for name in ("input_deviation", "output_deviation"):
            with pytest.raises(InputError, match="positive and finite"):
                Fixed(**{name: [1.0, value]})
    with pytest.raises(KeyError):
        normalization.from_config({"kind": "odd"})
    with pytest.raises(TypeError):
        normalization.from_config({"kind": "none", "odd": 1})


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38])
def test_a_result_that_is_no_number_is_refused(value):
    """Fails where an answer that is too large becomes NaN without a word."""
    answer = np.ones((8, 8, 1), np.float32)
    answer[3, 4] = value
    for scaling in (Fixed(output_deviation=1e4), FrameScale()):
        _, scale = scaling.apply(np.random.default_rng(0).random((8, 8, 1)) * 1e4)
        with pytest.raises(InputError, match="NaN or infinity"):
            scaling.result(answer, scale)
