"""Prediction with a loaded model, for images of any size.

image -> normalised -> padded, or cut into tiles -> network -> put together -> image's units
"""

from pathlib import Path

import numpy as np

from ..errors import InputError
from ..saving import load
from . import tiles
from .engines import engine_of
from .normalize import normalize

# Height and width, in pixels, of the smallest image that is taken.
SMALLEST = 32


def predict(model, images):
    """Invert a measurement.

    Parameters
    ----------
    model : keras.Model
        From `mcnn_keras.load` or a training run's ``run.model``; or the name of a model's file,
        which is then loaded.
    images : (..., height, width, channels) array, or (..., height, width) for one channel
        One measurement or any number of them, of as many channels (planes) as the model was
        trained for. Their unit does not matter to phase and denoising models, which normalise each
        by itself; a model of a problem of one's own takes the values that it was trained on. Of a
        dask array, (..., height, width), for a model of one plane, the answer is one, too,
        computed frame by frame when it is asked for.

    Returns
    -------
    numpy.ndarray
        float32, (..., height, width), or (..., height, width, channels) if the model has several
        outputs; in the units of the model's target (``model.card["units"]``), or in the image's
        own units from a denoising model.

    Raises
    ------
    InputError
        If the number of channels is not the model's, the image is constant, has values that are
        not finite, or is smaller than the network can take.
    """
    if type(images).__module__.startswith("dask."):
        from .lazy import predict_lazily

        return predict_lazily(model, images)
    if isinstance(model, (str, Path)):
        model = load(model)
    image = np.asarray(images)
    if image.dtype.kind not in "buif":
        raise InputError(
            f"a {type(model).__name__} and an array of type {image.dtype} were given; predict "
            "takes a model that mcnn_keras.load returned, and real numbers"
        )
    one = engine_of(model).card["network"]["input_channels"] == 1
    if image.ndim == 2 or (one and image.ndim > 2 and image.shape[-1] >= SMALLEST):
        image = image[..., None]
    if image.ndim <= 3:
        return predict_stack(model, image[None].astype(np.float32))[0]
    answers = predict_stack(model, image.reshape(-1, *image.shape[-3:]).astype(np.float32))
    return answers.reshape(*image.shape[:-3], *answers.shape[1:])


def predict_stack(model, stack, batch_size=None, tile_size=None):
    """Invert measurements of one size, each as `predict` does, several at a time.

    Parameters
    ----------
    model : keras.Model
        As for `predict`.
    stack : (images, height, width, channels) array
        The measurements.
    batch_size : int, optional
        How many at a time; by default as many as make a quarter of a million pixels.
    tile_size : int, optional
        Height and width of the tiles of larger images; by default the training size for a model
        whose images have their own scale, else what the memory at hand allows.

    Returns
    -------
    numpy.ndarray
        float32, (images, height, width), or (images, height, width, channels).

    Raises
    ------
    InputError
        As `predict`.
    """
    engine = engine_of(model)
    if not len(stack):
        raise InputError("no image was given; give at least one")
    for image in stack:
        check(image, engine.card)
    results = []
    each = batch_size or max(1, tiles.PIXELS // stack[0, ..., 0].size)
    for start in range(0, len(stack), each):
        finish, batch = prepared(engine, stack[start : start + each], tile_size)
        results.append(finish(batch))
    return np.concatenate(results)


def prepared(engine, stack, tile_size=None, tick=lambda tiles: None):
    """What can be done before the network has its turn, and a function that does the rest.

    Parameters
    ----------
    engine : engine
    stack : (images, height, width, channels) array
        Checked.
    tile_size : int, optional
        As for `predict_stack`.
    tick : callable
        Told how many tiles of a large image are done each time that some are.

    Returns
    -------
    finish : callable
        From the batch to the results, (images, height, width[, channels]).
    batch : numpy.ndarray or list
    """
    card = engine.card
    size = tiles.choose_size(engine, stack.shape[1:3], tile_size)
    if size is None:
        normalized, undos = zip(*(normalize(i, card["normalization"]) for i in stack), strict=True)
        batch, inner = tiles.pad(np.stack(normalized), engine.stride, card)

        def finish(batch):
            answers = engine.compute(batch)[(slice(None), *inner)]
            return _squeezed([undo(a) for undo, a in zip(undos, answers, strict=True)])

        return finish, batch
    method = tiles.blended if card["normalization"]["input"] == "frame" else tiles.joined
    return lambda images: _squeezed([method(engine, i, size, tick) for i in images]), stack


def _squeezed(answers):
    answers = np.stack(answers).astype(np.float32, copy=False)
    return answers[..., 0] if answers.shape[-1] == 1 else answers


def check(image, card):
    """Refuse an image, (height, width, channels), that the model of a card cannot take."""
    channels = card["network"]["input_channels"]
    if image.ndim != 3 or image.shape[-1] != channels:
        raise InputError(
            f"an array of shape {image.shape} was given; (height, width, {channels}) is expected, "
            f"since the model was trained on {channels} image{'s' * (channels > 1)}"
        )
    if min(image.shape[:2]) < SMALLEST:
        raise InputError(
            f"the image has {image.shape[0]}x{image.shape[1]} pixels; at least "
            f"{SMALLEST}x{SMALLEST} are needed"
        )
    if not np.isfinite(image).all():
        raise InputError("the image has pixels that are NaN or infinite; fill or cut them first")
