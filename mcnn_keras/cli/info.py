"""mcnn-keras info: the card of a model, in Markdown for people, in JSON for programs."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import click

from .card_words import FAILURES, LENGTH, MEANINGS, OF_SHIPPED, PURPOSES
from .evaluate import column_rows
from .telling import telling

# Units of the conditions of a measurement; LENGTH stands for the planes' unit.
CONDITIONS = {
    "defocus": LENGTH, "wavelength": LENGTH, "pixel_size": LENGTH, "spherical_aberration": LENGTH,
    "coherence_angle": "rad", "numerical_aperture": "", "refractive_index": "",
}  # fmt: skip
# Arguments of a problem that have sections of their own, or repeat what others say.
TOLD = (
    "ranges", "optics", "defocus", "families", "phase_span", "channels", "window", "photographs",
    "pictures_seed", "amplitude",
)  # fmt: skip
# Metrics of every model.
STANDARD = ("test_mae", "test_samples", "test_correlation", "constant_answer_mae")
COLUMNS = ("noise", "answer", "invented", "missed", "position error")
INPUTS = {
    "planes": "images at the planes below, in any order",
    "any_planes": "images at any planes, in any order",
    "frames": "a frame",
}
ROLES = {"image": "the unit of the input", "colour": "as the targets of the training"}


@click.command()
@click.argument("model", type=click.Path())
def info(model: str) -> None:
    """Print the card of a MODEL file: what it is for, what it was trained on, how good it is.

    The text is Markdown. With `mcnn-keras --json info MODEL` all facts are printed as JSON.

    \b
    Examples:
      mcnn-keras info runs/cells/model.h5
      mcnn-keras info denoise > denoise.md
    """
    from ..models.saving import read_card

    card = read_card(model)
    tell = telling()
    tell.facts(**card.asdict())
    try:
        text = card_text(card, model)
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError):
        # Other programs may write what they like into the parts that prediction does not use.
        text = json.dumps(card.asdict(), indent=2)
    tell.product(text)


def card_text(card: Any, name: str) -> str:
    """The card in Markdown.

    Parameters
    ----------
    card : ModelCard
    name : str
        The name of the model or its file, as it is used in commands.
    """
    sections = (
        ("", _purpose(card)), ("How to use it", _use(card, name)),
        ("Input and output", _ends(card)), ("Optics", _optics(card)),
        ("Ranges of the training", _ranges(card)), ("Training", _training(card)),
        ("Quality", _quality(card)), ("Uncertainty", _uncertainty(card)),
        ("Known failures", _failures(card, name)), ("Made", _made(card)),
    )  # fmt: skip
    parts = [f"# {name}"]
    for heading, lines in sections:
        text = "\n".join(lines)
        if text:
            parts.append(f"## {heading}\n\n{text}" if heading else text)
    return "\n\n".join(parts)


def _purpose(card: Any) -> Iterator[str]:
    if card.description:
        yield f"{_sentence(card.description)}\n"
    yield PURPOSES.get(card.problem, f"The problem {card.problem} of another package or script.")


def _use(card: Any, name: str) -> Iterator[str]:
    model, inputs = shlex.quote(name), card.inputs
    kind = inputs.kind
    if card.problem == "denoise" or kind == "frames":
        own = {"denoise": "", "denoise-fast": " --quality fast"}.get(name, f" --model {model}")
        yield f"    mcnn-keras denoise frames.tif{own} --output clean.tif"
    elif kind == "any_planes":
        own = "" if name == "phase" else f" --model {model}"
        yield (f"    mcnn-keras phase stack.tif{own} --defocus -52,52 --wavelength 0.65 "
               "--pixel-size 0.31 --output phase.tif\n")  # fmt: skip
        yield "Give the planes and optics of your own images instead."
    elif kind == "planes":
        planes = ",".join(f"{z:g}" for z in card.inputs.defocus)
        several = inputs.count > 1
        file = "stack.tif" if several else "image.tif"
        yield f"    mcnn-keras predict {model} {file} --defocus {planes} --output phase.tif"
        if several:
            yield "\nThe stack holds the images in the order of these planes."
    else:
        yield f"    mcnn-keras predict {model} image.tif --output result.tif"


def _ends(card: Any) -> Iterator[str]:
    inputs = card.inputs
    what = INPUTS.get(inputs.kind, _count(inputs.count, "channel") + " of an image")
    if inputs.kind == "frames" and inputs.window > 1:
        side = inputs.window // 2
        what += f"; of a movie also the {side} frames before and the {side} after it"
    elif inputs.kind == "any_planes":
        what += f"; {inputs.most} at most in training"
    if card.takes_colours:
        what = "a picture in red, green and blue"
    scale = card.normalization.kind
    unit = "the unit of the training" if scale in ("none", "fixed") else "any unit of intensity"
    yield f"- Input: {what}. In {unit}."
    for output in card.outputs:
        shown = {"": "without a unit", "1": "without a unit"}.get(output.unit, output.unit)
        if output.role in ROLES:
            shown = f"in {ROLES[output.role]}" if output.role == "image" else ROLES[output.role]
        elif output.unit not in ("", "1"):
            shown = f"in {shown}"
        mean = ", with a mean of zero" if output.role == "phase" else ""
        yield f"- Output: {output.name}, {shown}{mean}."
    if card.scale > 1:
        yield f"- The result is {card.scale} times as wide and high as the image."
    yield (f"- Size: any; trained on {_pixels(card.training['image_size'])}"
           + (f" to {_pixels(card.largest_trained)}" if card.training.get("mixed_sizes") else "")
           + " pixels.")  # fmt: skip


def _optics(card: Any) -> Iterator[str]:
    if not card.conditions:
        return
    unit = _length(card)
    rows = []
    for name, value in card.conditions.items():
        own = CONDITIONS.get(name, "")
        own = (unit or "um, or A for electrons") if own == LENGTH else own
        values = value if isinstance(value, list) else [value]
        shown = "given with the images" if value is None else ", ".join(_number(v) for v in values)
        rows.append([_words(name), shown, own])
    yield from _table(["quantity", "value", "unit"], rows)
    if card.inputs.kind == "planes":
        far = ", ".join(dict.fromkeys(f"{t:g}" for t in card.inputs.tolerance))
        yield f"\nPlanes are positive downstream. Each may be off by {far} {unit}."


def _ranges(card: Any) -> Iterator[str]:
    meanings, unit = MEANINGS.get(card.problem, {}), _length(card)
    ranges = dict(card.ranges)
    if "phase_span" in card.config:
        ranges = {"phase_span": card.config["phase_span"], **ranges}
    if not ranges:
        return
    rows = []
    for name, limits in ranges.items():
        own, meaning = meanings.get(name, ("", ""))
        low, high = (_number(v) for v in limits)
        rows.append([name, low, high, unit if own == LENGTH else own, meaning])
    yield "Do not trust results for images outside of these.\n"
    yield from _table(["name", "from", "to", "unit", "meaning"], rows)


def _training(card: Any) -> Iterator[str]:
    training, families = card.training, card.config.get("families")
    if families:
        whole = sum(families.values())
        shares = ", ".join(f"{_words(n)} {100 * v / whole:.0f} %" for n, v in families.items() if v)
        yield f"- Specimens: {shares}."
    for name, value in card.config.items():
        if name not in TOLD and value is not None:
            yield f"- {_upper(_words(name))}: {_value(value)}."
    runs = list(_runs(training))
    if "samples" in training and "epochs" in training:
        on_disk = training.get("set")
        if isinstance(on_disk, Mapping):
            which = (f"of a training set on disk ({on_disk.get('name')}: {on_disk.get('samples')} "
                     f"samples, seed {on_disk.get('seed')})")  # fmt: skip
        else:
            which = f"{'new ones' if training.get('fresh') else 'the same ones'} in each"
        yield (f"- Samples: {training['samples']} an epoch, {which}; {training['epochs']} "
               "epochs" + (" in the last run." if len(runs) > 1 else "."))  # fmt: skip
    usual = " or ".join(f"{_number(a)} to {_number(b)}" for a, b in card.usual_deviations)
    if usual:
        around = ""
        if card.problem == "paired" and card.normalization.kind == "fixed":
            around = f" around a mean of {_value(card.normalization.input_mean)}"
        yield (f"- Images: standard deviations of {usual}{around}, in their own unit; images that "
               "vary many times as much are refused.")  # fmt: skip
    if len(runs) > 1:
        yield f"- Runs: {len(runs)}, each from the weights of the one before."
    settings = {"loss": "loss", "batch_size": "batch", "learning_rate": "learning rate",
                "precision": "precision", "seed": "seed"}  # fmt: skip
    told = [f"{w} {training[n]}" for n, w in settings.items() if training.get(n) is not None]
    if told:
        yield f"- Settings: {', '.join(told)}."
    network = card.network
    filters = network.get("filters")
    told = [str(network["preset"])] if network.get("preset") else []
    told += [f"{' '.join(map(str, filters))} filters"] if filters else []
    told += [f"{network['input_channels']} input channels"]
    told += [f"fixed channels {card.channels['name']}"] if card.channels else []
    yield f"- Network: {', '.join(told)}."


def _quality(card: Any) -> Iterator[str]:
    metrics, unit = card.metrics, card.error_unit
    if card.normalization.kind == "frame":
        unit = "deviations of the frame"
    unit = f" {unit}" if unit not in ("", "1") else ""
    if "test_mae" in metrics:
        error, constant = metrics["test_mae"], metrics.get("constant_answer_mae")
        rows = [["this model", f"{error:.4g}{unit}", _optional(metrics.get("test_correlation"))]]
        if constant is not None:
            rows.append(["to beat: the best constant", f"{constant:.4g}{unit}", "0"])
        count = metrics.get("test_samples", "unknown number of")
        yield f"On {count} unseen samples of the kind of its training:\n"
        yield from _table(["answer", "mean absolute error", "correlation"], rows)
        if constant:
            yield f"\nThe error is {100 * error / constant:.0f} % of that of the best constant."
    yield from _further({n: v for n, v in metrics.items() if n not in STANDARD})
    if not metrics:
        yield "Not measured."


def _further(metrics: Mapping[str, Any]) -> Iterator[str]:
    """Further measured numbers: a table for entries of the same kind, a line for single ones."""
    columns = metrics.get("columns")
    if isinstance(columns, Mapping) and "groups" in columns:
        yield f"\nColumns of atoms in {columns['frames']} unseen frames:\n"
        yield from _table(COLUMNS, column_rows(columns))
        metrics = {n: v for n, v in metrics.items() if n != "columns"}
    lines: list[str] = []
    tables: dict[Any, list[list[str]]] = {}
    untold: list[str] = []

    def walk(path: tuple[str, ...], value: Any) -> None:
        if not isinstance(value, Mapping):  # numbers without names
            untold.append(path[-2] if len(path) > 1 else path[0])
            return
        plain = {n: v for n, v in value.items() if isinstance(v, (str, int, float)) or v is None}
        if "what" in plain:
            lines.insert(0, _sentence(str(plain.pop("what"))))
        if len(path) > 1 and plain:
            row = [_words(path[-1]), *map(_optional, plain.values())]
            tables.setdefault((path[:-1], tuple(plain)), []).append(row)
        elif plain and path:
            lines.append(f"- {_words(path[0])}: {_value(plain)}")
        else:
            lines.extend(f"- {_words(n)}: {_optional(v)}" for n, v in plain.items())
        for name, inner in value.items():
            if name not in plain and name != "what":
                walk((*path, name), inner)

    own = metrics.get("measured")
    others = {n: v for n, v in metrics.items() if n != "measured"}
    walk((), {**others, **own} if isinstance(own, Mapping) else metrics)
    for (path, heads), rows in tables.items():
        if len(rows) == 1:
            told = ", ".join(f"{_words(h)} {v}" for h, v in zip(heads, rows[0][1:], strict=True))
            lines.append(f"- {', '.join([*map(_words, path), rows[0][0]])}: {told}")
    yield from ["", *lines] if lines else []
    for (path, heads), rows in tables.items():
        if len(rows) == 1:
            continue
        yield f"\n{_upper(', '.join(map(_words, path)))}:\n"
        yield from _table(["", *map(_words, heads)], rows)
    if untold:
        yield f"\nOnly in the JSON: {'; '.join(dict.fromkeys(untold))}."


def _uncertainty(card: Any) -> Iterator[str]:
    told = card.calibration
    measured = told.get("measured")
    if not told:
        yield "Not calibrated: results come without an uncertainty."
    if "coverage" not in told or not isinstance(measured, Mapping):
        yield from (f"- {_words(n)}: {_value(v)}" for n, v in told.items())
        return
    yield (
        "With `--uncertainty` each result comes with an interval, stated to hold the truth in "
        f"{100 * told['coverage']:.3g} % of the pixels. Measured on "
        f"{told.get('calibration_samples', 'other')} further unseen samples, it did in\n"
    )
    words = {
        "coverage": "all pixels: {}",
        "coverage by width": "tenths of the pixels, from the narrowest intervals to the widest: {}",
        "coverage of samples": "single samples, without the lowest and the highest twentieth: {}",
    }
    for name, text in words.items():
        if name in measured:
            values = measured[name] if isinstance(measured[name], list) else [measured[name]]
            between = " to " if name == "coverage of samples" else ", "
            yield f"- {text.format(between.join(f'{100 * v:.3g}' for v in values))} %"
    yield from (f"- {_words(n)}: {_value(v)}" for n, v in measured.items() if n not in words)


def _failures(card: Any, name: str) -> Iterator[str]:
    for text in (*FAILURES.get(card.problem, ()), *OF_SHIPPED.get(name, ())):
        yield f"- {text}"


def _made(card: Any) -> Iterator[str]:
    if card.created:
        yield f"- When: {card.created}."
    if card.command:
        yield f"- Command: `{card.command}`"
    if card.versions:
        told = ", ".join(f"{n} {v}" for n, v in card.versions.items() if v)
        yield f"- Versions: {told}."


def _runs(training: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield training
    if isinstance(training.get("before"), Mapping):
        yield from _runs(training["before"])


def _length(card: Any) -> str:
    """The unit of all lengths of the card; "" if it has none."""
    return getattr(card.inputs, "unit", "")


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of a table, with columns of even width, so that it is legible as text, too."""
    cells = [[str(c).replace("|", "\\|") for c in row] for row in (heads, *rows)]
    wide = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for i, row in enumerate(cells):
        yield f"| {' | '.join(c.ljust(w) for c, w in zip(row, wide, strict=True))} |"
        if not i:
            yield f"|{'|'.join('-' * (w + 2) for w in wide)}|"


def _number(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, float):
        return str(value)
    value += 0.0  # not -0
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:g}"


def _optional(value: Any) -> str:
    return "not measured" if value is None else _number(value)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{_words(n)} {_value(v)}" for n, v in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(_value(v) for v in value)
    return _number(value)


def _words(name: str) -> str:
    return str(name).replace("_", " ")


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _sentence(text: str) -> str:
    text = _upper(text)
    return text if text.endswith((".", "!", "?")) else text + "."


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _pixels(size: int) -> str:
    return f"{size}x{size}"
