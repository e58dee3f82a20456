"""The axes of arrays whose files state none, as the user tells them: 'tyx', 'yxc'."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np

from ..errors import InputError
from .recording import LETTERS, Axis, Recording

NAMES = {letter: name for name, letter in LETTERS.items()}


def with_axes_told(recording: Recording, letters: str) -> Recording:
    """A recording of the same array with the axes that are told; height and width become the last.

    Parameters
    ----------
    recording : Recording
        Of a file that states no axes.
    letters : str
        One for each axis: y and x for height and width, t for time, c for channels, z for planes,
        any others for axes that count images.

    Raises
    ------
    InputError
        If the file states its axes, or the letters do not fit.
    """
    path, shape, letters = recording.path, recording.guessed, letters.lower()
    if not shape:
        raise InputError(f"{path} states its axes itself; leave --axes {letters} out")
    if len(letters) != len(shape) or len({*letters}) < len(letters) or not {"y", "x"} <= {*letters}:
        raise InputError(
            f"--axes {letters!r} was given for {path}, an array of shape {shape}; give one letter "
            "for each axis, including y and x, for example tyx"
        )
    order = [i for i, c in enumerate(letters) if c not in "yx"]
    order += [letters.index("y"), letters.index("x")]
    axes = tuple(Axis(NAMES.get(letters[i], letters[i]), shape[i]) for i in order)
    data = recording.data if order == sorted(order) else Moved(recording, shape, order)
    return replace(recording, data=data, axes=axes, guessed=())


class Moved:
    """The frames of an array with its axes in another order; read as a whole, once."""

    def __init__(self, recording: Recording, shape: Sequence[int], order: Sequence[int]) -> None:
        self._data, self._full, self._order = recording.data, tuple(shape), tuple(order)
        *outer, height, width = (shape[i] for i in order)
        self.shape = (int(np.prod(outer, dtype=np.int64)), height, width)
        self.dtype, self.ndim = np.dtype(recording.dtype), 3
        self.nbytes = int(np.prod(shape, dtype=np.int64)) * self.dtype.itemsize

    @cached_property
    def _frames(self) -> np.ndarray:
        stored = np.asarray(self._data[0 : self._data.shape[0]]).reshape(self._full)
        return stored.transpose(self._order).reshape(self.shape)

    def __getitem__(self, frames: slice) -> np.ndarray:
        return self._frames[frames]
