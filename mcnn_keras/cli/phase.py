"""mcnn-keras phase."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .options import OpticsOptions, SeriesOptions, overwriting
from .quiet import import_tensorflow
from .reconstruct import measured, progress, require_wave_free, write_wave
from .reporting import reporting, write_report
from .telling import telling


@click.command()
@click.argument("inputs", type=click.Path(), nargs=-1, required=True, metavar="INPUT...")
@click.option("--output", type=click.Path(), required=True, help="The phase: .tif, .h5, .npy, ...")
@click.option(
    "--model", default="phase", show_default=True, metavar="MODEL",
    help="A phase model, for any planes or for given planes: a file, or a shipped model's name.",
)  # fmt: skip
@click.option(
    "--refine/--no-refine", default=None,
    help="Improve the agreement of the wave with the images; takes seconds to minutes.  "
    "[default: with two or more planes; with one, uneven light would be taken for a phase]",
)  # fmt: skip
@click.option(
    "--uncertainty", is_flag=True,
    help="Also write NAME_uncertainty: half-widths of intervals around phase and amplitude in "
    "which the truth is in 90 % of the pixels.",
)  # fmt: skip
@overwriting
@reporting
@SeriesOptions.attach
@OpticsOptions.attach
def phase(
    inputs: tuple[str, ...],
    output: str,
    model: str,
    refine: bool | None,
    uncertainty: bool,
    overwrite: bool,
    report: str | None,
    **values: Any,
) -> None:
    """Retrieve phase and amplitude from images at any planes with one model.

    INPUT is a stack, or a file for each plane; one plane is enough. The planes come from --defocus,
    from a text file next to the stack (stack.txt for stack.tif: a number in um for each image), or
    from the file's own focus axis. Give the wavelength as an option, or in stack.json next to the
    stack ({"defocus": [...], "wavelength": 0.65, "pixel_size": 0.31, "numerical_aperture": 0.45});
    and the pixel size, too, if it is not in the file. Without an aperture all waves pass.

    The command prints the agreement with the images: it simulates them from the result, and
    correlates simulated and measured images. 1 is perfect. The output file contains this number.

    \b
    Examples:
      mcnn-keras phase stack.tif --defocus -88 --defocus 39 --wavelength 0.65 \\
          --pixel-size 0.312 --output phase.tif
      mcnn-keras phase focus_stack.tif --focus auto --wavelength 0.532 --output phase.tif
    """
    from ..files import output_types
    from ..inference.any_planes import outside
    from ..inference.assumptions import compare_optics
    from ..inference.consistency import UNPROVED
    from ..inference.finished import uncertainty_of
    from ..inference.planes import require_out_of_focus
    from ..models import AnyPlanes
    from ..models.saving import read_card

    tell = telling()
    chosen, instrument = SeriesOptions.take(values), OpticsOptions.take(values)
    card = read_card(model)
    output_types(output)
    result = Path(output)
    further = [uncertainty_of(result)] if uncertainty else []
    require_wave_free(result, inputs, chosen, overwrite, model, report, further)
    series, optics, lit = measured(inputs, chosen, instrument)
    require_out_of_focus(series.defocus)
    if isinstance(card.inputs, AnyPlanes):
        for line in outside(card, series.defocus, optics):
            tell.warn(f"{line}; the answer may be wrong")
    else:
        compare_optics(card, optics, "the series", tell.say)
    from ..focal_series.network import frames_of
    from ..focal_series.retrieval import mostly_negative, retrieved
    from ..inference.fastest import engine_for
    from ..inference.uncertain import UncertainEngine, engine_with_uncertainty

    own = frames_of(card, model, series.defocus, optics.unit)
    choice = engine_with_uncertainty(model, "auto") if uncertainty else "auto"
    engine = engine_for(model, choice, say=tell.say, start=import_tensorflow)
    engine = UncertainEngine(engine.model) if uncertainty else engine
    planes = tuple(series.defocus[i] for i in own)
    series = series._replace(images=series.images[..., own], defocus=planes)
    found = retrieved(engine, series, optics, refine, progress)
    score = f"{found.agreement:.3f}"
    if found.before is None:
        tell.done(f"agreement with the images {score} (1 is perfect; {UNPROVED})")
    else:
        tell.done(
            f"refined: agreement with the images {found.before:.3f} -> {score} (1 is perfect; "
            f"{UNPROVED})",
            agreement_before=found.before,
        )
    tell.facts(model=model, agreement=found.agreement, refined=found.before is not None)
    for line in filter(None, (found.doubt, *found.unusual)):
        tell.warn(line)
    refined = "no" if found.before is None else "yes"
    facts = {"model": model, "agreement": score, "refined": refined}
    if found.guess:
        facts["amplitude"] = "not determined"
        tell.done(found.guess, amplitude=facts["amplitude"])
    write_wave(
        result, series, optics, found.phase, found.amplitude, lit, facts,
        found.uncertainty if uncertainty else None, report,
    )  # fmt: skip
    if mostly_negative(found.phase):
        tell.done(
            "the object is mostly negative: if it is denser than its surroundings, the planes are "
            "counted the other way; add --flip-defocus"
        )
    if report is not None:
        from ..focal_series.reporting import optics_facts, shown_planes, wave_views

        told: dict[str, Any] = {**facts, "engine": engine.name, "result": result.name}
        write_report(
            report, "mcnn-keras: phase",
            wave_views(
                series, optics, found.phase, found.amplitude, lit, result.name, found.uncertainty
            ),
            [*told.items(), *optics_facts(optics, series.defocus)], shown_planes(series),
        )  # fmt: skip
