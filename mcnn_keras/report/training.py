"""The report of a training run, and the picture of test samples beside it."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..files import Panel, figure, replacing
from ..models import ModelCard
from .curves import curves
from .layers import Layer, View, block_means
from .page import (
    data_uri,
    escaped,
    facts_of,
    folded,
    in_words,
    machine,
    paragraph,
    section,
    write_page,
)
from .viewer import views_of

# Test samples in the picture and in the page; of the first ones, all scales are shown.
EXAMPLES, ALL_SCALES = 6, 2


def write_report(
    folder: Any,
    card: ModelCard,
    history: Sequence[Mapping[str, Any]],
    test: tuple[np.ndarray, np.ndarray],
    answer: np.ndarray,
    model: Any = None,
) -> None:
    """Write a run's report, report.html, and a picture of test samples, examples.png.

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
    model : callable, optional
        The network: its outputs at all scales are shown for some test images.
    """
    images = test[0][..., : card.image_channels]  # without the fixed channels
    picture = _examples((images, test[1]), answer)
    count = min(EXAMPLES, len(images))
    views = [_view(i, images[i], test[1][i], answer[i], card) for i in range(count)]
    metrics, unit = card.metrics, card.error_unit
    result = [
        ("test error (mean absolute)", f"{metrics['test_mae']:.4g} {unit}"),
        ("best constant answer's error", f"{metrics['constant_answer_mae']:.4g} {unit}"),
        ("correlation with the truth", f"{metrics['test_correlation']:.4f}"),
        ("unseen test samples", metrics["test_samples"]),
        ("time of the epochs", _duration(sum(float(row.get("seconds", 0)) for row in history))),
    ]
    outputs = [] if model is None else _outputs(model(test[0][:ALL_SCALES], training=False))
    device = str(getattr(outputs[0], "device", "")).rpartition("/device:")[2] if outputs else ""
    settings = [
        ("problem", in_words({"name": card.problem, **card.config})),
        ("network", in_words(card.network)),
        ("training", in_words(_short(card.training))),
        ("machine", machine()),
        *([("device", device)] if device else []),
        ("versions", in_words(card.versions)),
        *([("command", card.command)] if card.command else []),
        *([("made", card.created)] if card.created else []),
    ]
    told = json.dumps(card.asdict(), indent=2)
    body = "\n".join(
        (
            section("Result", facts_of(result)),
            section("Curves", curves(history, metrics["constant_answer_mae"], unit)),
            section(
                "Unseen test samples",
                paragraph("Truth, answer and input are those of the network, as it is trained."),
                views_of(views),
            ),
            _scales([np.asarray(o) for o in outputs], test[1], card),
            section("Settings", facts_of(settings)),
            folded("The model's card", f"<pre>{escaped(told)}</pre>"),
        )
    )
    with replacing(folder.examples_path) as part:
        part.write_bytes(picture)
    write_page(folder.report_path, f"mcnn-keras: {card.problem}", body)


def _short(training: Mapping[str, Any]) -> dict[str, Any]:
    """What a card tells of a training, without the list of files."""
    return {
        name: _short(value) if isinstance(value, Mapping) else value
        for name, value in training.items()
        if name != "learned"
    }


def _view(
    number: int, image: np.ndarray, truth: np.ndarray, answer: np.ndarray, card: ModelCard
) -> View:
    """A test sample: answer, truth and difference of each output, and the input."""
    unit = card.normalization.error_unit
    answers, truths, others = [], [], []
    if card.gives_colours:
        outputs = [("", truth, answer, "")]
    else:
        several = len(card.outputs) > 1
        outputs = [
            (
                f" ({o.name})" * several,
                truth[..., k],
                answer[..., k],
                o.unit if unit is None else unit,
            )
            for k, o in enumerate(card.outputs)
        ]
    for name, true, found, own in outputs:
        low, high = float(true.min()), float(true.max())
        note = "on the scale of the truth"
        answers.append(Layer(f"Answer{name}", found, own, low, high, note=note))
        truths.append(Layer(f"Truth{name}", true, own, low, high, note="range of the truth"))
        apart = found - true
        if apart.ndim == 3:
            others.append(
                Layer("Answer - truth, mean of the colours", apart.mean(-1), diverging=True)
            )
        else:
            others.append(Layer(f"Answer - truth{name}", apart, own, diverging=True))
    if card.takes_colours:
        others.append(Layer("Input", image, low=float(image.min()), high=float(image.max())))
    else:
        many = image.shape[-1] > 1
        others += [
            Layer(f"Input{f' {k + 1}' * many}", image[..., k]) for k in range(image.shape[-1])
        ]
    error = float(np.abs(answer - truth).mean())
    facts = [("mean absolute error", f"{error:.4g} {card.error_unit}")]
    layers = [*answers[:1], *truths[:1], *answers[1:], *truths[1:], *others]
    return View(f"Test sample {number + 1}", layers, facts=facts)


def _scales(outputs: Sequence[np.ndarray], targets: np.ndarray, card: ModelCard) -> str:
    """The outputs at every scale beside the truth at that scale, for the first test samples."""
    pairs = []  # truth and answer, (samples, height, width, channels), from fine to coarse
    for output in outputs:
        times = targets.shape[1] // output.shape[1] if output.ndim == 4 else 0
        if times and output.shape[-1] == targets.shape[-1]:
            truth = np.stack([block_means(t, times) for t in targets[: len(output)]])
            if truth.shape == output.shape:
                pairs.append((times, truth, output))
    if len(pairs) < 2:
        return ""
    parts = []
    for i in range(len(pairs[0][2])):
        figures = []
        shown = (lambda a: a) if card.gives_colours else (lambda a: a[..., 0])
        low, high = (float(end(shown(targets[i]))) for end in (np.min, np.max))
        for times, truth, output in pairs:
            at = f"1/{times} size" if times > 1 else "full size"
            error = float(np.abs(truth[i] - output[i]).mean())
            pair = []
            for name, array in (("truth", truth[i]), ("output", output[i])):
                layer = Layer(name, shown(array), low=low, high=high).within(512)
                told = f"{name} at {at}" + f", mean error {error:.3g}" * (name == "output")
                pair.append(
                    f'<figure><img src="{data_uri(layer.png())}" '
                    f'alt="test sample {i + 1}: {told}"><figcaption>{told}</figcaption></figure>'
                )
            figures.append(f'<div class="pair">{"".join(pair)}</div>')
        parts.append(f'<h3>Test sample {i + 1}</h3><div class="gallery">{"".join(figures)}</div>')
    first = f" Of the outputs, {card.outputs[0].name} is shown." * (len(card.outputs) > 1)
    return section(
        "Every scale",
        paragraph(
            "The network answers at several scales; each is trained against the truth averaged to "
            f"its size. Black and white are the range of the full truth at all scales.{first}"
        ),
        *parts,
    )


def _outputs(found: Any) -> list[Any]:
    """The outputs of a network, the full size first."""
    if isinstance(found, Mapping):
        return list(found.values())
    return list(found) if isinstance(found, (list, tuple)) else [found]


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


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
