"""mcnn-keras example."""

from __future__ import annotations

import shlex
import time
from pathlib import Path

import click

from .telling import telling

# What the example trains: 1,024 samples.
TRAINING = "--image-size 128 --samples 512 --epochs 2"
# What each picture of the example shows, by its name in the folder.
PICTURES = {
    "movie_denoised.png": "the first frame of the movie, before and after",
    "phase.png": "phase and amplitude of a cell, from two images",
    "phase_trained.png": "the same from one image, by the model that was trained here",
    "training/examples.png": "simulated phases that the training has not seen, and the answers",
}


@click.command()
@click.argument("folder", type=click.Path(), default="mcnn-example")
@click.option("--train/--no-train", "training", default=True, help="Train a model, too.")
@click.pass_context
def example(context: click.Context, folder: str, training: bool) -> None:
    """Try the main commands on small files, which are written to FOLDER (mcnn-example).

    It denoises a movie and retrieves a phase with the models that come with the package. Then it
    trains a model for one plane out of focus, and retrieves a phase with it. Each command is
    printed before it runs, so that you can repeat it on files of your own.
    """
    from ..errors import InputError
    from ..example_files import write_example_files

    where, tell = Path(folder), telling()
    if where.exists() and (not where.is_dir() or any(where.iterdir())):
        raise InputError(f"{folder} is there already; delete it, or name a new folder")
    tell.done(f"{folder}/ now holds")
    for line in write_example_files(where):
        tell.done(f"  {line}")
    commands = [
        ["denoise", where / "movie.tif", "--output", where / "movie_denoised.tif"],
        ["phase", where / "focal_series.tif", "--output", where / "phase.tif"],
    ]
    if training:
        run = where / "training"
        commands += [
            ["train", "phase", "--defocus", "-108", *TRAINING.split(), "--output", run],
            ["phase", where / "defocused.tif", "--model", run / "model.h5",
             "--output", where / "phase_trained.tif"],
        ]  # fmt: skip
    assert context.parent is not None
    group = context.parent.command
    for command in commands:
        words = [str(word) for word in command]
        tell.done(f"\n$ mcnn-keras {shlex.join(words)}")
        began = time.monotonic()
        group.main(words, prog_name="mcnn-keras", standalone_mode=False, obj=tell)
        tell.done(f"({time.monotonic() - began:.0f} s)")
    tell.done("\nPictures to look at:")
    for name, shown in PICTURES.items():
        if (where / name).exists():
            tell.done(f"  {where / name}: {shown}")
