"""The report of a prediction or a comparison: what went in and out, one over the other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ..errors import InputError, reason
from ..files.locking import locked
from ..files.whole import remove_left
from .layers import View
from .page import (
    WARNINGS,
    facts_of,
    folded,
    listed,
    machine,
    paragraph,
    section,
    table,
    write_page,
)
from .viewer import views_of

Table = tuple[str, Sequence[str], Sequence[Sequence[object]]]


def write_prediction_report(
    path: str | Path,
    title: str,
    views: Sequence[View],
    facts: Iterable[tuple[str, object]] = (),
    lines: Sequence[str] = (),
    note: str = "",
    tables: Sequence[Table] = (),
) -> None:
    """Write the report of a prediction, or of a comparison.

    Parameters
    ----------
    path : Path
        The file, replaced if it exists; see `require_report`.
    title : str
    views : sequence of View
        One for each image that is shown.
    facts : iterable of (str, object)
        Names and values that hold for all of them.
    lines : sequence of str
        What the run has said. Lines that start with "Warning: " or "failed: " are warnings.
    note : str
        What the views are; which of many images are shown.
    tables : sequence of (caption, names of the columns, rows)
        Numbers, shown above the images; the first column names the rows.

    Raises
    ------
    InputError
        If it cannot be written, or another run is writing it.
    """
    warnings = [line.removeprefix(WARNINGS[0]) for line in lines if line.startswith(WARNINGS)]
    said = [line for line in lines if not line.startswith(WARNINGS)]
    body = "\n".join(
        filter(
            None,
            (
                section("Warnings", listed(warnings, warning=True)),
                section("Numbers", *(table(*each) for each in tables)),
                section("Images", paragraph(note), views_of(views)),
                section("Facts", facts_of([*facts, ("machine", machine())])),
                folded(f"What the run said ({len(said)} lines)", listed(said)) if said else "",
            ),
        )
    )
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path):
            remove_left(path)
            write_page(path, title, body)
    except OSError as error:
        raise InputError(
            f"the report {path} cannot be written: {reason(error)}; the results are there"
        ) from None
