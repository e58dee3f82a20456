"""The inverse problems; a new one is one new file."""

from ..errors import InputError
from .base import Problem
from .denoise import Denoise
from .laplacian import Laplacian
from .paired import Paired
from .phase import Phase

PROBLEMS = {"phase": Phase, "denoise": Denoise, "laplacian": Laplacian, "paired": Paired}


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
    name = card["problem"]["name"]
    if name not in PROBLEMS:
        raise InputError(
            f"the model was trained on the problem {name!r}, which is not among "
            f"{', '.join(PROBLEMS)}; pass the problem object in Python instead"
        )
    return PROBLEMS[name].from_config(card["problem"]["config"])


__all__ = ["PROBLEMS", "Denoise", "Laplacian", "Paired", "Phase", "Problem", "from_card"]
