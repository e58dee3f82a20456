"""Fail where a shipped phase model is worse than the best transport of intensity."""

import numpy as np
import pytest
import tifffile

from mcnn_keras import load
from mcnn_keras.cli import main
from mcnn_keras.evaluation import evaluate
from mcnn_keras.models.saving import read_card
from mcnn_keras.problems import from_card
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
        assert ("train one for yours" in said) == (name == "other")
    assert "--defocus -108" in said
    assert "--pixel-size 0.16" in said
    phase = tifffile.imread(tmp_path / "own_phase.tif")
    # A weak phase, of 0.05 rad in the mean.
    assert np.abs(phase - truth).mean() < 0.7 * np.abs(truth).mean()
    assert phase.mean() == pytest.approx(0, abs=0.05)
