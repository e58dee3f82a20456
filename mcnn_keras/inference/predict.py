"""Prediction with a loaded model, for images of any size."""

import weakref

import numpy as np

from ..errors import InputError
from ..network import stride
from .normalize import normalize

# Height and width, in pixels, of the smallest image that is taken.
SMALLEST = 32
# Of the images that are computed together.
PIXELS = 2**20
_compiled = weakref.WeakKeyDictionary()


def predict(model, images):
    """Invert a measurement.

    Parameters
    ----------
    model : keras.Model
        From `mcnn_keras.load` or a training run's ``run.model``.
    images : (height, width) or (height, width, channels) array
        The measurement, of as many channels (planes) as the model was trained for. Its unit does
        not matter to phase and denoising models, which normalise it; a model of a problem of
        one's own takes the values that it was trained on.

    Returns
    -------
    numpy.ndarray
        float32, (height, width), or (height, width, channels) if the model has several outputs;
        in the units of the model's target (``model.card["units"]``), or in the image's own units
        from a denoising model.

    Raises
    ------
    InputError
        If the number of channels is not the model's, the image is constant, has values that are
        not finite, or is smaller than the network can take.
    """
    image = np.asarray(images)
    if not hasattr(model, "card") or image.dtype.kind not in "buif":
        raise InputError(
            f"a {type(model).__name__} and an array of type {image.dtype} were given; predict "
            "takes a model that mcnn_keras.load returned, and real numbers"
        )
    image = image.astype(np.float32)
    if image.ndim == 2:
        image = image[..., None]
    return predict_stack(model, image[None])[0]


def predict_stack(model, stack, batch_size=None):
    """Invert measurements of one size, each as `predict` does, several at a time.

    Parameters
    ----------
    model : keras.Model
        As for `predict`.
    stack : (images, height, width, channels) array
        The measurements.
    batch_size : int, optional
        How many at a time; by default as many as make a million pixels.

    Returns
    -------
    numpy.ndarray
        float32, (images, height, width), or (images, height, width, channels).

    Raises
    ------
    InputError
        As `predict`.
    """
    if not len(stack):
        raise InputError("no image was given; give at least one")
    for image in stack:
        _check(image, model)
    tile = model.card["training"]["image_size"]
    if model.card["normalization"]["input"] == "frame" and max(stack.shape[1:3]) > tile:
        return np.stack([_in_tiles(model, image, tile, batch_size) for image in stack])
    return _whole(model, stack, batch_size)


def _whole(model, stack, batch_size):
    """Invert measurements that were checked, each in one piece."""
    card, compute = model.card, full_size_function(model)
    batch_size = batch_size or max(1, PIXELS // stack[0, ..., 0].size)
    results = []
    for start in range(0, len(stack), batch_size):
        batch = stack[start : start + batch_size]
        normalized, undos = zip(*(normalize(i, card["normalization"]) for i in batch), strict=True)
        padded, inner = _pad(np.stack(normalized), stride(model), card)
        answers = compute(padded).numpy()[(slice(None), *inner)]
        results += [undo(answer) for undo, answer in zip(undos, answers, strict=True)]
    results = np.stack(results).astype(np.float32)
    return results[..., 0] if results.shape[-1] == 1 else results


def _in_tiles(model, image, tile, batch_size):
    """Denoise a large frame in overlapping tiles of the size of the training images, blended.

    What the coarsest features see then is what they saw in training; each tile has its own scale,
    so a frame may hold regions of any brightness.
    """
    height, width = (min(n, tile) for n in image.shape[:2])
    corners = [
        (y, x)
        for y in tile_starts(image.shape[0], height)
        for x in tile_starts(image.shape[1], width)
    ]
    tiles = np.stack([image[y : y + height, x : x + width] for y, x in corners])
    answers = _whole(model, tiles, batch_size)
    # The weight of a tile falls towards its borders.
    ramps = [np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 2 + 1e-3 for n in (height, width)]
    weight = ramps[0][:, None] * ramps[1]
    total, weights = np.zeros(image.shape[:2]), np.zeros(image.shape[:2])
    for (y, x), answer in zip(corners, answers, strict=True):
        total[y : y + height, x : x + width] += weight * answer
        weights[y : y + height, x : x + width] += weight
    return (total / weights).astype(np.float32)


def tile_starts(length, tile):
    """Where tiles begin that cover a length and overlap by a half or a little more.

    Parameters
    ----------
    length, tile : int
        Of the image and of a tile along one axis, in pixels.
    """
    count = 1 + -(-2 * (length - tile) // tile)
    return np.linspace(0, length - tile, count).round().astype(int)


def _check(image, model):
    channels = model.card["network"]["input_channels"]
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


def _pad(images, stride, card):
    """Mirror the images up to the next size that the stride divides, and where to cut the answer.

    Of images larger than those in training at least one stride is mirrored on each side: there the
    coarsest features just inside the border differ from those farther in, as they are made from
    the network's own zero padding, and would draw a frame into the answer.
    """
    widths, inner, scale = [], [], card["network"]["scale"]
    margin = stride if max(images.shape[1:3]) > card["training"]["image_size"] else 0
    for n in images.shape[1:3]:
        total = -(-(n + 2 * margin) // stride) * stride
        before = (total - n) // 2
        widths.append((before, total - n - before))
        inner.append(slice(scale * before, scale * (before + n)))
    return np.pad(images, ((0, 0), *widths, (0, 0)), mode="symmetric"), inner


def full_size_function(model):
    """The model's full-size output as a function of a batch, compiled once per model.

    Parameters
    ----------
    model : keras.Model
        With its card.

    Returns
    -------
    callable
        (batch, height, width, channels) of normalised images -> tf.Tensor.
    """
    import tensorflow as tf

    if model not in _compiled:
        import keras

        # Only what output_1 needs.
        full_size = keras.Model(model.inputs, model.outputs[0])
        channels = model.card["network"]["input_channels"]
        _compiled[model] = tf.function(
            lambda x: full_size(x, training=False),
            input_signature=[tf.TensorSpec((None, None, None, channels), tf.float32)],
            autograph=False,
        )
    return _compiled[model]
