"""The fixed low-pass first layer of the denoising problem."""

import keras
import numpy as np
from keras import ops


def _kernels():
    """The four filters of Wang et al. (2020), each of sum one, in one 15x15 kernel."""
    y, x = np.mgrid[-7:8, -7:8]
    squared = y**2 + x**2
    reach = np.maximum(abs(y), abs(x))
    filters = [
        reach <= 2,  # 5x5 ones
        reach <= 3,  # 7x7 ones
        np.exp(-squared / np.sqrt(20)),
        np.exp(-squared / np.sqrt(30)),
    ]
    return np.stack([f / f.sum() for f in filters], axis=-1)[:, :, None].astype(np.float32)


@keras.saving.register_keras_serializable("mcnn_keras")
class LowPass(keras.layers.Layer):
    """Four blurred copies of a one-channel image: ones over 5x5 and 7x7, and two Gaussians.

    The layer has no weights; beyond its border the image is mirrored.

    Notes
    -----
    Input (batch, height, width, 1), output (batch, height, width, 4).
    """

    def call(self, image):
        """The blurred copies of a batch of images."""
        padded = ops.pad(image, ((0, 0), (7, 7), (7, 7), (0, 0)), mode="symmetric")
        return ops.conv(padded, ops.cast(_kernels(), image.dtype), padding="valid")

    def compute_output_shape(self, input_shape):
        """The input's shape with four channels."""
        return (*input_shape[:-1], 4)
