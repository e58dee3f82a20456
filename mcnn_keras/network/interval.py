"""The head that predicts how far the full-size answer may be from the truth, pixel by pixel.

features, answer, input -> two scales of convolutions -> logarithm of the error that is exceeded in
one pixel of ten

The head sees the whole network, and changes nothing in it: it can be trained after the network.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from .cells import activate, convolve, double, halve

# First part of the names of its layers.
PREFIX = "interval"
FILTERS = 24
# Before training, the errors are taken to be exp(START), in the unit of the answers.
START = -3.0


def interval_head(image: Any, answer: Any, features: Any, levels: int, scale: int) -> Any:
    """The logarithm of the half-width of an interval around the answer.

    Parameters
    ----------
    image : tensor
        The network's input.
    answer : tensor
        Its full-size output.
    features : tensor
        Features of half of the size of the answer.
    levels : int
        How often the features can be halved again: at 0, 1, and 2 or more, the head's own features
        have one, two and three scales.
    scale : {1, 2}
        Size of the answer, as a multiple of the input's size.

    Returns
    -------
    tensor
        Of the shape of the answer; float32.
    """
    both = answer if scale == 2 else layers.Concatenate(name=f"{PREFIX}_both")([answer, image])
    seen = [activate(halve(both, FILTERS, f"{PREFIX}_1"), "none", f"{PREFIX}_1")]
    seen += [image] if scale == 2 else []
    x = layers.Concatenate(name=f"{PREFIX}_seen")([features, *seen])
    x = convolve(x, FILTERS, "none", f"{PREFIX}_1_block")
    skips = []
    for level in range(2, 2 + min(levels, 2)):
        skips.append(x)
        x = activate(halve(x, FILTERS * 2, f"{PREFIX}_{level}"), "none", f"{PREFIX}_{level}")
        x = convolve(x, FILTERS * 2, "none", f"{PREFIX}_{level}_block")
    for level, skip in reversed(list(enumerate(skips, 2))):
        x = activate(double(x, FILTERS, f"{PREFIX}_{level}"), "none", f"{PREFIX}_{level}_up")
        x = layers.Concatenate(name=f"{PREFIX}_{level}_skip")([x, skip])
        x = convolve(x, FILTERS, "none", f"{PREFIX}_{level}_out")
    # Random weights would start as a checkerboard.
    return layers.Conv2DTranspose(
        answer.shape[-1], 4, strides=2, padding="same", dtype="float32", name=f"{PREFIX}_head",
        kernel_initializer="zeros", bias_initializer=keras.initializers.Constant(START),
    )(x)  # fmt: skip
