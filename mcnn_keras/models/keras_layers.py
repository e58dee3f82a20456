"""The fixed first layers of model files of format 1, so that Keras can open these files.

`mcnn_keras.load` does not need them. After ``import mcnn_keras.models.keras_layers``,
``keras.models.load_model(path, compile=False)`` opens such a file with its first layer.
"""

from __future__ import annotations

from typing import Any, ClassVar

import keras
import numpy as np

from ..channels import CHANNELS
from .format_1 import FIRST_LAYER_CHANNELS, INSTRUMENT


class FixedLayer(keras.layers.Layer):
    """Channels of `mcnn_keras.channels` as a layer without weights, on TensorFlow."""

    channels: ClassVar[str] = ""

    def __init__(self, **arguments: Any) -> None:
        own = {k: arguments.pop(k) for k in ("name", "trainable") if k in arguments}
        for name in ("dtype", "autocast", "activity_regularizer"):  # Keras's own, always the same
            arguments.pop(name, None)
        super().__init__(**own, dtype="float32")
        self.arguments = arguments

    def call(self, image: Any) -> Any:
        """The fixed channels of a batch of images."""
        import tensorflow as tf

        shape = self.compute_output_shape(image.shape)
        return tf.ensure_shape(tf.numpy_function(self._compute, [image], tf.float32), shape)

    def _compute(self, tensor: Any) -> np.ndarray:
        image = np.asarray(tensor)
        arguments = {k: v for k, v in self.arguments.items() if v is not None}
        conditions = {n: arguments.pop(n) for n in INSTRUMENT if n in arguments}
        return CHANNELS[self.channels](image, conditions, **arguments).astype(np.float32)

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """The input's shape, with the number of fixed channels."""
        further = FIRST_LAYER_CHANNELS.get(self.channels, 2 * input_shape[-1] + 1)
        return (*input_shape[:-1], further)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), **self.arguments}


@keras.saving.register_keras_serializable("mcnn_keras")
class FocusEstimates(FixedLayer):
    """See `mcnn_keras.channels.focus`."""

    channels = "focus_estimates"


@keras.saving.register_keras_serializable("mcnn_keras")
class LowPass(FixedLayer):
    """See `mcnn_keras.channels.low_pass`."""

    channels = "low_pass"


@keras.saving.register_keras_serializable("mcnn_keras")
class SpectralWiener(FixedLayer):
    """See `mcnn_keras.channels.spectral`."""

    channels = "spectral_wiener"


@keras.saving.register_keras_serializable("mcnn_keras")
class ScreenEstimate(FixedLayer):
    """See `mcnn_keras.channels.screen`."""

    channels = "screen_estimate"
