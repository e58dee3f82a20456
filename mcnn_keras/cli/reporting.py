"""The option --report, and the page of a command that works on a focal series."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from .telling import WARNING, telling

# Of all commands that make results.
REPORT: dict[str, Any] = {
    "type": click.Path(), "metavar": "FILE.html",
    "help": "Also write a page to look at: the images under a slider, with warnings and facts.",
}  # fmt: skip
reporting = click.option("--report", **REPORT)


def write_report(
    path: str, title: str, views: Sequence[Any], facts: Sequence[tuple[str, Any]], note: str = "",
    tables: Sequence[Any] = (),
) -> None:  # fmt: skip
    """Write the report of the running command, with what it has printed.

    The arguments are those of `mcnn_keras.report.write_prediction_report`.
    """
    from ..report import write_prediction_report

    tell = telling()
    lines = [*(WARNING + line for line in tell.warnings), *tell.messages]
    write_prediction_report(path, title, views, facts, lines, note, tables)
    tell.done(f"wrote {path}", files=[Path(path)])
