"""Fail where the report of a run does not show what the run has read, computed and said."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tifffile
from pages import Page

from mcnn_keras import InputError, Optics, predict_files
from mcnn_keras.cli import main
from mcnn_keras.files import Axis, write_recording
from mcnn_keras.focal_series import FocalSeries, retrieval
from mcnn_keras.focal_series.comparison import Answer
from mcnn_keras.focal_series.reporting import comparison_tables, comparison_views, wave_views
from mcnn_keras.inference import fastest, reporting
from mcnn_keras.models.saving import read_card
from mcnn_keras.physics.waves import defocus_stack
from mcnn_keras.report import layers
from mcnn_keras.report.layers import MISSING
from mcnn_keras.report.training import _scales

MODELS = Path(__file__).parent / "data" / "models"
MODEL = MODELS / "denoise.onnx"


def command(*arguments, status=0):
    with pytest.raises(SystemExit) as end:
        main([str(a) for a in arguments])
    assert (end.value.code or 0) == status


def written(path, frames, pixel=0.05):
    axes = (Axis("t", len(frames)), Axis("y", frames.shape[1], pixel, 0.0, "nm"),
            Axis("x", frames.shape[2], pixel, 0.0, "nm"))  # fmt: skip
    write_recording(path, frames, axes)
    return path


@pytest.fixture
def movie(tmp_path, rng):
    frames = (rng.poisson(30, (20, 48, 40)) + 100).astype(np.float32)
    return written(tmp_path / "in.tif", frames), frames


def test_input_result_and_residual_are_those_of_the_files(movie, tmp_path, capfd):
    """Fails where the limits are not those of the files' values, or the residual is turned."""
    path, frames = movie
    report = tmp_path / "r.html"
    command("--json", "predict", MODEL, path, "--output", tmp_path / "out.tif", "--report", report)
    told = json.loads(capfd.readouterr().out)
    assert told["result"]["files"][-1] == str(report)
    results = tifffile.imread(tmp_path / "out.tif")
    page = Page(report)
    numbers = [round(i * 19 / 7) for i in range(8)]
    names = [name for name in page.texts["h3"] if "image" in name]
    assert names == [f"in.tif, image {n} (counted from 0)" for n in numbers]
    assert "8 of 20 images are shown" in page.words("p")
    ends = re.findall(r'<div class="ends"><span>(.*?)</span><span></span><span>(.*?)<', page.source)
    ends = np.array(ends, float).reshape(8, 3, 2)
    assert [title for title, _ in page.pictures] == ["Input", "Result", "Residual"] * 8
    for i, number in enumerate(numbers):
        low, high = np.percentile(results[number], (0.2, 99.8))
        np.testing.assert_allclose(ends[i, :2], [[low, high]] * 2, rtol=2e-3)
        apart = frames[number].astype(float) - results[number]
        most = np.percentile(np.abs(apart), 99.8)
        np.testing.assert_allclose(ends[i, 2], [-most, most], rtol=6e-3)
        shown = page.pictures[3 * i][1][..., 0] / 255 * (high - low) + low
        np.testing.assert_allclose(
            shown, np.clip(frames[number], low, high), atol=(high - low) / 254
        )
        residual = page.pictures[3 * i + 2][1].astype(int)
        warm = residual[..., 0] > residual[..., 2]
        far = np.abs(apart) > most / 20
        np.testing.assert_array_equal(warm[far], apart[far] > 0)
        assert f"standard deviation {apart.std():.4g}" in page.source
    assert [v["data-width"] for v in page.of("article")] == ["2"] * 8
    assert {v["data-unit"] for v in page.of("article")} == {"nm"}
    facts = page.words("th", "td")
    assert "onnxruntime, float32" in facts
    assert "20" in facts.split(" | ")
    assert "wrote" in page.words("li")


def test_a_finished_run_gets_its_report_from_its_files(movie, tmp_path, monkeypatch):
    """Fails where a report that is asked for later is empty, or differs from one made at once."""
    path, _ = movie
    predict_files(MODEL, [str(path)], tmp_path / "out.tif", report=tmp_path / "a.html")
    again = {"resume": True, "report": tmp_path / "b.html"}
    assert predict_files(MODEL, [str(path)], tmp_path / "out.tif", **again) == [again["report"]]
    first, second = (Page(tmp_path / name) for name in ("a.html", "b.html"))
    for (name, one), (other, two) in zip(first.pictures, second.pictures, strict=True):
        assert name == other
        np.testing.assert_array_equal(one, two)
    assert "is there already" in second.words("li")
    predict_files(MODEL, [str(path)], tmp_path / "out.tif", **again)  # its own is replaced
    (tmp_path / "b.html").write_text("years of work")
    with pytest.raises(InputError, match=r"b\.html is there already"):
        predict_files(MODEL, [str(path)], tmp_path / "out.tif", **again)
    assert (tmp_path / "b.html").read_text() == "years of work"


def test_a_run_of_many_files_tells_of_all_and_shows_some(tmp_path, rng, monkeypatch):
    """Fails where a file that failed is not told, or thousands of files make an endless page."""
    monkeypatch.setattr(reporting, "ALL", 4)
    folder = tmp_path / "day"
    folder.mkdir()
    for name in "abcdef":
        np.save(folder / f"{name}.npy", rng.random((2, 32, 32)).astype(np.float32) + 1)
    (folder / "broken <b>.tif").write_bytes(b"II*\0")
    with pytest.raises(InputError, match="1 of 7 inputs failed"):
        predict_files(MODEL, [str(folder)], tmp_path / "out", report=tmp_path / "r.html")
    page = Page(tmp_path / "r.html")
    assert len(page.of("article")) in (3, 4)
    assert "4 files of 7, with the first, the last" in page.words("p")
    assert page.texts["li"][0].startswith("failed: ")
    assert "broken <b>.tif" in page.texts["li"][0]
    assert page.words("td").split(" | ").count("12") == 1  # all images


def test_values_that_are_missing_are_shown_as_such(tmp_path, rng):
    """Fails where a pixel without a value is black or white, or the result's limits are NaN."""
    frames = rng.poisson(30, (1, 64, 64)).astype(np.float32) + 1e7
    frames[0, 40:, :24] = np.nan
    written(tmp_path / "in.tif", frames)
    predict_files(MODEL, [str(tmp_path / "in.tif")], tmp_path / "o.tif", report=tmp_path / "r.html")
    page = Page(tmp_path / "r.html")
    (_, shown), *_, (_, apart) = page.pictures
    np.testing.assert_array_equal((shown == MISSING).all(-1), np.isnan(frames[0]))
    assert (apart[45:, :10] == MISSING).all()
    assert "no value (14 % of the pixels)" in page.source
    assert "nan" not in page.words("span", "td").lower()


def test_scale_bars_are_those_of_the_pixels(tmp_path, rng):
    """Fails where a bar is invented, is of oblong pixels, or of a wide field in nm."""
    frames = rng.poisson(30, (1, 40, 48)).astype(np.float32)
    for high, wide, told in ((0.05, 0.05, ("2.4", "nm")), (200.0, 200.0, ("9.6", "um")),
                             (0.05, 0.08, (None, None)), (None, None, (None, None))):  # fmt: skip
        axes = (Axis("t", 1), Axis("y", 40, high, 0.0, "nm"), Axis("x", 48, wide, 0.0, "nm"))
        write_recording(tmp_path / "in.tif", frames, axes)
        options = {"report": tmp_path / "r.html", "overwrite": True}
        predict_files(MODEL, [str(tmp_path / "in.tif")], tmp_path / "o.tif", **options)
        (article,) = Page(tmp_path / "r.html").of("article")
        assert (article.get("data-width"), article.get("data-unit")) == told


@pytest.mark.parametrize(
    ("name", "size", "titles"),
    [
        ("paired.h5", (64, 64), None), ("phase.h5", (64, 64), None),
        ("phase_two_planes_amplitude.h5", (2, 64, 64), None), ("reflection.h5", None, None),
        ("denoise.h5", (64, 64), ["Input", "Result", "Residual"]),
    ],
)  # fmt: skip
def test_models_of_every_kind_have_a_report(name, size, titles, tmp_path, rng):
    """Fails where a model with several planes, outputs or colours has no report."""
    card = read_card(MODELS / name)
    if size is None:
        size = (card.image_channels, 64, 64) if card.image_channels != 3 else (64, 64, 3)
    images = rng.random(size).astype(np.float32)
    np.save(tmp_path / "in.npy", 200 * images + 20)
    if size[-1] == 3:
        tifffile.imwrite(tmp_path / "in.tif", images, photometric="rgb")  # in 0..1
    source = str(tmp_path / ("in.tif" if size[-1] == 3 else "in.npy"))
    options = {"report": tmp_path / "r.html", "engine": "tensorflow"}
    frames = {"defocus": card.inputs.defocus} if hasattr(card.inputs, "defocus") else {}
    predict_files(MODELS / name, [source], tmp_path / "o.tif", **frames, **options)
    found = [title for title, _ in Page(tmp_path / "r.html").pictures]
    outputs = 1 if card.gives_colours else len(card.outputs)
    assert sum(title.startswith("Result") for title in found) == outputs
    assert found[0].startswith("Input")
    assert found[1].startswith("Result")
    if hasattr(card.inputs, "defocus"):
        unit = card.inputs.unit
        wanted = {f"Input at {z:g} {unit}" for z in card.inputs.defocus}
        assert wanted <= set(found)
    assert titles in (None, found)


def test_wrong_reports_are_refused_before_anything_is_computed(movie, tmp_path, capfd):
    """Fails where a wrong name of a report is found after the work, or --watch takes a report."""
    path, _ = movie
    out = tmp_path / "out.tif"
    for report, told in (("r.pdf", "name a .html file"), (path, "name a .html file")):
        command("denoise", path, "--output", out, "--report", tmp_path / report, status=2)
        assert told in capfd.readouterr().err
    command("denoise", tmp_path, "--output", tmp_path / "o", "--watch", "--report", "r.html",
            status=2)  # fmt: skip
    assert "leave out --watch" in capfd.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.tif"]


OPTICS = Optics(0.65, 0.5, 0.4)
PLANES = (-24.0, -6.0, 6.0, 24.0)


@pytest.fixture(scope="module")
def cell():
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(3)
    phase = gaussian_filter(rng.standard_normal((96, 96)), 4) * np.outer(*[np.hanning(96)] * 2)
    phase *= 0.5 / phase.std()
    return phase - phase.mean()


@pytest.fixture(scope="module")
def series(cell):
    wave = tf.constant(np.exp(1j * cell).astype(np.complex64))
    images = 900 * defocus_stack(wave, PLANES, OPTICS).numpy()
    return FocalSeries(images, PLANES, (Axis("y", 96), Axis("x", 96)))


def test_a_true_phase_leaves_no_residual(series, cell):
    """Fails where images are compared at another plane or scale, or the residual is turned."""
    first, *planes = wave_views(series, OPTICS, cell, None)
    assert [layer.title for layer in first.layers] == ["Input at -6 um", "Phase"]
    assert first.pixel == 0.5
    wrong = wave_views(series, OPTICS, -cell, None)[1:]
    for number, (view, turned) in enumerate(zip(planes, wrong, strict=True)):
        assert view.name == f"Image at {PLANES[number]:g} um"
        measured, simulated, residual = view.layers
        image = series.images[..., number].astype(float)
        inner = np.s_[10:-10, 10:-10]
        np.testing.assert_allclose(measured.array, image / image.mean(), rtol=0.02)
        contrast = measured.array[inner].std()
        assert np.abs(residual.array[inner]).max() < 0.05 * contrast
        assert residual.diverging
        assert (simulated.low, simulated.high) == measured.limits
        assert float(view.facts[0][1]) > 0.999
        measured, simulated, residual = turned.layers
        np.testing.assert_allclose(residual.array, measured.array - simulated.array, atol=1e-5)
        assert residual.array[inner].std() > contrast


def test_long_series_show_some_planes_and_a_stop_is_left_out(series, cell):
    """Fails where every plane of a long series makes the page longer, or a rim has values."""
    many = series._replace(
        images=np.repeat(series.images, 5, axis=-1), defocus=tuple(np.linspace(-24, 24, 20))
    )
    lit = np.ones((96, 96), bool)
    lit[:, :30] = False
    views = wave_views(many, OPTICS, cell, np.ones_like(cell), lit)
    assert len(views) == 1 + reporting.EACH
    assert [v.name for v in views[1::7]] == ["Image at -24 um", "Image at 24 um"]
    assert "Amplitude" in [layer.title for layer in views[0].layers]
    for view in views:
        for layer in view.layers:
            np.testing.assert_array_equal(np.isnan(layer.array), ~lit)


def test_the_command_phase_writes_its_report(series, cell, tmp_path, monkeypatch, capfd):
    """Fails where a warning of the run, the agreement or a plane is not on the page."""
    np.save(tmp_path / "stack.npy", np.moveaxis(series.images, -1, 0))
    (tmp_path / "stack.txt").write_text(" ".join(map(str, PLANES)))
    found = retrieval.Retrieved(cell, None, PLANES, 0.2)

    class Engine:
        name = "none"

    monkeypatch.setattr(fastest, "engine_for", lambda *_, **__: Engine())
    monkeypatch.setattr(retrieval, "retrieved", lambda *_: found)
    arguments = ("phase", tmp_path / "stack.npy", "--wavelength=0.65", "--pixel-size=0.5",
                 "--numerical-aperture=0.4", "--output")  # fmt: skip
    report = tmp_path / "r.html"
    command(*arguments, tmp_path / "r.pdf.tif", "--report", tmp_path / "r.pdf", status=2)
    assert not (tmp_path / "r.pdf.tif").exists()
    command(*arguments, tmp_path / "out.tif", "--report", report)
    page = Page(report)
    assert len(page.of("article")) == 5
    assert any("correlate with yours by 0.20 only" in line for line in page.texts["li"])
    assert "Warnings" in page.texts["h2"]
    facts = page.words("td")
    assert "0.65 um" in facts
    assert "0.200" in facts
    assert "-24, -6, 6, 24" in facts
    command(*arguments, tmp_path / "other.tif", "--report", report, status=2)
    assert "is there already" in capfd.readouterr().err
    assert not (tmp_path / "other.tif").exists()


def test_a_comparison_shows_all_methods_on_one_scale(series, cell):
    """Fails where a method is left out, scales differ, or an error has the wrong sign."""
    wrong = cell + np.linspace(-1, 1, 96)[:, None]
    answers = [
        Answer("good", PLANES[:2], cell, None, 1.0, 2.0, 0.9, {-24.0: 0.9}, 0.0, {"0.5": 0.0}),
        Answer("bad", PLANES[:2], wrong, None, 1.0, 2.0, 0.1, {-24.0: 0.1}, 0.5, {"0.5": 0.6}),
    ]
    phases, errors = comparison_views(answers, series, OPTICS, cell, -2.0, 2.0)
    assert [x.title for x in phases.layers] == ["truth", "good", "bad", "image at -24 um"]
    assert {x.limits for x in phases.layers[:3]} == {(-2.0, 2.0)}
    good, bad = errors.layers
    assert good.limits == bad.limits == pytest.approx((-1.0, 1.0), abs=0.05)
    assert bad.array[0, 0] == pytest.approx(-1)
    (_, head, rows), (_, planes, scores), (_, bands, _) = comparison_tables(answers, "um")
    assert head == ["method", "score", "error / rad", "seconds", "MiB"]
    assert rows[1] == ["bad", "0.100", "0.5000", "1.00", "2"]
    assert planes == ["method", "-24"]
    assert scores[0] == ["good", "0.9"]
    assert bands == ["method", "0.5"]
    answers[0].score = answers[0].scores = answers[0].error = answers[0].bands = None
    assert comparison_tables(answers[:1], "um")[0][2] == [["good", "-", "1.00", "2"]]


def test_the_report_of_a_training_shows_curves_samples_and_scales(trained):
    """Fails where a curve, a sample, a coarse output or a setting is not on the page."""
    page = Page(trained.folder / "report.html")
    assert {"Curves", "Unseen test samples", "Every scale", "Settings"} <= set(page.texts["h2"])
    assert len(page.of("article")) == 6
    assert [t for t, _ in page.pictures[:4]] == ["Answer", "Truth", "Answer - truth", "Input"]
    told = [image["alt"] for image in page.of("img")]
    for at in ("full size", "1/2 size", "1/4 size"):
        assert sum(text.startswith("test sample 1: output at " + at) for text in told) == 1
    words = page.words("th", "td")
    for value in ("learning_rate", "tensorflow", "filters", "defocus", "CPU:0"):
        assert value in words
    assert '"problem": "phase"' in page.words("pre")
    assert f"{trained.history[-1]['test_mae']:.4g}" in page.source


def test_scales_stand_beside_the_truth_of_their_size(rng):
    """Fails where a coarse truth is no mean, or the grey of a scale is not that of the truth."""
    targets = rng.random((1, 8, 8, 1)).astype(np.float32)
    coarse = targets.reshape(1, 4, 2, 4, 2, 1).mean((2, 4))
    card = read_card(MODELS / "phase.h5")
    told = _scales([targets, coarse + 0.25, np.zeros((1, 3, 3, 7))], targets, card)
    assert told.count("<img") == 4
    assert "output at full size, mean error 0<" in told
    assert "output at 1/2 size, mean error 0.25<" in told
    assert _scales([targets], targets, card) == ""


def test_the_pixels_of_a_page_are_shared(monkeypatch, rng):
    """Fails where an uncertainty or another layer makes a page larger than it may be."""
    monkeypatch.setattr(layers, "SIDE", 10**6)
    tall = layers.Layer("a", rng.random((4000, 10)))
    colours = layers.Layer("b", rng.random((100, 100, 3)))
    view = layers.View("v", [tall, colours]).within(8000)
    sizes = [layer.array.size for layer in view.layers]
    assert sum(sizes) <= 8000
    assert all(size > 1000 for size in sizes)
