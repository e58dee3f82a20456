"""Fail where the tool that writes training sets loses an option, or files depend on the writer."""

import hashlib
import importlib.util
import os
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from test_training import Blur
from test_training_set import SIZES, content

from mcnn_keras import InputError
from mcnn_keras.cli import main
from mcnn_keras.files.training_set import TrainingSet, read_index
from mcnn_keras.inference import scheduler
from mcnn_keras.models.saving import read_card
from mcnn_keras.problems.any_phase import AnyPhase
from mcnn_keras.training import simulated
from mcnn_keras.training.pipeline import fixed_set
from mcnn_keras.training.simulated import simulate_set
from mcnn_keras.training.stored import Stored

TOOL = Path(__file__).parents[1] / "data_tools" / "simulate_set.py"
WORDS = ["laplacian", "--noise", "0.02", "--samples", "12", "--test-samples", "4",
         "--image-size", "64", "--shard-size", "5", "--output"]  # fmt: skip

PACKAGE = """
import tensorflow as tf
from mcnn_keras import Problem

class Speckle(Problem):
    name = "speckle"

    def targets(self, seed, size, split):
        return tf.random.stateless_normal((size, size, 1), seed)

    def conditions(self, seed):
        return {"dose": tf.random.stateless_uniform((), seed, 1.0, 9.0), "defocus": 3.0}

    def observe(self, target, seed, dose, defocus):
        return tf.nn.avg_pool2d(target[None], 5, 1, "SAME")[0] * dose
"""


@pytest.fixture
def speckle(tmp_path, monkeypatch):
    """A problem that a package offers, also to other processes."""
    package = tmp_path / "package"
    (package / "speckle-1.dist-info").mkdir(parents=True)
    (package / "speckle.py").write_text(PACKAGE)
    told = {"METADATA": "Metadata-Version: 2.1\nName: speckle\nVersion: 1\n",
            "entry_points.txt": "[mcnn_keras.problems]\nspeckle = speckle:Speckle\n"}  # fmt: skip
    for name, text in told.items():
        (package / "speckle-1.dist-info" / name).write_text(text)
    path = os.pathsep.join([str(package), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.syspath_prepend(package)
    import speckle

    yield speckle.Speckle()
    del sys.modules["speckle"]


@pytest.fixture
def tool(monkeypatch):
    """The tool as a module."""
    spec = importlib.util.spec_from_file_location("simulate_set", TOOL)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def test_shards_do_not_depend_on_the_processes_and_are_resumed(speckle, tmp_path):
    """Fails where two processes write other bytes than one, finished shards are written again, or
    missing, damaged and truncated ones are not.
    """
    words = [sys.executable, TOOL, "speckle", "--workers", "2", "--seed", "3"]
    for name, value in SIZES.items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    done = subprocess.run([*words, "--output", tmp_path / "two"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "6 shards written, 0 kept" in done.stdout
    assert "mcnn-keras train speckle --dataset" in done.stdout
    assert simulate_set(speckle, tmp_path / "one", seed=3, **SIZES) == (6, 0)
    expected = content(tmp_path / "one")
    assert len(expected) == 6
    assert content(tmp_path / "two") == expected

    shards = sorted((tmp_path / "two").glob("train*.set"))
    shards[0].unlink()
    data = bytearray(shards[1].read_bytes())
    data[len(data) // 2] ^= 1
    shards[1].write_bytes(data)
    os.truncate(shards[2], 500)
    assert simulate_set(speckle, tmp_path / "two", seed=3, **SIZES) == (3, 3)
    assert content(tmp_path / "two") == expected
    assert not [p for p in (tmp_path / "two").iterdir() if p.name.startswith(".part")]
    assert read_index(tmp_path / "two")["complete"]

    stored = TrainingSet(tmp_path / "two")
    sample = speckle.sample(tf.constant([3, 8], tf.int64), 32)
    image, target, dose = stored.read("train", 8)
    for own, made in ((image, sample.image), (target, sample.target)):
        assert np.abs(own - made).max() <= np.std(made) / 500
    np.testing.assert_allclose(dose, sample.conditions["dose"], rtol=1e-6)
    assert stored.index["fixed"] == {"defocus": 3.0}


@pytest.fixture
def cluster():
    """A Dask scheduler with a worker of two threads, in this process."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0"
    ) as cluster:
        yield cluster


def test_the_workers_of_a_dask_scheduler_write_the_same(tool, tmp_path, cluster, monkeypatch):
    """Fails where shards that Dask's workers write differ from those of this process."""
    monkeypatch.setattr(simulated, "_problem", lambda name, config: Blur())
    run = tool.by_dask(cluster.scheduler_address)
    simulate_set(Blur(), tmp_path / "set", exact=True, run=run, **SIZES)
    simulate_set(Blur(), tmp_path / "one", exact=True, **SIZES)
    assert content(tmp_path / "set") == content(tmp_path / "one")


def test_a_dask_scheduler_that_is_lost_is_told_in_one_line(tool, cluster, monkeypatch):
    """Fails where a scheduler that ends, or is not there, gives Dask's traceback."""
    address = cluster.scheduler_address
    monkeypatch.setattr(simulated, "make_shard", time.sleep)
    done = tool.by_dask(address)([(0,), (2,)])
    next(done)
    cluster.close()
    with pytest.raises(InputError, match=f"the scheduler at {address} is gone"):
        next(done)
    monkeypatch.setattr(scheduler, "PATIENCE", 0.5)
    with pytest.raises(InputError, match=f"no scheduler can be reached at {address}"):
        tool.by_dask(address)  # before a folder is begun


def test_conditions_and_shapes_may_vary(tmp_path):
    """Fails where the planes of a sample are lost, or those of another one are used."""
    problem = AnyPhase(ranges={"planes": (1, 4)})
    simulate_set(problem, tmp_path / "set", 6, 2, image_size=32, exact=True)
    stored = Stored(problem, tmp_path / "set")
    inputs, targets = fixed_set(stored, "test", 2, 32, 0)
    wanted = fixed_set(problem, "test", 2, 32, 0)
    np.testing.assert_allclose(inputs, wanted[0], atol=1e-4)
    np.testing.assert_allclose(targets, wanted[1], atol=1e-4)


def test_a_checksum_is_that_of_other_programs(phase_problem, tmp_path):
    """Fails where the index's SHA-256 is not that of the file, or a sample's CRC not its own."""
    simulate_set(phase_problem, tmp_path, 8, 1, image_size=32)
    shard = read_index(tmp_path)["shards"][0]
    data = (tmp_path / shard["file"]).read_bytes()
    assert hashlib.sha256(data).hexdigest() == shard["sha256"]
    table = np.frombuffer(data[-36 - 8 * 16 : -36], "<u8,<u4,<u4")
    start, size, crc = (int(v) for v in table[3])
    assert zlib.crc32(data[start : start + size]) == crc


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
