"""The command line: a thin layer over the library, which is imported inside each command."""

from __future__ import annotations

import errno
import functools
import os
import re
import signal
import sys
import warnings
from typing import Any

import click

from ..errors import InputError, TrainingStopped, reason
from ..version import version_of
from .app import app
from .calibrate import calibrate
from .compare import compare
from .doctor import doctor
from .evaluate import evaluate, models
from .example import example
from .export import export
from .info import info
from .phase import phase
from .predict import denoise, predict
from .reconstruct import reconstruct
from .simulate import simulate
from .telling import Telling, ask, telling
from .train import train

# Errors of reading and writing that no program can help.
OF_THE_DISK = (
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO,
    errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP,
)  # fmt: skip


def _show_versions(context: click.Context, _: Any, asked: bool) -> None:
    """Print the versions of this package, TensorFlow and Keras, without importing them."""
    if asked and not context.resilient_parsing:
        names = ("mcnn-keras", "tensorflow", "keras")
        click.echo(", ".join(f"{name} {version_of(name)}" for name in names))
        context.exit()


class _Group(click.Group):
    """Commands whose errors click would take for the user's wish to end."""

    def invoke(self, context: click.Context) -> Any:
        """Run a command; a file that ends early is an error of input."""
        try:
            return super().invoke(context)
        except EOFError as error:
            raise InputError(f"a file ends early ({reason(error)}); is it still written?") from None
        except BrokenPipeError:  # who listened has gone, `| head` say: end as other programs do
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            context.exit(128 + signal.SIGPIPE)


@click.group(
    cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_show_versions,
    help="Show the versions and exit.",
)  # fmt: skip
@click.option(
    "--quiet", is_flag=True, expose_value=False, is_eager=True, callback=ask,
    help="Do not print progress, or messages about what was done.",
)  # fmt: skip
@click.option(
    "--json", is_flag=True, expose_value=False, is_eager=True, callback=ask,
    help="Print the results as one JSON object at the end, instead of text.",
)  # fmt: skip
@click.pass_context
def cli(context: click.Context) -> None:
    """Multi-scale convolutional networks for inverse problems.

    Denoise frames and retrieve phases with the models that come with the package, or train your
    own on simulated or measured pairs. Start with the first of these commands:

    \b
      mcnn-keras example
      mcnn-keras denoise frames.tif --output clean.tif
      mcnn-keras phase stack.tif --defocus -52,52 --wavelength 0.65 --output phase.tif
      mcnn-keras train phase --defocus -108 --output runs/cells
    """
    tell = telling()
    tell.command = tell.command or context.invoked_subcommand  # for `example`: the outer command


for command in (
    example, phase, denoise, predict, train, reconstruct, compare, evaluate, simulate, models, info,
    export, calibrate, doctor, app,
):  # fmt: skip
    cli.add_command(command)


def main(args: list[str] | None = None) -> None:
    """Run a command. Exit status: 0 done, 2 wrong input, 130 interrupted, 1 a bug."""
    # Users of this package need none of TensorFlow's start-up messages.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    tell = Telling()
    warnings.showwarning = functools.partial(_show_warning, tell)
    try:
        status = cli.main(args=args, prog_name="mcnn-keras", standalone_mode=False, obj=tell)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        status = 2
    except click.MissingParameter as error:
        status = _fail(tell, error.format_message().rstrip(" .") + _example(error.ctx))
    except click.ClickException as error:
        status = _fail(tell, error.format_message())
    except (InputError, TrainingStopped) as error:
        status = _fail(tell, str(error))
    except OSError as error:
        if error.errno not in OF_THE_DISK:
            raise
        what = str(error.filename or "a file")[:200]
        status = _fail(tell, f"{what} cannot be written or read: {error.strerror}")
    except (click.Abort, KeyboardInterrupt) as interrupt:
        # Click wraps the exception of the command, whose text may say how to resume.
        tell.error(f"Interrupted. {interrupt.__cause__ or interrupt}".strip(), kind="")
        status = 130
    try:
        tell.close(status or 0)
        sys.stdout.flush()
    except BrokenPipeError:  # who listened has gone: nothing is left to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(status or 0)


def _example(context: click.Context | None) -> str:
    """The first example of a command's help, to stand behind an error; "." without one."""
    told = context.command.help or "" if context else ""
    lines = " ".join(re.sub(r"\\\n", "", told).split("Example", 1)[-1].splitlines()[1:2]).split()
    return f". For example: {' '.join(lines)}" if lines[:1] == ["mcnn-keras"] else "."


def _fail(tell: Telling, message: str) -> int:
    tell.error(" ".join(message.split()))
    return 2


def _show_warning(tell: Telling, message: Any, category: type[Warning], *_: Any, **__: Any) -> None:
    if issubclass(category, UserWarning):
        tell.warn(str(message))
