"""Dask arrays in, dask arrays out: nothing is computed until somebody asks for it."""

import threading

import numpy as np

from ..errors import InputError
from ..saving import load, model_path, read_card


def predict_lazily(model, images):
    """`mcnn_keras.predict` for a dask array, frame by frame.

    Parameters
    ----------
    model : keras.Model, OnnxModel, str or Path
        On several machines, give the name of its file, which each of them then loads for itself;
        a model that is in memory cannot travel.
    images : dask.array.Array
        (..., height, width), for a model of one plane.

    Returns
    -------
    dask.array.Array
        float32, (..., height, width), or (..., height, width, channels) if the model has several
        outputs; its chunks hold whole frames.

    Raises
    ------
    InputError
        If the model takes several planes, or there are no frames in the array.
    """
    card = model.card if hasattr(model, "card") else read_card(model)
    network = card["network"]
    if network["input_channels"] != 1:
        raise InputError(
            f"the model takes {network['input_channels']} planes, and a dask array is read as "
            "frames of one; load the frames and call predict on each measurement"
        )
    if images.ndim < 2 or images.dtype.kind not in "buif":
        raise InputError(
            f"an array of shape {images.shape} and type {images.dtype} was given; frames of real "
            "numbers are expected"
        )
    whole = images.rechunk({images.ndim - 2: -1, images.ndim - 1: -1})
    scale, outputs = network["scale"], network["output_channels"]
    chunks = (*whole.chunks[:-2], *((scale * n,) for n in whole.shape[-2:]))
    axes = {} if outputs == 1 else {"new_axis": images.ndim}
    chunks = chunks if outputs == 1 else (*chunks, (outputs,))
    return whole.map_blocks(
        _frames,
        model=Travelling(model if hasattr(model, "card") else str(model)),
        dtype=np.float32,
        chunks=chunks,
        meta=np.empty((0,) * len(chunks), np.float32),
        **axes,
    )


def _frames(block, model):
    from .predict import predict

    return predict(_loaded(model), np.asarray(block))


class Travelling:
    """A model on its way into dask's graph: by its file's name where it has one."""

    def __init__(self, model):
        self.model = model

    def __dask_tokenize__(self):
        if not isinstance(self.model, str):
            return ("mcnn_keras", id(self.model))
        return ("mcnn_keras", self.model, model_path(self.model).stat().st_mtime_ns)

    def __getstate__(self):
        if not isinstance(self.model, str):
            raise InputError(
                "a model in memory cannot travel to other processes; give predict the name of its "
                "file in place of the model"
            )
        return {"model": self.model}


_models, _lock = {}, threading.Lock()


def _loaded(travelling):
    model = travelling.model
    if not isinstance(model, str):
        return model
    key = (model, model_path(model).stat().st_mtime_ns)
    with _lock:  # one of a scheduler's threads loads, the others wait
        if key not in _models:
            _models[key] = load(model)
        return _models[key]
