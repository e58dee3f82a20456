"""Tell images that are unlike those of the training, and answers that are unlike those there.

image, answer, uncertainty -> windows as large as the training's samples -> statistics
-> distance from the training's, and whether they tell of an error, by the card -> lines for the
user
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..models import Fixed, ModelCard
from ..models.failure import Failure
from ..models.reference import Reference
from .statistics import BANDS, statistics, windows

WARNING = "Warning: "
# Up to so many images, one that is unusual is worth a warning; of more, if it is this far off, or
# if there are more than there would be by chance.
FEW, FAR = 10, 2.0
# Of models of pairs that are not calibrated: an image may vary so many times more, or less, than
# those of the training, and its mean may be so many deviations off.
TIMES = 4.0
# The share of the training's images that are told.
TOLD = 0.05
# Share of the pixels at the greatest value, above those at the value next to it, from which on a
# detector counts as saturated.
SATURATED = 0.05
AGREEMENT = "agreement"
# The limit of the band of lowest frequencies, in cycles per pixel.
LOWEST = BANDS[1]
# Of a long recording, about this many frames are looked at.
MOST = 256
# Names of statistics that are no logarithms of base 10.
PLAIN = ("residual with", "residual along", "residual squared", "support", "agreement")
COMPRESSED = ("skewness", "kurtosis")
WORDS = {
    "values": "different values for each pixel",
    "at the lower end": "share of pixels cut off at the least value",
    "at the upper end": "share of pixels cut off at the greatest value",
    "rows against columns": "fine detail along rows, relative to that along columns",
    "highest peak": "highest peak of the spectrum",
    "removed": "share of the image's deviation that is removed",
    "answer": "share of the image's deviation that is kept",
    "residual with the answer": "correlation of what is removed with the result",
    "residual along rows": "correlation of what is removed along rows",
    "residual along columns": "correlation of what is removed along columns",
    "residual squared with the answer": "growth of the noise with the signal",
    "lattice in the residual": "lattice left in what is removed",
    "support": "share of the result's lattice that the image supports",
    AGREEMENT: "correlation of the images with those simulated from the network's wave",
    "uncertainty": "mean uncertainty relative to the image's deviation",
    "greatest uncertainty": "greatest uncertainty relative to the image's deviation",
}


@dataclass(frozen=True)
class Found:
    """An image that is unlike the training's.

    Attributes
    ----------
    number : int
        Of the image.
    distance : float
        From the training's middle, in units of the distance that two of a hundred exceed there.
    why : tuple of str
        The statistics that are farthest off, in words.
    """

    number: int
    distance: float
    why: tuple[str, ...]


class RangeCheck:
    """Compares images and their results with those of a model's training.

    Parameters
    ----------
    card : ModelCard
    count : int
        The number of images; of many, only some are looked at.
    source : str or Path
        Their file.

    Attributes
    ----------
    seen : int
        Images that were compared.
    left_out : dict of int to str
        Why images could not be compared, by their numbers.
    found : list of Found
        Those that are unlike the training's.
    distances : list of float
        Of all that were compared, in the unit of `Found.distance`.
    """

    def __init__(self, card: ModelCard, count: int, source: str | Path = "the image") -> None:
        told = card.calibration.get("reference")
        self.reference = Reference.of(told) if told else None
        # Of measured pairs the unit of the images is known, also without a calibration.
        self.scale = None
        if card.problem == "paired" and isinstance(card.normalization, Fixed):
            first = card.normalization.input_mean[0], card.normalization.input_deviation[0]
            usual = card.usual_deviations
            self.scale = (*first, *usual[0]) if usual else None
        failure = card.calibration.get("failure")
        self.failure = Failure.of(failure) if failure else None
        self.limit = card.calibration.get("greatest mean uncertainty")
        self.size = int(card.training["image_size"])
        self.residual = card.outputs[0].role == "image"
        self.step = max(1, -(-count // MOST))
        self.source, self.count = source, count
        self.seen, self.found, self.distances = 0, list[Found](), list[float]()
        self.left_out: dict[int, str] = {}

    def see(
        self,
        number: int,
        image: np.ndarray,
        answer: np.ndarray,
        width: Any = None,
        agreement: float | None = None,
    ) -> None:
        """Look at an image, (height, width), its result, and its uncertainty if there is one.

        `agreement` is that of a phase with its images.
        """
        if number % self.step or (self.reference is None and self.scale is None):
            return
        if self.reference is None:
            self.seen += 1
            self._see_scale(number, image)
            return
        names, looks = self.reference.names, []
        for window in windows(image.shape, self.size):
            scale = len(answer) // len(image)
            there = tuple(slice(scale * w.start, scale * w.stop) for w in window)
            own = None if width is None else width[there]
            told = statistics(image[window], answer[there], own, self.residual)
            if AGREEMENT in names:  # not known, it counts as usual
                told[AGREEMENT] = (
                    self.reference.usual(AGREEMENT) if agreement is None else agreement
                )
            if all(np.isfinite(told.get(name, np.nan)) for name in names):
                looks.append(told)
        if not looks:
            self.left_out[number] = _reason(image, answer)
            return
        self.seen += 1
        away = [self.reference.distance(told) for told in looks]
        # The middle window decides: a part of an image may be empty.
        middle = int(np.argsort(away)[len(away) // 2])
        distance, why = away[middle], self._why(looks[middle])
        if self.failure is not None:
            doubts = [self.failure.distance(told) for told in looks]
            middle = int(np.argsort(doubts)[len(doubts) // 2])
            if doubts[middle] > max(1.0, distance):
                distance, why = doubts[middle], self._why_wrong(looks[middle])
        if width is not None and self.limit is not None:
            wide = float(np.median([told["uncertainty"] for told in looks]))
            if wide > self.limit:
                distance = max(distance, 1.0 + wide - self.limit)
                why = (_words("uncertainty", wide, None, self.limit), *why)
        cut = max(10 ** told["at the upper end"] for told in looks)
        if cut > SATURATED:
            distance = max(distance, cut / SATURATED)
            why = (f"{cut:.0%} of the pixels are cut off at the greatest value (saturation?)", *why)
        self.distances.append(distance)
        if distance > 1:
            self.found.append(Found(number, distance, why))

    def _see_scale(self, number: int, image: np.ndarray) -> None:
        """Compare mean and deviation of an image with those of the training."""
        assert self.scale is not None
        mean, unit, low, high = self.scale
        own, deviation = (float(f(image, dtype=np.float64)) for f in (np.mean, np.std))
        away = {
            f"a standard deviation of {deviation:.4g} (training: {low:.4g} to {high:.4g})": max(
                # A whole image may vary more than its parts.
                deviation / (TIMES * max(high, unit)),
                # Of a flat image the mean decides.
                low / (TIMES * deviation) if deviation > 0 else 0.0,
            ),
            f"a mean of {own:.4g} (training: {mean:.4g}, give or take {unit:.4g})": abs(own - mean)
            / (TIMES * unit),
        }
        why = tuple(text for text, distance in away.items() if distance > 1)
        self.distances.append(max(away.values()))
        if why:
            self.found.append(Found(number, self.distances[-1], why))

    @property
    def unusual(self) -> bool:
        """Whether more images are unlike the training's than there, or one is far from them."""
        expected = TOLD * self.seen
        chance = expected + 3 * expected**0.5 if self.seen > FEW else 0.0
        return len(self.found) > chance or any(f.distance > FAR for f in self.found)

    def _why(self, told: dict[str, float]) -> tuple[str, ...]:
        assert self.reference is not None
        far = self.reference.farthest(told)
        beyond = [f for f in far if not f[2] <= f[1] <= f[3]][:2]
        return tuple(_words(*f) for f in beyond)

    def _why_wrong(self, told: dict[str, float]) -> tuple[str, ...]:
        """What the predictor of errors goes by."""
        assert self.reference is not None
        assert self.failure is not None
        by = {f[0]: f for f in self.reference.farthest(told)}
        reasons = tuple(_words(*by[n]) for n in self.failure.reasons(told) if n in by)
        error = f"together they tell of a mean error above {self.failure.error:.2g} of the"
        return (*reasons, f"{error} {'image' if self.residual else 'result'}'s deviation")

    def lines(self, name: Callable[[int], str] = str) -> list[str]:
        """What to tell the user; `name` returns the name of a frame."""
        found = self._left_out(name)
        if not self.seen or (self.reference is None and not self.unusual):
            return found
        if not self.unusual:
            return [
                f"{self.source}: input, result and difference are like those of the training "
                f"(distance {np.median(self.distances):.2f}; above 1 is unusual)",
                *found,
            ]
        worst = max(self.found, key=lambda f: f.distance)
        numbers = [f.number for f in self.found]
        which = f"{self.source} is"
        if self.count > 1:
            shown = ", ".join(map(name, numbers[:5])) + ", ..." * (len(numbers) > 5)
            looked = f" that were looked at, of {self.count}" * (self.seen < self.count)
            which = f"{len(numbers)} of {self.seen} frames{looked} in {self.source} ({shown}) are"
        why = "; ".join(worst.why) or "no number far"
        return [
            f"{WARNING}{which} unlike the images of the training, and the result may be wrong; "
            f"farthest off: {why}; compare the result with the input, or train on images like "
            "yours",
            *found,
        ]

    def _left_out(self, name: Callable[[int], str]) -> list[str]:
        """A line about images that could not be compared, if there are any."""
        if not self.left_out:
            return []
        numbers = sorted(self.left_out)
        why = self.left_out[numbers[0]]
        if self.count == 1:
            return [f"{self.source} cannot be compared with the images of the training: {why}"]
        shown = ", ".join(map(name, numbers[:5])) + ", ..." * (len(numbers) > 5)
        which = f"{len(numbers)} of {self.seen + len(numbers)} frames in {self.source} ({shown})"
        return [
            f"{which} cannot be compared with the images of the training; {name(numbers[0])}: {why}"
        ]

    def warnings(self) -> list[str]:
        """The lines about unusual images alone, without the word that marks them."""
        return [line.removeprefix(WARNING) for line in self.lines()[:1] if self.unusual]


def _reason(image: np.ndarray, answer: np.ndarray) -> str:
    """Why an image cannot be compared, in words."""
    seen, result = (a[np.isfinite(a)] for a in (image, answer))
    if not seen.size:
        return "it has no pixel that can be read"
    if np.ptp(seen) == 0:
        return "it is constant"
    if not result.size or np.ptp(result) == 0:
        return "its result is constant"
    if max(image.shape) * LOWEST < 1:
        return f"{image.shape[0]}x{image.shape[1]} pixels are too few"
    return "it has too little in it, or its result is the image itself"


def unusual_in(
    card: ModelCard, stack: np.ndarray, answers: np.ndarray, uncertainty: bool = False
) -> list[str]:
    """In what measurements and results in memory are unlike those of a training.

    Parameters
    ----------
    card : ModelCard
    stack : (measurements, height, width, channels) array
    answers : (measurements, height, width[, outputs]) array
    uncertainty : bool
        Whether half of the outputs are uncertainties.
    """
    check = RangeCheck(card, len(stack), "the image" if len(stack) == 1 else "the array")
    for number, (image, answer) in enumerate(zip(stack, answers, strict=True)):
        channels = answer if answer.ndim == 3 else answer[..., None]
        width = channels[..., channels.shape[-1] // 2] if uncertainty else None
        check.see(number, image[..., 0], channels[..., 0], width)
    return check.warnings()


def _words(name: str, value: float, low: float | None, high: float) -> str:
    if any(part in name for part in COMPRESSED):
        value, low, high = (None if v is None else _expanded(v) for v in (value, low, high))  # type: ignore[assignment]
    elif not name.startswith(PLAIN):
        value, low, high = (None if v is None else 10**v for v in (value, low, high))  # type: ignore[assignment]
    span = f"up to {high:.2g}" if low is None else f"{low:.2g} to {high:.2g}"
    return f"{_label(name)} {value:.2g} (training: {span})"


def _label(name: str) -> str:
    if name in WORDS:
        return WORDS[name]
    of = {"answer": "the result", "residual": "what is removed"}
    first, _, rest = name.partition(" ")
    what, kind = (of[first], rest) if first in of else ("the image", name)
    kind = kind.removeprefix("power ")
    if kind[:1].isdigit():
        return f"power of {what} at {kind} cycles per pixel"
    return f"{WORDS.get(kind, kind)} of {what}"


def _expanded(value: float) -> float:
    return float(np.sign(value) * np.expm1(abs(value)))
