"""mcnn-keras predict."""

from pathlib import Path

import click

from .quiet import import_tensorflow


@click.command()
@click.argument("model", type=click.Path())
@click.argument("inputs", type=click.Path(), nargs=-1, required=True, metavar="INPUT...")
@click.option(
    "--output", type=click.Path(), required=True,
    help="A .tif file; a folder where there are several results.",
)  # fmt: skip
@click.option(
    "--frames", metavar="I,J,...",
    help="Which images of each stack to use, counted from 0.  [default: all]",
)  # fmt: skip
def predict(model, inputs, output, frames):
    """Invert measured images with a trained MODEL.

    INPUT is a PNG, JPEG, TIFF, NPY or HDF5 file (file.h5:/dataset), of one image or a stack. A
    model of one plane answers every image; a model of several planes takes one INPUT per plane,
    or stacks that hold all of its planes, in the order in which it was trained.

    Beside each .tif (float32, in the model's units, with its pixel size) a .png is written, to
    look at.

    \b
    Examples:
      mcnn-keras predict runs/cells/model.h5 photograph.png --output phase.tif
      mcnn-keras predict runs/two/model.h5 under.tif over.tif --output phase.tif
      mcnn-keras predict runs/two/model.h5 stack.tif --frames 4,16 --output phase.tif
    """
    from ..inference.batch import execute, plan

    jobs = plan(model, inputs, output, _frame_numbers(frames))
    import_tensorflow()
    for path in execute(model, jobs):
        click.echo(f"wrote {Path(path)}")


def _frame_numbers(text):
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise click.UsageError(
            f"--frames {text!r} is no list of numbers; give for example --frames 4,16"
        ) from None
