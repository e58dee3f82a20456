"""Fail where --quiet says too much or too little, or --json writes what a machine cannot read."""

import json
import sys
import warnings

import numpy as np
import pytest
import tifffile

from mcnn_keras import InputError, cli
from mcnn_keras.cli.doctor import EXTRAS
from mcnn_keras.cli.telling import Telling, _plain, telling
from mcnn_keras.inference import fastest


@pytest.fixture(autouse=True)
def terminal_as_before(monkeypatch):
    """The command line sets how warnings look; put that back after each test."""
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)


@pytest.fixture
def run(capfd):
    """A function that runs the command line; it returns status, standard output and error."""

    def call(*arguments):
        with pytest.raises(SystemExit) as stop:
            cli.main([str(a) for a in arguments])
        return stop.value.code, *capfd.readouterr()

    return call


@pytest.fixture
def told(run):
    """A function that runs a command with --json; it returns the object."""

    def call(*arguments):
        status, out, _ = run("--json", *arguments)
        found = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
        assert found["status"] == status
        assert found["command"] == next(a for a in arguments if not str(a).startswith("--"))
        return found

    return call


@pytest.fixture
def of_a_phase(exported, tmp_path, rng):
    """A command that retrieves a phase with a tiny model, and its result."""
    image = 1 + 0.1 * rng.random((64, 64)).astype(np.float32)
    tifffile.imwrite(tmp_path / "in.tif", image)
    result = tmp_path / "phase.tif"
    command = ["phase", tmp_path / "in.tif", "--model", exported, "--defocus", -20, "--wavelength",
               0.65, "--pixel-size", 0.31, "--output", result]  # fmt: skip
    return command, result


def test_a_phase_is_told_in_json(told, of_a_phase):
    """Fails where a fact of the text, or a file that was written, is not in the object."""
    command, result = of_a_phase
    found = told(*command)
    facts = found["result"]
    assert facts["files"] == [str(result), str(result.with_suffix(".png"))]
    assert -1 <= facts["agreement"] <= 1
    assert (facts["planes"], facts["unit"], facts["refined"]) == ([-20.0], "um", False)
    assert facts["optics"]["wavelength"] == 0.65
    low, high = facts["phase_span"]
    assert low < high
    assert any("agreement with the images" in text for text in found["messages"])
    assert found["errors"] == []


def test_quiet_leaves_warnings(run, of_a_phase):
    """Fails where a message of what was done is written, or a warning is not."""
    command, result = of_a_phase
    _, out, _ = run(*command)
    assert "agreement with the images" in out
    result = result.with_name("again.tif")
    command[-1] = result
    command[command.index(0.65)] = 1.3
    status, out, err = run("--quiet", *command)
    assert (status, out) == (0, ""), err
    lines = err.splitlines()
    assert any("has wavelength 1.3, but" in line for line in lines)
    assert all(line.startswith("Warning: ") for line in lines)
    assert result.exists()


def test_quiet_leaves_products_and_errors(run):
    """Fails where a list or help that was asked for is not written, or an error is not."""
    for command in (["models"], ["info", "denoise"], ["--help"], ["--version"]):
        status, out, _ = run("--quiet", *command)
        assert status == 0
        assert "denoise" in out or "tensorflow" in out
    status, out, err = run("--quiet", "info", "nowhere.h5")
    assert (status, out) == (2, "")
    assert err.startswith("Error: the model nowhere.h5 is not there")


def test_results_are_told_in_json_where_others_fail(told, exported, tmp_path, rng):
    """Fails where one bad file hides those that were written, or its own error."""
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in" / "a.tif", rng.random((64, 64)).astype(np.float32))
    (tmp_path / "in" / "b.tif").write_bytes(b"nothing")
    found = told("predict", exported, tmp_path / "in", "--output", tmp_path / "out")
    assert found["status"] == 2
    out = tmp_path / "out"
    assert found["result"]["files"] == [str(out / "a.tif"), str(out / "a.png")]
    assert "b.tif" in found["errors"][0]
    assert "1 of 2 inputs failed" in found["errors"][-1]


def test_denoise_hides_its_progress_and_tells_files(run, told, tmp_path, rng, monkeypatch):
    """Fails where --quiet shows progress on a terminal, or --json keeps a message back."""
    monkeypatch.setattr(fastest, "_remembered", lambda where: ("onnxruntime", "float32"))
    tifffile.imwrite(tmp_path / "in.tif", rng.poisson(5, (2, 64, 64)).astype(np.uint16))
    command = ["denoise", tmp_path / "in.tif", "--quality", "fast", "--output"]
    found = told(*command, tmp_path / "a.tif")
    assert found["result"]["model"] == "denoise-fast"
    assert found["result"]["files"] == [str(tmp_path / "a.tif"), str(tmp_path / "a.png")]
    assert f"wrote {tmp_path / 'a.tif'}" in found["messages"]
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert run("--quiet", *command, tmp_path / "b.tif") == (0, "", "")
    _, _, shown = run(*command, tmp_path / "c.tif")
    assert "frame 2/2" in shown


def test_models_cards_and_measures_are_told_in_json(told, trained):
    """Fails where what is listed as text is not in the object."""
    found = told("models")["result"]["models"]
    assert {"denoise", "phase"} <= {model["name"] for model in found}
    assert all(model["bytes"] > 0 and model["description"] for model in found)
    assert told("info", "denoise")["result"]["problem"] == "denoise"
    found = told("evaluate", trained.folder / "model.h5", "--samples", 2)["result"]
    assert found["samples"] == 2
    assert found["answers"]["network"]["mae"]["phase"] > 0


def test_the_doctor_is_told_in_json(told, monkeypatch):
    """Fails where a version or a speed is not in the object."""
    rates = {("onnxruntime", "float32"): 90.0, ("tensorflow", "float32"): 130.0}
    monkeypatch.setattr(fastest, "rates", lambda name: rates)
    found = told("doctor")["result"]
    assert found["versions"]["tensorflow"].startswith("2.")
    assert found["images_a_second"]["denoise"]["tensorflow float32"] == 130
    assert found["cores"]["usable"] >= 1
    assert set(found["extras"]) == set(EXTRAS)
    assert isinstance(found["gpus"], list)


def test_a_training_is_told_in_json(told, tmp_path, small_preset):
    """Fails where the model's file or its error on unseen samples is not in the object."""
    words = "--image-size 64 --samples 4 --batch-size 4 --epochs 1 --preset fast --boundary zero"
    found = told("train", "laplacian", *words.split(), "--output", tmp_path / "run")["result"]
    assert found["model"] == str(tmp_path / "run" / "model.h5")
    assert found["metrics"]["test_mae"] > 0


def test_wrong_commands_are_told_in_json(run):
    """Fails where a wrong command or option leaves standard output without an object."""
    for words in (["bogus"], ["phase", "--bogus"], ["models", "x"]):
        status, out, err = run("--json", *words)
        assert status == 2
        found = json.loads(out)
        assert found["status"] == 2
        assert err == f"Error: {found['errors'][0]}\n"
    _, out, _ = run("--json", "models", "--help")
    assert "mcnn-keras models" in out
    assert "{" not in out


def test_what_is_interrupted_is_told_in_json(run, monkeypatch):
    """Fails where an interrupted command writes no object, or another status."""

    def interrupted(**_):
        raise KeyboardInterrupt("2 of 3 frames are done")

    monkeypatch.setattr(cli.models, "callback", interrupted)
    status, out, err = run("--json", "models")
    assert status == json.loads(out)["status"] == 130
    assert json.loads(out)["errors"] == [err.strip()]
    assert "2 of 3 frames are done" in err


def test_python_warnings_are_told_in_json(run, monkeypatch):
    """Fails where a warning of the library is not in the object."""

    def doubtful(**_):
        warnings.warn("a doubt", UserWarning, stacklevel=1)
        raise InputError("enough")

    monkeypatch.setattr(cli.models, "callback", doubtful)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        _, out, _ = run("--json", "models")
    found = json.loads(out)
    assert (found["warnings"], found["errors"]) == (["a doubt"], ["enough"])


def test_facts_become_plain():
    """Fails where JSON cannot hold a fact, or holds a number that other languages refuse."""
    told = {"a": np.float32(0.5), "b": np.array([1, 2]), "c": float("nan"), 4: (np.inf, "x", None)}
    assert _plain(told) == {"a": 0.5, "b": [1, 2], "c": None, "4": [None, "x", None]}


def test_lists_are_joined_and_other_facts_replaced():
    """Fails where the second file replaces the first, or an older number stays."""
    tell = telling()
    assert isinstance(tell, Telling)  # also where no command runs
    tell.facts(files=["a"], score=1)
    tell.facts(files=["b"], score=2)
    assert tell.result == {"files": ["a", "b"], "score": 2}
