"""mcnn-keras evaluate and models."""

from __future__ import annotations

from typing import Any

import click

from .quiet import import_tensorflow
from .telling import telling


@click.command()
@click.argument("model", type=click.Path())
@click.option("--samples", type=int, default=64, show_default=True, help="Unseen test samples.")
@click.option("--seed", type=int, default=1, show_default=True)
def evaluate(model: str, samples: int, seed: int) -> None:
    """Measure a MODEL on unseen samples: simulated ones, or windows of the test pairs.

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

    read_card(model)  # a wrong file is reported immediately
    import_tensorflow()
    from ..evaluation import evaluate as measure
    from ..evaluation.columns import evaluate_columns

    loaded = load(model)
    answers = measure(loaded, samples=samples, seed=seed)
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
    tell.product(
        f"\ncolumns of atoms in {told['frames']} unseen frames that show them well resolved, "
        "against the clean frames\n"
        f"{'noise':<20}{'answer':<16}{'invented':>16}{'missed':>16}{'position error':>18}"
    )
    for group in told["groups"]:
        low, high = group["snr_db"]
        name = f"{low:g} to {high:g} dB" if None not in (low, high) else (
            f"below {high:g} dB" if low is None else f"above {low:g} dB"
        )  # fmt: skip
        marks = [name, f"{group['frames']} frames,", f"{group['columns']} columns"]
        for answer, row in group["answers"].items():
            shown = (f"{row[n]} ({row[n] / group['columns']:.1%})" for n in ("invented", "missed"))
            counts = "".join(f"{count:>16}" for count in shown)
            error = row["position_error"]
            error = "-" if error is None else f"{error:.2f} px"
            chosen = f"   (pixels {row['pixels']:g})" if "pixels" in row else ""
            mark = marks.pop(0) if marks else ""
            tell.product(f"{mark:<20}{answer:<16}{counts}{error:>18}{chosen}")


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
