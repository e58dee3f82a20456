"""Fail where what a killed command leaves beside its result stays there for ever."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import tifffile
from test_kills_prediction import run

from mcnn_keras.files import replacing
from mcnn_keras.files.whole import is_left, remove_left

# Writes half of a file, or of a folder, again and again under the given name, and is killed.
LEAVES = """
import os, signal, sys
from pathlib import Path
from mcnn_keras.files import replacing
with replacing(sys.argv[1]) as part:
    if sys.argv[2] == "folder":
        part.mkdir()
        part = part / "0.0"
    part.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def leave(path, kind):
    """What a killed process has left beside a result; its name."""
    before = set(path.parent.iterdir())
    subprocess.run([sys.executable, "-c", LEAVES, str(path), kind], check=False)
    (left,) = set(path.parent.iterdir()) - before
    return left


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_every_writer_removes_what_a_killed_one_has_left(kind, tmp_path):
    """Fails where half a result stays beside a whole one, or one of another result goes."""
    path = tmp_path / "a.b"
    left, other = leave(path, kind), leave(tmp_path / "b", kind)
    assert is_left(left.name, "a.b")
    assert not is_left(other.name, "a.b")
    with replacing(path) as part:
        part.write_text("whole")
    assert {p.name for p in tmp_path.iterdir()} == {"a.b", other.name}


def test_what_may_still_be_written_stays(tmp_path):
    """Fails where the file of a process that lives, or of another computer's, is taken away."""
    path = tmp_path / "a"
    left = leave(path, "file").name  # .part123-0f0f.a
    number, computer = left.split(".")[1].removeprefix("part").split("-")
    living = {
        f".part{os.getppid()}-{computer}.a", f".part{number}-{int(computer, 16) ^ 1:04x}.a",
        f".part{number}.a",  # of an earlier version, which does not tell the computer
    }  # fmt: skip
    for name in living:
        (tmp_path / name).write_text("half")
    with replacing(path) as part:
        assert part.name not in living
        part.write_text("whole")
    assert {p.name for p in tmp_path.iterdir()} == {"a", *living}
    remove_left(path)  # by the one that holds the lock
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_folder_that_a_kill_took_away_is_put_back(tmp_path):
    """Fails where a kill between two renames has lost the result that was there."""
    path = tmp_path / "a.zarr"
    left = leave(path, "folder")
    left.rename(tmp_path / left.name.replace(".part", ".old"))
    with pytest.raises(ZeroDivisionError), replacing(path):
        raise ZeroDivisionError
    assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"]
    assert (path / "0.0").read_text() == "half"


@pytest.fixture
def series(tmp_path, rng):
    """Two planes of a focal series as a file, with what describes it."""
    images = rng.random((2, 48, 48)).astype(np.float32) + 1
    tifffile.imwrite(tmp_path / "in.tif", images)
    told = {"defocus": [-20, 20], "wavelength": 0.65, "pixel_size": 0.31}
    (tmp_path / "in.json").write_text(json.dumps(told))


COMMANDS = {
    "reconstruct": ("reconstruct", "tie", "in.tif", "--output", "out/a.tif"),
    "compare": ("compare", "phase", "in.tif", "--method", "tie", "--method", "ctf", "--output",
                "out"),
    "phase": ("phase", "in.tif", "--no-refine", "--output", "out/a.tif"),
    "export": ("export", "denoise-fast", "--output", "out/a.onnx"),
}  # fmt: skip


# All but the first start TensorFlow, or take longer. The first file of `phase` may be the memory of
# the fastest engine, which lies elsewhere.
KILLS = [("reconstruct", 1), ("reconstruct", 2), ("compare", 1), ("compare", 4), ("phase", 2),
         ("export", 1)]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "count"),
    [pytest.param(*kill, marks=[pytest.mark.slow] * (i > 0)) for i, kill in enumerate(KILLS)],
)
@pytest.mark.usefixtures("series")
def test_a_killed_command_is_done_again_and_leaves_nothing(name, count, tmp_path, monkeypatch):
    """Fails where a command that was killed as it named its n-th file leaves files on the way."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    command = (*COMMANDS[name], "--overwrite")
    code, _, errors = run({"kind": "rename", "count": count, "share": 0}, *command)
    assert code == -signal.SIGKILL, errors
    assert any(p.name.startswith(".part") for p in (tmp_path / "out").iterdir())
    code, _, errors = run({"kind": "none", "count": 0, "share": 0}, *command)
    assert code == 0, errors
    found = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert not [name for name in found if name.startswith(".")]
