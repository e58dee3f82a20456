"""Fail where frames that move by parts of a pixel land elsewhere, or missing pixels are lost."""

import numpy as np
import tensorflow as tf

from mcnn_keras.physics.motion import REACH, interpolated


def test_a_quadratic_moves_exactly():
    """Keys's kernel with a = -1/2 reproduces polynomials of degree two.

    Fails where a weight, the sign or an axis is wrong.
    """
    y, x = np.mgrid[:20, :24].astype(np.float64)

    def surface(y, x):
        return 0.02 * y**2 - 0.03 * x * y + 0.01 * x**2 + 0.3 * x - y

    for away in ((0.0, 0.0), (0.3, -0.45), (-0.5, 0.5)):
        found = interpolated(surface(y, x).astype(np.float32), *away)
        inside = (slice(REACH, -REACH),) * 2
        np.testing.assert_allclose(found[inside], surface(y - away[0], x - away[1])[inside],
                                   atol=2e-5)  # fmt: skip


def test_each_frame_has_its_own_way_and_missing_pixels_stay_missing(rng):
    """Fails where frames share a shift, or a missing pixel or what lies beyond a rim is made up."""
    frames = rng.normal(size=(16, 18, 3)).astype(np.float32)
    frames[8, 9, 1] = np.nan
    down, right = np.array([0.0, 0.25, -0.5]), np.array([0.1, -0.25, 0.5])
    found = interpolated(frames, down, right)
    for k in range(3):
        np.testing.assert_allclose(
            found[..., k], interpolated(frames[..., k], down[k], right[k]), atol=1e-6
        )
    missing = np.isnan(found)
    assert missing[6:11, 7:12, 1].all()
    assert not missing[5:11, 6:12, [0, 2]].any()
    assert missing[0].all()
    assert missing[:, -1].all()
    in_data = interpolated(tf.constant(frames), tf.constant(down), tf.constant(right)).numpy()
    np.testing.assert_allclose(in_data, found, atol=1e-6)


def test_noise_loses_what_the_kernel_takes(rng):
    """Fails where the variance at half a pixel is not the sum of the squared weights, 82 / 128."""
    noise = rng.normal(size=(300, 300)).astype(np.float32)
    inside = interpolated(noise, 0.5, 0.0)[4:-4, 4:-4]
    np.testing.assert_allclose(inside.var() / noise.var(), 82 / 128, rtol=0.02)
