"""Answers with their uncertainty: an engine whose outputs are doubled.

network -> full-size answer, logarithm of its width -> corrected by the card's calibration ->
[answers, half-widths], put together from tiles and averaged like answers -> units of the results
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..models import ModelCard, Normalization, Output
from ..models.calibration import Interval, smoothed
from ..models.finite import finite
from ..models.saving import read_card
from .engines import TensorFlowEngine, engine_of, output_function

ONNX = (
    "ONNX Runtime computes no uncertainty; leave the engine out, or give the .h5 file that the "
    "model was exported from"
)


class UncertainEngine(TensorFlowEngine):
    """A network with an interval, in TensorFlow; see `mcnn_keras.inference.engines`.

    Parameters
    ----------
    model : keras.Model
        With a calibration in its card.

    Attributes
    ----------
    card : ModelCard
        With an uncertainty after the outputs, for each of them.
    answers : ModelCard
        That of the model.
    """

    def __init__(self, model: Any) -> None:
        from ..network import receptive_radius

        super().__init__(model)
        require_interval(model.card, "the model")
        self.answers, self.card = model.card, with_uncertainty(model.card)
        self._interval = Interval.of(model.card.calibration)
        self._compute = output_function(model, interval=True)
        if not self.card.normalization.per_frame:  # the interval may look farther than the answer
            radius = receptive_radius(model, -1)
            radius = None if radius is None else radius + 1  # of smoothing
            tile = dataclasses.replace(self.card.tile, overlap=radius)
            self.card.tile = tile

    def compute(self, batch: np.ndarray) -> np.ndarray:
        """Answers and half-widths, (batch, height, width, 2 channels), float32."""
        answer, width = self._compute(batch)
        return finite(
            np.concatenate([answer.numpy(), self._interval.half_width(smoothed(width.numpy()))], -1)
        )


def uncertain_engine(model: Any) -> UncertainEngine:
    """The engine of a model that `mcnn_keras.load` returned, with uncertainties.

    Raises
    ------
    InputError
        If it has none, or ONNX Runtime computes it.
    """
    if isinstance(model, UncertainEngine):
        return model
    if not hasattr(model, "card"):
        engine_of(model)  # says what is wrong
    require_interval(model.card, "the model")
    if hasattr(model, "compute"):
        raise InputError(ONNX)
    return UncertainEngine(model)


def engine_with_uncertainty(model: str | Path, engine: Any) -> Any:
    """The engine to choose for a model that is to give uncertainties: 'tensorflow', or as given.

    Raises
    ------
    InputError
        If the model has none, or another engine is asked for.
    """
    if not isinstance(engine, str):
        return engine
    require_interval(read_card(model), model)
    if str(model).endswith(".onnx") or engine == "onnxruntime":
        raise InputError(ONNX)
    return "tensorflow"


class _Both(Normalization):
    """That of a model, for its outputs and their uncertainties."""

    def __init__(self, own: Normalization) -> None:
        super().__init__(own.limits)
        self.own = own
        self.kind, self.mean_free = own.kind, own.mean_free  # type: ignore[misc]
        self.per_frame = own.per_frame  # type: ignore[misc]

    def apply(self, image: Any) -> tuple[Any, Any]:
        return self.own.apply(image)

    def restore(self, answer: np.ndarray, scale: Any) -> np.ndarray:
        half = answer.shape[-1] // 2
        results = self.own.restore(answer[..., :half], scale)
        return np.concatenate([results, self.own.width(answer[..., half:], scale)], axis=-1)

    def config(self) -> dict[str, Any]:
        return self.own.config()


def require_interval(card: ModelCard, name: str | Path) -> None:
    """Raise InputError if a model has no uncertainty."""
    if not (card.network.get("interval") and card.calibration.get("widths")):
        raise InputError(
            f"{name} has no uncertainty yet; add it with mcnn-keras calibrate MODEL --output "
            "NEW_MODEL.h5, which takes some minutes, or leave --uncertainty out"
        )


def with_uncertainty(card: ModelCard) -> ModelCard:
    """The card with twice as many outputs."""
    further = tuple(
        Output(f"{o.name} uncertainty", o.unit, "image" if o.role == "image" else "value")
        for o in card.outputs
    )
    network = {**card.network, "output_channels": 2 * len(card.outputs)}
    return dataclasses.replace(
        card, outputs=(*card.outputs, *further), network=network,
        normalization=_Both(card.normalization),
    )  # fmt: skip


def of_refined(card: ModelCard, widths: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The uncertainties of a refined wave, from those of the network's wave.

    Parameters
    ----------
    card : ModelCard
        Whose calibration was measured with refined waves, too.
    widths : sequence of (height, width) array
        Of phase and amplitude.
    """
    told = card.calibration.get("refined")
    if told is None:
        return list(widths)
    logarithms = np.log(np.stack(widths, axis=-1))
    found = Interval.of(told).half_width(logarithms)
    return [found[..., c] for c in range(found.shape[-1])]
