"""mcnn-keras train PROBLEM."""

import json
import shlex
from pathlib import Path

import click

from .options import (
    denoise_options,
    denoise_problem,
    image_options,
    laplacian_options,
    laplacian_problem,
    paired_options,
    paired_problem,
    phase_options,
    phase_problem,
    reflection_options,
    reflection_problem,
    size_options,
    training_options,
)
from .quiet import import_tensorflow

# Options of the problem under the names by which its configuration knows them.
CONFIG_NAMES = {"input_kind": "input", "screen_width": "width"}


class Problems(click.Group):
    """The problems of this package, and those that installed packages offer."""

    def list_commands(self, context):
        """Their names."""
        return [*super().list_commands(context), *sorted(_offered())]

    def get_command(self, context, name):
        """The command of one problem."""
        return super().get_command(context, name) or _offered().get(name)


@click.group(cls=Problems)
def train():
    """Train a network from simulated samples of a problem, or from measured pairs."""


@train.command()
@phase_options
@image_options()
@training_options()
@click.pass_context
def phase(context, **values):
    """Retrieve the phase of a wave from images out of focus.

    \b
    Examples:
      mcnn-keras train phase --defocus -108
      mcnn-keras train phase --defocus -52 --defocus 52 --output runs/two-planes
      mcnn-keras train phase --resume --output runs/two-planes
    """
    run_training(context, values, phase_problem)


@train.command()
@denoise_options
@image_options(image_size=128)
@training_options(
    samples=8192, epochs=64, batch_size=16, learning_rate=1e-3, loss="squared", mixed_sizes=True
)
@click.pass_context
def denoise(context, **values):
    """Restore scanning transmission electron microscope images from noisy frames.

    \b
    Examples:
      mcnn-keras train denoise --output runs/denoise
      mcnn-keras train denoise --preset fast --output runs/denoise-fast
    """
    run_training(context, values, denoise_problem)


@train.command()
@laplacian_options
@image_options(image_size=128)
@training_options(samples=768, epochs=32)
@click.pass_context
def laplacian(context, **values):
    """Put a picture together again from its Laplacian: the tutorial problem.

    \b
    Example:
      mcnn-keras train laplacian --output runs/laplacian
    """
    run_training(context, values, laplacian_problem)


@train.command()
@reflection_options
@image_options(image_size=192)
@training_options()
@click.pass_context
def reflection(context, **values):
    """See what a screen shows in the light that it throws on the wall facing it.

    The image size is the photograph's width; the answer is twice as large. Real pairs are learned
    by `train paired --whole`.

    \b
    Example:
      mcnn-keras train reflection --distance 0.3 --output runs/reflection
    """
    run_training(context, values, reflection_problem)


@train.command()
@paired_options
@size_options(image_size=128)
@training_options(epochs=16)
@click.pass_context
def paired(context, **values):
    """Learn any image-to-image problem from measured pairs.

    Images and targets are files of the same names in two folders, endings left aside, or two
    datasets in HDF5 files. Colour pictures have three channels, stacks as many as images. Sizes
    may differ from pair to pair; a target may be twice as large as its image. What was matched and
    what was left out is said first; a fifth of the pairs is kept for testing.

    \b
    Examples:
      mcnn-keras train paired --inputs noisy/ --targets clean/ --output runs/mine
      mcnn-keras train paired --inputs pairs.h5:/images --targets pairs.h5:/targets
    """
    run_training(context, values, paired_problem)


def _offered():
    """A command for each problem that another package offers."""
    from importlib.metadata import entry_points

    return {p.name: _command(p) for p in entry_points(group="mcnn_keras.problems")}


def _command(point):
    @click.command(point.name, help=f"The problem {point.name} of {point.value}.")
    @click.option(
        "--set", "arguments", multiple=True, metavar="NAME=VALUE",
        help="An argument of the problem, its value as JSON or plain text; once for each.",
    )  # fmt: skip
    @size_options(image_size=128)
    @training_options()
    @click.pass_context
    def command(context, **values):
        run_training(context, values, lambda values: _made(point.name, values))

    return command


def _made(name, values):
    from ..problems import make

    arguments = {}
    for text in values.pop("arguments"):
        key, mark, value = text.partition("=")
        if not mark:
            raise click.UsageError(
                f"--set {text!r} is no NAME=VALUE; write for example --set blur=3"
            )
        try:
            arguments[key] = json.loads(value)
        except ValueError:
            arguments[key] = value
    return make(name, **arguments)


def run_training(context, values, make_problem):
    """Train, or resume, as the options say, and tell where the results are."""
    import_tensorflow()
    from ..saving import error_unit
    from ..training import train as run_train
    from ..training.checkpoints import RunFolder

    output, resume = values.pop("output"), values.pop("resume")
    if resume:
        _take_over(context, values, output)
    problem = make_problem(values)
    output = output or Path("runs") / problem.label
    try:
        run = run_train(problem, output=output, resume=resume, **values)
    except KeyboardInterrupt:
        started = RunFolder(output).config_path.exists()
        go_on = f"Go on with: {context.command_path} --output {shlex.quote(str(output))} --resume"
        raise KeyboardInterrupt(go_on if started else "") from None
    metrics, unit = run.model.card["metrics"], error_unit(run.model.card)
    model = RunFolder(output).model_path
    click.echo(
        f"test MAE {metrics['test_mae']:.4g} {unit} (best constant answer "
        f"{metrics['constant_answer_mae']:.4g}), correlation {metrics['test_correlation']:.3f}, "
        f"on {metrics['test_samples']} unseen samples\n"
        f"model:  {model}\n"
        f"report: {RunFolder(output).report_path}\n"
        f"use it: mcnn-keras predict {shlex.quote(str(model))} IMAGE --output RESULT.tif"
    )
    if metrics["test_mae"] >= metrics["constant_answer_mae"]:
        click.echo(
            "Warning: the network is no better than a constant; train longer, or see whether "
            "images and targets belong together",
            err=True,
        )


def _take_over(context, values, output):
    """On --resume, options that were not given are those that the run was started with."""
    from ..training.checkpoints import RunFolder

    if output is None:
        raise click.UsageError("--resume needs the run's folder; name it with --output RUN_FOLDER")
    started = RunFolder(output).config()
    known = {**started["settings"], **started["problem"]["config"]}
    known.update(known.pop("optics", {}))
    known.update(known.pop("scene", {}))
    if "arguments" in values and not values["arguments"]:
        config = started["problem"]["config"]
        values["arguments"] = tuple(f"{name}={json.dumps(v)}" for name, v in config.items())
    for name in values:
        given = context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT
        config_name = CONFIG_NAMES.get(name, name)
        if not given and config_name in known:
            values[name] = known[config_name]
