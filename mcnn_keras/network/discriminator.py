"""The discriminator of the adversarial loss. It distinguishes answers and targets at each scale."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers


def discriminator(
    channels: int = 1,
    scales: int = 3,
    filters: Sequence[int] = (16, 32, 64),
    name: str = "discriminator",
) -> keras.Model:
    """Build a patch discriminator for the finest outputs of an MCNN.

    Parameters
    ----------
    channels : int
        Channels of each output.
    scales : int
        Number of outputs that it takes: full size, half size, and so on.
    filters : sequence of int
        Channels after each convolution. Each convolution halves the size.

    Returns
    -------
    keras.Model
        Input: a list of (batch, height / 2^k, width / 2^k, channels). Output: a list of linear
        float32 maps, trained to be one for patches of targets and zero for patches of answers.
    """
    images = [keras.Input((None, None, channels), name=f"scale_{k + 1}") for k in range(scales)]
    judgements = []
    for k, x in enumerate(images, 1):
        for i, width in enumerate(filters, 1):
            x = layers.Conv2D(width, 4, strides=2, padding="same", name=f"scale_{k}_conv_{i}")(x)
            x = layers.LeakyReLU(negative_slope=0.2, name=f"scale_{k}_act_{i}")(x)
        judgements.append(
            layers.Conv2D(1, 3, padding="same", dtype="float32", name=f"scale_{k}_judgement")(x)
        )
    return keras.Model(images, judgements, name=name)
