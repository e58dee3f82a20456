"""Is an answer likely to be wrong? A small network on the statistics of image and answer.

statistics of images of the training and of disturbed ones, errors -> Failure, kept in the card
statistics of an image -> score -> beyond the limit: the error is probably greater than any usual
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

Layer = tuple[tuple[tuple[float, ...], ...], tuple[float, ...]]
# Statistics count for at most so many deviations of the samples that this network learned from.
FARTHEST = 4.0


@dataclass(frozen=True)
class Failure:
    """A predictor of answers that are worse than the worst hundredth of the training's.

    Parameters
    ----------
    names : sequence of str
        Of the statistics.
    middle, deviation : sequence of float
        Of each statistic, over the samples that it learned from.
    usual : sequence of float
        The median of each statistic, over the training's samples alone.
    members : sequence of (layer, layer)
        Networks whose scores are averaged; a layer has weights, (inputs, outputs), and biases.
    limit : float
        The score that few images of the training exceed.
    error : float
        The error of the worst hundredth, relative to the deviation of the image, or of the truth.
    """

    names: tuple[str, ...]
    middle: tuple[float, ...]
    deviation: tuple[float, ...]
    usual: tuple[float, ...]
    members: tuple[tuple[Layer, Layer], ...]
    limit: float
    error: float

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Failure:
        """The predictor that `asdict` describes."""
        own = {k: tuple(v) for k, v in told.items() if k not in ("members", "limit", "error")}
        members = tuple(
            tuple((tuple(map(tuple, weights)), tuple(biases)) for weights, biases in member)
            for member in told["members"]
        )
        return cls(**own, members=members, limit=float(told["limit"]), error=float(told["error"]))  # type: ignore[arg-type]

    def asdict(self) -> dict[str, Any]:
        """The values for a card."""
        return asdict(self)

    def scores(self, values: np.ndarray) -> np.ndarray:
        """Scores of statistics, (samples, names): the greater, the more probable is an error."""
        away = (values - np.asarray(self.middle)) / np.asarray(self.deviation)
        x = np.clip(away, -FARTHEST, FARTHEST)
        found = np.zeros(len(x))
        for (first, bias), (last, offset) in self.members:
            hidden = np.maximum(x @ np.asarray(first) + np.asarray(bias), 0)
            found += (hidden @ np.asarray(last) + np.asarray(offset))[:, 0] / len(self.members)
        return found

    def distance(self, statistics: Mapping[str, float]) -> float:
        """Above one: the answer is likely to be wrong; not negative."""
        score = self.scores(np.array([[statistics[n] for n in self.names]]))[0]
        return float(np.exp(min(score - self.limit, 10.0)))

    def reasons(self, statistics: Mapping[str, float], count: int = 2) -> list[str]:
        """The statistics without which the score would fall most: if they were as usual."""
        values = np.array([[statistics[n] for n in self.names]])
        changed = np.repeat(values, len(self.names), 0)
        np.fill_diagonal(changed, self.usual)
        fall = self.scores(values)[0] - self.scores(changed)
        order: Sequence[int] = np.argsort(fall)[::-1][:count].tolist()
        return [self.names[i] for i in order if fall[i] > 0]
