"""Fail where files that change, vanish or clash, or too little memory, spoil or lose a result."""

import os
import shutil
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import tifffile

from mcnn_keras import InputError, predict, predict_files
from mcnn_keras.cli import main
from mcnn_keras.files.fingerprint import fingerprint
from mcnn_keras.files.locking import locked
from mcnn_keras.inference import filling
from mcnn_keras.inference import watch as watching
from mcnn_keras.inference.spool import Spool
from mcnn_keras.inference.watch import watch
from mcnn_keras.models.onnx import OnnxModel
from mcnn_keras.models.saving import read_card

MODEL = Path(__file__).parent / "data" / "models" / "denoise.onnx"
SHAPE = (12, 48, 40)
FRAME = 4 * 48 * 40


@pytest.fixture
def movie(tmp_path, rng):
    np.save(tmp_path / "in.npy", rng.random(SHAPE).astype(np.float32) + 1)
    return tmp_path / "in.npy"


@pytest.fixture
def names(movie, tmp_path):
    return [str(movie)], tmp_path / "out.npy"


def interrupt(monkeypatch, after, do):
    """Have something happen before a batch is computed."""
    prepared, counted = filling.prepared, []

    def happening(*arguments):
        counted.append(1)
        if len(counted) == after:
            do()
        return prepared(*arguments)

    monkeypatch.setattr(filling, "prepared", happening)
    return counted


def begun(names, monkeypatch, after=9):
    """Leave a spool of some frames."""

    def stop():
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        interrupt(patch, after, stop)
        with pytest.raises(KeyboardInterrupt):
            predict_files(MODEL, *names, batch_size=1)
    return names[1].with_name(f".{names[1].name}.unfinished")


@pytest.mark.parametrize(
    ("damage", "kept"),
    [
        (lambda data: data[: 3 * FRAME] + bytes(len(data) - 3 * FRAME), 3),  # after a power cut
        (lambda data: bytes(len(data)), 0),
        (lambda data: data[: 4 * FRAME + 9], 4),
        (lambda data: data[:FRAME] + b"\1" + data[FRAME + 1 :], 1),
        (lambda data: data + bytes(5 * FRAME), 6),
        (lambda data: data, 6),
    ],
)
def test_frames_that_are_not_as_written_are_made_again(names, monkeypatch, damage, kept):
    """Fails where a zeroed, cut, changed or longer tail of the spool comes into the result."""
    whole = np.load(predict_files(MODEL, names[0], names[1].with_name("whole.npy"))[0])
    raw = begun(names, monkeypatch) / "frames.raw"
    data = raw.read_bytes()
    assert len(data) >= 6 * FRAME
    raw.write_bytes(damage(data[: 6 * FRAME]))
    index = raw.with_name("blocks.txt")
    index.write_text("".join(index.read_text().splitlines(keepends=True)[:6]))
    counted, told = interrupt(monkeypatch, 0, None), []
    out, _ = predict_files(MODEL, *names, resume=True, batch_size=1, say=told.append)
    assert len(counted) == SHAPE[0] - kept
    np.testing.assert_array_equal(np.load(out), whole)
    left = len(damage(data[: 6 * FRAME])) // FRAME
    assert any("computed again" in line for line in told) == (left > kept)


@pytest.mark.parametrize("index", ["", "x", "1 zz\n", "0 0\n" * 3, "-1 00000000\n", "\0" * 50])
def test_an_index_that_is_damaged_counts_no_frames(tmp_path, index):
    """Fails where a torn or zeroed index is believed, or ends in a traceback."""
    spool = Spool(tmp_path / "a.npy", (4, 4, 4), {})
    spool.append(np.ones((2, 4, 4), np.float32))
    spool.leave()
    spool.index.write_text(index)
    assert Spool(tmp_path / "a.npy", (4, 4, 4), {}, resume=True).done == 0


def test_an_input_of_the_same_size_and_time_is_another(names, movie, monkeypatch, rng):
    """Fails where frames of other content are mixed, or taken for a finished result."""
    told = movie.stat()
    begun(names, monkeypatch)
    np.save(movie, rng.random(SHAPE).astype(np.float32) + 1)
    os.utime(movie, ns=(told.st_atime_ns, told.st_mtime_ns))
    said = []
    out, _ = predict_files(MODEL, *names, resume=True, say=said.append)
    assert "out.npy starts again: the input or the model has changed" in said
    fresh, _ = predict_files(MODEL, names[0], names[1].with_name("fresh.npy"))
    np.testing.assert_array_equal(np.load(out), np.load(fresh))


@pytest.mark.parametrize("place", [0, 5 * 10**6, -1])
def test_a_fingerprint_tells_large_files_apart(tmp_path, place):
    """Fails where a change at either end, at another time, or within a folder is overlooked."""
    data = bytearray(10**7)
    (tmp_path / "day").mkdir()
    path = tmp_path / "day" / "a.raw"
    path.write_bytes(data)
    before = fingerprint(path), fingerprint(path.parent)
    assert (fingerprint(path), fingerprint(path.parent)) == before
    data[place] = 1
    path.write_bytes(data)
    after = fingerprint(path), fingerprint(path.parent)
    assert before[0] != after[0]
    assert before[1] != after[1]
    small = tmp_path / "b.raw"
    small.write_bytes(data[:100])
    first = fingerprint(small)
    os.utime(small, (1, 1))
    assert fingerprint(small) == first


@pytest.mark.parametrize("what", ["gone", "shorter", "other", "touched"])
def test_an_input_that_changes_while_it_is_read_makes_no_result(
    names, movie, monkeypatch, what, rng
):
    """Fails where a result mixes two states of its input, or what was computed is lost."""
    data = movie.read_bytes()

    def change():
        time.sleep(0.02)  # for file systems of coarse times
        if what == "gone":
            movie.unlink()
        elif what == "shorter":
            movie.write_bytes(data[: len(data) // 2])
        elif what == "touched":
            os.utime(movie)
        else:
            np.save(movie, rng.random(SHAPE).astype(np.float32))

    with monkeypatch.context() as patch:
        interrupt(patch, 7, change)
        with pytest.raises(InputError, match=r"in\.npy (is gone|has changed) while") as error:
            predict_files(MODEL, *names, batch_size=1)
    assert str(error.value).endswith("kept for --resume")
    assert not names[1].exists()
    movie.write_bytes(data)
    counted = interrupt(monkeypatch, 0, None)
    out, _ = predict_files(MODEL, *names, batch_size=1, resume=True)
    assert len(counted) < SHAPE[0]
    fresh, _ = predict_files(MODEL, names[0], names[1].with_name("fresh.npy"))
    np.testing.assert_array_equal(np.load(out), np.load(fresh))


def test_a_folder_that_is_removed_meanwhile_is_told_of(movie, tmp_path, monkeypatch):
    """Fails where frames go into a file that is no longer there, or with a traceback."""
    output = tmp_path / "results" / "out.npy"
    counted = interrupt(monkeypatch, 5, lambda: shutil.rmtree(output.parent))
    with pytest.raises(InputError, match=r"out\.npy cannot be written: .*No such file"):
        predict_files(MODEL, [str(movie)], output, batch_size=1)
    assert len(counted) < SHAPE[0]


@pytest.mark.skipif(os.geteuid() == 0, reason="may write anywhere")
def test_a_folder_that_cannot_be_written_is_told_of_before_computing(names, monkeypatch):
    """Fails where a read-only folder is found once all is computed."""
    monkeypatch.setattr(filling, "prepared", None)
    names[1].parent.chmod(0o500)
    with pytest.raises(InputError, match=r"out\.npy cannot be written: .*denied"):
        predict_files(MODEL, *names)


class Exhausted(RuntimeError):
    """As ONNX Runtime says it."""

    __module__ = "onnxruntime.capi.onnxruntime_pybind11_state"

    def __str__(self):
        return "Failed to allocate memory for requested buffer of size 4096"


def with_memory_for(monkeypatch, fits, error):
    """An engine that has memory for some batches only."""
    compute = OnnxModel.compute

    def limited(self, batch):
        if not fits(batch):
            raise error
        return compute(self, batch)

    monkeypatch.setattr(OnnxModel, "compute", limited)


@pytest.mark.parametrize("error", [MemoryError, Exhausted])
def test_too_little_memory_is_met_with_less_at_a_time(names, monkeypatch, error):
    """Fails where a batch that does not fit ends a command, or another answer comes of it."""
    stack = np.load(names[0][0])[:, :32, :32]  # in one piece
    np.save(names[0][0], stack)
    whole, _ = predict_files(MODEL, names[0], names[1].with_name("w.npy"), engine="onnxruntime")
    answers = predict(OnnxModel(MODEL), stack)
    with_memory_for(monkeypatch, lambda batch: len(batch) <= 3, error)
    told = []
    out, _ = predict_files(MODEL, *names, engine="onnxruntime", say=told.append)
    np.testing.assert_allclose(np.load(out), np.load(whole), atol=1e-5)
    wanted = [f"the memory does not suffice; {n} at a time are tried" for n in (6, 3)]
    assert [line for line in told if "memory does" in line] == wanted
    np.testing.assert_allclose(predict(OnnxModel(MODEL), stack), answers, atol=1e-5)


def test_an_image_that_does_not_fit_is_made_in_tiles(tmp_path, monkeypatch, rng):
    """Fails where one large image ends a command, or what does not fit at all in a traceback."""
    np.save(tmp_path / "in.npy", rng.random((3, 300, 200)).astype(np.float32) + 1)
    names, told = [str(tmp_path / "in.npy")], []
    tiled, _ = predict_files(MODEL, names, tmp_path / "t.npy", tile_size=64, engine="onnxruntime")
    with monkeypatch.context() as patch:
        with_memory_for(patch, lambda batch: max(batch.shape[1:3]) < 128, MemoryError("no more"))
        with pytest.warns(UserWarning, match="does not suffice; . tiles at a time"):
            out, _ = predict_files(
                MODEL, names, tmp_path / "a.npy", engine="onnxruntime", say=told.append,
                tile_size=128,
            )  # fmt: skip
    assert [line for line in told if "memory does" in line][-1] == (
        "the memory does not suffice; tiles of 64x64 are tried"
    )
    assert not any("again:" in line for line in told)
    np.testing.assert_array_equal(np.load(out), np.load(tiled))
    with_memory_for(monkeypatch, lambda batch: False, MemoryError("no more"))
    warnings.simplefilter("ignore")
    with pytest.raises(InputError, match=r"does not suffice for one image of 300x200 .*no more"):
        predict_files(MODEL, names, tmp_path / "b.npy", engine="onnxruntime", tile_size=128)
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_one_of_two_runs_on_one_output_is_refused(names, movie, tmp_path):
    """Fails where two runs append to one spool, as one that is gone on with twice at once."""
    command = [
        sys.executable, "-m", "mcnn_keras", "predict", MODEL, movie, "--output", names[1],
        "--resume", "--batch-size=1", "--engine=onnxruntime",
    ]  # fmt: skip
    np.save(movie, np.tile(np.load(movie), (25, 1, 1)))
    runs = [
        subprocess.Popen([str(c) for c in command], stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    errors = [run.communicate()[1] for run in runs]
    codes = sorted(run.returncode for run in runs)
    assert codes in ([0, 2], [0, 0])  # both, where one ended before the other began
    if codes == [0, 2]:
        assert "Error: " in "".join(errors)
        assert "is in use by another run (process " in "".join(errors)
    out, _ = predict_files(MODEL, names[0], tmp_path / "fresh.npy", batch_size=1)
    np.testing.assert_array_equal(np.load(names[1]), np.load(out))


def test_outputs_in_use_are_refused(names, tmp_path):
    """Fails where prediction, simulation or watching go on beside another run."""
    (tmp_path / "day").mkdir()
    with locked(names[1]), pytest.raises(InputError, match="in use by another run"):
        predict_files(MODEL, *names)
    results = tmp_path / "results"
    with locked(results, inside=True), pytest.raises(InputError, match="in use by another run"):
        watch(MODEL, read_card(MODEL), tmp_path / "day", results, engine=OnnxModel(MODEL))
    arguments = ["simulate", "laplacian", "--samples=1", "--output", str(tmp_path / "a.h5")]
    with locked(tmp_path / "a.h5"), pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2


@pytest.fixture
def watched(tmp_path, monkeypatch):
    """Watches a folder in a thread while a function acts, then ends."""
    monkeypatch.setattr(watching, "REST", 0.3)
    monkeypatch.setattr(watching, "PAUSE", 0.02)
    (tmp_path / "day").mkdir()

    def run(act, engine=None):
        ended, told, failures = threading.Event(), [], []

        def acting():
            try:
                act(told)
            except BaseException as error:
                failures.append(error)
            ended.set()

        thread = threading.Thread(target=acting)
        thread.start()
        watch(
            MODEL, read_card(MODEL), tmp_path / "day", tmp_path / "out", stop=ended.is_set,
            say=told.append, engine=engine or OnnxModel(MODEL),
        )  # fmt: skip
        thread.join()
        assert not failures, failures
        return told

    return run


def until(condition):
    deadline = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert condition()


def test_watching_publishes_nothing_of_half_a_file(watched, tmp_path, rng):
    """Fails where the first part of a file that rests is taken for all of it."""
    frames = rng.random(SHAPE).astype(np.float32) + 1
    tifffile.imwrite(tmp_path / "a.tif", frames)
    data = (tmp_path / "a.tif").read_bytes()
    result = tmp_path / "out" / "a.tif"

    def act(told):
        for part in (0.3, 0.6, 1):
            assert not result.exists()
            (tmp_path / "day" / "a.tif").write_bytes(data[: int(part * len(data))])
            if part < 1:
                until(lambda: len(told) == (1 if part == 0.3 else 2))  # noqa: B023
        until(result.exists)

    told = watched(act)
    first = [line.split()[0] for line in told]
    assert first[:2] == ["failed:", "failed:"]
    assert "failed:" not in first[2:]
    assert f"wrote {result}" in told
    assert tifffile.imread(result).shape == SHAPE


def test_watching_makes_the_result_of_a_file_that_is_replaced_meanwhile(
    watched, tmp_path, rng, monkeypatch
):
    """Fails where the result stays that of the file as it was, whatever the clock says."""
    day, result = tmp_path / "day" / "a.npy", tmp_path / "out" / "a.npy"
    frames = rng.random((2, *SHAPE)).astype(np.float32) + 1
    wanted, _ = predict_files(MODEL, [_saved(tmp_path / "b.npy", frames[1])], tmp_path / "w.npy",
                              engine="onnxruntime")  # fmt: skip

    def replaced():
        np.save(tmp_path / "c.npy", frames[1])
        os.utime(tmp_path / "c.npy", (1, 1))  # of an earlier time
        os.replace(tmp_path / "c.npy", day)

    def act(told):
        np.save(day, frames[0])
        until(result.exists)

    interrupt(monkeypatch, 1, replaced)
    told = watched(act)
    assert any("has changed while it was read" in line for line in told)
    np.testing.assert_array_equal(np.load(result), np.load(wanted))
    # The next one that watches finds it done.
    assert watched(lambda told: time.sleep(1)) == [f"{result} is there already"]
    # A file of the user's at the result's place stays.
    result.write_bytes(b"mine")
    told = watched(lambda told: until(lambda: told))
    assert "failed" in told[0]
    assert result.read_bytes() == b"mine"


def _saved(path, array):
    np.save(path, array)
    return str(path)
