"""Fail where a run or a measurement takes pairs, or pictures, for those of its training."""

import json
import shutil
import subprocess
import sys
import warnings

import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf

from mcnn_keras import InputError, evaluate, load, predict, save, train
from mcnn_keras.cli import main
from mcnn_keras.problems import Laplacian, Paired
from mcnn_keras.training.build import require_divisible

TINY = {"image_size": 32, "samples": 8, "epochs": 1, "batch_size": 4, "filters": (4, 8)}


def add(folder, names, factor=1.0, seed=0):
    """Blurred pictures and sharp ones, these times a factor."""
    rng = np.random.default_rng([seed, *map(ord, "".join(names))])
    for which in ("in", "out"):
        (folder / which).mkdir(parents=True, exist_ok=True)
    for name in names:
        sharp = 100 * scipy.ndimage.gaussian_filter(rng.random((40, 44)), 1)
        np.save(folder / "in" / f"{name}.npy", scipy.ndimage.gaussian_filter(sharp, 1) + 20)
        np.save(folder / "out" / f"{name}.npy", factor * sharp)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder of pairs with a finished run."""
    folder = tmp_path_factory.mktemp("trained")
    add(folder, [f"p{i}" for i in range(7)])
    train(problem_of(folder), output=folder / "run", **TINY)
    return folder


@pytest.fixture
def pairs(trained, tmp_path):
    """A copy of it, to be changed."""
    return shutil.copytree(trained, tmp_path / "pairs")


@pytest.fixture
def model(pairs):
    """The model of the run, whose card names the copy."""
    model = load(pairs / "run" / "model.h5")
    model.card.config |= {"inputs": str(pairs / "in"), "targets": str(pairs / "out")}
    return model


def problem_of(folder):
    return Paired(folder / "in", folder / "out")


def change(folder, how):
    """Change the pairs of a folder; returns the words that tell it."""
    if how == "added":
        add(folder, ["new1", "new2"], 4.0)
        return r"2 added \(new1, new2\)"
    if how == "removed":
        (folder / "in" / "p3.npy").unlink()
        return r"1 removed \(p3\)"
    np.save(folder / "out" / "p2.npy", np.full((40, 44), 7.0))
    return r"1 changed \(p2\)"


@pytest.mark.parametrize("how", ["added", "removed", "changed"])
def test_a_run_is_resumed_with_its_own_pairs_only(pairs, how):
    """Fails where a run goes on with other pairs, or a good model gets the scale of other ones."""
    run = pairs / "run"
    before = (run / "model.h5").read_bytes()
    words = change(pairs, how)
    with pytest.raises(InputError, match=f"the pairs are others than .*: {words}; restore them"):
        train(problem_of(pairs), output=run, resume=True, **TINY)
    assert (run / "model.h5").read_bytes() == before


def test_a_finished_run_keeps_its_model(pairs):
    """Fails where a model is written again without a step, or is missing after its own loss."""
    run = pairs / "run"
    before = (run / "model.h5").read_bytes(), (run / "model.h5").stat().st_mtime_ns
    again = train(problem_of(pairs), output=run, resume=True, **TINY)
    assert ((run / "model.h5").read_bytes(), (run / "model.h5").stat().st_mtime_ns) == before
    assert again.model.card == load(run / "model.h5").card
    (run / "model.h5").unlink()
    train(problem_of(pairs), output=run, resume=True, **TINY)
    for one, other in zip(
        load(run / "model.h5").get_weights(), again.model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_an_old_run_and_moved_pairs_go_on(pairs):
    """Fails where a run of an earlier version is refused, or one whose folders were moved."""
    run, new = pairs / "run", pairs / "elsewhere"
    new.mkdir()
    for which in ("in", "out"):
        shutil.move(pairs / which, new / which)
    train(problem_of(new), output=run, resume=True, **TINY)
    told = json.loads((run / "config.json").read_text())
    del told["problem"]["files"]
    told["problem"]["config"] |= {"inputs": str(new / "in"), "targets": str(new / "out")}
    (run / "config.json").write_text(json.dumps(told))
    train(problem_of(new), output=run, resume=True, **TINY)


def unseen(model, **folders):
    """The names of the pairs of which a measurement takes its samples."""
    from mcnn_keras.problems import from_card

    problem = from_card(model.card, **folders)
    flat, _, starts = problem._held["test"][0]
    return {float(v) for v in np.asarray(flat)[np.asarray(starts)]}, problem.normalization


def first_pixels(folder, names):
    return {float(np.float32(np.load(folder / "in" / f"{n}.npy")[0, 0])) for n in names}


def test_a_model_is_measured_on_pairs_that_it_has_not_learned(pairs, model):
    """Fails where added pairs move learned ones into the test, or the scale is that of others."""
    problem = problem_of(pairs)
    learned = set(problem.learned)
    test = set(problem.files) - learned
    assert len(test) == 1
    assert unseen(model)[0] == first_pixels(pairs, test)
    own = evaluate(model, samples=8)["network"]["mae"]["output"]
    new = [f"n{i}" for i in range(13)]
    add(pairs, new, 4.0)
    with pytest.warns(UserWarning, match="measured on the 14 of 20 that the model has not learned"):
        found, scale = unseen(model)
    assert found == first_pixels(pairs, [*test, *new])
    assert scale == model.card.normalization
    for name in new:
        for which in ("in", "out"):
            (pairs / which / f"{name}.npy").unlink()
    # A learned image under the same name counts as learned, also with another content.
    name = min(learned)
    np.save(pairs / "in" / f"{name}.npy", np.load(pairs / "in" / f"{name}.npy") + 1)
    assert unseen(model)[0] == first_pixels(pairs, test)
    assert evaluate(model, samples=8)["network"]["mae"]["output"] == pytest.approx(own)


def test_an_old_model_is_not_measured_on_other_pairs(pairs, model):
    """Fails where a model that tells no pairs is measured on learned ones, or not on its own."""
    del model.card.training["learned"]
    evaluate(model, samples=4)
    add(pairs, ["new1", "new2"], 4.0)
    with pytest.raises(InputError, match="does not tell which it has learned; restore them"):
        evaluate(model, samples=4)


def test_pairs_that_moved_are_named(pairs, model, capfd, monkeypatch):
    """Fails where `evaluate` finds no mend for moved pairs, or takes learned ones for unseen."""
    run, new = pairs / "run", pairs / "elsewhere"
    monkeypatch.chdir(pairs)
    model.card.config |= {"inputs": "in", "targets": "out"}
    save(model, run / "model.h5")
    new.mkdir()
    monkeypatch.chdir(new)

    def told(*words):
        with pytest.raises(SystemExit) as end:
            main(["evaluate", str(run / "model.h5"), "--samples", "4", *words])
        out, err = capfd.readouterr()
        return end.value.code, out, err

    code, _, text = told()
    assert code == 2
    assert (
        f"in is not a folder (looked for in {new}); name the folders of images and targets " in text
    )
    assert "--inputs and --targets" in text
    code, here, _ = told("--inputs", str(pairs / "in"), "--targets", str(pairs / "out"))
    assert code == 0
    monkeypatch.chdir(pairs)
    assert told()[:2] == (0, here)
    # Of a copy of the learned pairs alone, none is left.
    problem = Paired("in", "out")
    for which in ("in", "out"):
        (new / which).mkdir()
        for name in problem.learned:
            shutil.copy(pairs / which / f"{name}.npy", new / which / f"other-{name}.npy")
    code, _, text = told("--inputs", str(new / "in"), "--targets", str(new / "out"))
    assert code == 2
    assert "the model has learned all 6 pairs of" in text


def test_other_models_take_no_folders(capfd):
    """Fails where folders of pairs are passed over by a model that takes none."""
    with pytest.raises(SystemExit) as end:
        main(["evaluate", "denoise", "--inputs", "x"])
    assert end.value.code == 2
    assert "--inputs is for models of measured pairs" in capfd.readouterr().err


def test_a_start_from_learned_pairs_is_told(pairs):
    """Fails where a model starts from one that has learned its test pairs, without a word."""
    run = pairs / "run"
    problem = problem_of(pairs)
    for name in set(problem.files) - set(problem.learned):
        (pairs / "in" / f"{name}.npy").unlink()  # a learned pair becomes the test
    problem = problem_of(pairs)
    again = set(problem.files) - set(problem.learned)
    known = again & set(load(run / "model.h5").card.training["learned"])
    assert known
    with pytest.warns(UserWarning, match=f"has learned {len(known)} of the files"):
        model = train(problem, start=str(run / "model.h5"), **TINY).model
    with pytest.raises(InputError, match="the model has learned all 6 pairs"):
        evaluate(model, samples=4)


def test_pictures_of_a_folder_are_the_same_in_a_resumed_run(tmp_path, rng):
    """Fails where pictures move between the splits as others are added to their folder."""
    folder, run = tmp_path / "pictures", tmp_path / "run"
    folder.mkdir()
    for i in range(12):
        np.save(folder / f"{i}.npy", rng.random((40, 40)))
    model = train(Laplacian(pictures=folder), output=run, **TINY).model
    tests = set(Laplacian(pictures=folder)._pictures["test"].names)
    for i in range(12, 40):
        np.save(folder / f"{i}.npy", rng.random((40, 40)))
    with pytest.raises(InputError, match=r"the pictures are others than .*: 28 added \(12.npy, "):
        train(Laplacian(pictures=folder), output=run, resume=True, **TINY)
    from mcnn_keras.problems import from_card

    found = set(from_card(model.card)._pictures["test"].names)
    assert found.isdisjoint({f"{i}.npy" for i in range(12)} - tests)
    assert found


def test_images_that_are_their_own_targets_are_refused(pairs, tmp_path):
    """Fails where a folder, or its copy, is learned from itself, or one such pair is hidden."""
    images, copy = pairs / "in", tmp_path / "copy"
    shutil.copytree(images, copy)
    for targets in (images, copy, pairs / "out" / ".." / "in"):
        with pytest.raises(InputError, match=r"identical in all pairs \(7\), .* with --targets"):
            Paired(images, targets)
    shutil.copy(images / "p1.npy", pairs / "out" / "p1.npy")
    assert "1 with an image identical to its target: p1" in problem_of(pairs).report


def test_a_lone_pair_is_told(tmp_path):
    """Fails where empty brackets end the line about one pair."""
    add(tmp_path, ["a"])
    with pytest.raises(InputError, match=r"^1 pair can be used .* for training and testing$"):
        problem_of(tmp_path)


@pytest.fixture(scope="module")
def model_of_counts(tmp_path_factory):
    """A model of pairs whose images are around 300, and one of them."""
    folder = tmp_path_factory.mktemp("counts")
    rng = np.random.default_rng(3)
    for which in ("in", "out"):
        (folder / which).mkdir()
    for i in range(6):
        image = 300 + 110 * scipy.ndimage.gaussian_filter(rng.normal(size=(40, 44)), 1) * 3.5
        np.save(folder / "in" / f"{i}.npy", image)
        np.save(folder / "out" / f"{i}.npy", image**2)
    return train(problem_of(folder), **TINY).model, np.float32(image)


def test_images_in_another_unit_are_told(model_of_counts, tmp_path):
    """Fails where an image in another unit is taken in silence, or one of its own is doubted."""
    model, image = model_of_counts
    ((low, high),) = model.card.usual_deviations
    assert 60 < low <= high < 160
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Ordinary images: of less and of more contrast, darker and brighter, and a flat one.
        for usual in (image, 300 + (image - 300) / 3, 3 * (image - 300) + 300, image / 2,
                      image + 200, np.full_like(image, 300)):  # fmt: skip
            predict(model, usual)
    deviation = image.std(dtype=np.float64)
    for wrong, words in (
        (10 * image, rf"a standard deviation of {10 * deviation:.4g} \(training: {low:.4g} to "),
        (image + 5000, r"a mean of 5[23]\d\d \(training: \d+(\.\d+)?, give or take \d+"),
        (image / 60, rf"a standard deviation of {deviation / 60:.4g} \(training: {low:.4g} to "),
    ):
        with pytest.warns(UserWarning, match=f"unlike the images of the training, .*{words}"):
            predict(model, wrong)
    expected = rf"deviation is {deviation / 255:.4g} \(they are .*\), and {low:.4g} to {high:.4g} "
    # In 0 to 1, and as troubleshooting was understood: scaled to the numbers of the network.
    for wrong, words in ((image / 255, expected), ((image - 300) / 130, ""), (100 * image, "")):
        with pytest.raises(InputError, match=f"as much as those of the training: .*{words}"):
            predict(model, wrong)
    # The command says so, too, once for a file; and `info` tells the same numbers.
    save(model, tmp_path / "m.h5")
    np.save(tmp_path / "stack.npy", np.stack([10 * image] * 3))
    for words, text in (
        (["predict", "m.h5", "stack.npy", "--output", "out.tif"], "3 of 3 frames in stack.npy"),
        (["info", "m.h5"], f"standard deviations of {low:.4g} to {high:.4g} around a mean of "),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "mcnn_keras", *words], cwd=tmp_path, capture_output=True,
            text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert (done.stdout + done.stderr).count(text) == 1


@pytest.mark.parametrize("preset", ["fast", "paper"])
def test_pairs_too_small_for_windows_are_told_a_way(tmp_path, preset, capfd):
    """Fails where a message about the size of images names a size that is refused in its turn."""
    add(tmp_path, ["a", "b", "c", "d"])
    words = [
        "train", "paired", "--inputs", tmp_path / "in", "--targets", tmp_path / "out", "--preset",
        preset, "--output", tmp_path / "run", "--samples", 4, "--batch-size", 2, "--epochs", 1,
    ]  # fmt: skip

    def told(*more):
        with pytest.raises(SystemExit) as end:
            main([str(w) for w in (*words, *more)])
        assert end.value.code in (0, 2)
        return capfd.readouterr().err.strip().splitlines()[-1] if end.value.code else ""

    for size in ([], ["--image-size", 32]):
        text = told(*size)
        assert "train on whole images of one size with whole=True (--whole)" in text
        assert ("--preset fast" in text) == bool(size and preset == "paper")
        assert "image_size" not in text.partition(";")[2]
    if preset == "paper":  # its stride of 128 is twice that of the whole images
        assert told("--whole").endswith("; choose a network of fewer scales (--preset fast)")
    else:
        assert told("--whole") == ""


def test_a_size_that_fits_is_named(tmp_path, rng):
    """Fails where windows that fit are not named, or larger ones than the smallest image are."""
    for which in ("in", "out"):
        (tmp_path / which).mkdir()
        for i in range(4):
            np.save(tmp_path / which / f"{i}.npy", rng.random((70 + i, 140)))
    problem = problem_of(tmp_path)
    with pytest.raises(InputError, match=r"with 70 pixels; remove .*, choose image_size 64 \(--im"):
        problem.sample(tf.zeros(2, tf.int64), 128)
    with pytest.raises(InputError, match=r"so that the side is 64$"):
        require_divisible((66, 66), 64, problem.most_pixels)
