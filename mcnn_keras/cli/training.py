"""Options of a training run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click

from ..problems.recipes import RECIPES
from ..training.settings import LOSS_WEIGHTS, LOSSES, PRECISIONS, SCHEDULES, Settings
from .options import SampleOptions, option

PRESETS = ("fast", "light", "paper", "paper-bottleneck")


@dataclass
class TrainingOptions(SampleOptions):
    """How to train: `mcnn_keras.Settings`; defaults come from the problem's recipe."""

    section = "Training"
    samples: int | None = option(
        "--samples", type=int, help="Samples per epoch.", section="Samples"
    )
    epochs: int | None = option("--epochs", type=int)
    batch_size: int | None = option("--batch-size", type=int)
    fresh: bool | None = option(
        "--fresh/--fixed", help="New samples in every epoch, or the same samples in all.",
        section="Samples",
    )  # fmt: skip
    mixed_sizes: bool | None = option(
        "--mixed-sizes/--one-size",
        help="In every fourth batch, images are twice as wide and high, and a quarter as many.",
        section="Samples",
    )
    dataset: str | None = option(
        "--dataset", type=click.Path(), metavar="FOLDER",
        help="Train on the samples of a set that data_tools/simulate_set.py has written, instead "
        "of simulating them. Options of the problem that are not given are those of the set.",
        section="Samples",
    )  # fmt: skip
    start: str | None = option(
        "--start", metavar="MODEL",
        help="Start from the weights of a model: a .h5 file, or the name of a shipped model.",
    )  # fmt: skip
    preset: str | None = option("--preset", type=click.Choice(PRESETS), section="Network")
    branches: int | None = option(
        "--branches", type=int, help="Number of coarse outputs; 0 is a plain U-Net.",
        section="Network",
    )  # fmt: skip
    cell: str | None = option(
        "--cell", type=click.Choice(["plain", "resnext", "xception"]), section="Network"
    )
    normalization: str | None = option(
        "--normalization", type=click.Choice(["none", "batch", "group"]),
        help="Normalisation layers of the network.", section="Network",
    )  # fmt: skip
    loss: str | None = option("--loss", type=click.Choice(LOSSES))
    loss_weights: str | None = option("--loss-weights", type=click.Choice(LOSS_WEIGHTS))
    growing: bool = option(
        "--growing", is_flag=True, help="Train coarse outputs first, and fade in finer ones."
    )
    adversarial: float | None = option(
        "--adversarial", type=float, metavar="WEIGHT",
        help="Weight of the adversarial loss of a discriminator; 0 for none.",
    )  # fmt: skip
    learning_rate: float | None = option("--learning-rate", type=float)
    schedule: str | None = option(
        "--schedule", type=click.Choice(SCHEDULES),
        help="The learning rate: a warm-up, then a cosine down to zero; or the same throughout.",
    )  # fmt: skip
    precision: str | None = option(
        "--precision", type=click.Choice(PRECISIONS), help="'auto' measures which is faster.",
        section="Run",
    )  # fmt: skip
    gpus: int | None = option(
        "--gpus", type=int, help="Number of GPUs, of each worker.  [default: all]", section="Run"
    )


@dataclass
class RunOptions(TrainingOptions):
    """A run and its folder."""

    section = "Run"
    output: str | None = option(
        "--output", type=click.Path(), metavar="RUN_FOLDER",
        help="Folder for the results.  [default: runs/PROBLEM]",
    )  # fmt: skip
    resume: bool = option(
        "--resume", is_flag=True,
        help="Continue the run in RUN_FOLDER, or start it if there is none yet.",
    )  # fmt: skip
    distributed: bool = option(
        "--distributed", is_flag=True,
        help="Train with other processes that run the same command: the tasks of a Slurm step, or "
        "those in TF_CONFIG.",
    )  # fmt: skip
    wait: float | None = option(
        "--wait", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS",
        help="With --distributed: how long to wait for all workers to start.  [default: 300]",
    )  # fmt: skip
    tensorboard: str | None = option(
        "--tensorboard", type=click.Path(), metavar="DIR",
        help="Write the training curves to this folder for TensorBoard (a separate package).",
    )  # fmt: skip

    def settings(self) -> dict[str, Any]:
        """Values of `mcnn_keras.Settings` that were given."""
        own = ("output", "resume", "distributed", "wait", "tensorboard")
        return {name: value for name, value in self.given().items() if name not in own}


def with_defaults(name: str, group: Any = RunOptions) -> Any:
    """A decorator that attaches a group; the help states the defaults of the problem's recipe."""
    values = {**Settings().asdict(), **RECIPES.get(name, {})}

    def attach(command: Any) -> Any:
        group.attach(command)
        for parameter in command.__click_params__:
            value = values.get(parameter.name)
            told = parameter.help or ""
            if value is None or value is False or "[default" in told:
                continue
            if parameter.secondary_opts:  # a pair of opposites
                value = (parameter.opts if value else parameter.secondary_opts)[0].lstrip("-")
            elif value is True:
                continue
            parameter.help = f"{told}  [default: {value}]".strip()
        return command

    return attach
