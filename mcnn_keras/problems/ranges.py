"""Ranges of quantities that vary between samples, by name; an argument of problems."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ..errors import InputError

Ranges = dict[str, tuple[float, float]]


def checked_ranges(
    given: Mapping[str, Sequence[float]] | None, defaults: Mapping[str, Sequence[float]]
) -> Ranges:
    """A problem's ranges: its defaults, and the given ones that replace them.

    Parameters
    ----------
    given : dict of str to (float, float), optional
        Lowest and highest value, by name.
    defaults : dict of str to (float, float)
        All ranges of the problem.

    Raises
    ------
    InputError
        If a name is not known, or a range is not from low to high.
    """
    found: Ranges = {name: (float(low), float(high)) for name, (low, high) in defaults.items()}
    for name, limits in (given or {}).items():
        if name not in defaults:
            raise InputError(
                f"the range {name!r} is not known; choose from {', '.join(sorted(defaults))}"
            )
        if len(limits) != 2 or not all(map(math.isfinite, limits)) or limits[0] > limits[1]:
            raise InputError(
                f"the range {name} of {' '.join(map(str, limits))} is not from low to high; give "
                f"for example {found[name][0]:g} {found[name][1]:g}"
            )
        found[name] = (float(limits[0]), float(limits[1]))
    return found
