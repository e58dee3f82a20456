"""Fail where a folder that may not be written ends a command with more than a line."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tifffile

# Runs a program without the right of root to write where no one may: capability 1, of Linux.
AS_ANYONE = """
import ctypes, os, sys
if os.geteuid() == 0:
    ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
# Runs commands one after the other: for each its status and its lines on standard error.
COMMANDS = """
import contextlib, io, json, sys
try:
    open("closed/file", "w").close()
    print(json.dumps(None))
    sys.exit()
except PermissionError:
    pass
from mcnn_keras.cli import main
found = []
for words in json.loads(sys.argv[1]):
    told = io.StringIO()
    with contextlib.redirect_stderr(told), contextlib.redirect_stdout(io.StringIO()):
        try:
            main(words)
        except SystemExit as end:
            found.append((end.code, told.getvalue().splitlines()))
print(json.dumps(found))
"""
SMALL = "--image-size 32 --samples 4 --batch-size 4 --epochs 1 --preset fast".split()


@pytest.mark.skipif(os.name == "nt", reason="has other rights")
def test_a_folder_that_may_not_be_written_is_told_of_in_a_line(trained, exported, tmp_path):
    """Fails where a command ends in a traceback, or leaves a file elsewhere."""
    place = tmp_path / "closed"
    place.mkdir()
    images = np.random.default_rng(0).random((2, 32, 32)).astype(np.float32) + 1
    tifffile.imwrite(tmp_path / "in.tif", images[0])
    tifffile.imwrite(place / "in.tif", images[0])
    tifffile.imwrite(tmp_path / "series.tif", images)
    optics = ["--defocus", "-20,20", "--wavelength", "0.65", "--pixel-size", "0.31"]
    model = str(trained.folder / "model.h5")
    refused = [
        ["predict", str(exported), "in.tif", "--output", "closed/a.tif"],
        ["predict", str(exported), "in.tif", "--output", "closed/new/a.tif"],
        ["predict", str(exported), "in.tif", "--output", "a.tif", "--video", "closed/a.gif"],
        ["train", "laplacian", *SMALL, "--output", "closed/run"],
        ["train", "laplacian", "--resume", *SMALL, "--output", "closed/old"],
        ["simulate", "laplacian", "--samples", "1", "--image-size", "32", "--output",
         "closed/a.h5"],
        ["reconstruct", "tie", "series.tif", *optics, "--output", "closed/a.tif"],
        ["compare", "phase", "series.tif", *optics, "--model", model, "--method", "tie",
         "--output", "closed/new"],
        ["export", model, "--output", "closed/a.onnx"],
        ["example", "closed/new"],
    ]  # fmt: skip
    good = [
        ["predict", str(exported), "closed/in.tif", "--output", "b.tif"],
        ["evaluate", model, "--samples", "2"],
        ["info", model],
    ]
    before = {p.name for p in tmp_path.iterdir()}
    place.chmod(0o555)
    try:
        found = subprocess.run(
            [sys.executable, "-c", AS_ANYONE, "-W", "ignore", "-c", COMMANDS,
             json.dumps([*refused, *good])],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
    finally:
        place.chmod(0o755)
    assert found.returncode == 0, found.stderr[-2000:]
    results = json.loads(found.stdout.splitlines()[-1])
    if results is None:
        pytest.skip("every folder may be written here")
    for words, (code, lines) in zip(refused, results, strict=False):
        errors = [line for line in lines if line.startswith("Error: ")]
        assert (code, len(errors)) == (2, 1), (words, lines)
        assert "closed" in errors[0], (words, errors)
        assert not [line for line in lines if "Traceback" in line]
    for words, (code, lines) in zip(good, results[len(refused) :], strict=True):
        assert code == 0, (words, lines)
    left = {p.name for p in tmp_path.iterdir()}
    assert left - before == {"b.tif", "b.png"}
    assert [p.name for p in place.iterdir()] == ["in.tif"]
