"""mcnn-keras reconstruct METHOD."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from .options import METHODS, OpticsOptions, Options, SeriesOptions, frame_numbers, option
from .telling import telling


@dataclass
class MethodOptions(Options):
    """Options of the methods; each takes some of them."""

    cutoff: float | None = option(
        "--cutoff", type=float, metavar="1/UM",
        help="Spatial frequency below which transport of intensity is damped.  [default: where "
        "noise prevails, but at least a quarter of the lowest in the field]",
    )  # fmt: skip
    boundary: str | None = option(
        "--boundary", type=click.Choice(["reflect", "periodic"]),
        help="How the field goes on beyond its borders.  [default: reflect]",
    )  # fmt: skip
    iterations: int | None = option(
        "--iterations", type=int, help="Of iterative (default: 50) and variational (100)."
    )
    start: str | None = option(
        "--start", metavar="MODEL",
        help="Of iterative and variational: a network for phases, whose answer from its own planes "
        "is the start.  [default: transport of intensity]",
    )  # fmt: skip
    smoothness: float | None = option(
        "--smoothness", type=float,
        help="Of variational: weight of the gradient of what changes against the start.  "
        "[default: 0.3]",
    )  # fmt: skip
    refinements: int | None = option("--refinements", type=int, help="Of mf-tie.  [default: 0]")
    noise: float | None = option(
        "--noise", type=float,
        help="Of gp-tie, in variances of the signal (default: 0.001); of ctf, the deviation of the "
        "contrast's noise (default: what the images show, and what a strong object adds).",
    )  # fmt: skip
    absorption: float | None = option(
        "--absorption", type=float,
        help="Of ctf: power of the absorption as a share of the phase's.  [default: 0.1; from one "
        "plane 0.01]",
    )  # fmt: skip


@click.command()
@click.argument("method", type=click.Choice(METHODS))
@click.argument("inputs", type=click.Path(), nargs=-1, required=True, metavar="INPUT...")
@click.option("--output", type=click.Path(), required=True, help="The phase: .tif, .h5, .npy, ...")
@SeriesOptions.attach
@OpticsOptions.attach
@MethodOptions.attach
def reconstruct(method: str, inputs: tuple[str, ...], output: str, **values: Any) -> None:
    """Retrieve a phase from a focal series by a classical METHOD, without any training.

    \b
      tie          transport of intensity, the slope through all planes
      ctf          least squares for a weak object, over all planes; gives the amplitude, too
      mf-tie       transport of intensity, each pair of planes for its own frequencies
      gp-tie       transport of intensity, the slope by Gaussian-process regression
      iterative    projections onto the measured amplitudes; gives the amplitude, too
      variational  the phase near a first answer that explains all amplitudes best; with --start,
                   a network's answer made to agree with what was measured

    INPUT is a stack, or a file for each plane. The planes are those of --defocus, of a text file
    beside the stack (stack.txt for stack.tif: a number in um for each image) or of the file's own
    axis of focus. The wavelength must be given, or told by stack.json beside the stack ({"defocus":
    [...], "wavelength": 0.65, "pixel_size": 0.31, "numerical_aperture": 0.45}); so must the pixel
    size where the file does not tell it. Without an aperture all waves pass.

    \b
    Examples:
      mcnn-keras reconstruct tie under.tif over.tif --defocus -52 --defocus 52 \\
          --wavelength 0.65 --pixel-size 0.31 --output phase.tif
      mcnn-keras reconstruct gp-tie stack.tif --wavelength 0.65 --register --output phase.tif
      mcnn-keras reconstruct variational two.tif --wavelength 0.65 --start runs/two/model.h5 \\
          --output phase.tif
    """
    from ..files import output_types, split_name
    from ..focal_series.reconstruct import lowest_useful
    from ..focal_series.reconstruct import reconstruct as compute
    from ..inference.planning import require_free

    chosen, instrument = SeriesOptions.take(values), OpticsOptions.take(values)
    options = MethodOptions.take(values).given()
    output_types(output)
    result = Path(output)
    given = [*inputs, options.get("start"), chosen.flat, chosen.background]
    require_free([result], [split_name(name)[0] for name in given if name])
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


def write_wave(
    result: Path, series: Any, optics: Any, phase: Any, amplitude: Any, lit: Any,
    facts: dict[str, Any] | None = None,
) -> None:  # fmt: skip
    """Write a phase, and an amplitude if there is one, with a picture; tell of both."""
    import numpy as np

    from ..files import Axis, Panel, pixel_length, write_figure, write_recording
    from ..inference.planes import counted

    channels = [c.copy() for c in (phase, amplitude) if c is not None]
    if lit is not None:
        for channel in channels:
            channel[~lit] = np.nan
    field = series.axes
    if pixel_length(series.axes, optics.unit) != optics.pixel_size:  # as an option or a file says
        field = tuple(a._replace(scale=optics.pixel_size, units=optics.unit) for a in field)
    between = (Axis("output", len(channels)),) if len(channels) > 1 else ()
    labels = ["phase", "amplitude"][: len(channels)]
    title = series.title
    if facts:
        title = "; ".join([*([title] if title else []), *(f"{k} {v}" for k, v in facts.items())])
    result.parent.mkdir(parents=True, exist_ok=True)
    write_recording(
        result, _stack(channels), (*between, *field), title, labels=labels, say=telling().say
    )
    panels = [Panel(channels[0], "phase", "rad")]
    panels += [Panel(c, "amplitude", "1") for c in channels[1:]]
    picture = result.with_suffix(".png")
    write_figure(picture, panels, optics.pixel_size, optics.unit, of=result.name)
    seen = channels[0][np.isfinite(channels[0])]
    first, last = series.defocus[0], series.defocus[-1]
    span = f"{first:g} to {last:g}" if last > first else f"{first:g}"
    telling().done(
        f"{result}: phase in rad, {seen.min():.3g} to {seen.max():.3g}, from "
        f"{counted(len(series.defocus), 'plane')} ({span} {optics.unit})",
        files=[result, picture], phase_span=[seen.min(), seen.max()],
        planes=list(series.defocus), unit=optics.unit,
    )  # fmt: skip


def _tell_of_slow(phase: Any, cutoff: float, optics: Any) -> None:
    """Tell how transport of intensity is damped, and warn where the answer is mostly that."""
    from ..focal_series.tie import slow_share

    unit, tell = optics.unit, telling()
    tell.done(f"damped below {cutoff:.3g} / {unit}, where noise prevails (--cutoff)", cutoff=cutoff)
    share = slow_share(phase, 2 * cutoff, optics.pixel_size)
    if share > 0.5:
        tell.warn(
            f"{share:.0%} of this phase changes over more than {0.5 / cutoff:.3g} {unit}, "
            "where the images hardly show a phase: noise, uneven light and drift look alike there"
        )


def measured(
    inputs: Sequence[str], chosen: SeriesOptions, instrument: OpticsOptions
) -> tuple[Any, Any, Any]:
    """The focal series and the optics that inputs and options describe, and where light is.

    Corrected, from focus, registered, and within its field stop, where there is one.
    """
    from ..errors import InputError
    from ..files import open_recording, pixel_length, read_images
    from ..files.instrument import told_beside
    from ..focal_series.field_stop import within_stop
    from ..focal_series.focus import least_contrast, on_one_side, refocused
    from ..focal_series.series import PlanesUnknown, corrected, read_focal_series
    from ..inference.names import expanded

    tell = telling()
    names = [name for given in inputs for name in expanded(given, tell.say)]
    frames, unit = frame_numbers(chosen.frames), instrument.unit
    focus = None if chosen.focus in (None, "auto") else int(chosen.focus)
    told = told_beside(names[0], unit, strict=False)
    known, source = dict(told.optics), told.source
    with open_recording(names[0], chosen.force) as recording:
        own = pixel_length(recording.axes[-2:], unit)
    if own is not None:
        known["pixel_size"], source = own, source or "the file"
    try:
        series = read_focal_series(
            names, chosen.defocus, frames, unit, focus, tell.say, chosen.force
        )
    except PlanesUnknown as error:  # name all that is missing in one message
        raise InputError("; ".join(filter(None, (str(error), instrument.missing(known))))) from None
    fields = {
        kind: read_images(name).mean(axis=0)
        for kind, name in (("flat", chosen.flat), ("background", chosen.background))
        if name is not None
    }
    series = corrected(series, **fields)
    if chosen.focus == "auto":
        place = least_contrast(series)
        series = refocused(series, place)
        tell.done(
            f"focus at {place:.4g} {unit} of the series' scale, where contrast is least",
            focus=place,
        )
    elif chosen.focus is None and on_one_side(series.defocus):
        low, high = series.defocus[0], series.defocus[-1]
        tell.warn(
            f"all planes ({low:g} to {high:g} {unit}) lie on one side of focus; if the "
            "images pass through focus, tell where: --focus INDEX or --focus auto"
        )
    optics = instrument.for_measurement(known, source)
    tell.facts(optics=optics.asdict())
    series, lit = within_stop(series)
    if lit is not None:
        tell.done(
            f"{1 - lit.mean():.0%} of the field is the dark rim of a stop; it is left out, and "
            "each image is brought to the same mean inside",
            dark_rim=1 - lit.mean(),
        )
    if chosen.register:
        series = straightened(series, optics)
    return series, optics, lit


def straightened(series: Any, optics: Any) -> Any:
    """The series with its frames on one another; tells what was taken out."""
    from ..focal_series.registration import registered

    series, drift = registered(series, optics, progress=progress)
    telling().done(
        f"registered: per {optics.unit} of defocus the image moves {drift.down:.4f} pixels down "
        f"and {drift.right:.4f} right, and grows by {100 * drift.growth:.4f} %",
        drift={"down": drift.down, "right": drift.right, "growth": drift.growth},
    )
    return series


def _start(name: str, series: Any, optics: Any) -> Any:
    """A network's answer from its own planes of a series; tells of a mismatch."""
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
    """A line that counts, on a terminal."""
    if sys.stderr.isatty() and not telling().quiet:
        click.echo(f"\r{done}/{count}", nl=done == count, err=True)
