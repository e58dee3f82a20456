"""Fail where methods are judged by planes that they used, or one spoils the others."""

import json

import numpy as np
import pytest
import tensorflow as tf
from pages import Page
from scipy.ndimage import gaussian_filter

from mcnn_keras import InputError, Optics, load, save, train
from mcnn_keras.cli import main
from mcnn_keras.focal_series import FocalSeries
from mcnn_keras.focal_series.comparison import compare
from mcnn_keras.physics.waves import defocus_stack
from mcnn_keras.problems import Phase

OPTICS = Optics(0.65, 0.5, 0.4)
PLANES = (-24.0, -12.0, -6.0, 5.0, 6.0, 10.0, 12.0, 24.0)


@pytest.fixture(scope="module")
def phase():
    rng = np.random.default_rng(3)
    phase = gaussian_filter(rng.standard_normal((96, 96)), 4) * np.outer(*[np.hanning(96)] * 2)
    phase *= 0.5 / phase.std()
    return phase - phase.mean()


@pytest.fixture(scope="module")
def series(phase):
    wave = tf.constant(np.exp(1j * phase).astype(np.complex64))
    return FocalSeries(defocus_stack(wave, PLANES, OPTICS).numpy(), PLANES, ())


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    from conftest import TINY

    run = train(Phase([-6.0, 6.0], OPTICS, input="physical"), **TINY)
    path = tmp_path_factory.mktemp("models") / "two.h5"
    save(run.model, path)
    return str(path)


def test_methods_are_judged_by_planes_that_none_has_used(series, phase, model):
    """Fails where scores are of planes that were used, or the bands do not add up to the error."""
    answers = compare(series, OPTICS, [model], truth=phase)
    assert [a.name.split(",")[0] for a in answers] == [
        "two", "two refined", "tie", "variational", "ctf", "mf-tie", "gp-tie", "iterative",
        "variational",
    ]  # fmt: skip
    assert {a.planes for a in answers[:4]} == {(-6.0, 6.0)}
    used = {z for a in answers for z in a.planes}
    for answer in answers:
        assert set(answer.scores) == set(PLANES) - used
        assert answer.seconds > 0
        assert -1 <= answer.score <= 1
        rms = np.std(answer.phase - phase)
        assert np.sqrt(sum(e**2 for e in answer.bands.values())) == pytest.approx(rms, rel=1e-3)
    best = {a.name.split(",")[0]: a for a in answers}
    # A good answer explains what it has not seen; a network of eight samples does not.
    assert best["iterative"].score > 0.97
    assert best["tie"].score > best["two"].score
    # Refining mends an answer; it does not replace one.
    assert best["two"].score < best["two refined"].score < 0.5
    assert best["iterative"].error < 0.2 * np.abs(phase).mean()


def test_models_of_one_name_keep_their_answers_apart(series, model, tmp_path):
    """Fails where files of one name share a label, so that one answer replaces another."""
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        save(load(model), tmp_path / folder / "model.h5")
    again = tmp_path / "c" / "a" / "model.h5"
    again.parent.mkdir(parents=True)
    save(load(model), again)
    models = [*(str(tmp_path / folder / "model.h5") for folder in ("a", "b")), str(again)]
    answers = compare(series, OPTICS, models, ["gp-tie"])
    assert [a.name for a in answers] == [
        "a, 2 planes", "a refined, 2 planes", "tie, 2 planes", "variational, 2 planes",
        "b, 2 planes", "b refined, 2 planes", "a #2, 2 planes", "a #2 refined, 2 planes",
        "gp-tie, 4 planes",
    ]  # fmt: skip


def test_a_network_that_cannot_answer_is_told_of(series, model):
    """Fails where a network that cannot answer is left out in silence."""
    small = series._replace(images=series.images[:12, :12])
    with pytest.raises(InputError, match="at least 16x16"):
        compare(small, OPTICS, [model])


def test_a_perfect_answer_scores_one(series, phase):
    """Fails where the simulated images are shifted or on the wrong side of focus."""
    from mcnn_keras.focal_series import comparison

    answer = comparison.Answer("truth", (), phase, None, 0, 0)
    comparison._score(answer, series, [0, 5], OPTICS)
    assert answer.score > 0.9999
    comparison._err(answer, phase, OPTICS)
    assert answer.error == 0


def test_without_planes_left_nobody_is_judged(series):
    """Fails where an answer is scored at the planes that it was made of."""
    pair = series._replace(images=series.images[..., [2, 4]], defocus=(-6.0, 6.0))
    answers = compare(pair, OPTICS)
    assert {a.name.split(",")[0] for a in answers} >= {"tie", "gp-tie", "iterative"}
    assert all(a.score is None for a in answers)


def test_what_does_not_fit_is_refused(series, model, phase):
    """Fails where planes, a model or a truth that do not fit are used all the same."""
    with pytest.raises(InputError, match="nearest to"):
        compare(series._replace(defocus=tuple(10 * z for z in PLANES)), OPTICS, [model])
    with pytest.raises(InputError, match="not for phases"):
        compare(series, OPTICS, ["denoise"])
    with pytest.raises(InputError, match="the truth has 8x8"):
        compare(series, OPTICS, truth=phase[:8, :8])


def test_the_command_writes_a_table_and_pictures(series, phase, model, tmp_path, capfd):
    """Fails where a row, the phase of a method, the picture or the error is missing."""
    np.save(tmp_path / "stack.npy", np.moveaxis(series.images, -1, 0))
    np.save(tmp_path / "truth.npy", phase)
    (tmp_path / "stack.txt").write_text(" ".join(map(str, PLANES)))
    with pytest.raises(SystemExit) as stop:
        main(["compare", "phase", str(tmp_path / "stack.npy"), "--model", model, "--truth",
              str(tmp_path / "truth.npy"), "--wavelength", "0.65", "--pixel-size", "0.5",
              "--numerical-aperture", "0.4", "--report", str(tmp_path / "r.html"),
              "--output", str(tmp_path / "out")])  # fmt: skip
    assert stop.value.code == 0
    told = capfd.readouterr().out
    assert "error / rad" in told
    rows = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert len(rows) == 9
    assert len(list((tmp_path / "out").glob("*.tif"))) == 9
    assert (tmp_path / "out" / "phases.png").exists()
    page = Page(tmp_path / "r.html")
    titles = [title for title, _ in page.pictures]
    assert titles == ["truth", *rows, "image at -24 um", *rows]
    assert all(f"{row['score']:.3f}" in page.words("td") for row in rows.values())
