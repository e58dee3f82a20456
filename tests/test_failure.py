"""Fail where a wrong answer that no single number tells of passes without a word."""

import dataclasses

import numpy as np
import pytest

from mcnn_keras.calibration.failure import DOUBTED, LEAST, fitted
from mcnn_keras.inference.range_check import WARNING, RangeCheck
from mcnn_keras.inference.statistics import statistics
from mcnn_keras.models.card import card_from
from mcnn_keras.models.failure import Failure
from mcnn_keras.models.reference import Reference
from mcnn_keras.models.saving import read_card

SIZE = 64


def drawn(rng, count, wrong):
    """Two numbers, each as usual; where their signs differ, the answer is wrong."""
    a, b = np.abs(rng.normal(size=(2, count)))
    sign = rng.choice([-1, 1], count)
    found = [
        {"a": x, "b": y} for x, y in zip(sign * a, sign * b * (-1 if wrong else 1), strict=True)
    ]
    size = np.minimum(a, b) if wrong else 0.0
    return found, 0.05 * np.exp(0.3 * rng.normal(size=count)) + 0.5 * size


@pytest.fixture(scope="module")
def failure():
    rng = np.random.default_rng(0)
    return fitted(*drawn(rng, 600, False), *drawn(rng, 600, True))


class TestFailure:
    def test_numbers_that_are_usual_by_themselves_tell_together(self, failure):
        rng = np.random.default_rng(1)
        usual, (wrong, errors) = drawn(rng, 500, False)[0], drawn(rng, 500, True)
        reference = Reference.fitted(drawn(rng, 500, False)[0])
        great = [one for one, error in zip(wrong, errors, strict=True) if error > 0.3]
        assert len(great) > 100
        told = {
            name: np.mean([check.distance(one) > 1 for one in great])
            for name, check in (("failure", failure), ("reference", reference))
        }
        assert told["failure"] > 0.9
        assert told["reference"] < 0.2
        assert np.mean([failure.distance(one) > 1 for one in usual]) < 0.05 + DOUBTED

    def test_the_reasons_are_what_matters(self, failure):
        more = dataclasses.replace(
            failure, names=(*failure.names, "c"), middle=(*failure.middle, 0.0),
            deviation=(*failure.deviation, 1.0), usual=(*failure.usual, 0.0),
            members=tuple(
                (((*first[0], tuple(0.0 for _ in first[1])), first[1]), last)
                for first, last in failure.members
            ),
        )  # fmt: skip
        told = {"a": 1.5, "b": -1.5, "c": 9.0}
        assert more.distance(told) > 1
        assert more.distance(told) == pytest.approx(failure.distance(told))
        assert set(more.reasons(told)) == {"a", "b"}

    def test_it_survives_the_card(self, failure):
        assert Failure.of(failure.asdict()) == failure

    def test_few_samples_give_none(self):
        rng = np.random.default_rng(2)
        assert fitted(*drawn(rng, LEAST - 1, False), *drawn(rng, LEAST, True)) is None


class Card:
    """What the check takes of a model's card."""

    problem = "denoise"

    def __init__(self, usual, failure):
        reference = Reference.fitted(usual)
        self.calibration = {"reference": reference.asdict(), "failure": failure.asdict()}
        self.training = {"image_size": SIZE}
        self.outputs = (type("Output", (), {"role": "image"}),)


def waves(rng, mixed):
    """An image of fine or of coarse waves, or of both; the answer has coarse waves alone."""
    y = np.arange(SIZE)[:, None] * np.ones(SIZE)
    coarse, fine = (
        np.sin(2 * np.pi * (f * y + rng.uniform())) for f in (rng.uniform(0.06, 0.1), 0.27)
    )
    share = rng.uniform(0.7, 1) if mixed else 0.0
    noise = 0.2 * rng.normal(size=y.shape)
    clean = coarse if mixed or rng.uniform() < 0.5 else fine
    image = clean + share * fine + noise
    answer = image - noise * 0.9
    return image, answer, np.abs(answer - clean).mean() / image.std()


class TestWarning:
    def test_the_size_of_the_error_and_the_reasons_are_told(self):
        rng = np.random.default_rng(3)
        groups = []
        for mixed in (False, True):
            images = [waves(rng, mixed) for _ in range(300)]
            looks = [statistics(image, answer, residual=True) for image, answer, _ in images]
            groups += [looks, np.array([error for *_, error in images])]
        card = Card(groups[0], fitted(*groups))
        check = RangeCheck(card, 1, "a.tif")
        check.see(0, *waves(rng, True)[:2])
        (line,) = check.lines()
        assert line.startswith(WARNING + "a.tif is unlike the images of the training")
        assert "tell of a mean error above" in line
        assert line.count("(training: ") >= 1


@pytest.mark.parametrize("change", [
    {"limit": "high"}, {"usual": [0.0]}, {"names": ["a", "other"]}, {"members": []},
    {"members": [[[[[1.0]], [0.0]], [[[1.0]], [0.0]]]]},
    {"members": [[[[[1.0], [1.0]], [0.0]], [[[1.0, 2.0]], [0.0, 1.0]]]]},
])  # fmt: skip
def test_a_damaged_one_is_refused(failure, change):
    """Fails where a damaged predictor is found only when it is used."""
    rng = np.random.default_rng(4)
    reference = Reference.fitted(drawn(rng, 200, False)[0]).asdict()
    told = {
        **read_card("denoise-fast").asdict(),
        "calibration": {"reference": reference, "failure": failure.asdict()},
    }
    card_from(told)
    told["calibration"]["failure"] = {**failure.asdict(), **change}
    with pytest.raises(ValueError, match="calibration"):
        card_from(told)
