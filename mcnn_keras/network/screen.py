"""The fixed physical first layer of the reflection problem: a linear estimate of the screen."""

import keras
from keras import ops

from ..transport import SCREEN_CELLS, Scene, screen_filter


@keras.saving.register_keras_serializable("mcnn_keras")
class ScreenEstimate(keras.layers.Layer):
    """The screen that Wiener's filter finds in a photograph of the wall.

    The gamma curve and the automatic exposure's choice are undone, the light is summed over cells,
    and the scene's geometry inverted. Details, which a wall does not show, are left to the network.

    The layer has no weights. It works in float32 whatever the network's precision.

    Parameters
    ----------
    scene : dict
        Fields of `mcnn_keras.transport.Scene`.
    gamma : float
        Of photographs and of the screen: value = light^(1/gamma).
    aim, automatic : float
        A photograph's mean light is aim times the wall's to the power (1 - automatic), where a
        white screen's is one.
    corner : float
        Light at the corner of the view, that in its middle being one.

    Notes
    -----
    Input and output (batch, height, width, 3), 0..1: 9/16 of the width in the middle rows, what
    lies above and below being its mirror image.
    """

    def __init__(self, scene, gamma, aim, automatic, corner, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.settings = {
            "scene": dict(scene), "gamma": gamma, "aim": aim, "automatic": automatic,
            "corner": corner,
        }  # fmt: skip
        self.matrix, self.offset = screen_filter(Scene(**scene), SCREEN_CELLS, corner)

    def call(self, photographs):
        """The screens, as they would show, of a batch of photographs."""
        gamma, aim = self.settings["gamma"], self.settings["aim"]
        height, width = ops.shape(photographs)[1], ops.shape(photographs)[2]
        within = width * 9 // 16
        over_rows, to_rows = _weights(height, (height - within) // 2, within, SCREEN_CELLS[0])
        over_columns, to_columns = _weights(width, 0, width, SCREEN_CELLS[1])
        light = ops.power(ops.maximum(photographs, 0.0), gamma)
        cells = ops.einsum("ih,bhwk,jw->bijk", over_rows, light, over_columns)
        level = ops.maximum(ops.mean(cells, axis=(1, 2, 3), keepdims=True), 1e-6)
        cells *= (level / aim) ** (1 / (1 - self.settings["automatic"])) / level
        cells = ops.reshape(cells, (-1, self.matrix.shape[1], photographs.shape[-1]))
        screen = ops.einsum("ij,bjk->bik", self.matrix, cells) + self.offset[:, None]
        screen = ops.power(ops.clip(screen, 1e-6, 1.0), 1 / gamma)
        screen = ops.reshape(screen, (-1, *SCREEN_CELLS, photographs.shape[-1]))
        return ops.einsum("hi,bijk,wj->bhwk", to_rows, screen, to_columns)

    def compute_output_shape(self, input_shape):
        """The input's shape."""
        return input_shape

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), **self.settings}


def _weights(pixels, first, length, cells):
    """To sum pixels over cells, (cells, pixels), and to interpolate, (pixels, cells).

    The cells lie on `length` pixels, of which `first` is the first one.
    """
    spacing = ops.cast(length, "float32") / cells
    first = ops.cast(first, "float32")
    centres = (ops.arange(cells, dtype="float32") + 0.5) * spacing + first - 0.5
    positions = (ops.arange(pixels, dtype="float32") + 0.5 - first) / spacing - 0.5
    return _triangles(centres, pixels, ops.maximum(spacing, 1.0)), _triangles(positions, cells, 1.0)


def _triangles(positions, n, reach):
    last = ops.cast(n, "float32") - 1.0
    apart = ops.clip(positions, 0.0, last)[:, None] - ops.arange(n, dtype="float32")
    weights = ops.relu(1.0 - ops.abs(apart) / reach)
    return weights / ops.sum(weights, axis=1, keepdims=True)
