"""mcnn-keras app."""

from __future__ import annotations

import click

from .telling import telling


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="[default: a free one]")
@click.option(
    "--host", default="127.0.0.1", show_default=True, metavar="ADDRESS",
    help="The address to listen at; any other opens your files to the network.",
)  # fmt: skip
@click.option(
    "--largest", type=float, default=2.0, show_default=True, metavar="GB",
    help="Size of an uploaded file at most.",
)  # fmt: skip
@click.option("--browser/--no-browser", default=True, help="Open the page in a browser.")
def app(port: int, host: str, largest: float, browser: bool) -> None:
    """Denoise and retrieve phases in a page of your browser, without further commands.

    The page is for you alone, on this machine: its address holds a key that changes with each
    start. Choose or drop files, or name a file or folder of this machine; look at the images before
    and after, and download the results. It needs no network. Ctrl-C ends it and removes what it
    has kept.

    \b
    Examples:
      mcnn-keras app
      mcnn-keras app --port 8600 --no-browser
    """
    from ..errors import InputError

    if not 0 < largest < 1e6:
        raise InputError(
            f"--largest {largest:g} is no size of a file; give it in GB, for example 8"
        )
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError:
        raise InputError('the page needs the extra app; pip install "mcnn-keras[app]"') from None
    from ..app.guard import LOCAL
    from ..app.server import serve

    tell = telling()
    if host not in LOCAL:
        tell.warn(
            f"--host {host}: whoever on the network has the address can read and write your files, "
            "and it is sent without encryption; better leave it out, and use ssh -L"
        )

    def say(line: str) -> None:
        click.echo(line, err=tell.json)  # what is needed now, and not at the end

    serve(run, host, port, int(largest * 1e9), browser, say)


def run(words: list[str]) -> None:
    """The command line, for the process that computes."""
    from . import main

    main(words)
