"""The meaning of an array's axes: given, or clear from its shape; never guessed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..errors import InputError
from ..files import Recording
from ..models import ModelCard, Planes

# Smallest height and width of an image, in pixels, where the shape alone tells the axes.
SMALLEST = 32
# Smallest height and width of an image that is taken; it is mirrored to what the network needs.
LEAST = 16


def require_images(recording: Recording) -> None:
    """Raise InputError if axes were guessed, and what was taken for images cannot be any."""
    shape = recording.guessed
    if len(shape) > 2 and shape[-1] < LEAST <= min(shape[-3:-1]):
        raise InputError(
            f"{_read_as(recording)}; at least {LEAST}x{LEAST} are needed: say which axes are "
            f"height and width, for example --axes {_other(recording)}"
        )


def doubt_of(recording: Recording) -> str:
    """A line for the user if height and width seem to come before another axis; else empty."""
    shape = recording.guessed
    if len(shape) < 3:
        return ""
    first, second, last = shape[-3:]
    if not (4 * last < min(first, second) and max(first, second) <= 2 * min(first, second)):
        return ""
    return (
        f"Warning: {_read_as(recording)}; if height and width come before, give --axes "
        f"{_other(recording)}, else --axes {'tzuvw'[: len(shape) - 2]}yx"
    )


def _read_as(recording: Recording) -> str:
    shape, count = recording.guessed, int(np.prod(recording.guessed[:-2]))
    return (
        f"{recording.path} states no axes, and its shape {shape} is read as {count} "
        f"image{'s' * (count > 1)} of {shape[-2]}x{shape[-1]} pixels"
    )


def _other(recording: Recording) -> str:
    shape = recording.guessed
    return "zuvw"[: len(shape) - 3] + "yx" + ("c" if shape[-1] in (3, 4) else "t")


class Arranged(NamedTuple):
    """An array, arranged as measurements.

    Attributes
    ----------
    stack : numpy.ndarray
        (measurements, height, width, channels).
    outer : tuple of int
        Lengths of the axes that count measurements, in the array's order.
    names : tuple of str
        Letters of these axes.
    """

    stack: np.ndarray
    outer: tuple[int, ...]
    names: tuple[str, ...]

    def undo(self, results: np.ndarray) -> np.ndarray:
        """Results, (measurements, height, width[, outputs]), with the array's own outer axes."""
        return results.reshape(*self.outer, *results.shape[1:])


def arranged(images: np.ndarray, card: ModelCard, axes: str | None = None) -> Arranged:
    """Arrange an array as measurements for a model.

    Parameters
    ----------
    images : array
    card : ModelCard
    axes : str, optional
        A letter for each axis: y and x for height and width, c for channels (or z for the planes
        of a focal series), any other letters for axes that count measurements: 'tyx'.

    Raises
    ------
    InputError
        If the letters do not fit, or none are given and the shape is ambiguous.
    """
    letters = _letters(images.shape, card) if axes is None else _checked(axes, images.shape, card)
    channel = next((c for c in letters if c == "c"), "")
    outer = [c for c in letters if c not in ("y", "x", "c")]
    moved = np.moveaxis(images, [letters.index(c) for c in (*outer, "y", "x", *channel)],
                        range(images.ndim))  # fmt: skip
    if not channel:
        moved = moved[..., None]
    shape = moved.shape[: len(outer)]
    return Arranged(moved.reshape(-1, *moved.shape[-3:]), shape, tuple(outer))


def frame_axes(shape: tuple[int, ...], card: ModelCard, axes: str | None) -> bool:
    """Whether an array's last two axes are height and width, and all others count frames."""
    letters = _letters(shape, card) if axes is None else _checked(axes, shape, card)
    return "c" not in letters and letters[-2:] == ["y", "x"]


def _checked(axes: str, shape: tuple[int, ...], card: ModelCard) -> list[str]:
    letters = list(axes.lower())
    if isinstance(card.inputs, Planes) and "c" not in letters:
        letters = ["c" if letter == "z" else letter for letter in letters]
    if (
        len(letters) != len(shape)
        or len(set(letters)) < len(letters)
        or not {"y", "x"} <= {*letters}
    ):
        raise InputError(
            f"axes={axes!r} was given for an array of shape {shape}; give one letter for each "
            "axis, including y and x, for example 'tyx'"
        )
    channels = shape[letters.index("c")] if "c" in letters else 1
    if channels != card.image_channels:
        raise InputError(_expected(shape, card))
    return letters


def _letters(shape: tuple[int, ...], card: ModelCard) -> list[str]:
    """The only possible letters of a shape; axes of frames are n, m, ..."""
    channels, n = card.image_channels, len(shape)
    counting = [chr(ord("n") - i) for i in range(max(n - 2, 0))]

    def fits(letters: list[str]) -> bool:
        sizes = dict(zip(letters, shape, strict=True))
        return sizes["y"] >= SMALLEST and sizes["x"] >= SMALLEST and (
            sizes.get("c", 1) == channels
        )  # fmt: skip

    if n < 2:
        raise InputError(_expected(shape, card))
    last = [*counting[1:], "y", "x", "c"] if n > 2 else None
    if channels > 1 or (last and shape[-1] == 1):
        first = [*counting[1:], "c", "y", "x"]
        if last is None or shape[-1] != channels:
            raise InputError(_expected(shape, card))
        if channels > 1 and fits(last) and fits(first):
            raise InputError(
                f"an array of shape {shape} can be read in two ways; say which with "
                f"axes={''.join(last)!r} or axes={''.join(first)!r}"
            )
        return last
    frames_first = [*counting, "y", "x"]
    if n > 2:
        frames_last = ["y", "x", *counting]
        if fits(frames_first) and fits(frames_last):
            raise InputError(
                f"an array of shape {shape} can be read in two ways; say which axes are height and "
                f"width with axes={_example(frames_first)!r} (frames first) or "
                f"axes={_example(frames_last)!r} (frames last)"
            )
        if not fits(frames_first):
            raise InputError(_expected(shape, card))
    return frames_first


def _example(letters: list[str]) -> str:
    names = dict(zip([c for c in letters if c not in "yx"], "tzuvw", strict=False))
    return "".join(names.get(c, c) for c in letters)


def _expected(shape: tuple[int, ...], card: ModelCard) -> str:
    channels = card.image_channels
    layout = "height, width" if channels == 1 else f"height, width, {channels}"
    kind = "plane" if isinstance(card.inputs, Planes) else "image"
    return (
        f"an array of shape {shape} was given; (..., {layout}) of at least {SMALLEST}x{SMALLEST} "
        f"pixels is expected, since the model was trained on {channels} {kind}"
        f"{'s' * (channels > 1)}; axes='tyx' names the axes of other layouts"
    )
