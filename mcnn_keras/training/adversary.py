"""The adversarial term of the loss: a discriminator that is trained together with the network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from ..network import discriminator
from .optimizer import Adam, apply_clipped

SCALES = 3


class Adversary:
    """A discriminator with its own optimiser (least squares, Mao et al. 2017).

    Parameters
    ----------
    channels : int
        Number of channels of the target.
    outputs : int
        Number of outputs of the network; the discriminator sees the finest three.
    learning_rate : float
    """

    def __init__(self, channels: int, outputs: int, learning_rate: float) -> None:
        self.scales = min(SCALES, outputs)
        self.model = discriminator(channels, self.scales)
        self.optimizer = Adam(learning_rate)
        self.optimizer.build(self.model.trainable_variables)

    @property
    def variables(self) -> list[Any]:
        """All variables that a checkpoint must contain."""
        return [*self.model.variables, *self.optimizer.variables]

    def error(self, outputs: Sequence[Any]) -> Any:
        """The adversarial error of the outputs, for each sample: (batch,)."""
        return self._distance(outputs, 1.0)

    def learn(self, outputs: Sequence[Any], targets: Sequence[Any], batch_size: int) -> None:
        """One step of the discriminator; no gradient flows back through the outputs.

        Parameters
        ----------
        outputs, targets : list of (batch, height, width, channels) tensor
            From fine to coarse.
        batch_size : int
            Total over all devices.
        """
        outputs = [tf.stop_gradient(output) for output in outputs]
        with tf.GradientTape() as tape:
            loss = self._distance(outputs, 0.0) + self._distance(targets, 1.0)
            loss = tf.reduce_sum(loss) / batch_size
        variables = self.model.trainable_variables
        apply_clipped(self.optimizer, tape.gradient(loss, [v.value for v in variables]), variables)

    def _distance(self, images: Sequence[Any], wanted: float) -> Any:
        images = list(images[: self.scales])
        judgements = keras.tree.flatten(self.model(images, training=True))
        return tf.add_n([
            tf.reduce_mean((judgement - wanted) ** 2, axis=(1, 2, 3)) for judgement in judgements
        ]) / len(judgements)  # fmt: skip
