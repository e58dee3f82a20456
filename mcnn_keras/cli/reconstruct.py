"""mcnn-keras reconstruct METHOD."""

import sys
from pathlib import Path

import click

from .options import CLASSICAL, optics_of, optics_options, series_options
from .quiet import import_tensorflow


@click.command()
@click.argument("method", type=click.Choice(CLASSICAL))
@click.argument("inputs", type=click.Path(), nargs=-1, required=True, metavar="INPUT...")
@click.option("--output", type=click.Path(), required=True, help="The phase: .tif, .h5, .npy, ...")
@series_options
@optics_options
@click.option(
    "--cutoff", type=float, metavar="1/UM",
    help="Spatial frequency below which transport of intensity is damped.  [default: a quarter of "
    "the lowest in the field]",
)  # fmt: skip
@click.option("--boundary", type=click.Choice(["reflect", "periodic"]), help="Of the field.")
@click.option("--iterations", type=int, help="Of iterative (default: 50) and variational (100).")
@click.option(
    "--start",
    metavar="MODEL",
    help="Of iterative and variational: a network for phases, whose answer from its own planes is "
    "the start.  [default: transport of intensity]",
)
@click.option(
    "--smoothness", type=float,
    help="Of variational: weight of the gradient of what changes against the start.  "
    "[default: 0.3]",
)  # fmt: skip
@click.option("--refinements", type=int, help="Of mf-tie.  [default: 0]")
@click.option("--noise", type=float, help="Of gp-tie, in variances of the signal.")
def reconstruct(method, inputs, output, **values):
    """Retrieve a phase from a focal series by a classical METHOD, without any training.

    \b
      tie          transport of intensity, the slope through all planes
      mf-tie       transport of intensity, each pair of planes for its own frequencies
      gp-tie       transport of intensity, the slope by Gaussian-process regression
      iterative    projections onto the measured amplitudes; gives the amplitude, too
      variational  the phase near a first answer that explains all amplitudes best; with --start,
                   a network's answer made to agree with what was measured

    INPUT is a stack, or a file for each plane. The planes are those of the file's own axis, of
    --defocus, or of a text file beside the stack (stack.txt for stack.tif: a number in um for each
    frame).

    \b
    Examples:
      mcnn-keras reconstruct tie under.tif over.tif --defocus -52 --defocus 52 --output phase.tif
      mcnn-keras reconstruct gp-tie stack.tif --register --output phase.tif
      mcnn-keras reconstruct variational two.tif --start runs/two/model.h5 --output phase.tif
    """
    from ..files import Axis, output_types, pixel_length, split_name, write_png, write_recording
    from ..focal_series import counted
    from ..inference.measurements import require_free

    output_types(output)
    output = Path(output)
    given = [*inputs, *(values[name] for name in ("start", "flat", "background"))]
    require_free([output], [split_name(name)[0] for name in given if name])
    series = focal_series(inputs, values)
    import_tensorflow()
    from ..reconstruct import reconstruct as compute

    size = pixel_size(values, series)
    optics = optics_of(values, size)
    if values.pop("register"):
        series = straightened(series, optics)
    options = {name: value for name, value in values.items() if value is not None}
    if "start" in options:
        options["start"] = _start(options["start"], series, optics)
    phase, amplitude = compute(method, series, optics, progress=_progress, **options)
    channels = [phase] if amplitude is None else [phase, amplitude]
    field = series.axes
    if size != pixel_length(series.axes, optics.unit):
        field = tuple(a._replace(scale=size, units=optics.unit) for a in field)
    between = (Axis("output", len(channels)),) if len(channels) > 1 else ()
    labels = ["phase", "amplitude"][: len(channels)]
    output.parent.mkdir(parents=True, exist_ok=True)
    write_recording(output, _stack(channels), (*between, *field), series.title, labels=labels)
    write_png(output.with_suffix(".png"), phase)
    click.echo(
        f"{output}: phase in rad, {phase.min():.3g} to {phase.max():.3g}, from "
        f"{counted(len(series.defocus), 'plane')} ({series.defocus[0]:g} to {series.defocus[-1]:g} "
        f"{optics.unit})"
    )


def _start(name, series, optics):
    """A network's answer from its own planes of a series; tells of a mismatch."""
    from ..inference.assumptions import compare_optics
    from ..reconstruct import load_network, network_answer

    model, own = load_network(name, series.defocus, optics.unit)
    compare_optics(model.card, optics, "the series", lambda text: click.echo(text, err=True))
    return network_answer(model, series._replace(images=series.images[..., own]))[0]


def focal_series(inputs, values):
    """The focal series that inputs and options describe; takes its options out of `values`."""
    from ..files import read_images
    from ..focal_series import corrected, read_focal_series
    from ..inference.measurements import expanded
    from .predict import frame_numbers

    names = [name for given in inputs for name in expanded(given)]
    frames = frame_numbers(values.pop("frames"))
    unit = "um" if values["energy"] is None else "A"
    series = read_focal_series(names, values.pop("defocus"), frames, unit)
    fields = {}
    for kind in ("flat", "background"):
        name = values.pop(kind)
        if name is not None:
            fields[kind] = read_images(name).mean(axis=0)
    series = corrected(series, **fields)
    return series


def pixel_size(values, series):
    """The pixel size that the option or the file tells, in the unit of length."""
    from ..files import pixel_length
    from ..optics import Optics

    unit = "um" if values["energy"] is None else "A"
    given, own = values.pop("pixel_size"), pixel_length(series.axes, unit)
    if given is not None and own is not None and abs(given / own - 1) > 0.03:
        click.echo(
            f"Warning: --pixel-size {given:g} {unit} is used, though the file says {own:g}",
            err=True,
        )
    if given is None and own is None and unit == "A":
        raise click.UsageError("the file tells no pixel size; give --pixel-size in Angstrom")
    found = given or own or Optics.pixel_size
    if given is None:
        source = "the file's own" if own else "no file or option tells it; give --pixel-size"
        click.echo(f"pixel size {found:g} {unit} ({source})")
    return found


def straightened(series, optics):
    """The series with its frames on one another; tells what was taken out."""
    from ..registration import registered

    series, drift = registered(series, optics, progress=_progress)
    click.echo(
        f"registered: per {optics.unit} of defocus the image moves {drift.down:.4f} pixels down "
        f"and {drift.right:.4f} right, and grows by {100 * drift.growth:.4f} %"
    )
    return series


def _stack(channels):
    import numpy as np

    return np.stack(channels).astype(np.float32)


def _progress(done, count):
    if sys.stderr.isatty():
        click.echo(f"\r{done}/{count}", nl=done == count, err=True)
