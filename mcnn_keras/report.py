"""The report of a training run: one HTML file that needs nothing beside it."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .files import Panel, figure, replacing
from .models import ModelCard

EXAMPLES = 6


def write_report(
    folder: Any,
    card: ModelCard,
    history: Sequence[Mapping[str, Any]],
    test: tuple[np.ndarray, np.ndarray],
    answer: np.ndarray,
) -> None:
    """Write a run's report, report.html, and the picture in it, examples.png.

    Parameters
    ----------
    folder : RunFolder
        Of the run.
    card : ModelCard
        The model's card.
    history : list of dict
        A row for each epoch.
    test : tuple of array
        Images and targets of the test set, (samples, height, width, channels).
    answer : array
        The network's output for them.
    """
    metrics, unit = card.metrics, html.escape(card.error_unit)
    rows = [
        ("test error (mean absolute)", f"{metrics['test_mae']:.4g} {unit}"),
        ("best constant answer's error", f"{metrics['constant_answer_mae']:.4g} {unit}"),
        ("correlation with the truth", f"{metrics['test_correlation']:.4f}"),
        ("unseen test samples", metrics["test_samples"]),
        ("problem", _facts({"name": card.problem, **card.config})),
        ("network", _facts(card.network)),
        ("training", _facts(card.training)),
        ("versions", _facts(card.versions)),
    ]
    table = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in rows)
    images = test[0][..., : card.image_channels]  # without the fixed channels
    picture = _examples((images, test[1]), answer)
    title = f"mcnn-keras: {html.escape(card.problem)}"
    page = f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>body{{font:15px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}}
th{{text-align:left;vertical-align:top;padding-right:1rem;white-space:nowrap}}
td{{overflow-wrap:anywhere}} img{{width:100%}}</style>
<h1>{title}</h1><table>{table}</table>
<h2>Error by epoch</h2>{_curves(history, metrics["constant_answer_mae"])}
<h2>Unseen test samples</h2>
<p>From left to right: input (first plane), truth, answer, |truth - answer|. Truth, answer and
difference of a row share one grey scale; it spans the truth's range.</p>
<img alt="input, truth, answer and difference of test samples"
src="data:image/png;base64,{base64.b64encode(picture).decode()}">
</html>"""
    with replacing(folder.examples_path) as part:
        part.write_bytes(picture)
    with replacing(folder.report_path) as part:
        part.write_text(page, encoding="utf-8")


def _examples(test: tuple[np.ndarray, np.ndarray], answer: np.ndarray) -> bytes:
    """The first test samples, a row each, as the bytes of a PNG."""
    import imageio.v3 as iio

    images, targets = test
    if targets.shape[1] != images.shape[1]:  # an enlarging network: show the input as large
        factor = targets.shape[1] // images.shape[1]
        images = images.repeat(factor, axis=1).repeat(factor, axis=2)
    if images.shape[-1] != 3 or targets.shape[-1] != 3:  # not colours: the first of each
        images, targets, answer = (a[..., 0] for a in (images, targets, answer))
    panels = []
    for i in range(min(EXAMPLES, len(images))):
        low, high = float(targets[i].min()), float(targets[i].max())
        columns = [
            ("input", images[i], None, None),
            ("truth", targets[i], low, high),
            ("answer", answer[i], low, high),
            ("|truth - answer|", np.abs(targets[i] - answer[i]), 0.0, high - low),
        ]
        # The headings stand once, above the first sample.
        panels += [Panel(x, "" if i else name, "", *limits) for name, x, *limits in columns]
    buffer = io.BytesIO()
    iio.imwrite(buffer, figure(panels, columns=4), extension=".png")
    return buffer.getvalue()


def _facts(values: Mapping[str, Any]) -> str:
    """The values of a dictionary that are set, in words."""
    facts = []
    for name, value in values.items():
        text = _facts(value) if isinstance(value, dict) else html.escape(str(value))
        if value is not None:
            facts.append(f"{html.escape(name)}: {text}")
    return "; ".join(facts)


def _curves(history: Sequence[Mapping[str, Any]], constant: float) -> str:
    """Training and test error against the epoch, as SVG, and the best constant answer's."""
    width, height, left, bottom = 640, 260, 60, 30
    errors = {name: [row[name] for row in history] for name in ("mae", "test_mae")}
    top = max(constant, *(max(values) for values in errors.values())) or 1.0

    def y(value: float) -> str:
        return f"{(height - bottom) * (1 - value / top) + 5:.1f}"

    def points(values: Sequence[float]) -> str:
        step = (width - left) / max(len(values) - 1, 1)
        return " ".join(f"{left + i * step:.1f},{y(value)}" for i, value in enumerate(values))

    return f"""<svg viewBox="0 0 {width + 10} {height + 10}" role="img" aria-label="error by epoch">
<path stroke="#ccc" d="M{left} {y(0)}H{width}"/>
<path stroke="#999" stroke-dasharray="4" d="M{left} {y(constant)}H{width}"/>
<polyline fill="none" stroke="#999" stroke-width="2" points="{points(errors["mae"])}"/>
<polyline fill="none" stroke="#06c" stroke-width="2" points="{points(errors["test_mae"])}"/>
<text x="0" y="15" font-size="12">{top:.3g}</text>
<text x="0" y="{height - bottom + 9}" font-size="12">0</text>
<text x="{left}" y="{height}" font-size="12">epoch 1 to {len(history)}; grey: training,
blue: unseen test set, dashed: best constant answer</text></svg>"""
