"""Fail where a full disk ends a command with more than a line, tears a file or loses work."""

import contextlib
import signal
from pathlib import Path

import numpy as np
import pytest

import mcnn_keras
from mcnn_keras import predict_files
from mcnn_keras.cli import main
from mcnn_keras.files import open_recording

resource = pytest.importorskip("resource")
MODEL = Path(__file__).parent / "data" / "models" / "denoise.onnx"
SHAPE = (12, 64, 64)
BYTES = 4 * 12 * 64 * 64


@pytest.fixture
def movie(tmp_path, rng):
    np.save(tmp_path / "in.npy", rng.random(SHAPE).astype(np.float32) + 1)
    return tmp_path / "in.npy"


@contextlib.contextmanager
def full_disk(limit):
    """No file may be larger than `limit` bytes: the system refuses to write, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.fixture
def limited(capfd):
    """Run a command on such a disk; gives its status and its lines on standard error."""

    def run(limit, *arguments):
        with full_disk(limit), pytest.raises(SystemExit) as end:
            main([str(a) for a in arguments])
        return end.value.code, capfd.readouterr().err.splitlines()

    return run


@pytest.mark.parametrize("name", ["a.npy", "a.tif", "a.h5", "a.mrc", "a.hspy", "a.zarr", "a.zspy"])
def test_a_result_that_does_not_fit_is_whole_or_absent(name, movie, tmp_path, limited):
    """Fails where any format ends in a crash, a traceback, a torn file or part files."""
    if name.endswith(("hspy", "zspy", "zarr", "mrc")):
        pytest.importorskip("rsciio")
    out = tmp_path / "out" / name
    predict_files(MODEL, [str(movie)], tmp_path / "whole.npy", engine="onnxruntime")
    command = ("predict", MODEL, movie, "--output", out, "--engine=onnxruntime")
    # The frames fit to the byte, but not the frames and a header; chunks of a folder are smaller.
    limit = 8000 if name.endswith(("zarr", "zspy")) else BYTES
    if name.endswith(("hspy", "zarr", "zspy")):  # which are compressed: what was computed is there
        code, errors = limited(BYTES, *command[:4], tmp_path / "b.npy", command[-1])
        (tmp_path / ".b.npy.unfinished").rename(tmp_path / f".{name}.unfinished")
        out = tmp_path / name
        limit, command = 8000, (*command[:4], out, command[-1], "--resume")
    code, errors = limited(limit, *command)
    assert code == 2, errors
    assert len(errors) == 1, errors
    assert "cannot be written" in errors[0]
    assert "File too large" in errors[0] or "No space left" in errors[0]
    assert errors[0].endswith("what was computed is kept for --resume")
    assert sorted(p.name for p in out.parent.glob(f"*{name}*")) == [f".{name}.unfinished"]
    predict_files(MODEL, [str(movie)], out, engine="onnxruntime", resume=True)
    with open_recording(out) as result:
        np.testing.assert_array_equal(result.read(), np.load(tmp_path / "whole.npy"))
    assert not [p for p in out.parent.iterdir() if p.name.startswith(".")]


@pytest.mark.parametrize("fits", [3.5, 0])
def test_frames_that_do_not_fit_are_made_later(fits, movie, tmp_path, limited):
    """Fails where the disk is full before all frames are computed, and those that are get lost."""
    out = tmp_path / "a.npy"
    predict_files(MODEL, [str(movie)], tmp_path / "whole.npy", engine="onnxruntime")
    limit = int(fits * 4 * 64 * 64) or 3000
    code, errors = limited(limit, "predict", MODEL, movie, "--output", out, "--batch-size=1",
                           "--engine=onnxruntime")  # fmt: skip
    assert code == 2, errors
    assert len(errors) == 1, errors
    assert "File too large" in errors[0]
    kept = tmp_path / ".a.npy.unfinished" / "blocks.txt"
    assert (len(kept.read_text().splitlines()) if fits else kept.exists()) == int(fits)
    told = []
    predict_files(MODEL, [str(movie)], out, engine="onnxruntime", resume=True, say=told.append)
    np.testing.assert_array_equal(np.load(out), np.load(tmp_path / "whole.npy"))
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


@pytest.mark.parametrize("option", ["--output=a.tif", "--video=v.gif"])
def test_a_picture_or_video_that_does_not_fit_is_told_of(
    option, movie, tmp_path, monkeypatch, limited
):
    """Fails where the small files beside a result end a command otherwise."""
    monkeypatch.chdir(tmp_path)
    np.save("in.npy", np.load("in.npy")[:1])  # a result of 16 KiB; the pictures are not compressed
    for name in ("a.tif",):
        options = ["--dtype=uint8", f"--output={name}", "--engine=onnxruntime"]
        options += [option] * option.startswith("--video")
        limit = 6000 if option.startswith("--video") else 5000
        code, errors = limited(limit, "predict", MODEL, "in.npy", *options)
        assert code == 2, errors
        assert len(errors) == 1, errors
        assert "File too large" in errors[0]
    assert not [p.name for p in tmp_path.iterdir() if p.name.startswith((".part", ".old"))]
    predict_files(MODEL, ["in.npy"], "a.tif", engine="onnxruntime", dtype="uint8", resume=True)


def test_a_simulation_that_does_not_fit_leaves_nothing(tmp_path, limited):
    """Fails where HDF5 ends the process, or half a file of samples is left."""
    code, errors = limited(20000, "simulate", "laplacian", "--samples=4", "--image-size=64",
                           "--output", tmp_path / "a.h5")  # fmt: skip
    assert code == 2, errors
    assert errors[-1].startswith("Error: ")
    assert "File too large" in errors[-1]
    assert not list(tmp_path.iterdir())


def test_settings_that_cannot_be_kept_end_no_command(movie, tmp_path, monkeypatch):
    """Fails where the memory of the fastest engine is on a full or read-only disk."""
    (tmp_path / "cache").write_text("a file, where a folder is wanted")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    told = []
    predict_files(MODEL, [str(movie)], tmp_path / "a.npy", say=told.append)
    assert (tmp_path / "a.npy").exists()


@pytest.mark.parametrize("share", [0.001, 0.3, 0.6, 0.9, 0.999])
def test_a_model_that_does_not_fit_is_whole_or_absent(share, trained, tmp_path):
    """Fails where saving a model ends the process, tears the one that is there, or leaves parts."""
    path = tmp_path / "model.h5"
    mcnn_keras.save(trained.model, path)
    before = path.read_bytes()
    with full_disk(int(share * len(before))), pytest.raises(OSError, match="File too large"):
        mcnn_keras.save(trained.model, path)
    assert [p.name for p in tmp_path.iterdir()] == ["model.h5"]
    assert path.read_bytes() == before
    mcnn_keras.load(path)


def test_an_exported_model_that_does_not_fit_is_told_of(tmp_path, limited):
    """Fails where the export ends with more than a line, or leaves half a file."""
    code, errors = limited(10000, "export", "denoise-fast", "--output", tmp_path / "a.onnx")
    assert code == 2, errors
    assert errors[-1].startswith("Error: ")
    assert "File too large" in errors[-1]
    assert not list(tmp_path.iterdir())
