"""mcnn-keras simulate PROBLEM."""

from pathlib import Path

import click

from .options import (
    denoise_options,
    denoise_problem,
    image_options,
    laplacian_options,
    laplacian_problem,
    phase_options,
    phase_problem,
    reflection_options,
    reflection_problem,
    together,
)
from .quiet import import_tensorflow


@click.group()
def simulate():
    """Write simulated samples of a problem to an HDF5 file, to look at or to use elsewhere."""


simulation_options = together(
    click.option("--samples", type=int, default=64, show_default=True),
    click.option(
        "--split", type=click.Choice(["train", "test"]), default="train", show_default=True
    ),
    click.option("--output", type=click.Path(), required=True, metavar="FILE.h5"),
)


@simulate.command()
@phase_options
@image_options()
@simulation_options
def phase(**values):
    """Defocused images and the phases that made them.

    \b
    Example:
      mcnn-keras simulate phase --defocus -108 --samples 16 --output pairs.h5
    """
    import_tensorflow()
    write_samples(phase_problem(values), **values)


@simulate.command()
@denoise_options
@image_options(image_size=128)
@simulation_options
def denoise(**values):
    """Noisy and clean electron microscope images.

    \b
    Example:
      mcnn-keras simulate denoise --samples 16 --output pairs.h5
    """
    import_tensorflow()
    write_samples(denoise_problem(values), **values)


@simulate.command()
@laplacian_options
@image_options(image_size=128)
@simulation_options
def laplacian(**values):
    """Laplacians of pictures, and the pictures.

    \b
    Example:
      mcnn-keras simulate laplacian --samples 16 --output pairs.h5
    """
    import_tensorflow()
    write_samples(laplacian_problem(values), **values)


@simulate.command()
@reflection_options
@image_options(image_size=192)
@simulation_options
def reflection(**values):
    """Photographs of a wall, and what the screen facing it shows.

    \b
    Example:
      mcnn-keras simulate reflection --samples 16 --output pairs.h5
    """
    import_tensorflow()
    write_samples(reflection_problem(values), **values)


AXES = ("sample", "height", "width", "channel")


def write_samples(problem, samples, split, output, image_size, seed):
    """Write the first samples of a stream: datasets `images` and `targets`."""
    import json

    import h5py

    from ..errors import InputError
    from ..files import HDF5_SUFFIXES, replacing
    from ..files.arrays import axis_attributes
    from ..training.pipeline import stream

    output = Path(output)
    if output.suffix not in HDF5_SUFFIXES:
        raise InputError(f"the output {output} does not end in .h5; name it like pairs.h5")
    if samples < 1 or image_size < 1:
        raise InputError(f"samples {samples} and image_size {image_size} must be at least 1")
    if not output.absolute().parent.is_dir():
        raise InputError(f"the folder {output.parent} is not there; make it first")
    pairs = stream(problem, split, 1, image_size, seed).take(samples).as_numpy_iterator()
    with replacing(output) as part, h5py.File(part, "w") as file:
        for i, pair in enumerate(pairs):
            for name, array in zip(("images", "targets"), pair, strict=True):
                if i == 0:
                    shape = (samples, *array.shape[1:])
                    dataset = file.create_dataset(name, shape, "float32", chunks=array.shape)
                    dataset.attrs.update(axis_attributes(AXES, shape))
                file[name][i] = array[0]
        file.attrs["problem"] = json.dumps({"name": problem.name, "config": problem.config()})
        file.attrs["seed"], file.attrs["split"] = seed, split
    click.echo(f"wrote {output}")
