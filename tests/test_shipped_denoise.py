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


@pytest.mark.parametrize("level", [10, 20, 30, 40])
def test_good_frames_are_not_made_worse(model, level):
    """Fails where the network draws over what needed no mending."""
    rng = np.random.default_rng(6)
    for name in ("lattice", "particles", "fringes", "texture"):
        clean = specimen(name, rng)
        frame = at_snr(clean, level, rng, counting=False)
        ours, theirs = (np.mean((a - clean) ** 2) for a in (predict(model, frame), frame))
        assert ours < 1.15 * theirs, name


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
    clean = np.tile(specimen("lattice", rng) * 0.6, (5, 1, 1))
    rows, columns = np.mgrid[:128, :128]
    atom = np.exp(-((rows - 60) ** 2 + (columns - 71) ** 2) / (2 * 2.5**2))
    clean[2] += 0.8 * atom
    frames = np.stack([at_snr(frame, 10, rng) for frame in clean])
    bare = np.stack([at_snr(frame, 10, np.random.default_rng(9)) for frame in clean - 0.8 * (
        np.arange(5) == 2)[:, None, None] * atom])  # fmt: skip
    near = (slice(59, 62), slice(70, 73))
    alone = predict(model, frames, axes="tyx", temporal="off")
    movie = predict(model, frames, axes="tyx")
    ground = predict(model, bare, axes="tyx")[:, *near].mean((1, 2))
    height = alone[2][near].mean() - ground[2]
    found = movie[:, *near].mean((1, 2)) - ground
    assert found[2] > 0.8 * height
    assert np.abs(found[[1, 3]]).max() < 0.1 * height


def test_noise_alone_holds_no_atoms(model):
    """Fails where white or correlated noise becomes atoms."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(10)
    for sigma in (0, 0.5, 1.0):
        for _ in range(3):
            noise = gaussian_filter(rng.normal(size=(128, 128)), sigma)
            answer = predict(model, noise)
            assert np.ptp(answer) < 1.0 * noise.std()
