"""What the images of a training look like, in numbers; and how far an image is from them.

statistics of many training samples -> Reference, kept in the card
statistics of an image -> normal scores -> distance, and the statistics that are farthest off
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

# Quantiles of each statistic that are kept.
LEVELS = (0.005, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.98, 0.995)
# The share of the training's images that may be called unusual.
UNUSUAL = 0.01


@dataclass(frozen=True)
class Reference:
    """The statistics of a training's images.

    Parameters
    ----------
    names : sequence of str
    quantiles : (statistics, levels) list
        Of each statistic, at `LEVELS`.
    limit : float
        The largest normal score of an image, of all its statistics, beyond which it is unusual.
    """

    names: tuple[str, ...]
    quantiles: tuple[tuple[float, ...], ...]
    limit: float

    @classmethod
    def fitted(cls, found: Sequence[Mapping[str, float]]) -> Reference:
        """The reference of statistics of many samples.

        Half of the samples give the distribution, and the other half the limit.
        """
        names = tuple(n for n in found[0] if all(n in one for one in found))
        values = np.array([[one[n] for n in names] for one in found])
        own, other = values[::2], values[1::2]
        quantiles = np.quantile(own, LEVELS, axis=0).T
        away = np.abs(_scores(other, quantiles)).max(axis=1)
        limit = float(np.quantile(away, 1 - UNUSUAL))
        return cls(names, _rounded(quantiles), limit)

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Reference:
        """The reference that `asdict` describes."""
        return cls(tuple(told["names"]), tuple(map(tuple, told["quantiles"])), float(told["limit"]))

    def asdict(self) -> dict[str, Any]:
        """The values for a card."""
        return dataclasses.asdict(self)

    def usual(self, name: str) -> float:
        """The median of a statistic."""
        return self.quantiles[self.names.index(name)][LEVELS.index(0.5)]

    def distance(self, statistics: Mapping[str, float]) -> float:
        """The largest normal score of all, in units of the limit."""
        return float(np.abs(self._scores_of(statistics)).max() / self.limit)

    def farthest(self, statistics: Mapping[str, float]) -> list[tuple[str, float, float, float]]:
        """The statistics by their distance from the training's middle, the farthest first.

        Returns
        -------
        list
            (name, value, low, high): the training's 0.5th and 99.5th percentile.
        """
        scores = np.abs(self._scores_of(statistics))
        order = np.argsort(scores)[::-1]
        ends = [(self.names[i], self.quantiles[i][0], self.quantiles[i][-1]) for i in order]
        return [(name, float(statistics[name]), low, high) for name, low, high in ends]

    def _scores_of(self, statistics: Mapping[str, float]) -> np.ndarray:
        values = np.array([[statistics[n] for n in self.names]])
        return _scores(values, np.asarray(self.quantiles))[0]


def _scores(values: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    """Normal scores of values; beyond the last quantiles, they go on in units of the tail."""
    normal = np.array([NormalDist().inv_cdf(level) for level in LEVELS])
    found = np.empty_like(values)
    for i, at in enumerate(quantiles):
        v = values[:, i]
        # Where most samples share one value, it has the middle score of theirs.
        apart = 1e-9 * np.arange(len(at))
        found[:, i] = (
            np.interp(v, at + apart, normal) + np.interp(v, at - apart[::-1], normal)
        ) / 2
        for end, sign in ((0, -1), (-1, 1)):
            # As steep as the tail between the last two quantiles, which may be a single value.
            step = abs(at[end] - at[end - 1 if sign > 0 else 1])
            unit = max(step / abs(normal[-1] - normal[-2]), 0.02 * (at[-1] - at[0]), 0.02)
            beyond = sign * (v - at[end])
            outside = beyond > 0
            found[outside, i] = normal[end] + sign * beyond[outside] / unit
    return np.clip(found, -30, 30)


def _rounded(values: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(f"{v:.5g}") for v in row) for row in values)
