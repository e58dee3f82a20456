"""Fail where the page for the browser does not work: upload, run, look, download, keys, a phone."""

import io
import json
import os
import time

import numpy as np
import pytest
from browser import Browser, chromium
from PIL import Image
from served import Served
from test_report_browser import contrast

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(os.name != "posix", reason="the pipe to the browser is POSIX's"),
    pytest.mark.skipif(chromium() is None, reason="Chromium is not installed"),
]
READY = "document.querySelector('#model-choice').options.length > 0"
# A click on the button with a text in the latest run.
CLICK = "[...document.querySelector('.job').querySelectorAll('button')].find(b => b.textContent === '{}').click()"  # noqa: E501
NAME = "frames <b>one.npy"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    served = Served(tmp_path_factory.mktemp("app") / "files")
    yield served
    assert served.end() == 0
    assert served.files() == []


@pytest.fixture(scope="module")
def browser():
    browser = Browser()
    yield browser
    browser.close()


@pytest.fixture
def page(browser, served):
    browser.open(served.url)
    browser.until(READY)
    yield browser
    assert browser.complaints() == []
    strange = [u for u in browser.requests() if not u.startswith((served.url, "data:"))]
    assert strange == []


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    """A movie of spots on a grid, with few electrons a pixel."""
    y, x = np.mgrid[:64, :64]
    clean = 4 * (np.sin(2 * np.pi * x / 12) * np.sin(2 * np.pi * y / 12)) ** 4 + 1
    path = tmp_path_factory.mktemp("frames") / NAME
    np.save(path, np.random.default_rng(0).poisson(clean, (3, 64, 64)).astype(np.uint16))
    return path


def state(page):
    return page.value("document.querySelector('.job')?.className")


def test_a_frame_is_denoised_seen_and_downloaded(page, served, frames, tmp_path):
    """Fails where a user cannot get from a file to a result without leaving the page."""
    page.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    page.choose("#files", [frames])
    assert NAME in page.value("document.querySelector('#chosen').innerText")
    page.value("document.querySelector('#run').click()")
    page.until("document.querySelector('.job')?.classList.contains('done')")
    assert page.value("document.querySelector('.job h3').textContent") == NAME
    assert page.value("document.querySelector('#frame').src").endswith("/report")
    time.sleep(1)
    page.value("document.querySelector('#frame').scrollIntoView()")
    picture = np.asarray(Image.open(io.BytesIO(page.picture())).convert("L"))
    assert picture[:, 100:1000].std() > 10  # images, and no empty frame
    page.value("document.querySelector('#next').click()")
    page.until("document.querySelector('#frame').src.endsWith('number=1')")
    page.value(
        """(() => { const box = document.querySelector('.job select');
        box.value = '.npy'; box.dispatchEvent(new Event('change')); })()"""
    )
    page.value(CLICK.format("Download"))
    for _ in range(100):
        found = list(tmp_path.glob("*.npy"))
        if found:
            break
        time.sleep(0.1)
    clean = np.load(found[0])
    assert clean.shape == (3, 64, 64)
    assert clean.std() < np.load(frames).std()


def test_the_image_after_the_last_is_told_of(page, frames):
    """Fails where an image that is not there is an empty frame, or an error of the console."""
    page.until("!!document.querySelector('.job.done')")
    page.value(CLICK.format("Show"))
    page.value("document.querySelector('#number').value = 7")
    page.value("document.querySelector('#number').dispatchEvent(new Event('change'))")
    page.until("!document.querySelector('#error').hidden")
    assert "image 7 of frames" in page.value("document.querySelector('#error').textContent")
    refused = [e for e in page.complaints() if e["params"]["entry"]["source"] == "network"]
    assert len(refused) == len(page.complaints()) <= 2  # the browser's own lines about 422
    page.events.clear()


def test_what_is_missing_is_told_beside_the_button(page):
    """Fails where nothing happens as images are missing, or the message is not announced."""
    page.value("document.querySelector('#run').click()")
    page.until("!document.querySelector('#error').hidden")
    assert "Choose files first" in page.value("document.querySelector('[role=alert]').textContent")


def test_the_fields_are_those_of_the_task(page):
    """Fails where a task shows fields of another, or lacks its own."""
    seen = (
        "[...document.querySelectorAll('[id]')].filter(e => e.offsetParent).map(e => e.id).join()"
    )
    for task, own, others in (
        ("denoise", "quality", "wavelength"),
        ("phase", "wavelength", "quality"),
        ("predict", "model", "faults"),
    ):
        page.value(f"document.querySelector('input[value={task}]').click()")
        page.until(READY)
        ids = page.value(seen).split(",")
        assert own in ids
        assert others not in ids


@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_shows_all_of_it(browser, served, dark):
    """Fails where 360 pixels need sideways scroll, text is pale, or a control is too small."""
    browser.open(served.url, width=360, height=740, dark=dark)
    browser.until(READY)
    for task in ("denoise", "phase", "predict"):
        browser.value(f"document.querySelector('input[value={task}]').click()")
        browser.value("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert browser.value("document.documentElement.scrollWidth") <= 360
        colours = browser.value(
            """JSON.stringify([...document.querySelectorAll('p, h3, label, small, button, li')]
            .filter(e => e.offsetParent).map(e => { let ground = e;
                while (getComputedStyle(ground).backgroundColor === 'rgba(0, 0, 0, 0)')
                    ground = ground.parentElement;
                return [getComputedStyle(e).color, getComputedStyle(ground).backgroundColor]; }))"""
        )
        for pair in json.loads(colours):
            assert contrast(*pair) >= 4.5, pair
        small = """[...document.querySelectorAll('button, select, input')]
            .filter(e => e.offsetParent && e.getBoundingClientRect().height < 24)
            .map(e => e.id).join()"""
        assert browser.value(small) == ""
    assert browser.complaints() == []


def test_every_control_has_a_name_and_is_reached_by_tab(page):
    """Fails where a control is for a mouse alone, or a screen reader cannot name it."""
    page.value("document.querySelector('input[value=phase]').click()")
    page.value("document.querySelectorAll('details').forEach(d => d.open = true)")
    nameless = """[...document.querySelectorAll('button, select, input')].filter(e => e.offsetParent
        && !(e.labels?.length || e.getAttribute('aria-label') || e.textContent.trim()))
        .map(e => e.outerHTML).join()"""
    assert page.value(nameless) == ""
    wanted = page.value(
        """[...document.querySelectorAll('#form button, #form select, #form input')]
        .filter(e => e.offsetParent && (e.type !== 'radio' || e.checked)).length"""
    )
    page.value("document.querySelector('input[value=phase]').focus()")
    reached = set()
    for _ in range(wanted + 10):
        reached.add(page.value("document.activeElement.id || document.activeElement.value"))
        page.press("Tab", 9)
    assert {"phase", "files", "path", "model-choice", "wavelength", "register", "run"} <= reached
    assert len(reached - {"", None}) >= wanted


def test_a_report_may_not_ask_the_server(browser, served):
    """Fails where a script of a report could read files by way of the server."""
    job = served.ask("jobs")[1][0]["id"]
    browser.open(f"{served.url}jobs/{job}/report")
    assert browser.value("origin") == "null"
    assert browser.complaints() == []
    ask = "fetch('/').then(() => document.title = 'read', () => document.title = 'refused')"
    browser.value(f"void {ask}")
    browser.until("['read', 'refused'].includes(document.title)")
    assert browser.value("document.title") == "refused"
