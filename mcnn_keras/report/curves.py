"""Curves of a training, by epoch, as SVG, and their numbers as a table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from .page import escaped, folded, table

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 520, 250, 76, 34, 12, 12
# The classes of the lines in the style of the page.
COLOURS = 6
# Rows of the table of numbers, at most.
ROWS = 200
# What the columns of a history are; others are shown under their own name.
NAMES = {
    "mae": "training samples", "test_mae": "unseen test samples", "loss": "loss",
    "test_deviation": "deviation of the output / deviation of the truth",
    "learning_rate": "learning rate",
}  # fmt: skip
NO_CURVES = ("epoch", "step", "seconds")


def curves(history: Sequence[Mapping[str, Any]], constant: float, unit: str) -> str:
    """A chart of the errors, one of each other column of a history, and the table of all.

    Parameters
    ----------
    history : list of dict
        A row for each epoch. Columns whose names hold "mae" are errors, of whatever scale.
    constant : float
        The error of the best constant answer.
    unit : str
        Of the errors.
    """
    if not history:
        return ""
    columns = [name for name in history[-1] if name not in NO_CURVES]
    errors = {name: _values(history, name) for name in columns if "mae" in name}
    title = f"mean absolute error{f' / {unit}' * bool(unit)}"
    charts = [chart(title, errors, {"best constant answer": constant})]
    charts += [chart(NAMES.get(n, n), {n: _values(history, n)}) for n in columns if n not in errors]
    step = -(-len(history) // ROWS)
    rows = [*history[: len(history) - 1 : step], history[-1]]
    head = list(history[-1])
    numbers = table(
        "Numbers of the epochs" + f", every {step} of them" * (step > 1),
        head, [[row.get(name, "") for name in head] for row in rows],
    )  # fmt: skip
    return f'<div class="charts">{"".join(charts)}</div>{folded("All numbers", numbers)}'


def chart(
    title: str,
    lines: Mapping[str, Sequence[float]],
    levels: Mapping[str, float] | None = None,
) -> str:
    """Lines over the epochs, from zero on.

    Parameters
    ----------
    title : str
        What is along the vertical axis.
    lines : dict
        Name and values of each, one for each epoch; NaN are left out.
    levels : dict, optional
        Names and values of horizontal lines.
    """
    levels = {name: value for name, value in (levels or {}).items() if math.isfinite(value)}
    count = max(len(values) for values in lines.values())
    seen = [v for values in lines.values() for v in values if math.isfinite(v)]
    seen += levels.values()
    top, low = max([*seen, 0.0]), min([*seen, 0.0])
    top = top if top > low else low + 1.0

    def at(epoch: float, value: float) -> str:
        x = LEFT + (WIDTH - LEFT - RIGHT) * (epoch / max(count - 1, 1))
        y = TOP + (HEIGHT - TOP - BOTTOM) * (top - value) / (top - low)
        return f"{x:.1f},{y:.1f}"

    parts, legend = [], []
    for value in (top, (top + low) / 2, low):
        y = at(0, value).split(",")[1]
        parts.append(
            f'<path class="grid" d="M{LEFT} {y}H{WIDTH - RIGHT}"/>'
            f'<text x="{LEFT - 6}" y="{float(y) + 4:.1f}" text-anchor="end">{value:.3g}</text>'
        )
    for name, value in levels.items():
        parts.append(f'<polyline class="constant" points="{at(0, value)} {at(count - 1, value)}"/>')
        legend.append(_sample("constant", f"{name}: {value:.4g}"))
    for i, (name, values) in enumerate(lines.items()):
        # The test error is the one to look at.
        kind = "c1" if name == "test_mae" or len(lines) == 1 else f"c{(i, i + 1)[i > 0] % COLOURS}"
        points = [at(epoch, v) for epoch, v in enumerate(values) if math.isfinite(v)]
        parts.append(f'<polyline class="{kind}" points="{" ".join(points)}"/>')
        if len(points) == 1:
            x, y = points[0].split(",")
            parts.append(f'<circle class="mark" cx="{x}" cy="{y}" r="4"/>')
        end = values[-1] if values else math.nan
        legend.append(_sample(kind, f"{NAMES.get(name, name)}: {end:.4g}"))
    parts.append(
        f'<text x="{LEFT}" y="{HEIGHT - 10}">epoch 1</text>'
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 10}" text-anchor="end">{count}</text>'
    )
    told = escaped(f"{title} by epoch; {'; '.join(_plain(lines, levels))}")
    return (
        f'<figure><b>{escaped(title)}</b><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{told}">{"".join(parts)}</svg>'
        f"<figcaption>At the end: {'; '.join(legend)}</figcaption></figure>"
    )


def _plain(lines: Mapping[str, Sequence[float]], levels: Mapping[str, float]) -> list[str]:
    told = [
        f"{NAMES.get(name, name)} from {values[0]:.4g} to {values[-1]:.4g}"
        for name, values in lines.items()
    ]
    return [*told, *(f"{name} {value:.4g}" for name, value in levels.items())]


def _sample(kind: str, text: str) -> str:
    """A piece of a line, and what it is."""
    line = (
        '<svg viewBox="0 0 30 10" aria-hidden="true" style="display:inline-block;width:30px">'
        f'<polyline class="{kind}" points="0,5 30,5"/></svg>'
    )
    return f'<span style="white-space:normal">{line} {escaped(text)}</span>'


def _values(history: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    values = []
    for row in history:
        value = row.get(name)
        values.append(float(value) if isinstance(value, (int, float)) else math.nan)
    return values
