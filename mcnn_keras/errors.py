"""Errors that the user can fix, each reported in one line, and texts that are safe to show."""

from __future__ import annotations


class InputError(ValueError):
    """Input that the user can fix: the message says what was received and what is expected.

    The command line prints it as one line, ``Error: ...``, and exits with status 2.
    """


class NotFinite(InputError):
    """A network's answer that holds NaN or infinity."""


class NewerFormat(InputError):
    """A file of a format that a later version of this package writes."""


class TrainingStopped(RuntimeError):
    """Training cannot continue: loss or weights are not finite, the output is constant, or memory
    or disk space is missing."""


def reason(error: object) -> str:
    """The first line of another library's error, to quote in an error message."""
    lines = str(error).splitlines()
    return lines[0][:120] if lines else type(error).__name__


def visible(text: str) -> str:
    """The text with control characters spelled out: names and titles of files may hold any."""
    return "".join(c if c.isprintable() or c in "\n\t\xa0" else ascii(c)[1:-1] for c in text)
