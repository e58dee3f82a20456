"""What a denoising network is given of each frame: its faults left out, its neighbours beside it.

raw frame -> faults -> missing pixels -> neighbours that show the same field -> window of frames
network's answer -> what it cannot know put back -> result
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ..errors import InputError
from ..models import Frames, ModelCard
from .faults import Faults, find_faults

# What is done with pixels that say nothing of the specimen, and with neighbours in time.
FAULTS = ("mend", "keep")
TEMPORAL = ("auto", "off")
# Missing pixels farther than this from all others, in pixels, are not mended.
MENDED = 12
# Neighbours that moved farther than this, in pixels, are not used: none did in training.
FARTHEST = 3
# Lags, in pixels, within which noise is correlated with itself.
NEAR = 4
# How far a correlation must stand above chance, in deviations, and from that of equal frames.
ABOVE_CHANCE, OF_EQUAL = 6.0, 0.2
# Axes along which frames show something else, not the same field at another time.
NOT_TIME = (
    "z", "depth", "focus", "defocus", "channel", "c", "sample", "energy", "wavelength", "tilt",
    "angle", "output", "detector", "scan_y", "scan_x",
)  # fmt: skip


class Series(NamedTuple):
    """Which frames follow each other: `length` of them, `step` apart in the order of all."""

    length: int = 1
    step: int = 1

    def neighbour(self, frame: int, offset: int) -> int | None:
        """The number of a neighbour; None beyond the first or the last of the series."""
        place = frame // self.step % self.length + offset
        return frame + offset * self.step if 0 <= place < self.length else None


class _Frame(NamedTuple):
    """A frame as it came, with its faulty pixels missing, and what comparisons need of it."""

    raw: np.ndarray
    seen: np.ndarray
    faults: Faults
    waves: np.ndarray | None


class FrameWindows:
    """Windows of frames for a model, made as they are needed.

    Parameters
    ----------
    read : callable
        From the number of a frame to the frame, (height, width), float32.
    card : ModelCard
        Of a model whose inputs are `Frames`.
    series : Series
        Which frames follow each other.
    temporal : {'auto', 'off'}
        Use neighbours that show the same field, or none.
    faults : {'mend', 'keep'}
        What becomes of faulty pixels.

    Attributes
    ----------
    frames, with_neighbours : int
        How many windows were made, and how many of them hold neighbours.
    told : dict of int to str
        Frames with faults.
    cuts : set of int
        Frames that do not show the field of the one before.
    """

    def __init__(
        self,
        read: Callable[[int], np.ndarray],
        card: ModelCard,
        series: Series,
        temporal: str = "auto",
        faults: str = "mend",
    ) -> None:
        for name, value, choices in (
            ("temporal", temporal, TEMPORAL), ("faults", faults, FAULTS),
        ):  # fmt: skip
            if value not in choices:
                raise InputError(f"{name}={value!r} is not known; choose from {choices}")
        self._read, self._series, self._keep = read, series, faults == "keep"
        assert isinstance(card.inputs, Frames)
        own = card.inputs.window
        self.window = own
        self._uses = own > 1 and series.length > 1 and temporal == "auto"
        self._cache: OrderedDict[int, _Frame] = OrderedDict()
        self._links: dict[int, bool] = {}
        self.frames = self.with_neighbours = 0
        self.told: dict[int, str] = {}
        self.cuts: set[int] = set()

    def batch(self, start: int, stop: int) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
        """Windows of the frames start..stop, and what completes the network's answers to them.

        Returns
        -------
        stack : numpy.ndarray
            (frames, height, width, window), float32. Missing pixels, and all pixels of neighbours
            that are not used, are NaN.
        completed : callable
            From the answers, (frames, height, width), to the results: faulty pixels are as they
            came if they are to be kept, and so are those that lie deep within rims and masks.
        """
        windows = [self._window(number) for number in range(start, stop)]
        kept = []
        for place, number in enumerate(range(start, stop)):
            frame = self._frame(number)
            if frame.faults.missing.any():
                where = self._not_mended(frame.faults.missing)
                kept.append((place, where, frame.raw[where]))

        def completed(answers: np.ndarray) -> np.ndarray:
            for place, where, values in kept:
                answers[place][where] = values
            return answers

        return np.stack(windows), completed

    def _window(self, number: int) -> np.ndarray:
        middle, own = self.window // 2, self._frame(number)
        window = np.full((*own.seen.shape, self.window), np.nan, np.float32)
        window[..., middle] = own.seen
        used = False
        for direction in (-1, 1) if self._uses else ():
            before = number
            for away in range(1, middle + 1):
                found = self._series.neighbour(number, direction * away)
                if found is None or not self._linked(before, found):
                    break
                window[..., middle + direction * away] = self._frame(found).seen
                before, used = found, True
        self.frames += 1
        self.with_neighbours += used
        return window

    def _not_mended(self, missing: np.ndarray) -> np.ndarray:
        if self._keep or missing.all():
            return missing
        from scipy.ndimage import distance_transform_edt

        return distance_transform_edt(missing) > MENDED

    def summary(self) -> list[str]:
        """What the user should know, a line each."""
        lines = []
        if self.told:
            numbers = list(self.told)
            shown = ", ".join(map(str, numbers[:5])) + ", ..." * (len(numbers) > 5)
            does = "kept as they came" if self._keep else "left out and mended"
            what = f"frame {numbers[0]} has {self.told[numbers[0]]}"
            more = f"; so have others, {len(numbers)} in all ({shown})" if len(numbers) > 1 else ""
            lines.append(f"{what}{more}: {does}")
        if self._uses and self.frames > 1:
            if self.with_neighbours == 0:
                lines.append("the frames show no common field: each is denoised by itself")
            else:
                lines.append(
                    f"{self.with_neighbours} of {self.frames} frames are denoised with their "
                    "neighbours in time"
                )
            cuts = sorted(self.cuts)
            if cuts and self.with_neighbours:
                shown = ", ".join(map(str, cuts[:5])) + ", ..." * (len(cuts) > 5)
                lines.append(f"the field changes before frame {shown}: neighbours stop there")
        return lines

    def _frame(self, number: int) -> _Frame:
        if number not in self._cache:
            raw = np.asarray(self._read(number), np.float32)
            faults = find_faults(raw)
            seen = raw
            if faults.any:
                seen = np.where(faults.missing, np.float32(np.nan), raw)
                empty = "no pixel that can be read"
                self.told[number] = empty if faults.missing.all() else faults.told
            waves = _waves(seen, faults.missing) if self._uses else None
            self._cache[number] = _Frame(raw, seen, faults, waves)
            # Windows that follow each other share frames.
            while len(self._cache) > (self.window + 1) * self._series.step + 1:
                self._cache.popitem(last=False)
        return self._cache[number]

    def _linked(self, first: int, second: int) -> bool:
        """Whether two frames that follow each other show the same field."""
        later = max(first, second)
        if later not in self._links:
            a, b = self._frame(first), self._frame(second)
            self._links[later] = _common(a, b)
            if not self._links[later]:
                self.cuts.add(later)
        return self._links[later]


def series_of(names: Sequence[str], sizes: Sequence[int]) -> Series:
    """Which frames follow each other in time, by the names of the axes that count them.

    Parameters
    ----------
    names, sizes : sequence
        Of the axes outside of height and width, the innermost last.

    Returns
    -------
    Series
        Along the axis of time, or the innermost one if its name does not say that its images show
        something else; of a single frame otherwise.
    """
    lower = [str(name).lower() for name in names]
    time = [i for i, name in enumerate(lower) if name in ("t", "time")]
    if not lower or not (time or lower[-1] not in NOT_TIME):
        return Series()
    place = time[-1] if time else len(lower) - 1
    return Series(int(sizes[place]), int(np.prod(sizes[place + 1 :], dtype=int)))


def _waves(frame: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """The transform of a frame's contrast, of deviation one; of missing pixels none."""
    from scipy import fft

    there = frame if not missing.any() else frame[~missing]
    if there.size == 0:
        return np.zeros((frame.shape[0], frame.shape[1] // 2 + 1), np.complex64)
    contrast = np.where(missing, 0, frame - np.float32(there.mean()))
    deviation = np.sqrt(np.mean(contrast**2))
    # Bright objects would correlate with each other by chance.
    contrast = np.clip(contrast, -4 * deviation, 4 * deviation)
    deviation = np.sqrt(np.mean(contrast**2))
    return fft.rfft2(contrast / max(deviation, 1e-12)).astype(np.complex64)


def _common(first: _Frame, second: _Frame) -> bool:
    """Whether two frames show the same field, a little moved at most."""
    a, b, shape = first.waves, second.waves, first.raw.shape
    if a is None or b is None or shape != second.raw.shape:
        return False
    from scipy import fft

    pixels = first.raw.size
    both = fft.irfft2(np.stack([a * b.conj(), a * a.conj(), b * b.conj()]), s=shape)
    cross, own_a, own_b = both / pixels
    peak = _around(cross, FARTHEST).max()
    # Noise that is correlated with itself counts for fewer pixels.
    near = _around(own_a, NEAR) * _around(own_b, NEAR)
    chance = np.sqrt(max(near.sum(), 1.0) / pixels)
    # The share of what is not noise, from how alike pixels are that lie two apart.
    alike = [np.mean([own[0, 2], own[2, 0]]) for own in (own_a, own_b)]
    equal = np.sqrt(max(alike[0], 0.0) * max(alike[1], 0.0))
    return bool(peak > max(ABOVE_CHANCE * chance, OF_EQUAL * equal))


def _around(lags: np.ndarray, reach: int) -> np.ndarray:
    """The values at lags of up to `reach` pixels."""
    return np.roll(lags, (reach, reach), (0, 1))[: 2 * reach + 1, : 2 * reach + 1]
