"""Fail where a training set on disk is not what was simulated, or is used where it does not fit."""

import json
import os
import signal
import subprocess
import sys
import zlib
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from mcnn_keras import InputError, train
from mcnn_keras.cli import main
from mcnn_keras.files.packing import packed, unpacked
from mcnn_keras.files.training_set import TrainingSet, read_index
from mcnn_keras.models.saving import read_card
from mcnn_keras.problems import Phase
from mcnn_keras.problems.any_phase import AnyPhase
from mcnn_keras.training.pipeline import batch_of, fixed_set, stream
from mcnn_keras.training.settings import Settings
from mcnn_keras.training.simulated import simulate_set
from mcnn_keras.training.stored import Stored, as_simulated

TOOL = Path(__file__).parents[1] / "data_tools" / "simulate_set.py"
SAMPLES, TESTS = 20, 6
SET = {"samples": SAMPLES, "test_samples": TESTS, "image_size": 32, "seed": 3, "shard_size": 8}


@pytest.fixture(scope="module")
def exact(tmp_path_factory, phase_problem):
    folder = tmp_path_factory.mktemp("sets") / "exact"
    simulate_set(phase_problem, folder, exact=True, **SET)
    return folder


def simulated(problem, number, split="train", seed=3):
    found = problem.sample(tf.constant([seed, number], tf.int64), 32, split)
    return found.image.numpy(), found.target.numpy()


def copy_of(folder, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    return copy


def test_samples_are_those_of_the_problem(exact, phase_problem):
    """Fails where a sample has another number, split or seed, or is changed by the storage."""
    found = TrainingSet(exact)
    for split, number in (("train", 0), ("train", 7), ("train", 8), ("train", 19), ("test", 5)):
        stored = found.read(split, number)
        # Graphs and single operations differ in the last digits.
        for own, wanted in zip(stored, simulated(phase_problem, number, split), strict=True):
            np.testing.assert_allclose(own, wanted, rtol=1e-5, atol=1e-5)
    assert [shard["count"] for shard in found.index["shards"]] == [8, 8, 4, 6]


def test_rounding_keeps_to_its_limits(rng):
    """Fails where a value is off by more than is stated, or NaN, zeros or levels are lost."""
    far = np.float32(rng.normal(1e5, 3, (64, 64, 2)))
    holes = np.float32(rng.normal(1, 0.1, (64, 64, 3)))
    holes[3, :9, 0] = np.nan
    holes[..., 2] = np.nan  # a frame that is missing
    holes[40:, :, 1] = 0
    hot = np.float32(rng.normal(1, 0.1, (64, 64, 1)))
    hot[::13, ::17] = 1e6  # the other pixels must survive it
    levels = np.float32(rng.integers(0, 256, (64, 64, 3)))
    flat = np.full((8, 8, 1), 0.3, np.float32)
    infinite = np.where(holes > 1.2, np.float32(np.inf), holes)
    for array in (far, holes, hot, levels, flat, infinite):
        found = unpacked(packed([array], True))[0]
        assert found.dtype == np.float32
        np.testing.assert_array_equal(np.isnan(found), np.isnan(array))
        np.testing.assert_array_equal(found[array == 0], 0)
        for channel in range(array.shape[-1]):
            own, stored = array[..., channel], found[..., channel]
            usual = np.isfinite(own) & (own < 1e6)
            if usual.any():
                most = 1.1 * own[usual].std() / 512  # without the outliers, an estimate
                assert np.abs(stored[usual] - own[usual]).max() <= most
    np.testing.assert_array_equal(unpacked(packed([levels], True))[0], levels)
    np.testing.assert_array_equal(unpacked(packed([flat], True))[0], flat)
    for array in (far, infinite, np.float32(3.5), np.float32([1, 2])):
        np.testing.assert_array_equal(unpacked(packed([array], False))[0], array)


def test_batches_do_not_depend_on_where_they_start(exact, phase_problem):
    """Fails where a resumed training sees other samples, or a pass lacks or repeats one."""
    stored = Stored(phase_problem, exact)

    def take(count, start=0):
        found = stream(stored, "train", 4, 32, 11, start).take(count)
        return [images for images, _ in found.as_numpy_iterator()]

    whole = take(10)
    np.testing.assert_array_equal(take(1, start=32)[0], whole[8])
    passes = [np.concatenate(whole[:5]), np.concatenate(whole[5:])]
    for images in passes:
        assert len(np.unique(images.sum((1, 2, 3)))) == SAMPLES
    assert np.any(passes[0] != passes[1])
    settings = Settings(batch_size=4, image_size=32, samples=8, seed=11)
    told = as_simulated(stored, batch_of(6, settings))
    assert told["seed"] == 3
    for number, image in zip(told["samples"], whole[6], strict=True):
        inputs, _ = phase_problem.network_pair(
            phase_problem.sample(tf.constant([3, number], tf.int64), 32, "train")
        )
        np.testing.assert_allclose(inputs, image, rtol=1e-3, atol=1e-3)


def test_conditions_and_shapes_may_vary(tmp_path):
    """Fails where the planes of a sample are lost, or those of another one are used."""
    problem = AnyPhase(ranges={"planes": (1, 4)})
    simulate_set(problem, tmp_path / "set", 6, 2, image_size=32, exact=True)
    stored = Stored(problem, tmp_path / "set")
    inputs, targets = fixed_set(stored, "test", 2, 32, 0)
    wanted = fixed_set(problem, "test", 2, 32, 0)
    np.testing.assert_allclose(inputs, wanted[0], atol=1e-4)
    np.testing.assert_allclose(targets, wanted[1], atol=1e-4)


def test_a_resumed_training_ends_with_the_same_weights(exact, phase_problem, tiny, tmp_path):
    """Fails where resuming, or another place of the set, changes what is learned."""

    class Stop(keras.callbacks.Callback):
        steps = 0

        def on_train_batch_end(self, batch, logs=None):
            self.steps += 1
            if self.steps == 3:
                os.kill(os.getpid(), signal.SIGINT)

    whole = train(phase_problem, **tiny, dataset=exact)
    run = {**tiny, "output": tmp_path / "run"}
    with pytest.raises(KeyboardInterrupt):
        train(phase_problem, callbacks=[Stop()], dataset=exact, **run)
    moved = copy_of(exact, tmp_path)
    resumed = train(phase_problem, resume=True, dataset=moved, **run)
    for a, b in zip(whole.model.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    told = read_card(tmp_path / "run" / "model.h5").training["set"]
    assert (told["name"], told["samples"], told["seed"]) == ("copy", SAMPLES, 3)
    assert whole.model.card.metrics["test_samples"] == TESTS
    other = tmp_path / "other"
    simulate_set(phase_problem, other, **{**SET, "seed": 4})
    with pytest.raises(InputError, match=r"started with training set of 20 samples, seed 3"):
        train(phase_problem, resume=True, dataset=other, **run)


def test_what_does_not_fit_is_refused(exact, phase_problem, optics, tiny, tmp_path):
    """Fails where a set of other planes, sizes or none at all is trained on."""
    for problem, settings, message in (
        (Phase([-25.0], optics, input="physical"), tiny, r"defocus \[-20.0\], not \[-25.0\]"),
        (phase_problem, {**tiny, "image_size": 64}, "images of 32 pixels, not 64"),
        (phase_problem, {**tiny, "mixed_sizes": True}, "images of one size"),
        (AnyPhase(), tiny, "problem phase, not any_phase"),
    ):
        with pytest.raises(InputError, match=message):
            train(problem, dataset=exact, **settings)
    with pytest.raises(InputError, match="holds no training set"):
        train(phase_problem, dataset=tmp_path, **tiny)


@pytest.mark.parametrize("fault", ["changed", "cut", "gone", "table", "unfinished"])
def test_a_damaged_shard_is_named(fault, exact, phase_problem, tiny, tmp_path):
    """Fails where damage is trained on, or not told in one line, or not mended by a second run."""
    copy = copy_of(exact, tmp_path)
    shard = copy / "train-000001.set"
    data = bytearray(shard.read_bytes())
    if fault in ("changed", "table"):
        data[len(data) // 2 if fault == "changed" else -40] ^= 1
        shard.write_bytes(data)
    elif fault == "cut":
        shard.write_bytes(data[:-100])
    elif fault == "gone":
        shard.unlink()
    else:
        index = read_index(copy)
        (copy / "index.json").write_text(json.dumps({**index, "complete": False}))
    named = "not complete" if fault == "unfinished" else r"train-000001\.set is damaged or missing"
    with pytest.raises(InputError, match=named) as told:
        train(phase_problem, dataset=copy, **tiny, output=tmp_path / "run")
    assert "\n" not in str(told.value)
    written, kept = simulate_set(phase_problem, copy, exact=True, **SET)
    assert (written, kept) == ((0, 4) if fault == "unfinished" else (1, 3))
    assert shard.read_bytes() == (exact / shard.name).read_bytes()
    assert read_index(copy)["complete"]


def test_an_index_that_is_damaged_is_told(exact, tmp_path):
    """Fails where a damaged or newer index ends in a traceback, or is trained on."""
    copy = copy_of(exact, tmp_path)
    index = read_index(copy)
    for told, message in (
        ("{", "damaged"),
        (json.dumps({**index, "seed": "x"}), "seed is 'x'"),
        (json.dumps({**index, "shards": index["shards"][:2]}), "its shards are not those"),
        (json.dumps({**index, "format": 99}), "newer mcnn-keras"),
    ):
        (copy / "index.json").write_text(told)
        with pytest.raises(InputError, match=message):
            TrainingSet(copy)


def test_a_folder_of_other_things_is_left_alone(exact, phase_problem, tmp_path):
    """Fails where a set is written into another one, or goes on with other samples."""
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"other files \(notes\.txt\)"):
        simulate_set(phase_problem, tmp_path, **SET)
    with pytest.raises(InputError, match="training set with seed 3, not 4"):
        simulate_set(phase_problem, exact, exact=True, **{**SET, "seed": 4})
    changed = Phase.from_config(phase_problem.config())
    detect = changed.detect
    changed.detect = lambda *given: 1.1 * detect(*given)
    with pytest.raises(InputError, match="simulated differently now"):
        simulate_set(changed, exact, exact=True, **SET)


def test_a_checksum_is_that_of_other_programs(exact):
    """Fails where the index's SHA-256 is not that of the file, or a sample's CRC not its own."""
    import hashlib

    shard = read_index(exact)["shards"][0]
    data = (exact / shard["file"]).read_bytes()
    assert hashlib.sha256(data).hexdigest() == shard["sha256"]
    table = np.frombuffer(data[-36 - 8 * 16 : -36], "<u8,<u4,<u4")
    start, size, crc = (int(v) for v in table[3])
    assert zlib.crc32(data[start : start + size]) == crc


WORDS = ["laplacian", "--noise", "0.02", "--samples", "12", "--test-samples", "4",
         "--image-size", "64", "--shard-size", "5", "--output"]  # fmt: skip


def by_tool(folder, *more):
    done = subprocess.run(
        [sys.executable, TOOL, *WORDS, folder, *more], capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_the_tool_and_the_command(tmp_path, small_preset, capfd):
    """Fails where the tool loses an option, or `train` needs the options of the set again."""
    folder, run = by_tool(tmp_path / "set", "--workers", "1"), tmp_path / "run"
    told = ["train", "laplacian", "--dataset", str(folder), "--samples", "8"]
    told += ["--epochs", "1", "--preset", "fast", "--output", str(run)]
    with pytest.raises(SystemExit) as end:
        main(told)
    assert end.value.code == 0, capfd.readouterr().err
    card = read_card(run / "model.h5")
    assert card.config["noise"] == 0.02
    assert card.training["image_size"] == 64
    assert "12 samples; the run takes 8 of them" in capfd.readouterr().out
    with pytest.raises(SystemExit) as end:
        main([*told, "--noise", "0.03"])
    assert end.value.code == 2
    assert "noise 0.02, not 0.03" in capfd.readouterr().err


@pytest.mark.slow
def test_files_do_not_depend_on_who_writes_them(tmp_path):
    """Fails where two processes, or the workers of Dask, write other samples than one process."""
    distributed = pytest.importorskip("distributed")
    one = by_tool(tmp_path / "one", "--workers", "1")
    others = [by_tool(tmp_path / "two", "--workers", "2")]
    with distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=None) as cluster:
        address = cluster.scheduler_address
        others.append(by_tool(tmp_path / "dask", "--scheduler", address))
    paths = list(one.glob("*.set"))
    assert len(paths) == 4
    for path in paths:
        for other in others:
            assert path.read_bytes() == (other / path.name).read_bytes()


def test_a_wrong_use_of_the_tool_is_told_in_one_line(tmp_path):
    """Fails where wrong numbers or problems end in a traceback."""
    for words, message in (
        ([*WORDS, tmp_path / "set", "--samples", "0"], "samples is 0; it must be at least 1"),
        (["nothing"], "nothing"),
    ):
        done = subprocess.run(
            [sys.executable, TOOL, *words], capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 2
        assert message in done.stderr
        assert done.stderr.count("\n") == 1
