"""A recording: frames in a file, read on demand, with a description of their axes.

any file -> Recording(data, axes, title) -> frames start..stop, (frames, height, width), float32
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import InputError, reason
from .precision import narrowed, offset_of
from .units import LENGTHS, spelled

# A frame of more pixels is refused before memory is taken: a damaged header can announce any.
MOST_PIXELS = 2**31

# How axes are called in short.
LETTERS = {"time": "t", "channel": "c", "height": "y", "width": "x"}


class Axis(NamedTuple):
    """One axis of a recording. The position at index i is offset + i * scale, in `units`.

    A scale of None means that it is unknown.
    """

    name: str
    size: int
    scale: float | None = None
    offset: float = 0.0
    units: str = ""


def axis(name: Any, size: int, scale: Any = None, offset: Any = 0.0, units: Any = "") -> Axis:
    """An axis from a file's metadata.

    Spellings of units are normalised. A scale that is zero or not finite is dropped, and so is a
    scale of 1 without a unit; a negative one is kept, for an axis that runs the other way.
    """
    units = "" if units is None else spelled(str(units))
    if scale is None or not np.isfinite(scale) or not scale or (abs(scale) == 1 and not units):
        scale, offset, units = None, 0.0, ""
    else:
        scale = float(scale)
    offset = float(offset or 0.0)
    return Axis(str(name or ""), int(size), scale, offset if np.isfinite(offset) else 0.0, units)


def length(axis: Axis, unit: str) -> float | None:
    """The size of an axis's steps in another unit of length, or None if it is unknown.

    Parameters
    ----------
    axis : Axis
    unit : {'m', 'cm', 'mm', 'um', 'nm', 'A', 'pm'}
    """
    if axis.scale is None or axis.units not in LENGTHS:
        return None
    return abs(axis.scale) * LENGTHS[axis.units] / LENGTHS[unit]


def pixel_length(axes: Sequence[Axis], unit: str) -> float | None:
    """The side of a square pixel in a unit of length, or None if it is unknown.

    Parameters
    ----------
    axes : sequence of Axis
        The last two are height and width.
    unit : {'m', 'cm', 'mm', 'um', 'nm', 'A', 'pm'}

    Raises
    ------
    InputError
        If height and width of the pixels differ by more than 3 %.
    """
    height, width = (length(a, unit) for a in axes[-2:])
    if height and width and abs(height / width - 1) > 0.03:
        raise InputError(
            f"the pixels are {height:g} {unit} high and {width:g} wide; scale the images to square "
            "pixels"
        )
    return width


# Size of the frames that are read and passed on together, in bytes.
CHUNK = 2**22


def frames_at_once(shape: Sequence[int]) -> int:
    """How many float32 frames of a (frames, height, width) array to pass on together."""
    return max(1, CHUNK // (4 * shape[1] * shape[2]))


@dataclass
class Recording:
    """Frames of one size in a file.

    Parameters
    ----------
    data : object
        With shape (frames, height, width[, colours]), dtype, and slices [start:stop] of frames;
        an array, or a file's own view of one.
    axes : tuple of Axis
        The outer axes, which the frames run through, then height and width.
    title : str
    path : Path
        The file.
    colour : bool
        Whether the last axis of `data` is colour. `read` averages it to grey.
    notes : tuple of str
        What of the file was not taken, or not kept, a line each, without the file's name.
    kind : str
        What the file says it holds where that is no image, "diffraction patterns" say.
    files : set of Path
        All that hold its frames, where these are several.
    offset : float
        What `read` subtracts from all values, in float64; see `offset_needed`.
    guessed : tuple of int
        The shape of an array whose file states no axes, so that height and width are taken to be
        the last; else empty.
    """

    data: Any
    axes: tuple[Axis, ...]
    title: str = ""
    path: Path = Path()
    colour: bool = False
    _close: Callable[[], Any] | None = field(default=None, repr=False)
    notes: tuple[str, ...] = ()
    kind: str = ""
    files: set[Path] = field(default_factory=set)
    offset: float = 0.0
    guessed: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if len(self.data.shape) != 3 + self.colour or 0 in self.data.shape:
            raise InputError(
                f"{self.path} has shape {tuple(self.data.shape)}; one image (height, width) or a "
                "stack (images, height, width) is expected"
            )

    def __len__(self) -> int:
        return self.data.shape[0]

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *_: object) -> None:
        if self._close is not None:
            self._close()

    @property
    def dtype(self) -> np.dtype:
        """Data type of the values in the file."""
        return np.dtype(self.data.dtype)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return tuple(self.data.shape[1:3])

    def described(self) -> str:
        """What was taken of the file: '12 frames of 128x128, uint16, pixel 0.02 nm, axes t y x'."""
        frames = "1 frame" if len(self) == 1 else f"{len(self)} frames"
        sides = [_side(a) for a in self.axes[-2:]]
        size = " x ".join(dict.fromkeys(sides))
        pixel = "pixel size unknown" if "" in sides else f"pixel {size}"
        letters = " ".join(LETTERS.get(a.name, a.name) or "?" for a in self.axes)
        kind = f"{self.dtype.name}{' colours' * self.colour}"
        return f"{frames} of {self.size[0]}x{self.size[1]}, {kind}, {pixel}, axes {letters}"

    def told(self, known: set[str]) -> list[str]:
        """Lines for the user: what was taken of the file, then its notes.

        Parameters
        ----------
        known : set of str
            What was told of files before, which is not told again; it grows.
        """
        lines = [line for line in (self.described(), *self.notes) if line not in known]
        known.update(lines)
        return [f"{self.path}: {line}" for line in lines]

    def read(
        self,
        start: int = 0,
        stop: int | None = None,
        colours: bool = False,
        finite: bool = True,
    ) -> np.ndarray:
        """Read frames as float32.

        Parameters
        ----------
        start, stop : int
            First frame, and the frame after the last; all frames by default.
        colours : bool
            Keep red, green and blue, (frames, height, width, 3), if the file has colours.
        finite : bool
            Refuse values that are not finite; otherwise they are left to the caller.

        Returns
        -------
        numpy.ndarray
            (frames, height, width), float32.

        Raises
        ------
        InputError
            If the file is damaged, or a value is not finite.
        """
        stop = len(self) if stop is None else stop
        try:
            frames = np.asarray(self.data[start:stop])
            frames = frames - np.float64(self.offset) if self.offset else frames
        except MemoryError:
            raise
        except Exception as error:  # readers raise errors of any type for damaged data
            raise InputError(
                f"{self.path}: frames {start} to {stop - 1} cannot be read ({reason(error)})"
            ) from None
        frames = narrowed(frames, self.path)
        if self.colour:
            frames = frames[..., :3] if colours else grey(frames)
        if finite:
            _require_finite(frames, self.path, start if len(self) > 1 else None)
        return frames

    def offset_needed(self) -> float:
        """What to subtract so that float32 keeps what the frames show; 0 where it does anyway."""
        return offset_of(self.data)

    def read_channels(self) -> np.ndarray:
        """Read the channels of one image: its colours, or the frames of a stack.

        Returns
        -------
        numpy.ndarray
            (height, width, channels), float32, finite.
        """
        if self.colour and len(self) == 1:
            return self.read(colours=True)[0]
        return np.moveaxis(self.read(), 0, -1)

    def chosen(self, frames: Sequence[int]) -> Recording:
        """A recording of the frames with these numbers; the outer axes become one."""
        wrong = [i for i in frames if not 0 <= i < len(self)]
        if wrong:
            raise InputError(
                f"{self.path} has images 0 to {len(self) - 1}, not {wrong[0]}; see --frames"
            )
        axes = (Axis("frame", len(frames)),) if len(frames) > 1 else ()
        return replace(self, data=_Chosen(self.data, list(frames)), axes=axes + self.axes[-2:])


def _side(a: Axis) -> str:
    return "" if a.scale is None else f"{a.scale:.6g} {a.units or '(no unit)'}"


def _require_finite(frames: np.ndarray, path: Path, start: int | None) -> None:
    wrong = ~np.isfinite(frames)
    if wrong.any():
        first = int(np.argmax(wrong.reshape(len(frames), -1).any(axis=1)))
        where = "" if start is None else f" (frame {start + first} is the first with any)"
        raise InputError(
            f"{path} has {np.count_nonzero(wrong)} pixels that are NaN or infinite; fill or cut "
            f"them first{where}"
        )


def grey(array: Any) -> np.ndarray:
    """The mean of the colours in the last axis; transparency is ignored."""
    return array[..., :3].mean(-1) if array.shape[-1] >= 3 else array[..., 0]


def recording_of(
    array: Any,
    path: str | Path,
    axes: Sequence[Axis] | None = None,
    title: str = "",
    colour: bool = False,
    close: Callable[[], Any] | None = None,
) -> Recording:
    """A recording of an array with two or more axes, or of an object that is indexed like one.

    Parameters
    ----------
    array : array-like
        (..., height, width[, colours]), with shape, dtype and indexing by integers and slices.
    path : Path
    axes : sequence of Axis, optional
        One for each axis except colour; without scales by default.
    title, colour :
        As in `Recording`.
    close : callable, optional
        Closes the file.
    """
    shape = tuple(array.shape)
    inner = 2 + colour
    if array.dtype.kind not in "uifb":
        raise InputError(f"{path} holds {array.dtype} values; real numbers are expected")
    if len(shape) < inner:
        raise InputError(
            f"{path} has shape {shape}; one image (height, width) or a stack (images, height, "
            "width) is expected"
        )
    if int(np.prod(shape[-inner:], dtype=object)) > MOST_PIXELS:
        raise InputError(
            f"{path} announces frames of {' x '.join(map(str, shape[-inner:]))} pixels; at most "
            f"{MOST_PIXELS} are read"
        )
    if axes is None:
        names = ("frame",) if len(shape) == inner + 1 else ("",) * (len(shape) - inner)
        axes = [Axis(n, s) for n, s in zip((*names, "height", "width"), shape, strict=False)]
    if len(shape) == inner + 1:
        data = array
    elif len(shape) == inner or hasattr(array, "reshape"):
        data = np.asarray(array[...])[None] if len(shape) == inner else _flat(array, inner)
    else:
        data = _Flattened(array, inner)
    return Recording(data, tuple(axes), title, Path(path), colour, close)


def _flat(array: Any, inner: int) -> Any:
    return array.reshape((-1, *array.shape[-inner:]))


class _Flattened:
    """An array of more than three axes in a file, indexed by frame number."""

    def __init__(self, array: Any, inner: int) -> None:
        self.array, self.outer = array, array.shape[:-inner]
        self.shape = (int(np.prod(self.outer)), *array.shape[-inner:])
        self.dtype = array.dtype

    def __getitem__(self, frames: Any) -> np.ndarray:
        numbers = range(self.shape[0])[frames]
        return np.stack([self.array[tuple(np.unravel_index(i, self.outer))] for i in numbers])


class _Chosen:
    """Chosen frames of a recording, in a given order."""

    def __init__(self, data: Any, frames: list[int]) -> None:
        self.data, self.frames = data, frames
        self.shape, self.dtype = (len(frames), *data.shape[1:]), data.dtype

    def __getitem__(self, frames: Any) -> np.ndarray:
        return np.concatenate([np.asarray(self.data[i : i + 1]) for i in self.frames[frames]])


class RawFrames:
    """Frames stored one after another in a file, read without mapping the file into memory.

    The pages of a mapped file count as memory of the program, and a long recording would fill it.

    Parameters
    ----------
    path : Path
    dtype : numpy.dtype
        Includes the byte order.
    shape : tuple of int
        (frames, ...).
    offset : int
        Position of the first frame in the file, in bytes.
    """

    def __init__(self, path: str | Path, dtype: Any, shape: Sequence[int], offset: int = 0) -> None:
        self.path, self.offset = Path(path), offset
        self.dtype, self.shape = np.dtype(dtype), tuple(shape)
        self.ndim = len(self.shape)

    def __getitem__(self, frames: Any) -> np.ndarray:
        if isinstance(frames, tuple):  # dask asks for a slice of frames and slices of the rest
            return self[frames[0]][(slice(None), *frames[1:])]
        start, stop, _ = frames.indices(self.shape[0])
        each = int(np.prod(self.shape[1:]))
        count = max(0, stop - start) * each
        at = self.offset + start * each * self.dtype.itemsize
        values = np.fromfile(self.path, self.dtype, count, offset=at)
        if values.size < count:
            raise EOFError(f"{self.path.name} ends early")
        return values.reshape(-1, *self.shape[1:])
