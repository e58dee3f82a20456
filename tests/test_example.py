"""Fail where the first command that a newcomer runs does not do what it prints."""

import numpy as np
import pytest
import tifffile

from mcnn_keras.cli import main
from mcnn_keras.example_files import cell, write_example_files
from mcnn_keras.files import open_recording
from mcnn_keras.files.instrument import told_beside
from mcnn_keras.files.recording import pixel_length


def run(*arguments):
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    return stop.value.code


def test_the_files_tell_their_pixels_and_planes(tmp_path):
    """Fails where a file lacks what its command needs, or two runs write different files."""
    lines = write_example_files(tmp_path / "a")
    write_example_files(tmp_path / "b")
    names = ("frame", "movie", "focal_series", "defocused", "through_focus", "scans/scan_004")
    for name in (f"{name}.tif" for name in names):
        assert any(name.split("/")[0] in line for line in lines)
        first, again = (tifffile.imread(tmp_path / folder / name) for folder in "ab")
        np.testing.assert_array_equal(first, again)
    with open_recording(tmp_path / "a" / "movie.tif") as movie:
        assert pixel_length(movie.axes, "A") == pytest.approx(0.2)
    told = told_beside(tmp_path / "a" / "focal_series.tif")
    assert told.defocus == (-52.0, 52.0)
    assert told.optics["wavelength"] == 0.65
    through = told_beside(tmp_path / "a" / "through_focus.tif").defocus
    assert len(through) == len(tifffile.imread(tmp_path / "a" / "through_focus.tif"))
    with open_recording(tmp_path / "a" / "scans" / "scan_001.tif") as scan:
        assert pixel_length(scan.axes, "A") == pytest.approx(0.2)
    assert len(list((tmp_path / "a" / "pairs" / "clean").iterdir())) == 4


def test_the_example_answers(tmp_path, capfd):
    """Fails where a command that is printed fails, or its phase is no better than zero."""
    folder = tmp_path / "example"
    assert run("example", folder, "--no-train") == 0
    told = capfd.readouterr().out
    assert f"$ mcnn-keras denoise {folder}/movie.tif" in told
    assert str(folder / "phase.png") in told
    assert tifffile.imread(folder / "movie_denoised.tif").shape == (12, 128, 128)
    truth, phase = cell(), tifffile.imread(folder / "phase.tif")[0]
    error = np.abs(phase - phase.mean() - truth + truth.mean()).mean()
    assert error < 0.8 * np.abs(truth - truth.mean()).mean()
    assert run("example", folder) == 2
    assert "is there already" in capfd.readouterr().err
