"""Normalisation: from a measurement to a network's input, and from its output to a result.

One object does both, in training (tensors) and in prediction (NumPy). The problem creates it, and
the model's card stores it:

    apply    measurement -> network's input, and the scale that was removed
    target   truth -> network's target in that scale         (training)
    restore  network's output -> result in original units    (prediction)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from ..errors import InputError
from ..physics import arrays
from ..physics.arrays import Array
from ..physics.contrast_transfer import contrast_scale
from .finite import finite
from .moments import moderate, moments, seen_of

PIXELS = (-3, -2)


class Normalization:
    """No change of values; the base class of the other normalisations.

    Attributes
    ----------
    kind : str
        Its name in a card.
    limits : (float, float) or None
        Lowest and highest possible value of a result.
    mean_free : bool
        Whether targets have a mean of zero, so that zero is the best constant answer.
    per_frame : bool
        Whether each frame has its own scale; then each tile of a large frame has one, too.
    lost : {'', 'gain', 'gain and offset'}
        What it removes of the scale of measurements, see `mcnn_keras.physics.agreement.Forward`.
    """

    kind: ClassVar[str] = "none"
    lost: ClassVar[str] = ""
    mean_free: ClassVar[bool] = False
    per_frame: ClassVar[bool] = False

    def __init__(self, limits: Sequence[float] | None = None) -> None:
        self.limits = None if limits is None else (float(limits[0]), float(limits[1]))

    def apply(self, image: Array) -> tuple[Array, Any]:
        """The network's input, (height, width, channels), and the scale that was removed.

        Raises
        ------
        InputError
            If the image cannot be scaled; tensors are not checked.
        """
        return image, None

    def target(self, target: Array, scale: Any) -> Array:
        """The network's target, (height, width, outputs)."""
        return target

    def restore(self, answer: np.ndarray, scale: Any) -> np.ndarray:
        """The result in original units for a network's output, (height, width, outputs)."""
        return answer if self.limits is None else answer.clip(*self.limits)

    def result(self, answer: np.ndarray, scale: Any) -> np.ndarray:
        """As `restore`, of which every value must be a finite number.

        Raises
        ------
        InputError
            If one is not.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            return finite(self.restore(answer, scale))

    def width(self, width: np.ndarray, scale: Any) -> np.ndarray:
        """Differences between two outputs of the network, in the units of the results."""
        return width

    def error_scale(self, outputs: int) -> np.ndarray:
        """Factors that convert errors of the network's outputs to the units of the results."""
        return np.ones(outputs)

    @property
    def error_unit(self) -> str | None:
        """The unit of the network's errors, if it is not that of the results."""
        return None

    def config(self) -> dict[str, Any]:
        """The values for a card, which `from_config` reads."""
        return {"kind": self.kind, **({"limits": list(self.limits)} if self.limits else {})}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Normalization) and self.config() == other.config()

    __hash__ = None  # type: ignore[assignment]


class Contrast(Normalization):
    """Contrasts, image / mean - 1 of each channel, as input; phase and amplitude as output.

    Parameters
    ----------
    roles : sequence of {'phase', 'amplitude'}
        Role of each output. A phase is mean-free; an amplitude has a mean square of one.
    """

    kind = "contrast"
    lost = "gain"
    mean_free = True

    def __init__(self, roles: Sequence[str] = ("phase",)) -> None:
        super().__init__()
        self.roles = tuple(roles)

    def apply(self, image: Array) -> tuple[Array, Any]:
        """Contrasts, and the means that were removed."""
        xp = arrays.of(image)
        mean = xp.mean(image, axis=PIXELS)
        if xp is arrays.Numbers:
            _require_light(image, mean)
        return image / mean - 1.0, mean

    def target(self, target: Array, scale: Any) -> Array:
        """Phases minus their means; amplitudes with a mean square of one."""
        xp = arrays.of(target)
        channels = []
        for i, role in enumerate(self.roles):
            channel = target[..., i : i + 1]
            if role == "phase":
                channels.append(channel - xp.mean(channel, axis=PIXELS))
            else:
                channels.append(channel / xp.sqrt(xp.mean(channel * channel, axis=PIXELS)))
        return xp.concat(channels, axis=-1)

    def restore(self, answer: np.ndarray, scale: Any) -> np.ndarray:
        """Phases minus their means; amplitudes unchanged."""
        free = [role == "phase" for role in self.roles]
        return answer - np.where(free, answer.mean((0, 1)), np.float32(0)).astype(np.float32)

    def config(self) -> dict[str, Any]:
        """The values for a card."""
        return {"kind": self.kind, "roles": list(self.roles)}


class ScaledContrast(Contrast):
    """As `Contrast`, with outputs in units of the contrasts' root mean square over all planes.

    So weak and strong objects look alike to a network. The fixed channels must be divided by the
    same number, as in `mcnn_keras.channels.wave_estimates`. For an amplitude, the network's output
    is its difference from one.
    """

    kind = "scaled_contrast"

    def apply(self, image: Array) -> tuple[Array, Any]:
        """Contrasts, and their root mean square."""
        contrast, _ = super().apply(image)
        return contrast, contrast_scale(contrast)

    def target(self, target: Array, scale: Any) -> Array:
        """Phases minus their means, amplitudes minus one, both in the contrast's scale."""
        return (super().target(target, None) - self._ones) / scale

    def restore(self, answer: np.ndarray, scale: Any) -> np.ndarray:
        """Phases minus their means, in rad; amplitudes."""
        return super().restore(answer * scale + self._ones, None)

    def width(self, width: np.ndarray, scale: Any) -> np.ndarray:
        """In rad; of amplitudes."""
        return width * scale

    @property
    def error_unit(self) -> str | None:
        """Outputs are in the contrast's scale."""
        return "of the contrast"

    @property
    def _ones(self) -> np.ndarray:
        return np.array([role == "amplitude" for role in self.roles], np.float32)


class FrameScale(Normalization):
    """Each frame minus its mean, divided by its standard deviation, with outliers clipped.

    The standard deviation is that of values clipped to the quantiles at `outliers` from either end.
    Pixels are clipped to twice the distance of these quantiles from the middle, and to at least six
    deviations: this affects hot pixels, but hardly ever a pixel of an atom. The target is the clean
    frame in the same scale. The mean of a result is set to the frame's mean, as noise changes the
    mean by less than the error of a network.

    NaN and infinite pixels do not affect the scale, and become zero, the mean. If there are several
    frames, the middle one gives the deviation. It becomes the first channel; its neighbours follow
    in their order, each minus its own mean.

    Parameters
    ----------
    outliers : float
        The share of the highest and of the lowest pixels that do not affect the scale.
    missing : bool
        Whether a last channel marks missing pixels of the middle frame.
    """

    kind = "frame"
    lost = "gain and offset"
    mean_free = True
    per_frame = True

    def __init__(self, outliers: float = 1e-3, missing: bool = False) -> None:
        super().__init__()
        self.outliers, self.missing = float(outliers), bool(missing)

    def apply(self, image: Array) -> tuple[Array, Any]:
        """The scaled frames, and the scale of the middle one."""
        xp = arrays.of(image)
        image = xp.cast(image, "float32")
        middle_of = int(image.shape[-1]) // 2
        power = 0
        if xp is arrays.Numbers:
            image, power = moderate(image, image[..., middle_of])
        order = [middle_of, *(k for k in range(int(image.shape[-1])) if k != middle_of)]
        channels = [seen_of(image[..., k : k + 1]) for k in order]
        frame, seen = channels[0]
        # A frame without valid pixels is treated like a constant frame.
        share = xp.maximum(xp.mean(seen), 1e-12)
        mean = xp.mean(frame) / share
        # Missing pixels get the mean of the others, which does not change the quantiles.
        frame = xp.where(seen > 0, frame, xp.cast(mean, "float32"))
        values = xp.reshape(frame, [-1])
        count = max(1, int(self.outliers * int(values.shape[0])))
        low, high = xp.extremes(values, count)
        middle, deviation = moments(xp.clip(values, low, high))
        whole = moments(values)[1]
        reach = [xp.maximum(abs(q - middle), 3 * deviation) for q in (low, high)]
        ends = middle - 2 * reach[0], middle + 2 * reach[1]
        # If nearly all pixels are empty, the few counts are the signal, not outliers.
        sparse = deviation <= 1e-6 * whole
        frame = xp.where(sparse, frame, xp.clip(frame, *ends))
        deviation = xp.where(sparse, whole, deviation)
        mean = moments(xp.reshape(frame, [-1]))[0]
        deviation = deviation / xp.sqrt(share)
        # A constant frame contains no information and becomes zero. Tensors' means are rounded.
        least = 1e-6 * abs(mean) if xp is arrays.Tensors else 0.5 * np.spacing(np.float32(mean))
        varies = deviation > abs(least)
        factor = xp.where(varies, 1.0 / xp.where(varies, deviation, 1.0), 0.0)
        scaled = xp.cast((frame - mean) * factor, "float32")
        parts = [scaled]
        for neighbour, there in channels[1:]:
            if xp is arrays.Numbers and not there.any():
                parts.append(neighbour)
                continue
            # Minus its own mean, as the beam may have flickered, and clipped in the same way.
            own = xp.mean(neighbour) / xp.maximum(xp.mean(there), 1e-12)
            away = neighbour - xp.cast(own, "float32")
            drawn = xp.where(sparse, away, xp.clip(away, ends[0] - mean, ends[1] - mean))
            parts.append(xp.cast(drawn * factor, "float32") * there)
        if self.missing:
            parts.append(1.0 - seen)
        deviation = xp.where(varies, deviation, 0.0)
        if power:
            mean, deviation = np.ldexp(mean, -power), np.ldexp(deviation, -power)
            factor = np.ldexp(factor, power)
        return parts[0] if len(parts) == 1 else xp.concat(parts, axis=-1), {
            "mean": mean, "factor": factor, "deviation": deviation,
            "scaled": scaled, "seen": seen / xp.cast(share, "float32"),
        }  # fmt: skip

    def target(self, target: Array, scale: Any) -> Array:
        """The clean frame in the noisy frame's scale, clipped to its extremes."""
        xp = arrays.of(target, scale["scaled"])
        target = (target - xp.mean(target * scale["seen"], axis=PIXELS)) * scale["factor"]
        low, high = xp.extent(scale["scaled"])
        return xp.clip(xp.cast(target, "float32"), low, high)

    def restore(self, answer: np.ndarray, scale: Any) -> np.ndarray:
        """The result in the frame's own scale."""
        deviation, mean = float(scale["deviation"]), float(scale["mean"])
        return (answer - (answer * scale["seen"]).mean((0, 1))) * deviation + mean

    def width(self, width: np.ndarray, scale: Any) -> np.ndarray:
        """In the frame's own scale."""
        return width * np.float32(scale["deviation"])

    def config(self) -> dict[str, Any]:
        """The values for a card."""
        return {"kind": self.kind, "outliers": self.outliers, "missing": self.missing}


class Fixed(Normalization):
    """The same scale for all images: (image - mean) / deviation of each channel, back for results.

    Parameters
    ----------
    input_mean, input_deviation : sequence of float
        For each channel of the image; one number is for all channels.
    output_mean, output_deviation : sequence of float
        For each output; by default outputs are not changed.
    limits : (float, float), optional
        Lowest and highest possible value of a result.
    """

    kind = "fixed"

    def __init__(
        self,
        input_mean: Sequence[float] | float = 0.0,
        input_deviation: Sequence[float] | float = 1.0,
        output_mean: Sequence[float] | float = 0.0,
        output_deviation: Sequence[float] | float = 1.0,
        limits: Sequence[float] | None = None,
    ) -> None:
        super().__init__(limits)
        self.input_mean, self.input_deviation = _list(input_mean), _list(input_deviation)
        self.output_mean, self.output_deviation = _list(output_mean), _list(output_deviation)
        if any(not 0 < d < np.inf for d in (*self.input_deviation, *self.output_deviation)):
            raise InputError("a deviation to divide by must be positive and finite")

    def apply(self, image: Array) -> tuple[Array, Any]:
        """The scaled image."""
        return (image - _f32(self.input_mean)) / _f32(self.input_deviation), None

    def target(self, target: Array, scale: Any) -> Array:
        """The scaled target."""
        return (target - _f32(self.output_mean)) / _f32(self.output_deviation)

    def restore(self, answer: np.ndarray, scale: Any) -> np.ndarray:
        """The result in the scale of the targets."""
        own = answer * _f32(self.output_deviation) + _f32(self.output_mean)
        return super().restore(own, scale)

    def width(self, width: np.ndarray, scale: Any) -> np.ndarray:
        """In the scale of the targets."""
        return width * _f32(self.output_deviation)

    def error_scale(self, outputs: int) -> np.ndarray:
        """The outputs' deviations."""
        return np.broadcast_to(np.asarray(self.output_deviation, np.float64), (outputs,))

    @property
    def error_unit(self) -> str | None:
        """Deviations of the targets, if they are scaled."""
        return "of the targets' deviation" if set(self.output_deviation) != {1.0} else None

    def config(self) -> dict[str, Any]:
        """The values for a card."""
        names = ("input_mean", "input_deviation", "output_mean", "output_deviation")
        return {**super().config(), **{name: getattr(self, name) for name in names}}


KINDS: dict[str, type[Normalization]] = {
    cls.kind: cls for cls in (Normalization, Contrast, ScaledContrast, FrameScale, Fixed)
}


def from_config(config: Mapping[str, Any]) -> Normalization:
    """The normalisation that `Normalization.config` describes.

    Raises
    ------
    KeyError, TypeError
        If its kind is not known, or its values do not fit the kind.
    """
    values = dict(config)
    return KINDS[values.pop("kind")](**values)


def _require_light(image: np.ndarray, mean: np.ndarray) -> None:
    for channel, value in enumerate(mean.reshape(-1, mean.shape[-1])[0]):
        if not value > 0:
            raise InputError(
                f"image {channel + 1} has a mean of {value:.4g}; intensities with a positive mean "
                "are expected (is a background subtracted twice?)"
            )
        if np.ptp(image[..., channel]) == 0:
            raise InputError(f"image {channel + 1} is constant ({value:.4g}); it shows no object")


def _f32(values: Sequence[float]) -> np.ndarray:
    return np.asarray(values, np.float32)


def _list(values: Sequence[float] | float) -> list[float]:
    return [float(v) for v in np.atleast_1d(np.asarray(values, np.float64))]
