"""Where a report may go."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from ..errors import InputError
from ..files import require_free
from ..files.locking import locked
from ..files.own import made_here

ENDING = ".html"


def require_report(
    path: str | Path | None,
    sources: Iterable[str | Path] = (),
    results: Iterable[str | Path] = (),
    overwrite: bool = False,
    resume: bool = False,
) -> None:
    """Refuse a report that would replace an input or a file that is there.

    Parameters
    ----------
    path : Path or None
        The report; None for no report.
    sources : iterable of str or Path
        Inputs, models, truths.
    results : iterable of str or Path
        What else is written: a report inside of a result, such as a .zarr, would be lost.
    overwrite : bool
        Whether any file that is there may be replaced.
    resume : bool
        Whether a report of this program may be.

    Raises
    ------
    InputError
    """
    if path is None:
        return
    path = Path(path)
    if path.suffix.lower() != ENDING:
        raise InputError(
            f"the report {path} has the extension {path.suffix or 'none'}; name a .html file"
        )
    if path.is_dir():
        raise InputError(f"the report {path} is a folder; name a .html file")
    place = path.resolve()
    for result in results:
        if Path(result).resolve() in (place, *place.parents):
            raise InputError(f"the report {path} would lie in the result {result}; name another")
    own = resume and os.path.lexists(path) and bool(made_here(path)) and not path.is_symlink()
    require_free([path], sources, overwrite or own)
    with locked(path):  # a folder that may not be written is found now
        pass
