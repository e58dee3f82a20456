"""Fail where the masked pixels of an array are taken for measured ones."""

from pathlib import Path

import numpy as np
import pytest

import mcnn_keras as mcnn
from mcnn_keras.errors import InputError
from mcnn_keras.focal_series.retrieval import wave_of
from mcnn_keras.metrics import find_columns

MODELS = Path(__file__).parent / "data" / "models"


@pytest.fixture
def masked(rng):
    """Counts with a masked block of wrong ones."""
    image = rng.poisson(30, (64, 72)).astype(np.uint16)
    image[20:24, 30:34] = 60000
    return np.ma.masked_greater(image, 50000)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("faults", ["mend", "keep"])
def test_masked_pixels_are_missing(masked, dtype, faults):
    """Fails where a mask is dropped: the result is not that of the same image with NaN."""
    model = mcnn.load(MODELS / "denoise.onnx")
    image = masked.astype(dtype)
    before = image.copy()
    missing = np.where(masked.mask, np.nan, masked.data.astype(np.float64))
    found = mcnn.predict(model, image, faults=faults)
    np.testing.assert_array_equal(found, mcnn.predict(model, missing, faults=faults))
    assert type(found) is np.ndarray
    if faults == "mend":
        assert np.abs(found).max() < 100
    np.testing.assert_array_equal(image.data, before.data)
    np.testing.assert_array_equal(image.mask, before.mask)
    free = np.ma.array(masked.data % 50, mask=np.ma.nomask)  # nothing is masked
    np.testing.assert_array_equal(mcnn.predict(model, free), mcnn.predict(model, free.data))


def test_masked_blocks_of_dask_arrays_are_missing(masked):
    """Fails where the same array is another one as soon as it is lazy."""
    dask = pytest.importorskip("dask.array")
    model = mcnn.load(MODELS / "denoise.onnx")
    lazy = mcnn.predict(model, dask.from_array(np.ma.stack([masked] * 2), chunks=(1, 64, 72)))
    one = mcnn.predict(model, masked)
    np.testing.assert_allclose(lazy.compute(), np.stack([one, one]), rtol=1e-5)


def test_who_takes_no_missing_pixels_refuses_masked_ones(masked):
    """Fails where a phase, or columns, are computed from what the mask leaves out."""
    model = mcnn.load(MODELS / "phase_head_2.onnx")
    with pytest.raises(InputError, match="NaN or infinite"):
        mcnn.predict(model, masked)
    with pytest.raises(InputError, match="masked pixels; cut"):
        find_columns(masked)
    optics = mcnn.Optics(wavelength=0.65, pixel_size=0.3)
    with pytest.raises(InputError, match="NaN or infinite"):
        wave_of(np.ma.stack([masked] * 2, -1), [-50, 50], optics)
