"""Engines: a network in TensorFlow, compiled once, or an exported network in ONNX Runtime.

An engine has a `card`, a `stride`, a `name` and a `precision`. Height and width of its input must
be multiples of the stride. Its method `compute` takes a batch of network inputs, including fixed
channels, and returns the full-size output. `mcnn_keras.inference.fastest` chooses an engine.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import InputError
from ..models.finite import finite

_compiled: Any = weakref.WeakKeyDictionary()


class TensorFlowEngine:
    """A network of this package, compiled for any number and size of images.

    Parameters
    ----------
    model : keras.Model
        With its card.
    """

    name = "tensorflow"

    def __init__(self, model: Any) -> None:
        from ..network import stride

        self.model, self.card, self.stride = model, model.card, stride(model)
        halved = any(layer.compute_dtype == "bfloat16" for layer in model.layers)
        self.precision = "bfloat16" if halved else "float32"
        self._compute = output_function(model)

    def compute(self, batch: np.ndarray) -> np.ndarray:
        """The network's output for a batch; both (batch, height, width, channels), float32."""
        return finite(self._compute(batch).numpy())


class Averaged:
    """The mean of an engine's results for an image and for its mirrored and rotated copies.

    Parameters
    ----------
    engine : engine
    """

    def __init__(self, engine: Any) -> None:
        self.engine, self.card, self.stride = engine, engine.card, engine.stride
        self.name, self.precision = engine.name, engine.precision
        if hasattr(engine, "answers"):
            self.answers = engine.answers

    def compute(self, batch: np.ndarray) -> np.ndarray:
        """As `compute` of the engine; takes eight times as long."""
        answers = []
        for turned in (False, True):
            for flips in ((), (1,), (2,), (1, 2)):
                copy = np.flip(batch, flips)
                copy = copy.swapaxes(1, 2) if turned else copy
                answer = self.engine.compute(np.ascontiguousarray(copy))
                answers.append(np.flip(answer.swapaxes(1, 2) if turned else answer, flips))
        return sum(answers[1:], answers[0]) / np.float32(len(answers))


def engine_of(model: Any) -> Any:
    """The engine of a model that `mcnn_keras.load` returned."""
    if hasattr(model, "compute"):
        return model
    if not hasattr(model, "card"):
        raise InputError(
            f"a {type(model).__name__} was given; predict takes a model that mcnn_keras.load "
            "returned"
        )
    return TensorFlowEngine(model)


def output_function(model: Any, interval: bool = False) -> Callable[[Any], Any]:
    """The model's full-size output as a function of a batch, compiled once per model.

    Parameters
    ----------
    model : keras.Model
        With its card.
    interval : bool
        Whether to return a list of this output and that of the interval.

    Returns
    -------
    callable
        (batch, height, width, channels) of network inputs -> tf.Tensor, or two.
    """
    import tensorflow as tf

    known = _compiled.setdefault(model, {})
    if interval not in known:
        import keras

        # Only the layers that these outputs need.
        outputs = [model.outputs[0], model.outputs[-1]] if interval else model.outputs[0]
        wanted = keras.Model(model.inputs, outputs)
        channels = model.card.network["input_channels"]
        known[interval] = tf.function(
            lambda x: wanted(x, training=False),
            input_signature=[tf.TensorSpec((None, None, None, channels), tf.float32)],
            autograph=False,
        )
    return known[interval]


def measured_radius(engine: Any, threshold: float = 1e-5, size: int = 1024) -> int:
    """The distance from a pixel within which other pixels influence its result, measured.

    For networks whose layers do not determine it (`mcnn_keras.network.receptive_radius`).

    Parameters
    ----------
    engine : engine
    threshold : float
        Smallest difference that counts as a change, in standard deviations of the result.
    size : int
        Height and width of the test image.

    Returns
    -------
    int
        In pixels, at most half the size.

    Notes
    -----
    Four pixels of a noise image are changed one by one. The radius is the distance of the farthest
    pixel whose result changes by more than the threshold.
    """
    size = -(-size // engine.stride) * engine.stride
    rng = np.random.default_rng(0)
    channels = engine.card.network["input_channels"]
    image = rng.standard_normal((1, size, size, channels)).astype(np.float32)
    before = engine.compute(image)[0]
    scale, limit, farthest = engine.card.scale, threshold * before.std(), 0
    for dy, dx in np.ndindex(2, 2):
        # The four pixels have different positions within the stride.
        y, x = (size // 2 + d * (engine.stride // 2 + 1) for d in (dy, dx))
        changed = image.copy()
        changed[0, y, x] += 5.0
        moved = np.abs(engine.compute(changed)[0] - before).max(-1) > limit
        rows, columns = np.nonzero(moved)
        if len(rows):
            reach = max(np.abs(rows / scale - y).max(), np.abs(columns / scale - x).max())
            farthest = max(farthest, int(np.ceil(reach)))
    return min(farthest, size // 2)
