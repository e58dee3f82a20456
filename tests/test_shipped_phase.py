"""Fail where a shipped phase model is worse than the best classical answer."""

import itertools

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from mcnn_keras import Optics, load
from mcnn_keras.cli import main
from mcnn_keras.evaluation import evaluate
from mcnn_keras.focal_series import ctf_phase
from mcnn_keras.focal_series.network import at_any_planes
from mcnn_keras.models.saving import read_card
from mcnn_keras.physics.waves import defocus_stack
from mcnn_keras.problems import from_card
from mcnn_keras.problems.any_phase import AnyPhase, instrument_of
from mcnn_keras.training.pipeline import measurements


# Two planes are nearly what transport of intensity needs; one is not.
@pytest.mark.parametrize(("name", "share"), [("phase-108", 0.5), ("phase-52+52", 0.7)])
def test_it_beats_the_best_transport_of_intensity(name, share):
    """Fails where a shipped model is hardly better than transport of intensity, or than zero."""
    answers = evaluate(load(name), samples=6, seed=7)
    network, transport = (answers[n]["mae"]["phase"] for n in ("network", "transport of intensity"))
    assert network < share * transport
    assert network < 0.5 * answers["zero"]["mae"]["phase"]


def test_the_command_inverts_a_picture_by_the_models_name(tmp_path, capfd):
    """Fails where other pixels pass untold, or the answer to a camera's counts is no phase."""
    problem = from_card(read_card("phase-108"))
    sample = next(iter(measurements(problem, "test", 256, seed=8)))
    # A camera's counts, and the pixels of other optics.
    counts = (1000 * sample["image"].numpy()[..., 0]).astype(np.uint16)
    truth = sample["target"].numpy()[..., 0]
    truth -= truth.mean()
    for pixel, name in ((0.31, "own"), (0.16, "other")):
        tifffile.imwrite(
            tmp_path / f"{name}.tif", counts, imagej=True, resolution=(1 / pixel, 1 / pixel),
            metadata={"unit": "um"},
        )  # fmt: skip
        with pytest.raises(SystemExit) as end:
            main(["predict", "phase-108", str(tmp_path / f"{name}.tif"),
                  "--output", str(tmp_path / f"{name}_phase.tif")])  # fmt: skip
        assert end.value.code == 0
        said = capfd.readouterr().err
        assert ("train a model for your images" in said) == (name == "other")
    assert "--defocus -108" in said
    assert "--pixel-size 0.16" in said
    phase = tifffile.imread(tmp_path / "own_phase.tif")
    # A weak phase, of 0.05 rad in the mean.
    assert np.abs(phase - truth).mean() < 0.7 * np.abs(truth).mean()
    assert phase.mean() == pytest.approx(0, abs=0.05)


# wavelength x defocus / pixel^2, planes, and the share of ctf's error that is allowed.
@pytest.mark.parametrize(
    ("defocus", "planes", "share"), [(100, 1, 0.9), (300, 2, 0.9), (1000, 4, 0.9)]
)
def test_any_planes_beat_least_squares(defocus, planes, share):
    """Fails where the model of any planes is hardly better than the linear answer it is given."""
    problem = AnyPhase(
        ranges={"defocus": (defocus, defocus), "planes": (planes, planes), "phase_span": (1, 3)}
    )
    model, errors = load("phase"), []
    for sample in itertools.islice(measurements(problem, "test", 128, seed=9), 6):
        told = {name: value.numpy() for name, value in sample["conditions"].items()}
        z, optics = instrument_of(told)
        images = sample["image"].numpy()
        truth = sample["target"].numpy()[..., 0]
        answers = (at_any_planes(model, images, z, optics)[0], ctf_phase(images, z, optics)[0])
        errors.append([np.abs(a - a.mean() - truth + truth.mean()).mean() for a in answers])
    network, linear = np.mean(errors, axis=0)
    assert network < share * linear


def test_a_stack_needs_no_training(tmp_path, capfd):
    """Fails where the command of any planes takes no shipped model, or its answer is no phase."""
    optics = Optics(0.65, 0.312, 0.45)
    y, x = np.mgrid[:160, :160] / 160 - 0.5
    texture = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(160, 160)), 6)
    truth = np.exp(-40 * (x**2 + 2 * y**2)) + 0.3 * texture / texture.std()
    wave = np.exp(1j * np.pad(truth, 64, mode="symmetric")).astype(np.complex64)
    images = defocus_stack(wave, [39.0, -88.0], optics)[64:-64, 64:-64]
    tifffile.imwrite(tmp_path / "in.tif", np.moveaxis(images, -1, 0))
    with pytest.raises(SystemExit) as end:
        main(["phase", str(tmp_path / "in.tif"), "--defocus", "39,-88", "--wavelength", "0.65",
              "--pixel-size", "0.312", "--numerical-aperture", "0.45", "--output",
              str(tmp_path / "out.tif")])  # fmt: skip
    assert end.value.code == 0
    assert "Warning" not in capfd.readouterr().err
    phase = tifffile.imread(tmp_path / "out.tif")[0]
    error = np.abs(phase - phase.mean() - truth + truth.mean()).mean()
    assert error < 0.35 * np.abs(truth - truth.mean()).mean()
