"""Pixels that are NaN or infinite, found before a network is loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import InputError
from ..files import Recording
from ..files.recording import frames_at_once
from ..models import Frames, ModelCard
from .planning import Job, open_measurements

# Bytes that are looked through at most; reading more takes too long for a look.
MOST = 2**28


def look_for_missing(
    jobs: Sequence[Job], card: ModelCard, say: Callable[[str], Any] = lambda text: None
) -> None:
    """Name frames with pixels that are no numbers; jobs whose model cannot do with them fail.

    Parameters
    ----------
    jobs : list of Job
        Those that cannot be done get the reason as `failed`.
    card : ModelCard
        Of the model.
    say : callable
        Takes a line for each file, of models that leave such pixels out.

    Raises
    ------
    InputError
        If the only job cannot be done.
    """
    left = MOST
    for job in jobs:
        if job.failed:
            continue
        try:
            with open_measurements(job, card) as measurements:
                for recording in measurements.recordings:
                    data = recording.data
                    left -= int(np.prod(data.shape, dtype=np.int64)) * data.dtype.itemsize
                    if recording.dtype.kind != "f" or left < 0:
                        continue
                    told = _told(recording, job.frames)
                    if told and isinstance(card.inputs, Frames):
                        say(f"{recording.path}: {told}")
                    elif told:
                        raise InputError(f"{recording.path}: {told}; fill or cut them first")
        except InputError as error:
            if len(jobs) == 1:
                raise
            job.failed = str(error)


def _told(recording: Recording, frames: Sequence[int] | None) -> str:
    """The frames with such pixels, in words; empty if there are none."""
    found: dict[int, int] = {}
    each = frames_at_once(recording.data.shape[:3])
    for start in range(0, len(recording), each):
        try:
            some = np.asarray(recording.data[start : start + each])
        except Exception:  # of any type for damaged data; told when the frame is read
            continue
        bad = np.count_nonzero(~np.isfinite(some).reshape(len(some), -1), axis=1)
        found.update({start + int(i): int(bad[i]) for i in np.flatnonzero(bad)})
    if not found:
        return ""
    names = [frames[i] if frames else i for i in found]
    count = next(iter(found.values()))
    first = "1 pixel that is" if count == 1 else f"{count} pixels that are"
    shown = ", ".join(map(str, names[:5])) + ", ..." * (len(names) > 5)
    more = f"; so have others, {len(names)} in all ({shown})" if len(names) > 1 else ""
    return f"frame {names[0]} has {first} NaN or infinite{more}"
