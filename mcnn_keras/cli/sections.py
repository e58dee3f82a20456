"""Help of commands with many options: under headings, each option with those of its kind."""

from __future__ import annotations

from typing import Any

import click

# The order of the headings; options of click stand below the last.
ORDER = ("Problem", "Optics", "Samples", "Training", "Network", "Run")
OTHERS = "Help"


class SectionedOption(click.Option):
    """An option that knows its heading.

    Parameters
    ----------
    section : str
        One of `ORDER`.
    """

    def __init__(self, *names: Any, section: str, **settings: Any) -> None:
        super().__init__(*names, **settings)
        self.section = section


class SectionedCommand(click.Command):
    """A command whose help shows its options under headings."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, heading by heading."""
        found: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                found.setdefault(getattr(parameter, "section", OTHERS), []).append(record)
        for section in (*ORDER, OTHERS):
            if section in found:
                with formatter.section(section):
                    formatter.write_dl(found[section])
