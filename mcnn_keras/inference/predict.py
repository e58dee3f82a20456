"""Prediction from arrays: their axes, and planes in order, then `mcnn_keras.inference.stack`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..files.precision import narrowed
from ..models import AnyPlanes, ModelCard, Planes
from ..models.saving import load_once
from .any_planes import with_planes
from .axes import arranged
from .engines import Averaged, engine_of
from .frames import series_of
from .lazy import predict_lazily
from .planes import match_planes
from .stack import predict_stack


def predict(
    model: Any,
    images: Any,
    *,
    axes: str | None = None,
    defocus: Sequence[float] | None = None,
    conditions: Mapping[str, Any] | None = None,
    tile_size: int | None = None,
    batch_size: int | None = None,
    temporal: str = "auto",
    faults: str = "mend",
    average: bool = False,
    progress: Callable[[int, int], Any] = lambda done, count: None,
) -> Any:
    """Invert a measurement.

    Parameters
    ----------
    model : keras.Model
        From `mcnn_keras.load` or a training run's ``run.model``; or the name of a model's file,
        which is loaded once and kept.
    images : (..., height, width, channels) array, or (..., height, width) for one channel
        One measurement or any number of them, of as many channels (planes) as the model was
        trained for, in its order. Their unit does not matter to phase and denoising models, which
        normalise each by itself; other models take the values that they were trained on. A dask
        array, for a model of one channel, is answered by a dask array, computed frame by frame
        when it is asked for.
    axes : str, optional
        A letter for each axis, where the array has another layout or its shape can be read in two
        ways: y and x for height and width, c for channels (or z, for the planes of a focal
        series), any others for axes that count measurements: 'tyx', 'yxc', 'zyx'.
    defocus : sequence of float, optional
        Of each plane of a phase model's images, in any order and among others. A model of any
        planes takes all of them.
    conditions : dict, optional
        What the instrument says of the measurements, by name, for models that must be told it:
        ``optics.conditions()`` of an `mcnn_keras.Optics` for a model of any planes.
    tile_size, batch_size : int, optional
        Height and width of the tiles of large images; how many images are computed together.
    temporal : {'auto', 'off'}
        Of a denoising model that sees neighbours in time: use those that show the same field, or
        take each frame by itself. Frames follow each other along the axis 't', or the innermost
        axis that counts them unless its letter is z. The frames of a dask array are taken by
        themselves.
    faults : {'mend', 'keep'}
        Of a denoising model: pixels that say nothing of the specimen (saturated and dead lines,
        constant rims, hot pixels, NaN) count for no scale and no answer; they are mended, or come
        back as they were. Rims and masks deeper than a few pixels always do.
    average : bool
        The mean over the image's eight mirrored and turned copies: a little better, in eight times
        the time.
    progress : callable
        Called with (done, number of all) after each batch, in images, or in tiles where images are
        large. What it raises ends the prediction. Not called for a dask array.

    Returns
    -------
    numpy.ndarray
        float32, (..., height, width), or (..., height, width, channels) if the model has several
        outputs; in the units of the model's outputs (``model.card.outputs``), or in the image's
        own units from a denoising model.

    Raises
    ------
    InputError
        If the axes are not plain or the number of channels is not the model's, the planes are not
        those of the model, or an image is constant, has values that are not finite (but for a
        denoising model), or is smaller than the network can take.
    """
    if type(images).__module__.startswith("dask."):
        return predict_lazily(
            model, images, axes, conditions, batch_size=batch_size, tile_size=tile_size,
            faults=faults, average=average,
        )  # fmt: skip
    if isinstance(model, (str, Path)):
        model = load_once(model)
    image = np.asarray(images)
    if image.dtype.kind not in "buif":
        raise InputError(
            f"a {type(model).__name__} and an array of type {image.dtype} were given; predict "
            "takes a model that mcnn_keras.load returned, and real numbers"
        )
    engine = engine_of(model)
    if isinstance(engine.card.inputs, AnyPlanes):
        own = dict(conditions or {})
        planes = own.pop("defocus", None) if defocus is None else defocus
        if planes is None:
            raise InputError(
                "the model answers for any planes and must be told them; give defocus=[...] with "
                "the plane of each image, and conditions=optics.conditions()"
            )
        # In one order, whatever the images' own, so that sums are rounded alike.
        engine = with_planes(engine, sorted(planes))
        conditions = {**own, "defocus": np.sort(np.asarray(planes, np.float64))}
        image, axes = _taken(image, axes, planes, np.argsort(planes))
    elif defocus is not None:
        image, axes = _in_order(image, engine.card, axes, defocus)
    layout = arranged(image, engine.card, axes)
    stack = narrowed(layout.stack, "the array")
    answers = predict_stack(
        Averaged(engine) if average else engine, stack, batch_size, tile_size, conditions,
        series_of(layout.names, layout.outer), temporal, faults, progress=progress,
    )  # fmt: skip
    return layout.undo(answers)


def _in_order(
    image: np.ndarray, card: ModelCard, axes: str | None, defocus: Sequence[float]
) -> tuple[np.ndarray, str]:
    """The planes of a phase model, in its order, out of those that an array holds."""
    if not isinstance(card.inputs, Planes):
        raise InputError("defocus names the planes of a phase model; leave it out")
    return _taken(image, axes, defocus, match_planes(card.inputs, list(defocus)))


def _taken(
    image: np.ndarray, axes: str | None, defocus: Sequence[float], own: Sequence[int] | np.ndarray
) -> tuple[np.ndarray, str]:
    """The images of some planes, along the axis that counts them."""
    if axes is None:
        axes = "yxz" if image.ndim == 3 else ""
    plane = next((c for c in ("z", "c") if c in axes), None)
    if plane is None or image.ndim != len(axes) or image.shape[axes.index(plane)] != len(defocus):
        raise InputError(
            f"{len(defocus)} planes were given for an array of shape {image.shape}; say with axes "
            "which one counts the planes: axes='zyx'"
        )
    return np.take(image, own, axis=axes.index(plane)), axes
