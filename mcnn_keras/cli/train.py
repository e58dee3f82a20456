"""mcnn-keras train PROBLEM."""

from __future__ import annotations

import importlib.util
import shlex
from pathlib import Path
from typing import Any

import click

from ..progress import hidden
from .problems import (
    AnyOptions,
    DenoiseOptions,
    LaplacianOptions,
    PairedOptions,
    PhaseOptions,
    ProblemOptions,
    Problems,
    ReflectionOptions,
    described,
    others,
)
from .quiet import import_tensorflow
from .sections import SectionedCommand
from .telling import telling
from .training import RunOptions, with_defaults


@click.group(cls=Problems)
def train() -> None:
    """Train a network from simulated samples of a problem, or from measured pairs."""


@train.command()
@PhaseOptions.attach
@with_defaults("phase")
@click.pass_context
def phase(context: click.Context, **values: Any) -> None:
    """Retrieve the phase of a wave from images out of focus.

    By default light of 0.65 um and pixels of 0.31 um are simulated. The training starts from the
    shipped model for any planes. It starts from random weights with --start none, or with options
    that select a different network.

    \b
    Examples:
      mcnn-keras train phase --defocus -108
      mcnn-keras train phase --defocus -52 --defocus 52 --output runs/two-planes
      mcnn-keras train phase --defocus -52 --defocus 52 --start none --output runs/own
      mcnn-keras train phase --resume --output runs/two-planes
    """
    run_training(context, "phase", PhaseOptions, values)


@train.command()
@DenoiseOptions.attach
@with_defaults("denoise")
@click.pass_context
def denoise(context: click.Context, **values: Any) -> None:
    """Denoise scanning transmission electron microscope images.

    \b
    Examples:
      mcnn-keras train denoise --output runs/denoise
      mcnn-keras train denoise --preset fast --output runs/denoise-fast
    """
    run_training(context, "denoise", DenoiseOptions, values)


@train.command()
@LaplacianOptions.attach
@with_defaults("laplacian")
@click.pass_context
def laplacian(context: click.Context, **values: Any) -> None:
    """Reconstruct a picture from its Laplacian: the tutorial problem.

    \b
    Example:
      mcnn-keras train laplacian --output runs/laplacian
    """
    run_training(context, "laplacian", LaplacianOptions, values)


@train.command()
@ReflectionOptions.attach
@with_defaults("reflection")
@click.pass_context
def reflection(context: click.Context, **values: Any) -> None:
    """Reconstruct the content of a screen from its light on the wall that it faces.

    The image size is the width of the photograph; the result is twice as large. For measured pairs
    use `train paired --whole`.

    \b
    Example:
      mcnn-keras train reflection --distance 0.3 --output runs/reflection
    """
    run_training(context, "reflection", ReflectionOptions, values)


@train.command()
@PairedOptions.attach
@with_defaults("paired")
@click.pass_context
def paired(context: click.Context, **values: Any) -> None:
    """Learn any image-to-image problem from measured pairs.

    Images and targets are files with the same names (without extensions) in two folders, or two
    datasets in HDF5 files. Colour pictures have three channels, stacks one for each image. Sizes
    may differ from pair to pair; a target may be twice as large as its image. The command first
    prints the matched pairs and what was left out. A fifth of the pairs is kept for testing.

    \b
    Examples:
      mcnn-keras train paired --inputs noisy/ --targets clean/ --output runs/mine
      mcnn-keras train paired --inputs pairs.h5:/images --targets pairs.h5:/targets
    """
    run_training(context, "paired", PairedOptions, values)


@train.any_problem
def any_problem(name: str) -> click.Command:
    """The command of a problem without options of its own."""

    @click.command(name, cls=SectionedCommand, help=f"The problem {name} of {others()[name]}.")
    @AnyOptions.attach
    @with_defaults(name)
    @click.pass_context
    def command(context: click.Context, **values: Any) -> None:
        run_training(context, name, AnyOptions, values)

    return command


def run_training(
    context: click.Context, name: str, group: type[ProblemOptions], values: dict[str, Any]
) -> None:
    """Train or resume a run, and print where the results are."""
    options, run = group.take(values), RunOptions.take(values)
    import_tensorflow()
    # Before anything is computed.
    strategy, chief = _workers(context, run) if run.distributed else (None, True)
    from ..models.format_1 import problem_config
    from ..training.checkpoints import RunFolder
    from ..training.loop import train as run_train
    from ..training.stored import from_disk

    settings, started, tell = run.settings(), None, telling()
    if settings.get("start") == "none":
        settings["start"] = None
    if run.resume:
        if run.output is None:
            raise click.UsageError(
                "--resume needs the folder of the run; give it with --output RUN_FOLDER"
            )
        if RunFolder(run.output).begun():
            begun = RunFolder(run.output).config()
            _require_problem(begun, name, run.output)
            started = problem_config(begun["problem"])
            settings = {**begun["settings"], **settings}
        else:
            tell.done(f"{run.output} holds no run yet: a new one is started")
    if started is None and run.dataset is not None:
        started = _config_of_set(run.dataset, name)
    if started is None:
        for line in options.begin(settings):
            tell.done(line)
    problem = described(name, options, started)
    for line in getattr(problem, "report", ()):
        tell.done(line)
    if settings.get("dataset") is not None:
        problem = from_disk(problem, settings)
        tell.done(_taken(problem, settings))
    output = Path(run.output) if run.output else Path("runs") / problem.label
    try:
        result = run_train(
            problem, output=output, resume=run.resume, strategy=strategy,
            callbacks=_callbacks(run) if chief else (), **settings,
        )  # fmt: skip
    except KeyboardInterrupt:
        written = RunFolder(output).config_path.exists()
        go_on = f"Resume with: {context.command_path} --output {shlex.quote(str(output))} --resume"
        raise KeyboardInterrupt(go_on if written else "") from None
    if chief:
        _tell(result.model, problem, RunFolder(output))


def _workers(context: click.Context, run: RunOptions) -> tuple[Any, bool]:
    """The strategy of several workers, and whether this one speaks for all."""
    from ..training.workers import WAIT, Workers, distributed_strategy

    strategy = distributed_strategy(run.gpus, WAIT if run.wait is None else run.wait)
    workers = Workers(strategy)
    if not workers.chief:
        telling().quiet = True
        context.with_resource(hidden())
    telling().done(f"{workers.count} workers, {strategy.num_replicas_in_sync} replicas")
    return strategy, workers.chief


def _require_problem(begun: dict[str, Any], name: str, output: str) -> None:
    own = begun["problem"]["name"]
    if own != name:
        raise click.UsageError(
            f"{output} holds a run of the problem {own}; resume it with mcnn-keras train {own}"
        )


def _config_of_set(folder: str, name: str) -> dict[str, Any]:
    """The configuration of the problem of a training set."""
    from ..files.training_set import read_index

    told = read_index(folder)["problem"]
    if told["name"] != name:
        raise click.UsageError(
            f"{folder} holds a training set of the problem {told['name']}; use it with mcnn-keras "
            f"train {told['name']}"
        )
    return told["config"]


def _taken(problem: Any, settings: dict[str, Any]) -> str:
    """How often a run takes the samples of its training set."""
    from ..training.settings import Settings

    count, chosen = problem.facts["samples"], Settings(**{**problem.recipe, **settings})
    taken = chosen.steps * chosen.batch_size
    if not chosen.fresh:
        count = min(count, chosen.steps_per_epoch * chosen.batch_size)
    often = f"{taken} of them" if taken <= count else f"each of {count} {taken / count:.1f} times"
    return (
        f"training set {chosen.dataset}: {problem.facts['samples']} samples; the run takes {often}"
    )


def _callbacks(run: RunOptions) -> list[Any]:
    if run.tensorboard is None:
        return []
    if importlib.util.find_spec("tensorboard") is None:
        raise click.UsageError("--tensorboard needs a package; run pip install tensorboard")
    import keras

    return [keras.callbacks.TensorBoard(run.tensorboard, write_graph=False)]


def _tell(model: Any, problem: Any, folder: Any) -> None:
    from ..models.normalization import ScaledContrast

    card, tell = model.card, telling()
    metrics, unit = card.metrics, card.error_unit
    if metrics["test_mae"] >= metrics["constant_answer_mae"]:
        tell.warn(
            "the network is no better than a constant; train longer, or check that images and "
            "targets belong together"
        )
    use = f"mcnn-keras predict {shlex.quote(str(folder.model_path))} IMAGE --output RESULT.tif"
    tell.done(
        f"test MAE {metrics['test_mae']:.4g} {unit} (best constant answer "
        f"{metrics['constant_answer_mae']:.4g}), correlation {metrics['test_correlation']:.3f}, "
        f"on {metrics['test_samples']} unseen samples\n"
        f"model:  {folder.model_path}\n"
        f"report: {folder.report_path}\n"
        f"use it: {use}",
        model=folder.model_path, report=folder.report_path, metrics=metrics, unit=unit,
    )  # fmt: skip
    if isinstance(card.normalization, ScaledContrast):
        # The loss is in each sample's own scale: say it in the result's units, too.
        from ..evaluation import evaluate

        answers = evaluate(model, problem, samples=metrics["test_samples"])
        tell.done(
            "in the result's units: " + ", ".join(
                f"{o.name} MAE {answers['network']['mae'][o.name]:.3g}{_behind(o.unit)} "
                f"(zero answer {answers['zero']['mae'][o.name]:.3g})"
                for o in card.outputs
            ),
            answers=answers,
        )  # fmt: skip


def _behind(unit: str) -> str:
    """A unit to print behind a number; "" for numbers without."""
    return f" {unit}" if unit not in ("", "1") else ""
