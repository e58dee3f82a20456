"""The shell of a report: a page that loads nothing, its tables and its texts, all escaped."""

from __future__ import annotations

import base64
import datetime
import hashlib
import html
import platform
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import visible
from ..files import replacing
from ..models.onnx import usable_cores
from ..version import __version__

STYLE, SCRIPT = (Path(__file__).with_name(f"page.{kind}") for kind in ("css", "js"))
# First words of lines that are warnings.
WARNINGS = ("Warning: ", "failed: ")


def escaped(value: object) -> str:
    """A value as text of a page: names of files may hold markup, and control characters."""
    return html.escape(visible(str(value)))


def write_page(path: str | Path, title: str, body: str) -> None:
    """Write a page, completely or not at all.

    Parameters
    ----------
    path : Path
        The file, replaced if it exists.
    title : str
        Plain text.
    body : str
        HTML.
    """
    style, script = (file.read_text(encoding="utf-8") for file in (STYLE, SCRIPT))
    # Whatever a text holds, only this script runs, and nothing is loaded.
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{allowed}'; base-uri 'none'; form-action 'none'"
    )
    now = datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %z")
    text = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="generator" content="mcnn-keras {__version__}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{escaped(title)}</title>
<style>
{style}</style>
</head>
<body>
<main>
<h1>{escaped(title)}</h1>
<p class="quiet">Written by mcnn-keras {__version__} on {now}.</p>
{body}
</main>
<script>{script}</script>
</body>
</html>
"""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def section(heading: str, *parts: str) -> str:
    """A section with a heading; "" where there is nothing in it."""
    inner = "\n".join(filter(None, parts))
    return f"<section>\n<h2>{escaped(heading)}</h2>\n{inner}\n</section>" if inner else ""


def folded(summary: str, *parts: str) -> str:
    """What is shown when it is asked for."""
    inner = "\n".join(filter(None, parts))
    return f"<details>\n<summary>{escaped(summary)}</summary>\n{inner}\n</details>" if inner else ""


def paragraph(text: str) -> str:
    """A paragraph of plain text."""
    return f"<p>{escaped(text)}</p>" if text else ""


def listed(lines: Iterable[str], name: str = "", warning: bool = False) -> str:
    """Lines as a list; as warnings, in a box."""
    items = "".join(f"<li>{escaped(line)}</li>" for line in lines)
    if not items:
        return ""
    box = f' class="warnings" aria-label="{escaped(name or "Warnings")}"' if warning else ""
    return f"<ul{box}>{items}</ul>"


def facts_of(facts: Iterable[tuple[str, object]]) -> str:
    """Names and values as a table of two columns."""
    rows = "".join(
        f'<tr><th scope="row">{escaped(name)}</th><td>{escaped(value)}</td></tr>'
        for name, value in facts
    )
    return f'<table class="facts">{rows}</table>' if rows else ""


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in a box that scrolls by itself where it is too wide; names are in the first column.

    Parameters
    ----------
    caption : str
    head : sequence of str
        Names of the columns.
    rows : iterable of sequence
        Values, as many as columns.
    """
    top = "".join(f'<th scope="col">{escaped(name)}</th>' for name in head)
    lines = "".join(
        f'<tr><th scope="row">{escaped(first)}</th>'
        + "".join(f"<td>{escaped(value)}</td>" for value in rest)
        + "</tr>"
        for first, *rest in rows
    )
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{escaped(caption)}">'
        f"<table><caption>{escaped(caption)}</caption><thead><tr>{top}</tr></thead>"
        f"<tbody>{lines}</tbody></table></div>"
    )


def in_words(values: Mapping[str, Any]) -> str:
    """The values of a dictionary that are set, in one line of plain text."""
    told = []
    for name, value in values.items():
        if value is not None:
            told.append(f"{name}: {in_words(value) if isinstance(value, dict) else value}")
    return "; ".join(told)


def data_uri(png: bytes) -> str:
    """A picture as the address of an img."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def machine() -> str:
    """The system and the processor that this runs on."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        told = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        name = (told or [name])[0]
    except OSError:  # another system
        pass
    return f"{name}, {usable_cores()} cores usable; {platform.system()} {platform.machine()}"
