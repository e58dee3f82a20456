"""Functions for code that runs both on NumPy arrays and on TensorFlow tensors.

`of(*values)` returns the functions for the given values: TensorFlow's if any value is a tensor,
those of NumPy and SciPy otherwise. So a formula has one implementation for tf.data, files and ONNX
Runtime, and TensorFlow is not imported if there are no tensors.

Images are (..., channels, height, width) here: transforms go over the last two axes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

# An array of NumPy, a tensor of TensorFlow, or a number.
Array = Any


def of(*values: Array) -> Any:
    """The functions that fit some values: `Tensors` if one is a tensor, `Numbers` otherwise."""
    return Tensors if any(map(is_tensor, values)) else Numbers


def is_tensor(value: Array) -> bool:
    """Whether a value is a tensor or a variable of TensorFlow."""
    return type(value).__module__.startswith("tensorflow") and hasattr(value, "dtype")


def channels_first(images: Array) -> Array:
    """(..., height, width, channels) as (..., channels, height, width)."""
    n = len(images.shape)
    return of(images).transpose(images, (*range(n - 3), n - 1, n - 3, n - 2))


def channels_last(images: Array) -> Array:
    """(..., channels, height, width) as (..., height, width, channels)."""
    n = len(images.shape)
    return of(images).transpose(images, (*range(n - 3), n - 2, n - 1, n - 3))


def _threads(value: np.ndarray) -> int:
    """Threads of a Fourier transform: two for large fields, else one."""
    return 2 if value.size >= 2**18 else 1


class Numbers:
    """NumPy's and SciPy's functions."""

    floor = staticmethod(np.floor)
    sqrt = staticmethod(np.sqrt)
    exp = staticmethod(np.exp)
    log = staticmethod(np.log)
    cos = staticmethod(np.cos)
    sin = staticmethod(np.sin)
    maximum = staticmethod(np.maximum)
    minimum = staticmethod(np.minimum)
    where = staticmethod(np.where)
    clip = staticmethod(np.clip)
    stack = staticmethod(np.stack)
    concat = staticmethod(np.concatenate)
    reshape = staticmethod(np.reshape)
    transpose = staticmethod(np.transpose)
    roll = staticmethod(np.roll)
    real = staticmethod(np.real)
    conj = staticmethod(np.conj)
    einsum = staticmethod(np.einsum)
    isfinite = staticmethod(np.isfinite)
    zeros_like = staticmethod(np.zeros_like)
    cumsum = staticmethod(np.cumsum)
    sum = staticmethod(np.sum)

    @staticmethod
    def cast(value: Array, dtype: str) -> Array:
        """The values in another type."""
        return np.asarray(value).astype(dtype, copy=False)

    @staticmethod
    def complex(real: Array, imag: Array) -> Array:
        """complex64 of two float32 parts."""
        out = np.empty(np.broadcast_shapes(np.shape(real), np.shape(imag)), np.complex64)
        out.real, out.imag = real, imag
        return out

    @staticmethod
    def mean(value: Array, axis: Any = None) -> Array:
        """The mean over axes, which are kept with a length of one; summed in float64."""
        total = np.mean(value, axis=axis, keepdims=axis is not None, dtype=np.float64)
        return total.astype(np.asarray(value).dtype) if axis is not None else total

    @staticmethod
    def pad(value: Array, widths: Any, mode: str = "symmetric") -> Array:
        """Pad with values outside the borders."""
        return np.pad(value, widths, mode=mode)  # type: ignore[call-overload]

    @staticmethod
    def weighted(value: Array, weights: list[Array], axis: int) -> Array:
        """Each pixel's weighted sum with its neighbours along an axis, mirrored at the borders.

        Weights are numbers, or have the shape of the axes after height and width.
        """
        if np.ndim(weights[0]) == 0:
            from scipy.ndimage import correlate1d

            return correlate1d(value, np.asarray(weights), axis)
        return _weighted(Numbers, value, weights, axis)

    @staticmethod
    def fft2(value: Array) -> Array:
        """The two-dimensional transform over the last two axes."""
        from scipy import fft

        return fft.fft2(value, workers=_threads(value))

    @staticmethod
    def ifft2(value: Array) -> Array:
        """The inverse transform over the last two axes."""
        from scipy import fft

        return fft.ifft2(value, workers=_threads(value))

    @staticmethod
    def rfft2(value: Array) -> Array:
        """The transform of real values over the last two axes."""
        from scipy import fft

        return fft.rfft2(value, workers=_threads(value))

    @staticmethod
    def irfft2(value: Array, shape: Any) -> Array:
        """The real inverse transform over the last two axes, of this height and width."""
        from scipy import fft

        return fft.irfft2(value, s=shape, workers=_threads(value))

    @staticmethod
    def extremes(values: Array, count: int) -> tuple[Array, Array]:
        """The count-th lowest and the count-th highest of one-dimensional values."""
        kept = np.array(values)
        kept.partition((count - 1, kept.size - count))
        return kept[count - 1], kept[kept.size - count]

    @staticmethod
    def extent(values: Array) -> tuple[Array, Array]:
        """The lowest and the highest of all values."""
        return values.min(), values.max()


class Tensors:
    """TensorFlow's functions with the same names; TensorFlow is imported when one is called."""

    @staticmethod
    def cast(value: Array, dtype: str) -> Array:
        """The values in another type."""
        import tensorflow as tf

        return tf.cast(value, dtype)

    @staticmethod
    def complex(real: Array, imag: Array) -> Array:
        """complex64 of two float32 parts."""
        import tensorflow as tf

        return tf.complex(tf.cast(real, tf.float32), tf.cast(imag, tf.float32))

    @staticmethod
    def mean(value: Array, axis: Any = None) -> Array:
        """The mean over axes, which are kept with a length of one."""
        import tensorflow as tf

        return tf.reduce_mean(value, axis=axis, keepdims=axis is not None)

    @staticmethod
    def pad(value: Array, widths: Any, mode: str = "symmetric") -> Array:
        """Pad with values outside the borders."""
        import tensorflow as tf

        return tf.pad(value, widths, mode=mode.upper())

    @staticmethod
    def weighted(value: Array, weights: list[Array], axis: int) -> Array:
        """Each pixel's weighted sum with its neighbours along an axis, mirrored at the borders."""
        return _weighted(Tensors, value, weights, axis)

    @staticmethod
    def irfft2(value: Array, shape: Any) -> Array:
        """The real inverse transform over the last two axes, of this height and width."""
        import tensorflow as tf

        return tf.signal.irfft2d(value, fft_length=shape)

    @staticmethod
    def extremes(values: Array, count: int) -> tuple[Array, Array]:
        """The count-th lowest and the count-th highest of one-dimensional values."""
        import tensorflow as tf

        return -tf.math.top_k(-values, count)[0][-1], tf.math.top_k(values, count)[0][-1]

    @staticmethod
    def extent(values: Array) -> tuple[Array, Array]:
        """The lowest and the highest of all values."""
        import tensorflow as tf

        return tf.reduce_min(values), tf.reduce_max(values)


def _weighted(xp: Any, value: Array, weights: list[Array], axis: int) -> Array:
    reach, size, axes = len(weights) // 2, int(value.shape[axis]), len(value.shape)
    padded = xp.pad(value, [(reach, reach) if i == axis else (0, 0) for i in range(axes)])
    before = (slice(None),) * axis
    parts = [w * padded[(*before, slice(k, k + size))] for k, w in enumerate(weights)]
    return sum(parts[1:], parts[0])


def _delegate(name: str, path: str) -> None:
    def function(*arguments: Any, **options: Any) -> Array:
        import tensorflow as tf

        found: Any = tf
        for part in path.split("."):
            found = getattr(found, part)
        return found(*arguments, **options)

    function.__name__ = name
    setattr(Tensors, name, staticmethod(function))


for _name, _path in {
    "floor": "floor", "sqrt": "sqrt", "exp": "exp", "log": "math.log", "cos": "cos", "sin": "sin",
    "maximum": "maximum", "minimum": "minimum", "where": "where", "clip": "clip_by_value",
    "stack": "stack", "concat": "concat", "reshape": "reshape", "transpose": "transpose",
    "roll": "roll", "sum": "reduce_sum", "isfinite": "math.is_finite", "zeros_like": "zeros_like",
    "cumsum": "cumsum", "real": "math.real", "conj": "math.conj", "einsum": "einsum",
    "fft2": "signal.fft2d",
    "ifft2": "signal.ifft2d", "rfft2": "signal.rfft2d",
}.items():  # fmt: skip
    _delegate(_name, _path)
