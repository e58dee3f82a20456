"""Files that a microscope is writing: each is inverted once it is whole."""

import time

from ..errors import InputError
from ..files import open_recording
from ..files.formats import is_image_file
from .measurements import plan, result_name
from .stream import execute

# A file is whole when it has not changed for so long, and can be read.
REST = 2.0
PAUSE = 0.5


def watch(model, card, folder, output, frames=None, stop=lambda: False, say=print, **options):
    """Invert the images in a folder, and those that are added, until interrupted.

    Parameters
    ----------
    model : str or Path
    card : dict
        Of the model.
    folder, output : Path
        Where images appear, and where their results go. Results that are newer than their images
        are not made again.
    frames : list of int, optional
        Which images of each file to use.
    stop : callable
        Asked in each round whether to end.
    say : callable
        Takes what the user should know.
    **options
        Of `execute`.
    """
    if output.resolve() == folder.resolve():
        raise InputError(f"results cannot go where the images come from, {folder}; name another")
    seen, refused = {}, {}
    while not stop():
        for path in sorted(p for p in folder.iterdir() if is_image_file(p)):
            stamp = _stamp(path)
            if stamp is None or refused.get(path) == stamp:
                continue
            changed, since = seen.get(path, (None, 0.0))
            if changed != stamp:
                seen[path] = (stamp, time.monotonic())
                continue
            if time.monotonic() - since < REST or not _whole(path):
                continue
            try:
                jobs = plan(model, card, [str(path)], output / result_name((str(path),)), frames)
                result = jobs[0].output
                if not (result.exists() and result.stat().st_mtime_ns >= path.stat().st_mtime_ns):
                    execute(model, jobs, **options)
                    say(f"wrote {result}")
            except InputError as error:
                say(f"failed: {error}")
            refused[path] = stamp  # done with, until it changes
        time.sleep(PAUSE)


def _stamp(path):
    try:
        told = path.stat()
    except OSError:  # gone again
        return None
    return told.st_size, told.st_mtime_ns


def _whole(path):
    """Whether all that the file announces is there; half-written ones fail to be read."""
    try:
        with open_recording(path) as recording:
            recording.read(len(recording) - 1, len(recording))
    except Exception:  # not yet, or never; it is tried again when it changes
        return False
    return True
