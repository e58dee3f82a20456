"""Fail where an image unlike the training's passes without a word, or a usual one does not."""

import numpy as np
import pytest
import tensorflow as tf

from mcnn_keras.inference.range_check import WARNING, RangeCheck
from mcnn_keras.inference.statistics import image_statistics, statistics, windows
from mcnn_keras.models import schema
from mcnn_keras.models.reference import LEVELS, UNUSUAL, Reference
from mcnn_keras.physics.disturbances import disturbed

SIZE = 64


def lattice(rng, pitch=9.0):
    y, x = np.mgrid[:SIZE, :SIZE] + rng.uniform(0, pitch, (2, 1, 1))
    return 2 + np.cos(2 * np.pi * y / pitch) * np.cos(2 * np.pi * x / pitch)


def measured(rng, noise=0.5):
    """An image and its answer: a lattice, and what a filter that keeps nine tenths of it gives."""
    clean = lattice(rng, rng.uniform(8, 11))
    image = clean + noise * rng.normal(size=clean.shape)
    return image, clean.mean() + 0.9 * (clean - clean.mean()) + 0.05 * rng.normal(size=clean.shape)


class Card:
    """What the check takes of a model's card."""

    problem = "denoise"

    def __init__(self, reference, limit=None):
        self.calibration = {"reference": reference.asdict(), "greatest mean uncertainty": limit}
        self.training = {"image_size": SIZE}
        self.outputs = (type("Output", (), {"role": "image"}),)


@pytest.fixture(scope="module")
def reference():
    rng = np.random.default_rng(0)
    return Reference.fitted([statistics(*measured(rng), residual=True) for _ in range(400)])


class TestStatistics:
    def test_white_noise_has_the_same_power_in_all_bands(self):
        told = image_statistics(np.random.default_rng(1).normal(size=(256, 256)))
        bands = [value for name, value in told.items() if name.startswith("power")]
        assert len(bands) == 7
        # Logarithms of means over at least a hundred waves.
        assert np.abs(bands).max() < 0.15
        assert abs(told["skewness"]) < 0.05
        assert abs(told["kurtosis"]) < 0.05

    @pytest.mark.parametrize(("scale", "offset"), [(1000.0, 0.0), (1e-3, 7.0), (3.0, -50.0)])
    def test_scale_and_offset_do_not_matter(self, scale, offset):
        rng = np.random.default_rng(2)
        image, answer = measured(rng)
        own = statistics(image, answer, 0.1 * np.ones_like(image), residual=True)
        other = statistics(
            scale * image + offset, scale * answer + offset, 0.1 * scale * np.ones_like(image),
            residual=True,
        )  # fmt: skip
        assert own.keys() == other.keys()
        np.testing.assert_allclose(list(own.values()), list(other.values()), atol=1e-6)

    def test_missing_pixels_change_little(self):
        rng = np.random.default_rng(3)
        image, answer = measured(rng)
        spoilt = image.copy()
        spoilt[10, 5:40] = np.nan
        own, other = (statistics(i, answer, residual=True) for i in (image, spoilt))
        away = [abs(own[name] - other[name]) for name in own if "end" not in name]
        assert max(away) < 0.3

    def test_a_lattice_that_is_left_in_the_residual_is_seen(self):
        rng = np.random.default_rng(4)
        clean = lattice(rng)
        image = clean + 0.5 * rng.normal(size=clean.shape)
        good = statistics(image, clean, residual=True)
        poor = statistics(image, clean.mean() + 0.5 * (clean - clean.mean()), residual=True)
        assert poor["lattice in the residual"] > good["lattice in the residual"] + 0.5

    def test_an_invented_lattice_has_no_support(self):
        rng = np.random.default_rng(5)
        image = rng.normal(size=(SIZE, SIZE))
        told = statistics(image, 2 + 0.5 * lattice(rng), residual=True)
        assert abs(told["support"]) < 0.3
        image, answer = measured(rng)
        assert abs(statistics(image, answer, residual=True)["support"] - 1 / 0.9) < 0.1

    def test_windows_lie_within_the_image(self):
        for shape in ((64, 64), (300, 70), (1000, 1000), (40, 500)):
            found = windows(shape, 128)
            for window in found:
                assert all(0 <= w.start < w.stop <= n for w, n in zip(window, shape, strict=True))
                assert all(
                    w.stop - w.start == min(128, n) for w, n in zip(window, shape, strict=True)
                )
        assert len(windows((1000, 1000), 128)) == 5
        assert len(windows((128, 128), 128)) == 1


class TestReference:
    def test_few_usual_images_are_called_unusual(self, reference):
        rng = np.random.default_rng(6)
        away = [reference.distance(statistics(*measured(rng), residual=True)) for _ in range(300)]
        assert np.mean(np.array(away) > 1) < 3 * UNUSUAL

    @pytest.mark.parametrize("change", [
        lambda image, rng: image + 0.7 * np.sin(np.arange(SIZE) * 2.1)[:, None],
        lambda image, rng: np.minimum(image, np.quantile(image, 0.5)),
        lambda image, rng: image * np.exp(rng.normal(0, 0.8, image.shape)),
        lambda image, rng: image[::-1].repeat(2, 0).repeat(2, 1)[:SIZE, :SIZE],
    ])  # fmt: skip
    def test_other_images_are(self, reference, change):
        rng = np.random.default_rng(7)
        image, answer = measured(rng)
        assert reference.distance(statistics(change(image, rng), answer, residual=True)) > 1.5

    def test_a_value_that_most_samples_share_is_usual(self):
        rng = np.random.default_rng(14)
        found = [{"a": rng.normal(), "b": -4.0 + (rng.uniform() < 0.05)} for _ in range(400)]
        reference = Reference.fitted(found)
        assert reference.distance({"a": 0.0, "b": -4.0}) < 0.4
        assert reference.distance({"a": 0.0, "b": -2.0}) > 1

    def test_the_card_expects_as_many_levels(self):
        assert len(LEVELS) == schema.LEVELS

    def test_it_survives_the_card(self, reference):
        assert Reference.of(reference.asdict()) == reference


class TestLines:
    def test_a_usual_image_is_called_usual(self, reference):
        check = RangeCheck(Card(reference), 1, "a.tif")
        check.see(0, *measured(np.random.default_rng(8)))
        (line,) = check.lines()
        assert line.startswith("a.tif: input, result and difference are like those of the training")

    def test_the_frame_and_the_reason_are_named(self, reference):
        rng, check = np.random.default_rng(9), RangeCheck(Card(reference), 5, "a.tif")
        for number in range(5):
            image, answer = measured(rng)
            if number == 3:
                image = image + 2 * np.sin(np.arange(SIZE) * 2.1)[:, None]
            check.see(number, image, answer)
        (line,) = check.lines()
        assert line.startswith(WARNING + "1 of 5 frames in a.tif (3) are unlike")
        assert "cycles per pixel" in line or "columns" in line

    def test_a_saturated_image_is_named(self, reference):
        check = RangeCheck(Card(reference), 1, "a.tif")
        image, answer = measured(np.random.default_rng(13))
        check.see(0, np.minimum(image, np.quantile(image, 0.8)), answer)
        assert "20% of the pixels are cut off at the greatest value" in check.lines()[0]

    def test_a_few_of_many_are_as_expected(self, reference):
        rng, check = np.random.default_rng(9), RangeCheck(Card(reference), 200, "a.tif")
        for number in range(200):
            check.see(number, *measured(rng))
        assert not check.lines()[0].startswith(WARNING)

    def test_a_great_uncertainty_is_named(self, reference):
        check = RangeCheck(Card(reference, limit=-1.0), 1, "a.tif")
        image, answer = measured(np.random.default_rng(10))
        check.see(0, image, answer, 0.5 * np.ones_like(image) * image.std())
        assert (
            "mean uncertainty relative to the image's deviation 0.5 (training: up to 0.1)"
            in (check.lines()[0])
        )

    def test_without_a_reference_nothing_is_said(self):
        card = Card.__new__(Card)
        card.calibration, card.training = {}, {"image_size": SIZE}
        card.outputs = (type("Output", (), {"role": "image"}),)
        check = RangeCheck(card, 1)
        check.see(0, *measured(np.random.default_rng(11)))
        assert check.lines() == []


class TestDisturbances:
    def test_they_are_a_function_of_the_seed(self):
        image = np.random.default_rng(12).normal(5, 1, (32, 48, 2)).astype(np.float32)
        image[3:5, 7] = np.nan
        unknown = tf.function(disturbed, input_signature=[
            tf.TensorSpec((32, 48, None)), tf.TensorSpec((2,), tf.int64)
        ])  # fmt: skip
        drawn = [unknown(image, tf.constant([1, n], tf.int64)).numpy() for n in range(40)]
        again = disturbed(tf.constant(image), tf.constant([1, 0], tf.int64)).numpy()
        np.testing.assert_allclose(drawn[0], again, rtol=1e-5, atol=1e-5)
        for one in drawn:
            np.testing.assert_array_equal(np.isnan(one), np.isnan(image))
        changes = [np.nanstd(one - image) / np.nanstd(image) for one in drawn]
        assert min(changes) > 0.005
        assert max(changes) > 1


class TestNothingToCompare:
    @pytest.mark.parametrize(("change", "why"), [
        (lambda image, answer: (0 * image + 3, answer), "it is constant"),
        (lambda image, answer: (np.nan * image, answer), "it has no pixel that can be read"),
        (lambda image, answer: (image, 0 * answer), "its result is constant"),
        (lambda image, answer: (image[:20, :30], answer[:20, :30]), "20x30 pixels are too few"),
        (lambda image, answer: (image, image), "or its result is the image itself"),
    ])  # fmt: skip
    def test_it_is_not_called_usual(self, reference, change, why):
        image, answer = change(*measured(np.random.default_rng(8)))
        check = RangeCheck(Card(reference), 1, "a.tif")
        check.see(0, image, answer)
        (line,) = check.lines()
        assert line.startswith("a.tif cannot be compared with the images of the training: ")
        assert line.endswith(why)
        assert check.warnings() == []
        # Among others, it is named, and does not count.
        rng, check = np.random.default_rng(9), RangeCheck(Card(reference), 4, "a.tif")
        for number in range(4):
            check.see(number, *(measured(rng) if number % 2 else (image, answer)))
        usual, line = check.lines()
        assert "are like those of the training (distance 0." in usual
        assert line.startswith("2 of 4 frames in a.tif (0, 2) cannot be compared with the images")
        assert line.endswith(why)

    def test_an_uncertainty_without_numbers_is_no_number(self, reference):
        image, answer = measured(np.random.default_rng(8))
        check = RangeCheck(Card(reference), 1, "a.tif")
        with np.errstate(all="ignore"):
            check.see(0, image * np.nan, answer, np.full_like(image, np.nan))
        assert "nan" not in check.lines()[0]
