"""Fail where a training set on disk holds other samples than the simulator makes, or hides it."""

import json
import os
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from test_training import Blur, assert_same_weights

from mcnn_keras import InputError, load, train
from mcnn_keras.cli.info import _training
from mcnn_keras.files.training_set import PLACES, TrainingSet, read_index, write_index
from mcnn_keras.models.onnx import usable_cores
from mcnn_keras.problems import Phase
from mcnn_keras.training import loop, pipeline
from mcnn_keras.training.simulated import simulate_set
from mcnn_keras.training.stored import Stored, as_simulated, from_disk

SIZES = {"image_size": 32, "shard_size": 6, "samples": 20, "test_samples": 7}


@pytest.fixture(scope="module")
def exact(tmp_path_factory):
    """A set of the problem Blur, as exact float32."""
    folder = tmp_path_factory.mktemp("sets") / "exact"
    simulate_set(Blur(), folder, exact=True, command="SIMULATE AGAIN", **SIZES)
    return folder


@pytest.fixture
def copied(exact, tmp_path):
    """A copy that a test may damage."""
    return Path(shutil.copytree(exact, tmp_path / "copied"))


def content(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.set"))}


@pytest.mark.parametrize(
    "damage", ["missing", "truncated", "sample", "table", "digit", "exchanged"]
)
def test_a_damaged_shard_is_told_in_one_line(copied, tiny, damage):
    """Fails where a damaged shard is trained on, or the message does not name it and the mend."""
    path = copied / "train-000001.set"
    index = read_index(copied)
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        os.truncate(path, path.stat().st_size - 1)
    elif damage == "exchanged":
        index["arrays"]["image"] = [64, 64, 1]
        write_index(copied, index)
    else:
        data = bytearray(path.read_bytes())
        table = len(data) - 32 - 4 - 6 * PLACES.itemsize
        at = {"sample": 400, "table": table + 3, "digit": table}[damage]
        data[at] ^= 0x55
        path.write_bytes(data)
    with pytest.raises(InputError) as error:
        train(Blur(), dataset=str(copied), **tiny | {"samples": 20})
    told = str(error.value)
    assert ".set" in told
    assert damage == "exchanged" or str(path) in told
    assert "is damaged or missing" in told
    assert "run SIMULATE AGAIN (finished shards are checked and kept)" in told
    assert "\n" not in told


class OtherBlur(Blur):
    """The same under another configuration."""

    def config(self):
        return {"radius": 7}


class Sharpen(Blur):
    """The same under another name."""

    name = "sharpen"


@pytest.mark.parametrize(
    ("problem", "settings", "words"),
    [
        (OtherBlur(), {}, "was simulated with radius None, not 7; train the problem of the set"),
        (Sharpen(), {}, "was simulated with problem blur, not sharpen"),
        (Blur(), {"image_size": 64}, "has images of 32 pixels, not 64; leave image_size out"),
        (Blur(), {"mixed_sizes": True}, "has images of one size; leave mixed_sizes out"),
    ],
)
def test_another_problem_or_size_is_refused(exact, tiny, problem, settings, words):
    """Fails where a set trains a problem, or a size, that it was not simulated for."""
    with pytest.raises(InputError, match=words):
        train(problem, dataset=str(exact), **tiny | settings)


def test_other_optics_are_refused(phase_problem, optics, tmp_path, tiny):
    """Fails where a set of one wavelength or plane trains for another one."""
    simulate_set(phase_problem, tmp_path, 2, 1, image_size=32)
    for other, words in (
        (Phase([-20.0], replace(optics, wavelength=0.5), input="physical"), "wavelength 0.65, not"),
        (Phase([-30.0], optics, input="physical"), r"defocus \[-20.0\], not \[-30.0\]"),
    ):
        with pytest.raises(InputError, match=f"was simulated with .*{words}"):
            train(other, dataset=str(tmp_path), **tiny)


def change(index, **values):
    index.update(values)
    return index


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (lambda i: change(i, complete=False), "is not complete; run SIMULATE AGAIN"),
        (lambda i: change(i, format=99), "was written by a newer mcnn-keras"),
        (lambda i: change(i, seed="0"), "index.json is damaged"),
        (lambda i: change(i, shards=i["shards"][1:]), "its shards are not those of its samples"),
        (lambda i: change(i, shard_size=5), "its shards are not those of its samples"),
        (lambda i: [], "index.json is damaged"),
    ],
)
def test_a_set_that_is_none_is_refused(copied, changed, words):
    """Fails where an index that does not fit its shards, or of another format, is taken."""
    (copied / "index.json").write_text(json.dumps(changed(read_index(copied))))
    with pytest.raises(InputError, match=words):
        TrainingSet(copied)


def test_a_folder_without_a_set_is_refused(tmp_path):
    """Fails where the folder, or what is expected in it, is not named."""
    with pytest.raises(InputError, match=r"holds no training set .*simulate_set\.py has written"):
        TrainingSet(tmp_path / "nothing")


class ChangedBlur(Blur):
    """Other samples under the same configuration: another version of the simulator."""

    def observe(self, target, seed):
        return super().observe(target, seed) + 0.1


@pytest.mark.parametrize(
    ("problem", "changes", "words"),
    [
        (Blur(), {"seed": 1}, "holds a training set with seed 0, not 1"),
        (Blur(), {"samples": 21}, "holds a training set with samples train 20, not 21"),
        (Blur(), {"exact": False}, "holds a training set with rounded False, not True"),
        (ChangedBlur(), {}, "is simulated differently now"),
        (Blur(), {"samples": 0}, "samples is 0; it must be at least 1"),
        (Blur(), {"seed": -1}, "seed -1 must be in"),
    ],
)
def test_a_set_is_not_continued_as_another_one(copied, problem, changes, words):
    """Fails where samples of two kinds come into one set."""
    before = content(copied)
    with pytest.raises(InputError, match=words):
        simulate_set(problem, copied, **{"exact": True, **SIZES, **changes})
    assert content(copied) == before


def test_a_folder_of_other_files_is_left_alone(tmp_path):
    """Fails where a set is written between the user's own files."""
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds other files \(notes.txt\); name a new folder"):
        simulate_set(Blur(), tmp_path, **SIZES)
    assert [p.name for p in tmp_path.iterdir() if not p.name.startswith(".")] == ["notes.txt"]


def test_training_from_disk_is_training_from_simulation(exact, tiny, monkeypatch):
    """Fails where a sample is not the one that is simulated, in one pass in the same order."""
    monkeypatch.setattr(Stored, "number_of", lambda self, seed, number: number)
    settings = tiny | {"samples": 20, "epochs": 1}
    own, read = train(Blur(), **settings), train(Blur(), dataset=str(exact), **settings)
    for name in ("loss", "mae"):
        assert read.history[0][name] == pytest.approx(own.history[0][name], rel=1e-5)
    assert_same_weights(own, read)
    # The test split, too.
    images, targets = loop.fixed_set(Blur(), "test", 7, 32, 0)
    found = loop.fixed_set(from_disk(Blur(), {"dataset": str(exact)}), "test", 7, 32, 5)
    np.testing.assert_array_equal(found[0], images)
    np.testing.assert_array_equal(found[1], targets)
    assert read.model.card.metrics["test_samples"] == 7


def numbers_read(monkeypatch):
    """The numbers of the training samples that are read from disk, as they come."""
    seen, read = [], TrainingSet.read

    def noted(self, split, number):
        seen.append(number)
        return read(self, split, number)

    monkeypatch.setattr(TrainingSet, "read", noted)
    return seen


def test_each_pass_has_every_sample_once_in_an_order_of_its_own(exact):
    """Fails where samples come twice in a pass, or orders repeat."""
    problem = Stored(Blur(), exact)
    orders = []
    for seed in (0, 1):
        numbers = [
            [int(problem.number_of(tf.constant(seed), tf.constant(n, tf.int64))) for n in a_pass]
            for a_pass in (range(20), range(20, 40))
        ]
        assert all(sorted(order) == list(range(20)) for order in numbers)
        orders += numbers
    orders.append(list(range(20)))
    assert len(set(map(tuple, orders))) == 5
    # The batch that stopped a run is told by the numbers with which it is simulated again.
    step = pipeline.batch_of(3, loop.Settings(samples=20, batch_size=4, image_size=32))
    again = as_simulated(problem, step)
    inputs, _ = next(iter(pipeline.stream(problem, "train", 4, 32, 0, start=12)))
    for i, number in enumerate(again["samples"]):
        made = Blur().sample(tf.constant([again["seed"], number], tf.int64), 32)
        np.testing.assert_array_equal(inputs[i], Blur().network_pair(made)[0])


@pytest.mark.parametrize("batch_size", [1, 3])
def test_only_a_few_batches_are_made_ahead(exact, monkeypatch, batch_size):
    """Fails where more is read, and kept in memory, than four batches and the samples under way."""
    problem = Stored(Blur(), exact)
    seen = numbers_read(monkeypatch)
    for _ in range(12):  # what is ahead can depend on which thread is first
        seen.clear()
        batches = iter(pipeline.stream(problem, "train", batch_size, 32, 0))
        next(batches)
        time.sleep(0.05)
        # One was taken, four wait, one is being made; two samples for each thread.
        assert len(seen) <= 6 * batch_size + 2 * usable_cores()
        del batches


@pytest.mark.parametrize("cores", [1, 96])
def test_a_sample_for_each_usable_core_is_made_at_once(exact, monkeypatch, cores):
    """Fails where a process that may use few of a machine's cores makes samples for all of them."""
    monkeypatch.setattr(pipeline, "usable_cores", lambda: cores)
    seen = numbers_read(monkeypatch)
    batches = iter(pipeline.stream(Stored(Blur(), exact), "train", 1, 32, 0))
    next(batches)
    time.sleep(0.5)
    assert (len(seen) > 96) == (cores == 96)


def test_workers_read_their_parts_of_each_batch(exact):
    """Fails where two workers together read other samples, or another order, than one."""
    problem = Stored(Blur(), exact)
    sizes = ("train", 8, 32, 0)
    whole = iter(pipeline.stream(problem, *sizes, start=8))
    parts = [
        iter(pipeline.stream(problem, *sizes, start=8, share=pipeline.Share(i, 2, 1)))
        for i in (0, 1)
    ]
    for _ in range(4):  # also over the end of a pass
        pairs = zip(next(whole), next(parts[0]), next(parts[1]), strict=True)
        for both, first, second in pairs:
            np.testing.assert_array_equal(both, np.concatenate([first, second]))


def test_a_resumed_run_ends_as_one_never_stopped(copied, tiny, tmp_path, monkeypatch):
    """Fails where a run from a set, which has moved in between, does not go on at its batch, or
    goes on with another set.
    """
    options = tiny | {"samples": 16, "fresh": True}
    whole = train(Blur(), dataset=str(copied), **options)
    advance = loop.Trainer._advance

    def interrupted(self, batch):
        advance(self, batch)
        if self.step == 5:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(loop.Trainer, "_advance", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(Blur(), output=tmp_path / "run", dataset=str(copied), **options)
    monkeypatch.undo()
    moved = copied.rename(tmp_path / "moved")
    options |= {"output": tmp_path / "run", "resume": True}
    simulate_set(Blur(), tmp_path / "other", seed=1, exact=True, **SIZES)
    for dataset, words in ((str(tmp_path / "other"), "seed 1"), (None, "dataset|training set")):
        with pytest.raises(InputError, match=words):
            train(Blur(), dataset=dataset, **options)
    resumed = train(Blur(), dataset=str(moved), **options)
    assert_same_weights(resumed, whole)
    assert resumed.history[-1]["loss"] == whole.history[-1]["loss"]


def test_the_card_tells_of_the_set(exact, tiny, tmp_path):
    """Fails where a model, or `info`, does not tell which samples it was trained on."""
    run = train(Blur(), dataset=str(exact), output=tmp_path / "run", **tiny)
    told = run.model.card.training["set"]
    assert told == {
        "name": "exact", "samples": 20, "seed": 0, "rounded": False,
        "identity": told["identity"],
    }  # fmt: skip
    card = load(tmp_path / "run" / "model.h5").card
    assert card.training["set"] == told
    words = "\n".join(_training(card))
    assert "8 an epoch, of a training set on disk (exact: 20 samples, seed 0); 2 epochs" in words
