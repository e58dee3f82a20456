"""The inverse problems; a new one is one new file, or another package's entry point."""

from importlib.metadata import entry_points

from ..errors import InputError, reason
from .base import Problem, as_problem
from .denoise import Denoise
from .laplacian import Laplacian
from .paired import Paired
from .phase import Phase
from .reflection import Reflection

PROBLEMS = {
    "phase": Phase, "denoise": Denoise, "reflection": Reflection, "laplacian": Laplacian,
    "paired": Paired,
}  # fmt: skip
# Under which other packages offer problems of theirs.
ENTRY_POINTS = "mcnn_keras.problems"


def offered():
    """The problems of other packages, by name: entry points that have not been loaded."""
    return {point.name: point for point in entry_points(group=ENTRY_POINTS)}


def make(name, from_config=False, **arguments):
    """A problem by its name: one of this package's, or one that another package offers.

    Parameters
    ----------
    name : str
    from_config : bool
        The arguments are a configuration that the problem told of itself.
    **arguments
        Of its constructor.

    Raises
    ------
    InputError
        If it is not known, or cannot be made.
    """
    if name in PROBLEMS:
        return PROBLEMS[name](**arguments)
    points = offered()
    if name not in points:
        raise InputError(
            f"the problem {name!r} is not known; choose from {', '.join([*PROBLEMS, *points])}"
        )
    try:
        kind = points[name].load()
        return as_problem(getattr(kind, "from_config", lambda a: kind(**a))(arguments)
                          if from_config else kind(**arguments))  # fmt: skip
    except InputError:
        raise
    except Exception as error:  # whatever another package's code raises
        raise InputError(
            f"the problem {name!r} of {points[name].value} cannot be made ({reason(error)})"
        ) from None


def from_card(card):
    """The problem that a model was trained on, from the model's card.

    Parameters
    ----------
    card : dict
        The card of a saved model.

    Raises
    ------
    InputError
        If it is a problem of the user's own, which only the user's code knows.
    """
    name, points = card["problem"]["name"], offered()
    if name not in PROBLEMS and name not in points:
        raise InputError(
            f"the model was trained on the problem {name!r}, which is not among "
            f"{', '.join([*PROBLEMS, *points])}; pass the problem object in Python instead"
        )
    config = card["problem"]["config"]
    if name in PROBLEMS:
        return PROBLEMS[name].from_config(config)
    return make(name, from_config=True, **config)


__all__ = [
    "PROBLEMS", "Denoise", "Laplacian", "Paired", "Phase", "Problem", "Reflection", "as_problem",
    "from_card", "make", "offered",
]  # fmt: skip
