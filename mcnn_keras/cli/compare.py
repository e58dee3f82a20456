"""mcnn-keras compare PROBLEM."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from .options import METHODS, OpticsOptions, SeriesOptions, overwriting
from .quiet import import_tensorflow
from .reconstruct import measured
from .reporting import reporting, write_report
from .telling import telling


@click.group()
def compare() -> None:
    """Compare networks and classical methods on your own measurement."""


@compare.command()
@click.argument("inputs", type=click.Path(), nargs=-1, required=True, metavar="INPUT...")
@click.option(
    "--model", "models", multiple=True,
    help="A phase model; repeat for several.  [default: phase, which takes any planes]",
)  # fmt: skip
@click.option(
    "--method", "methods", multiple=True, type=click.Choice(METHODS),
    help="A classical method; repeat for several.  [default: all that have enough planes]",
)  # fmt: skip
@overwriting
@reporting
@SeriesOptions.attach
@OpticsOptions.attach
@click.option("--truth", type=click.Path(), metavar="FILE", help="The true phase in rad, if known.")
@click.option(
    "--output", "folder", type=click.Path(), required=True, metavar="FOLDER",
    help="For metrics.json, phases.png, and the phase of each method as TIFF and PNG.",
)  # fmt: skip
def phase(
    inputs: tuple[str, ...],
    models: tuple[str, ...],
    methods: tuple[str, ...],
    truth: str | None,
    folder: str,
    overwrite: bool,
    report: str | None,
    **values: Any,
) -> None:
    """Retrieve the phase of a focal series by every method, and score the results without a truth.

    The score: the intensities at the planes that no method used are simulated from each result and
    correlated with the measured ones. Networks use their own planes, tie the planes of the network,
    the other methods every second plane of the series. With --truth, the error in rad is given,
    too, by spatial frequency.

    \b
    Example:
      mcnn-keras compare phase stack.tif --wavelength 0.65 --model runs/two/model.h5 \\
          --register --output compared/
    """
    from ..errors import InputError
    from ..files import (
        Panel,
        read_images,
        replacing,
        split_name,
        write_figure,
        write_recording,
    )
    from ..inference.assumptions import compare_optics
    from ..inference.names import expanded
    from ..models.saving import read_card, shipped
    from ..report.places import require_report

    output, tell = Path(folder), telling()
    if output.exists() and not output.is_dir():
        raise InputError(f"the output {output} is a file; name a folder")
    if output.exists() and any(output.iterdir()) and not overwrite:
        raise InputError(
            f"the folder {output} has content; name a new one, or add --overwrite to replace the "
            "files of earlier answers"
        )
    chosen, instrument = SeriesOptions.take(values), OpticsOptions.take(values)
    given = [name for text in inputs for name in expanded(text)]
    given += [name for name in (truth, chosen.flat, chosen.background) if name]
    sources = [Path(split_name(name)[0]) for name in [*given, *models]]
    if any(output.resolve() in source.resolve().parents for source in sources):
        raise InputError(f"the folder {output} holds what is compared; name another output")
    require_report(report, sources, (), overwrite)
    models = models or ("phase",) * ("phase" in shipped())
    cards = [read_card(model) for model in models]  # a wrong name is reported immediately
    known = None if truth is None else read_images(truth, chosen.force)[0]
    series, optics, _ = measured(inputs, chosen, instrument)
    if models:
        import_tensorflow()
    from ..focal_series.comparison import compare as compute

    for card in cards:
        compare_optics(card, optics, "the series", tell.say)
    answers = compute(
        series, optics, models, methods or None, known,
        lambda label: tell.done(f"{label} ...", err=True),
    )  # fmt: skip
    output.mkdir(parents=True, exist_ok=True)
    tell.product(
        f"{'method':<28}{'score':>8}{'seconds':>10}{'MiB':>8}" + "  error / rad" * bool(truth)
    )
    field = tuple(a._replace(scale=optics.pixel_size, units=optics.unit) for a in series.axes)
    import numpy as np

    low = min(np.percentile(a.phase, 0.2) for a in answers)
    high = max(np.percentile(a.phase, 99.8) for a in answers)
    shown = {"low": float(low), "high": float(high)}
    panels = [Panel(series.images[..., 0], f"image at {series.defocus[0]:g} {optics.unit}")]
    if known is not None:
        panels.append(Panel(known - known.mean(), "truth", "rad", **shown))
    for answer in answers:
        score = "-" if answer.score is None else f"{answer.score:.3f}"
        error = "" if answer.error is None else f"{answer.error:>13.4f}"
        tell.product(
            f"{answer.name:<28}{score:>8}{answer.seconds:>10.2f}{answer.memory:>8.0f}{error}"
        )
        name = "".join(c if c.isalnum() or c in "-." else "_" for c in answer.name)
        write_recording(output / f"{name}.tif", answer.phase[None], field, answer.name)
        panel = Panel(answer.phase, answer.name, "rad", **shown)
        note = json.dumps({"result": f"{name}.tif"})
        write_figure(output / f"{name}.png", [panel], optics.pixel_size, optics.unit, note=note)
        panels.append(panel)
    with replacing(output / "metrics.json") as part:
        rows = {a.name: a.row() for a in answers}
        part.write_text(json.dumps(rows, indent=2))
    write_figure(output / "phases.png", panels, optics.pixel_size, optics.unit)
    if answers and answers[0].score is None:
        tell.product("no score: the methods used every plane; add planes")
    tell.done(
        f"first image and all phases, on one scale: {output / 'phases.png'}",
        methods=rows, folder=output,
    )  # fmt: skip
    if report is not None:
        from ..focal_series.reporting import comparison_tables, comparison_views, optics_facts

        facts = [("results", folder), *optics_facts(optics, series.defocus)]
        views = comparison_views(answers, series, optics, known, **shown)
        tables = comparison_tables(answers, optics.unit)
        write_report(report, "mcnn-keras: methods on one focal series", views, facts, "", tables)
