"""Watch a folder for files that a microscope writes: each is inverted when it is complete."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError, reason
from ..files import open_recording
from ..files.formats import is_image_file
from ..files.locking import locked
from ..files.own import made_here
from ..files.recording import frames_at_once
from ..models import ModelCard
from ..models.saving import load
from .engines import engine_of
from .finished import noted
from .names import without_parts
from .planning import plan, result_name
from .spool import stamp_of
from .stream import execute

# A file is complete when it has not changed for this time, in seconds, and can be read.
REST = 2.0
PAUSE = 0.5


def watch(
    model: str | Path,
    card: ModelCard,
    folder: Path,
    output: Path,
    frames: list[int] | None = None,
    defocus: Sequence[float] | None = None,
    force: bool = False,
    stop: Callable[[], bool] = lambda: False,
    say: Callable[[str], Any] = print,
    engine: Any = None,
    **options: Any,
) -> None:
    """Invert the images in a folder, and new images, until interrupted.

    Parameters
    ----------
    model : str or Path
    card : ModelCard
        Card of the model.
    folder, output : Path
        Where images appear, and where their results go. Results that were made from the images as
        they are now are not made again; those of images that have changed are.
    frames : list of int, optional
        Which images of each file to use.
    defocus : sequence of float, optional
        The plane of each image, for a phase model.
    force : bool
        Treat as images what a file says is none.
    stop : callable
        Called in each round; True ends the watch.
    say : callable
        Called with each line for the user.
    engine : engine, optional
        By default TensorFlow.
    **options
        Options of `execute`.
    """
    if output.resolve() == folder.resolve():
        raise InputError(
            f"the output folder is the folder of the images, {folder}; name another output"
        )
    with locked(output, inside=True):
        _watch(model, card, folder, output, frames, defocus, force, stop, say, engine, options)


def _watch(
    model: str | Path,
    card: ModelCard,
    folder: Path,
    output: Path,
    frames: list[int] | None,
    defocus: Sequence[float] | None,
    force: bool,
    stop: Callable[[], bool],
    say: Callable[[str], Any],
    engine: Any,
    options: dict[str, Any],
) -> None:
    engine = engine or engine_of(load(model, options.get("precision", "float32")))
    seen: dict[Path, tuple[Any, float]] = {}
    done: dict[Path, Any] = {}
    known: dict[Path, tuple[Any, bool]] = {}
    while not stop():
        try:
            images = _images_in(folder, known)
        except OSError as error:
            raise InputError(f"{folder} can no longer be read ({reason(error)})") from None
        for path in images:
            stamp = _stamp(path)
            if stamp is None or done.get(path) == stamp:
                continue
            changed, since = seen.get(path, (None, 0.0))
            if changed != stamp:
                seen[path] = (stamp, time.monotonic())
                continue
            if time.monotonic() - since < REST:
                continue
            done[path] = stamp  # until it changes
            result = output / _name(path, images, output)
            try:
                _require_whole(path, force)
                jobs = plan(model, card, [str(path)], result, frames, defocus, force, say)
                # What was finished, or begun, of this very image is not made again.
                execute(model, jobs, say, engine, **{**options, "resume": True})
                if _stamp(path) != stamp:  # it has grown since: that result is not the last
                    done.pop(path)
            except (InputError, OSError) as error:
                say(f"failed: {error}; the next try is when the file changes")
        time.sleep(PAUSE)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        return stamp_of(path)
    except OSError:  # gone again
        return None


def _require_whole(path: Path, force: bool) -> None:
    """Raise an error unless all images of the file can be read."""
    with open_recording(path, force) as recording:
        each = frames_at_once((len(recording), *recording.size))
        for start in range(0, len(recording), each):
            recording.read(start, min(start + each, len(recording)), finite=False)


def _images_in(folder: Path, known: dict[Path, tuple[Any, bool]]) -> list[Path]:
    """A folder's images but for results and pictures of this package; `known` spares a look."""
    found = []
    for path in sorted(p for p in folder.iterdir() if is_image_file(p)):
        stamp = _stamp(path)
        if path not in known or known[path][0] != stamp:
            known[path] = (stamp, bool(made_here(path)))
        if not known[path][1]:
            found.append(path)
    return without_parts(found)


def _name(path: Path, images: Sequence[Path], output: Path) -> str:
    """The name of the result; files that differ only in extension keep it in the name.

    A result that is there keeps its name for the file that it was made from, and for no other.
    """
    name, whole = (result_name((str(path),), whole) for whole in (False, True))
    made_from = noted(output / name).get("inputs")
    if made_from is not None:
        return name if made_from == [path.name] else whole
    stem = Path(name).stem
    twins = [p for p in images if p != path and Path(result_name((str(p),))).stem == stem]
    return whole if twins else name
