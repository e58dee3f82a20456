"""Errors that the user can fix, each reported in one line."""

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
