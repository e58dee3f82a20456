"""Watch a folder for files that a microscope writes: each is inverted when it is complete."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError, reason
from ..files import open_recording
from ..files.formats import is_image_file
from ..files.own import made_here
from ..models import ModelCard
from ..models.saving import load
from .engines import engine_of
from .planning import plan, result_name
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
        Folders of the images and of the results. Results that are newer than their images are not
        made again.
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
                if result.exists() and result.stat().st_mtime_ns >= stamp[1]:
                    continue
                _require_whole(path, force)
                jobs = plan(model, card, [str(path)], result, frames, defocus, force)
                execute(model, jobs, engine=engine, **options)
                # The time of the image when it was read; it may have grown since.
                os.utime(result, ns=(stamp[1], stamp[1]))
                say(f"wrote {result}")
            except (InputError, OSError) as error:
                say(f"failed: {error}; the next try is when the file changes")
        time.sleep(PAUSE)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        told = path.stat()
    except OSError:  # the file was removed
        return None
    return told.st_size, told.st_mtime_ns


def _require_whole(path: Path, force: bool) -> None:
    """Raise an error unless the last image of the file can be read."""
    with open_recording(path, force) as recording:
        recording.read(len(recording) - 1, len(recording))


def _images_in(folder: Path, known: dict[Path, tuple[Any, bool]]) -> list[Path]:
    """A folder's images but for results and pictures of this package; `known` spares a look."""
    found = []
    for path in sorted(p for p in folder.iterdir() if is_image_file(p)):
        stamp = _stamp(path)
        if path not in known or known[path][0] != stamp:
            known[path] = (stamp, bool(made_here(path)))
        if not known[path][1]:
            found.append(path)
    return found


def _name(path: Path, images: Sequence[Path], output: Path) -> str:
    """The name of the result; files that differ only in extension keep it in the name.

    A result that was there before the second of them keeps its name: it bears its image's time.
    """
    name = result_name((str(path),))
    stem = Path(name).stem
    twins = [p for p in images if p != path and Path(result_name((str(p),))).stem == stem]
    before, stamp = _stamp(output / name), _stamp(path)
    if not twins or (before and stamp and before[1] == stamp[1]):
        return name
    return result_name((str(path),), whole=True)
