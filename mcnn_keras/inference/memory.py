"""What to do where the memory does not suffice: fewer images at a time, then smaller tiles."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from ..errors import InputError, reason

T = TypeVar("T")
# The smallest tiles that are tried, in pixels.
SMALLEST = 64


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of NumPy, TensorFlow or ONNX Runtime tells of too little memory."""
    if isinstance(error, MemoryError):
        return True
    engine = type(error).__module__.split(".")[0] in ("tensorflow", "onnxruntime")
    return engine and bool(re.search(r"(?i)alloc|out of memory|\bOOM\b", str(error)))


def compute(engine: Any, batch: Any) -> Any:
    """What an engine computes of a batch, in halves where the memory does not suffice."""
    try:
        return engine.compute(batch)
    except Exception as error:
        if len(batch) < 2 or not is_out_of_memory(error):
            raise
    half = len(batch) // 2
    warnings.warn(f"the memory does not suffice; {half} tiles at a time are tried", stacklevel=2)
    return np.concatenate([compute(engine, part) for part in (batch[:half], batch[half:])])


def with_less(
    work: Callable[[int, int | None], T],
    engine: Any,
    shape: Sequence[int],
    each: int,
    tile_size: int | None,
    say: Callable[[str], Any],
) -> T:
    """Do work again with less at a time for as long as the memory does not suffice.

    Parameters
    ----------
    work : callable
        Takes how many images are computed together, and the size of tiles or None.
    engine : engine
    shape : tuple of int
        Height and width of the images.
    each, tile_size : int
        To begin with.
    say : callable
        Told of each change.

    Raises
    ------
    InputError
        If the memory does not suffice for one image in the smallest tiles.
    """
    while True:
        try:
            return work(each, tile_size)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            told = reason(error)
        if each > 1:
            each //= 2
            say(f"the memory does not suffice; {each} at a time are tried")
            continue
        side = (tile_size or max(shape)) // 2 // engine.stride * engine.stride
        if side < max(SMALLEST, engine.stride):
            raise InputError(
                f"the memory does not suffice for one image of {shape[0]}x{shape[1]} pixels "
                f"({told}); close other programs, or cut the image"
            )
        tile_size = side
        say(f"the memory does not suffice; tiles of {side}x{side} are tried")
