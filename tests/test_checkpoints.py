"""Fail where a damaged checkpoint or configuration loses a run, or goes on from a wrong state."""

import io
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_training import Blur, assert_same_weights

from mcnn_keras import InputError, train
from mcnn_keras.cli import main
from mcnn_keras.training.checkpoints import RunFolder

MODELS = Path(__file__).parent / "data" / "models"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run and its folder, with checkpoints after the first and the second epoch."""
    from conftest import TINY

    run = train(Blur(), output=tmp_path_factory.mktemp("run") / "run", **TINY)
    return run, run.folder


@pytest.fixture
def folder(finished, tmp_path):
    shutil.copytree(finished[1], tmp_path / "run")
    return RunFolder(tmp_path / "run")


def flipped(content):
    middle = len(content) // 3
    return content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :]


def other_values(content):
    """Whole as a file, but not what was saved."""
    with np.load(io.BytesIO(content)) as data:
        arrays = {name: data[name] for name in data}
    arrays["variable_0"] = arrays["variable_0"] * np.float32(1.001)
    changed = io.BytesIO()
    np.savez(changed, **arrays)
    return changed.getvalue()


def compressed(content):
    changed = io.BytesIO()
    np.savez_compressed(changed, variable_0=np.zeros(10**7))
    return changed.getvalue()


DAMAGE = {
    "cut in half": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "a flipped bit": flipped,
    "other values": other_values,
    "compressed": compressed,
    "text": lambda content: b"no checkpoint",
}


class Variable:
    """A variable of a network."""

    def __init__(self, value):
        self.value, self.shape = np.asarray(value), np.shape(value)

    def numpy(self):
        return self.value

    def assign(self, value):
        self.value = value


@pytest.mark.parametrize("kind", DAMAGE)
def test_the_checkpoint_before_a_damaged_one_is_used(kind, tmp_path):
    """Fails where a damaged checkpoint is taken, loses the run, or stands in the way later."""
    folder, variables = RunFolder(tmp_path), [Variable(np.arange(100.0)), Variable(2.0)]
    folder.create({})
    rows = [{"step": 2}, {"step": 4}]
    for step in (3, 5):
        variables[1].value = np.asarray(float(step))
        folder.save_checkpoint(variables, step, np.full(2, step), rows[: step // 2])
    content = folder.checkpoint_path.read_bytes()
    folder.checkpoint_path.write_bytes(DAMAGE[kind](content))
    with pytest.warns(UserWarning, match="damaged .*; training goes on from .*, at step 3"):
        step, sums, history = folder.load_checkpoint(variables)
    assert (step, list(sums), history) == (3, [3, 3], rows[:1])
    assert variables[1].value == 3
    # It is out of the way: a warning would be an error here.
    assert folder.load_checkpoint(variables)[0] == 3
    folder.save_checkpoint(variables, 4, sums, rows)
    for path in (folder.checkpoint_path, folder.previous_path):
        path.replace(folder.checkpoint_path)
        assert folder.load_checkpoint(variables)[0] == (4 if "latest" in path.name else 3)


def test_a_run_whose_last_checkpoint_is_damaged_ends_as_it_would_have(folder, finished, tiny):
    """Fails where the step, the weights and the history that are gone on with do not fit."""
    content = folder.checkpoint_path.read_bytes()
    folder.checkpoint_path.write_bytes(content[: len(content) // 2])
    folder.model_path.unlink()
    with pytest.warns(UserWarning, match="at step 2"):
        resumed = train(Blur(), output=folder.path, resume=True, **tiny)
    assert_same_weights(finished[0], resumed)
    assert [row["step"] for row in resumed.history] == [2, 4]
    assert len(folder.history_path.read_text().splitlines()) == 3


def test_history_ends_where_the_checkpoint_does(folder, tiny, monkeypatch):
    """Fails where history.csv tells of epochs that are still to come."""
    folder.checkpoint_path.write_bytes(b"cut")
    monkeypatch.setattr("mcnn_keras.training.loop.Trainer._advance", lambda *a: 1 / 0)
    with pytest.warns(UserWarning, match="damaged"), pytest.raises(ZeroDivisionError):
        train(Blur(), output=folder.path, resume=True, **tiny)
    assert len(folder.history_path.read_text().splitlines()) == 2


def test_without_a_whole_checkpoint_the_run_is_told_to_be_lost(folder, tiny):
    folder.checkpoint_path.write_bytes(b"cut")
    folder.previous_path.write_bytes(b"cut")
    with pytest.raises(InputError, match="no other one; start a new run"):
        train(Blur(), output=folder.path, resume=True, **tiny)


@pytest.mark.parametrize("which", ["checkpoint", "config"])
def test_a_run_of_a_newer_version_is_told_of(which, folder, tiny):
    """Fails where what a newer version wrote is called damaged, or read otherwise than meant."""
    if which == "config":
        told = json.loads(folder.config_path.read_text())
        assert told["format"] == 1
        folder.config_path.write_text(json.dumps({**told, "format": 2, "settings": {"new": 1}}))
    else:
        np.savez(folder.checkpoint_path, format=2)
    with pytest.raises(InputError, match=r"written by a newer mcnn-keras; upgrade"):
        train(Blur(), output=folder.path, resume=True, **tiny)


def test_a_checkpoint_without_a_digest_is_taken(tmp_path):
    """Fails where a run of an earlier version no longer goes on."""
    shutil.copytree(MODELS / "run", tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    with np.load(folder.checkpoint_path) as data:
        assert "digest" not in data
        values = [data[f"variable_{i}"] for i in range(sum("variable" in n for n in data))]
    variables = [Variable(value) for value in values]
    step, _, history = folder.load_checkpoint(variables)
    assert (step, len(history)) == (2, 1)
    np.testing.assert_array_equal(variables[0].value, values[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["settings"].update(epochs="2"), "settings.epochs is '2'"),
        (lambda c: c["settings"].update(batch_size=10**9), "settings.batch_size"),
        (lambda c: c["settings"].update(batch_size=-4), "batch_size is -4"),
        (lambda c: c["settings"].update(filters=[4, None]), r"settings.filters\[1\]"),
        (lambda c: c["settings"].update(learning_rate=float("nan")), "settings.learning_rate"),
        (lambda c: c["settings"].update(momentum=0.9), "settings.'momentum' is not known"),
        (lambda c: c["problem"].update(name=[1]), "problem.name"),
        (lambda c: c["problem"].pop("config"), "problem.config is missing"),
        (lambda c: c.update(precision="float64"), "precision"),
        (lambda c: c.update(settings=None), "settings is None"),
        (lambda c: c.clear(), "problem is missing"),
    ],
)
def test_a_damaged_configuration_is_told_of(change, message, folder):
    """Fails where a wrong value of config.json ends in a traceback or is taken."""
    config = json.loads(folder.config_path.read_text())
    change(config)
    folder.config_path.write_text(json.dumps(config))
    told = rf"config.json is damaged \(.*{message}.*\), and the checkpoints cannot be used without"
    with pytest.raises(InputError, match=told):
        folder.config()
    shutil.rmtree(folder.checkpoint_path.parent)
    with pytest.raises(InputError, match=r"\); start a new run in another folder"):
        folder.config()


def test_a_configuration_that_is_gone_is_told_of(folder, tiny):
    folder.config_path.unlink()
    with pytest.raises(InputError, match="checkpoints cannot be used without it"):
        train(Blur(), output=folder.path, resume=True, **tiny)


@pytest.mark.parametrize("text", ["[" * 10**5, "{", "", "\x00", "[]", "1" * 10**4])
def test_a_damaged_configuration_ends_a_command_in_a_line(text, folder, capfd):
    """Fails where the command line shows a traceback."""
    folder.config_path.write_text(text)
    with pytest.raises(SystemExit) as end:
        main(["train", "phase", "--resume", "--output", str(folder.path)])
    assert end.value.code == 2
    told = capfd.readouterr().err.strip().splitlines()
    assert told[-1].startswith("Error: ")
    assert "config.json is damaged" in told[-1]


HELD = """
import sys, time
from mcnn_keras.files.locking import locked
with locked(sys.argv[1], inside=True):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_run_that_another_process_trains_is_refused(folder, tiny):
    """Fails where two trainings write one folder, or a dead one keeps its lock."""
    command = [sys.executable, "-c", HELD, str(folder.path)]
    other = subprocess.Popen(command, stdout=subprocess.PIPE)
    other.stdout.readline()
    with pytest.raises(InputError, match=f"in use by another run .*{other.pid}"):
        train(Blur(), output=folder.path, resume=True, **tiny)
    other.send_signal(signal.SIGKILL)
    other.communicate()
    train(Blur(), output=folder.path, resume=True, **tiny)  # a finished run
    assert not (folder.path / ".lock").exists()
