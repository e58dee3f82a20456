"""Fail where a result loses its values in the data type that it is written in, without a word."""

from pathlib import Path

import numpy as np
import pytest

from mcnn_keras import InputError, predict_files
from mcnn_keras.files import read_images, write_recording
from mcnn_keras.files.converted import Converted
from mcnn_keras.files.formats import default_type

MODEL = Path(__file__).parent / "data" / "models" / "denoise.onnx"


@pytest.fixture
def movie(tmp_path, rng):
    def saved(scale, offset):
        bright = rng.poisson(np.linspace(0, 400, 40), (3, 48, 40)).astype(np.float64)
        np.save(tmp_path / "in.npy", scale * bright + offset)
        return str(tmp_path / "in.npy")

    return saved


@pytest.mark.parametrize("suffix", [".npy", ".tif", ".h5", ".zarr", ".mrc", ".hspy"])
def test_a_type_that_holds_little_of_a_result_is_refused(suffix, movie, tmp_path):
    """Fails where a result of one value is written, one that is there is lost, or the work is."""
    if suffix in (".zarr", ".mrc", ".hspy"):
        pytest.importorskip({".zarr": "zarr", ".mrc": "mrcfile", ".hspy": "rsciio"}[suffix])
    output, dtype = tmp_path / f"out{suffix}", "int8" if suffix == ".mrc" else "uint8"
    predict_files(MODEL, [movie(1, 0)], output)
    before = read_images(output)
    name, told = movie(1, 1000), []
    with pytest.raises(InputError, match=f"out{suffix} does not fit {dtype}.*--dtype.*--resume"):
        predict_files(MODEL, [name], output, dtype=dtype, overwrite=True)
    np.testing.assert_array_equal(read_images(output), before)
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".part")]
    predict_files(MODEL, [name], output, dtype="float32", overwrite=True, resume=True,
                  say=told.append)  # fmt: skip
    assert read_images(output).mean() > 1000
    assert not any("does not fit" in line for line in told)


@pytest.mark.parametrize(
    ("scale", "offset", "dtype", "said"),
    [
        (1, -180, "uint16", ("% of out.npy does not fit uint16 (0 to 65535)", "clipped")),
        (300, 0, "float16", ("% of out.npy does not fit float16 (-65504 to 65504)", "infinite")),
        (1e-3, 0, "uint8", ("as uint8, the values of out.npy change by",)),
        (1e-10, 0, "float16", ("as float16, the values of out.npy change by",)),
    ],
)
def test_what_a_type_does_not_keep_is_told(scale, offset, dtype, said, movie, tmp_path):
    """Fails where some pixels are clipped, infinite or rounded away without a word."""
    told: list = []
    name = movie(scale, offset)
    predict_files(MODEL, [name], tmp_path / "whole.npy", dtype="float64")
    predict_files(MODEL, [name], tmp_path / "out.npy", dtype=dtype, say=told.append)
    (line,) = [line for line in told if "out.npy" in line and "--dtype" in line]
    assert line.startswith("Warning: ")
    assert all(part in line for part in said), line
    if "does not fit" in line:
        whole, kind = np.load(tmp_path / "whole.npy"), np.dtype(dtype)
        limits = np.iinfo(kind) if kind.kind == "u" else np.finfo(kind)
        share = 100 * np.mean((whole < limits.min) | (whole > limits.max))
        assert f"Warning: {share:.2g} %" in line
        assert f"its values are {whole.min():.5g} to {whole.max():.5g}" in line


def test_a_few_pixels_and_fitting_types_are_no_warning(movie, tmp_path, rng):
    """Fails where a usual undershoot warns, or a type that holds all is said to lose something."""
    told: list = []
    values = rng.normal(100, 20, (4, 50, 50)).astype(np.float32)
    values[0, 0, :5] = -3
    write_recording(tmp_path / "a.tif", values, dtype="uint8", say=told.append)
    (line,) = told
    assert line.startswith("0.05 % of a.tif")
    told.clear()
    for dtype in ("int16", "float16", "float32", "float64"):
        write_recording(tmp_path / "a.h5", values, dtype=dtype, say=told.append)
    assert not told
    with pytest.warns(UserWarning, match="of a.tif does not fit uint8"):  # without `say`
        write_recording(tmp_path / "a.tif", 3 * values - 280, dtype="uint8")


def test_missing_pixels_are_no_integers(tmp_path, rng):
    """Fails where NaN becomes a number by chance, or integers are chosen for it by themselves."""
    values = 1000 * rng.random((2, 200, 200)).astype(np.float32)
    values[1, 3] = np.nan
    assert default_type(tmp_path / "a.tif", values, np.uint16) == "float32"
    told: list = []
    write_recording(tmp_path / "a.npy", values, dtype="uint16", say=told.append)
    assert (np.load(tmp_path / "a.npy")[1, 3] == 0).all()
    assert told[0].startswith("Warning: 0.25 % of a.npy")


@pytest.mark.parametrize(
    "own", ["uint8", "int16", "int32", "uint32", "int64", "float32", "float64"]
)
@pytest.mark.parametrize("dtype", ["int8", "uint16", "int32", "float16", "float32"])
def test_values_of_any_type_are_converted_and_counted(own, dtype):
    """Fails where values of a type, such as an integer, are not converted, or are miscounted."""
    values = np.full((1, 16, 16), 100, own)
    values[0, 0, :5] = min(np.iinfo(own).max if own[0] != "f" else 2**40, 2**40)
    limits = np.iinfo if np.dtype(dtype).kind in "ui" else np.finfo
    large = int(values[0, 0, 0]) > float(limits(dtype).max)
    converted = Converted(values, dtype)
    found = converted[:]
    assert found.dtype == dtype
    assert (found[0, 1:] == 100).all()
    assert bool([line for line in converted.lines() if "does not fit" in line]) == large
