"""Fail where the axes of an array in a file are guessed in silence, or told and not used."""

import itertools
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile

import mcnn_keras as mcnn
from mcnn_keras import InputError, predict_files
from mcnn_keras.cli import main
from mcnn_keras.files import open_recording
from mcnn_keras.focal_series.series import read_focal_series
from mcnn_keras.inference.planning import plan
from mcnn_keras.inference.watch import watch
from mcnn_keras.models.saving import read_card

MODEL = Path(__file__).parent / "data" / "models" / "denoise.onnx"


@pytest.fixture
def movie(rng):
    """(frames, height, width)."""
    return rng.poisson(9, (5, 40, 48)).astype(np.float32)


def stored(folder, kind, array):
    path = folder / f"in.{kind}"
    if kind == "npy":
        np.save(path, array)
    elif kind == "h5":
        with h5py.File(path, "w") as file:
            file["data"] = array
    else:
        zarr = pytest.importorskip("zarr")
        zarr.open(str(path), mode="w", shape=array.shape, dtype=array.dtype)[:] = array
    return path


@pytest.mark.parametrize("kind", ["npy", "h5", "zarr"])
@pytest.mark.parametrize("letters", ["tyx", "tzyx"])
def test_every_order_of_axes_is_read(kind, letters, tmp_path, rng):
    """Fails where an order of axes is read as another, or parts of it as other frames."""
    plain = rng.random((2, 3, 17, 19)[-len(letters) :]).astype(np.float32)
    for order in itertools.permutations(range(len(letters))):
        told = "".join(letters[i] for i in order)
        path = stored(tmp_path, kind, plain.transpose(order))
        with open_recording(path, axes=told.upper()) as recording:
            outer = [c for c in told if c not in "yx"]
            whole = np.einsum(f"{letters}->{''.join(outer)}yx", plain).reshape(-1, 17, 19)
            np.testing.assert_array_equal(recording.read(), whole)
            np.testing.assert_array_equal(recording.read(1, 2), whole[1:2])
            np.testing.assert_array_equal(recording.chosen([1, 0]).read(), whole[[1, 0]])
            names = {"t": "time", "z": "z"}
            assert [a.name for a in recording.axes] == [
                *(names[c] for c in outer), "height", "width",
            ]  # fmt: skip
        if path.is_dir():
            import shutil

            shutil.rmtree(path)


def test_letters_that_do_not_fit_are_refused(tmp_path, movie):
    """Fails where wrong letters are taken, or change a file that states its own axes."""
    path = stored(tmp_path, "npy", movie)
    for letters in ("yx", "tty", "tzx", "tyxc", ""):
        with pytest.raises(InputError, match=r"shape \(5, 40, 48\); give one letter"):
            open_recording(path, axes=letters)
    tifffile.imwrite(tmp_path / "a.tif", movie, metadata={"axes": "TYX"})
    with pytest.raises(InputError, match="states its axes itself; leave --axes yxt out"):
        open_recording(tmp_path / "a.tif", axes="yxt")
    predict_files(MODEL, [str(path)], tmp_path / "out.h5")
    with pytest.raises(InputError, match="states its axes itself"):
        open_recording(tmp_path / "out.h5", axes="yxt")


def test_axes_at_the_end_are_named_or_refused(tmp_path, movie):
    """Fails where colours, or a movie with time last, are cut into lines without a word."""
    colours = stored(tmp_path, "npy", movie.transpose(1, 2, 0)[..., :3])
    with pytest.raises(InputError) as raised:
        plan(MODEL, read_card(MODEL), [str(colours)], tmp_path / "a.npy")
    for part in ("(40, 48, 3) is read as 40 images of 48x3 pixels", "--axes yxc"):
        assert part in str(raised.value)
    with pytest.raises(InputError, match="--axes yxc"):
        read_focal_series([str(colours)], [-1, 0, 1])
    series = read_focal_series([str(colours)], [-1, 0, 1], letters="yxz")
    np.testing.assert_array_equal(series.images, movie.transpose(1, 2, 0)[..., :3])
    image = np.tile(movie[0], (2, 2))  # 80 x 96
    for shape, warned in (((80, 96, 18), True), ((2, 80, 96, 18), True), ((18, 80, 96), False),
                          ((80, 96), False), ((80, 20, 18), False)):  # fmt: skip
        array = np.resize(image, shape) + np.arange(shape[-1])
        name, told = str(stored(tmp_path, "npy", array)), []
        options = {"engine": "onnxruntime", "overwrite": True, "frames": [0]}
        predict_files(MODEL, [name], tmp_path / "o.npy", say=told.append, **options)
        found = [line for line in told if "states no axes" in line]
        assert bool(found) is warned, shape
        if warned:
            letters = {3: "yxt", 4: "zyxt"}[len(shape)]
            assert f"--axes {letters}, else" in found[0]
            predict_files(MODEL, [name], tmp_path / "o.npy", say=told.append, axes=letters,
                          **options)  # fmt: skip
            assert np.load(tmp_path / "o.npy").shape == (80, 96)
            assert sum("states no axes" in line for line in told) == 1


def test_told_axes_give_the_results_of_python(tmp_path, movie, monkeypatch, capfd):
    """Fails where the command, a resumed run or a watch uses other axes than those it was told."""
    monkeypatch.chdir(tmp_path)
    last = movie.transpose(1, 2, 0)
    expected = mcnn.predict(mcnn.load(MODEL), last, axes="yxt")
    Path("day").mkdir()
    stored(tmp_path / "day", "npy", last)
    command = ["predict", str(MODEL), "day/in.npy", "--output=a.npy", "--engine=onnxruntime"]
    with pytest.raises(SystemExit) as end:
        main([*command, "--axes=yxt"])
    assert not end.value.code, capfd.readouterr().err
    np.testing.assert_allclose(np.load("a.npy"), expected, rtol=1e-5)
    with pytest.raises(SystemExit):
        main([*command, "--axes=yxt", "--resume"])
    assert "is there already" in "".join(capfd.readouterr())
    with pytest.raises(SystemExit):
        main([*command, "--axes=xyt", "--resume"])
    assert np.load("a.npy").shape == (5, 48, 40)
    monkeypatch.setattr("mcnn_keras.inference.watch.REST", 0.0)
    rounds = iter(range(4))
    watch(MODEL, read_card(MODEL), Path("day"), Path("out"), stop=lambda: next(rounds) > 2,
          engine=mcnn.load(MODEL), axes="yxt")  # fmt: skip
    np.testing.assert_allclose(np.load("out/in.npy"), expected, rtol=1e-5)
