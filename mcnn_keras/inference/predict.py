"""Prediction from arrays: axes and planes are put in order for `mcnn_keras.inference.stack`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..files.precision import narrowed, without_mask
from ..models import AnyPlanes, ModelCard, Planes
from ..models.saving import load_once
from .any_planes import with_planes
from .axes import Arranged, arranged
from .engines import Averaged, engine_of
from .frames import series_of
from .lazy import predict_lazily
from .planes import match_planes, require_finite
from .range_check import unusual_in
from .stack import predict_stack
from .uncertain import uncertain_engine


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
    uncertainty: bool = False,
    progress: Callable[[int, int], Any] = lambda done, count: None,
) -> Any:
    """Invert a measurement.

    Parameters
    ----------
    model : keras.Model
        From `mcnn_keras.load` or a training run's ``run.model``; or the name of a model file,
        which is loaded once and kept in memory.
    images : (..., height, width, channels) array, or (..., height, width) for one channel
        One or more measurements, with the model's channels (planes), in the model's order. Phase
        and denoising models take any unit, as they normalise each measurement. Other models take
        the units of their training. For a dask array and a model of one channel, the result is a
        dask array, computed frame by frame when it is needed. Masked pixels of a masked array count
        as missing, like NaN.
    axes : str, optional
        A letter for each axis, if the array has another layout or its shape is ambiguous: y and x
        for height and width, c for channels (or z, for the planes of a focal series), any others
        for axes that count measurements: 'tyx', 'yxc', 'zyx'.
    defocus : sequence of float, optional
        For phase models: the plane of each image. The order is free, and there may be planes that
        the model does not use. A model for any planes uses all of them.
    conditions : dict, optional
        Acquisition parameters of the measurements, by name, for models that need them:
        ``optics.conditions()`` of an `mcnn_keras.Optics` for a model for any planes.
    tile_size, batch_size : int, optional
        Height and width of the tiles of large images; number of images computed together.
    temporal : {'auto', 'off'}
        For denoising models that see neighbours in time: use neighbours that show the same field,
        or process each frame by itself. Frames follow each other along the axis 't', else along
        the innermost axis that counts them, unless its letter is z. The frames of a dask array are
        processed one by one.
    faults : {'mend', 'keep'}
        For denoising models: faulty pixels (saturated and dead lines, constant rims, hot pixels,
        NaN) do not affect the scale or the result of other pixels. 'mend' fills them in, 'keep'
        returns their raw values. Pixels deep inside rims and masks always keep their raw values.
    average : bool
        Average over the eight mirrored and rotated copies of the image: a little better, takes
        eight times as long.
    uncertainty : bool
        Also return the uncertainty: the half-width of an interval around the result in which the
        truth is in 90 % of the pixels, on images like those of the training.
    progress : callable
        Called with (done, total) after each batch; counts images, or tiles of large images. An
        exception from it ends the prediction. Not called for a dask array.

    Returns
    -------
    numpy.ndarray
        float32, (..., height, width), or (..., height, width, channels) if the model has several
        outputs; in the units of the model's outputs (``model.card.outputs``), or for a denoising
        model in the units of the image. With ``uncertainty=True`` a tuple of the result and its
        uncertainty, of the same shape and units.

    Warns
    -----
    UserWarning
        If images or results are unlike those of the training, for a model that knows these
        (`mcnn_keras.calibrate`). Not for a dask array.

    Raises
    ------
    InputError
        If the axes are ambiguous, the channels or planes do not fit the model, or an image is
        constant, smaller than the network can take, or not finite (except for a denoising model).
    """
    if type(images).__module__.startswith("dask."):
        return predict_lazily(
            model, images, axes, conditions, batch_size=batch_size, tile_size=tile_size,
            faults=faults, average=average, uncertainty=uncertainty,
        )  # fmt: skip
    if isinstance(model, (str, Path)):
        model = load_once(model)
    image = without_mask(images)
    if image.dtype.kind not in "buif":
        raise InputError(
            f"a {type(model).__name__} and an array of type {image.dtype} were given; predict "
            "takes a model that mcnn_keras.load returned, and real numbers"
        )
    engine = uncertain_engine(model) if uncertainty else engine_of(model)
    layout, stack, answers = inverted(
        engine, image, axes, defocus, conditions, average, batch_size=batch_size,
        tile_size=tile_size, temporal=temporal, faults=faults, progress=progress,
    )  # fmt: skip
    for line in unusual_in(getattr(engine, "answers", engine.card), stack, answers, uncertainty):
        warnings.warn(line, stacklevel=2)
    if not uncertainty:
        return layout.undo(answers)
    halves = np.split(answers, 2, axis=-1)
    if halves[0].shape[-1] == 1:
        halves = [half[..., 0] for half in halves]
    return tuple(layout.undo(half) for half in halves)


def inverted(
    engine: Any,
    image: np.ndarray,
    axes: str | None,
    defocus: Sequence[float] | None = None,
    conditions: Mapping[str, Any] | None = None,
    average: bool = False,
    **options: Any,
) -> tuple[Arranged, np.ndarray, np.ndarray]:
    """What `predict` does with an engine, without a look at the results.

    Returns
    -------
    layout : Arranged
        Of the array.
    stack, answers : numpy.ndarray
        The measurements, (measurements, height, width, channels), and their results.
    """
    if isinstance(engine.card.inputs, AnyPlanes):
        own = dict(conditions or {})
        planes = own.pop("defocus", None) if defocus is None else defocus
        if planes is None:
            raise InputError(
                "the model takes any planes and needs those of the images; give defocus=[...] with "
                "the plane of each image, and conditions=optics.conditions()"
            )
        require_finite(list(planes))
        # In a fixed order, so that rounding does not depend on the order of the images.
        engine = with_planes(engine, sorted(planes))
        conditions = {**own, "defocus": np.sort(np.asarray(planes, np.float64))}
        image, axes = _taken(image, axes, planes, np.argsort(planes))
    elif defocus is not None:
        image, axes = _in_order(image, engine.card, axes, defocus)
    layout = arranged(image, getattr(engine, "answers", engine.card), axes)
    stack = narrowed(layout.stack, "the array")
    answers = predict_stack(
        Averaged(engine) if average else engine, stack, conditions=conditions,
        series=series_of(layout.names, layout.outer), **options,
    )  # fmt: skip
    return layout, stack, answers


def computed(model: Any, image: np.ndarray, axes: str, **options: Any) -> np.ndarray:
    """What `predict` returns, without a look at it: with all outputs of an engine."""
    layout, _, answers = inverted(engine_of(model), without_mask(image), axes, **options)
    return layout.undo(answers)


def _in_order(
    image: np.ndarray, card: ModelCard, axes: str | None, defocus: Sequence[float]
) -> tuple[np.ndarray, str]:
    """The images at the planes of a phase model, in its order."""
    if not isinstance(card.inputs, Planes):
        raise InputError("defocus is for phase models only; leave it out")
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
            f"{len(defocus)} planes were given for an array of shape {image.shape}; say which axis "
            "counts the planes, for example axes='zyx'"
        )
    return np.take(image, own, axis=axes.index(plane)), axes
