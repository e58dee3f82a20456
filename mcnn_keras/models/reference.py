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
UNUSUAL = 0.03
# Variance that is added to each normal score, so that no combination of scores is impossible.
FLOOR = 0.1


@dataclass(frozen=True)
class Reference:
    """The statistics of a training's images.

    Parameters
    ----------
    names : sequence of str
    quantiles : (statistics, levels) list
        Of each statistic, at `LEVELS`.
    factor : (statistics, statistics) list
        Makes independent scores, of variance one, of the normal scores.
    limit : float
        The distance beyond which an image is unusual.
    """

    names: tuple[str, ...]
    quantiles: tuple[tuple[float, ...], ...]
    factor: tuple[tuple[float, ...], ...]
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
        scores = _scores(own, quantiles)
        covariance = np.cov(scores, rowvar=False) + FLOOR * np.eye(len(names))
        factor = np.linalg.inv(np.linalg.cholesky(covariance))
        away = np.sqrt(np.mean((_scores(other, quantiles) @ factor.T) ** 2, axis=1))
        limit = float(np.quantile(away, 1 - UNUSUAL))
        return cls(names, _rounded(quantiles), _rounded(factor), limit)

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Reference:
        """The reference that `asdict` describes."""
        return cls(
            tuple(told["names"]), tuple(map(tuple, told["quantiles"])),
            tuple(map(tuple, told["factor"])), float(told["limit"]),
        )  # fmt: skip

    def asdict(self) -> dict[str, Any]:
        """The values for a card."""
        return dataclasses.asdict(self)

    def distance(self, statistics: Mapping[str, float]) -> float:
        """The root mean square of the independent scores, in units of the limit."""
        scores = self._scores_of(statistics)
        away = np.sqrt(np.mean((np.asarray(self.factor) @ scores) ** 2))
        return float(away / self.limit)

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
        at = at + 1e-9 * np.arange(len(at))
        found[:, i] = np.interp(v, at, normal)
        middle = at[len(at) // 2]
        for end, sign in ((0, -1), (-1, 1)):
            # At least a hundredth of the whole range, where most samples share one value.
            unit = max(abs(at[end] - middle) / abs(normal[end]), 0.01 * (at[-1] - at[0]), 0.01)
            beyond = sign * (v - at[end])
            outside = beyond > 0
            found[outside, i] = normal[end] + sign * beyond[outside] / unit
    return np.clip(found, -30, 30)


def _rounded(values: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(f"{v:.5g}") for v in row) for row in values)
