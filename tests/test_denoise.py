"""Fail where frames, noise or units differ between training and use, or wrong input passes."""

import numpy as np
import pytest
import tensorflow as tf
import tifffile
from conftest import plain_noise

from mcnn_keras import InputError, evaluate, predict, save, train
from mcnn_keras.cli import main
from mcnn_keras.inference.tiles import OVERLAP, tile_starts
from mcnn_keras.models import saving
from mcnn_keras.problems import Denoise, from_card
from mcnn_keras.problems.denoise import RANGES
from mcnn_keras.training.pipeline import fixed_set, stream


@pytest.fixture(scope="module")
def problem():
    return Denoise(photographs=0)


@pytest.fixture(scope="module")
def model():
    problem = Denoise(0, families={"columns": 2, "lattices": 2, "blank": 1})
    settings = {"image_size": 32, "samples": 64, "epochs": 2, "filters": (8, 8), "branches": 2}
    settings |= {"batch_size": 8, "mixed_sizes": False, "learning_rate": 5e-4}
    return train(problem, precision="float32", loss="squared", **settings).model


def test_a_sample_is_a_function_of_its_number():
    """Fails where more than seed and number decides a sample, or both splits have the same ones."""
    problem = Denoise(0, families={"columns": 1, "lone_atoms": 1})
    ours, again = (fixed_set(problem, "train", 6, 32, 3) for _ in range(2))
    np.testing.assert_array_equal(ours[0], again[0])
    np.testing.assert_array_equal(ours[1], again[1])
    assert not np.array_equal(ours[0], fixed_set(problem, "test", 6, 32, 3)[0])


@pytest.fixture(scope="module")
def samples(problem):
    """Inputs and targets of 200 samples."""
    return fixed_set(problem, "train", 200, 64, 0)


def test_frames_come_in_their_own_scale(samples):
    """Fails where frames do not have mean zero and deviation one, or targets another scale."""
    inputs, targets = samples
    images = inputs[..., :1]
    np.testing.assert_allclose(images.mean((1, 2)), 0, atol=0.06)
    # Where a few counts lie beyond six deviations, drawing them in takes some away.
    whole = (inputs[..., 5] == 0).all((1, 2))
    assert 0.6 < whole.mean() < 0.95
    assert np.percentile(np.abs(images[whole].std((1, 2)) - 1), 85) < 0.03
    # Drawing in the target with its frame moves the mean of a few.
    assert np.percentile(np.abs(targets[whole].mean((1, 2))), 85) < 1e-3
    for extent in (np.min, np.max):
        assert (np.abs(extent(targets, (1, 2, 3))) <= np.abs(extent(images, (1, 2, 3)))).all()
    # In the frame's scale the truth is smaller than the frame, by the noise; where a slow detector
    # or jitter has smeared a good frame, it is a little larger.
    assert np.percentile(targets[whole].std((1, 2)), 90) < 1.1


def test_noise_is_as_strong_as_stated(samples):
    """Fails where decibels are those of amplitudes, or blank frames are too few or too many."""
    inputs, targets = samples
    images = inputs[..., :1]
    variance = targets.var((1, 2, 3))
    seen = variance > 0
    ratio = 10 * np.log10(variance[seen] / (images - targets).var((1, 2, 3))[seen])
    low, high = RANGES["contrast_snr"][0], RANGES["good_snr"][1]
    # Lines, hot pixels and jitter add to it, afterglow and clipping take away.
    assert low - 2.5 < np.percentile(ratio, 5) < low + 5
    assert high - 22 < np.percentile(ratio, 95) < high
    assert 0.6 < np.mean(ratio < RANGES["contrast_snr"][1]) < 0.95
    assert 0.01 < 1 - seen.mean() < 0.15  # blank frames


def test_half_of_the_samples_have_neighbours(samples):
    """Fails where the network never sees a single frame, or never a movie."""
    inputs, _ = samples
    there = (inputs[..., 1:5] != 0).any((1, 2))
    assert 0.3 < there.any(1).mean() < 0.65
    # Neighbours show the middle frame's field, so that they tell something of it.
    both = inputs[there.all(1)]
    alike = [np.corrcoef(f[..., 0].ravel(), f[..., 2].ravel())[0, 1] for f in both]
    assert np.median(alike) > 0.1


def test_a_window_has_a_middle():
    """Fails where an even window is taken, or a card of single frames gets neighbours."""
    with pytest.raises(InputError, match="no middle one"):
        Denoise(window=4)
    single = Denoise(photographs=0, window=1)
    assert not single.normalization.missing
    before = {k: v for k, v in single.config().items() if k != "window"}
    assert Denoise.from_config(before).window == 1


def test_photographs_come_early_and_every_second_time(monkeypatch):
    """Fails where photographs have other numbers than every second one of the first 40."""
    monkeypatch.setattr(Denoise, "detect", plain_noise)
    few = {"columns": 1, "blank": 1}
    problem = Denoise(photographs=40, families=few)
    plain = Denoise(photographs=0, families=few)
    numbers = range(60)
    same = []
    for ours, theirs, _ in zip(
        stream(problem, "train", 1, 32, 0), stream(plain, "train", 1, 32, 0), numbers, strict=False
    ):
        same.append(np.array_equal(ours[0], theirs[0]))
    assert same == [not (n < 40 and n % 2 == 0) for n in numbers]


@pytest.mark.parametrize("dose", [3.0, 0.05, 1e-3])
def test_inference_scales_frames_as_training_does(problem, rng, dose):
    """Fails where NumPy and TensorFlow scale differently, or a hot pixel sets the scale."""
    frame = rng.poisson(dose, (48, 48, 1)).astype(np.float32)
    frame[5, 7] = 500 * dose  # a hot pixel
    frame[9, 9] = 1
    target = dose * (0.5 + rng.random((48, 48, 1))).astype(np.float32)
    image, scale = problem.normalization.apply(tf.constant(frame))
    target_in_training = problem.normalization.target(tf.constant(target), scale)
    normalized, own = problem.normalization.apply(frame)
    np.testing.assert_allclose(normalized, image, atol=1e-4)
    back = problem.normalization.restore(np.asarray(target_in_training), own)
    np.testing.assert_allclose(back - back.mean(), target - target.mean(), atol=1e-4)
    assert np.abs(normalized).max() < 60
    if dose == 3.0:
        assert normalized[..., 0].max() == normalized[5, 7, 0] < 10


def test_an_empty_frame_teaches_nothing(problem, rng):
    """Fails where a frame without contrast is divided by zero, or its target is not zero."""
    target = tf.constant(rng.random((32, 32, 1)), tf.float32)
    for level in (0.0, 3.3):
        image, scale = problem.normalization.apply(tf.fill((32, 32, 1), level))
        wanted = problem.normalization.target(target, scale)
        np.testing.assert_array_equal(image, 0)
        np.testing.assert_array_equal(wanted, 0)


def test_a_result_is_in_the_units_of_its_frame(model, rng):
    """Fails where the mean or the deviation of the frame is not put back."""
    frame = rng.poisson(4.0, (64, 64)).astype(np.float32)
    answer = predict(model, frame)
    np.testing.assert_allclose(answer.mean(), frame.mean(), rtol=0.02)
    np.testing.assert_allclose(predict(model, 1000 * frame + 5e4), 1000 * answer + 5e4, rtol=1e-3)


def test_a_blank_frame_comes_back_blank(model):
    """Fails where a blank frame becomes NaN or gets a pattern."""
    for level in (0.0, 3.3, 1e5):
        np.testing.assert_allclose(predict(model, np.full((40, 50), level)), level, rtol=1e-6)


def test_the_problem_is_known_by_its_card(model):
    """Fails where an argument of the problem is lost in the card."""
    problem = from_card(model.card)
    assert problem.config() == model.card.config
    assert set(problem.families) == {"columns", "lattices", "blank"}


def test_wrong_arguments_are_told():
    """Fails where a negative number of photographs or an unknown family is taken."""
    with pytest.raises(InputError, match="negative"):
        Denoise(photographs=-1)
    with pytest.raises(InputError, match="cats"):
        Denoise(families={"cats": 1})
    with pytest.raises(InputError, match="several frames; give window=5"):
        Denoise(window=1, channels="spectral_series")


def test_the_command_denoises_files_in_order(model, rng, tmp_path, capfd):
    """Fails where the command changes the order, the type or the units of the frames."""
    frames = rng.poisson(3.0, (5, 40, 48)).astype(np.uint16)
    frames[2] = 7
    tifffile.imwrite(tmp_path / "frames.tif", frames, photometric="minisblack")
    save(model, tmp_path / "m.h5")
    with pytest.raises(SystemExit) as end:
        arguments = [tmp_path / "frames.tif", "--output", tmp_path / "clean.tif"]
        options = ["--model", str(tmp_path / "m.h5"), "--precision", "float32"]
        main(["denoise", *map(str, arguments), *options])
    assert end.value.code == 0, capfd.readouterr().err
    clean = tifffile.imread(tmp_path / "clean.tif")
    assert clean.shape == frames.shape
    assert clean.dtype == np.float32
    np.testing.assert_allclose(clean.mean((1, 2)), frames.mean((1, 2)), rtol=0.02)
    np.testing.assert_allclose(clean[2], 7, rtol=1e-6)
    for frame, answer in zip(frames, clean, strict=True):
        np.testing.assert_allclose(predict(model, frame), answer, atol=1e-4)


def test_models_are_listed(model, tmp_path, monkeypatch, capfd):
    """Fails where a model in the folder of the weights is left out."""
    monkeypatch.setattr(saving, "WEIGHTS", tmp_path)
    for name in ("one", "two"):
        save(model, tmp_path / f"{name}.h5")
    with pytest.raises(SystemExit) as end:
        main(["models"])
    assert end.value.code == 0
    assert [line.split()[0] for line in capfd.readouterr().out.splitlines()] == ["one", "two"]


def test_evaluation_stands_beside_the_best_blur(model):
    """Fails where the blur is in another scale than the targets: zero would err less."""
    answers = evaluate(model, samples=6)
    assert set(answers) == {"network", "zero", "Gaussian blur"}
    blur, zero = (answers[name]["mae"]["image"] for name in ("Gaussian blur", "zero"))
    assert 0 < blur < zero
    assert answers["Gaussian blur"]["with"]["pixels"] > 0


def test_a_black_picture_stays_finite():
    """Fails where a picture without light becomes NaN in one of the kinds of noise."""
    problem, black = Denoise(photographs=0, window=1), tf.zeros((32, 32, 1))
    for i in range(30):
        image = problem.detect(black, tf.constant([1, i], tf.int64))
        # Pixels that are missing are not numbers, in a few of the frames.
        assert np.isfinite(image).mean() > 0.2
        assert np.isfinite(problem.normalization.apply(image)[0]).all()


def test_a_large_frame_is_denoised_in_tiles_without_seams(model, rng):
    """As smooth as the answers of which it is made, and each region in its own scale.

    Fails where the tiles show seams or share one scale.
    """
    y, x = np.mgrid[:90, :101]
    frame = rng.poisson(4 + 2 * np.sin(x / 5) * np.cos(y / 6)).astype(np.float32)
    frame[:, 60:] *= 100
    answer = predict(model, frame)
    assert answer.shape == frame.shape
    np.testing.assert_allclose(answer.mean(), frame.mean(), rtol=0.04)
    np.testing.assert_allclose(answer[:, :28].mean(), frame[:, :28].mean(), rtol=0.1)
    # In the middle of the first tile, where no other one reaches with much weight.
    alone = predict(model, frame[:32, :32])
    assert np.abs(answer - alone.mean())[:16, :16].max() < 5 * np.abs(alone - alone.mean()).max()
    flat = predict(model, np.full((70, 33), 7.5, np.float32))
    np.testing.assert_allclose(flat, 7.5, rtol=1e-6)


@pytest.mark.parametrize(("length", "tile"), [(128, 128), (129, 128), (200, 128), (1024, 128)])
def test_tiles_cover_a_length_and_overlap(length, tile):
    """Fails where the tiles leave out the end, go beyond it, or do not overlap."""
    starts = tile_starts(length, tile)
    assert starts[0] == 0
    assert starts[-1] == length - tile
    assert (np.diff(starts) <= tile - min(OVERLAP, tile // 8) + 1).all()
