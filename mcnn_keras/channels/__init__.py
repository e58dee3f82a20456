"""Fixed channels: input channels computed from the image by physics, without training.

    normalised image, conditions of the measurement -> channels of the whole field

Each is one function for NumPy arrays and TensorFlow tensors (see `mcnn_keras.physics.arrays`), so
that the channels are the same in training, prediction and ONNX Runtime. A model's card stores a
dictionary: the function's ``name`` in `CHANNELS`, and its arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..physics import arrays
from ..physics.arrays import Array
from .focus import focus_estimates
from .low_pass import low_pass
from .screen import screen_estimate
from .spectral import spectral_series, spectral_wiener
from .wave import wave_estimates

# Functions (image, conditions, **arguments) -> channels, of (..., height, width, channels) each.
CHANNELS: dict[str, Callable[..., Array]] = {
    "focus_estimates": focus_estimates,
    "low_pass": low_pass,
    "screen_estimate": screen_estimate,
    "spectral_series": spectral_series,
    "spectral_wiener": spectral_wiener,
    "wave_estimates": wave_estimates,
}
# Channels that replace the images, as their number does not depend on that of the images.
IN_PLACE = ("wave_estimates",)


def network_input(
    image: Array, channels: Mapping[str, Any] | None, conditions: Mapping[str, Array]
) -> Array:
    """The network's input: a normalised image, followed by its fixed channels.

    Parameters
    ----------
    image : (..., height, width, channels) array or tensor
        Normalised, float32; all images share the conditions.
    channels : dict or None
        Name and arguments of the fixed channels; None for none.
    conditions : dict
        Acquisition parameters of the measurement, by name.

    Returns
    -------
    array or tensor
        (..., height, width, all channels), float32.

    Raises
    ------
    ValueError
        If the channels are not known.
    """
    if channels is None:
        return image
    arguments = dict(channels)
    name = arguments.pop("name")
    if name not in CHANNELS:
        raise ValueError(f"channels {name!r} are not known; choose from {', '.join(CHANNELS)}")
    found = CHANNELS[name](image, conditions, **arguments)
    found = arrays.of(found).cast(found, "float32")
    return found if name in IN_PLACE else arrays.of(image).concat([image, found], axis=-1)


__all__ = ["CHANNELS", "network_input"]
