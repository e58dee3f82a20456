"""Arrays as pictures: the layers of a view, the limits of their values, and their PNGs."""

from __future__ import annotations

import functools
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

# Pixels along the longer side of a picture, and in all pictures of a page, at most. A byte of a
# noisy picture takes 1.4 bytes of a page.
SIDE, PIXELS = 1024, 9_000_000
# The percentiles that become black and white.
LOW, HIGH = 0.2, 99.8
# The colours of a diverging scale from its low end to its high one, and of pixels without a value.
BLUE, WHITE, RED = (33, 102, 172), (247, 247, 247), (178, 24, 43)
MISSING = (255, 190, 0)
# Grey levels, or colours, of values; one more is for pixels without.
LEVELS = 255


@dataclass(frozen=True)
class Layer:
    """One picture of a view.

    Parameters
    ----------
    title : str
    array : (height, width) or (height, width, 3) array
        Values, or red, green and blue. NaN and infinity are shown in a colour of their own.
    unit : str
        Of the values; "" without one.
    low, high : float, optional
        The values that become black and white; percentiles 0.2 and 99.8 by default. Of a diverging
        layer `high` alone counts: the limits are -high and high.
    diverging : bool
        Show the values in blue and red about a white zero.
    note : str
        A remark beside the colour bar.
    """

    title: str
    array: np.ndarray
    unit: str = ""
    low: float | None = None
    high: float | None = None
    diverging: bool = False
    note: str = ""

    @property
    def colour(self) -> bool:
        """Whether it is red, green and blue."""
        return self.array.ndim == 3

    @functools.cached_property
    def limits(self) -> tuple[float, float]:
        """The values at the two ends of the scale; (0, 0) where there is no value."""
        if self.low is not None and self.high is not None and not self.diverging:
            return self.low, self.high
        seen = np.asarray(self.array, np.float64)
        seen = seen[np.isfinite(seen)]
        seen = seen if seen.size else np.zeros(1)
        if self.diverging:
            most = float(np.percentile(np.abs(seen), HIGH)) if self.high is None else self.high
            return -most, most
        low, high = (float(p) for p in np.percentile(seen, (LOW, HIGH)))
        return low if self.low is None else self.low, high if self.high is None else self.high

    def within(self, side: int) -> Layer:
        """The layer with at most `side` pixels along each side: means of blocks of its pixels."""
        times = thinning(self.array, side)
        if times == 1:
            return self
        note = "; ".join(filter(None, (self.note, f"means of {times}x{times} pixels")))
        return replace(self, array=block_means(self.array, times), note=note)

    def png(self) -> bytes:
        """The picture."""
        from PIL import Image

        low, high = self.limits
        array = np.asarray(self.array, np.float64)
        there = np.isfinite(array)
        with np.errstate(invalid="ignore"):
            share = (array - low) / (high - low) if high > low else np.full(array.shape, 0.5)
        # Not above one: an infinite value is none.
        share = np.clip(np.where(there, share, 0), 0, 1)
        if self.colour:
            levels = np.round(255 * share).astype(np.uint8)
            levels[~there.all(-1)] = MISSING
            picture = Image.fromarray(levels)
        else:
            levels = np.round((LEVELS - 1) * share).astype(np.uint8)
            levels[~there] = LEVELS
            picture = Image.fromarray(levels)
            picture.putpalette(_palette(self.diverging))
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        return buffer.getvalue()


@dataclass(frozen=True)
class View:
    """Layers of one field, which are looked at one over another.

    Parameters
    ----------
    name : str
    layers : sequence of Layer
        Of one field; they may differ in the number of pixels.
    pixel : float, optional
        Width of a pixel of the first layer; without it there is no scale bar.
    pixel_unit : str
    facts : sequence of (str, object)
        Names and values, shown below.
    warnings : sequence of str
        Shown above.
    """

    name: str
    layers: Sequence[Layer]
    pixel: float | None = None
    pixel_unit: str = "nm"
    facts: Sequence[tuple[str, object]] = field(default_factory=tuple)
    warnings: Sequence[str] = ()

    def within(self, pixels: float) -> View:
        """The view with at most that many pixels in all layers together."""
        each = pixels / sum(3 if layer.colour else 1 for layer in self.layers)
        sides = []
        for layer in self.layers:
            height, width = layer.array.shape[:2]
            most = math.sqrt(each * max(height, width) / min(height, width))
            sides.append(max(1, min(SIDE, int(most))))
        layers = [layer.within(side) for layer, side in zip(self.layers, sides, strict=True)]
        times = thinning(self.layers[0].array, sides[0])
        pixel = None if self.pixel is None else self.pixel * times
        return replace(self, layers=layers, pixel=pixel)


def thinning(array: np.ndarray, side: int) -> int:
    """How many pixels of an image become one, along each side, for at most `side` of them."""
    return -(-max(array.shape[:2]) // side)


def block_means(array: np.ndarray, times: int) -> np.ndarray:
    """Means of times x times pixels; of those of a block that have a value.

    Parameters
    ----------
    array : (height, width, ...) array
        Blocks at the lower and right border may be smaller.

    Returns
    -------
    numpy.ndarray
        float32.
    """
    height, width = (-(-n // times) for n in array.shape[:2])
    widths = [(0, height * times - array.shape[0]), (0, width * times - array.shape[1])]
    widths += [(0, 0)] * (array.ndim - 2)
    there = np.isfinite(array)
    parts = []
    for values in (np.where(there, array, 0), there):
        blocks = np.pad(values, widths).reshape(height, times, width, times, *array.shape[2:])
        parts.append(blocks.sum((1, 3), dtype=np.float64))
    total, count = parts
    with np.errstate(invalid="ignore", divide="ignore"):
        return (total / count).astype(np.float32)


def numerals(low: float, high: float) -> tuple[str, str]:
    """Two limits as text, with the digits that tell them apart."""
    span, most = high - low, max(abs(low), abs(high))
    digits = 3 if not span > 0 else min(9, max(3, math.ceil(math.log10(most / span)) + 2))
    # 43500, not 4.35e+04; and 0, not -0.
    texts = [f"{float(f'{end:.{digits}g}') + 0.0:.10g}" for end in (low, high)]
    return texts[0], texts[1]


def _palette(diverging: bool) -> list[int]:
    if diverging:
        ends = np.array([BLUE, WHITE, RED], float)
        colours = np.stack(
            [np.interp(np.linspace(0, 2, LEVELS), range(3), ends[:, c]) for c in range(3)], axis=1
        )
    else:
        colours = np.repeat(np.linspace(0, 255, LEVELS)[:, None], 3, axis=1)
    return [*np.round(colours).astype(int).ravel().tolist(), *MISSING]
