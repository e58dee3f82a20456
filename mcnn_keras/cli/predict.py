"""mcnn-keras predict and denoise."""

from pathlib import Path

import click

from .options import together
from .quiet import import_tensorflow

TYPES = (
    "uint8", "int8", "uint16", "int16", "uint32", "int32", "float16", "float32", "float64",
)  # fmt: skip


def prediction_options(precision):
    """Options of both commands, with the default precision of one."""
    return together(
        click.argument("inputs", type=click.Path(), nargs=-1, required=True, metavar="INPUT..."),
        click.option(
            "--output", type=click.Path(), required=True,
            help="A .tif, .ome.tif, .hspy, .zspy, .h5, .zarr, .mrc or .npy file; a folder where "
            "there are several results.",
        ),
        click.option(
            "--frames", metavar="I,J,...",
            help="Which images of each file to use, counted from 0.  [default: all]",
        ),
        click.option(
            "--defocus", type=float, multiple=True, metavar="UM",
            help="Of each image of a focal series, in um; the model's own planes are taken from "
            "it.  [default: what the file, or a text file beside it, says]",
        ),
        click.option(
            "--dtype", type=click.Choice(TYPES),
            help="Of the result.  [default: the input's, where it holds the result well]",
        ),
        click.option("--batch-size", type=int, help="Images that are computed together."),
        click.option(
            "--tile-size", type=int,
            help="Of the tiles of large images, in pixels.  [default: the training size for "
            "denoising, else by the free memory]",
        ),
        click.option(
            "--precision", type=click.Choice(["auto", "float32", "bfloat16"]), default=precision,
            show_default=True,
            help="'auto' measures which is faster; bfloat16 is good to two digits.",
        ),
        click.option("--resume", is_flag=True, help="Go on where an interrupted run stopped."),
        click.option(
            "--video", type=click.Path(), metavar="FILE.gif",
            help="Also a .gif, or .mp4 with imageio-ffmpeg, of input and result side by side.",
        ),
        click.option(
            "--truth", type=click.Path(), metavar="FILE",
            help="The true answers, shown in the video with the difference.",
        ),
        click.option("--fps", type=float, default=2.0, show_default=True, help="Of the video."),
        click.option(
            "--watch", is_flag=True,
            help="INPUT is a folder; invert images as they are written there, until interrupted.",
        ),
    )  # fmt: skip


@click.command()
@click.argument("model", type=click.Path())
@prediction_options("float32")
def predict(model, inputs, output, **options):
    """Invert measured images with a trained MODEL, a .h5 or an exported .onnx file.

    INPUT is a file of one image or a stack, a folder or a pattern: PNG, JPEG, TIFF, NPY, HDF5
    (file.h5:/dataset), Zarr, and with the extra [em] what microscopes write (dm3, dm4, emd, ser,
    mrc, hspy, ...; scan.emd:HAADF names one of several images). A model of one plane answers every
    image; a model of several planes takes one INPUT per plane, or stacks that hold all of its
    planes, in the order in which it was trained, or in any order and among others where the planes
    are known (--defocus, the file's axis, or stack.txt beside stack.tif).

    The result has the model's units and the input's axes and pixel size. Beside it a .png of its
    first image is written, to look at.

    \b
    Examples:
      mcnn-keras predict runs/cells/model.h5 photograph.png --output phase.tif
      mcnn-keras predict runs/two/model.h5 under.tif over.tif --output phase.tif
      mcnn-keras predict runs/two/model.h5 stack.tif --frames 4,16 --output phase.tif
    """
    run_prediction(model, inputs, output, **options)


@click.command()
@prediction_options("auto")
@click.option("--model", default="denoise", show_default=True, help="A shipped model, or a file.")
def denoise(inputs, output, model, **options):
    """Restore noisy electron microscope images, with a model that comes with the package.

    INPUT is a file of one frame or many, a folder or a pattern: TIFF, PNG, NPY, HDF5
    (file.h5:/dataset), Zarr, and with the extra [em] what microscopes write (dm3, dm4, emd, ser,
    mrc, hspy, ...; scan.emd:HAADF names one of several images). The result has the frames' own
    order, axes, pixel size and intensity scale; beside it a .png of the first frame is written, to
    look at.

    \b
    Examples:
      mcnn-keras denoise frames.tif --output clean.tif
      mcnn-keras denoise monday/*.dm4 --output clean/
      mcnn-keras denoise recording.mrc --output clean.hspy --resume
    """
    run_prediction(model, inputs, output, **options)


def run_prediction(model, inputs, output, frames, defocus, watch, precision, **options):
    """Plan, predict and write; what can be wrong is said before the network is loaded."""
    from ..errors import InputError
    from ..inference.measurements import plan
    from ..inference.stream import execute
    from ..saving import read_card

    for name in ("batch_size", "tile_size"):
        if options[name] is not None and options[name] < 1:
            raise InputError(f"{name} {options[name]} is not positive; leave it out, or give more")
    card, frames = read_card(model), frame_numbers(frames)
    inputs, frames = _in_order(card, inputs, frames, defocus)
    if watch:
        _watch(model, inputs, output, card, frames, precision, options)
        return
    jobs = plan(model, card, inputs, output, frames)
    precision = _precision(model, precision, Path(output) if options["resume"] else None)
    execute(model, jobs, precision=precision, say=_say, **options)


def _in_order(card, inputs, frames, defocus):
    """The inputs and frames of a focal series that are the model's planes, in its order."""
    from ..errors import InputError
    from ..files import open_recording
    from ..focal_series import counted, frames_of_planes, is_near, planes_of

    config = card["problem"]["config"] if card["problem"]["name"] == "phase" else {}
    wanted = config.get("defocus")
    if defocus and (wanted is None or frames is not None):
        raise InputError("--defocus chooses the planes of a phase model; leave it out, or --frames")
    if wanted is None:
        return inputs, frames
    unit = config["optics"]["unit"]
    if len(inputs) > 1 and len(defocus) == len(inputs):
        return [inputs[i] for i in frames_of_planes(wanted, defocus, unit)], None
    if len(inputs) > 1 or not Path(inputs[0]).is_file():
        if defocus:
            raise InputError(
                f"{counted(len(inputs), 'input')} and {counted(len(defocus), 'plane')}; give one "
                "for each image"
            )
        return inputs, frames
    if defocus:
        with open_recording(inputs[0]) as recording:
            if len(recording) != len(defocus):
                raise InputError(
                    f"{inputs[0]} has {counted(len(recording), 'image')}, and "
                    f"{counted(len(defocus), 'plane')} were given; give one for each image"
                )
    told = list(defocus) or planes_of(inputs[0], unit)
    chosen = range(len(told or ())) if frames is None else frames
    if not told or not all(0 <= i < len(told) for i in chosen):
        return inputs, frames  # what is not there is told of when it is read
    planes = [told[i] for i in chosen]
    if defocus or (len(wanted) > 1 and len(planes) >= len(wanted)):
        return inputs, [chosen[i] for i in frames_of_planes(wanted, planes, unit)]
    # One plane answers every image, unless their planes are given in so many words.
    others = [z for z in planes if not is_near(z, wanted[0])] if len(wanted) == 1 else []
    if others:
        _say(
            f"Warning: {len(others)} of {counted(len(planes), 'frame')} of {inputs[0]} are not at "
            f"{wanted[0]:g} {unit}, where the model was trained (one is at {others[0]:g}); choose "
            "with --frames or --defocus"
        )
    return inputs, frames


def _watch(model, inputs, output, card, frames, precision, options):
    from ..errors import InputError
    from ..inference.watch import watch

    if len(inputs) != 1 or not Path(inputs[0]).is_dir():
        raise InputError(f"--watch takes one folder; {' '.join(inputs)} is none")
    precision = _precision(model, precision)
    click.echo(f"watching {inputs[0]}; stop with Ctrl-C", err=True)
    watch(model, card, Path(inputs[0]), Path(output), frames, precision=precision, say=_say,
          **options)  # fmt: skip


def _precision(model, precision, resumed=None):
    """What to compute in; a result that is gone on with keeps what it was begun with."""
    if Path(model).suffix == ".onnx":
        if precision == "bfloat16":
            raise click.UsageError("an .onnx file computes in float32; leave --precision out")
        return "float32"
    import_tensorflow()
    if precision != "auto":
        return precision
    from ..inference.spool import settings_of
    from ..training.devices import faster_precision

    begun = settings_of(resumed).get("precision") if resumed else None
    return begun or faster_precision()


def _say(text):
    click.echo(text, err=text.startswith(("Warning", "failed")))


def frame_numbers(text):
    """The numbers of --frames."""
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise click.UsageError(
            f"--frames {text!r} is no list of numbers; give for example --frames 4,16"
        ) from None
