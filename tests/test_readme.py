"""Fail where the Python of the documentation does not run as it stands there."""

import re
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from mcnn_keras import Optics, training
from mcnn_keras.physics.waves import defocus_stack

DOCS = Path(__file__).parent.parent / "docs"


def run(page, word, names):
    """Run the first Python block of a page that holds a word, with these names."""
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    code = next(block for block in blocks if word in block)
    exec(compile(code, page, "exec"), names)


@pytest.fixture
def small_runs(monkeypatch):
    """The runs of the pages are for a coffee break; these are for a test."""
    settings = training.Settings
    small = {"image_size": 32, "samples": 8, "epochs": 1, "batch_size": 4, "filters": (4, 6)}

    def shrunk(**given):
        return settings(**{**given, **small, "precision": "float32"})

    monkeypatch.setattr("mcnn_keras.training.loop.Settings", shrunk)


def test_the_problem_of_ones_own_trains_and_predicts(small_runs, tmp_path, monkeypatch):
    """Fails where the tutorial's forward model does not run as it is printed."""
    monkeypatch.chdir(tmp_path)
    names = {"photograph": np.random.default_rng(0).random((60, 70))}
    run("tutorials/forward-model.md", "class Deblur", names)
    assert names["sharp"].shape == (60, 70)
    assert (tmp_path / "deblur.h5").exists()


def test_other_programs_use_it(rng, tmp_path, monkeypatch):
    """Fails where the HyperSpy and Zarr code does not run, or its three ways disagree."""
    hyperspy = pytest.importorskip("hyperspy.api")
    zarr = pytest.importorskip("zarr")
    monkeypatch.chdir(tmp_path)
    frames = rng.poisson(3.0, (2, 40, 48)).astype(np.float32)
    hyperspy.signals.Signal2D(frames).save("recording.hspy")
    zarr.open("recording.zarr", mode="w", shape=frames.shape, chunks=(1, 40, 48), dtype="f4")[
        ...
    ] = frames
    names = {}
    run("how-to/hyperspy.md", "hyperspy.denoise", names)
    run("how-to/dask.md", "from_zarr", {})
    clean = zarr.open("clean.zarr", mode="r")[...]
    np.testing.assert_allclose(names["clean"].data, clean, atol=1e-3)
    np.testing.assert_allclose(hyperspy.load("clean_lazy.hspy").data, clean, atol=1e-3)
    assert clean.std() < frames.std()


def test_hyperspy_makes_a_phase(rng, tmp_path, monkeypatch):
    """Fails where the HyperSpy code for phases does not run, or loses the field's axes."""
    hyperspy = pytest.importorskip("hyperspy.api")
    monkeypatch.chdir(tmp_path)
    wave = np.exp(1j * gaussian_filter(rng.standard_normal((64, 80)), 4) * 4)
    planes = np.array([-52.0, 52.0])
    images = defocus_stack(wave.astype(np.complex64), planes, Optics(0.65, 0.31, 0.45))
    signal = hyperspy.signals.Signal2D(np.moveaxis(np.asarray(images), -1, 0))
    for own in signal.axes_manager.signal_axes:
        own.scale, own.units = 310.0, "nm"
    signal.save("focal_series.hspy")
    names = {}
    run("how-to/hyperspy.md", "hyperspy.phase", names)
    phase = hyperspy.load("phase.hspy")
    assert phase.data.shape == names["amplitude"].data.shape == (64, 80)
    assert phase.axes_manager[0].units == "nm"
    assert (
        np.corrcoef(phase.data.ravel(), np.angle(wave).ravel())[0, 1] > 0.6
    )  # so small a field is mostly border
