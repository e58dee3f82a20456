"""Fail where files of a focal series are taken in another order than that of their numbers."""

import h5py
import numpy as np
import pytest

from mcnn_keras.cli import main
from mcnn_keras.focal_series import read_focal_series
from mcnn_keras.inference.names import expanded, natural
from mcnn_keras.inference.planning import plan
from mcnn_keras.models.saving import read_card

LIGHT = ("--wavelength", 0.65, "--pixel-size", 0.31)


def write(folder, numbers, level=lambda number: 1.0, form="f_{}.npy"):
    folder.mkdir(exist_ok=True)
    for number in numbers:
        image = level(number) + 0.01 * np.random.default_rng(number).random((32, 32))
        np.save(folder / form.format(number), image.astype(np.float32))
    return folder


def run(*arguments):
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    return stop.value.code


def test_numbers_count_by_their_value_and_all_else_as_before():
    """Fails where f_10 comes before f_7, or names without numbers change their order."""
    for names in (
        ["f_7.tif", "f_8.tif", "f_10.tif", "f_13.tif"],
        ["a/f_2.tif", "a/f_10.tif", "b/f_1.tif"],
        ["f.tif", "f01.tif", "f1.tif", "f2_10.tif", "f10_2.tif"],
    ):
        assert sorted(names, key=natural) == names
    others = ["B.tif", "a-b.tif", "a.tif", "aa.tif", "a b.tif", "é.tif", "a_b.tif", "a(b).tif"]
    assert sorted(others, key=natural) == sorted(others)
    padded = [f"s{i:03}.tif" for i in (1, 2, 10, 99, 100)]
    assert sorted(padded, key=natural) == sorted(padded)


@pytest.mark.parametrize("way", ["folder", "pattern"])
def test_planes_go_by_the_numbers(way, tmp_path, capfd):
    """Fails where the planes of a folder or pattern are given to files in the order of characters.

    The output tells the order, and the plane of each file.
    """
    folder = write(tmp_path / "in", range(7, 14))
    given = folder if way == "folder" else f"{folder}/f_*.npy"
    names = [str(folder / f"f_{i}.npy") for i in range(7, 14)]
    assert expanded(given) == names
    words = ("--defocus", "-30:30:10", *LIGHT, "--output", tmp_path / "o.npy")
    assert run("reconstruct", "tie", given, *words) == 0
    told, errors = capfd.readouterr()
    assert "by the numbers in their names, f_7.npy before f_10.npy" in told
    for number, z in zip(range(7, 14), range(-30, 40, 10), strict=True):
        assert f"f_{number}.npy: {z} um\n" in told
    assert "Warning: the files" not in errors
    by_name, by_file = np.load(tmp_path / "o.npy"), tmp_path / "p.npy"
    assert run("reconstruct", "tie", *names, *words[:-1], by_file) == 0
    np.testing.assert_array_equal(np.load(by_file), by_name)


def test_an_order_that_a_shell_has_made_is_warned_of(tmp_path, capfd):
    """Fails where f_10 before f_7 passes without a word, or a warning comes with no reason."""
    folder = write(tmp_path / "in", (9, 10))
    nine, ten = folder / "f_9.npy", folder / "f_10.npy"
    words = ("--defocus", "-52,52", *LIGHT, "--output", tmp_path / "o.npy", "--overwrite")
    assert run("reconstruct", "tie", ten, nine, *words) == 0
    assert "Warning: the files are taken in the order given, f_10.npy before" in (
        capfd.readouterr().err
    )
    (folder / "f_10.txt").write_text("52")
    (folder / "f_9.txt").write_text("-52")
    assert run("reconstruct", "tie", ten, nine, *LIGHT, *words[-3:]) == 0
    assert "the order given" not in capfd.readouterr().err


def test_a_model_for_given_planes_takes_files_by_their_numbers(tmp_path):
    """Fails where `predict` exchanges two planes of a folder, or says nothing of the files."""
    folder = write(tmp_path / "in", (9, 10))
    said = []
    words = ("phase-52+52", read_card("phase-52+52"), [str(folder)], tmp_path / "out")
    (job,) = plan(*words, defocus=[-52, 52], say=said.append)
    assert job.names == ["f_9.npy", "f_10.npy"]
    assert job.note == "for -52, 52 um: f_9.npy, f_10.npy"
    assert "the files are taken by the numbers in their names, f_9.npy before f_10.npy" in said


def test_of_many_files_the_first_and_the_last_are_told(tmp_path):
    """Fails where a hundred files make a hundred lines, or none."""
    folder, said = write(tmp_path / "in", range(100)), []
    read_focal_series(expanded(folder), list(range(100)), say=said.append)
    placed = [line for line in said if " um" in line or "more files" in line]
    assert placed[0] == "f_0.npy: 0 um"
    assert placed[6] == "... 88 more files ..."
    assert placed[-1] == "f_99.npy: 99 um"
    assert len(placed) == 13


def test_images_of_one_file_are_told_apart(tmp_path):
    """Fails where two images of an HDF5 file have the same name in the output."""
    path, said = tmp_path / "a.h5", []
    with h5py.File(path, "w") as file:
        file["under"] = file["over"] = np.ones((32, 32), np.float32)
    read_focal_series([f"{path}:/over", f"{path}:/under"], [52, -52], say=said.append)
    assert said[-2:] == ["a.h5:/over: 52 um", "a.h5:/under: -52 um"]
