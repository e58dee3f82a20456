"""Watch a folder for files that a microscope writes: each is inverted when it is complete."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError, reason
from ..files import open_recording
from ..files.fingerprint import fingerprint
from ..files.formats import is_image_file
from ..files.locking import locked
from ..files.own import made_here
from ..files.recording import frames_at_once
from ..models import ModelCard
from ..models.saving import load
from .asked import require_apart
from .engines import engine_of
from .finished import noted
from .names import without_parts
from .planning import plan, result_name
from .spool import settings_of, stamp_of
from .stream import THERE, execute

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
    axes: str | None = None,
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
    axes : str, optional
        As for `plan`.
    **options
        Options of `execute`.
    """
    if output.resolve() == folder.resolve():
        raise InputError(
            f"the output folder is the folder of the images, {folder}; name another output"
        )
    with locked(output, inside=True):
        _watch(
            model, card, folder, output, frames, defocus, force, stop, say, engine, axes, options
        )


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
    axes: str | None,
    options: dict[str, Any],
) -> None:
    engine = engine or engine_of(load(model, options.get("precision", "float32")))
    tell = _Telling(say)
    seen: dict[Path, tuple[Any, float]] = {}
    done: dict[Path, Any] = {}
    known: dict[Path, tuple[Any, bool]] = {}
    while not stop():
        try:
            images = _images_in(folder, known, output, tell.of_left_out)
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
                near = [p for p in images if p == path or _may_meet(p.stem, path.stem)]
                require_apart(
                    [(p, output / _name(p, images, output)) for p in near],
                    bool(options.get("uncertainty")),
                )
                _require_whole(path, force)
                jobs = plan(model, card, [str(path)], result, frames, defocus, force, tell, axes)
                # What was finished, or begun, of this very image is not made again.
                execute(model, jobs, tell, engine, **{**options, "resume": True})
                if _stamp(path) != stamp:  # it has grown since: that result is not the last
                    done.pop(path)
            except (InputError, OSError) as error:
                tell(f"failed: {error}; the next try is when the file changes")
        tell.rest()
        time.sleep(PAUSE)


def _may_meet(stem: str, other: str) -> bool:
    """Whether what is written for files of these names can have the same name."""
    return stem.startswith(other) or other.startswith(stem)


class _Telling:
    """Lines for the user; of several results that are there already, only their number."""

    def __init__(self, say: Callable[[str], Any]) -> None:
        self._say = say
        self._there: list[str] = []
        self._left_out: set[Path] = set()

    def __call__(self, line: str) -> None:
        if line.endswith(f" {THERE}"):
            self._there.append(line)
        else:
            self.rest()
            self._say(line)

    def rest(self) -> None:
        """Tell what is left to tell."""
        if self._there:
            count = len(self._there)
            self._say(self._there[0] if count == 1 else f"{count} results are there already")
            self._there.clear()

    def of_left_out(self, emi: Path) -> None:
        """Tell once of a .emi whose images are taken from its .ser files, and what it says."""
        if emi not in self._left_out:
            self._left_out.add(emi)
            self(f"left out: {emi}; its images are taken from its .ser files")
            try:
                open_recording(emi).__exit__()
            except InputError as error:
                self(f"Warning: {error}")


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


def _images_in(
    folder: Path,
    known: dict[Path, tuple[Any, bool]],
    output: Path,
    left_out: Callable[[Path], Any] = lambda emi: None,
) -> list[Path]:
    """A folder's images but for results and pictures of this package; `known` spares a look.

    A .ser file that has a result already stays, and `left_out` is told the .emi that appears later.
    """
    found = []
    for path in sorted(p for p in folder.iterdir() if is_image_file(p)):
        stamp = _stamp(path)
        if path not in known or known[path][0] != stamp:
            known[path] = (stamp, bool(made_here(path)))
        if not known[path][1]:
            found.append(path)

    def has_result(path: Path) -> bool:
        return any(_is_from(output / name, path) for name in _names(path))

    kept = without_parts(found, taken=has_result)
    for path in found:
        if path.suffix.lower() == ".emi" and path not in kept:
            left_out(path)
    return kept


def _names(path: Path) -> tuple[str, str]:
    """The name of a file's result, and the name where another file takes that."""
    return result_name((str(path),)), result_name((str(path),), whole=True)


def _is_from(result: Path, path: Path) -> bool | None:
    """Whether a result was made, or begun, from this file; None where there is nothing of it."""
    made_from = noted(result).get("inputs")
    if made_from is not None:
        return made_from == [path.name]
    with contextlib.suppress(OSError):
        if settings_of(result).get("files") == [fingerprint(path)]:
            return True
    return None


def _name(path: Path, images: Sequence[Path], output: Path) -> str:
    """The name of the result; files that differ only in extension keep it in the name.

    A result that is there, or begun, keeps its name for the file that it is made from, and for no
    other.
    """
    name, whole = _names(path)
    own = _is_from(output / name, path)
    if own is not None:
        return name if own else whole
    stem = Path(name).stem
    twins = [p for p in images if p != path and Path(result_name((str(p),))).stem == stem]
    return whole if twins else name
