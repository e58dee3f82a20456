"""The inverse problems. A new one is one new file here, or another package's entry point.

A file ``NAME.py`` in this folder holds the problem called NAME: a class derived from `Problem`
whose `name` is NAME. Nothing else names it: `names` finds the files, `kind` imports the one that is
asked for, and the command line, `mcnn_keras.evaluate` and model files know it from there.
"""

from __future__ import annotations

import importlib
import pkgutil
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from ..errors import InputError, reason

if TYPE_CHECKING:
    from ..models import ModelCard
    from .base import Problem

# Files here that hold no problem.
OTHERS = ("base", "ranges", "recipes")
# Under which other packages offer problems of theirs.
ENTRY_POINTS = "mcnn_keras.problems"
_CLASSES = {
    "Denoise": "denoise", "Laplacian": "laplacian", "Paired": "paired", "Phase": "phase",
    "Problem": "base", "Reflection": "reflection", "Sample": "base", "as_problem": "base",
}  # fmt: skip

__all__ = [
    "Denoise", "Laplacian", "Paired", "Phase", "Problem", "Reflection", "Sample", "as_problem",
    "from_card", "from_config", "kind", "make", "names", "offered",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _CLASSES:  # imported when first used, as all of them bring TensorFlow
        return getattr(importlib.import_module(f".{_CLASSES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def names() -> list[str]:
    """The problems of this package; none of them is imported."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name not in OTHERS)


def offered() -> dict[str, EntryPoint]:
    """The problems of other packages, by name: entry points that have not been loaded."""
    return {point.name: point for point in entry_points(group=ENTRY_POINTS)}


def kind(name: str) -> Any:
    """The class of a problem, by its name.

    Raises
    ------
    InputError
        If it is not known, or another package's cannot be imported.
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
    """A problem by its name: one of this package's, or one that another package offers.

    Parameters
    ----------
    name : str
    **arguments
        Of its constructor.

    Raises
    ------
    InputError
        If it is not known, or cannot be made.
    """
    return _made(name, kind(name), arguments)


def from_config(name: str, config: dict[str, Any]) -> Problem:
    """The problem that a configuration, as `Problem.config` tells it, describes.

    Raises
    ------
    InputError
        If it is not known, or cannot be made.
    """
    found = kind(name)
    if not hasattr(found, "from_config"):
        return make(name, **config)
    return _made(name, found.from_config, {"config": config})


def from_card(card: ModelCard) -> Problem:
    """The problem that a model was trained on, with its ranges, from the model's card.

    Raises
    ------
    InputError
        If it is a problem of the user's own, which only the user's code knows.
    """
    return from_config(card.problem, card.config)


def _made(name: str, maker: Any, arguments: dict[str, Any]) -> Problem:
    from .base import as_problem

    try:
        return as_problem(maker(**arguments))
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"the problem {name!r} cannot be made ({reason(error)})") from None
