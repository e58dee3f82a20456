"""mcnn-keras reconstruct METHOD."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ..progress import tell
from .options import (
    METHODS,
    OpticsOptions,
    Options,
    SeriesOptions,
    frame_numbers,
    option,
    overwriting,
)
from .telling import telling


@dataclass
class MethodOptions(Options):
    """Options of the methods; each method takes some of them."""

    cutoff: float | None = option(
        "--cutoff", type=float, metavar="1/UM",
        help="Spatial frequency below which transport of intensity is damped.  [default: where "
        "noise dominates, but at least a quarter of the lowest frequency in the field]",
    )  # fmt: skip
    boundary: str | None = option(
        "--boundary", type=click.Choice(["reflect", "periodic"]),
        help="How the field continues outside its borders.  [default: reflect]",
    )  # fmt: skip
    iterations: int | None = option(
        "--iterations", type=int, help="iterative and variational: number of iterations.  "
        "[default: 50 and 100]",
    )  # fmt: skip
    start: str | None = option(
        "--start", metavar="MODEL",
        help="iterative and variational: start from the result of this phase model, computed from "
        "its own planes.  [default: transport of intensity]",
    )  # fmt: skip
    smoothness: float | None = option(
        "--smoothness", type=float,
        help="variational: weight of the gradient of the difference from the start.  "
        "[default: 0.3]",
    )  # fmt: skip
    refinements: int | None = option(
        "--refinements", type=int, help="mf-tie: number of refinements.  [default: 0]"
    )
    noise: float | None = option(
        "--noise", type=float,
        help="gp-tie: noise variance relative to the signal's (default: 0.001). ctf: standard "
        "deviation of the noise of the contrast (default: measured in the images, with an addition "
        "for strong objects).",
    )  # fmt: skip
    absorption: float | None = option(
        "--absorption", type=float,
        help="ctf: power of the absorption relative to that of the phase.  [default: 0.1; with one "
        "plane 0.01]",
    )  # fmt: skip


@click.command()
@click.argument("method", type=click.Choice(METHODS))
@click.argument("inputs", type=click.Path(), nargs=-1, required=True, metavar="INPUT...")
@click.option("--output", type=click.Path(), required=True, help="The phase: .tif, .h5, .npy, ...")
@overwriting
@SeriesOptions.attach
@OpticsOptions.attach
@MethodOptions.attach
def reconstruct(
    method: str, inputs: tuple[str, ...], output: str, overwrite: bool, **values: Any
) -> None:
    """Retrieve a phase from a focal series with a classical METHOD, without training.

    \b
      tie          transport of intensity; the derivative is a slope through all planes
      ctf          least squares for a weak object, over all planes; gives the amplitude, too
      mf-tie       transport of intensity; each pair of planes for its own frequencies
      gp-tie       transport of intensity; the derivative by Gaussian-process regression
      iterative    projections onto the measured amplitudes; gives the amplitude, too
      variational  the phase near a start that explains all amplitudes best; with --start MODEL,
                   it improves the agreement of a network's result with the measurement

    INPUT is a stack, or a file for each plane. The planes come from --defocus, from a text file
    next to the stack (stack.txt for stack.tif: a number in um for each image), or from the file's
    own focus axis. Give the wavelength as an option, or in stack.json next to the stack
    ({"defocus": [...], "wavelength": 0.65, "pixel_size": 0.31, "numerical_aperture": 0.45}); and
    the pixel size, too, if it is not in the file. Without an aperture all waves pass.

    \b
    Examples:
      mcnn-keras reconstruct tie under.tif over.tif --defocus -52 --defocus 52 \\
          --wavelength 0.65 --pixel-size 0.31 --output phase.tif
      mcnn-keras reconstruct gp-tie stack.tif --wavelength 0.65 --register --output phase.tif
      mcnn-keras reconstruct variational two.tif --wavelength 0.65 --start runs/two/model.h5 \\
          --output phase.tif
    """
    from ..files import output_types
    from ..focal_series.reconstruct import lowest_useful
    from ..focal_series.reconstruct import reconstruct as compute

    chosen, instrument = SeriesOptions.take(values), OpticsOptions.take(values)
    options = MethodOptions.take(values).given()
    output_types(output)
    result = Path(output)
    require_wave_free(result, inputs, chosen, overwrite, options.get("start"))
    series, optics, lit = measured(inputs, chosen, instrument)
    if "start" in options:
        options["start"] = _start(options["start"], series, optics)
    by_noise = method == "tie" and "cutoff" not in options
    if by_noise:
        options["cutoff"] = lowest_useful(series.images, series.defocus, optics)
    phase, amplitude = compute(method, series, optics, progress=progress, **options)
    if by_noise:
        _tell_of_slow(phase, options["cutoff"], optics)
    write_wave(result, series, optics, phase, amplitude, lit)


def require_wave_free(
    result: Path,
    inputs: Sequence[str],
    chosen: SeriesOptions,
    overwrite: bool,
    model: str | None = None,
    report: str | None = None,
    further: Sequence[Path] = (),
) -> None:
    """Refuse a result that would replace what is there; see `mcnn_keras.files.require_free`."""
    from ..files import require_free, split_name
    from ..inference.names import expanded
    from ..models.saving import model_path

    given = [name for text in inputs for name in expanded(text)]
    given += [name for name in (chosen.flat, chosen.background) if name]
    sources = [split_name(name)[0] for name in given]
    models = [model_path(model)] if model else []
    places = [result, result.with_suffix(".png"), *further]
    require_free(places, [*sources, *models], overwrite)
    if report is not None:
        from ..report import require_report

        require_report(report, [*sources, *models], places, overwrite)


def write_wave(
    result: Path, series: Any, optics: Any, phase: Any, amplitude: Any, lit: Any,
    facts: dict[str, Any] | None = None, uncertainty: Any = None, report: str | None = None,
) -> None:  # fmt: skip
    """Write a phase, and an amplitude if there is one, and a .png preview; report the files.

    If given, write the `uncertainty` of phase and amplitude, too. What is left beside it of an
    earlier result, but for a `report` that is still to be written, is removed or told.
    """
    import numpy as np

    from ..files import Panel, write_figure
    from ..files.fingerprint import fingerprint
    from ..inference.finished import clear_beside, uncertainty_of
    from ..inference.planes import counted

    title = series.title
    if facts:
        title = "; ".join([*([title] if title else []), *(f"{k} {v}" for k, v in facts.items())])
    channels = [c for c in (phase, amplitude) if c is not None]
    channels = _write_channels(result, channels, series, optics, lit, title)
    panels = [Panel(channels[0], "phase", "rad")]
    panels += [Panel(c, "amplitude", "1") for c in channels[1:]]
    picture = result.with_suffix(".png")
    further = [uncertainty_of(result)] if uncertainty is not None else []
    for path in further:
        _write_channels(path, uncertainty, series, optics, lit, "half-widths of intervals of 90 %")
    new = [*further, *([Path(report)] if report is not None else [])]
    clear_beside(result, new, telling().say)
    beside = {"beside": {path.name: fingerprint(path) for path in further}}
    note = json.dumps({"result": result.name, **beside})
    write_figure(picture, panels, optics.pixel_size, optics.unit, note=note)
    seen = channels[0][np.isfinite(channels[0])]
    first, last = series.defocus[0], series.defocus[-1]
    span = f"{first:g} to {last:g}" if last > first else f"{first:g}"
    telling().done(
        f"{result}: phase in rad, {seen.min():.3g} to {seen.max():.3g}, from "
        f"{counted(len(series.defocus), 'plane')} ({span} {optics.unit})",
        files=[result, picture], phase_span=[seen.min(), seen.max()],
        planes=list(series.defocus), unit=optics.unit,
    )  # fmt: skip
    for path in further:
        middle = float(np.median(uncertainty[0]))
        telling().done(
            f"{path}: half-widths of intervals in which the truth is in 90 % of the pixels; of the "
            f"phase {middle:.2g} rad in the median pixel",
            files=[path], uncertainty=middle,
        )  # fmt: skip


def _write_channels(
    path: Path, channels: Sequence[Any], series: Any, optics: Any, lit: Any, title: str
) -> list[Any]:
    """Write phase and amplitude, or what belongs to them; returns them, NaN where it is dark."""
    import numpy as np

    from ..files import Axis, pixel_length, write_recording

    channels = [np.array(c) if lit is None else np.where(lit, c, np.nan) for c in channels]
    field = series.axes
    if pixel_length(series.axes, optics.unit) != optics.pixel_size:  # from an option or a .json
        field = tuple(a._replace(scale=optics.pixel_size, units=optics.unit) for a in field)
    between = (Axis("output", len(channels)),) if len(channels) > 1 else ()
    labels = ["phase", "amplitude"][: len(channels)]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_recording(
        path, _stack(channels), (*between, *field), title, labels=labels, say=telling().say
    )
    return channels


def _tell_of_slow(phase: Any, cutoff: float, optics: Any) -> None:
    """Report the cutoff of transport of intensity; warn if most of the phase lies below it."""
    from ..focal_series.tie import slow_share

    unit, tell = optics.unit, telling()
    tell.done(
        f"damped below {cutoff:.3g} / {unit}, where noise dominates (--cutoff)", cutoff=cutoff
    )
    share = slow_share(phase, 2 * cutoff, optics.pixel_size)
    if share > 0.5:
        tell.warn(
            f"{share:.0%} of this phase changes over more than {0.5 / cutoff:.3g} {unit}, "
            "where the images hardly show a phase; it may be noise, uneven light or drift"
        )


def measured(
    inputs: Sequence[str], chosen: SeriesOptions, instrument: OpticsOptions
) -> tuple[Any, Any, Any]:
    """The focal series and the optics that inputs and options describe, and the lit pixels.

    The series is corrected by flat and background, refocused, cut to its field stop if there is
    one, and registered if asked for.
    """
    from ..errors import InputError
    from ..files import read_images
    from ..focal_series.field_stop import within_stop
    from ..focal_series.focus import flipped, least_contrast, on_one_side, refocused
    from ..focal_series.series import PlanesUnknown, corrected, read_focal_series
    from ..focal_series.stated import stated_optics
    from ..inference.names import expanded

    tell = telling()
    names = [name for given in inputs for name in expanded(given, tell.say)]
    frames, unit = frame_numbers(chosen.frames), instrument.unit
    focus = None if chosen.focus in (None, "auto") else int(chosen.focus)
    settled = {*instrument.given(), *(["wavelength"] if instrument.energy is not None else [])}
    told = stated_optics(names, unit, settled, chosen.force)
    if told.coloured:
        tell.warn(
            f"the colours of {told.coloured[0]} are averaged to grey; a phase needs the "
            "intensities that a camera measured in light of one wavelength"
        )
    missing = instrument.missing(told.optics)
    try:
        series = read_focal_series(
            names, chosen.defocus, frames, unit, focus, tell.say, chosen.force, chosen.axes
        )
    except PlanesUnknown as error:  # name all that is missing in one message
        raise InputError("; ".join(filter(None, (str(error), missing)))) from None
    if missing:
        raise InputError("; ".join(dict.fromkeys((*told.faults, missing))))
    for line in dict.fromkeys((*told.faults, *told.notes)):  # files may share a text
        tell.warn(line)
    fields = {
        kind: read_images(name, chosen.force).mean(axis=0)
        for kind, name in (("flat", chosen.flat), ("background", chosen.background))
        if name is not None
    }
    series = corrected(series, **fields)
    if chosen.flip_defocus:
        series = flipped(series)
    if chosen.focus == "auto":
        place = least_contrast(series)
        series = refocused(series, place)
        tell.done(
            f"focus at {place:.4g} {unit} on the scale of the series, where contrast is least",
            focus=place,
        )
    elif chosen.focus is None and on_one_side(series.defocus):
        low, high = series.defocus[0], series.defocus[-1]
        tell.warn(
            f"all planes ({low:g} to {high:g} {unit}) lie on one side of focus; if the "
            "images pass through focus, say where: --focus INDEX or --focus auto"
        )
    optics = instrument.for_measurement(told.optics, told.sources, chosen.force)
    tell.facts(optics=optics.asdict())
    series, lit = within_stop(series)
    if lit is not None:
        tell.done(
            f"{1 - lit.mean():.0%} of the field is the dark rim of a field stop; it is left out, "
            "and each image is scaled to the same mean inside",
            dark_rim=1 - lit.mean(),
        )
    if chosen.register:
        series = straightened(series, optics)
    elif len(series.defocus) >= 4:
        tell.done("if the images move or grow with focus, add --register")
    return series, optics, lit


def straightened(series: Any, optics: Any) -> Any:
    """The registered series; reports the shift and magnification that were corrected."""
    from ..focal_series.registration import registered

    series, drift = registered(series, optics, progress=progress)
    telling().done(
        f"registered: per {optics.unit} of defocus the image moves {drift.down:.4f} pixels down "
        f"and {drift.right:.4f} right, and grows by {100 * drift.growth:.4f} %",
        drift={"down": drift.down, "right": drift.right, "growth": drift.growth},
    )
    return series


def _start(name: str, series: Any, optics: Any) -> Any:
    """A network's result from its own planes of a series; reports different optics."""
    from .quiet import import_tensorflow

    import_tensorflow()
    from ..focal_series.network import load_network, network_answer
    from ..inference.assumptions import compare_optics

    model, own = load_network(name, series.defocus, optics.unit)
    compare_optics(model.card, optics, "the series", telling().say)
    planes = tuple(series.defocus[i] for i in own)
    chosen = series._replace(images=series.images[..., own], defocus=planes)
    return network_answer(model, chosen, optics)[0]


def _stack(channels: Sequence[Any]) -> Any:
    import numpy as np

    return np.stack(channels).astype(np.float32)


def progress(done: int, count: int) -> None:
    """Print a progress count, on a terminal only."""
    tell(done, count, "step")
    if sys.stderr.isatty() and not telling().quiet:
        click.echo(f"\r{done}/{count}", nl=done == count, err=True)
