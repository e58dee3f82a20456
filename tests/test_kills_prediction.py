"""Fail where a kill at any moment loses, repeats or tears something, or leaves something behind."""

import json
import random
import signal
import subprocess
import sys
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest

from mcnn_keras import predict_files

MODEL = Path(__file__).parent / "data" / "models" / "denoise.onnx"
SHAPE = (60, 40, 48)
FRAME = 4 * 40 * 48
EACH = 2  # frames of a batch
KINDS = ("frames", "line", "result", "sink", "rename", "disk", "remove", "time")
SEEDS = [pytest.param(seed, marks=[] if seed < 3 else pytest.mark.slow) for seed in range(25)]


def run(plan, *arguments):
    """Run a command that is killed at a moment; its exit status, frames computed, and errors."""
    command = [sys.executable, Path(__file__).with_name("killed.py"), json.dumps(plan), *arguments]
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    computed = [line for line in done.stdout.splitlines() if line.startswith("computed ")]
    return done.returncode, int(computed[-1].split()[1]) if computed else None, done.stderr


def frames_that_are_kept(spool):
    """Frames of a spool whose lines and checksums are true, counted by themselves."""
    if not (spool / "blocks.txt").exists():
        return 0
    data, kept = (spool / "frames.raw").read_bytes(), 0
    for line in (spool / "blocks.txt").read_text().splitlines(keepends=True):
        block = data[kept * FRAME : (kept + EACH) * FRAME]
        if line != f"{EACH} {zlib.crc32(block):08x}\n" or len(block) < EACH * FRAME:
            break
        kept += EACH
    return kept


@pytest.mark.parametrize("seed", SEEDS)
def test_a_killed_prediction_goes_on_to_the_same_result(seed, tmp_path):
    """Fails where the result differs from an uninterrupted one, or a frame is made twice."""
    draw = random.Random(seed)
    frames = np.random.default_rng(seed).random(SHAPE).astype(np.float32) + 1
    (tmp_path / "a").mkdir()
    np.save(tmp_path / "in.npy", frames)
    suffix = draw.choice([".npy", ".tif", ".h5", ".mrc"])
    options = ["--video", tmp_path / "a" / "v.gif"] * (seed % 5 == 0)
    out = tmp_path / "a" / f"out{suffix}"
    whole = predict_files(
        MODEL, [str(tmp_path / "in.npy")], tmp_path / f"w{suffix}", batch_size=EACH,
        engine="onnxruntime",
    )  # fmt: skip
    command = ("predict", MODEL, tmp_path / "in.npy", "--output", out, *options,
               f"--batch-size={EACH}", "--engine=onnxruntime", "--resume")  # fmt: skip
    for number in range(1 + seed % 3):
        kind = draw.choice(KINDS) if number else KINDS[seed % len(KINDS)]
        count = draw.randint(1, 5 if kind in ("rename", "disk") else SHAPE[0] // EACH)
        share = draw.random()
        code, _, errors = run({"kind": kind, "count": count, "share": share}, *command)
        if code == 0:  # there was less to do than the plan waits for
            break
        assert code == -signal.SIGKILL, errors
        left = {path.name for path in tmp_path.iterdir()}
        assert left == {"a", "in.npy", *(path.name for path in whole)}
    kept, done = frames_that_are_kept(out.with_name(f".{out.name}.unfinished")), out.exists()
    code, computed, errors = run({"kind": "none", "count": 0, "share": 0}, *command)
    assert code == 0, errors
    assert computed == SHAPE[0] - kept or (done and computed == 0)
    # The header of an .mrc file tells the time.
    header = 1024 * (suffix == ".mrc")
    assert out.read_bytes()[header:] == whole[0].read_bytes()[header:]
    wanted = {out.name, "out.png"} | ({"v.gif"} if options else set())
    assert {path.name for path in out.parent.iterdir()} == wanted
    assert np.array_equal(np.load(tmp_path / "in.npy"), frames)
    code, computed, errors = run({"kind": "none", "count": 0, "share": 0}, *command)
    assert (code, computed) == (0, 0), errors


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """The file of a simulation that nothing interrupts."""
    path = tmp_path_factory.mktemp("whole") / "b.h5"
    _simulate(path)
    return path


SIMULATE = ("simulate", "laplacian", "--samples=5", "--image-size=64", "--output")


def _simulate(path):
    # In a process of its own, too: the tests' own pictures are fewer.
    code, _, errors = run({"kind": "none", "count": 0, "share": 0}, *SIMULATE, path, "--overwrite")
    assert code == 0, errors


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(25))
def test_a_killed_simulation_is_whole_or_absent(seed, tmp_path, samples):
    """Fails where a kill leaves half a file of samples under its name, or files on the way."""
    draw = random.Random(seed)
    kind = draw.choice(["sink", "sink", "sink", "rename", "disk", "time"])
    plan = {"kind": kind, "count": 1 if kind != "sink" else draw.randint(1, 25)}
    plan["share"] = draw.random() * (12 if kind == "time" else 1)
    code, _, errors = run(plan, *SIMULATE, tmp_path / "a.h5")
    assert code in (0, -signal.SIGKILL), errors
    if (tmp_path / "a.h5").exists():
        assert code == 0 or kind in ("rename", "time")
        _same(tmp_path / "a.h5", samples)
    _simulate(tmp_path / "a.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]
    _same(tmp_path / "a.h5", samples)


def _same(one, other):
    with h5py.File(one) as killed, h5py.File(other) as whole:
        for key in ("images", "targets"):
            assert len(whole[key]) == 5
            np.testing.assert_array_equal(killed[key][:], whole[key][:])
