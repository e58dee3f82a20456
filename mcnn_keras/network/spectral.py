"""The fixed spectral first layer of the denoising problem: what repeats all over a frame."""

import keras
from keras import ops

from .physical import frequencies

# How much of the noise's mean power is taken from each power of the spectrum.
SUBTRACTED = 2.0
EULER = 0.5772156649  # -mean(ln p) of a power p that is distributed as white noise's, of mean one


@keras.saving.register_keras_serializable("mcnn_keras")
class SpectralWiener(keras.layers.Layer):
    """A frame of one channel after Wiener's filter, made from the frame's own spectrum.

    A lattice that fills a frame stands in few spatial frequencies, high above the noise, so that
    all its cells are averaged: farther than a convolutional network looks. The noise is taken as
    white, its power that of the frequencies above a quarter of a cycle per pixel.

    The layer has no weights. It works in float32 whatever the network's precision.

    Notes
    -----
    Input and output (batch, height, width, 1). The gain at each frequency is
    max(0, 1 - 2 noise / power), the power averaged over neighbouring frequencies; see Kilaas,
    Journal of Microscopy 190, 45 (1998).
    """

    def __init__(self, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})

    def call(self, image):
        """The filtered copies of a batch of images."""
        frames = image[..., 0]
        real, imag = ops.fft2((frames, ops.zeros_like(frames)))
        power = ops.square(real) + ops.square(imag)
        high = _above_a_quarter(ops.shape(frames)[1], ops.shape(frames)[2])
        logarithm = ops.log(ops.maximum(power, 1e-6))
        mean = ops.sum(high * logarithm, axis=(1, 2), keepdims=True) / ops.sum(high)
        noise = ops.exp(mean + EULER)
        for axis in (1, 2):
            power = 0.5 * power + 0.25 * (ops.roll(power, 1, axis) + ops.roll(power, -1, axis))
        gain = ops.maximum(1.0 - SUBTRACTED * noise / ops.maximum(power, 1e-6), 0.0)
        return ops.ifft2((gain * real, gain * imag))[0][..., None]

    def compute_output_shape(self, input_shape):
        """The input's shape."""
        return input_shape


def _above_a_quarter(height, width):
    """One where a spatial frequency is above a quarter of a cycle per pixel, along y or x."""
    fy, fx = (ops.abs(frequencies(n, 1.0)) for n in (height, width))
    return ops.cast(ops.maximum(fy[:, None], fx[None, :]) > 0.25, "float32")
