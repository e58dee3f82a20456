"""The instrument as an input: conditions that differ from sample to sample."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from mcnn_keras import InputError, Optics, evaluate, load, predict, save, train
from mcnn_keras.inference.stack import predict_stack
from mcnn_keras.inference.tiles import choose_size
from mcnn_keras.models import Planes
from mcnn_keras.problems import Phase
from mcnn_keras.targets.draws import between
from mcnn_keras.training.pipeline import fixed_set, measurements


class AnyLight(Phase):
    """One plane at a defocus and a wavelength that differ between samples."""

    name = "any light"

    def __init__(self):
        super().__init__([-20.0], Optics(0.5, 0.31, 0.45), input="physical")

    def conditions(self, seed):
        u = tf.random.stateless_uniform((2,), seed)
        return {
            **super().conditions(seed),
            "wavelength": between(u[0], 0.4, 0.8),
            "defocus": between(u[1:], -40.0, -10.0),
        }

    def config(self):
        return {}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    from conftest import TINY

    path = tmp_path_factory.mktemp("models") / "any.h5"
    save(train(AnyLight(), **TINY).model, path)
    return path


def test_samples_tell_their_own_conditions():
    """Fails where the conditions of all samples are the same, or the image does not follow them."""
    samples = list(measurements(AnyLight(), "train", 32, 0).take(4).as_numpy_iterator())
    assert len({float(s["conditions"]["wavelength"]) for s in samples}) == 4
    assert all(s["conditions"]["pixel_size"] == np.float32(0.31) for s in samples)
    inputs, _ = fixed_set(AnyLight(), "train", 4, 32, 0)
    problem = AnyLight()
    for sample, found in zip(samples, inputs, strict=True):
        told = {n: v for n, v in sample["conditions"].items() if n != "defocus"}
        optics = dataclasses.replace(problem.optics, **{n: float(v) for n, v in told.items()})
        fixed = Phase(sample["conditions"]["defocus"].tolist(), optics, input="physical")
        raw = fixed.network_pair(
            type(problem.sample(tf.constant([0, 0], tf.int64), 32))(
                tf.constant(sample["image"]), fixed.conditions(None), tf.constant(sample["target"])
            )
        )[0]
        np.testing.assert_allclose(found, raw, atol=2e-3)


def test_prediction_must_be_told_them(model, rng):
    """Fails where what differed in training is guessed, or what was fixed can be changed."""
    image = rng.random((40, 40)) + 1
    card = load(model).card
    assert card.conditions["wavelength"] is None
    assert card.conditions["pixel_size"] == 0.31
    assert isinstance(card.inputs, Planes)
    with pytest.raises(InputError, match=r"needs the (defocus|wavelength)"):
        predict(model, image)
    with pytest.raises(InputError, match="takes no pixel_size at prediction; give"):
        predict(model, image, conditions={"pixel_size": 0.2})
    answers = [
        predict(model, image, conditions={"defocus": [-20.0], "wavelength": w}) for w in (0.5, 0.7)
    ]
    assert np.abs(answers[0] - answers[1]).max() > 1e-5
    with pytest.raises(InputError, match="leave the conditions out"):
        predict("denoise", image, conditions={"dose": 3.0})


def test_a_model_of_drawn_conditions_is_evaluated(model):
    """Fails where the conditions do not reach the channels of the test samples."""
    answers = evaluate(load(model), AnyLight(), samples=2)
    assert np.isfinite(answers["network"]["mae"]["phase"])


@pytest.mark.parametrize("kind", ["physical", "intensity"])
def test_tiles_are_cut_from_the_channels_of_the_whole_field(kind, optics, rng):
    """Fails where channels are made tile by tile, tiles see too little, or memory decides."""
    from conftest import TINY

    trained = train(Phase([-20.0, 30.0], optics, input=kind), **TINY).model
    stack = (rng.random((1, 150, 232, 2)) + 1).astype(np.float32)
    whole = predict_stack(trained, stack)
    for size in (32, 64, 100):
        tiled = predict_stack(trained, stack, tile_size=size)
        assert np.abs(tiled - whole).max() < 1e-4 * whole.std()
    assert trained.card.tile.overlap > 0

    class Engine:
        card, stride = trained.card, 4

    assert choose_size(Engine, (1024, 1024)) is None
    assert choose_size(Engine, (1025, 40)) == 1024
