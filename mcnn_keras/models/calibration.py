"""The calibration of a model's intervals: from predicted widths to intervals that hold.

logarithm of a predicted width -> + correction for widths like it -> + correction for answers like
this one -> exp -> half-width of the interval that holds the truth in 90 % of the pixels
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

# The share of pixels whose truth is within the interval.
COVERAGE = 0.9
# Bins of the predicted width that are corrected by themselves; and bins of the answer's deviation.
BINS, ANSWERS = 20, 8
# Logarithms of widths above this count as this, so that they are numbers in any unit.
GREATEST = 40.0
# Errors below this, in the unit of the network's output, count as this.
SMALLEST = 1e-5


def smoothed(width: np.ndarray) -> np.ndarray:
    """Predicted widths without the checkerboard of the layer that doubles their size.

    Parameters
    ----------
    width : (batch, height, width, outputs) array

    Returns
    -------
    numpy.ndarray
        Weighted by 1/4, 1/2, 1/4 along both axes.
    """
    for axis in (1, 2):
        widths = [(1, 1) if i == axis else (0, 0) for i in range(4)]
        wide = np.moveaxis(np.pad(width, widths, mode="edge"), axis, 0)
        width = np.moveaxis((wide[:-2] + 2 * wide[1:-1] + wide[2:]) / 4, 0, axis)
    return width


def strength(answer: np.ndarray) -> np.ndarray:
    """Logarithm of the deviation of each answer, (..., outputs), over its pixels.

    Noise has no part in an answer. So in the unit of the network, in which each image has the same
    deviation, this tells how noisy the image is.

    Parameters
    ----------
    answer : (..., height, width, outputs) array
        Of the network.
    """
    return np.log(np.maximum(np.asarray(answer, np.float64).std(axis=(-3, -2)), SMALLEST))


@dataclass(frozen=True)
class Interval:
    """Corrections of predicted widths, for each output.

    Parameters
    ----------
    widths, corrections : sequence of sequence of float
        For each output: logarithms of predicted widths, rising, and what is added to them.
    strengths, further : sequence of sequence of float, optional
        For each output: the `strength` of answers, rising, and what is added for it.
    """

    widths: tuple[tuple[float, ...], ...]
    corrections: tuple[tuple[float, ...], ...]
    strengths: tuple[tuple[float, ...], ...] = ()
    further: tuple[tuple[float, ...], ...] = ()

    @classmethod
    def fitted(
        cls,
        width: np.ndarray,
        error: np.ndarray,
        strengths: np.ndarray | None = None,
        coverage: float = COVERAGE,
        bins: int = BINS,
    ) -> Interval:
        """The corrections with which the intervals hold on these samples.

        Parameters
        ----------
        width, error : (samples, pixels, outputs) array
            Logarithms of predicted widths and of absolute errors.
        strengths : (samples, outputs) array, optional
            Of the answers.
        coverage : float
        bins : int
            Of the predicted widths, each with as many pixels and with its own correction.
        """
        found = []
        for c in range(width.shape[-1]):
            own = width[..., c]
            tables = [_table(own, error[..., c] - own, coverage, bins)]
            if strengths is not None:
                own = own + np.interp(own, *tables[0])
                each = np.broadcast_to(strengths[:, None, c], own.shape)
                tables.append(_table(each, error[..., c] - own, coverage, ANSWERS))
            found.append([knots for table in tables for knots in table])
        return cls(*(tuple(knots) for knots in zip(*found, strict=True)))

    @classmethod
    def of(cls, calibration: dict[str, Any]) -> Interval:
        """The interval of a card's calibration."""
        return cls(*(tuple(map(tuple, calibration.get(f.name, ()))) for f in fields(cls)))

    def asdict(self) -> dict[str, Any]:
        """The values for a card."""
        told = {f.name: [list(v) for v in getattr(self, f.name)] for f in fields(self)}
        return {name: knots for name, knots in told.items() if knots}

    def logarithm(self, width: np.ndarray, strengths: np.ndarray | None = None) -> np.ndarray:
        """Corrected logarithms of predicted widths, (..., outputs).

        `strengths` has one value for each output of each answer, of a shape that fits the width's.
        """
        parts = []
        for c in range(width.shape[-1]):
            own = width[..., c]
            parts.append(own + np.interp(own, self.widths[c], self.corrections[c]))
        corrected = np.stack(parts, axis=-1)
        return corrected if strengths is None else corrected + self.of_answers(strengths)

    def of_answers(self, strengths: np.ndarray) -> np.ndarray:
        """What is added to the logarithms for answers of this `strength`, (..., outputs)."""
        if not self.strengths:
            return np.zeros_like(strengths)
        knots = zip(self.strengths, self.further, strict=True)
        parts = [np.interp(strengths[..., c], *own) for c, own in enumerate(knots)]
        return np.stack(parts, axis=-1)

    def half_width(self, width: np.ndarray) -> np.ndarray:
        """Half-widths before the correction for the answer, in the network's unit; float32."""
        return np.exp(np.minimum(self.logarithm(width), GREATEST)).astype(np.float32)

    def measured(
        self, width: np.ndarray, error: np.ndarray, strengths: np.ndarray | None = None
    ) -> dict[str, Any]:
        """How often the truth is within the interval, on these samples.

        Returns
        -------
        dict
            ``coverage``: over all pixels; ``coverage by width``: in each tenth of the pixels,
            ordered by the width; ``coverage of samples``: its 5th and 95th percentile.
        """
        each = None if strengths is None else strengths[:, None]
        within = error <= self.logarithm(width, each)
        tenths = np.array_split(np.argsort(width, axis=None), 10)
        flat = within.ravel()
        samples = within.mean(axis=tuple(range(1, within.ndim)))
        return {
            "coverage": round(float(within.mean()), 4),
            "coverage by width": [round(float(flat[t].mean()), 4) for t in tenths],
            "coverage of samples": [round(float(q), 4) for q in np.quantile(samples, (0.05, 0.95))],
        }


def _table(
    by: np.ndarray, away: np.ndarray, coverage: float, bins: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """A quantile of some values, in bins of others with as many in each: places and quantiles."""
    order = np.argsort(by, axis=None, kind="stable")
    own, away = by.ravel()[order], away.ravel()[order]
    parts = np.array_split(np.arange(len(own)), bins)
    places = [float(np.median(own[part])) for part in parts]
    # The quantile that holds for the next pixel, too, not for these alone.
    level = [min(1.0, coverage * (1 + 1 / len(part))) for part in parts]
    found = [float(np.quantile(away[part], at)) for part, at in zip(parts, level, strict=True)]
    rising = [i for i in range(bins) if i == 0 or places[i] > places[i - 1]]
    return tuple(places[i] for i in rising), tuple(found[i] for i in rising)
