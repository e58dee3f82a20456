"""The calibration of a model's intervals: from predicted widths to intervals that hold.

logarithm of a predicted width -> + correction for widths like it -> exp -> half-width of the
interval that holds the truth in 90 % of the pixels
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

# The share of pixels whose truth is within the interval.
COVERAGE = 0.9
# Bins of the predicted width that are corrected by themselves.
BINS = 20
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


@dataclass(frozen=True)
class Interval:
    """Corrections of predicted widths, for each output.

    Parameters
    ----------
    widths, corrections : sequence of sequence of float
        For each output: logarithms of predicted widths, rising, and what is added to them.
    """

    widths: tuple[tuple[float, ...], ...]
    corrections: tuple[tuple[float, ...], ...]

    @classmethod
    def fitted(
        cls, width: np.ndarray, error: np.ndarray, coverage: float = COVERAGE, bins: int = BINS
    ) -> Interval:
        """The corrections with which the intervals hold on these samples.

        Parameters
        ----------
        width, error : (samples, pixels, outputs) array
            Logarithms of predicted widths and of absolute errors.
        coverage : float
        bins : int
            Of the predicted widths, each with as many pixels and with its own correction.
        """
        widths, corrections = [], []
        for c in range(width.shape[-1]):
            order = np.argsort(width[..., c], axis=None)
            own, away = width[..., c].ravel()[order], (error - width)[..., c].ravel()[order]
            parts = np.array_split(np.arange(len(own)), bins)
            places = [float(np.median(own[part])) for part in parts]
            # The quantile that holds for the next pixel, too, not for these alone.
            level = [min(1.0, coverage * (1 + 1 / len(part))) for part in parts]
            found = [
                float(np.quantile(away[part], at)) for part, at in zip(parts, level, strict=True)
            ]
            rising = [i for i in range(bins) if i == 0 or places[i] > places[i - 1]]
            widths.append(tuple(places[i] for i in rising))
            corrections.append(tuple(found[i] for i in rising))
        return cls(tuple(widths), tuple(corrections))

    @classmethod
    def of(cls, calibration: dict[str, Any]) -> Interval:
        """The interval of a card's calibration."""
        return cls(*(tuple(map(tuple, calibration[f.name])) for f in dataclasses.fields(cls)))

    def asdict(self) -> dict[str, Any]:
        """The values for a card."""
        return {f.name: [list(v) for v in getattr(self, f.name)] for f in dataclasses.fields(self)}

    def logarithm(self, width: np.ndarray) -> np.ndarray:
        """Corrected logarithms of predicted widths, (..., outputs)."""
        parts = [
            width[..., c] + np.interp(width[..., c], at, add)
            for c, (at, add) in enumerate(zip(self.widths, self.corrections, strict=True))
        ]
        return np.stack(parts, axis=-1)

    def half_width(self, width: np.ndarray) -> np.ndarray:
        """Half-widths of the intervals, in the unit of the network's output; float32."""
        return np.exp(np.minimum(self.logarithm(width), GREATEST)).astype(np.float32)

    def measured(self, width: np.ndarray, error: np.ndarray) -> dict[str, Any]:
        """How often the truth is within the interval, on these samples.

        Returns
        -------
        dict
            ``coverage``: over all pixels; ``coverage by width``: in each tenth of the pixels,
            ordered by the width; ``coverage of samples``: its 5th and 95th percentile.
        """
        within = error <= self.logarithm(width)
        tenths = np.array_split(np.argsort(width, axis=None), 10)
        flat = within.ravel()
        samples = within.mean(axis=tuple(range(1, within.ndim)))
        return {
            "coverage": round(float(within.mean()), 4),
            "coverage by width": [round(float(flat[t].mean()), 4) for t in tenths],
            "coverage of samples": [round(float(q), 4) for q in np.quantile(samples, (0.05, 0.95))],
        }
