"""Fail where a file changes a model or its card, runs code, or damage passes unnoticed."""

import json
import os
import subprocess
import sys

import h5py
import keras
import numpy as np
import pytest

from mcnn_keras import InputError, load, predict, save, train
from mcnn_keras.models import Output, saving
from mcnn_keras.models.saving import ATTRIBUTE, read_card
from mcnn_keras.problems import from_card


@pytest.fixture
def path(trained):
    return trained.folder / "model.h5"


@pytest.fixture
def image(rng):
    return rng.random((1, 32, 32, 4), np.float32)  # a contrast and its fixed channels


def test_the_card_tells_all(path):
    """Fails where the card lacks a setting, range, version or error of its run."""
    card = read_card(path)
    assert card.problem == "phase"
    assert card.config["defocus"] == [-20.0]
    assert card.config["optics"]["wavelength"] == 0.65
    assert card.ranges["dose"] == [1000.0, 20000.0]
    assert card.network["filters"] == [4, 6]
    assert card.training["precision"] == "float32"
    assert card.outputs == (Output("phase", "rad", "phase"),)
    assert card.inputs.defocus == (-20.0,)
    assert card.conditions["wavelength"] == 0.65
    assert card.metrics["test_mae"] > 0
    assert set(card.versions) == {"mcnn-keras", "keras", "tensorflow", "numpy"}


def test_saving_and_loading_changes_nothing(trained, image, tmp_path):
    """Fails where a weight or a field of the card changes on the way through a file."""
    save(trained.model, tmp_path / "copy.h5")
    save(load(tmp_path / "copy.h5"), tmp_path / "again.h5")
    again = load(tmp_path / "again.h5")
    for a, b in zip(trained.model(image), again(image), strict=True):
        np.testing.assert_array_equal(a, b)
    assert again.card == trained.model.card


def test_keras_opens_the_file_too(path, trained, image):
    """Fails where Keras's own loader refuses the file, or its model answers otherwise."""
    model = keras.models.load_model(path, compile=False)
    np.testing.assert_allclose(model(image)[0], trained.model(image)[0], atol=1e-6)


def test_keras_opens_the_file_without_this_package(path):
    """Fails where a layer of this package is in the file."""
    code = (
        "import sys, keras; sys.modules['mcnn_keras'] = None; "
        f"print(keras.models.load_model({str(path)!r}, compile=False).name)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "mcnn", result.stderr[-500:]


def test_loading_never_runs_what_the_file_says(path, tmp_path):
    """Fails where loading reads the file's Keras config, which can hold code."""
    evil = tmp_path / "evil.h5"
    evil.write_bytes(path.read_bytes())
    with h5py.File(evil, "r+") as file:
        file.attrs["model_config"] = "not even JSON"
    load(evil)


def test_half_precision_weights_load(path, tmp_path, trained, image):
    """Fails where weights that are stored in float16 are refused or misread."""
    half = tmp_path / "half.h5"
    half.write_bytes(path.read_bytes())
    with h5py.File(half, "r+") as file:
        names = []
        file["model_weights"].visititems(
            lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None
        )
        for name in names:
            values = file["model_weights"][name][()]
            del file["model_weights"][name]
            file["model_weights"][name] = values.astype(np.float16)
        saving.seal(file, trained.model.card)
    np.testing.assert_allclose(load(half)(image)[0], trained.model(image)[0], atol=0.02)


def damaged(path, tmp_path, kind):
    bad = tmp_path / "bad.h5"
    data = path.read_bytes()
    if kind == "absent":
        return bad
    if kind == "cut":
        bad.write_bytes(data[: len(data) // 2])
    elif kind == "text":
        bad.write_text("no model")
    else:
        bad.write_bytes(data)
        with h5py.File(bad, "r+") as file:
            if kind == "foreign":
                del file.attrs[ATTRIBUTE]
            elif kind == "weightless":
                del file["model_weights/encoder_1_conv"]
            elif kind == "newer":
                card = {**json.loads(file.attrs[ATTRIBUTE]), "format": 99}
                file.attrs[ATTRIBUTE] = json.dumps(card)
    return bad


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("absent", "not there"),
        ("cut", "damaged"),
        ("text", "damaged or not an HDF5"),
        ("foreign", "no card"),
        ("weightless", "weights do not fit"),
        ("newer", "upgrade"),
    ],
)
def test_damaged_files_are_refused_in_one_line(path, tmp_path, kind, message):
    """Fails where a damaged file ends in an error of HDF5 or Keras, or in several lines."""
    with pytest.raises(InputError, match=message) as caught:
        load(damaged(path, tmp_path, kind))
    assert "\n" not in str(caught.value)


def test_only_h5_names_and_models_with_a_card_are_saved(trained, tmp_path):
    """Fails where a file is written that `load` would refuse."""
    with pytest.raises(InputError, match=r"\.h5"):
        save(trained.model, tmp_path / "model.keras")
    with pytest.raises(InputError, match="no card"):
        save(keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]), tmp_path / "a.h5")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["paper", "paper-bottleneck"])
def test_the_large_presets_save_and_load(preset, tmp_path, phase_problem, tiny):
    """Fails where a network of the paper's size loses weights on the way through a file."""
    settings = {**tiny, "filters": None, "branches": None, "image_size": 128, "preset": preset}
    run = train(phase_problem, **{**settings, "samples": 2, "batch_size": 2, "epochs": 1})
    save(run.model, tmp_path / "large.h5")
    image = np.ones((1, 128, 128, 4), np.float32)
    np.testing.assert_array_equal(load(tmp_path / "large.h5")(image)[0], run.model(image)[0])


def test_a_loaded_model_computes_in_the_precision_asked_for(path, trained, image):
    """Fails where bfloat16 is not used, or changes more than the last digits."""
    model = load(path, precision="bfloat16")
    assert model.get_layer("encoder_1_conv").compute_dtype == "bfloat16"
    np.testing.assert_allclose(model(image)[0], trained.model(image)[0], atol=0.05)


def test_shipped_models_are_known_by_name(path, tmp_path, monkeypatch):
    """Fails where a shipped model's name is not known, or a misspelt one does not list it."""
    monkeypatch.setattr(saving, "WEIGHTS", tmp_path)
    (tmp_path / "cells.h5").write_bytes(path.read_bytes())
    assert list(saving.shipped()) == ["cells"]
    assert load("cells").card == read_card(path)
    with pytest.raises(InputError, match="or cells"):
        load("cels")


def test_a_model_by_name_is_loaded_once(path, tmp_path, monkeypatch, rng):
    """Fails where each call reads the file again, or a changed file is not read."""
    copy = tmp_path / "m.h5"
    copy.write_bytes(path.read_bytes())
    loaded = []
    monkeypatch.setattr(saving, "load", lambda *a: loaded.append(a) or load(*a))
    frame = rng.random((32, 32)) + 1
    first = predict(copy, frame)
    np.testing.assert_array_equal(predict(str(copy), frame), first)
    assert len(loaded) == 1
    os.utime(copy, (1, 1))
    np.testing.assert_array_equal(predict(copy, frame), first)
    assert len(loaded) == 2


def test_every_shipped_model_loads_and_tells_where_it_comes_from():
    """Fails where a shipped model does not tell its command or problem, or takes too much space."""
    total = 0
    for name, file in saving.shipped().items():
        card = load(name).card
        assert card.command.startswith("mcnn-keras train ")
        assert card.description
        assert from_card(card).config() == card.config
        assert file.stat().st_size < 20e6
        total += file.stat().st_size
    assert total < 60e6
