"""The output of commands: lines of text for people, or one JSON object for programs.

A command prints what it did (`done`), what it was asked for (`product`) and warnings (`warn`). Each
call also takes the facts in the text, by name: they make the JSON's `result`. `--quiet` leaves out
what was done.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from .. import progress
from ..errors import visible
from ..version import __version__

# First words of lines from the library that do not report what was done.
WARNING, FAILED, MEASURED = "Warning: ", "failed: ", "measured "


class Telling:
    """The output of one run of the command line.

    Attributes
    ----------
    quiet, json : bool
        The values of the options --quiet and --json.
    command : str or None
        The command, once it is known.
    result : dict
        Facts, by name.
    """

    def __init__(self) -> None:
        self.quiet = self.json = False
        self.command: str | None = None
        self.result: dict[str, Any] = {}
        self.messages: list[str] = []
        self.warnings: list[str] = []
        self.errors: list[str] = []

    def done(self, text: str, err: bool = False, **facts: Any) -> None:
        """Print what was done; with `err`, on standard error."""
        self.facts(**facts)
        self.messages.append(text)
        if not (self.quiet or self.json):
            click.echo(visible(text), err=err)

    def product(self, text: str, **facts: Any) -> None:
        """Print what the command was asked for."""
        self.facts(**facts)
        if not self.json:
            click.echo(visible(text))

    def facts(self, **facts: Any) -> None:
        """Keep facts without printing; lists of the same name are joined."""
        for name, value in facts.items():
            known = self.result.get(name)
            joined = isinstance(known, list) and isinstance(value, list)
            self.result[name] = [*known, *value] if joined else value  # type: ignore[misc]

    def warn(self, text: str) -> None:
        """Print a warning, on standard error."""
        self.warnings.append(text)
        click.echo(WARNING + visible(text), err=True)

    def error(self, text: str, kind: str = "Error: ") -> None:
        """Print what ended the command, or the work on one of its inputs, on standard error."""
        self.errors.append(text)
        click.echo(kind + visible(text), err=True)

    def say(self, text: str) -> None:
        """Print a line from the library; its first word says what kind of line it is."""
        if text.startswith(WARNING):
            self.warn(text.removeprefix(WARNING))
        elif text.startswith(FAILED):
            self.error(text.removeprefix(FAILED), FAILED)
        else:
            self.done(text, err=text.startswith(MEASURED))

    def close(self, status: int) -> None:
        """Print the JSON, if it was asked for and the command has output or failed."""
        if not self.json or not (status or self.result or self.messages):  # e.g. --help
            return
        told = {
            "command": self.command, "version": __version__, "status": status,
            "result": self.result, "messages": self.messages, "warnings": self.warnings,
            "errors": self.errors,
        }  # fmt: skip
        click.echo(json.dumps(_plain(told), indent=2))


def telling() -> Telling:
    """The `Telling` of the running command."""
    context = click.get_current_context(silent=True)
    return (context and context.find_object(Telling)) or Telling()


def ask(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    """Set --quiet or --json; a callback, so that it also applies to wrong commands."""
    if value and parameter.name:
        setattr(context.ensure_object(Telling), parameter.name, True)
        if parameter.name == "quiet":
            context.with_resource(progress.hidden())


def _plain(value: Any) -> Any:
    """The value for JSON: NumPy numbers and paths are converted, NaN and infinity become null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(inner) for inner in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):  # NumPy's, without importing it
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
