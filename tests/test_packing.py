"""Fail where samples that are packed for a training set come back as others."""

import numpy as np
import pytest

from mcnn_keras.files import packing


def test_rounded_arrays_keep_what_matters(rng):
    """Fails where rounding errs by more than 0.2 % of a channel's deviation, moves NaN or zeros, or
    where float32 that is not rounded changes by a bit.
    """
    image = rng.normal(size=(33, 20, 3)).astype(np.float32) * np.float32([1, 1e-12, 1e9])
    image[..., 2] += 1e12
    image[3, 4, 0], image[5, 6, 1] = np.nan, 0.0
    spots = np.full((32, 32, 1), 7.25, np.float32)
    spots[3, 4] = 5000.0
    flat, few = np.zeros((8, 8, 1), np.float32), np.float32([1.5, -2])
    for array in (image, spots, flat, few):
        for rounded in (True, False):
            (found,) = packing.unpacked(packing.packed([array], rounded))
            assert found.dtype == np.float32
            np.testing.assert_array_equal(np.isnan(found), np.isnan(array))
            if not rounded:
                assert found.tobytes() == array.tobytes()
                continue
            deviation = np.nanstd(array, axis=tuple(range(array.ndim - 1)))
            apart = np.nan_to_num(np.abs(found - array)).reshape(-1, array.shape[-1]).max(0)
            assert np.all(apart <= 0.002 * deviation + 1e-7 * np.nanmax(np.abs(array)))
            np.testing.assert_array_equal(found[array == 0], 0)
    wide = np.exp(rng.normal(size=(32, 32, 1)) * 20).astype(np.float32)
    (found,) = packing.unpacked(packing.packed([wide], True))
    np.testing.assert_allclose(found, wide, rtol=1e-6)
    with pytest.raises(ValueError, match="blosc"):
        packing.unpacked(b"nothing")


def test_rounding_keeps_to_its_limits(rng):
    """Fails where a value is off by more than is stated, or NaN, zeros or levels are lost."""
    far = np.float32(rng.normal(1e5, 3, (64, 64, 2)))
    holes = np.float32(rng.normal(1, 0.1, (64, 64, 3)))
    holes[3, :9, 0] = np.nan
    holes[..., 2] = np.nan  # a frame that is missing
    holes[40:, :, 1] = 0
    hot = np.float32(rng.normal(1, 0.1, (64, 64, 1)))
    hot[::13, ::17] = 1e6  # the other pixels must survive it
    levels = np.float32(rng.integers(0, 256, (64, 64, 3)))
    flat = np.full((8, 8, 1), 0.3, np.float32)
    infinite = np.where(holes > 1.2, np.float32(np.inf), holes)
    for array in (far, holes, hot, levels, flat, infinite):
        found = packing.unpacked(packing.packed([array], True))[0]
        assert found.dtype == np.float32
        np.testing.assert_array_equal(np.isnan(found), np.isnan(array))
        np.testing.assert_array_equal(found[array == 0], 0)
        for channel in range(array.shape[-1]):
            own, stored = array[..., channel], found[..., channel]
            usual = np.isfinite(own) & (own < 1e6)
            if usual.any():
                most = 1.1 * own[usual].std() / 512  # without the outliers, an estimate
                assert np.abs(stored[usual] - own[usual]).max() <= most
    np.testing.assert_array_equal(packing.unpacked(packing.packed([levels], True))[0], levels)
    np.testing.assert_array_equal(packing.unpacked(packing.packed([flat], True))[0], flat)
    for array in (far, infinite, np.float32(3.5), np.float32([1, 2])):
        np.testing.assert_array_equal(packing.unpacked(packing.packed([array], False))[0], array)
