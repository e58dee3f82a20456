"""Whether results explain their measurements: images simulated from them, compared with these.

card -> Forward; result -> simulated images -> agreement -> lines for the user, layers of a report
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import reason
from ..metrics import correlation
from ..models import ModelCard, Planes
from ..models.reference import UNUSUAL
from ..physics.agreement import Forward, on_scale, resimulated, within_borders
from ..physics.optics import Optics
from ..report import Layer
from .range_check import FEW, WARNING

# Below this mean correlation the wave does not explain its own images, unless the model knows the
# least one of its training: noise cannot be explained.
POOR = 0.5
# What an agreement does not tell: of a phase, and of others.
UNPROVED = "it does not prove the optics, nor the sign of the defocus"
LOWERED = "noise lowers it"
# The name of an agreement in reports.
SCORE = "correlation of input and simulation, without borders"
# Of a long recording, about this many measurements are simulated; of larger images none.
MOST, PIXELS = 64, 2**24


def doubt(agreement: float, phase: bool = True) -> str:
    """The warning about images that contradict their result."""
    hint = (
        "check planes, their sign, wavelength and pixel size"
        if phase
        else "check that your images are of the kind that the model was trained for"
    )
    return f"images simulated from this result correlate with yours by {agreement:.2f} only; {hint}"


def retrieves_phase(card: ModelCard) -> bool:
    """Whether a model retrieves a phase from given planes."""
    return isinstance(card.inputs, Planes) and card.outputs[0].role == "phase"


def forward_of_phase(card: ModelCard) -> Forward | None:
    """The forward model of a phase model for given planes, with the planes and optics of its card.

    None of another model, and of one whose card does not tell wavelength and pixel size.
    """
    planes, names = card.inputs, [o.role for o in card.outputs]
    if not isinstance(planes, Planes) or not retrieves_phase(card):
        return None
    told = {**(card.config.get("optics") or {}), **card.conditions, "unit": planes.unit}
    told = {name: value for name, value in told.items() if value is not None}
    if not {"wavelength", "pixel_size"} <= set(told):
        return None
    optics = Optics.from_conditions(told)

    def simulate(answer: np.ndarray) -> np.ndarray:
        amplitude = answer[..., names.index("amplitude")] if "amplitude" in names else None
        return resimulated(answer[..., 0], amplitude, planes.defocus, optics)

    return Forward(simulate, card.normalization.lost)


class Consistency:
    """Simulates the images of results, and compares them with the measured ones.

    Parameters
    ----------
    card : ModelCard
    forward_of : callable, optional
        Takes the card, and returns the `Forward` of its problem, or None if this has none. An error
        is told, see `missing`. Phase models for given planes need none.

    Attributes
    ----------
    forward : Forward or None
    missing : str
        Why nothing is simulated, of a model that has, or may have, a forward model; else empty.
    """

    def __init__(
        self, card: ModelCard, forward_of: Callable[[ModelCard], Forward | None] | None = None
    ) -> None:
        self.card, self.missing = card, ""
        self.phase = retrieves_phase(card)
        self.least = card.calibration.get("least agreement", POOR if self.phase else None)
        self.forward: Forward | None = None
        try:
            self.forward = forward_of_phase(card)
            if self.phase and self.forward is None:
                self.missing = "the model's card does not tell its wavelength and pixel size"
            elif self.forward is None and forward_of is not None:
                self.forward = forward_of(card)
        except Exception as error:  # whatever the code of a user's problem raises
            self._left_out(error)

    def _left_out(self, error: BaseException) -> None:
        self.forward, self.missing = None, reason(error)

    @property
    def left_out(self) -> list[str]:
        """A line about what is missing, if something is."""
        if not self.missing:
            return []
        return [f"no images are simulated from the results, to check them: {self.missing}"]

    def images(self, answers: np.ndarray, image: np.ndarray) -> np.ndarray | None:
        """The simulated images of a measurement, on its scale; None if there are none.

        Parameters
        ----------
        answers : (outputs, height, width) array
        image : (height, width, channels) array
            The measurement.

        Returns
        -------
        numpy.ndarray or None
            (height, width, channels), in the unit of the measurement.
        """
        if self.forward is None or image[..., 0].size > PIXELS:
            return None
        try:
            found = np.asarray(self.forward.simulate(np.moveaxis(np.asarray(answers), 0, -1)))
            if found.shape != image.shape:
                raise ValueError(f"the forward model gives {found.shape}, not {image.shape}")
            if not np.isfinite(found).all():
                raise ValueError("the simulated images have pixels that are NaN or infinite")
        except Exception as error:  # whatever the code of a user's problem raises
            self._left_out(error)
            return None
        lost = self.forward.lost
        if self.card.takes_colours:
            return on_scale(found, image, lost)
        channels = range(image.shape[-1])
        return np.stack([on_scale(found[..., c], image[..., c], lost) for c in channels], axis=-1)

    def scores(self, answers: np.ndarray, image: np.ndarray) -> list[float]:
        """The agreement of each channel: the correlation with its simulation, without borders."""
        found = self.images(answers, image)
        return [] if found is None else correlations(found, image)

    def lines(self, measurements: Any, results: Any, source: str | Path) -> list[str]:
        """What to tell the user of a recording: the agreement of the worst, and a warning.

        Parameters
        ----------
        measurements : Measurements
        results : object
            With slices [start:stop] of (frames, height, width), all outputs of each measurement
            one after another.
        source : str or Path
            The recording.
        """
        if self.forward is None:
            return []
        if measurements.size[0] * measurements.size[1] > PIXELS:
            return [
                f"{source}: no images are simulated from the result, to check it: it has more than "
                f"{PIXELS:,} pixels"
            ]
        count, outputs = len(measurements), len(self.card.outputs)
        numbers = range(0, count, -(-count // MOST))
        known: dict[int, float] = {}
        for number in numbers:
            answers = results[outputs * number : outputs * (number + 1)]
            scores = self.scores(answers, measurements.read(number, number + 1)[0])
            if not scores:
                return self.left_out
            known[number] = float(np.mean(scores))
        return self.told(known, count, source)

    def told(self, known: dict[int, float], count: int, source: str | Path) -> list[str]:
        """The lines about agreements, by the number of the measurement, of `count` in all."""
        worst = min(known, key=lambda n: known[n])
        least = known[worst]
        not_told = UNPROVED if self.phase else LOWERED
        place, found = f"{source}", f"{least:.3f}"
        below = self._below([*known.values()])
        if count > 1:
            looked = f"{len(known)}" + f" that were looked at, of {count}" * (len(known) < count)
            median = np.median([*known.values()])
            found += (
                f" of image {worst} (counted from 0), the worst of {looked}; median {median:.3f}"
            )
            place += f", image {worst} (counted from 0; {below} of {len(known)} are too low)"
        lines = [f"{source}: agreement with the images {found} (1 is perfect; {not_told})"]
        if below:
            lines.append(f"{WARNING}{place}: {doubt(least, self.phase)}")
        return lines

    def _below(self, scores: Sequence[float]) -> int:
        """How many images contradict their results; 0 if it may be chance, as in the training."""
        limit = self.least
        if limit is None:
            return 0
        below = sum(score < limit for score in scores)
        calibrated = "least agreement" in self.card.calibration
        expected = UNUSUAL * len(scores)
        chance = expected + 3 * expected**0.5 if calibrated and len(scores) > FEW else 0.0
        return below if below > chance or min(scores) < min(limit, POOR) / 2 else 0


def correlations(found: np.ndarray, image: np.ndarray) -> list[float]:
    """The correlation of each simulated image with the measured one, without the borders.

    Parameters
    ----------
    found, image : (height, width, channels) array
    """
    inner = within_borders(image.shape)
    return [
        float(correlation(found[..., c][inner], image[..., c][inner]))
        for c in range(image.shape[-1])
    ]


def compared(
    image: np.ndarray, found: np.ndarray, limits: tuple[float, float], unit: str = "", at: str = ""
) -> list[Layer]:
    """The pictures of a simulated image, on the scale of the measured one, and of the residual.

    Parameters
    ----------
    image, found : (height, width) or (height, width, 3) array
        Measured and simulated, NaN where there is no value. Of colours the residual is their mean.
    limits : (float, float)
        Of the picture of the measured image.
    unit : str
        Of both.
    at : str
        What tells the image from others of the measurement, such as ' at 52 um'.
    """
    apart = np.asarray(image, np.float64) - found
    apart = apart.mean(-1) if apart.ndim == 3 else apart
    spread = float(np.nanstd(apart[within_borders(apart.shape)]))
    colours = "mean of the colours; " * (image.ndim == 3)
    return [
        Layer(
            f"Simulated from the result{at}", found, unit, *limits,
            note="on the scale of the input",
        ),
        Layer(
            f"Residual{at}", apart, unit, diverging=True,
            note=f"{colours}input - simulated; standard deviation {spread:.3g}",
        ),
    ]  # fmt: skip
