"""Fail where image and target come apart, splits overlap, or a useless pair passes."""

import h5py
import imageio.v3 as iio
import numpy as np
import pytest
import scipy.ndimage
import tifffile

from mcnn_keras import InputError, evaluate, load, predict, save, train
from mcnn_keras.cli import main
from mcnn_keras.problems import Paired
from mcnn_keras.training.pipeline import fixed_set


@pytest.fixture
def folders(tmp_path, rng):
    """Twelve blurred pictures of several sizes and kinds of file, and the sharp ones."""
    images, targets = tmp_path / "images", tmp_path / "targets"
    for folder in (images, targets, images / "deep", targets / "deep"):
        folder.mkdir()
    for i in range(12):
        sharp = scipy.ndimage.gaussian_filter(rng.random((40 + 4 * (i % 3), 48)), 0.7)
        sharp = np.float32(300 + 100 * sharp)
        blurred = scipy.ndimage.gaussian_filter(sharp, 1)
        name = f"deep/{i}" if i % 2 else str(i)
        np.save(targets / f"{name}.npy", sharp)
        tifffile.imwrite(images / f"{name}.tif", blurred)
    return images, targets


def test_windows_of_a_pair_belong_together(folders):
    """Fails where an image and its target are cut from two places, or a window comes twice."""
    problem = Paired(*folders)
    assert problem.report == ["12 pairs: 10 train, 2 test"]
    images, targets = fixed_set(problem, "train", 40, 32, 0)
    n = problem.normalization
    images = images * n.input_deviation + n.input_mean
    targets = targets * n.output_deviation + n.output_mean
    assert 300 <= targets.min() < targets.max() <= 400
    for image, target in zip(images[..., 0], targets[..., 0], strict=True):
        blurred = scipy.ndimage.gaussian_filter(target, 1)
        np.testing.assert_allclose(image[5:-5, 5:-5], blurred[5:-5, 5:-5], rtol=1e-3)
    assert len({image.tobytes() for image in images}) == 40


def test_the_training_set_is_seen_with_mean_zero_and_deviation_one(folders):
    """Fails where images or targets keep their mean or deviation, or get each other's."""
    images, targets = fixed_set(Paired(*folders), "train", 200, 32, 0)
    for array in (images, targets):
        np.testing.assert_allclose([array.mean(), array.std()], [0, 1], atol=0.1)


def test_the_splits_share_no_pair_and_are_stable(folders):
    """Fails where a pair is in both splits, or a second reading splits the folder differently."""
    problem, again = Paired(*folders), Paired(*folders)
    values = []
    for split in ("train", "test"):
        for which in (0, 1):
            np.testing.assert_array_equal(
                problem._held[split][which][0], again._held[split][which][0]
            )
        flat, _, starts = problem._held[split][1]
        values.append(set(np.asarray(flat)[np.asarray(starts)]))
    assert not values[0] & values[1]


def test_what_is_left_out_is_told(folders):
    """Fails where a lonely, broken or odd file is dropped in silence, or ends the reading."""
    images, targets = folders
    np.save(images / "lonely.npy", np.ones((40, 40)))
    np.save(targets / "broken.npy", np.ones((40, 40)))
    (images / "broken.tif").write_bytes(b"no image")
    for folder, side in ((images, 40), (targets, 60)):
        np.save(folder / "odd.npy", np.ones((side, side)))
        np.save(folder / "stack.npy", np.ones((3, 40, 40)))
    report = "\n".join(Paired(*folders).report)
    assert report.startswith("12 pairs: 10 train, 2 test")
    assert "1 without target: lonely" in report
    assert "broken left out" in report
    assert "odd left out: the target has 60x60 pixels for an image of 40x40" in report
    assert "1 left out, with images of 3 and targets of 3 channels, where" in report


def test_a_folder_of_pairs_trains_and_predicts(folders, tmp_path, capfd):
    """Fails where a network learns nothing from pairs, or answers in other values than theirs."""
    images, targets = folders
    with pytest.raises(SystemExit) as end:
        main([
            "train", "paired", "--inputs", str(images), "--targets", str(targets), "--image-size",
            "32", "--samples", "16", "--epochs", "1", "--preset", "fast", "--branches", "1",
            "--output", str(tmp_path / "run"),
        ])  # fmt: skip
    told = capfd.readouterr()
    assert end.value.code == 2  # the network's stride is 64
    assert "64" in told.err
    from mcnn_keras import train

    run = train(
        Paired(*folders), image_size=32, samples=320, epochs=3, filters=(8, 12), branches=1,
        learning_rate=3e-3,
    )  # fmt: skip
    answer = predict(run.model, tifffile.imread(images / "0.tif"))
    sharp = np.load(targets / "0.npy")
    # Back in the targets' own values.
    assert abs(answer.mean() - sharp.mean()) < 5
    assert np.corrcoef(answer.ravel(), sharp.ravel())[0, 1] > 0.6
    assert evaluate(run.model, samples=8)["network"]["correlation"] > 0.6


def test_colours_stay_colours(tmp_path, rng):
    """Fails where colours are averaged to grey, or the answer lacks one or its double size."""
    for folder in ("images", "targets"):
        (tmp_path / folder).mkdir()
    for i in range(5):
        picture = rng.integers(0, 255, (40, 44, 3), np.uint8)
        iio.imwrite(tmp_path / "images" / f"{i}.png", 255 - picture[::2, ::2])
        iio.imwrite(tmp_path / "targets" / f"{i}.png", picture)
    from mcnn_keras import save, train

    problem = Paired(tmp_path / "images", tmp_path / "targets")
    run = train(problem, image_size=16, samples=16, epochs=1, filters=(4, 6))
    assert run.model.card.scale == 2
    save(run.model, tmp_path / "m.h5")
    with pytest.raises(SystemExit) as end:
        main([
            "predict", str(tmp_path / "m.h5"), str(tmp_path / "targets" / "0.png"), "--output",
            str(tmp_path / "out.tif"),
        ])  # fmt: skip
    assert end.value.code == 0
    assert tifffile.imread(tmp_path / "out.tif").shape == (3, 80, 88)
    assert iio.imread(tmp_path / "out.png").shape == (80, 88, 3)
    assert [o.name for o in load(tmp_path / "m.h5").card.outputs] == ["red", "green", "blue"]


def test_pictures_of_8_bits_stay_within_them(tmp_path, rng):
    """Fails where answers leave 0..255, a PNG is stretched, or errors are not grey levels."""
    images, targets = tmp_path / "images", tmp_path / "targets"
    for folder in (images, targets):
        folder.mkdir()
    for i in range(6):
        # Black and white, so that a linear network leaves 0..255.
        picture = np.uint8(255 * (scipy.ndimage.gaussian_filter(rng.random((64, 64)), 3) > 0.5))
        iio.imwrite(targets / f"{i}.png", picture)
        iio.imwrite(images / f"{i}.png", np.uint8(80 + picture // 4))
    (images / "notes.txt").write_text("mine")
    problem = Paired(images, targets)
    assert problem.normalization.limits == (0.0, 255.0)
    assert "1 of" in problem.report[1]
    assert "notes.txt" in problem.report[1]
    run = train(problem, output=tmp_path / "run", filters=(4, 8), image_size=32, samples=16,
                epochs=1, batch_size=4)  # fmt: skip
    (kernel, bias) = run.model.get_layer("output_1").get_weights()
    run.model.get_layer("output_1").set_weights([100 * (kernel + 0.1), bias])
    save(run.model, tmp_path / "wild.h5")
    (tmp_path / "results").mkdir()
    with pytest.raises(SystemExit) as end:
        main(["predict", str(tmp_path / "wild.h5"), str(images / "0.png"),
              "--output", str(tmp_path / "results")])  # fmt: skip
    assert end.value.code == 0
    answer = tifffile.imread(tmp_path / "results" / "0.tif")
    assert answer.dtype == np.uint8
    assert answer.min() == 0 or answer.max() == 255
    np.testing.assert_array_equal(iio.imread(tmp_path / "results" / "0.png"), answer)
    row = evaluate(run.model, samples=8)
    grey_levels = row["the image itself"]["mae"]["output"]
    assert 60 < grey_levels < 130  # (80 + 0) - 0 and 255 - (80 + 63)


def test_datasets_of_one_file_are_pairs(tmp_path, rng):
    """Fails where an image gets the target of another number, or its channels are mixed up."""
    images = rng.random((6, 20, 24, 2)).astype(np.float32)
    with h5py.File(tmp_path / "pairs.h5", "w") as file:
        for name, array in (("x", images), ("y", images[..., 0] + images[..., 1])):
            file[name] = array
            names = ["sample", "height", "width", "channel"][: array.ndim]
            file[name].attrs.update(
                axes=names, scales=[np.nan] * array.ndim, offsets=[0.0] * array.ndim,
                units=[""] * array.ndim,
            )  # fmt: skip
    problem = Paired(f"{tmp_path}/pairs.h5:/x", f"{tmp_path}/pairs.h5:/y")
    found, targets = fixed_set(problem, "train", 4, 16, 0)
    assert found.shape == (4, 16, 16, 2)
    n = problem.normalization
    found = found * n.input_deviation + n.input_mean
    targets = targets * n.output_deviation + n.output_mean
    np.testing.assert_allclose(found.sum(-1), targets[..., 0], atol=1e-5)


def test_plain_datasets_have_their_channels_last(tmp_path, rng):
    """Fails where the last axis of a plain dataset is taken for the images' width."""
    images = rng.random((6, 20, 24, 3)).astype(np.float32)
    with h5py.File(tmp_path / "pairs.h5", "w") as file:
        file["x"], file["y"] = images, images[..., 0]
    problem = Paired(f"{tmp_path}/pairs.h5:/x", f"{tmp_path}/pairs.h5:/y")
    assert fixed_set(problem, "train", 2, 16, 0)[0].shape == (2, 16, 16, 3)


def test_what_cannot_be_paired_is_refused(folders, tmp_path):
    """Fails where a missing folder, one without pairs, or too large a window is accepted."""
    with pytest.raises(InputError, match="not a folder"):
        Paired(folders[0], tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="0 pairs can be used"):
        Paired(folders[0], tmp_path / "empty")
    with pytest.raises(InputError, match=r"larger than the smallest image, \w+(/\w+)? with 40"):
        fixed_set(Paired(*folders), "train", 1, 48, 0)


def test_whole_images_are_filled_up_as_inference_does(folders):
    """Fails where the mirrored border differs from side to side, or sizes are mixed in silence."""
    images, targets = folders
    problem = Paired(images, targets, whole=True)
    assert (
        "4 left out, with images of 48x48 pixels, where most have images of 40x48"
        in problem.report[-1]
    )
    found, truth = fixed_set(problem, "train", 3, 32, 0)
    assert found.shape == truth.shape == (3, 64, 64, 1)
    n = problem.normalization
    known = {np.load(path).tobytes() for path in targets.rglob("*.npy")}
    for target in truth[..., 0] * n.output_deviation + n.output_mean:
        inner = target[10:54, 8:56] if len(problem._side) and problem._side[0] == 44 else None
        inner = target[12:52, 8:56] if problem._side[0] == 40 else inner
        inner = target[8:56, 8:56] if inner is None else inner
        assert any(
            np.allclose(inner, np.frombuffer(k, np.float32).reshape(inner.shape), rtol=1e-5)
            for k in known
            if len(k) == inner.size * 4
        )
