"""mcnn-keras predict and denoise."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from .options import FORCE, Options, PlaneList, frame_numbers, joined, option
from .quiet import import_tensorflow
from .telling import telling

# As `mcnn_keras.inference` names them, which brings NumPy.
ENGINES, TEMPORAL, FAULTS = ("auto", "tensorflow", "onnxruntime"), ("auto", "off"), ("mend", "keep")
QUALITIES = ("fast", "standard", "best")
TYPES = (
    "uint8", "int8", "uint16", "int16", "uint32", "int32", "float16", "float32", "float64",
)  # fmt: skip


@dataclass
class PredictionOptions(Options):
    """Options of both commands."""

    output: str = option(
        "--output", type=click.Path(), required=True,
        help="A .tif, .ome.tif, .hspy, .zspy, .h5, .zarr, .mrc or .npy file; a folder where "
        "there are several results.",
    )  # fmt: skip
    frames: str | None = option(
        "--frames", metavar="I,J,...",
        help="Which images of each file to use, counted from 0.  [default: all]",
    )  # fmt: skip
    dtype: str | None = option(
        "--dtype", type=click.Choice(TYPES),
        help="Of the result.  [default: the input's, where it holds the result well]",
    )  # fmt: skip
    batch_size: int | None = option(
        "--batch-size", type=int, help="Images that are computed together."
    )
    tile_size: int | None = option(
        "--tile-size", type=int,
        help="Of the tiles of large images, in pixels.  [default: what the model's card says]",
    )  # fmt: skip
    precision: str | None = option(
        "--precision", type=click.Choice(["auto", "float32", "bfloat16"]),
        help="'auto' allows both; bfloat16 is good to two digits.  "
        "[default: auto for denoise, float32 for predict]",
    )  # fmt: skip
    engine: str = option(
        "--engine", type=click.Choice(ENGINES), default="auto",
        show_default=True, help="What computes. 'auto' measures which is fastest on this machine, "
        "in a few seconds of the first run, and remembers it; ONNX Runtime computes in float32.",
    )  # fmt: skip
    resume: bool = option("--resume", is_flag=True, help="Go on where an interrupted run stopped.")
    video: str | None = option(
        "--video", type=click.Path(), metavar="FILE.gif",
        help="Also a .gif, or .mp4 with imageio-ffmpeg, of input and result side by side.",
    )  # fmt: skip
    truth: str | None = option(
        "--truth", type=click.Path(), metavar="FILE",
        help="The true answers, shown in the video with the difference.",
    )  # fmt: skip
    fps: float = option("--fps", type=float, default=2.0, show_default=True, help="Of the video.")
    watch: bool = option(
        "--watch", is_flag=True,
        help="INPUT is a folder; invert images as they are written there, until interrupted.",
    )  # fmt: skip

    force: bool = option("--force", is_flag=True, help=FORCE)

    def __post_init__(self) -> None:
        for name in ("batch_size", "tile_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise click.UsageError(
                    f"--{name.replace('_', '-')} {value} is not positive; leave it out, or give "
                    "more"
                )

    def of_results(self) -> dict[str, Any]:
        """What `mcnn_keras.inference.stream.execute` takes."""
        names = ("dtype", "batch_size", "tile_size", "resume", "video", "truth", "fps")
        return {name: getattr(self, name) for name in names}


@dataclass
class DenoisingOptions(PredictionOptions):
    """Those, and what only models of frames know."""

    model: str | None = option(
        "--model", help="A shipped model or a file.  [default: denoise, or denoise-fast with "
        "--quality fast]",
    )  # fmt: skip
    quality: str = option(
        "--quality", type=click.Choice(QUALITIES), default="standard", show_default=True,
        help="'fast' takes a smaller network, 'best' the mean over eight mirrored and turned "
        "copies of each frame, in eight times the time.",
    )  # fmt: skip
    temporal: str = option(
        "--temporal", type=click.Choice(TEMPORAL), default="auto", show_default=True,
        help="Use the frames before and after each one where they show the same field, or none.",
    )  # fmt: skip
    faults: str = option(
        "--faults", type=click.Choice(FAULTS), default="mend", show_default=True,
        help="Saturated, dead and constant lines, rims and hot pixels are left out of all that is "
        "computed; in the result they are mended, or kept as they came.",
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.model is not None and self.quality == "fast":
            raise click.UsageError("--quality fast is a model of its own; leave --model out")

    @property
    def network(self) -> str:
        """The model's name or file."""
        return self.model or ("denoise-fast" if self.quality == "fast" else "denoise")

    def of_results(self) -> dict[str, Any]:
        """What `mcnn_keras.inference.stream.execute` takes."""
        own = {"temporal": self.temporal, "faults": self.faults, "average": self.quality == "best"}
        return {**super().of_results(), **own}


_inputs = click.argument("inputs", type=click.Path(), nargs=-1, required=True, metavar="INPUT...")


@click.command()
@click.argument("model", type=click.Path())
@_inputs
@PredictionOptions.attach
@click.option(
    "--defocus", type=PlaneList(), multiple=True, metavar="UM",
    help="For a phase model, the plane of each image, or of each of --frames; the model's own "
    "planes are taken from these.  [default: what the file, or a text file beside it, says]",
)  # fmt: skip
def predict(model: str, inputs: tuple[str, ...], defocus: tuple[Any, ...], **values: Any) -> None:
    """Invert measured images with a trained MODEL, a .h5 or an exported .onnx file.

    INPUT is a file of one image or a stack, a folder or a pattern: PNG, JPEG, TIFF, NPY, HDF5
    (file.h5:/dataset), Zarr, and with the extra [em] what microscopes write (dm3, dm4, emd, ser,
    mrc, hspy, ...; scan.emd:HAADF names one of several images). A model of one image answers every
    image.

    A phase model of several planes takes a file for each plane, or stacks that hold all of its
    planes, in any order and among others. It must know the plane of each image: from --defocus,
    from the file's axis of focus, or from a text file beside it (stack.txt beside stack.tif, a
    number for each image).

    The result has the model's units and the input's axes and pixel size. Beside it a .png of its
    first image is written, to look at.

    \b
    Examples:
      mcnn-keras predict runs/cells/model.h5 photograph.png --output phase.tif
      mcnn-keras predict runs/two/model.h5 under.tif over.tif --defocus -52 --defocus 52 \\
          --output phase.tif
      mcnn-keras predict runs/two/model.h5 stack.tif --frames 4,16 --output phase.tif
    """
    run_prediction(model, inputs, PredictionOptions.take(values), "float32", joined(defocus))


@click.command()
@_inputs
@DenoisingOptions.attach
def denoise(inputs: tuple[str, ...], **values: Any) -> None:
    """Restore noisy electron microscope images, with a model that comes with the package.

    INPUT is a file of one frame or many, a folder or a pattern: TIFF, PNG, NPY, HDF5
    (file.h5:/dataset), Zarr, and with the extra [em] what microscopes write (dm3, dm4, emd, ser,
    mrc, hspy, ...; scan.emd:HAADF names one of several images). The result has the frames' own
    order, axes, pixel size and intensity scale; beside it a .png of the first frame is written, to
    look at.

    Frames of a movie are denoised together with the two before and the two after them, where these
    show the same field; files of one frame each whose names differ in a running number are a movie,
    too (not with --watch). Faulty lines, rims and pixels are found first, told, and left out.

    \b
    Examples:
      mcnn-keras denoise frames.tif --output clean.tif
      mcnn-keras denoise monday/*.dm4 --output clean/
      mcnn-keras denoise recording.mrc --output clean.hspy --resume
    """
    options = DenoisingOptions.take(values)
    run_prediction(options.network, inputs, options, "auto")


def run_prediction(
    model: str,
    inputs: tuple[str, ...],
    options: PredictionOptions,
    precision: str,
    defocus: tuple[float, ...] = (),
) -> None:
    """Plan, predict and write; what can be wrong is said before the network is loaded."""
    from ..inference.planning import plan
    from ..inference.stream import execute
    from ..models.saving import read_card

    card, frames, tell = read_card(model), frame_numbers(options.frames), telling()
    precision = options.precision or precision
    if options.watch:
        _watch(model, inputs, options, card, frames, defocus, precision)
        return
    jobs = plan(model, card, inputs, options.output, frames, defocus, options.force, tell.say)
    tell.facts(model=model, files=[])
    execute(model, jobs, precision=precision, engine=options.engine, start=import_tensorflow,
            say=tell.say, wrote=lambda path: tell.facts(files=[path]),
            **options.of_results())  # fmt: skip


def _watch(
    model: str,
    inputs: tuple[str, ...],
    options: PredictionOptions,
    card: Any,
    frames: list[int] | None,
    defocus: tuple[float, ...],
    precision: str,
) -> None:
    from ..errors import InputError
    from ..inference.fastest import engine_for
    from ..inference.watch import watch

    if len(inputs) != 1 or not Path(inputs[0]).is_dir():
        raise InputError(f"--watch takes one folder, not {' '.join(inputs)}")
    tell = telling()
    engine = engine_for(model, options.engine, precision, tell.say, start=import_tensorflow)
    tell.done(f"watching {inputs[0]}; stop with Ctrl-C", err=True, model=model, files=[])
    watch(model, card, Path(inputs[0]), Path(options.output), frames, defocus, options.force,
          say=tell.say, wrote=lambda path: tell.facts(files=[path]), engine=engine,
          precision=engine.precision, **options.of_results())  # fmt: skip
