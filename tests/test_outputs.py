"""Fail where a command replaces what it did not write, or what its result is made from."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile

from mcnn_keras import InputError, predict_files
from mcnn_keras.cli import main
from mcnn_keras.files import Axis, write_recording
from mcnn_keras.files.places import require_free

MODEL = Path(__file__).parent / "data" / "models" / "denoise.onnx"
ANSWER = b"years of work"


@pytest.fixture
def movie(tmp_path, rng):
    np.save(tmp_path / "in.npy", rng.random((3, 48, 40)).astype(np.float32) + 1)
    return tmp_path / "in.npy"


def refused(capfd, *arguments):
    with pytest.raises(SystemExit) as end:
        main([str(a) for a in arguments])
    assert end.value.code == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("Error: ")
    return line


PREDICT = ("predict", MODEL, "in.npy")
TIE = ("reconstruct", "tie", "in.npy", "--defocus=-1,0,1", "--wavelength=0.5", "--pixel-size=0.3")


@pytest.mark.parametrize(
    ("taken", "command"),
    [
        ("out.tif", (*PREDICT, "--output=out.tif")),
        ("out.png", (*PREDICT, "--output=out.tif")),
        ("v.gif", (*PREDICT, "--output=out.tif", "--video=v.gif")),
        ("r.html", (*PREDICT, "--output=out.tif", "--report=r.html")),
        ("r.html", ("phase", *TIE[2:], "--output=out.tif", "--report=r.html")),
        ("r.html", ("compare", "phase", *TIE[2:], "--output=cmp", "--report=r.html")),
        ("day/in.npy", (*PREDICT, "--output=day/")),
        ("day/in.png", (*PREDICT, "--output=day/")),
        ("out.tif", ("denoise", "in.npy", f"--model={MODEL}", "--output=out.tif")),
        ("out.tif", (*TIE, "--output=out.tif")),
        ("out.png", (*TIE, "--output=out.tif")),
        ("out.tif", ("phase", *TIE[2:], "--output=out.tif")),
        ("out.h5", ("simulate", "laplacian", "--output=out.h5")),
        ("out.onnx", ("export", "denoise", "--output=out.onnx")),
        ("cmp/notes.txt", ("compare", "phase", *TIE[2:], "--output=cmp")),
        ("mine/notes.txt", ("example", "mine")),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_no_command_replaces_a_file_that_is_there(movie, taken, command, monkeypatch, capfd):
    """Fails where any command that writes replaces a user's file without being told to."""
    monkeypatch.chdir(movie.parent)
    Path(taken).parent.mkdir(exist_ok=True)
    Path(taken).write_bytes(ANSWER)
    line = refused(capfd, *command)
    assert Path(taken).parts[0].split("/")[0] in line
    assert "--overwrite" in line or command[0] == "example"
    assert Path(taken).read_bytes() == ANSWER
    left = sorted(p.name for p in movie.parent.iterdir())
    assert left == sorted({"in.npy", Path(taken).parts[0]})


def test_what_is_there_is_replaced_when_asked_for(movie, tmp_path):
    """Fails where --overwrite does not replace, replaces the target of a link, or the input."""
    other = tmp_path / "other.tif"
    other.write_bytes(ANSWER)
    (tmp_path / "out.tif").symlink_to(other)
    predict_files(MODEL, [str(movie)], tmp_path / "out.tif", overwrite=True)
    assert other.read_bytes() == ANSWER
    assert tifffile.imread(tmp_path / "out.tif").shape == (3, 48, 40)
    main_arguments = ["predict", MODEL, movie, "--output", tmp_path / "out.tif", "--overwrite"]
    with pytest.raises(SystemExit) as end:
        main([str(a) for a in main_arguments])
    assert not end.value.code


def test_no_spelling_lets_a_result_replace_what_it_is_made_from(tmp_path, movie, monkeypatch):
    """Fails where a link, another spelling, or a name of the program's own hides an input."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "soft.npy").symlink_to(movie)
    os.link(movie, tmp_path / "hard.npy")
    (tmp_path / "sub").mkdir()
    model = Path(shutil.copy(MODEL, tmp_path / "m.onnx"))
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()}
    for name in ("in.npy", "./in.npy", "sub/../in.npy", "soft.npy", "hard.npy", str(movie)):
        for options in ({}, {"overwrite": True}, {"resume": True, "overwrite": True}):
            with pytest.raises(InputError, match="would replace an input"):
                predict_files(model, ["in.npy"], name, **options)
    shutil.copy(movie, tmp_path / "truth.npy")
    videos = ("a.gif", "m.gif", "truth.gif", "t.gif")
    for source, video in zip(("in.npy", "m.onnx", "truth.npy", "in.npy"), videos, strict=True):
        os.link(source, video)
        if video == "t.gif":
            continue
        with pytest.raises(InputError, match="would replace an input"):
            predict_files(
                model, ["in.npy"], "out.npy", video=video, truth="truth.npy", overwrite=True
            )
    for video in videos:
        os.unlink(video)
    for name, source in (
        ("a.txt", "a.tif"), ("a.json", "a.tif"),  # the text beside an input
        ("a.npy", ".part12.a.npy"), ("a.npy", ".old12.a.npy"),  # names on the way
        ("a.npy", ".a.npy.unfinished/frames.raw"), ("a.npy", ".a.npy.lock"),
        ("day.zarr", "day.zarr/images/a.tif"), ("b.zarr/a.tif", "b.zarr"),
    ):  # fmt: skip
        Path(name).parent.mkdir(exist_ok=True)
        Path("a.txt").touch()
        Path("a.json").touch()
        with pytest.raises(InputError, match="would replace an input"):
            require_free([Path(name)], [source], overwrite=True)
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    assert not (tmp_path / "out.npy").exists()


def test_results_do_not_go_among_their_inputs(tmp_path, movie):
    """Fails where results become the inputs of the next run."""
    (tmp_path / "day").mkdir()
    movie.rename(tmp_path / "day" / "a.npy")
    with pytest.raises(InputError, match="is the folder of the images"):
        predict_files(MODEL, [str(tmp_path / "day")], tmp_path / "day" / ".." / "day")


@pytest.mark.parametrize("suffix", [".zarr", ".zspy"])
def test_a_folder_with_something_else_in_it_is_never_deleted(tmp_path, movie, suffix):
    """Fails where a result's folder goes with what a user has put there, or cannot be replaced."""
    pytest.importorskip("zarr")
    output = tmp_path / f"out{suffix}"
    written = predict_files(MODEL, [str(movie)], output)
    assert written[0] == output
    with pytest.raises(InputError, match="is there already"):
        predict_files(MODEL, [str(movie)], output)
    predict_files(MODEL, [str(movie)], output, overwrite=True)
    for name in ("notes.txt", "sub/mine.npy"):
        (output / name).parent.mkdir(exist_ok=True)
        (output / name).write_bytes(ANSWER)
        with pytest.raises(InputError, match="holds what this program did not write"):
            predict_files(MODEL, [str(movie)], output, overwrite=True)
        assert (output / name).read_bytes() == ANSWER
        (output / name).unlink()


def test_a_folder_of_arrays_is_never_deleted(tmp_path, movie):
    """Fails where a user's own store is taken for a result."""
    zarr = pytest.importorskip("zarr")
    mine = zarr.open(str(tmp_path / "out.zarr"), mode="w", shape=(4, 4), dtype="f4")
    mine[:] = 7
    group = zarr.open_group(str(tmp_path / "group.zarr"), mode="w")
    group["a"] = np.ones((3, 3))
    (tmp_path / "empty.zarr").mkdir()
    for name in ("out.zarr", "group.zarr", "empty.zarr"):
        with pytest.raises(InputError, match="holds what this program did not write"):
            predict_files(MODEL, [str(movie)], tmp_path / name, overwrite=True)
    assert (zarr.open(str(tmp_path / "out.zarr"), mode="r")[:] == 7).all()


def test_resuming_replaces_only_what_this_program_wrote(tmp_path, movie, rng):
    """Fails where --resume replaces a file that was changed since, or not its own old results."""
    names = ([str(movie)], tmp_path / "out.npy")
    predict_files(MODEL, *names)
    told = []
    assert predict_files(MODEL, *names, resume=True, say=told.append) == []
    assert "is there already" in told[-1]
    np.save(movie, rng.random((3, 48, 40)).astype(np.float32) + 1)
    os.utime(movie, (1, 1))  # a clock that was set back
    assert len(predict_files(MODEL, *names, resume=True)) == 2
    for name in ("out.npy", "out.png"):
        before = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(ANSWER)
        with pytest.raises(InputError, match="not as an earlier run has written it"):
            predict_files(MODEL, *names, resume=True)
        assert (tmp_path / name).read_bytes() == ANSWER
        (tmp_path / name).write_bytes(before)
    # Other options are another result.
    assert predict_files(MODEL, *names, resume=True, dtype="float64")
    assert np.load(tmp_path / "out.npy").dtype == np.float64


def test_what_was_begun_is_not_thrown_away_unasked(tmp_path, movie):
    """Fails where a command without --resume discards the frames of an interrupted one."""
    spool = tmp_path / ".out.npy.unfinished"
    spool.mkdir()
    (spool / "blocks.txt").write_text("1 00000000\n")
    with pytest.raises(InputError, match=r"begun by an earlier run; add --resume to continue"):
        predict_files(MODEL, [str(movie)], tmp_path / "out.npy")
    assert spool.exists()
    predict_files(MODEL, [str(movie)], tmp_path / "out.npy", overwrite=True)
    assert not spool.exists()


def test_a_result_that_is_being_written_is_whole_or_absent(tmp_path, monkeypatch):
    """Fails where an error while a folder is replaced loses the old result."""
    pytest.importorskip("zarr")
    axes = (Axis("frame", 2), Axis("height", 4), Axis("width", 4))
    write_recording(tmp_path / "a.zarr", np.ones((2, 4, 4), np.float32), axes)
    replace = os.replace

    def killed(old, new):
        replace(old, new)
        raise KeyboardInterrupt  # between the two renames

    with monkeypatch.context() as patch:
        patch.setattr("mcnn_keras.files.whole.os.replace", killed)
        with pytest.raises(KeyboardInterrupt):
            write_recording(tmp_path / "a.zarr", np.zeros((2, 4, 4), np.float32), axes)
    from mcnn_keras.files import read_images
    from mcnn_keras.files.whole import remove_left

    remove_left(tmp_path / "a.zarr")
    assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"]
    assert (read_images(tmp_path / "a.zarr") == 1).all()
