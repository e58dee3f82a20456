"""mcnn-keras predict and denoise."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from .options import AXES, FORCE, OVERWRITE, Options, PlaneList, frame_numbers, joined, option
from .quiet import import_tensorflow
from .reporting import REPORT
from .telling import telling

# The same names as in `mcnn_keras.inference`, which would import NumPy.
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
        help="A .tif, .ome.tif, .hspy, .zspy, .h5, .zarr, .mrc or .npy file; a folder for several "
        "results.",
    )  # fmt: skip
    frames: str | None = option(
        "--frames", metavar="I,J,...",
        help="Which images of each file to use, counted from 0.  [default: all]",
    )  # fmt: skip
    axes: str | None = option("--axes", metavar="LETTERS", help=AXES)
    dtype: str | None = option(
        "--dtype", type=click.Choice(TYPES),
        help="Data type of the result.  [default: that of the input, if it can hold the result]",
    )  # fmt: skip
    batch_size: int | None = option(
        "--batch-size", type=int, help="Number of images that are computed together."
    )
    tile_size: int | None = option(
        "--tile-size", type=int,
        help="Size of the tiles of large images, in pixels.  [default: from the model's card]",
    )  # fmt: skip
    precision: str | None = option(
        "--precision", type=click.Choice(["auto", "float32", "bfloat16"]),
        help="'auto' allows both; bfloat16 is accurate to two digits.  "
        "[default: auto for denoise, float32 for predict]",
    )  # fmt: skip
    engine: str = option(
        "--engine", type=click.Choice(ENGINES), default="auto",
        show_default=True, help="'auto' measures on the first run, in a few seconds, which engine "
        "is fastest on this machine, and remembers it. ONNX Runtime computes in float32.",
    )  # fmt: skip
    resume: bool = option(
        "--resume", is_flag=True,
        help="Continue an interrupted run; finished results stay.",
    )  # fmt: skip
    overwrite: bool = option("--overwrite", is_flag=True, help=OVERWRITE)
    uncertainty: bool = option(
        "--uncertainty", is_flag=True,
        help="Also write NAME_uncertainty: the half-width of an interval around the result in "
        "which the truth is in 90 % of the pixels, in the unit of the result.",
    )  # fmt: skip
    video: str | None = option(
        "--video", type=click.Path(), metavar="FILE.gif",
        help="Also write a video of input and result side by side: .gif, or .mp4 with "
        "imageio-ffmpeg.",
    )  # fmt: skip
    truth: str | None = option(
        "--truth", type=click.Path(), metavar="FILE",
        help="The true results; the video shows them and the difference.",
    )  # fmt: skip
    fps: float = option(
        "--fps", type=float, default=2.0, show_default=True, help="Frames per second of the video."
    )
    report: str | None = option("--report", **REPORT)
    watch: bool = option(
        "--watch", is_flag=True,
        help="INPUT is a folder: process each new image in it, until interrupted.",
    )  # fmt: skip

    scheduler: str | None = option(
        "--scheduler", metavar="ADDRESS",
        help="Compute on a Dask cluster (extra dask): the scheduler's address, tcp://host:8786, or "
        "its scheduler file, .json. The workers must reach the input under the same path.",
    )  # fmt: skip
    force: bool = option("--force", is_flag=True, help=FORCE)

    def __post_init__(self) -> None:
        for name in ("batch_size", "tile_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise click.UsageError(
                    f"--{name.replace('_', '-')} {value} is not positive; give at least 1, or "
                    "leave it out"
                )

    def of_results(self) -> dict[str, Any]:
        """The options of `mcnn_keras.inference.stream.execute`."""
        names = (
            "dtype", "batch_size", "tile_size", "resume", "overwrite", "uncertainty", "video",
            "truth", "fps", "report", "scheduler",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names}


@dataclass
class DenoisingOptions(PredictionOptions):
    """Those, and options of denoising models."""

    model: str | None = option(
        "--model", help="A shipped model or a file.  [default: denoise, or denoise-fast with "
        "--quality fast]",
    )  # fmt: skip
    quality: str = option(
        "--quality", type=click.Choice(QUALITIES), default="standard", show_default=True,
        help="'fast' uses a smaller network; 'best' averages over eight mirrored and rotated "
        "copies of each frame, and takes eight times as long.",
    )  # fmt: skip
    temporal: str = option(
        "--temporal", type=click.Choice(TEMPORAL), default="auto", show_default=True,
        help="'auto' uses the frames before and after each one if they show the same field; 'off' "
        "uses none.",
    )  # fmt: skip
    faults: str = option(
        "--faults", type=click.Choice(FAULTS), default="mend", show_default=True,
        help="Saturated, dead and constant lines, rims and hot pixels are left out of the "
        "computation; in the result 'mend' fills them in, 'keep' leaves them as recorded.",
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.model is not None and self.quality == "fast":
            raise click.UsageError("--quality fast uses its own model; leave --model out")

    @property
    def network(self) -> str:
        """The model's name or file."""
        return self.model or ("denoise-fast" if self.quality == "fast" else "denoise")

    def of_results(self) -> dict[str, Any]:
        """The options of `mcnn_keras.inference.stream.execute`."""
        own = {"temporal": self.temporal, "faults": self.faults, "average": self.quality == "best"}
        return {**super().of_results(), **own}


_inputs = click.argument("inputs", type=click.Path(), nargs=-1, required=True, metavar="INPUT...")


@click.command()
@click.argument("model", type=click.Path())
@_inputs
@PredictionOptions.attach
@click.option(
    "--defocus", type=PlaneList(), multiple=True, metavar="UM",
    help="For a phase model: the plane of each image, or of each of --frames in its order; the "
    "model's planes are chosen from these.  [default: from the file, or from a text file next to "
    "it, by the numbers of the images]",
)  # fmt: skip
def predict(model: str, inputs: tuple[str, ...], defocus: tuple[Any, ...], **values: Any) -> None:
    """Invert measured images with a trained MODEL, a .h5 or an exported .onnx file.

    INPUT is a file with one image or a stack, a folder or a pattern: PNG, JPEG, TIFF, NPY, HDF5
    (file.h5:/dataset), Zarr, and with the extra [em] the formats of microscopes (dm3, dm4, emd,
    ser, mrc, hspy, ...; scan.emd:HAADF names one of several images). A model for one image
    processes each image.

    A phase model for several planes takes a file for each plane, or stacks that contain all of its
    planes. Their order is free, and other planes may be among them. The plane of each image comes
    from --defocus, from the file's focus axis, or from a text file next to it (stack.txt for
    stack.tif, a number for each image).

    The result has the model's units and the input's axes and pixel size. A .png preview of its
    first image is written next to it.

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
    """Denoise electron microscope images with a model that comes with the package.

    INPUT is a file with one or more frames, a folder or a pattern: TIFF, PNG, NPY, HDF5
    (file.h5:/dataset), Zarr, and with the extra [em] the formats of microscopes (dm3, dm4, emd,
    ser, mrc, hspy, ...; scan.emd:HAADF names one of several images). The result has the order,
    axes, pixel size and intensity scale of the frames. A .png next to it shows
    the first frame before and after.

    Frames of a movie are denoised together with the two before and the two after them, if these
    show the same field. Files of one frame each whose names differ only in a running number are a
    movie, too (not with --watch). Faulty lines, rims and pixels are found first, reported, and left
    out.

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
    """Plan, predict and write; most errors are reported before the network is loaded."""
    from ..inference.planning import plan
    from ..inference.reporting import Said
    from ..inference.stream import execute
    from ..models.saving import read_card

    card, frames, tell = read_card(model), frame_numbers(options.frames), telling()
    precision = options.precision or precision
    if options.watch:
        _watch(model, inputs, options, card, frames, defocus, precision)
        return
    say = Said(tell.say)
    jobs = plan(
        model, card, inputs, options.output, frames, defocus, options.force, say, options.axes
    )
    tell.facts(model=model, files=[])
    execute(model, jobs, precision=precision, engine=options.engine, start=import_tensorflow,
            forward_of=_forward_of, say=say, wrote=lambda path: tell.facts(files=[path]),
            **options.of_results())  # fmt: skip


def _forward_of(card: Any) -> Any:
    from ..problems import forward_of

    return forward_of(card, import_tensorflow)


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
    if options.scheduler is not None:
        raise InputError("--scheduler is for a run that ends; leave it out, or leave out --watch")
    if options.report is not None:
        raise InputError("--report is for a run that ends; leave it out, or leave out --watch")
    tell = telling()
    engine = engine_for(model, options.engine, precision, tell.say, start=import_tensorflow)
    tell.done(f"watching {inputs[0]}; stop with Ctrl-C", err=True, model=model, files=[])
    # Made once, and not for each image.
    forward = functools.cache(lambda: _forward_of(engine.card))
    watch(model, card, Path(inputs[0]), Path(options.output), frames, defocus, options.force,
          say=tell.say, wrote=lambda path: tell.facts(files=[path]), engine=engine,
          forward_of=lambda card: forward(), precision=engine.precision,
          axes=options.axes, **options.of_results())  # fmt: skip
