"""The inverse problems. Add one as a new file here, or as an entry point of another package.

A file ``NAME.py`` in this folder contains the problem NAME: a class derived from `Problem` with the
`name` NAME. There is no other list of problems: `names` finds the files, and `kind` imports one of
them for the command line, `mcnn_keras.evaluate` and model files.
"""

from __future__ import annotations

import importlib
import pkgutil
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from ..errors import InputError, reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..models import ModelCard
    from ..physics.agreement import Forward
    from .base import Problem

# Files here that are not problems.
OTHERS = ("base", "pairs", "ranges", "recipes")
# Problems of this package whose results simulate no images, or by other means.
WITHOUT_FORWARD = ("any_phase", "denoise", "paired", "phase")
# The entry-point group for problems of other packages.
ENTRY_POINTS = "mcnn_keras.problems"
_CLASSES = {
    "Denoise": "denoise", "Laplacian": "laplacian", "Paired": "paired", "Phase": "phase",
    "Problem": "base", "Reflection": "reflection", "Sample": "base", "as_problem": "base",
}  # fmt: skip

__all__ = [
    "Denoise", "Laplacian", "Paired", "Phase", "Problem", "Reflection", "Sample", "as_problem",
    "forward_of", "from_card", "from_config", "kind", "make", "names", "offered",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _CLASSES:  # imported when first used, as all of them import TensorFlow
        return getattr(importlib.import_module(f".{_CLASSES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def names() -> list[str]:
    """The names of this package's problems; none of them is imported."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name not in OTHERS)


def offered() -> dict[str, EntryPoint]:
    """The problems of other packages, by name: entry points that have not been loaded."""
    return {point.name: point for point in entry_points(group=ENTRY_POINTS)}


def kind(name: str) -> Any:
    """The class of a problem, by its name.

    Raises
    ------
    InputError
        If the problem is not known, or the package of the problem cannot be imported.
    """
    if name in names():
        module = importlib.import_module(f".{name}", __name__)
        return next(
            c for c in vars(module).values() if isinstance(c, type) and vars(c).get("name") == name
        )
    points = offered()
    if name not in points:
        raise InputError(
            f"the problem {name!r} is not known; choose from {', '.join([*names(), *points])}, or "
            "pass the problem object in Python"
        )
    try:
        return points[name].load()
    except Exception as error:  # whatever another package's code raises
        raise InputError(
            f"the problem {name!r} of {points[name].value} cannot be imported ({reason(error)})"
        ) from None


def make(name: str, **arguments: Any) -> Problem:
    """A problem by its name, from this package or another package.

    Parameters
    ----------
    name : str
    **arguments
        Arguments of its constructor.

    Raises
    ------
    InputError
        If the problem is not known, or cannot be made.
    """
    return _made(name, kind(name), arguments)


def from_config(name: str, config: dict[str, Any]) -> Problem:
    """The problem that a configuration from `Problem.config` describes.

    Raises
    ------
    InputError
        If the problem is not known, or cannot be made.
    """
    found = kind(name)
    if not hasattr(found, "from_config"):
        return make(name, **config)
    return _made(name, found.from_config, {"config": config})


def from_card(card: ModelCard, **moved: Any) -> Problem:
    """The problem that a model was trained on, with its ranges, from the model's card.

    Parameters
    ----------
    card : ModelCard
    **moved
        Arguments that replace those of the card, such as other folders.

    Raises
    ------
    InputError
        If it is the user's own problem, which only the user's code defines.
    """
    return from_config(card.problem, {**card.config, **moved}).for_model(card)


def forward_of(
    card: ModelCard,
    start: Callable[[], Any] = lambda: None,
    problem: Problem | None = None,
) -> Forward | None:
    """The forward model of the problem that a model solves: it simulates the images of results.

    Parameters
    ----------
    card : ModelCard
    start : callable
        Called before TensorFlow is imported.
    problem : Problem, optional
        For problems that this package does not know by name.

    Returns
    -------
    Forward or None
        None for denoising and for measured pairs, and for phases, of which `mcnn_keras.inference`
        knows it.

    Raises
    ------
    InputError
        If the problem is not known, or does not say how its samples are made.
    """
    from ..physics.agreement import Forward

    name, own = card.problem, card.problem in names()
    if problem is None and (
        name in WITHOUT_FORWARD or any(o.role == "image" for o in card.outputs)
    ):
        return None
    if problem is None and not own and name not in offered():
        raise InputError(
            f"the problem {name!r} is not installed here, as an entry point of {ENTRY_POINTS}"
        )
    start()
    from .base import as_problem, simulates, simulator

    problem = from_card(card) if problem is None else as_problem(problem)
    if not simulates(problem):
        raise InputError(
            f"the problem {name!r} has its own sample or answer; it may define "
            "noise_free(target, **conditions)"
        )
    lost = card.normalization.lost if problem.lost is None else problem.lost
    return Forward(simulator(problem, card.scale, card.measured_conditions()), lost)


def _made(name: str, maker: Any, arguments: dict[str, Any]) -> Problem:
    from .base import as_problem

    try:
        return as_problem(maker(**arguments))
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"the problem {name!r} cannot be made ({reason(error)})") from None
