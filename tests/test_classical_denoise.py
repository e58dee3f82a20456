"""Fail where a classical denoiser misses its formula, its noise level or the frames' units."""

import numpy as np
import pytest

from mcnn_keras import InputError
from mcnn_keras.classical import denoisers
from mcnn_keras.classical.pgure_svt import _follow, _Shrinkage, noise_line, pgure_svt
from mcnn_keras.metrics import snr_db


def moving_columns(frames=9, size=64):
    y, x = np.mgrid[:size, :size]
    sites = [(14 + 18 * a, 14 + 18 * b) for a in range(3) for b in range(3)]
    return np.stack([
        sum(np.exp(-((y - r - 0.2 * t) ** 2 + (x - c + 0.3 * t) ** 2) / 30) for r, c in sites)
        for t in range(frames)
    ])  # fmt: skip


@pytest.fixture
def truth():
    return moving_columns()


def test_snr_is_that_of_its_formula():
    """Fails where the ratio is that of amplitudes, or a perfect answer divides by zero."""
    assert snr_db([1.0, 1.0], [1.0, 2.0]) == pytest.approx(10 * np.log10(5))
    assert snr_db([3.0], [3.0]) == np.inf


@pytest.mark.parametrize(("gain", "deviation"), [(0.3, 0.0), (0.3, 0.3), (1.0, 0.2), (0.0, 0.5)])
def test_the_noise_is_found_in_the_frames(truth, gain, deviation):
    """Fails where gain and offset are mixed up, or fine detail of the image counts as noise."""
    rng = np.random.default_rng(0)
    noisy = truth + deviation * rng.standard_normal(truth.shape)
    if gain:
        noisy += gain * rng.poisson(truth / gain) - truth
    found, offset = noise_line(noisy)
    assert found == pytest.approx(gain, rel=0.2, abs=0.03)
    assert offset == pytest.approx(deviation**2, rel=0.2, abs=0.02)


@pytest.mark.parametrize("gain", [0.3, 1.0])
def test_pgure_chooses_nearly_the_best_threshold(truth, gain):
    """The threshold that an oracle would choose is hardly better than the estimated one.

    Fails where the estimate of the risk is wrong, or the frames are denoised one by one.
    """
    rng = np.random.default_rng(1)
    noisy = gain * rng.poisson((truth + 0.1) / gain) - 0.1
    ours = snr_db(pgure_svt(noisy), truth)
    shrinkage = _Shrinkage(noisy, _follow(noisy, 4, 2, 2), 4)
    grid = np.geomspace(0.01, 1, 40) * shrinkage.largest
    best = max(snr_db(shrinkage.at(strength), truth) for strength in grid)
    assert ours > best - 0.3
    # And it uses the sequence: better than the best blur of single frames.
    blurs = ([denoisers.gaussian(f, s) for f in noisy] for s in (1, 1.5, 2, 3))
    assert ours > max(snr_db(np.stack(b), truth) for b in blurs)


def test_patches_follow_the_motion():
    """Fails where patches stay in place or go against the motion."""
    # One column moving by a pixel a frame: the patch that starts on it stays on it.
    y, x = np.mgrid[:48, :48]
    frames = np.stack([np.exp(-((y - 20 - t) ** 2 + (x - 24) ** 2) / 20) for t in range(7)])
    places = _follow(frames, 4, 2, 2)
    index = np.argmin(np.abs(places[3] - (21, 22)).sum(1))
    np.testing.assert_allclose(np.diff(places[:, index, 0]), 1)
    np.testing.assert_allclose(places[:, index, 1], places[3, index, 1])


def test_every_pixel_of_a_drifting_image_is_covered():
    """Fails where pixels that all patches have left are empty or NaN."""
    y, x = np.mgrid[:48, :48]
    frames = np.stack([5 + np.sin((y + 2 * t) / 4) * np.cos((x - t) / 5) for t in range(9)])
    noisy = frames + 0.1 * np.random.default_rng(0).standard_normal(frames.shape)
    assert np.abs(pgure_svt(noisy) - frames).max() < 1


def test_a_long_sequence_comes_back_whole(truth):
    """Fails where the windows leave frames out, or a flat sequence becomes NaN."""
    assert pgure_svt(np.concatenate([truth, truth])[:13], window=5).shape == (13, 64, 64)
    np.testing.assert_allclose(pgure_svt(np.full((3, 16, 16), 5.0)), 5)
    with pytest.raises(InputError, match="two frames"):
        pgure_svt(truth[0])


@pytest.mark.parametrize(
    ("method", "strengths"),
    [
        (denoisers.gaussian, (1, 2, 3)),
        (denoisers.total_variation, (0.2, 0.5, 1)),
        (denoisers.non_local_means, (0.4, 0.8)),
    ],
)
def test_each_method_denoises_and_keeps_units(truth, method, strengths):
    """Fails where the strength is an absolute value, so that the units of a frame matter."""
    rng = np.random.default_rng(2)
    noisy = truth[:2] + 0.4 * rng.standard_normal(truth[:2].shape)
    answers, strength = denoisers.best_strength(method, noisy, truth[:2], strengths, snr_db)
    assert strength in strengths
    assert snr_db(np.stack(answers), truth[:2]) > snr_db(noisy, truth[:2]) + 4
    scaled = method(700 * noisy[0] + 50, strength)
    np.testing.assert_allclose(scaled, 700 * answers[0] + 50, rtol=0.02, atol=15)


def test_bm3d_denoises_counts(truth):
    """Fails where the gain or the offset of the counts is lost, or much of the noise is left."""
    pytest.importorskip("bm3d")
    rng = np.random.default_rng(3)
    counts = rng.poisson(8 * truth[0] + 2).astype(float)
    target = 8 * truth[0] + 2
    for answer in (
        denoisers.bm3d(counts, 0.6),
        denoisers.bm3d_anscombe(3 * counts + 7, 3.0, 7.0) / 3 - 7 / 3,
    ):
        assert snr_db(answer, target) > snr_db(counts, target) + 4
        assert answer.mean() == pytest.approx(counts.mean(), rel=0.05)
