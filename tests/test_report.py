"""Fail where a report shows wrong limits, leaves out what it must tell, or loads anything."""

import io

import numpy as np
import pytest
from pages import Page
from PIL import Image

from mcnn_keras import InputError
from mcnn_keras.report import Layer, View, require_report, write_prediction_report
from mcnn_keras.report.curves import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, chart, curves
from mcnn_keras.report.layers import BLUE, MISSING, RED, WHITE, block_means, numerals

HOSTILE = "a<script>alert(1)</script>\"' onload=x\x1b[2J\u202e.tif"


def colours(layer):
    return np.asarray(Image.open(io.BytesIO(layer.png())).convert("RGB")).astype(int)


def test_limits_are_the_percentiles():
    """Fails where black and white are other values than those that are told."""
    layer = Layer("a", np.arange(1001.0).reshape(7, 143))
    assert layer.limits == pytest.approx((2.0, 998.0))
    assert Layer("a", layer.array, low=-1.0).limits == pytest.approx((-1.0, 998.0))
    assert Layer("a", layer.array, low=-1.0, high=5.0).limits == (-1.0, 5.0)
    assert Layer("a", np.full((3, 3), np.nan)).limits == (0.0, 0.0)
    away = Layer("a", np.array([[-3.0, 1.0, np.inf]]), diverging=True)
    low, high = away.limits
    assert high == pytest.approx(3 - 2 * 0.002)  # between 1 and 3, by hand
    assert low == -high
    assert Layer("a", away.array, diverging=True, low=7.0, high=2.0).limits == (-2.0, 2.0)


def test_a_picture_has_the_grey_of_its_values():
    """Fails where a value has the wrong grey, or one that is missing looks like a value."""
    array = np.array([[0.0, 1.0, 0.5, -9.0, 9.0, np.nan, np.inf, 0.25]])
    found = colours(Layer("a", array, low=0.0, high=1.0))[0]
    assert (found[[5, 6]] == MISSING).all()
    grey = found[[0, 1, 2, 3, 4, 7]]
    assert (grey == grey[:, :1]).all()
    np.testing.assert_allclose(grey[:, 0], [0, 255, 127.5, 0, 255, 63.75], atol=1)


def test_a_diverging_scale_is_white_at_zero():
    """Fails where zero has a colour, or both signs have one colour."""
    found = colours(Layer("a", np.array([[-2.0, 0.0, 2.0, -1.0]]), high=2.0, diverging=True))[0]
    assert found[:3].tolist() == [list(BLUE), list(WHITE), list(RED)]
    np.testing.assert_allclose(found[3], (np.array(BLUE) + WHITE) / 2, atol=2)
    nothing = colours(Layer("a", np.zeros((2, 2)), diverging=True))
    assert (nothing == WHITE).all()


def test_colours_stay_colours(rng):
    """Fails where red, green and blue are mixed, or a missing pixel is black."""
    array = rng.random((4, 5, 3))
    array[1, 2, 0] = np.nan
    found = colours(Layer("a", array, low=0.0, high=1.0))
    assert tuple(found[1, 2]) == MISSING
    array[1, 2] = np.array(MISSING) / 255
    np.testing.assert_allclose(found, 255 * array, atol=0.51)


def test_large_images_become_means_of_blocks():
    """Fails where pixels are left out, so that a lattice becomes another, or NaN spread."""
    array = np.arange(15.0).reshape(3, 5)
    array[0, 0] = np.nan
    expected = [[(1 + 5 + 6) / 3, (2 + 3 + 7 + 8) / 4, (4 + 9) / 2], [10.5, 12.5, 14]]
    np.testing.assert_allclose(block_means(array, 2), expected)
    assert np.isnan(block_means(np.full((2, 2), np.nan), 2)).all()
    stripes = np.tile([0.0, 1.0], (2048, 1024))  # every second pixel would be all black
    shown = View("a", [Layer("a", stripes)], pixel=0.5).within(1e9)
    assert shown.layers[0].array.shape == (1024, 1024)
    assert (shown.layers[0].array == 0.5).all()
    assert "means of 2x2 pixels" in shown.layers[0].note
    assert shown.pixel * shown.layers[0].array.shape[1] == 0.5 * 2048


@pytest.mark.parametrize(
    ("ends", "texts"),
    [((0, 1), ("0", "1")), ((-0.012345, 43521.0), ("-0.0123", "43500")), ((5, 5), ("5", "5")),
     ((1000.2, 1000.9), ("1000.2", "1000.9")), ((-0.0, 0), ("0", "0")),
     ((2.5e-7, 1.5e-6), ("2.5e-07", "1.5e-06"))],
)  # fmt: skip
def test_limits_are_told_with_the_digits_that_tell_them_apart(ends, texts):
    """Fails where two limits look alike, or carry digits without meaning."""
    assert numerals(*ends) == texts


@pytest.fixture
def views(rng):
    image = rng.random((40, 60))
    layers = [
        Layer(f"Input {HOSTILE}", image, "counts"), Layer("Result", image / 2, HOSTILE),
        Layer("Residual", image - 0.5, diverging=True, note=HOSTILE),
        Layer("Uncertainty", image**2, "counts"),
    ]  # fmt: skip
    return [
        View(HOSTILE, layers, 0.1, "nm", [(HOSTILE, HOSTILE)], [HOSTILE]),
        View("one", layers[:1]),
    ]


def test_a_page_holds_all_and_loads_nothing(views, tmp_path):
    """Fails where a layer, a warning or a fact is left out, or a name becomes markup."""
    path = tmp_path / "sub" / "r.html"
    lines = [f"Warning: {HOSTILE}", "failed: x", "plain"]
    table = ("numbers", ["method", HOSTILE], [[HOSTILE, 1.5]])
    write_prediction_report(path, HOSTILE, views, [(HOSTILE, HOSTILE)], lines, HOSTILE, [table])
    page = Page(path)
    told = HOSTILE.replace("\x1b", "\\x1b").replace("\u202e", "\\u202e")
    assert page.texts["title"] == page.texts["h1"] == [told]
    assert page.texts["li"] == [told, "failed: x", told, "plain"]
    assert told in page.texts["h3"]
    assert page.words("th").count(told) == 4
    assert [title for title, _ in page.pictures] == [
        f"Input {told}", "Result", "Residual", "Uncertainty", f"Input {told}",
    ]  # fmt: skip
    assert [v.get("data-width") for v in page.of("article")] == ["6", None]
    assert [len(page.of(kind)) for kind in ("input", "select")] == [1, 2]  # one layer needs none
    assert "counts" in page.of("img")[0]["alt"]
    assert page.words("div").count("colour") == 0
    assert sorted(p.name for p in path.parent.iterdir()) == ["r.html"]


def test_a_page_with_much_to_show_stays_small(rng, tmp_path):
    """Fails where many large and noisy images make a page that no browser likes to open."""
    noise = rng.random((1500, 1024), np.float32)
    layers = [Layer(name, noise) for name in ("Input", "Result", "Residual")]
    write_prediction_report(tmp_path / "r.html", "a", [View(str(i), layers) for i in range(8)])
    size = (tmp_path / "r.html").stat().st_size
    assert 5e6 < size < 15e6


def test_reports_replace_nothing_that_is_not_theirs(tmp_path):
    """Fails where an input or a foreign file is replaced, or a report that may be is not."""
    own, foreign, source = (tmp_path / name for name in ("own.html", "other.html", "in.html"))
    write_prediction_report(own, "a", [])
    for path in (foreign, source):
        path.write_text("years of work")
    require_report(None)
    require_report(tmp_path / "new.html", [source])
    for name in ("r.htm", "r", "r.png", "r.html.tif"):
        with pytest.raises(InputError, match=r"name a \.html file"):
            require_report(tmp_path / name)
    for path in (own, foreign):
        with pytest.raises(InputError, match="is there already"):
            require_report(path)
        require_report(path, overwrite=True)
    require_report(own, resume=True)
    with pytest.raises(InputError, match="is there already"):
        require_report(foreign, resume=True)
    with pytest.raises(InputError, match="would replace an input"):
        require_report(source, [source], overwrite=True)
    (tmp_path / "d.html").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        require_report(tmp_path / "d.html", overwrite=True)
    with pytest.raises(InputError, match="would lie in the result"):
        require_report(tmp_path / "a.zarr" / "r.html", results=[tmp_path / "a.zarr"])
    with pytest.raises(InputError, match="cannot be written"):
        require_report(own / "in_a_file.html")
    require_report(tmp_path / "new" / "r.html")
    assert not (tmp_path / "new").exists()
    (tmp_path / "link.html").symlink_to(own)
    with pytest.raises(InputError, match="is there already"):
        require_report(tmp_path / "link.html", resume=True)


def test_a_report_that_cannot_be_written_ends_in_one_line(tmp_path, monkeypatch):
    """Fails where a full disk ends in a traceback, or leaves half a page."""
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        write_prediction_report(tmp_path / "file" / "r.html", "a", [])
    (tmp_path / ".part77.r.html").touch()  # of a run that was killed
    write_prediction_report(tmp_path / "r.html", "a", [])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "r.html"]


def points(svg, kind):
    text = svg.split(f'<polyline class="{kind}" points="')[1].split('"')[0]
    return [tuple(map(float, pair.split(","))) for pair in text.split()]


def test_curves_go_through_their_values():
    """Fails where a curve is shifted, upside down, or an epoch without a value is drawn."""
    svg = chart("error", {"test_mae": [4.0, float("nan"), 1.0]}, {"constant": 2.0})
    top, bottom, left, right = TOP, HEIGHT - BOTTOM, LEFT, WIDTH - RIGHT
    height = bottom - top
    assert points(svg, "c1") == [(left, top), (right, bottom - height / 4)]
    assert points(svg, "constant") == [(left, top + height / 2), (right, top + height / 2)]
    below = chart("loss", {"loss": [0.0, -2.0]})
    assert points(below, "c1") == [(left, top), (right, bottom)]
    assert 'r="4"' in chart("one", {"test_mae": [1.0]})


def test_errors_of_all_scales_share_a_chart():
    """Fails where the error of a scale, or another column of the history, has no curve."""
    row = {"epoch": 1, "step": 2, "mae": 3.0, "test_mae": 2.0, "test_mae_2": 1.0, "loss": 5.0,
           "seconds": 1.0}  # fmt: skip
    told = curves([row, row], 4.0, "rad")
    assert told.count("<figure>") == 2
    assert "test_mae_2: 1" in told
    assert "mean absolute error / rad" in told
    assert curves([], 1.0, "") == ""
    many = curves([{**row, "epoch": n} for n in range(1, 1001)], 4.0, "rad")
    assert "every 5 of them" in many
    assert many.count("<tr>") == 201 + 1
