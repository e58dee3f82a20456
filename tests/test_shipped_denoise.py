"""Fail where a shipped denoising model is worse than a blur, or than no denoising at all."""

import sys
from pathlib import Path

import numpy as np
import pytest

from mcnn_keras import load, predict
from mcnn_keras.classical.denoisers import gaussian

sys.path.append(str(Path(__file__).parents[1] / "data_tools"))
from messy_frames import KINDS, at_snr, sequence, specimen


@pytest.fixture(scope="module", params=["denoise", "denoise-fast"])
def model(request):
    return load(request.param)


def snr(answer, truth):
    """In dB, after the scale and the offset that suit the answer best."""
    seen = np.isfinite(truth)
    a, t = answer[seen], truth[seen]
    return -10 * np.log10(1 - np.corrcoef(a, t)[0, 1] ** 2)


def best_blur(frame, truth):
    return max(snr(gaussian(frame, s), truth) for s in (0.7, 1, 1.4, 1.8, 2.3, 3))


# By how many dB above the best blur each kind of noise must stand, at -3 dB.
@pytest.mark.parametrize(
    ("kind", "above"),
    [("white", 3), ("correlated 0.5", 2), ("scan AR 0.85", 2), ("jitter", 2), ("flyback", 2)],
)
def test_it_beats_the_best_blur(model, kind, above):
    """Fails where a kind of frame that instruments leave is hardly better than blurred."""
    rng, gains = np.random.default_rng(5), []
    for _ in range(4):
        frame, truth = KINDS[kind](specimen("lattice", rng), -3, rng)
        known = np.where(np.isfinite(truth), frame, frame[np.isfinite(truth)].mean())
        gains.append(snr(predict(model, frame), truth) - best_blur(known, truth))
    assert np.mean(gains) > above


# Not so fringes, textures and fine grain, which are still taken for noise in some good frames.
@pytest.mark.parametrize("level", [10, 20, 30, 40])
def test_good_frames_are_not_made_worse(model, level):
    """Fails where the network draws over what needed no mending."""
    rng = np.random.default_rng(6)
    for name in ("lattice", "lone atoms", "film edges"):
        clean = specimen(name, rng)
        frame = at_snr(clean, level, rng, counting=False)
        ours, theirs = (np.mean((a - clean) ** 2) for a in (predict(model, frame), frame))
        assert ours < (1.7 if level == 40 else 1.05) * theirs, name


def test_a_movie_is_worth_more_than_its_frames(model):
    """Fails where neighbours are not used, or are used where they show something else."""
    rng = np.random.default_rng(7)
    for kind, least in (("drifting", 1.0), ("unrelated", -0.05)):
        clean = sequence(kind, rng, frames=5)
        frames = np.stack([at_snr(frame, -3, rng) for frame in clean])
        alone, movie = (
            predict(model, frames, axes="tyx", temporal=temporal) for temporal in ("off", "auto")
        )
        gain = [snr(m, t) - snr(a, t) for m, a, t in zip(movie, alone, clean, strict=True)]
        assert np.mean(gain) > least, kind


def test_an_atom_of_one_frame_stays_there(model):
    """Fails where it is smeared over the frames around it, or lost from its own."""
    rng = np.random.default_rng(8)
    without = np.tile(0.6 * specimen("lattice", rng), (5, 1, 1))
    rows, columns = np.mgrid[:128, :128]
    with_it = without.copy()
    with_it[2] += 0.8 * np.exp(-((rows - 60) ** 2 + (columns - 71) ** 2) / (2 * 2.5**2))
    noise = rng.normal(0, 0.3 * without.std(), without.shape)

    def heights(clean, temporal):
        answers = predict(model, clean + noise, axes="tyx", temporal=temporal)
        return answers[:, 59:62, 70:73].mean((1, 2))

    alone = (heights(with_it, "off") - heights(without, "off"))[2]
    together = heights(with_it, "auto") - heights(without, "auto")
    assert alone > 0.4
    assert together[2] > 0.8 * alone
    assert np.abs(together[[1, 3]]).max() < 0.1 * alone


def test_noise_alone_holds_no_atoms(model):
    """Fails where white or correlated noise becomes atoms."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(10)
    for sigma in (0, 0.5, 1.0):
        for _ in range(3):
            noise = gaussian_filter(rng.normal(size=(128, 128)), sigma)
            answer = predict(model, noise)
            assert np.ptp(answer) < 1.0 * noise.std()


@pytest.mark.parametrize("factor", [1.5, 10.0])
def test_a_movie_of_changing_brightness_keeps_its_contrast(model, factor):
    """Fails where the contrast of dim frames grows, and that of bright ones fades."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:96, :96]
    truth = 20 * (0.2 + np.exp(-((x % 9 - 4.5) ** 2 + (y % 9 - 4.5) ** 2) / (2 * 1.8**2)))
    for bright in ([1, factor] * 3, [1] * 3 + [factor] * 3):
        movie = np.stack([rng.poisson(truth) * f for f in bright]).astype(np.float32)
        for answer, f in zip(predict(model, movie, axes="tyx"), bright, strict=True):
            slope = np.cov(answer.ravel(), f * truth.ravel())[0, 1] / np.var(f * truth, ddof=1)
            assert 0.93 < slope < 1.05
