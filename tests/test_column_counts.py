"""Fail where the columns that a denoising model invents or loses are counted wrongly."""

import json

import numpy as np
import pytest
import tensorflow as tf
from test_columns import SIZE, gaussians, lattice

from mcnn_keras import InputError, cli
from mcnn_keras.cli.evaluate import column_rows
from mcnn_keras.cli.telling import _plain
from mcnn_keras.evaluation import columns
from mcnn_keras.evaluation.columns import (
    Frames,
    best_counts,
    counted,
    evaluate_columns,
    truth_of,
)


@pytest.mark.parametrize(("scale", "dark"), [(1.0, False), (-0.4, True)])
@pytest.mark.parametrize(("pitch", "width"), [(12, 2.0), (7, 1.2), (20, 3.0)])
def test_the_truth_is_that_of_the_clean_image(pitch, width, scale, dark):
    """Fails where a column is not counted, or a bright field is read as a dark one."""
    sites = lattice(pitch)
    truth = truth_of(np.float32(3 + scale * gaussians(sites, width)))
    assert truth.dark == dark
    assert truth.height == pytest.approx(abs(scale), rel=0.25)
    distances = np.linalg.norm(truth.columns[:, None] - sites[None], axis=2).min(axis=1)
    assert distances.max() < 0.1
    inner = truth.inner(sites, truth.border + truth.within)
    assert len(truth.columns) == inner.sum() == len(sites)


def test_faint_columns_are_not_counted():
    """Fails where a column is missed that nobody could be sure of."""
    sites = lattice(12)
    heights = np.where(np.arange(len(sites)) % 5, 1.0, 0.2)
    truth = truth_of(gaussians(sites, 2.0, heights))
    assert len(truth.columns) == (heights == 1).sum()
    assert len(truth.unsure) == (heights == 0.2).sum()


def blurred_noise(width):
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(np.random.default_rng(1).normal(size=(SIZE, SIZE)), width)


@pytest.mark.parametrize(
    "image",
    [
        np.ones((SIZE, SIZE)),
        np.tile(np.sin(np.arange(SIZE) / 2), (SIZE, 1)),  # fringes
        gaussians(np.array([[60.0, 60.0], [80.0, 70.0]]), 15),  # particles
        gaussians(lattice(8), 3.2),  # not resolved
        blurred_noise(2.0),  # a texture
        5 * gaussians(np.array([[64.0, 64.0]]), 30) + 0.02 * blurred_noise(1.0),  # a grain
    ],
    ids=["blank", "fringes", "particles", "too close", "texture", "grain"],
)
def test_images_without_resolved_columns_are_left_out(image):
    """Fails where grains, rims or unresolved columns are taken for columns."""
    assert truth_of(image) is None


@pytest.fixture
def frames(rng):
    """Clean lattices, and noisy images of them; an outer ring of sites is at the border."""
    clean = np.array([gaussians(lattice(p), 2.0) for p in (12, 14, 16)])
    noisy = clean + rng.normal(0, 0.3, clean.shape)
    truths = [truth_of(image) for image in clean]
    return Frames(noisy[..., None], noisy, clean, truths, np.array([-20.0, -5.0, 5.0]), 3)


def test_the_clean_frames_have_no_fault(frames):
    """Fails where the truth invents or misses a column of its own."""
    rows = counted(frames, [0, 1, 2], {"network": frames.clean})
    row = rows["answers"]["network"]
    assert (row["true"], row["invented"], row["missed"]) == (rows["columns"], 0, 0)
    assert row["position_error"] == pytest.approx(0, abs=1e-6)
    assert rows["columns"] == sum(len(lattice(p)) for p in (12, 14, 16))


def test_known_faults_are_counted(frames):
    """Fails where an invented or lost column of an answer is not counted, or the blur's are."""
    answer = frames.clean.copy()
    sites = lattice(16)
    answer[2] -= gaussians(sites[[10, 11, 12]], 2.0)  # lost
    answer[2] += 0.8 * gaussians(sites[[20, 21]] + 8, 2.0)  # between four others
    answer[1] *= 0.5  # paler, but there
    row = counted(frames, [0, 1, 2], {"network": answer})["answers"]["network"]
    assert (row["invented"], row["missed"]) == (2, 3)
    flat = counted(frames, [2], {"network": np.zeros_like(frames.clean)})["answers"]["network"]
    assert (flat["true"], flat["invented"], flat["missed"]) == (0, 0, len(sites))
    assert flat["position_error"] is flat["precision"] is None
    json.dumps(_plain(row), allow_nan=False)


def test_the_blur_is_better_than_the_noise(frames):
    """Fails where the baseline is not the best blur, or is chosen over other frames."""
    answers = counted(frames, [0, 2], {})["answers"]
    noisy, blur = answers["noisy frame"], answers["Gaussian blur"]
    assert blur["pixels"] >= 0.5
    assert blur["invented"] + blur["missed"] <= noisy["invented"] + noisy["missed"]
    counts, least = best_counts(frames.images[[0, 2]], [frames.truths[0], frames.truths[2]])
    assert (counts.invented, least) == (noisy["invented"], noisy["least_height"])


def test_a_model_is_counted_on_frames_of_its_own_ranges(denoiser, monkeypatch):
    """Fails where a frame is in no group or in two, or a column is neither found nor missed."""
    told = evaluate_columns(denoiser, samples=5, seed=3, image_size=64)
    assert told["frames"] == 5
    assert told["drawn"] >= 5
    assert sum(group["frames"] for group in told["groups"]) == 5
    for group in told["groups"]:
        assert list(group["answers"]) == ["network", "Gaussian blur", "noisy frame"]
        for row in group["answers"].values():
            assert row["true"] + row["missed"] == group["columns"] >= 4 * group["frames"]
    json.dumps(told, allow_nan=False)
    # Without such frames there are no numbers, rather than wrong ones.
    monkeypatch.setattr(columns, "truth_of", lambda clean: None)
    monkeypatch.setattr(
        columns,
        "_drawn",
        lambda *_: tf.data.Dataset.from_tensors((tf.zeros((8, 8, 5)), tf.zeros((8, 8, 1)), 1.0)),
    )
    assert evaluate_columns(denoiser, samples=1, image_size=64) == {}


def test_other_models_have_no_columns(trained):
    """Fails where a phase model is asked for atoms, or no samples give numbers."""
    assert evaluate_columns(trained.model, samples=2) == {}
    with pytest.raises(InputError, match="samples"):
        evaluate_columns(trained.model, samples=0)


def test_the_command_tells_them(monkeypatch, capfd):
    """Fails where a count is not printed, is printed in another row, or is not in the JSON."""
    row = {"true": 40, "invented": 3, "missed": 10, "position_error": 0.25}
    lost = {"true": 0, "invented": 0, "missed": 50, "position_error": None}
    told = {"frames": 2, "drawn": 9, "groups": [
        {"snr_db": [None, -10.0], "frames": 1, "columns": 50, "answers": {"network": lost}},
        {"snr_db": [-10.0, 0.0], "frames": 1, "columns": 50,
         "answers": {"network": row, "noisy frame": lost}},
    ]}  # fmt: skip
    rows = list(column_rows(told))
    assert rows[0] == ["below -10 dB (50 columns in 1 frame)", "network", "0 (0.0%)",
                       "50 (100.0%)", "-"]  # fmt: skip
    assert rows[1][1:] == ["network", "3 (6.0%)", "10 (20.0%)", "0.25 pixels"]
    assert rows[2][:2] == ["", "noisy frame"]
    answers = {"network": {"mae": {"image": 0.1}, "correlation": 0.9, "with": {}}}
    monkeypatch.setattr("mcnn_keras.evaluation.evaluate", lambda *_, **__: answers)
    monkeypatch.setattr("mcnn_keras.evaluation.columns.evaluate_columns", lambda *_, **__: told)
    for words in (["evaluate", "denoise-fast"], ["--json", "evaluate", "denoise-fast"]):
        with pytest.raises(SystemExit) as stop:
            cli.main(words)
        assert stop.value.code == 0
    out = capfd.readouterr().out
    assert "3 (6.0%)" in out
    assert json.loads(out[out.index("{") :])["result"]["columns"]["groups"][1] == told["groups"][1]
