"""Fail where another package's problem cannot be used, or fails without a clear line."""

from importlib.metadata import EntryPoint

import pytest
import tensorflow as tf

from mcnn_keras import InputError, evaluate, predict, train
from mcnn_keras.cli import main
from mcnn_keras.problems import as_problem, from_card
from mcnn_keras.problems import base as base_module

TINY = {"image_size": 32, "samples": 8, "epochs": 1, "batch_size": 4, "filters": (4, 6)}


class Doubling:
    """Not a Problem, but what it takes: a name, targets and a forward model."""

    name = "doubling"

    def __init__(self, factor=2.0, word="none"):
        self.factor, self.word = factor, word

    def targets(self, seed, size, split):
        return tf.random.stateless_uniform((size, size, 1), seed)

    def observe(self, target, seed):
        return self.factor * target

    def config(self):
        return {"factor": self.factor, "word": self.word}


@pytest.fixture
def installed(monkeypatch):
    """As if another package offered it."""
    point = EntryPoint("doubling", "test_own_problems:Doubling", "mcnn_keras.problems")
    monkeypatch.setattr(EntryPoint, "load", lambda self: Doubling)
    for module in ("importlib.metadata", "mcnn_keras.problems"):
        monkeypatch.setattr(f"{module}.entry_points", lambda group: [point])


def test_an_object_with_three_attributes_is_enough(rng):
    """Fails where train, predict or evaluate needs a method that only a `Problem` has."""
    run = train(Doubling(3.0), **TINY)
    assert run.model.card.problem == "doubling"
    assert run.model.card.config == {"factor": 3.0, "word": "none"}
    assert predict(run.model, rng.random((40, 40))).shape == (40, 40)
    assert "network" in evaluate(run.model, Doubling(), samples=2)
    with pytest.raises(InputError, match="not known"):
        evaluate(run.model, samples=2)


def test_what_lacks_one_is_told():
    """Fails where an object without a forward model is taken, or a bare `Problem` is refused."""

    class Half:
        name = "half"

        def targets(self, seed, size, split):
            """Nothing."""

    with pytest.raises(InputError, match=r"a Half was given without observe; a problem needs"):
        as_problem(Half())
    assert as_problem(base_module.Problem()).name == "problem"


def test_another_packages_problem_is_offered(installed, small_preset, tmp_path, capfd):
    """Fails where the commands do not list an entry point's problem, or lose its arguments."""
    words = "train doubling --set factor=4 --set word=some --image-size 64 --samples 8 --epochs 1"
    with pytest.raises(SystemExit) as end:
        main([*words.split(), "--preset", "fast", "--output", str(tmp_path / "run")])
    assert end.value.code == 0, capfd.readouterr().err
    from mcnn_keras.models.saving import read_card

    card = read_card(tmp_path / "run" / "model.h5")
    assert card.config == {"factor": 4, "word": "some"}
    assert from_card(card).name == "doubling"
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    assert "doubling" in capfd.readouterr().out


def test_its_wrong_arguments_are_told_in_one_line(installed, tmp_path, capfd):
    """Fails where a wrong --set ends in a traceback, or in more than one line."""
    for words, message in (("--set speed=4", "cannot be made"), ("--set speed", "NAME=VALUE")):
        with pytest.raises(SystemExit) as end:
            main(["train", "doubling", *words.split(), "--output", str(tmp_path / "run")])
        told = capfd.readouterr().err.strip()
        assert end.value.code == 2
        assert message in told
        assert len(told.splitlines()) == 1
