"""Fail where a full disk, a lack of memory or a bad batch ends a training without a way on."""

import errno
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from test_training import Blur, assert_same_weights

from mcnn_keras import InputError, TrainingStopped, evaluate, train
from mcnn_keras.models import saving
from mcnn_keras.training import checkpoints, loop, pipeline
from mcnn_keras.training.checkpoints import RunFolder
from mcnn_keras.training.settings import Settings

# The largest file that the process may write is set after so many steps.
LIMITED = """
import resource, sys
sys.path.insert(0, {tests!r})
import conftest
from test_training import Blur
from mcnn_keras import TrainingStopped, train
from mcnn_keras.training import loop
advance = loop.Trainer._advance
def limited(self, batch):
    advance(self, batch)
    if self.step == {step}:
        resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, resource.RLIM_INFINITY))
loop.Trainer._advance = limited
try:
    train(Blur(), output={output!r}, **conftest.TINY)
except TrainingStopped as stopped:
    print(stopped)
"""


def limited(output, step, size):
    """What a training says that cannot write larger files from a step on."""
    code = LIMITED.format(tests=str(Path(__file__).parent), step=step, size=size, output=output)
    command = [sys.executable, "-W", "ignore", "-c", code]
    found = subprocess.run(command, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr[-2000:]
    return found.stdout.strip()


def test_a_full_disk_ends_a_run_in_a_line(tiny, tmp_path):
    """Fails where writing a checkpoint fails with a traceback, or loses the one before."""
    told = limited(str(tmp_path / "run"), 3, 1000)
    assert "the checkpoint of step 4 " in told
    assert "(File too large); the checkpoint of step 2 is kept" in told
    assert told.endswith("go on with --resume")
    assert "\n" not in told
    assert not list((tmp_path / "run").rglob("*part*"))
    resumed = train(Blur(), output=tmp_path / "run", resume=True, **tiny)
    assert_same_weights(train(Blur(), **tiny), resumed)


def no_space(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("what", ["model", "report", "history", "first checkpoint", "read-only"])
def test_what_cannot_be_written_is_told_and_the_run_goes_on_later(
    what, tiny, tmp_path, monkeypatch
):
    """Fails where a file that cannot be written ends in a traceback, or what is kept is unknown."""
    output = tmp_path / "run"
    with monkeypatch.context() as context:
        if what == "model":
            context.setattr(saving, "_write_keras_file", no_space)
        elif what == "report":
            context.setattr(loop, "write_report", no_space)
        elif what == "history":
            context.setattr(RunFolder, "write_history", no_space)
        elif what == "first checkpoint":
            context.setattr(checkpoints.np, "savez", no_space)
        else:
            output.mkdir()
            context.setattr(checkpoints, "replacing", no_space)
            with pytest.raises(InputError, match="run cannot be made: No space left"):
                train(Blur(), output=output, **tiny)
            return
        with pytest.raises(TrainingStopped, match="No space left on device") as caught:
            train(Blur(), output=output, **tiny)
    kept = {
        "model": "the training is done and its last checkpoint kept",
        "report": "the training is done and its last checkpoint kept",
        "history": "the checkpoint of step 2 is kept",
        "first checkpoint": "the checkpoint of step 0 is kept",
    }
    assert kept[what] in str(caught.value)
    train(Blur(), output=output, resume=True, **tiny)
    assert (output / "report.html").exists()


class Faulty(Blur):
    """The problem, one sample of which is no number."""

    name = "faulty"

    def __init__(self, number):
        self.number = number

    def observe(self, target, seed):
        bad = tf.where(self.bad, np.nan, 0.0)
        return super().observe(target, seed) + bad

    def sample(self, seed, size, split="train"):
        self.bad = (seed[1] == self.number) & (split == "train")
        return super().sample(seed, size, split)


@pytest.mark.parametrize(
    "options",
    [{}, {"fresh": False, "samples": 8}, {"mixed_sizes": True, "samples": 24}],
    ids=["fresh", "fixed", "mixed sizes"],
)
def test_the_batch_that_is_no_number_is_noted(options, tiny, tmp_path):
    """Fails where the step or the samples of stopped.json are not those of the bad batch."""
    options = {**tiny, **options}
    number = 5 if not options.get("mixed_sizes") else 12  # the first of a batch of large samples
    with pytest.raises(
        TrainingStopped, match=r"the loss became nan at step \d .*stopped.json"
    ) as end:
        train(Faulty(number), output=tmp_path / "run", **options)
    assert f"the image of the train sample {number} (seed 0) has " in str(end.value)
    assert "the problem 'faulty' gives no numbers there; mend its forward model" in str(end.value)
    assert "learning-rate" not in str(end.value)
    told = json.loads((tmp_path / "run" / "stopped.json").read_text())
    assert number in told["samples"]
    assert f"at step {told['step']}" in told["reason"]
    for sample in told["samples"]:  # made again as the docstring of batch_of says
        seed = tf.stack([tf.constant(told["seed"], tf.int64), sample])
        found = Faulty(number).sample(seed, told["image_size"], "train")
        assert np.isnan(np.asarray(found.image)).any() == (sample == number)
    settings = Settings(**options)
    if settings.fresh and not settings.mixed_sizes:
        assert told["step"] == number // 4
    each = [pipeline.batch_of(step, settings)["samples"] for step in range(settings.steps)]
    assert number in each[told["step"]]
    assert not any(number in samples for samples in each[: told["step"]])
    # From the last checkpoint the run comes to the same batch.
    with pytest.raises(TrainingStopped, match=f"became nan at step {told['step']} "):
        train(Faulty(number), output=tmp_path / "run", resume=True, **options)


def test_a_test_sample_that_is_no_number_is_told_first(tiny, tmp_path, monkeypatch):
    """Fails where a run begins, or a model is measured, with test samples that are no numbers."""
    model = train(Blur(), **tiny).model
    observe = Blur.observe
    monkeypatch.setattr(Blur, "observe", lambda self, t, seed: observe(self, t, seed) / 0.0)
    for work in (
        lambda: train(Blur(), output=tmp_path / "run", **tiny),
        lambda: evaluate(model, Blur(), samples=2),
    ):
        with pytest.raises(InputError, match=r"the image of the test sample 0 .* NaN or infinite"):
            work()
    assert not (tmp_path / "run" / "config.json").exists()


def test_a_run_that_goes_on_leaves_no_note(tiny, tmp_path):
    """Fails where a note of a batch stays although the run has passed it."""
    with pytest.raises(TrainingStopped):
        train(Faulty(13), output=tmp_path / "run", **tiny)
    mended = Faulty(-1)
    train(mended, output=tmp_path / "run", resume=True, **tiny)
    assert not (tmp_path / "run" / "stopped.json").exists()
    assert (tmp_path / "run" / "model.h5").exists()


@pytest.mark.parametrize(
    "error", [MemoryError(), tf.errors.ResourceExhaustedError(None, None, "OOM when allocating")]
)
def test_too_little_memory_is_told_with_what_takes_it(error, tiny, tmp_path, monkeypatch):
    """Fails where an allocation that fails ends in a traceback."""

    def fail(*_):
        raise error

    monkeypatch.setattr(loop.Trainer, "_advance", fail)
    with pytest.raises(TrainingStopped, match=r"batches of 4 images of 32 .* --batch-size or --im"):
        train(Blur(), output=tmp_path / "run", **tiny)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"epochs": "3"}, "epochs is '3'; a whole number"),
        ({"samples": 8.0}, "samples is 8.0; a whole number"),
        ({"learning_rate": None}, "learning_rate is None; a number"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"filters": 4}, "filters is 4; a list"),
        ({"fresh": "no"}, "fresh is 'no'; true or false"),
        ({"image_size": 10**9}, "image_size"),
    ],
    ids=str,
)
def test_settings_of_other_types_are_refused(setting, message):
    """Fails where a setting of another type is found out by a traceback, or later."""
    with pytest.raises(InputError, match=message):
        Settings(**setting)
    assert Settings(epochs=np.int64(3), start=Path("a.h5")).asdict()["start"] == "a.h5"
