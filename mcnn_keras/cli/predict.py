"""mcnn-keras predict and denoise."""

from pathlib import Path

import click

from .options import together
from .quiet import import_tensorflow

prediction_options = together(
    click.argument("inputs", type=click.Path(), nargs=-1, required=True, metavar="INPUT..."),
    click.option(
        "--output", type=click.Path(), required=True,
        help="A .tif file; a folder where there are several results.",
    ),
    click.option(
        "--frames", metavar="I,J,...",
        help="Which images of each stack to use, counted from 0.  [default: all]",
    ),
)  # fmt: skip


@click.command()
@click.argument("model", type=click.Path())
@prediction_options
def predict(model, inputs, output, frames):
    """Invert measured images with a trained MODEL.

    INPUT is a PNG, JPEG, TIFF, NPY or HDF5 file (file.h5:/dataset), of one image or a stack. A
    model of one plane answers every image; a model of several planes takes one INPUT per plane,
    or stacks that hold all of its planes, in the order in which it was trained.

    Beside each .tif (float32, in the model's units, with its pixel size) a .png of its first image
    is written, to look at.

    \b
    Examples:
      mcnn-keras predict runs/cells/model.h5 photograph.png --output phase.tif
      mcnn-keras predict runs/two/model.h5 under.tif over.tif --output phase.tif
      mcnn-keras predict runs/two/model.h5 stack.tif --frames 4,16 --output phase.tif
    """
    run_prediction(model, inputs, output, frames)


@click.command()
@prediction_options
@click.option("--model", default="denoise", show_default=True, help="A shipped model, or a file.")
def denoise(inputs, output, frames, model):
    """Restore noisy electron microscope images, with a model that comes with the package.

    INPUT is a PNG, JPEG, TIFF, NPY or HDF5 file (file.h5:/dataset), of one frame or many. The
    result has the frames' own order and intensity scale; beside each .tif (float32) a .png of the
    first frame is written, to look at.

    \b
    Examples:
      mcnn-keras denoise frames.tif --output clean.tif
      mcnn-keras denoise monday/*.tif --output clean/
    """
    run_prediction(model, inputs, output, frames)


def run_prediction(model, inputs, output, frames):
    """Read all inputs, predict, and write the results."""
    from ..inference.batch import execute, plan
    from ..saving import read_card

    jobs = plan(model, inputs, output, _frame_numbers(frames))
    pixel_size = read_card(model)["pixel_size"]
    if pixel_size is not None:
        click.echo(f"pixels are taken to be {pixel_size:g} um, as the model was trained for them")
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
