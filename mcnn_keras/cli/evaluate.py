"""mcnn-keras evaluate and models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from .quiet import import_tensorflow
from .telling import telling


@click.command()
@click.argument("model", type=click.Path())
@click.option("--samples", type=int, default=64, show_default=True, help="Unseen test samples.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option(
    "--inputs",
    type=click.Path(),
    metavar="DIR",
    help="For a model of measured pairs: where the images are now, or other ones.",
)
@click.option("--targets", type=click.Path(), metavar="DIR", help="As --inputs, for the targets.")
def evaluate(model: str, samples: int, seed: int, inputs: str | None, targets: str | None) -> None:
    """Measure a MODEL on unseen samples: simulated ones, or windows of the test pairs.

    Of measured pairs, those that the training has used are left out, also if others were added to
    their folders since.

    For comparison, baselines are measured on the same samples: zero (or the best constant), and for
    phases the transport-of-intensity solution with the regularisation that is best on them.

    For denoising models a second table counts the columns of atoms that are invented and missed, on
    as many unseen frames with well-resolved columns: by the network, by the best blur, and in the
    noisy frames.

    \b
    Example:
      mcnn-keras evaluate runs/cells/model.h5 --samples 128
    """
    from ..models.saving import load, read_card

    card = read_card(model)  # a wrong file is reported immediately
    folders = {n: v for n, v in (("inputs", inputs), ("targets", targets)) if v is not None}
    if folders and card.problem != "paired":
        raise click.UsageError(
            f"--{next(iter(folders))} is for models of measured pairs, and {model} solves the "
            f"problem {card.problem}; leave it out"
        )
    import_tensorflow()
    from ..evaluation import evaluate as measure
    from ..evaluation.columns import evaluate_columns
    from ..problems import from_card

    loaded = load(model)
    problem = from_card(loaded.card, **folders) if folders else None
    answers = measure(loaded, problem, samples=samples, seed=seed)
    tell = telling()
    tell.facts(model=model, samples=samples, seed=seed, answers=answers)
    outputs = loaded.card.outputs
    heads = "".join(
        f"{f'{o.name} MAE / {o.unit}' if o.unit else f'{o.name} MAE':>20}" for o in outputs
    )
    tell.product(f"{'answer':<24}{heads}{'correlation':>14}")
    for name, row in answers.items():
        chosen = ", ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}"
                           for k, v in row["with"].items())  # fmt: skip
        chosen = f"   ({chosen})" if chosen else ""
        errors = "".join(f"{row['mae'][output.name]:>20.4f}" for output in outputs)
        tell.product(f"{name:<24}{errors}{row['correlation']:>14.3f}{chosen}")
    if loaded.card.problem == "denoise":
        _tell_columns(evaluate_columns(loaded, samples=samples, seed=seed))


def _tell_columns(told: dict[str, Any]) -> None:
    """A table of the counts of `mcnn_keras.evaluation.columns.evaluate_columns`."""
    tell = telling()
    tell.facts(columns=told)
    if not told:
        tell.done("no frame with well-resolved columns of atoms was found to count them in")
        return
    tell.product(f"\ncolumns of atoms in {told['frames']} unseen frames with well-resolved ones")
    heads = ("noise", "answer", "invented", "missed", "position error")
    for noise, answer, *numbers in (heads, *column_rows(told)):
        tell.product(f"{noise:<44}{answer:<16}" + "".join(f"{n:>16}" for n in numbers))


def column_rows(told: Mapping[str, Any]) -> Iterator[list[str]]:
    """Noise, answer, invented, missed and position error of each group and answer, as text.

    Parameters
    ----------
    told : dict
        From `mcnn_keras.evaluation.columns.evaluate_columns`.
    """
    for group in told["groups"]:
        low, high = group["snr_db"]
        if low is None:
            noise = f"below {high:g} dB"
        else:
            noise = f"above {low:g} dB" if high is None else f"{low:g} to {high:g} dB"
        noise += f" ({group['columns']} columns in {_frames(group['frames'])})"
        for answer, row in group["answers"].items():
            error = row["position_error"]
            yield [
                noise, answer,
                *(f"{row[n]} ({row[n] / group['columns']:.1%})" for n in ("invented", "missed")),
                "-" if error is None else f"{error:.2f} pixels",
            ]  # fmt: skip
            noise = ""


def _frames(count: int) -> str:
    return "1 frame" if count == 1 else f"{count} frames"


@click.command()
def models() -> None:
    """List the models that come with the package; use them by name instead of a file.

    \b
    Example:
      mcnn-keras models
    """
    from ..models.saving import read_card, shipped

    tell, found = telling(), shipped()
    tell.facts(models=[])
    if not found:
        tell.product("this version comes with no models")
    for name, path in found.items():
        size, description = path.stat().st_size, read_card(path).description
        tell.product(
            f"{name:<16}{size / 1e6:>6.1f} MB  {description}",
            models=[{"name": name, "file": path, "bytes": size, "description": description}],
        )
