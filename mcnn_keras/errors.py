"""What can be wrong with the user's input, told in one line."""

from __future__ import annotations


class InputError(ValueError):
    """Input that the user can mend: what was received, what was expected, how to mend it.

    The command line prints it as one line, ``Error: ...``, and exits with status 2.
    """


class TrainingStopped(RuntimeError):
    """Training that cannot go on usefully: the loss is not a number, or the answer collapsed."""


def reason(error: object) -> str:
    """The first line of what a library's own error says, to quote in one of ours."""
    lines = str(error).splitlines()
    return lines[0][:120] if lines else type(error).__name__
