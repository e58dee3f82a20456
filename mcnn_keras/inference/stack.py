"""Invert measurements of one size: the part that `predict` and files share.

image (a frame: without its faults, with its neighbours) -> normalised -> padded -> fixed channels
of the whole field -> network, in one piece or in tiles -> put together -> image's units
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from ..channels import network_input
from ..errors import InputError
from ..files.precision import less_offset, narrowed, offset_of
from ..models import Frames, ModelCard
from . import tiles
from .axes import LEAST
from .engines import engine_of
from .frames import FrameWindows, Series
from .memory import with_less

ALONE = Series()
# An image varies at most so many times more, or less, than those of the training; a wrong unit,
# such as 0..255 for 0..1, is farther off.
MORE, LESS = 16.0, 64.0
# Of models whose cards do not tell the deviations of their images.
OLDER = {"reflection": (0.0, 0.5)}


def predict_stack(
    model: Any,
    stack: np.ndarray,
    batch_size: int | None = None,
    tile_size: int | None = None,
    conditions: Mapping[str, Any] | None = None,
    series: Series = ALONE,
    temporal: str = "auto",
    faults: str = "mend",
    say: Callable[[str], Any] = lambda text: None,
    progress: Callable[[int, int], Any] = lambda done, count: None,
) -> np.ndarray:
    """Invert measurements of one size, each as `mcnn_keras.predict` does, several at a time.

    Parameters
    ----------
    model : keras.Model
        As for `mcnn_keras.predict`.
    stack : (images, height, width, channels) array
        The measurements.
    batch_size : int, optional
        How many at a time; by default as many as have a quarter of a million pixels.
    tile_size : int, optional
        Height and width of the tiles of larger images; by default from the model's card.
    conditions : dict, optional
        As for `mcnn_keras.predict`.
    series : Series
        Which frames follow each other in time, for a model of frames.
    temporal, faults : str
        As for `mcnn_keras.predict`.
    say : callable
        Called with each line for the user about the frames.
    progress : callable
        As for `mcnn_keras.predict`.

    Returns
    -------
    numpy.ndarray
        float32, (images, height, width), or (images, height, width, channels).

    Raises
    ------
    InputError
        As `mcnn_keras.predict`.
    """
    engine = engine_of(model)
    if not len(stack):
        raise InputError("no image was given; give at least one")
    for name, value in (("batch_size", batch_size), ("tile_size", tile_size)):
        if value is not None and value < 1:
            raise InputError(f"{name} {value} is not positive; give at least 1, or leave it out")
    told = engine.card.measured_conditions(conditions)
    for image in stack:
        check(image, engine.card)

    def work(each: int, tiled: int | None) -> np.ndarray:
        return _inverted(engine, stack, each, tiled, told, series, temporal, faults, say, progress)

    shape = stack.shape[1:3]
    each = min(batch_size or max(1, tiles.PIXELS // stack[0, ..., 0].size), len(stack))
    return with_less(work, engine, shape, each, tiles.choose_size(engine, shape, tile_size), say)


def near_zero(card: ModelCard, values: np.ndarray, stack: np.ndarray) -> tuple[np.ndarray, float]:
    """A stack less an offset that would cost digits, and this offset.

    Parameters
    ----------
    card : ModelCard
        Of the model: of one that takes out each frame's mean itself, but in float32.
    values, stack : (images, height, width, channels) array
        As they are, and as float32.
    """
    offset = offset_of(values) if card.normalization.per_frame else 0.0
    return (narrowed(less_offset(values, offset), "the array"), offset) if offset else (stack, 0.0)


def shifted(engine: Any, answers: np.ndarray, offset: float) -> np.ndarray:
    """Answers of `predict_stack`, in place, with an offset added to results, not uncertainties."""
    if offset:
        outputs = len(getattr(engine, "answers", engine.card).outputs)
        results = answers[..., :outputs] if answers.ndim == 4 else answers
        results[...] = results + np.float64(offset)
    return answers


def _inverted(
    engine: Any,
    stack: np.ndarray,
    each: int,
    tiled: int | None,
    told: Mapping[str, Any],
    series: Series,
    temporal: str,
    faults: str,
    say: Callable[[str], Any],
    progress: Callable[[int, int], Any],
) -> np.ndarray:
    """What `predict_stack` does, so many at a time and in tiles of this size, if any."""
    results, frames = [], None
    if isinstance(engine.card.inputs, Frames):
        frames = FrameWindows(lambda i: stack[i, ..., 0], engine.card, series, temporal, faults)

    parts = tiles.count(engine, stack.shape[1:3], tiled) if tiled else 1
    done = 0

    def tick(parts_done: int) -> None:
        nonlocal done
        done += parts_done
        progress(done, len(stack) * parts)

    def read(start: int) -> Any:
        stop = min(start + each, len(stack))
        part, completed = frames.batch(start, stop) if frames else (stack[start:stop], _as_it_is)
        told_of = tick if tiled else lambda tiles: None
        return *prepared(engine, part, tiled, told_of, told), completed

    with ThreadPoolExecutor(1) as reader:
        ahead = reader.submit(read, 0)
        for start in range(0, len(stack), each):
            finish, batch, completed = ahead.result()
            if start + each < len(stack):
                ahead = reader.submit(read, start + each)
            results.append(completed(finish(batch)))
            if not tiled:
                tick(len(results[-1]))
    for line in frames.summary() if frames else ():
        say(line)
    return np.concatenate(results)


def _as_it_is(answers: np.ndarray) -> np.ndarray:
    return answers


def prepared(
    engine: Any,
    stack: np.ndarray,
    tile_size: int | None = None,
    tick: Callable[[int], None] = lambda tiles: None,
    conditions: Mapping[str, Any] | None = None,
) -> tuple[Callable[[Any], np.ndarray], Any]:
    """Prepare a batch for the network, and return a function that does the rest.

    Parameters
    ----------
    engine : engine
    stack : (images, height, width, channels) array
        Already checked by `check`.
    tile_size : int, optional
        As for `predict_stack`.
    tick : callable
        Called with the number of tiles of a large image that were done since the last call.
    conditions : dict, optional
        All conditions of the measurements; by default those of the card.

    Returns
    -------
    finish : callable
        Takes the batch and returns the results, (images, height, width[, channels]).
    batch : numpy.ndarray or list
    """
    card = engine.card
    told = card.measured_conditions() if conditions is None else conditions
    size = tiles.choose_size(engine, stack.shape[1:3], tile_size)
    if size is None:
        normalized, scales = zip(*(card.normalization.apply(i) for i in stack), strict=True)
        batch, inner = tiles.pad(np.stack(normalized), engine.stride, card)
        batch = network_input(batch.astype(np.float32, copy=False), card.channels, told)

        def finish(batch: np.ndarray) -> np.ndarray:
            answers = engine.compute(batch)[(slice(None), *inner)]
            result = card.normalization.result
            return _squeezed([result(a, s) for a, s in zip(answers, scales, strict=True)])

        return finish, batch
    method = tiles.blended if card.normalization.per_frame else tiles.joined
    return lambda images: _squeezed([method(engine, i, size, tick, told) for i in images]), stack


def _squeezed(answers: list[np.ndarray]) -> np.ndarray:
    stacked = np.stack(answers).astype(np.float32, copy=False)
    return stacked[..., 0] if stacked.shape[-1] == 1 else stacked


def check(image: np.ndarray, card: ModelCard) -> None:
    """Raise InputError for an image, (height, width, channels), that the model cannot take."""
    channels = card.image_channels
    if image.ndim != 3 or image.shape[-1] != channels:
        raise InputError(
            f"an array of shape {image.shape} was given; (height, width, {channels}) is expected, "
            f"since the model was trained on {channels} image{'s' * (channels > 1)}"
        )
    if min(image.shape[:2]) < LEAST:
        raise InputError(
            f"the image has {image.shape[0]}x{image.shape[1]} pixels; at least "
            f"{LEAST}x{LEAST} are needed"
        )
    # In a frame, NaN and infinite pixels count as missing.
    if not isinstance(card.inputs, Frames) and not np.isfinite(image).all():
        raise InputError("the image has pixels that are NaN or infinite; fill or cut them first")
    _require_scale(image, card)


def _require_scale(image: np.ndarray, card: ModelCard) -> None:
    """Raise InputError for an image in another unit, if the network's input depends on the unit."""
    known = card.training.get("deviations") or OLDER.get(card.problem)
    if known is None:
        return
    low, high = known
    deviation = float(np.std(card.normalization.apply(image)[0], dtype=np.float64))
    own = float(np.std(image, dtype=np.float64))
    unit = own / deviation if deviation > 0 else 0.0
    # A flat image is no fault; one whose greatest value is small, too, has another unit.
    small, usual = float(np.abs(image).max()), low * unit
    if card.problem == "paired" and unit and deviation < low / LESS:
        # What the values of the training are, not only how far they vary, is known.
        mean = np.asarray(getattr(card.normalization, "input_mean", 0.0))
        usual = max(usual, float(np.hypot(mean, unit).max()))
    if LESS * small < usual or deviation > MORE * high:
        nearest = min(max(deviation, low), high)
        expected = " or ".join(f"{a:.4g} to {b:.4g}" for a, b in card.usual_deviations or [known])
        raise InputError(
            f"the image's values vary {deviation / nearest:.2g} times as much as those of the "
            f"training: their standard deviation is {own:.4g} (they are {image.min():.4g} to "
            f"{image.max():.4g}), and {expected} is expected; give it in the unit of the training, "
            "for example 8-bit values divided by 255 if that was 0 to 1"
        )
