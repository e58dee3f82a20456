"""What JSON may hold where a card or a run's configuration is read: small checks, put together.

A check is a function (value, place) that raises a `ValueError` of one line where the value is not
what is expected there; the place names the field, such as ``network.filters[2]``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Check = Callable[[Any, str], None]

# Of the text that is parsed at all, in bytes, and of how deep JSON may be nested: a card tells of
# each training that its weights come from inside that of the next.
LONGEST, DEEPEST = 2**24, 200
# Finite, and its square is finite, too.
LARGEST = 1e150


def parsed(text: Any) -> Any:
    """What JSON tells.

    Raises
    ------
    ValueError
        If it is no JSON, or too long or too deep for what this package writes.
    """
    if not isinstance(text, (str, bytes)):
        raise ValueError(f"it is {_shown(text)}, not a text")
    if len(text) > LONGEST:
        raise ValueError(f"it has {len(text)} characters; at most {LONGEST} are expected")
    try:
        told = json.loads(text)
    except RecursionError:
        raise ValueError(f"it is nested more than {DEEPEST} deep") from None
    anything(told, "it")
    return told


def whole(low: int, high: int) -> Check:
    """A whole number within limits."""

    def check(value: Any, place: str) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise _unfit(place, value, f"a whole number of {low} to {high}")

    return check


def number(low: float = -LARGEST, high: float = LARGEST) -> Check:
    """A finite number within limits, which may be whole."""

    def check(value: Any, place: str) -> None:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise _unfit(place, value, "a number")
        if not low <= value <= high:  # NaN is in no limits
            raise _unfit(place, value, f"a number of {low:g} to {high:g}")

    return check


def flag(value: Any, place: str) -> None:
    """True or false."""
    if not isinstance(value, bool):
        raise _unfit(place, value, "true or false")


def text(longest: int = 10_000, least: int = 0) -> Check:
    """A text of limited length."""

    def check(value: Any, place: str) -> None:
        if not isinstance(value, str) or not least <= len(value) <= longest:
            raise _unfit(place, value, f"a text of {least} to {longest} characters")

    return check


def one_of(*choices: Any) -> Check:
    """One of some values of the same type."""

    def check(value: Any, place: str) -> None:
        if not any(type(value) is type(c) and value == c for c in choices):
            offered = ", ".join(json.dumps(choice) for choice in choices)
            raise _unfit(place, value, f"one of {offered}")

    return check


def optional(inner: Check) -> Check:
    """Null, or what another check lets pass."""

    def check(value: Any, place: str) -> None:
        if value is not None:
            inner(value, place)

    return check


def several(inner: Check, least: int = 1, most: int = 2**16) -> Check:
    """A list of limited length."""

    def check(value: Any, place: str) -> None:
        if not isinstance(value, (list, tuple)) or not least <= len(value) <= most:
            raise _unfit(place, value, f"a list of {least} to {most} values")
        for i, one in enumerate(value):
            inner(one, f"{place}[{i}]")

    return check


def either(*inner: Check) -> Check:
    """What one of some checks lets pass; the last one tells what is wrong."""

    def check(value: Any, place: str) -> None:
        for one in inner[:-1]:
            try:
                return one(value, place)
            except ValueError:
                continue
        return inner[-1](value, place)

    return check


def table(inner: Check) -> Check:
    """An object of any names whose values are alike."""

    def check(value: Any, place: str) -> None:
        if not isinstance(value, Mapping):
            raise _unfit(place, value, "an object")
        for name, one in value.items():
            inner(one, f"{place}.{name}")

    return check


def fields(
    known: Mapping[str, Check], needed: Iterable[str] = (), others: Check | None = None
) -> Check:
    """An object whose names are known; others are refused, or checked alike."""
    needed = tuple(needed)

    def check(value: Any, place: str) -> None:
        if not isinstance(value, Mapping):
            raise _unfit(place, value, "an object")
        within = f"{place}." if place else ""
        for name in needed:
            if name not in value:
                raise ValueError(f"{within}{name} is missing")
        for name, one in value.items():
            if name in known:
                known[name](one, f"{within}{name}")
            elif others is None:
                raise ValueError(f"{within}{_shown(name)} is not known")
            else:
                others(one, f"{within}{name}")

    return check


def anything(value: Any, place: str) -> None:
    """Any JSON, nested as deep as this package may write it."""
    level, depth = [value], 0
    while level:
        if depth > DEEPEST:
            raise ValueError(f"{place} is nested more than {DEEPEST} deep")
        level = [
            inner
            for one in level
            if isinstance(one, (Mapping, list, tuple))
            for inner in (one.values() if isinstance(one, Mapping) else one)
        ]
        depth += 1


def _unfit(place: str, value: Any, expected: str) -> ValueError:
    return ValueError(f"{place} is {_shown(value)}; {expected} is expected")


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)}"
    if isinstance(value, int) and abs(value) > 10**30:
        return "a huge number"
    told = repr(value)
    return told if len(told) <= 40 else f"{told[:37]}..."
