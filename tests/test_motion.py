"""Fail where frames that move by parts of a pixel land elsewhere."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.ndimage import fourier_shift

from mcnn_keras.physics.motion import interpolated


@pytest.mark.parametrize("away", [(0.0, 0.0), (0.3, -0.45), (-0.5, 0.5)])
def test_it_moves_what_pixels_resolve(away, rng):
    """Against the shift theorem, for a picture without frequencies above 0.3 cycles per pixel.

    Fails where a weight, the sign or an axis is wrong.
    """
    spectrum = np.fft.fft2(rng.normal(size=(60, 72)))
    fy, fx = np.fft.fftfreq(60)[:, None], np.fft.fftfreq(72)
    spectrum[np.maximum(abs(fy), abs(fx)) > 0.3] = 0
    picture, moved = (np.fft.ifft2(s).real for s in (spectrum, fourier_shift(spectrum, away)))
    found = interpolated(picture.astype(np.float32), *away)
    inside = (slice(6, -6),) * 2
    assert np.abs(found - moved)[inside].max() < 0.05 * picture.std()


def test_each_frame_has_its_own_way(rng):
    """Fails where frames share a shift, a flat field is not kept, or tensors differ."""
    frames = rng.normal(size=(16, 18, 3)).astype(np.float32)
    down, right = np.array([0.0, 0.25, -0.5]), np.array([0.1, -0.25, 0.5])
    found = interpolated(frames, down, right)
    for k in range(3):
        np.testing.assert_allclose(
            found[..., k], interpolated(frames[..., k], down[k], right[k]), atol=1e-6
        )
    in_data = interpolated(tf.constant(frames), tf.constant(down), tf.constant(right)).numpy()
    np.testing.assert_allclose(in_data, found, atol=1e-6)
    flat = np.full((16, 18), 3, np.float32)
    np.testing.assert_allclose(interpolated(flat, 0.37, -0.2), 3, rtol=1e-6)


def test_noise_stays_nearly_white(rng):
    """Fails where half a pixel takes more than a fifth of the noise, as a short kernel does."""
    noise = rng.normal(size=(300, 300)).astype(np.float32)
    moved = interpolated(noise, 0.5, 0.0)
    assert 0.8 < moved.var() / noise.var() < 1
