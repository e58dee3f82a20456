"""The fixed physical first layer of the phase problem: what optics alone can say of the wave."""

import math

import keras
from keras import ops

# The transport-of-intensity phase is damped above this period, in pixels.
TRANSPORT_PERIOD = 256


@keras.saving.register_keras_serializable("mcnn_keras")
class FocusEstimates(keras.layers.Layer):
    """Classical estimates of the wave at focus, from the contrast measured at each plane.

    Two channels for each plane: its amplitude sqrt(1 + contrast) propagated back to focus, real
    part (less one) and imaginary part. The imaginary part is the phase of a weak object, overlaid
    with its twin image; it lacks slow changes, which hardly show in a defocused image. These are
    in one last channel: the phase, in rad, that solves the transport-of-intensity equation. What is
    wrong in all of them is left to the network to mend.

    The layer has no weights. It works in float32 whatever the network's precision, because a
    transform of bfloat16 numbers would drown the phase.

    Parameters
    ----------
    defocus : list of float
        Signed distance of each plane from focus, in um, positive downstream.
    wavelength, pixel_size : float
        In um.
    numerical_aperture : float or None
        Waves beyond it are removed; None keeps all that propagate.
    refractive_index : float
        Of the medium.
    spherical_aberration : float
        Of the lens, in the unit of the other lengths.
    margin : int
        Pixels by which the field is extended on each side, mirrored and faded to the mean, so
        that opposite borders do not disturb each other.

    Notes
    -----
    Input (batch, height, width, planes): the contrast intensity / mean(intensity) - 1.
    Output (batch, height, width, 2 * planes + 1). Transfer function: Goodman, Introduction to
    Fourier Optics, 3.10; back propagation as the start of phase retrieval: Rivenson et al. 2018;
    transport of intensity: Paganin and Nugent, PRL 80, 2586 (1998), damped below one period in 256
    pixels.
    """

    def __init__(
        self,
        defocus,
        wavelength,
        pixel_size,
        numerical_aperture=None,
        refractive_index=1.0,
        spherical_aberration=0.0,
        margin=32,
        **kwargs,
    ):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.defocus = [float(z) for z in defocus]
        self.wavelength = wavelength
        self.pixel_size = pixel_size
        self.numerical_aperture = numerical_aperture
        self.refractive_index = refractive_index
        self.spherical_aberration = spherical_aberration
        self.margin = margin

    def transfer_function(self, height, width):
        """Real and imaginary part, each (planes, height, width), of the way back to focus."""
        fy = frequencies(height, self.pixel_size)[:, None]
        fx = frequencies(width, self.pixel_size)[None, :]
        squared = fy**2 + fx**2
        k = self.refractive_index / self.wavelength
        root = ops.sqrt(ops.maximum(k**2 - squared, 0.0))
        # sqrt(k^2 - f^2) - k without the cancellation; in cycles, whole ones dropped, so that
        # float32 holds the phase of a far plane.
        cycles = squared / (root + k)
        z = ops.convert_to_tensor(self.defocus, "float32")[:, None, None]
        turns = z * cycles[None]
        if self.spherical_aberration:
            turns = turns + self.spherical_aberration * self.wavelength**3 / 4 * squared[None] ** 2
        angle = 2 * math.pi * (turns - ops.floor(turns))
        limit = min(k, (self.numerical_aperture or math.inf) / self.wavelength)
        passed = ops.cast(squared < limit**2, "float32")[None]
        return passed * ops.cos(angle), passed * ops.sin(angle)

    def transport_filter(self, height, width):
        """From the axial derivative, in 1/um, to a phase in rad: real, (height, width)."""
        fy = frequencies(height, self.pixel_size)[:, None]
        fx = frequencies(width, self.pixel_size)[None, :]
        scale = 2 * math.pi * self.wavelength / self.refractive_index
        gain = scale * (fy**2 + fx**2)
        return gain / (gain**2 + (scale / (TRANSPORT_PERIOD * self.pixel_size) ** 2) ** 2)

    def axial_derivative(self, contrast):
        """The slope, in 1/um, of a line through the contrasts; through zero where there is one."""
        z = [float(z) for z in self.defocus]
        mean = sum(z) / len(z) if len(z) > 1 else 0.0
        squares = sum((value - mean) ** 2 for value in z)
        weights = ops.convert_to_tensor([(value - mean) / squares for value in z], "float32")
        return ops.sum(contrast * weights, axis=-1, keepdims=True)

    def call(self, contrast):
        """The estimates for a batch of contrasts."""
        planes, m = len(self.defocus), self.margin
        amplitude = ops.sqrt(ops.maximum(1.0 + contrast, 0.0)) - 1.0
        fields = ops.concatenate([amplitude, self.axial_derivative(contrast)], axis=-1)
        fields = ops.transpose(_extend(fields, m), (0, 3, 1, 2))
        height, width = ops.shape(fields)[2], ops.shape(fields)[3]
        real, imag = ops.fft2((fields, ops.zeros_like(fields)))
        t_real, t_imag = self.transfer_function(height, width)
        transport = self.transport_filter(height, width)[None]
        t_real = ops.concatenate([t_real, transport])
        t_imag = ops.concatenate([t_imag, ops.zeros_like(transport)])
        real, imag = ops.ifft2((real * t_real - imag * t_imag, real * t_imag + imag * t_real))
        channels = ops.concatenate([real[:, :planes], imag[:, :planes], real[:, planes:]], axis=1)
        return ops.transpose(channels, (0, 2, 3, 1))[:, m : height - m, m : width - m, :]

    def compute_output_shape(self, input_shape):
        """The input's shape with two channels per plane, and one."""
        return (*input_shape[:-1], 2 * len(self.defocus) + 1)

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "defocus": self.defocus,
            "wavelength": self.wavelength,
            "pixel_size": self.pixel_size,
            "numerical_aperture": self.numerical_aperture,
            "refractive_index": self.refractive_index,
            "spherical_aberration": self.spherical_aberration,
            "margin": self.margin,
        }


def frequencies(n, pixel_size):
    """The spatial frequencies of n samples in the order of the discrete Fourier transform."""
    index = ops.arange(n, dtype="float32")
    n = ops.cast(n, "float32")
    return ops.where(index < n / 2, index, index - n) / (n * pixel_size)


def _extend(image, margin):
    """Mirror `image` by `margin` pixels on each side and fade it to zero there."""
    if margin == 0:
        return image
    height, width = ops.shape(image)[1], ops.shape(image)[2]
    image = ops.pad(image, ((0, 0), (margin, margin), (margin, margin), (0, 0)), mode="symmetric")

    def fade(n):
        distance = ops.arange(n + 2 * margin, dtype="float32") + 0.5
        distance = ops.minimum(distance, ops.cast(n + 2 * margin, "float32") - distance)
        return ops.sin(0.5 * math.pi * ops.minimum(distance / margin, 1.0)) ** 2

    return image * fade(height)[:, None, None] * fade(width)[None, :, None]
