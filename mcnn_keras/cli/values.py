"""Kinds of values of options, beside those of click."""

from __future__ import annotations

from typing import Any

import click


class Number(click.ParamType):
    """A number, without a unit."""

    name = "number"

    def __init__(self, unit: str, example: str) -> None:
        self.unit, self.example = unit, example

    def convert(self, value: Any, param: Any, context: Any) -> float:
        """The number."""
        try:
            return float(value)
        except ValueError:
            self.fail(
                f"{value!r} is not a number; give it in {self.unit}, without the unit, for example "
                f"{self.example}", param, context,
            )  # fmt: skip


class Aperture(click.ParamType):
    """A numerical aperture, or 'none' for all waves."""

    name = "number or none"

    def convert(self, value: Any, param: Any, context: Any) -> Any:
        """The number, or infinity for none."""
        if str(value).lower() == "none":
            return float("inf")
        return click.FLOAT.convert(value, param, context)
