"""Fail where a run does not learn, is not repeatable, or does not resume exactly."""

import csv
import os
import signal

import numpy as np
import pytest
import tensorflow as tf
from conftest import plain_noise

from mcnn_keras import InputError, Problem, TrainingStopped, load, predict, train
from mcnn_keras.training import build, loop


class Blur(Problem):
    """A small problem without any physics: undo a blur of random squares."""

    name = "blur"

    def targets(self, seed, size, split):
        corner = tf.random.stateless_uniform((2,), seed, 0, size // 2, tf.int32)
        row = tf.range(size)
        inside = [
            tf.cast((row >= c) & (row < c + size // 4), tf.float32) for c in tf.unstack(corner)
        ]
        return (inside[0][:, None] * inside[1][None])[..., None]

    def observe(self, target, seed):
        return tf.nn.avg_pool2d(target[None], 5, 1, "SAME")[0]


def weights(run):
    return [np.asarray(w) for w in run.model.get_weights()]


def assert_same_weights(a, b):
    for x, y in zip(weights(a), weights(b), strict=True):
        np.testing.assert_array_equal(x, y)


def test_a_run_leaves_its_files(trained):
    """Fails where a run lacks a file, leaves a temporary one, or miscounts its steps."""
    names = {path.name for path in trained.folder.iterdir()}
    assert names == {
        "checkpoints", "config.json", "examples.png", "history.csv", "model.h5", "report.html",
    }  # fmt: skip
    rows = list(csv.DictReader((trained.folder / "history.csv").read_text().splitlines()))
    assert [int(row["epoch"]) for row in rows] == [1, 2]
    assert [int(row["step"]) for row in rows] == [2, 4]
    assert all(float(row["test_mae"]) > 0 for row in rows)
    assert not list(trained.folder.rglob("*.part*"))


def test_training_learns_what_zero_and_the_input_do_not_know():
    """Fails where a constant, or the blurred image itself, is as good as the trained network."""
    settings = {"image_size": 32, "samples": 128, "epochs": 16, "filters": (8, 16), "branches": 2}
    run = train(Blur(), precision="float32", learning_rate=5e-3, **settings)
    metrics = run.model.card.metrics
    assert metrics["test_mae"] < 0.5 * metrics["constant_answer_mae"]
    images, targets = loop.fixed_set(Blur(), "test", 16, 32, 3)
    answer = np.asarray(run.model(images)[0])
    assert np.abs(answer - targets).mean() < 0.7 * np.abs(images - targets).mean()


def test_the_same_run_twice_is_the_same(tiny):
    """Fails where samples, first weights or their updates depend on more than the seed."""
    assert_same_weights(train(Blur(), **tiny), train(Blur(), **tiny))


def test_a_run_starts_from_given_weights(phase_problem, tiny, trained):
    """Fails where weights stay at their random start, or those of another network are taken."""
    start = str(trained.folder / "model.h5")
    options = tiny | {"learning_rate": 1e-12, "start": start}
    again = train(phase_problem, **options)
    for x, y in zip(weights(trained), weights(again), strict=True):
        np.testing.assert_allclose(x, y, atol=1e-9)
    assert again.model.card.training["before"] == trained.model.card.training
    with pytest.raises(InputError, match="do not fit this network"):
        train(phase_problem, **options | {"filters": (4, 8)})


def test_a_start_without_a_first_layer_gives_its_channels_no_weight(tiny, tmp_path):
    """Fails where channels that the start did not know change its answer."""
    options = tiny | {"learning_rate": 1e-12}
    before = train(Blur(), output=tmp_path / "before", **options)
    start = str(tmp_path / "before" / "model.h5")
    filtered = Blur()
    filtered.channels = {"name": "low_pass"}
    after = train(filtered, start=start, **options)
    assert after.model.card.network["input_channels"] == 5
    frame = np.random.default_rng(0).normal(size=(32, 32)).astype(np.float32)
    np.testing.assert_allclose(predict(after.model, frame), predict(before.model, frame), atol=1e-5)


def test_a_start_of_frames_gives_further_channels_no_weight(tmp_path, monkeypatch):
    """Fails where channels made of the same frames go before those that the start knew."""
    from mcnn_keras.problems import Denoise

    monkeypatch.setattr(Denoise, "detect", plain_noise)
    options = {
        "image_size": 32, "samples": 4, "epochs": 1, "batch_size": 4, "filters": (4, 8),
        "learning_rate": 1e-12, "precision": "float32", "mixed_sizes": False,
    }  # fmt: skip
    problems = [
        Denoise(0, families={"blank": 1}, channels=c)
        for c in ("spectral_wiener", "spectral_series")
    ]
    before = train(problems[0], output=tmp_path / "before", **options)
    after = train(problems[1], start=str(tmp_path / "before" / "model.h5"), **options)
    frames = np.random.default_rng(0).normal(size=(3, 32, 32)).astype(np.float32) + 5
    answers = [predict(run.model, frames, axes="tyx") for run in (before, after)]
    np.testing.assert_allclose(*answers, atol=1e-4)


def test_a_start_whose_last_layer_does_not_overlap_answers_the_same(tiny, tmp_path, monkeypatch):
    """Fails where a smaller last kernel is refused, or is put into the larger one off centre."""
    options = tiny | {"learning_rate": 1e-12}
    with monkeypatch.context() as context:
        context.setattr(build, "HEAD_KERNEL", 2)
        before = train(Blur(), output=tmp_path / "before", **options)
    start = str(tmp_path / "before" / "model.h5")
    after = train(Blur(), start=start, **options)
    shapes = [run.model.get_layer("output_1").kernel.shape[0] for run in (before, after)]
    assert shapes == [2, 4]
    frame = np.random.default_rng(0).normal(size=(32, 32)).astype(np.float32)
    np.testing.assert_allclose(predict(after.model, frame), predict(before.model, frame), atol=1e-5)


def test_another_seed_is_another_run(tiny):
    """Fails where the seed is passed over."""
    a, b = train(Blur(), **tiny), train(Blur(), seed=1, **tiny)
    assert any(np.any(x != y) for x, y in zip(weights(a), weights(b), strict=True))


@pytest.mark.parametrize(
    ("step", "options"),  # within the first epoch, at its end, within the second
    [
        (1, {}),
        (2, {"fresh": False, "loss_weights": "annealed"}),
        (3, {"mixed_sizes": True, "samples": 16}),
        (3, {"schedule": "constant"}),
        pytest.param(3, {"fresh": False}, marks=pytest.mark.slow),
    ],
)
def test_a_resumed_run_ends_as_one_never_stopped(tiny, tmp_path, monkeypatch, step, options):
    """Fails where a checkpoint lacks what the next step needs, or a batch comes twice."""
    options = tiny | options
    whole = train(Blur(), **options)
    advance = loop.Trainer._advance

    def interrupted(self, batch):
        advance(self, batch)
        if self.step == step:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(loop.Trainer, "_advance", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(Blur(), output=tmp_path / "run", **options)
    monkeypatch.undo()
    assert not (tmp_path / "run" / "model.h5").exists()
    resumed = train(Blur(), output=tmp_path / "run", resume=True, **options)
    assert_same_weights(whole, resumed)
    columns = ("epoch", "step", "loss", "mae", "test_mae", "learning_rate")
    for a, b in zip(whole.history, resumed.history, strict=True):
        assert [a[c] for c in columns] == [b[c] for c in columns]


def test_resuming_a_finished_run_changes_nothing(phase_problem, tiny, trained):
    """Fails where a finished run is trained further."""
    again = train(phase_problem, output=trained.folder, resume=True, **tiny)
    assert_same_weights(trained, again)


def test_two_replicas_give_the_losses_of_one(tiny):
    """Fails where losses or gradients are summed or averaged wrongly over the devices."""
    both = tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])
    one = train(Blur(), **tiny)
    two = train(Blur(), strategy=both, **tiny)
    for a, b in zip(one.history, two.history, strict=True):
        np.testing.assert_allclose(a["loss"], b["loss"], rtol=1e-4)
        np.testing.assert_allclose(a["test_mae"], b["test_mae"], rtol=1e-4)
    for x, y in zip(weights(one), weights(two), strict=True):
        np.testing.assert_allclose(x, y, atol=1e-4)


@pytest.mark.parametrize(
    "options",
    [{"growing": True}, {"branches": 0}, {"precision": "bfloat16"}, {"normalization": "batch"}],
)
def test_variants_train(tiny, options):
    """Fails where a variant does not train, or its final weights are not in float32."""
    run = train(Blur(), **{**tiny, **options})
    assert np.isfinite(run.history[-1]["test_mae"])
    assert run.model.output_names[0].startswith("output_1")
    assert all(w.dtype == np.float32 for w in weights(run))


def test_growing_leaves_the_fine_outputs_alone_at_first(tiny, monkeypatch):
    """Fails where a growing network learns its fine outputs from the start, or never."""
    used = []
    compile_step = loop.Trainer._compile

    def record(self, finest, samples):
        used.append(finest)
        return compile_step(self, finest, samples)

    monkeypatch.setattr(loop.Trainer, "_compile", record)
    train(Blur(), growing=True, **{**tiny, "samples": 32})
    assert used == [2, 1, 0]


def test_a_collapsed_network_is_told_of(tiny, monkeypatch):
    """Fails where a run goes on to its end with a constant answer."""
    monkeypatch.setattr(loop.Trainer, "test_answer", lambda self: np.zeros_like(self.test[1]))
    with pytest.raises(TrainingStopped, match="collapsed"):
        train(Blur(), **{**tiny, "epochs": 6})


def test_a_loss_that_is_no_number_stops_and_keeps_the_checkpoint(tiny, tmp_path):
    """Fails where a run goes on without numbers, or saves them over a good checkpoint."""
    with pytest.raises(TrainingStopped, match="learning-rate"):
        train(Blur(), output=tmp_path / "run", **{**tiny, "epochs": 20}, learning_rate=1e30)
    checkpoint = tmp_path / "run" / "checkpoints" / "latest.npz"
    if checkpoint.exists():
        with np.load(checkpoint) as data:
            assert all(np.isfinite(data[name]).all() for name in data if name != "history")


def test_a_constant_learning_rate_is_constant_from_the_first_step(tiny):
    """Fails where a constant schedule warms up or decays, or the default one does neither."""
    rates = {}
    for schedule in ("constant", "cosine"):
        options = tiny | {"learning_rate": 2e-3, "schedule": schedule}
        rates[schedule] = [row["learning_rate"] for row in train(Blur(), **options).history]
    assert set(rates["constant"]) == {2e-3}
    assert rates["cosine"][-1] < 1e-6
    # Adam's first step is the learning rate times the sign of the gradient.
    one = {**tiny, "samples": tiny["batch_size"], "epochs": 1, "schedule": "constant"}
    run, start = (train(Blur(), **{**one, "learning_rate": rate}) for rate in (1e-2, 1e-12))
    moved = [np.abs(x - y).max() for x, y in zip(weights(run), weights(start), strict=True)]
    np.testing.assert_allclose(max(moved), 1e-2, rtol=1e-2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 30}, "28 or 32"),
        ({"samples": 2}, "less than one batch"),
        ({"epochs": 0}, "at least 1"),
        ({"loss_weights": "none"}, "constant, annealed"),
        ({"schedule": "linear"}, "cosine, constant"),
        ({"learning_rate": 0.0}, "positive"),
        ({"gpus": 3}, "GPUs"),
        ({"seed": -1}, "seed"),
        ({"preset": "huge"}, "preset"),
        ({"branches": 9}, "branches"),
        ({"mixed_sizes": True, "batch_size": 6}, "multiple of 4"),
        ({"start": "nowhere.h5"}, "not there"),
    ],
)
def test_impossible_settings_are_refused_before_anything_is_written(
    phase_problem, tiny, tmp_path, options, message
):
    """Fails where an impossible setting is accepted, or found after the folder is made."""
    with pytest.raises(InputError, match=message):
        train(phase_problem, output=tmp_path / "run", **{**tiny, **options})
    assert not (tmp_path / "run").exists()


def test_a_folder_with_a_run_is_not_written_over(phase_problem, tiny, trained):
    """Fails where a new run replaces the one that is in its folder."""
    with pytest.raises(InputError, match="--resume"):
        train(phase_problem, output=trained.folder, **tiny)


def test_resuming_wants_the_same_run(phase_problem, tiny, trained, tmp_path):
    """Fails where a run is resumed with other settings, or among files of something else."""
    with pytest.raises(InputError, match="epochs 2, not 5"):
        train(phase_problem, output=trained.folder, resume=True, **{**tiny, "epochs": 5})
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"no run to resume, but other files \(notes.txt\)"):
        train(phase_problem, output=tmp_path, resume=True, **tiny)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    with pytest.raises(InputError, match="folder"):
        train(phase_problem, resume=True, **tiny)


def test_damaged_run_folders_are_told_of(phase_problem, tiny, trained, tmp_path):
    """Fails where a damaged checkpoint or config ends in an error of NumPy or JSON."""
    import shutil

    shutil.copytree(trained.folder, tmp_path / "run")
    for checkpoint in (tmp_path / "run" / "checkpoints").iterdir():
        checkpoint.write_bytes(b"PK cut off")
    with pytest.raises(InputError, match="damaged"):
        train(phase_problem, output=tmp_path / "run", resume=True, **tiny)
    (tmp_path / "run" / "config.json").write_text("{}")
    with pytest.raises(InputError, match="damaged"):
        train(phase_problem, output=tmp_path / "run", resume=True, **tiny)
    with pytest.raises(InputError, match=r"model.h5 cannot be read \(Not a directory\)"):
        train(phase_problem, output=trained.folder / "model.h5", resume=True, **tiny)


@pytest.mark.parametrize("left", [None, "folder", "killed"])
def test_resuming_starts_a_run_where_there_is_none(tiny, tmp_path, left):
    """Fails where one command cannot serve a job that is started, killed and started again."""
    folder = tmp_path / "run"
    if left:
        folder.mkdir()
    if left == "killed":  # before its configuration was written
        (folder / "checkpoints").mkdir()
        (folder / ".part999999-0000.config.json").touch()
        (folder / ".lock").touch()
    run = train(Blur(), output=folder, resume=True, **tiny)
    assert_same_weights(run, train(Blur(), **tiny))
    assert_same_weights(run, train(Blur(), output=folder, resume=True, **tiny))


def test_divergence_is_told_of(tiny, monkeypatch):
    """Fails where a run goes on to its end with errors far above a constant answer's."""
    monkeypatch.setattr(loop.Trainer, "test_answer", lambda self: self.test[1] + 1e3)
    with pytest.raises(TrainingStopped, match="diverged"):
        train(Blur(), **{**tiny, "epochs": 6})


def test_the_saved_model_is_the_trained_one(trained):
    """Fails where the file holds the weights of another step than the run's model."""
    again = load(trained.folder / "model.h5")
    image = np.random.default_rng(0).random((1, 32, 32, 4), np.float32)
    np.testing.assert_array_equal(again(image)[0], trained.model(image)[0])


def test_squared_errors_are_learned_too():
    """Fails where a network does not learn from squared errors."""
    settings = {"image_size": 32, "samples": 128, "epochs": 8, "filters": (8, 16), "branches": 2}
    run = train(Blur(), precision="float32", learning_rate=5e-3, loss="squared", **settings)
    metrics = run.model.card.metrics
    assert metrics["test_correlation"] > 0.8
