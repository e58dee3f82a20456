"""mcnn-keras simulate PROBLEM."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from .options import OVERWRITE, SampleOptions, option
from .problems import (
    AnyOptions,
    DenoiseOptions,
    LaplacianOptions,
    PhaseOptions,
    ProblemOptions,
    Problems,
    ReflectionOptions,
    described,
    others,
)
from .quiet import import_tensorflow
from .telling import telling
from .training import with_defaults

AXES = ("sample", "height", "width", "channel")


@dataclass
class SimulationOptions(SampleOptions):
    """Which samples to write."""

    samples: int = option("--samples", type=int, default=64, show_default=True, help="How many.")
    split: str = option(
        "--split", type=click.Choice(["train", "test"]), default="train", show_default=True
    )
    output: str = option("--output", type=click.Path(), required=True, metavar="FILE.h5")
    overwrite: bool = option("--overwrite", is_flag=True, help=OVERWRITE)


@click.group(cls=Problems)
def simulate() -> None:
    """Write simulated samples of a problem to an HDF5 file, for inspection or use elsewhere.

    The file contains the simulated measurements (`images`), the truth (`targets`) and the
    acquisition parameters of each measurement (`conditions`), in their own units. `mcnn-keras
    predict` takes these images.
    """


@simulate.command()
@PhaseOptions.attach
@with_defaults("phase", SimulationOptions)
def phase(**values: Any) -> None:
    """Defocused images and their phases, with --amplitude also their amplitudes.

    \b
    Example:
      mcnn-keras simulate phase --defocus -108 --samples 16 --output pairs.h5
    """
    values["input"] = values["input"] or "physical"  # its targets depend on the options only
    write_samples("phase", PhaseOptions, values)


@simulate.command()
@DenoiseOptions.attach
@with_defaults("denoise", SimulationOptions)
def denoise(**values: Any) -> None:
    """Noisy and clean electron microscope images; single frames unless --window is given.

    NaN pixels are faulty ones, which are found before the network.

    \b
    Example:
      mcnn-keras simulate denoise --samples 16 --output pairs.h5
    """
    values["window"] = values["window"] or 1
    write_samples("denoise", DenoiseOptions, values)


@simulate.command()
@LaplacianOptions.attach
@with_defaults("laplacian", SimulationOptions)
def laplacian(**values: Any) -> None:
    """Laplacians of pictures, and the pictures.

    \b
    Example:
      mcnn-keras simulate laplacian --samples 16 --output pairs.h5
    """
    write_samples("laplacian", LaplacianOptions, values)


@simulate.command()
@ReflectionOptions.attach
@with_defaults("reflection", SimulationOptions)
def reflection(**values: Any) -> None:
    """Photographs of a wall, and what the screen facing it shows.

    \b
    Example:
      mcnn-keras simulate reflection --samples 16 --output pairs.h5
    """
    write_samples("reflection", ReflectionOptions, values)


@simulate.any_problem
def any_problem(name: str) -> click.Command:
    """The command of a problem without options of its own."""

    @click.command(name, help=f"Samples of the problem {name} of {others()[name]}.")
    @AnyOptions.attach
    @with_defaults(name, SimulationOptions)
    def command(**values: Any) -> None:
        write_samples(name, AnyOptions, values)

    return command


def write_samples(name: str, group: type[ProblemOptions], values: dict[str, Any]) -> None:
    """Write the first samples of a stream: `images`, `targets` and `conditions`."""
    options, asked = group.take(values), SimulationOptions.take(values)
    from ..errors import InputError
    from ..files import HDF5_SUFFIXES, require_free
    from ..files.locking import locked
    from ..files.whole import remove_left
    from ..training.settings import Settings

    output = Path(asked.output)
    if output.suffix not in HDF5_SUFFIXES:
        raise InputError(f"the output {output} does not end in .h5; give a name like pairs.h5")
    for kind, value in (("samples", asked.samples), ("image_size", asked.image_size)):
        if value is not None and value < 1:
            raise InputError(f"{kind} is {value}; it must be at least 1")
    if not output.absolute().parent.is_dir():
        raise InputError(f"the folder {output.parent} is not there; make it first")
    require_free([output], (), asked.overwrite)
    import_tensorflow()
    from ..training.pipeline import measurements

    problem = described(name, options)
    size = asked.image_size or Settings(**problem.recipe).image_size
    stream = measurements(problem, asked.split, size, asked.seed or 0).take(asked.samples)
    with locked(output):
        require_free([output], (), asked.overwrite)  # another run may have just ended
        remove_left(output)
        _write(output, stream, asked, problem)
    telling().done(f"wrote {output}", files=[output])


def _write(output: Path, stream: Any, asked: SimulationOptions, problem: Any) -> None:
    import json

    import h5py

    from ..files import replacing
    from ..files.arrays import axis_attributes
    from ..files.sink import Sink

    with (
        replacing(output) as part,
        Sink(part) as sink,
        h5py.File(sink, "w") as file,
    ):
        for i, sample in enumerate(stream.as_numpy_iterator()):
            for key, array in (("images", sample["image"]), ("targets", sample["target"])):
                if i == 0:
                    shape = (asked.samples, *array.shape)
                    chunks = (1, *array.shape)
                    dataset = file.create_dataset(key, shape, "float32", chunks=chunks)
                    dataset.attrs.update(axis_attributes(AXES, shape))
                file[key][i] = array
            for key, value in sample["conditions"].items():
                if i == 0:
                    file.create_dataset(f"conditions/{key}", (asked.samples, *value.shape), "f4")
                file[f"conditions/{key}"][i] = value
            sink.check()
        file.attrs["problem"] = json.dumps({"name": problem.name, "config": problem.config()})
        file.attrs["seed"], file.attrs["split"] = asked.seed or 0, asked.split
