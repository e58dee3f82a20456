"""Classical methods, to compare the networks with. NumPy alone."""

from .gaussian_process import gp_tie
from .iterative import iterative_phase
from .multi_focus import multi_focus_tie
from .tie import best_tie, tie
from .variational import variational_phase

__all__ = [
    "best_tie", "gp_tie", "iterative_phase", "multi_focus_tie", "tie", "variational_phase",
]  # fmt: skip
