"""Dask arrays in, dask arrays out: nothing is computed until its values are needed."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..files.precision import narrowed, without_mask
from ..models import AnyPlanes
from ..models.saving import card_of, load_once, model_path
from .axes import frame_axes
from .engines import Averaged, engine_of
from .stack import predict_stack
from .uncertain import ONNX, require_interval, uncertain_engine

_lock = threading.Lock()


def predict_lazily(
    model: Any,
    images: Any,
    axes: str | None = None,
    conditions: Mapping[str, Any] | None = None,
    uncertainty: bool = False,
    **options: Any,
) -> Any:
    """`mcnn_keras.predict` for a dask array, frame by frame.

    Parameters
    ----------
    model : keras.Model, OnnxModel, str or Path
        On several machines, give the name of the model's file, which each machine loads; a model
        in memory cannot be sent to other processes.
    images : dask.array.Array
        (..., height, width), for a model of one channel.
    axes : str, optional
        As for `mcnn_keras.predict`; height and width are the last two.
    conditions : dict, optional
        As for `mcnn_keras.predict`.
    uncertainty : bool
        Also return the uncertainty, as `mcnn_keras.predict`.
    **options
        batch_size, tile_size, faults and average, as for `mcnn_keras.predict`.

    Returns
    -------
    dask.array.Array
        float32, (..., height, width), or (..., height, width, channels) if the model has several
        outputs; its chunks hold whole frames. With ``uncertainty=True`` a tuple of the result and
        its uncertainty; ``dask.compute`` of both computes them together.

    Raises
    ------
    InputError
        If the model takes several planes or any planes, the array does not hold frames, or the
        uncertainty is asked for of a model that has none.
    """
    card = card_of(model)
    if uncertainty:
        require_interval(card, model if isinstance(model, (str, Path)) else "the model")
        if hasattr(model, "compute") or str(model).endswith(".onnx"):
            raise InputError(ONNX)
    any_planes = isinstance(card.inputs, AnyPlanes)
    if card.image_channels != 1 or any_planes:
        taken = "images at any planes" if any_planes else f"{card.image_channels} planes"
        raise InputError(
            f"the model takes {taken}, but a dask array is processed frame by frame; load the "
            "frames and call predict for each measurement"
        )
    if images.ndim < 2 or images.dtype.kind not in "buif":
        raise InputError(
            f"an array of shape {images.shape} and type {images.dtype} was given; frames of real "
            "numbers are expected"
        )
    if not frame_axes(images.shape, card, axes):
        raise InputError(
            f"a dask array of shape {images.shape} is processed frame by frame; move height and "
            "width to the last two axes"
        )
    whole = images.rechunk({images.ndim - 2: -1, images.ndim - 1: -1})
    own = len(card.outputs)
    outputs = own * (1 + uncertainty)
    chunks = (*whole.chunks[:-2], *((card.scale * n,) for n in whole.shape[-2:]))
    new_axes = {} if outputs == 1 else {"new_axis": images.ndim}
    chunks = chunks if outputs == 1 else (*chunks, (outputs,))
    found = whole.map_blocks(
        _frames,
        model=Travelling(model if hasattr(model, "card") else str(model)),
        conditions=dict(conditions or {}),
        uncertainty=uncertainty,
        options=options,
        dtype=np.float32,
        chunks=chunks,
        meta=np.empty((0,) * len(chunks), np.float32),
        **new_axes,
    )
    if not uncertainty:
        return found
    return (found[..., 0], found[..., 1]) if own == 1 else (found[..., :own], found[..., own:])


def _frames(
    block: Any,
    model: Travelling,
    conditions: Mapping[str, Any],
    uncertainty: bool,
    options: Mapping[str, Any],
) -> np.ndarray:
    block, own = without_mask(block), dict(options)
    engine = (uncertain_engine if uncertainty else engine_of)(loaded(model))
    engine = Averaged(engine) if own.pop("average", False) else engine
    stack = narrowed(block.reshape(-1, *block.shape[-2:], 1), "the array")
    answers = predict_stack(engine, stack, conditions=conditions, **own)
    return answers.reshape(*block.shape[:-2], *answers.shape[1:])


class Travelling:
    """A model in dask's graph: by the name of its file if it has one."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def __dask_tokenize__(self) -> tuple:
        if not isinstance(self.model, str):
            return ("mcnn_keras", id(self.model))
        return ("mcnn_keras", self.model, model_path(self.model).stat().st_mtime_ns)

    def __getstate__(self) -> dict[str, Any]:
        if not isinstance(self.model, str):
            raise InputError(
                "a model in memory cannot be sent to other processes; give predict the name of the "
                "model's file instead"
            )
        return {"model": self.model}


def loaded(travelling: Travelling) -> Any:
    """The model, loaded once in each process."""
    if not isinstance(travelling.model, str):
        return travelling.model
    with _lock:  # one thread of a scheduler loads, the others wait
        return load_once(travelling.model)
