"""The devices and the precision for training."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from ..errors import InputError


def choose_strategy(gpus: int | None = None) -> tf.distribute.Strategy:
    """One replica per GPU, or the processor if there is no GPU.

    Parameters
    ----------
    gpus : int, optional
        Number of GPUs to use; all by default, 0 for the processor.

    Returns
    -------
    tf.distribute.Strategy

    Raises
    ------
    InputError
        If there are fewer GPUs.
    """
    found = tf.config.list_logical_devices("GPU")
    wanted = len(found) if gpus is None else gpus
    require_gpus(wanted, len(found))
    if wanted == 0:
        return tf.distribute.OneDeviceStrategy("/cpu:0")
    return tf.distribute.MirroredStrategy([device.name for device in found[:wanted]])


def require_gpus(wanted: int, found: int) -> None:
    """Raise InputError if there are not so many GPUs."""
    if not 0 <= wanted <= found:
        offered = f"give --gpus 0 to {found}" if found else "leave --gpus out"
        raise InputError(f"{wanted} GPUs were asked for and {found} found; {offered}")


def faster_precision() -> str:
    """'bfloat16' if convolutions take less than 0.8 of the time in float32, else 'float32'."""
    times = {}
    for precision in ("float32", "bfloat16"):
        image = tf.cast(tf.random.stateless_normal((4, 64, 64, 64), (0, 0)), precision)
        kernel = tf.cast(tf.random.stateless_normal((3, 3, 64, 64), (0, 1)), precision)
        try:
            times[precision] = _median_time(_convolution(image, kernel))
        except tf.errors.OpError:  # not supported by this TensorFlow on this processor
            if precision == "float32":
                raise
            return "float32"
    return "bfloat16" if times["bfloat16"] < 0.8 * times["float32"] else "float32"


def convolution_rate(
    precision: str = "float32", size: int = 128, channels: int = 64, batch: int = 8
) -> float:
    """The convolution rate of this machine, to compare a network's speed with.

    Parameters
    ----------
    precision : {'float32', 'bfloat16'}
    size, channels, batch : int
        Shape of the convolved images; the kernel is 3x3.

    Returns
    -------
    float
        Operations (multiplications and additions) per second.
    """
    shape = (batch, size, size, channels)
    image = tf.cast(tf.random.stateless_normal(shape, (0, 0)), precision)
    kernel = tf.cast(tf.random.stateless_normal((3, 3, channels, channels), (0, 1)), precision)
    operations = 2 * batch * size**2 * channels**2 * 9
    return operations / _median_time(_convolution(image, kernel))


def _convolution(image: Any, kernel: Any) -> Callable[[], Any]:
    return tf.function(lambda: tf.nn.conv2d(image, kernel, 1, "SAME"), autograph=False)


def _median_time(compute: Callable[[], Any], repeats: int = 7) -> float:
    for _ in range(2):
        compute().numpy()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        compute().numpy()
        times.append(time.perf_counter() - start)
    return float(np.median(times))
