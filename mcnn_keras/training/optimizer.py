"""The optimiser of all replicas: gradients are summed over them once, and clipped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

CLIP_NORM = 1.0
# Keras's optimisers sum over the replicas themselves, in this method.
SUMS = hasattr(keras.optimizers.Adam, "_all_reduce_sum_gradients")


class Adam(keras.optimizers.Adam):
    """Adam for `apply_clipped`, which has summed the gradients over the replicas already."""

    def _all_reduce_sum_gradients(self, pairs: Any) -> Any:
        return pairs


def apply_clipped(optimizer: Adam, gradients: Sequence[Any], variables: Sequence[Any]) -> None:
    """Apply the gradient of the whole batch inside a replica, with its norm clipped.

    So a single outlying batch does not damage a network without normalisation.
    """
    replicas = tf.distribute.get_replica_context()
    gradients = replicas.all_reduce("SUM", gradients)
    gradients, _ = tf.clip_by_global_norm(gradients, CLIP_NORM)
    if not SUMS:  # a Keras that sums elsewhere does so once more
        gradients = [g / replicas.num_replicas_in_sync for g in gradients]
    optimizer.apply(gradients, variables)
