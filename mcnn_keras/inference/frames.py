"""The input of a denoising network: a frame without its faults, and its neighbours in time.

raw frame -> faults -> missing pixels -> neighbours that show the same field, moved onto the frame
-> window of frames
network's result -> raw values in pixels that are not filled in -> result
"""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ..errors import InputError
from ..models import Frames, ModelCard
from ..models.moments import moderate
from .faults import Faults, find_faults
from .neighbours import Brightness, brightness, brightness_ratio, moved, ratio_of

# What is told of a frame of which nothing is left.
EMPTY = "no pixel that can be read"
# Treatment of faulty pixels, and of neighbours in time.
FAULTS = ("mend", "keep")
TEMPORAL = ("auto", "off")
# Missing pixels farther than this from all valid pixels, in pixels, are not filled in.
MENDED = 12
# Neighbours that moved farther than this, in pixels per frame, are not used.
FARTHEST = 3
# The standard deviation, in pixels, of the smoothing of a correlation before its peak is found.
SMOOTH = 1.5
# Lags, in pixels, within which noise is correlated with itself.
NEAR = 4
# Least correlation of neighbours: in deviations above chance, and relative to that of equal frames.
ABOVE_CHANCE, OF_EQUAL = 6.0, 0.5
# Periods of more pixels than about twice this do not count.
COARSE = 32.0
# Names of axes along which frames do not show the same field at another time.
NOT_TIME = (
    "z", "depth", "focus", "defocus", "channel", "c", "sample", "energy", "wavelength", "tilt",
    "angle", "output", "detector", "scan_y", "scan_x", "y", "x",
)  # fmt: skip


# Windows of frames, and the function that completes the network's results for them.
Batch = tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]


class Series(NamedTuple):
    """Which frames follow each other: `length` of them, `step` apart in the order of all."""

    length: int = 1
    step: int = 1

    def neighbour(self, frame: int, offset: int) -> int | None:
        """The number of a neighbour; None beyond the first or the last of the series."""
        place = frame // self.step % self.length + offset
        return frame + offset * self.step if 0 <= place < self.length else None


class _Frame(NamedTuple):
    """A raw frame, the frame with NaN in its faulty pixels, and what it is compared by."""

    raw: np.ndarray
    seen: np.ndarray
    faults: Faults
    spectrum: tuple[np.ndarray, np.ndarray] | None
    brightness: Brightness | None


class FrameWindows:
    """Windows of frames for a model, made as they are needed.

    Parameters
    ----------
    read : callable
        Returns a frame, (height, width), float32, by its number.
    card : ModelCard
        Card of a model whose inputs are `Frames`.
    series : Series
        Which frames follow each other.
    temporal : {'auto', 'off'}
        Use neighbours that show the same field, or none.
    faults : {'mend', 'keep'}
        Fill in faulty pixels, or keep their raw values.

    Attributes
    ----------
    frames, with_neighbours : int
        Number of windows that were made, and number of windows with neighbours.
    told : dict of int to str
        The faults of each frame that has any.
    cuts : set of int
        Frames that do not show the field of the frame before.
    reach : int
        How far a neighbour may be, where nearer frames are of other brightness.
    unlike : dict of int to float
        How many times brighter or darker a near frame is that is not used, by the frame.
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
        self._links: dict[int, np.ndarray | None] = {}
        self.frames = self.with_neighbours = 0
        self.told: dict[int, str] = {}
        self.cuts: set[int] = set()
        self.unlike: dict[int, float] = {}
        self.reach = 2 * (own // 2)
        self._kept = own + 1

    def batch(self, start: int, stop: int) -> Batch:
        """Windows of the frames start..stop, and a function that completes the network's results.

        Returns
        -------
        stack : numpy.ndarray
            (frames, height, width, window), float32. Missing pixels, and all pixels of neighbours
            that are not used, are NaN.
        completed : callable
            Takes and returns results, (frames, height, width[, result and uncertainty]). It
            restores the raw values of faulty pixels with faults='keep', and always of pixels deep
            within rims and masks; their uncertainty is NaN.
        """
        shape = self._frame(start).raw.shape
        windows = np.moveaxis(np.empty((stop - start, self.window, *shape), np.float32), 1, -1)
        kept = []
        for place, number in enumerate(range(start, stop)):
            windows[place] = self._window(number)
            frame = self._frame(number)
            if frame.faults.any:
                self.told[number] = EMPTY if frame.faults.missing.all() else frame.faults.told
                where = self._not_mended(frame.faults.missing)
                kept.append((place, where, frame.raw[where]))

        def completed(answers: np.ndarray) -> np.ndarray:
            for place, where, values in kept:
                if answers.ndim == 4:
                    answers[place][where] = np.nan
                    answers[place, ..., 0][where] = values
                else:
                    answers[place][where] = values
            return answers

        return windows, completed

    def _window(self, number: int) -> np.ndarray:
        middle, own = self.window // 2, self._frame(number)
        # Frame after frame in memory, as each is processed by itself.
        window = np.full((self.window, *own.seen.shape), np.nan, np.float32)
        window[middle] = own.seen
        used = False
        for direction in (-1, 1) if self._uses else ():
            before, drift, place = number, np.zeros(2), middle + direction
            # Where frames of other brightness lie between, those beyond may be like this one.
            for away in range(1, self.reach + 1):
                found = self._series.neighbour(number, direction * away)
                step = None if found is None else self._drift(*sorted((before, found)))
                if found is None or step is None:
                    break
                drift, before = drift + direction * step, found
                other = self._frame(found).seen
                ratio = self._brightness_ratio(number, found, -drift)
                if ratio > 1:
                    self.unlike[number] = max(ratio, self.unlike.get(number, 1.0))
                    self._kept = 2 * self.reach + 2
                    continue
                window[place] = moved(other, -drift)
                place, used = place + direction, True
                if not 0 <= place < self.window:
                    break
        self.frames += 1
        self.with_neighbours += used
        return np.moveaxis(window, 0, -1)

    def _brightness_ratio(self, number: int, other: int, away: np.ndarray) -> float:
        """How many times brighter one of two frames is; 1 for frames of like brightness."""
        first, second = self._frame(number), self._frame(other)
        if first.brightness is None or second.brightness is None:
            return 1.0
        # What drifts into one of them is no change; this takes longer to tell.
        whole = ratio_of(first.brightness, second.brightness)
        return 1.0 if whole == 1 else brightness_ratio(first.seen, second.seen, away)

    def _not_mended(self, missing: np.ndarray) -> np.ndarray:
        if self._keep or missing.all():
            return missing
        from scipy.ndimage import distance_transform_edt

        return distance_transform_edt(missing) > MENDED

    def treatment(self, told: str) -> str:
        """The treatment of faulty pixels, in words, by those that `told` has."""
        if told == EMPTY:
            return "left out, results are empty"
        return "left out, raw values kept" if self._keep else "left out and filled in"

    def summary(self) -> list[str]:
        """Lines for the user about faults and neighbours."""
        lines = []
        empty = [n for n, told in self.told.items() if told == EMPTY]
        faulty = [n for n, told in self.told.items() if told != EMPTY]
        for numbers, kind in ((faulty, "with faults"), (empty, "without pixels")):
            if numbers:
                shown = ", ".join(map(str, numbers[:5])) + ", ..." * (len(numbers) > 5)
                told = self.told[numbers[0]]
                more = f"; frames {kind}: {len(numbers)} in all ({shown})" * (len(numbers) > 1)
                lines.append(f"frame {numbers[0]} has {told}{more}: {self.treatment(told)}")
        return lines + self.neighbours_told()

    def neighbours_told(self, name: Callable[[int], str] = str) -> list[str]:
        """Lines for the user about neighbours in time; `name` returns the name of a frame."""
        lines = []
        if self._uses and self.frames > 1:
            if self.with_neighbours == 0:
                why = "are of unlike brightness" if self.unlike else "show no common field"
                lines.append(f"the frames {why}: each is denoised by itself")
            else:
                lines.append(
                    f"{self.with_neighbours} of {self.frames} frames are denoised with their "
                    "neighbours in time"
                )
            cuts = sorted(self.cuts)
            if cuts and self.with_neighbours:
                shown = ", ".join(map(name, cuts[:5])) + ", ..." * (len(cuts) > 5)
                lines.append(f"the field changes before frame {shown}: neighbours stop there")
            if self.unlike:
                lines.append(
                    f"the brightness changes, near {len(self.unlike)} of {self.frames} frames, by "
                    f"a factor of up to {max(self.unlike.values()):.3g}: frames of other "
                    "brightness are no neighbours"
                )
        return lines

    def _frame(self, number: int) -> _Frame:
        if number not in self._cache:
            raw = np.asarray(self._read(number), np.float32)
            faults = find_faults(raw)
            seen = raw
            if faults.any:
                seen = np.where(faults.missing, np.float32(np.nan), raw)
            spectrum = _spectrum(seen, faults.missing) if self._uses else None
            level = brightness(seen) if self._uses else None
            self._cache[number] = _Frame(raw, seen, faults, spectrum, level)
            # Windows that follow each other share frames.
            while len(self._cache) > self._kept * self._series.step + 1:
                self._cache.popitem(last=False)
        return self._cache[number]

    def _drift(self, first: int, second: int) -> np.ndarray | None:
        """How far the field moved from a frame to the next; None if they show different fields."""
        if second not in self._links:
            self._links[second] = _drift_between(self._frame(first), self._frame(second))
            if self._links[second] is None:
                self.cuts.add(second)
        return self._links[second]


def series_of(names: Sequence[str], sizes: Sequence[int]) -> Series:
    """Which frames follow each other in time, from the names of the axes that count them.

    Parameters
    ----------
    names, sizes : sequence
        Names and sizes of the axes other than height and width, the innermost last.

    Returns
    -------
    Series
        Along the time axis; else along the innermost axis, unless its name is in `NOT_TIME`; else
        of a single frame.
    """
    place = _time(names)
    if place is None:
        return Series()
    return Series(int(sizes[place]), int(np.prod(sizes[place + 1 :], dtype=int)))


def letters_of(names: Sequence[str]) -> str:
    """Letters of axes for `mcnn_keras.predict`, with which it finds the series of `series_of`.

    Parameters
    ----------
    names : sequence of str
        Names of the axes other than height and width, the innermost last.
    """
    letters = [chr(ord("n") - i) for i in range(len(names))]
    place = _time(names)
    if place is not None:
        letters[place] = "t"
    elif letters:
        letters[-1] = "z"
    return "".join([*letters, "y", "x"])


def _time(names: Sequence[str]) -> int | None:
    """The axis along which frames follow each other."""
    lower = [str(name).lower() for name in names]
    time = [i for i, name in enumerate(lower) if name in ("t", "time")]
    if time:
        return time[-1]
    return len(lower) - 1 if lower and lower[-1] not in NOT_TIME else None


def _spectrum(frame: np.ndarray, missing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The Fourier transform of a frame's fine contrast, and its autocorrelation.

    The contrast has a standard deviation of one, and is zero in missing pixels. The
    autocorrelation is given for lags of up to `NEAR` pixels.
    """
    from scipy import fft

    frame, _ = moderate(frame, frame)
    there = frame[~missing] if missing.any() else frame
    mean = np.float32(there.mean() if there.size else 0)
    contrast = np.where(missing, 0, frame - mean)
    deviation = np.sqrt(np.mean(contrast**2))
    # Bright objects would correlate with each other by chance.
    contrast = np.clip(contrast, -4 * deviation, 4 * deviation)
    waves = fft.rfft2(contrast.astype(np.float32)) * _fine(frame.shape)
    own = fft.irfft2((waves * waves.conj()).real, s=frame.shape) / frame.size
    variance = np.float32(max(own[0, 0], 1e-24))
    return waves / np.sqrt(variance), _around(own, NEAR) / variance


@functools.lru_cache(8)
def _fine(shape: tuple[int, int]) -> np.ndarray:
    """Gain of each frequency: coarse ones are damped, as different objects look alike in them."""
    fy, fx = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None]
    return (1 - np.exp(-(fy**2 + fx**2) * COARSE**2)).astype(np.float32)


def _drift_between(first: _Frame, second: _Frame) -> np.ndarray | None:
    """How far down and to the right the field moved, in pixels; None for different fields."""
    shape, pixels = first.raw.shape, first.raw.size
    if first.spectrum is None or second.spectrum is None or shape != second.raw.shape:
        return None
    (a, own_a), (b, own_b) = first.spectrum, second.spectrum
    from scipy import fft
    from scipy.ndimage import gaussian_filter

    cross = fft.irfft2(b * a.conj(), s=shape) / pixels
    peak = _around(cross, FARTHEST).max()
    # Correlated noise has fewer independent pixels.
    chance = np.sqrt(max((own_a * own_b).sum(), 1.0) / pixels)
    # The share of the signal, from the correlation of pixels at a distance of two.
    alike = [np.mean([own[NEAR, NEAR + 2], own[NEAR + 2, NEAR]]) for own in (own_a, own_b)]
    equal = np.sqrt(max(alike[0], 0.0) * max(alike[1], 0.0))
    if not peak > max(ABOVE_CHANCE * chance, OF_EQUAL * equal):
        return None
    # The peak of noisy frames is rough.
    smooth = gaussian_filter(_around(cross, 2 * FARTHEST), SMOOTH)
    rim = FARTHEST - 1
    smooth = smooth[rim:-rim, rim:-rim]
    inner = smooth[1:-1, 1:-1]
    y, x = np.unravel_index(inner.argmax(), inner.shape)
    place = np.array([y, x]) - FARTHEST
    column, row = smooth[y : y + 3, x + 1], smooth[y + 1, x : x + 3]
    return place + np.array([_top(column), _top(row)])


def _top(values: np.ndarray) -> float:
    """The maximum of a parabola through three values, the middle one the highest."""
    before, at, after = values.tolist()
    bend = before - 2 * at + after
    return float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5)) if bend < 0 else 0.0


def _around(lags: np.ndarray, reach: int) -> np.ndarray:
    """The values at lags of up to `reach` pixels."""
    return np.roll(lags, (reach, reach), (0, 1))[: 2 * reach + 1, : 2 * reach + 1]
