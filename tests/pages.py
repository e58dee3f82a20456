"""Reads a report without a browser: its elements, texts and pictures."""

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
from PIL import Image

VOID = {"meta", "img", "input", "br", "link"}


class Page(HTMLParser):
    """The elements of a page as (name, attributes), with what must hold for every page checked."""

    def __init__(self, path):
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.elements, self.open, self.texts = [], [], {}
        self.feed(self.source)
        assert not self.open, self.open
        self.require_sound()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag

    def handle_data(self, data):
        if data.strip():
            self.texts.setdefault(self.open[-1] if self.open else "", []).append(data.strip())

    def of(self, *names):
        return [attributes for name, attributes in self.elements if name in names]

    def words(self, *names):
        return " | ".join(text for name in names for text in self.texts.get(name, ()))

    @property
    def pictures(self):
        """Titles of the layers and their pictures in colour, in the order of the page."""
        found = []
        for image in self.of("img"):
            data = base64.b64decode(image["src"].partition("base64,")[2])
            picture = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
            found.append((image.get("data-title"), picture))
        return found

    def require_sound(self):
        """Fails where the page is no help to a reader without eyes or network, or not its own."""
        assert self.source.startswith("<!doctype html>")
        assert self.of("html")[0]["lang"] == "en"
        assert {m.get("name"): m.get("content", "") for m in self.of("meta")}[
            "viewport"
        ].startswith("width=device-width")
        for image in self.of("img"):
            assert image["alt"].strip()
            assert image["src"].startswith("data:image/png;base64,")
        names = [a["id"] for _, a in self.elements if "id" in a]
        assert len(names) == len(set(names))
        labelled = {label["for"] for label in self.of("label")}
        for control in self.of("input", "select"):
            assert control["id"] in labelled
        for _, attributes in self.elements:
            for name, value in attributes.items():
                assert not name.startswith("on"), name
                if name in ("src", "href", "action", "data"):
                    assert value.startswith("data:image/png"), value
                if name in ("aria-labelledby", "aria-describedby", "for"):
                    assert value in names
        assert [tag for tag, _ in self.elements].count("script") == 1
        assert not {"link", "iframe", "object", "embed", "base", "form"} & {
            tag for tag, _ in self.elements
        }
        style = self.words("style") + self.words("script")
        assert not re.search(r"https?:|//[a-z]|@import|url\(", re.sub(r"// .*", "", style))
