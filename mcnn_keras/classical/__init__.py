"""Classical methods, to compare the networks with. NumPy alone."""

from .tie import best_tie, tie

__all__ = ["best_tie", "tie"]
