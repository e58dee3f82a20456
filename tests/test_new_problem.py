"""A new problem is one short file, and no other is touched."""

import importlib
import sys
import textwrap

import h5py
import numpy as np
import pytest

from mcnn_keras import evaluate, load, predict, problems
from mcnn_keras.cli import main
from mcnn_keras.problems import from_card

FILE = textwrap.dedent('''
    """Sharpening: undo a box blur of a chosen width."""

    import tensorflow as tf

    from mcnn_keras.models import Fixed, Output
    from mcnn_keras.physics import noise
    from mcnn_keras.problems.base import Problem
    from mcnn_keras.targets import Pictures


    class Sharpen(Problem):
        """A sharp picture, 0..1, from a blurred one of 8-bit levels."""

        name = "sharpen"
        outputs = (Output("picture"),)
        normalization = Fixed(input_mean=127.5, input_deviation=64.0, limits=(0.0, 1.0))
        recipe = {"image_size": 64, "samples": 32, "epochs": 2, "batch_size": 8}
        baselines = {"half": lambda images, targets: (0 * targets + 0.5, {})}

        def __init__(self, width=3, dose=1000.0):
            self.width, self.dose = width, dose
            self.margin = width
            self.pictures = {}

        def targets(self, seed, size, split):
            if split not in self.pictures:
                self.pictures[split] = Pictures(split)
            return self.pictures[split].draw(seed, size)[..., None]

        def observe(self, target, seed):
            return 255.0 * tf.nn.avg_pool2d(target[None], self.width, 1, "SAME")[0]

        def detect(self, image, seed):
            return noise.camera(image, self.dose / 255.0, 1.0, seed)

        def config(self):
            return {"width": self.width, "dose": self.dose}
''').lstrip()


@pytest.fixture
def dropped_in(tmp_path, monkeypatch):
    """The folder of problems with one more file in it."""
    folder = tmp_path / "problems"
    folder.mkdir()
    (folder / "sharpen.py").write_text(FILE)
    monkeypatch.setattr(problems, "__path__", [*problems.__path__, str(folder)])
    yield
    sys.modules.pop("mcnn_keras.problems.sharpen", None)
    importlib.invalidate_caches()


def run(*words):
    with pytest.raises(SystemExit) as end:
        main([str(w) for w in words])
    return end.value.code


def test_a_file_of_sixty_lines_is_a_problem(dropped_in, small_preset, tmp_path, capfd):
    """Fails where another file must name the problem before some command, or a card, knows it."""
    assert len(FILE.splitlines()) <= 60
    assert "sharpen" in problems.names()
    folder = tmp_path / "run"
    options = ("--preset", "fast", "--set", "width=5", "--output", folder)
    assert run("train", "sharpen", *options) == 0, capfd.readouterr().err
    model = load(folder / "model.h5")
    assert model.card.training["samples"] == 32  # the problem's recipe
    assert from_card(model.card).config() == {"width": 5, "dose": 1000.0}
    assert set(evaluate(model, samples=2)) == {"network", "constant", "half"}
    answer = predict(model, np.full((64, 64), 128.0) + np.eye(64))
    assert 0 <= answer.min() <= answer.max() <= 1
    assert run("train", "sharpen", "--resume", "--output", folder) == 0
    capfd.readouterr()
    assert run("train", "--help") == 0
    assert "sharpen" in capfd.readouterr().out
    assert run("simulate", "sharpen", "--samples", 2, "--set", "width=5", "--output",
               tmp_path / "pairs.h5") == 0  # fmt: skip
    with h5py.File(tmp_path / "pairs.h5") as file:
        assert file["images"].shape == (2, 64, 64, 1)  # the size of the problem's recipe
        assert file["images"][()].max() > 50  # as measured, not as the network sees it
