"""Model files and runs of earlier versions are read for ever: their answers, cards and checkpoints.

The files in data/models were written by the version before cards had a format 2, and the answers
beside them are that version's own.
"""

import inspect
import json
import shutil
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from mcnn_keras import load, predict, save, train
from mcnn_keras.channels import network_input
from mcnn_keras.cli import main
from mcnn_keras.models import Channels, Contrast, Fixed, Frames, FrameScale, Planes, keras_layers
from mcnn_keras.models.saving import ATTRIBUTE, read_card
from mcnn_keras.problems import from_card, from_config

MODELS = Path(__file__).parent / "data" / "models"
FILES = sorted([*MODELS.glob("*.h5"), *MODELS.glob("*.onnx")])
# What prediction is told beside the image.
TOLD = {
    "format_2_frames": {"axes": "tyx"},
    "format_2_any_planes": {
        "conditions": {
            "defocus": [-30.0, 40.0], "wavelength": 0.65, "pixel_size": 0.31,
            "numerical_aperture": 0.45, "refractive_index": 1.0, "coherence_angle": 0.0,
            "spherical_aberration": 0.0,
        },
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def answers():
    with np.load(MODELS / "answers.npz") as data:
        return dict(data)


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_an_old_model_answers_as_it_did(path, answers):
    """Fails where reading, normalising, the fixed channels or padding give other numbers."""
    if path.suffix == ".onnx":
        pytest.importorskip("onnxruntime")
    image, expected = answers[f"{path.stem}_image"], answers[f"{path.stem}_answer"]
    found = predict(load(path), image, **TOLD.get(path.stem, {}))
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("name", [p.stem for p in FILES if p.suffix == ".h5"])
def test_saved_again_it_is_of_the_present_format(name, answers, tmp_path):
    """Fails where the new card lacks something that prediction needs."""
    save(load(MODELS / f"{name}.h5"), tmp_path / "new.h5")
    with h5py.File(tmp_path / "new.h5") as file:
        assert json.loads(file.attrs[ATTRIBUTE])["format"] == 2
    again = load(tmp_path / "new.h5")
    assert again.card == load(MODELS / f"{name}.h5").card
    found = predict(again, answers[f"{name}_image"], **TOLD.get(name, {}))
    expected = answers[f"{name}_answer"]
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("name", "inputs", "normalization", "roles"),
    [
        ("phase", Planes, Contrast, ["phase"]),
        ("phase_two_planes_amplitude", Planes, Contrast, ["phase", "amplitude"]),
        ("phase_intensity", Planes, Contrast, ["phase"]),
        ("denoise", Frames, FrameScale, ["image"]),
        ("paired", Channels, Fixed, ["value"]),
    ],
)
def test_an_old_card_becomes_a_typed_one(name, inputs, normalization, roles):
    """Fails where a model's kind is read from its card wrongly."""
    card = read_card(MODELS / f"{name}.h5")
    assert isinstance(card.inputs, inputs)
    assert type(card.normalization) is normalization
    assert [o.role for o in card.outputs] == roles
    assert (card.tile.overlap == 16) == (name == "denoise")


def test_an_old_card_tells_the_ranges_of_its_time():
    """Fails where later defaults would be taken for those of the training."""
    assert read_card(MODELS / "phase.h5").ranges["focus_offset"] == [-1.0, 1.0]
    assert read_card(MODELS / "phase_electrons.h5").ranges["focus_offset"] == [-20.0, 20.0]
    denoise = read_card(MODELS / "denoise.h5")
    assert denoise.ranges["contrast_snr"] == [-16.0, 9.0]
    assert denoise.ranges["pixel_size"] == [0.05, 0.45]
    changed = from_config("denoise", denoise.config | {"ranges": {"contrast_snr": [-3.0, 3.0]}})
    assert changed.ranges["contrast_snr"] == (-3.0, 3.0)
    assert from_card(denoise).ranges["contrast_snr"] == (-16.0, 9.0)


@pytest.mark.parametrize("name", ["phase", "phase_electrons", "denoise_low_pass", "reflection"])
def test_keras_opens_an_old_file_with_its_first_layer(name, answers):
    """Fails where the layers of that time, which Keras finds by name, compute something else."""
    assert issubclass(keras_layers.FocusEstimates, keras.layers.Layer)
    if "input_axes" not in inspect.signature(keras.initializers.GlorotUniform).parameters:
        pytest.skip("this Keras is older than the one that wrote the files")
    theirs = keras.models.load_model(MODELS / f"{name}.h5", compile=False)
    ours = load(MODELS / f"{name}.h5")
    image = answers[f"{name}_image"]
    image = image[:32, :32, None] if image.ndim == 2 else image[:32, :32]
    scaled, _ = ours.card.normalization.apply(image)
    batch = np.float32(scaled)[None]
    inputs = network_input(batch, ours.card.channels, ours.card.conditions)
    np.testing.assert_allclose(theirs(batch)[0], ours(inputs)[0], atol=1e-4)


@pytest.mark.parametrize("way", ["command", "library"])
def test_an_old_run_is_resumed(way, tmp_path, tiny):
    """Fails where a checkpoint or a configuration of that time no longer fits."""
    folder = tmp_path / "run"
    shutil.copytree(MODELS / "run", folder)
    if way == "command":
        with pytest.raises(SystemExit) as end:
            main(["train", "phase", "--resume", "--output", str(folder)])
        assert not end.value.code
    else:
        train(from_card(read_card(MODELS / "phase.h5")), output=folder, resume=True, **tiny)
    assert load(folder / "model.h5").card.config["defocus"] == [-20.0]
    assert len((folder / "history.csv").read_text().splitlines()) == 3
