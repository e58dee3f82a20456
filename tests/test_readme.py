"""Fail where the README's Python does not run as it stands there."""

import re
from pathlib import Path

import numpy as np
import pytest

from mcnn_keras import training

README = Path(__file__).parent.parent / "README.md"


@pytest.fixture
def small_runs(monkeypatch):
    """The README's runs are for a coffee break; these are for a test."""
    settings = training.Settings
    small = {"image_size": 32, "samples": 8, "epochs": 1, "batch_size": 4, "filters": (4, 6)}

    def shrunk(**given):
        return settings(**{**given, **small, "precision": "float32"})

    monkeypatch.setattr("mcnn_keras.training.loop.Settings", shrunk)


def test_the_problem_of_ones_own_trains_and_predicts(small_runs, tmp_path, monkeypatch):
    """Fails where the README's problem of one's own does not run as it is printed."""
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    code = next(block for block in blocks if "class Deblur" in block)
    names = {"photograph": np.random.default_rng(0).random((60, 70))}
    exec(compile(code, "README.md", "exec"), names)
    assert names["sharp"].shape == (60, 70)
    assert (tmp_path / "deblur.h5").exists()


def test_other_programs_use_it(rng, tmp_path, monkeypatch):
    """Fails where the README's HyperSpy and Zarr code does not run, or its two ways disagree."""
    hyperspy = pytest.importorskip("hyperspy.api")
    zarr = pytest.importorskip("zarr")
    monkeypatch.chdir(tmp_path)
    frames = rng.poisson(3.0, (2, 40, 48)).astype(np.float32)
    hyperspy.signals.Signal2D(frames).save("recording.hspy")
    zarr.open("recording.zarr", mode="w", shape=frames.shape, chunks=(1, 40, 48), dtype="f4")[
        ...
    ] = frames
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    names = {}
    exec(compile(next(b for b in blocks if "hyperspy" in b), "README.md", "exec"), names)
    clean = zarr.open("clean.zarr", mode="r")[...]
    np.testing.assert_allclose(names["clean"].data, clean, atol=1e-3)
    assert clean.std() < frames.std()
