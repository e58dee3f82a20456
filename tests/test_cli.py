"""Fail where a command breaks off, writes too little, or answers wrong input with a traceback."""

import json
import os
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
import tifffile

from mcnn_keras import InputError, cli, problems, train
from mcnn_keras.problems import Denoise
from mcnn_keras.training import Settings, loop
from mcnn_keras.training.checkpoints import RunFolder, config_of

TRAIN = (
    "train phase --defocus -20 --image-size 64 --samples 8 --batch-size 4 --epochs 2 "
    "--preset fast --precision float32"
).split()


@pytest.fixture(autouse=True)
def terminal_as_before(monkeypatch):
    """The command line sets how warnings look; put that back after each test."""
    import warnings

    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)


def run(*arguments):
    """Run the command line in this process; returns its exit status."""
    with pytest.raises(SystemExit) as exit:
        cli.main([str(a) for a in arguments])
    return exit.value.code


def run_apart(*arguments, **options):
    command = [sys.executable, "-m", "mcnn_keras", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, **options)


def test_the_whole_way(tmp_path, capfd, rng, small_preset):
    """Fails where a command cannot use the files of the one before, or a run is written over."""
    folder = tmp_path / "run"
    assert run(*TRAIN, "--output", folder) == 0
    assert "test MAE" in capfd.readouterr().out
    image = rng.random((70, 80)).astype(np.float32) + 1
    tifffile.imwrite(tmp_path / "in.tif", image)
    arguments = [folder / "model.h5", tmp_path / "in.tif", "--output", tmp_path / "phase.tif"]
    assert run("predict", *arguments) == 0
    assert tifffile.imread(tmp_path / "phase.tif").shape == (70, 80)
    assert (tmp_path / "phase.png").exists()
    capfd.readouterr()
    assert run("--json", "evaluate", folder / "model.h5", "--samples", 4) == 0
    told = json.loads(capfd.readouterr().out)["result"]
    assert told["answers"]["network"]["mae"]["phase"] > 0
    assert run("evaluate", folder / "model.h5", "--samples", 4) == 0
    assert "transport of intensity" in capfd.readouterr().out
    assert run("--json", "info", folder / "model.h5") == 0
    assert json.loads(capfd.readouterr().out)["result"]["problem"] == "phase"
    # Resuming takes what is not said from the run itself.
    assert run("train", "phase", "--resume", "--output", folder) == 0
    assert "all 2 epochs are done already" in capfd.readouterr().err
    assert run("train", "phase", "--resume", "--epochs", 5, "--output", folder) == 2
    assert "epochs 2, not 5" in capfd.readouterr().err
    assert run(*TRAIN, "--output", folder) == 2
    assert "--resume" in capfd.readouterr().err


def test_simulate_writes_the_pairs(tmp_path):
    """Fails where a pair lacks a plane or has an empty target, or the file names other planes."""
    arguments = "simulate phase --defocus -20 --defocus 20 --image-size 32 --samples 3".split()
    assert run(*arguments, "--output", tmp_path / "pairs.h5") == 0
    with h5py.File(tmp_path / "pairs.h5") as file:
        assert file["images"].shape == (3, 32, 32, 2)
        assert file["targets"].shape == (3, 32, 32, 1)
        assert np.abs(file["targets"][()]).max(axis=(1, 2, 3)).min() > 0
        assert json.loads(file.attrs["problem"])["config"]["defocus"] == [-20, 20]


@pytest.mark.parametrize(
    "arguments",
    [
        "train phase",
        "train phase --defocus 0",
        "train phase --defocus x",
        "train phase --defocus 5 --wavelength -1",
        "train phase --defocus 5 --numerical-aperture 1.4",
        "train phase --defocus 5 --image-size 100",
        "train phase --defocus 5 --pictures nowhere",
        "train phase --defocus 5 --images nowhere",
        "train phase --planes 4 --defocus 5",
        "train phase --planes 4 --energy 300e3 --pixel-size 0.2",
        "train phase --defocus 500 --energy 300e3 --wavelength 0.65 --pixel-size 0.2",
        "train phase --defocus 500 --energy 300e3",
        "train phase --defocus 500 --energy 300e3 --pixel-size 0.2 --refractive-index 1.5",
        "train phase --defocus 5 --range dose 20 10",
        "train phase --defocus 5 --range cats 1 2",
        "train denoise --range cats 1 2",
        "train phase --resume",
        "train phase --resume --output nowhere",
        "train bogus",
        "predict nowhere.h5 a.tif --output b.tif",
        "predict",
        "evaluate nowhere.h5",
        "info nowhere.h5",
        "simulate phase --defocus 5 --output pairs.txt",
        "simulate phase --defocus 5 --image-size 0 --output pairs.h5",
        "simulate phase --defocus 5 --output nowhere/pairs.h5",
        "export nowhere.h5 --output a.onnx",
        "export denoise --output nowhere/a.onnx",
        "denoise --output b.tif --tile-size 0 a.tif",
        "denoise --output b.tif --watch a.tif",
        "denoise a.tif --output b.tif --defocus 5",
        "predict nowhere.onnx a.tif --output b.tif",
        "bogus",
    ],
)
def test_wrong_input_is_told_in_one_line(arguments, tmp_path, capfd, monkeypatch):
    """Fails where wrong input ends in a traceback or several lines, or leaves a file behind."""
    monkeypatch.chdir(tmp_path)
    assert run(*arguments.split()) == 2
    told = capfd.readouterr().err.strip().splitlines()
    assert len(told) == 1, told
    assert told[0].startswith("Error: ")
    assert not list(tmp_path.iterdir())


def test_implausible_units_are_warned_of_in_one_line(tmp_path, rng):
    """Fails where a warning is shown with its source line, or not at all."""
    for i in range(2):
        np.save(tmp_path / f"{i}.npy", rng.random((32, 32)))
    result = run_apart(
        "simulate", "phase", "--defocus", 5, "--wavelength", 650, "--image-size", 32,
        "--samples", 1, "--pictures", tmp_path, "--output", tmp_path / "a.h5",
    )  # fmt: skip
    assert result.stderr.splitlines()[0].startswith("Warning: wavelength 650 is implausible")
    assert result.returncode == 0


def test_every_command_shows_an_example(capfd):
    """Fails where the help of a command shows no example of its use."""
    commands = [
        ["train", "phase"], ["predict"], ["evaluate"], ["simulate", "phase"], ["info"], ["denoise"],
        ["export"], ["reconstruct"], ["compare", "phase"], ["train", "denoise"], ["models"],
    ]  # fmt: skip
    for command in commands:
        assert run(*command, "--help") == 0
        assert f"mcnn-keras {' '.join(command)}" in capfd.readouterr().out.split("Example", 1)[1]


def started(folder, problem, **settings):
    """The folder of a run that was interrupted before its first checkpoint."""
    settings = Settings(**{**problem.recipe, **settings})
    problem = problem.for_run(settings.samples)
    RunFolder(folder).create(config_of(problem, settings, "float32"))
    return problem, settings


@pytest.mark.parametrize("channels", [None, "low_pass"])
def test_a_run_is_resumed_with_what_it_was_started_with(channels, tmp_path, capfd, monkeypatch):
    """Fails where an option that is not a constructor's argument cannot be taken from the run."""
    problem = Denoise(channels=channels, ranges={"jitter": (0, 0.1)})
    problem, settings = started(tmp_path / "run", problem, samples=64, growing=True)
    assert problem.photographs == 16  # a quarter of the run's samples
    resumed = []

    def train_nothing(*arguments):
        resumed.append(arguments)
        raise InputError("enough")

    monkeypatch.setattr(loop, "_train", train_nothing)
    assert run("train", "denoise", "--resume", "--output", tmp_path / "run") == 2
    (found, chosen, *_), *_ = resumed
    assert found.config() == problem.config()
    assert chosen == settings
    assert run("train", "denoise", "--resume", "--range", "jitter", 0, 0.2, "--epochs", 3,
               "--output", tmp_path / "run") == 2  # fmt: skip
    found, chosen, *_ = resumed[1]
    assert (found.ranges["jitter"], chosen.epochs) == ((0, 0.2), 3)  # which `train` refuses
    capfd.readouterr()
    assert run("train", "phase", "--resume", "--output", tmp_path / "run") == 2
    assert "a run of the problem denoise" in capfd.readouterr().err


def test_an_aperture_can_be_none(tmp_path):
    """Fails where 'none' cannot be said, or falls back to the aperture that is usual for light."""
    words = "simulate phase --defocus -20 --image-size 32 --samples 1 --numerical-aperture none"
    assert run(*words.split(), "--output", tmp_path / "a.h5") == 0
    with h5py.File(tmp_path / "a.h5") as file:
        config = json.loads(file.attrs["problem"])["config"]
        assert config["optics"]["numerical_aperture"] is None
        assert "numerical_aperture" not in file["conditions"]


@pytest.mark.parametrize("problem", ["phase", "denoise", "laplacian", "reflection"])
def test_python_and_the_command_train_alike(problem, monkeypatch, tmp_path):
    """Fails where one of the two has a default of its own."""
    begun = []

    def train_nothing(problem, settings, *_):
        begun.append((problem.config(), settings))
        raise InputError("enough")

    monkeypatch.setattr(loop, "_train", train_nothing)
    given = {"defocus": [-20.0]} if problem == "phase" else {}
    with pytest.raises(InputError, match="enough"):
        train(problems.make(problem, **given))
    options = ["--defocus", -20] if given else []
    assert run("train", problem, *options, "--output", tmp_path / "run") == 2
    assert begun[0] == begun[1]
    assert begun[0][1].samples == {"denoise": 8192, "laplacian": 768}.get(problem, 2048)


def test_interrupting_keeps_a_checkpoint(tmp_path, rng):
    """Fails where Ctrl-C loses the run, or does not tell how to go on."""
    folder = tmp_path / "run"
    for kind in ("inputs", "targets"):
        (tmp_path / kind).mkdir()
        for i in range(3):
            np.save(tmp_path / kind / f"{i}.npy", rng.random((64, 64)))
    words = f"train paired --inputs {tmp_path}/inputs --targets {tmp_path}/targets --image-size 64"
    words += f" --samples 8 --batch-size 4 --preset fast --epochs 500 --output {folder}"
    command = [sys.executable, "-W", "ignore", "-m", "mcnn_keras", *words.split()]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    checkpoint = folder / "checkpoints" / "latest.npz"
    deadline = time.monotonic() + 120
    while not checkpoint.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert told.strip().endswith("--resume"), told
    with np.load(checkpoint) as data:
        assert 0 < int(data["step"]) < 1000
    assert not (folder / "model.h5").exists()


def test_help_and_import_leave_tensorflow_alone():
    """Fails where the import or --help loads TensorFlow or Keras, which takes seconds."""
    code = (
        "import sys, mcnn_keras\n"
        "from mcnn_keras.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ)
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    "words", ["denoise x.png", "predict denoise x.png", "simulate phase --defocus 5"]
)
def test_an_output_must_be_named(words, capfd):
    """Fails where a required option that is missing ends in a traceback."""
    assert run(*words.split()) == 2
    assert capfd.readouterr().err.startswith("Error: Missing option '--output'")
