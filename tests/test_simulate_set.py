"""Fail where the tool that writes training sets loses an option, or files depend on the writer."""

import hashlib
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from mcnn_keras.cli import main
from mcnn_keras.files.training_set import read_index
from mcnn_keras.models.saving import read_card
from mcnn_keras.problems.any_phase import AnyPhase
from mcnn_keras.training.pipeline import fixed_set
from mcnn_keras.training.simulated import simulate_set
from mcnn_keras.training.stored import Stored

TOOL = Path(__file__).parents[1] / "data_tools" / "simulate_set.py"
WORDS = ["laplacian", "--noise", "0.02", "--samples", "12", "--test-samples", "4",
         "--image-size", "64", "--shard-size", "5", "--output"]  # fmt: skip


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
