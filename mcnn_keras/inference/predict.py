"""Prediction with a loaded model, for images of any size."""

import weakref

import numpy as np

from ..errors import InputError
from ..network import stride
from .normalize import normalize

# Height and width, in pixels, of the smallest image that is taken.
SMALLEST = 32
_compiled = weakref.WeakKeyDictionary()


def predict(model, images):
    """Invert a measurement.

    Parameters
    ----------
    model : keras.Model
        From `mcnn_keras.load` or a training run's ``run.model``.
    images : (height, width) or (height, width, channels) array
        The measurement in any unit; of as many channels (planes) as the model was trained for.

    Returns
    -------
    numpy.ndarray
        float32, (height, width), or (height, width, channels) if the model has several outputs;
        in the units of the model's target (``model.card["units"]``).

    Raises
    ------
    InputError
        If the number of channels is not the model's, the image is constant, has values that are
        not finite, or is smaller than the network can take.
    """
    image = np.asarray(images, np.float32)
    if image.ndim == 2:
        image = image[..., None]
    _check(image, model)
    card = model.card
    image, undo = normalize(image, card["normalization"])
    padded, inner = _pad(image, stride(model), card["network"]["scale"])
    answer = undo(full_size_function(model)(padded[None]).numpy()[0][inner]).astype(np.float32)
    return answer[..., 0] if answer.shape[-1] == 1 else answer


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


def _pad(image, stride, scale):
    """Mirror the image up to the next size that the stride divides, and where to cut the answer.

    At least one stride is mirrored on each side: the coarsest features just inside the border are
    made from the network's own zero padding, and would draw a frame into the answer.
    """
    widths, inner = [], []
    for n in image.shape[:2]:
        total = -(-(n + 2 * stride) // stride) * stride
        before = (total - n) // 2
        widths.append((before, total - n - before))
        inner.append(slice(scale * before, scale * (before + n)))
    return np.pad(image, (*widths, (0, 0)), mode="symmetric"), tuple(inner)


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
