"""From a measurement to the network's input, and from its output back to the user's units."""

import numpy as np

from ..errors import InputError

# The share of the highest and of the lowest pixels that say nothing of a frame's scale.
OUTLIERS = 1e-3


def normalize(image, normalization):
    """Scale a measurement as the network saw its training images.

    Parameters
    ----------
    image : (height, width, channels) array
    normalization : dict
        Of the model's card. Its ``input`` is one of: 'none'; 'contrast', image / mean - 1 for each
        channel; 'frame', (image - mean) / deviation, outliers drawn in. Its ``output`` is one of:
        'none'; 'mean-free'; 'first-channel-mean-free'; 'frame', back to the image's own scale;
        'fixed', to the scale of the targets. Its ``output_limits``, if any, are the least and the
        most that a result can be.

    Returns
    -------
    image : numpy.ndarray
        float32.
    undo : callable
        Takes the network's output, (height, width, channels), to the result.

    Raises
    ------
    InputError
        If contrast is asked of an image that is constant or whose mean is not positive.
    """
    inputs = {
        "none": _unchanged,
        "contrast": _contrast,
        "frame": _frame,
        "fixed": lambda image: _fixed(image, normalization),
    }
    image, mean, deviation = inputs[normalization["input"]](image)
    outputs = {
        "none": lambda answer: answer,
        "mean-free": lambda answer: answer - answer.mean((0, 1)),
        "first-channel-mean-free": _first_mean_free,
        "frame": lambda answer: (answer - answer.mean((0, 1))) * deviation + mean,
        "fixed": lambda answer: (
            answer * np.float32(normalization["output_deviation"])
            + np.float32(normalization["output_mean"])
        ),
    }
    undo = outputs[normalization["output"]]
    if "output_limits" in normalization:
        low, high = normalization["output_limits"]
        return image.astype(np.float32, copy=False), lambda answer: undo(answer).clip(low, high)
    return image.astype(np.float32, copy=False), undo


def _unchanged(image):
    return image, 0.0, 1.0


def _fixed(image, normalization):
    mean, deviation = (np.float32(normalization[f"input_{n}"]) for n in ("mean", "deviation"))
    return (image - mean) / deviation, mean, deviation


def _contrast(image):
    mean = image.mean(axis=(0, 1), dtype=np.float64)
    for channel, value in enumerate(mean):
        if not value > 0:
            raise InputError(
                f"image {channel + 1} has a mean of {value:.4g}; intensities with a positive mean "
                "are expected (is a background subtracted twice?)"
            )
        if np.ptp(image[..., channel]) == 0:
            raise InputError(f"image {channel + 1} is constant ({value:.4g}); it shows no object")
    return image / mean - 1, mean, mean


def _frame(image):
    """As `mcnn_keras.problems.denoise.frame_scale`; an empty frame has no deviation."""
    # In place: most of the time would go into memory for copies.
    image = image.astype(np.float64)
    count = max(1, int(OUTLIERS * image.size))
    kept = image.flatten()
    kept.partition(count - 1)
    low = kept[count - 1]
    kept.partition(kept.size - count)
    high = kept[kept.size - count]
    np.clip(kept, low, high, out=kept)
    middle, deviation, whole = kept.mean(), float(kept.std()), image.std()
    if deviation <= 1e-6 * whole:  # a few counts on nothing are no outliers
        deviation = float(whole)
    else:
        low, high = (max(abs(q - middle), 3 * deviation) for q in (low, high))
        np.clip(image, middle - 2 * low, middle + 2 * high, out=image)
    # Python's own numbers leave the answers in float32.
    mean = float(image.mean())
    if deviation <= 1e-6 * abs(mean):
        return np.zeros_like(image), mean, 0.0
    image -= mean
    image /= deviation
    return image, mean, deviation


def _first_mean_free(answer):
    answer = answer.copy()
    answer[..., 0] -= answer[..., 0].mean()
    return answer
