"""Fail where a simulated image is compared with a measured one on a wrong scale or field."""

import numpy as np
import pytest

import mcnn_keras as mcnn
from mcnn_keras.inference.consistency import correlations
from mcnn_keras.models import Contrast, Fixed, FrameScale, Normalization
from mcnn_keras.physics.agreement import Forward, on_scale
from mcnn_keras.problems import kind


class TestScale:
    def test_a_lost_scale_is_fitted(self, rng):
        """Fails where gain or offset are not those that were applied."""
        image = rng.random((40, 50))
        np.testing.assert_allclose(on_scale(image / 7, image, "gain"), image)
        np.testing.assert_allclose(on_scale(image / 7 - 3, image, "gain and offset"), image)
        np.testing.assert_array_equal(on_scale(image / 7, image, ""), image / 7)
        flat = np.zeros((40, 50))
        assert np.isfinite(on_scale(flat, image, "gain")).all()
        assert np.isfinite(on_scale(flat, image, "gain and offset")).all()

    def test_what_is_lost_is_what_a_normalization_removes(self, rng):
        """Fails where `lost` contradicts `apply`."""
        image = 1 + rng.random((32, 32, 1)).astype(np.float32)
        for kind_of in (Normalization(), Fixed(0.5, 2.0), Contrast(), FrameScale()):
            first = kind_of.apply(image)[0]
            same = [np.allclose(first, kind_of.apply(other)[0], atol=1e-5)
                    for other in (3 * image, 3 * image + 50)]  # fmt: skip
            assert same == ["gain" in kind_of.lost, "offset" in kind_of.lost]

    def test_correlations_leave_the_borders_out(self, rng):
        """Fails where unknown surroundings lower the agreement."""
        image = rng.random((100, 100, 1))
        found = image.copy()
        found[:6], found[:, -6:] = 0, 5
        assert correlations(found, image) == pytest.approx([1.0])


def test_all_problems_here_have_a_forward_model_or_a_reason():
    """Fails where a new problem is forgotten."""
    known = {name for name in mcnn.problems.names() if kind(name).__dict__.get("noise_free")}
    assert known == {"laplacian", "reflection"}
    assert known | set(mcnn.problems.WITHOUT_FORWARD) == set(mcnn.problems.names())
    assert Forward(abs).lost == ""
