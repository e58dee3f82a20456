"""Fail where the uncertainty, report or video of an earlier result passes for the new one's."""

import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from mcnn_keras import InputError, predict_files
from mcnn_keras.cli import main
from mcnn_keras.files import read_note
from mcnn_keras.inference.planning import Job
from mcnn_keras.inference.stream import execute
from mcnn_keras.inference.watch import watch
from mcnn_keras.models.saving import read_card

MODEL = Path(__file__).parent / "data" / "models" / "denoise.onnx"
TIE = ("reconstruct", "tie", "series.npy", "--defocus=-1,0,1", "--wavelength=0.5",
       "--pixel-size=0.3", "--overwrite", "--output=out.npy")  # fmt: skip


@pytest.fixture
def folder(tmp_path, rng, monkeypatch):
    """Two movies and a focal series."""
    monkeypatch.chdir(tmp_path)
    for name in ("in", "other"):
        np.save(f"{name}.npy", rng.poisson(9, (2, 40, 48)).astype(np.float32))
    np.save("series.npy", 1 + 0.1 * rng.random((3, 40, 48)).astype(np.float32))
    return tmp_path


def denoised(name, output="out.npy", model="denoise", **options):
    told = []
    predict_files(model, [name], output, say=told.append, overwrite=True, **options)
    return [line for line in told if "before" in line or "older" in line]


def test_an_uncertainty_goes_with_its_result(folder):
    """Fails where it stays beside another result, or is lost though it belongs to the new one."""
    width, engine = folder / "out_uncertainty.npy", {"engine": "tensorflow"}
    denoised("in.npy", uncertainty=True, video="out.gif", **engine)
    of_first = np.load(width)
    for options in ({"video": "out.gif"}, {"dtype": "float64"}):  # of the same images
        assert not denoised("in.npy", **engine, **options)
        np.testing.assert_array_equal(np.load(width), of_first)
        assert (folder / "out.gif").exists()
    removed, left = denoised("other.npy", **engine)
    assert removed == "out_uncertainty.npy belonged to the result before, and is removed"
    assert not width.exists()
    assert left.startswith("Warning: out.gif beside out.npy is not of this result, but older")
    denoised("in.npy", uncertainty=True, **engine)
    (folder / "out.gif").unlink()
    width.write_bytes(b"mine")  # changed since
    (left,) = denoised("other.npy", **engine)
    assert left.startswith("Warning: out_uncertainty.npy beside out.npy is not of this result")
    assert width.read_bytes() == b"mine"


@pytest.mark.parametrize("output", ["out.npy", "out.tif", "out.zarr"])
def test_resuming_an_average_leaves_no_old_uncertainty(output, folder):
    """Fails where other settings or another format leave the file, or half of a folder."""
    if output.endswith(".zarr"):
        pytest.importorskip("zarr")
    engine = {"engine": "tensorflow"}
    denoised("in.npy", output, uncertainty=True, **engine)
    width = folder / output.replace(".", "_uncertainty.")
    assert width.exists()
    (removed,) = denoised("in.npy", output, resume=True, average=True, **engine)
    assert removed.startswith(f"{width.name} belonged to the result before")
    assert not width.exists()
    assert (folder / output).exists()


def test_files_of_others_stay_and_are_named(folder):
    """Fails where a user's file, or a report of an earlier run, is removed or passes in silence."""
    (folder / "out_uncertainty.npy").write_bytes(b"mine")
    (folder / "out.html").write_text("<p>mine</p>")
    options = {"model": MODEL, "engine": "onnxruntime"}
    (left,) = denoised("in.npy", **options)
    assert "Warning: out_uncertainty.npy beside out.npy is not of this result" in left
    (folder / "out_uncertainty.npy").unlink()
    (folder / "out.html").unlink()
    assert not denoised("in.npy", report="out.html", **options)
    assert not denoised("other.npy", report="out.html", **options)  # written anew
    (left,) = denoised("in.npy", **options)
    assert left.startswith("Warning: out.html beside")
    # A result of its own has such a name by chance.
    denoised("in.npy", "x_uncertainty.npy", **options)
    assert not denoised("in.npy", "x.npy", **options)
    assert (folder / "x_uncertainty.npy").exists()


def test_phases_leave_no_old_uncertainty(folder, capfd):
    """Fails where phase or reconstruct leaves the uncertainty of the wave before, or takes mine."""
    with pytest.raises(SystemExit):
        main(["phase", "--no-refine", "--uncertainty", *TIE[2:]])
    width = folder / "out_uncertainty.npy"
    assert [*json.loads(read_note("out.png"))["beside"]] == [width.name]
    for kept in (False, True):
        shutil.copy(width, folder / "copy.npy")
        if kept:
            width.write_bytes(b"mine")
        capfd.readouterr()
        with pytest.raises(SystemExit):
            main([*TIE])
        told = "".join(itertools.chain(capfd.readouterr()))
        assert (f"{width.name} belonged to the result before" in told) is not kept
        assert ("Warning: out_uncertainty.npy beside out.npy is not of this" in told) is kept
        assert width.exists() is kept
        shutil.copy(folder / "copy.npy", width)


@pytest.mark.parametrize("overwrite", [False, True])
def test_names_that_meet_are_refused_before_anything_is_written(overwrite, folder):
    """Fails where a result replaces the uncertainty, or preview, of another one of the same run."""
    (folder / "day").mkdir()
    for name in ("a", "a_uncertainty"):
        shutil.copy("in.npy", f"day/{name}.npy")
    options = {"uncertainty": True, "overwrite": overwrite}
    with pytest.raises(InputError, match="leave --uncertainty out") as raised:
        predict_files("denoise", ["day"], "out", **options)
    line = str(raised.value)
    for name in ("out/a_uncertainty.npy", "of day/a.npy", "of day/a_uncertainty.npy"):
        assert name in line
    assert not (folder / "out").exists()
    for name in ("b.npy", "b.png", "b.npy.npy"):  # b.npy.npy is the result's name, twice
        shutil.copy("in.npy", f"day/{name}")
    with pytest.raises(InputError, match="same name"):
        predict_files(MODEL, ["day/b.npy", "day/b.png", "day/b.npy.npy"], "out")
    jobs = [Job((f"{name}.npy",), folder / f"o{ending}")
            for name, ending in (("in", ".tif"), ("other", ".npy"))]  # fmt: skip
    with pytest.raises(InputError, match=r"o.png would be the preview of in.npy and .*other"):
        execute(MODEL, jobs, engine="onnxruntime", overwrite=overwrite)


def test_a_watched_folder_tells_of_names_that_meet(folder, monkeypatch):
    """Fails where a watch replaces the uncertainty of one image by the result of another."""
    monkeypatch.setattr("mcnn_keras.inference.watch.REST", 0.0)
    (folder / "day").mkdir()
    for name in ("a", "a_uncertainty", "c"):
        shutil.copy("in.npy", f"day/{name}.npy")
    rounds, told, done = iter(range(4)), [], []
    monkeypatch.setattr(
        "mcnn_keras.inference.watch.execute", lambda model, jobs, *_, **__: done.extend(jobs)
    )
    watch(
        MODEL, read_card(MODEL), folder / "day", folder / "out", say=told.append,
        stop=lambda: next(rounds) > 2, engine=object(), uncertainty=True, overwrite=True,
    )  # fmt: skip
    assert [job.output.name for job in done] == ["c.npy"]
    assert len([line for line in told if "rename one of these, or leave --unc" in line]) == 2
