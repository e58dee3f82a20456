"""Fail where a training that is killed, again and again, ends otherwise than one that never was."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_training import Blur

from mcnn_keras import load, train

KINDS = {
    "plain": {},
    "adversarial": {"adversarial": 0.1},
    "growing": {"growing": True},
    "bfloat16": {"precision": "bfloat16"},
    "two replicas": {},
}


def killed(kind, kills, settings, folder, **told):
    """Weights of a run that was killed so many times, and the steps that its kills left."""
    told = {
        **told, "output": str(folder / "run"), "settings": {**settings, **KINDS[kind]},
        "kills": kills, "replicas": 2 if kind == "two replicas" else 1,
    }  # fmt: skip
    script = Path(__file__).with_name("kill_training.py")
    found = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), json.dumps(told)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr[-3000:]
    steps = json.loads(found.stdout.splitlines()[-1])
    assert steps == sorted(steps)
    assert not [path for path in (folder / "run").rglob(".*") if path.is_file()]
    rows = (folder / "run" / "history.csv").read_text().splitlines()
    assert len(rows) == 1 + settings["epochs"]
    return load(folder / "run" / "model.h5").get_weights(), steps


def test_a_killed_run_resumes_exactly(tiny, tmp_path):
    """Fails where a kill leaves half a checkpoint, or one whose parts are of different steps."""
    settings = {**tiny, "samples": 160}
    weights, _ = killed("plain", 2, settings, tmp_path)
    for x, y in zip(train(Blur(), **settings).model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_is_killed_25_times_resumes_exactly(kind, tiny, tmp_path):
    """Fails where any kind of training lacks something in its checkpoint, at any moment."""
    settings, whole = {**tiny, "samples": 300, "epochs": 4}, str(tmp_path / "whole")
    weights, steps = killed(kind, 25, settings, tmp_path, seed=1, whole=whole)
    expected = load(Path(whole) / "model.h5").get_weights()
    apart = max(float(np.abs(x - y).max()) for x, y in zip(expected, weights, strict=True))
    print(f"{kind}: 25 kills at steps {steps}; the weights differ by {apart:g} at most")
    assert apart <= (1e-3 if kind == "two replicas" else 0)
