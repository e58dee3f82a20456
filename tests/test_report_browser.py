"""Fail where a report does not work in a browser: its slider, zoom, keys, or a narrow window."""

import io
import json
import os

import numpy as np
import pytest
from browser import Browser, chromium
from PIL import Image

from mcnn_keras.report import Layer, View, write_prediction_report

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(os.name != "posix", reason="the pipe to the browser is POSIX's"),
    pytest.mark.skipif(chromium() is None, reason="Chromium is not installed"),
]
NAME = "<script>throw 1</script><img src=http://example.invalid/x onerror=throw(2)> a.tif"
# In the page: the place of the first view's stage in the window.
BOX = "JSON.stringify(document.querySelector('.stage').getBoundingClientRect())"


@pytest.fixture(scope="module")
def browser():
    browser = Browser()
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A page with two views of layers of one grey each, and one with a wide table."""
    folder = tmp_path_factory.mktemp("pages")
    dark, bright = np.zeros((60, 80)), np.ones((60, 80))
    half = np.repeat([0.0, 1.0], 40)[None].repeat(60, 0)
    limits = {"low": 0.0, "high": 1.0}
    layers = [Layer("Input", dark, "counts", **limits), Layer("Result", bright, **limits),
              Layer("Residual " + "long" * 30, half, diverging=True)]  # fmt: skip
    views = [View(NAME, layers, 0.1, "nm", [("size", "x" * 300)], [NAME]), View("b", layers[:1])]
    head = ["method", *map(str, range(30))]
    table = ("wide", head, [["a long name of a method", *[1.2345] * 30]])
    write_prediction_report(
        folder / "r.html", NAME, views, [(NAME, NAME)], [f"Warning: {NAME}"], NAME, [table]
    )
    return folder / "r.html"


@pytest.fixture
def page(browser, pages):
    browser.open(pages)
    yield browser
    assert browser.complaints() == []
    assert [u for u in browser.requests() if not u.startswith(("data:", "file:"))] == []


def seen(browser, across, down=0.5):
    """The grey at a point of the first stage, as shares of it."""
    browser.value("document.querySelector('.stage').scrollIntoView()")
    box = json.loads(browser.value(BOX))
    picture = np.asarray(Image.open(io.BytesIO(browser.picture())).convert("L"))
    y = box["top"] + down * box["height"]
    return int(picture[int(y), int(box["left"] + across * box["width"])])


def test_pictures_are_loaded_and_nothing_is_complained_of(page):
    """Fails where a picture is not shown, a script of a name runs, or anything is loaded."""
    widths = "[...document.images].map(i => i.naturalWidth).join()"
    assert page.value(widths) == "80,80,80,80"
    assert page.value("document.scripts.length") == 1
    assert NAME in page.value("document.body.innerText")


def test_the_slider_moves_what_is_seen(page):
    """Fails where the line does not separate the layers, or keys do not move the slider."""
    assert (seen(page, 0.25), seen(page, 0.75)) == (0, 255)
    page.value("document.querySelector('input').focus()")
    for _ in range(70):
        page.press("ArrowRight", 39)
    told = page.value("document.querySelector('input').getAttribute('aria-valuetext')")
    assert told == "85 % Input, 15 % Result"
    assert (seen(page, 0.75), seen(page, 0.9)) == (0, 255)
    page.press("Home", 36)
    assert seen(page, 0.1) == 255
    page.press("End", 35)
    assert seen(page, 0.9) == 0


def test_layers_are_chosen_with_their_legends(page):
    """Fails where another layer is shown than is chosen, or the legend is that of another."""
    choose = """(() => { const box = document.querySelectorAll('select')[%d];
        box.value = '%d'; box.dispatchEvent(new Event('input')); })()"""
    titles = """[...document.querySelectorAll('article')[0].querySelectorAll('.legend')]
        .filter(l => l.offsetParent).map(l => l.querySelector('b').textContent).join('|')"""
    assert page.value(titles) == "Input|Result"
    page.value(choose % (0, 1))
    assert seen(page, 0.25) == 255
    assert page.value(titles) == "Result"
    page.value(choose % (0, 2))
    assert page.value(titles).startswith("Result|Residual")
    assert page.value("document.querySelector('.tag').textContent").startswith("Residual")
    assert 200 < seen(page, 0.25) < 255  # zero: white
    unseen = "[...document.querySelectorAll('.pan')][0].querySelectorAll('img[hidden]').length"
    assert page.value(unseen) == 1


def test_zoom_and_place_hold_for_all_layers_and_the_scale_bar(page):
    """Fails where layers move apart, or the scale bar does not grow with the image."""
    bar = "(b => b.offsetWidth / b.closest('.stage').clientWidth)(document.querySelector('.bar i'))"
    label = "document.querySelector('.bar span').textContent"
    assert page.value(label) == "2 nm"  # of 8
    assert page.value(bar) == pytest.approx(2 / 8, abs=0.01)
    page.value("document.querySelector('.stage').focus()")
    for _ in range(5):
        page.press("+", 187)
    zoom = 1.4**5
    assert page.value("document.querySelector('output').textContent") == f"{zoom:.1f}x"
    assert page.value(label) == "0.2 nm" or page.value(label) == "0.5 nm"
    length = float(page.value(label).split()[0])
    assert page.value(bar) == pytest.approx(length / 8 * zoom, abs=0.01)
    assert (seen(page, 0.45), seen(page, 0.55)) == (0, 255)  # the line stays where it is
    boxes = """(() => { const all = [...document.querySelector('.pan').querySelectorAll('img')];
        all.forEach(i => i.hidden = false);
        return new Set(all.map(i => JSON.stringify(i.getBoundingClientRect()))).size; })()"""
    assert page.value(boxes) == 1
    where = "document.querySelector('.pan').getBoundingClientRect().left"
    before = page.value(where)
    page.press("ArrowRight", 39)
    assert page.value(where) < before
    for _ in range(40):
        page.press("ArrowRight", 39)
    edge = "document.querySelector('.pan').getBoundingClientRect().right"
    assert page.value(edge) == pytest.approx(json.loads(page.value(BOX))["right"], abs=1)
    page.press("0", 48)
    assert page.value("document.querySelector('output').textContent") == "1.0x"
    page.value("document.querySelector('button[value=in]').click()")
    assert page.value("document.querySelector('output').textContent") == "1.4x"
    page.value("document.querySelector('button[value=all]').click()")
    assert page.value(where) == pytest.approx(json.loads(page.value(BOX))["left"], abs=1)


def test_dragging_moves_the_line_or_the_enlarged_image(page):
    """Fails where a drag does nothing, or moves the image out of its frame."""
    page.value("document.querySelector('.stage').scrollIntoView()")
    box = json.loads(page.value(BOX))
    at = [(box["left"] + s * box["width"], box["top"] + 50) for s in (0.2, 0.8)]
    page.drag(*at)
    assert float(page.value("document.querySelector('input').value")) == pytest.approx(80, abs=1)
    page.value("document.querySelector('button[value=in]').click()")
    where = "document.querySelector('.pan').getBoundingClientRect().left"
    before = page.value(where)
    page.drag((at[0][0], at[0][1]), (at[0][0] - 30, at[0][1]))
    assert page.value(where) == pytest.approx(before - 30, abs=1)
    page.drag(*at)
    assert page.value(where) == pytest.approx(box["left"], abs=1)


@pytest.mark.parametrize("dark", [False, True])
def test_a_narrow_window_needs_no_sideways_scroll(browser, pages, dark):
    """Fails where a phone of 360 pixels shows a part of the page only, or text is too pale."""
    browser.open(pages, width=360, height=740, dark=dark)
    assert browser.value("document.documentElement.scrollWidth") <= 360
    assert browser.value("document.querySelector('.wide').scrollWidth") > 360  # in its own box
    colours = browser.value(
        """JSON.stringify([...document.querySelectorAll('p, h3, td, .note, summary, li, button')]
        .map(e => { let ground = e;
            while (getComputedStyle(ground).backgroundColor === 'rgba(0, 0, 0, 0)')
                ground = ground.parentElement;
            return [getComputedStyle(e).color, getComputedStyle(ground).backgroundColor]; }))"""
    )
    for pair in json.loads(colours):
        assert contrast(*pair) >= 4.5, pair
    small = """[...document.querySelectorAll('button, select, input')]
        .filter(e => e.offsetParent && e.getBoundingClientRect().height < 24).length"""
    assert browser.value(small) == 0
    assert browser.complaints() == []


def contrast(one, other):
    """The contrast of two colours, as WCAG 2 defines it."""

    def luminance(colour):
        values = [float(v) / 255 for v in colour[colour.index("(") + 1 : -1].split(",")[:3]]
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
        return np.dot(linear, (0.2126, 0.7152, 0.0722))

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_every_control_is_reached_by_tab(page):
    """Fails where a control, the image, the table or the folded part is for a mouse alone."""
    reached = []
    for _ in range(14):
        page.press("Tab", 9)
        reached.append(page.value("document.activeElement.className || document.activeElement.type "
                                  "|| document.activeElement.tagName"))  # fmt: skip
    first = ["wide", "stage", "range", "select-one", "select-one", "button", "button", "button"]
    assert reached[:8] == first
    assert reached[8:12] == ["stage", "button", "button", "button"]


def test_without_scripts_all_layers_stand_below_one_another(browser, pages):
    """Fails where a page is empty where scripts are not allowed."""
    browser.open(pages, scripts=False)
    # Scripts are off: the layout is read from outside.
    root, boxes = browser.call("DOM.getDocument")["root"]["nodeId"], []
    for node in browser.call("DOM.querySelectorAll", nodeId=root, selector=".pan img")["nodeIds"]:
        boxes.append(browser.call("DOM.getBoxModel", nodeId=node)["model"]["border"])
    assert len({box[1] for box in boxes[:3]}) == 3
    assert all(box[2] > box[0] and box[5] > box[1] for box in boxes)


def test_the_page_of_a_training_works(browser, trained):
    """Fails where the page of a training complains, or is too wide for a phone."""
    browser.open(trained.folder / "report.html", width=360, height=740)
    assert browser.value("document.documentElement.scrollWidth") <= 360
    assert browser.value("[...document.images].every(i => i.naturalWidth > 0)") is True
    assert browser.value("[...document.querySelectorAll('svg')].every(s => s.clientWidth > 0)")
    assert browser.complaints() == []
