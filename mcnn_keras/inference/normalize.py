"""From a measurement to the network's input and from its output to the result, by name."""

import numpy as np

from ..errors import InputError


def normalize_input(image, kind):
    """Scale a measurement as the network saw its training images.

    Parameters
    ----------
    image : (height, width, channels) array
    kind : {'none', 'contrast'}
        'contrast': image / mean - 1 for each channel.

    Raises
    ------
    InputError
        If an image is constant or its mean is not positive.
    """
    if kind == "none":
        return image
    mean = image.mean(axis=(0, 1), dtype=np.float64)
    for channel, value in enumerate(mean):
        if not value > 0:
            raise InputError(
                f"image {channel + 1} has a mean of {value:.4g}; intensities with a positive mean "
                "are expected (is a background subtracted twice?)"
            )
        if np.ptp(image[..., channel]) == 0:
            raise InputError(f"image {channel + 1} is constant ({value:.4g}); it shows no object")
    return (image / mean - 1).astype(np.float32)


def normalize_output(answer, kind):
    """Give the network's output its convention.

    Parameters
    ----------
    answer : (height, width, channels) array
    kind : {'none', 'mean-free', 'first-channel-mean-free'}
    """
    if kind == "none":
        return answer
    answer = answer.copy()
    channels = slice(0, 1) if kind == "first-channel-mean-free" else slice(None)
    answer[..., channels] -= answer[..., channels].mean(axis=(0, 1))
    return answer
