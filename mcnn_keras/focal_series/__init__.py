"""Focal series: images of one object at several planes, and methods that retrieve its phase.

files -> series (planes, corrected) -> registration -> reconstruct (methods by name) -> comparison
"""

from __future__ import annotations

from .ctf import ctf_phase
from .gaussian_process import gp_tie
from .iterative import iterative_phase
from .multi_focus import multi_focus_tie
from .series import FocalSeries, corrected, exponential_planes, read_focal_series
from .tie import best_tie, tie
from .variational import variational_phase

__all__ = [
    "FocalSeries", "best_tie", "corrected", "ctf_phase", "exponential_planes", "gp_tie",
    "iterative_phase", "multi_focus_tie", "read_focal_series", "tie", "variational_phase",
]  # fmt: skip
