"""Fail where a published focal series is converted with other pixels, planes or order."""

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import tifffile

from mcnn_keras.focal_series import read_focal_series

TOOL = Path(__file__).parents[1] / "data_tools" / "convert_focal_series.py"
PLANES = np.array([-20.0, -4.0, 4.0, 8.0, 20.0])


def run(*arguments):
    return subprocess.run(
        [sys.executable, TOOL, *map(str, arguments)], capture_output=True, text=True, timeout=120
    )


@pytest.fixture
def images(rng):
    return rng.random((5, 24, 32)).astype(np.float32)


def gp_tie(path, images):
    """Planes last, lengths in m."""
    scipy.io.savemat(path, {
        "Istack": np.moveaxis(images, 0, 2), "zvec": 1e-6 * PLANES[:, None], "lambda": 650e-9,
        "ps": 0.31e-6,
    })  # fmt: skip


def gp_tie_7_3(path, images):
    """MATLAB's HDF5: all axes turned over."""
    with h5py.File(path, "w") as file:
        file["Ividmeas"] = np.swapaxes(images, 1, 2)
        file["z_vec"] = 1e-6 * PLANES[None]
        file["ps"] = np.array([[0.31e-6]])
        file["lambda"] = np.array([[650e-9]])


@pytest.mark.parametrize("write", [gp_tie, gp_tie_7_3])
def test_a_matlab_file_becomes_a_stack_with_planes(write, images, tmp_path):
    """Fails where axes are swapped, or lengths in m are taken for um."""
    write(tmp_path / "cells.mat", images)
    result = run(tmp_path / "cells.mat", tmp_path / "cells.tif", "--unit", "m")
    assert result.returncode == 0, result.stderr
    assert "--wavelength 0.65" in result.stdout
    series = read_focal_series([str(tmp_path / "cells.tif")])
    np.testing.assert_allclose(series.defocus, PLANES)
    np.testing.assert_allclose(series.images, np.moveaxis(images, 0, -1), rtol=1e-6)
    assert series.pixel_size == pytest.approx(0.31, rel=1e-3)


@pytest.mark.parametrize("name", ["HeLa_z{}.tif", "img003_{}um.tif", "{}.tiff"])
def test_a_folder_becomes_a_stack_in_order(name, images, tmp_path):
    """Fails where the images are in the order of their names, or a minus sign is lost."""
    (tmp_path / "tiffs").mkdir()
    for z, image in zip(PLANES, images, strict=True):
        tifffile.imwrite(tmp_path / "tiffs" / name.format(f"{z:g}"), image)
    result = run(tmp_path / "tiffs", tmp_path / "hela.tif")
    assert result.returncode == 0, result.stderr
    series = read_focal_series([str(tmp_path / "hela.tif")])
    np.testing.assert_allclose(series.defocus, PLANES)
    np.testing.assert_array_equal(series.images, np.moveaxis(images, 0, -1))


def test_what_does_not_fit_is_told_in_a_line(images, tmp_path):
    """Fails where the tool ends with a traceback or leaves a file behind."""
    scipy.io.savemat(
        tmp_path / "bad.mat", {"Istack": np.moveaxis(images, 0, 2), "zvec": PLANES[:3]}
    )
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.mat").write_text("no")
    for source, message in (
        ("bad.mat", "0 lists of numbers"), ("empty", "no TIFF"), ("text.mat", "neither"),
        ("none.mat", "not there"),
    ):  # fmt: skip
        result = run(tmp_path / source, tmp_path / "out.tif")
        assert result.returncode == 2
        assert message in result.stderr
        assert result.stderr.count("\n") == 1
        assert not (tmp_path / "out.tif").exists()
