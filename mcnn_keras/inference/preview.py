"""The picture beside a result, to look at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..files import Axis, Panel, pixel_length, write_figure, write_png
from ..models import Frames, ModelCard
from .measurements import Measurements

# Pixels across the picture.
MOST_SHOWN = 2048
# Fields wider than this, in nm, have their scale bar in um.
WIDE = 5000.0


def write_preview(
    path: str | Path,
    results: np.ndarray,
    card: ModelCard,
    measurements: Measurements,
    note: str = "",
) -> None:
    """Write the picture beside a result.

    Parameters
    ----------
    path : Path
        The PNG, replaced if it exists.
    results : (outputs, height, width) array
        The outputs of the first measurement.
    card : ModelCard
        Of a model of frames: the frame before and after are shown in one grey scale, with a scale
        bar where the size of a pixel is known. Of another: the outputs side by side, or in colour.
    measurements : Measurements
        What the results were made of.
    note : str
        Text to keep in the file.
    """
    if isinstance(card.inputs, Frames):
        # Both are less what float32 cannot hold.
        less = f", less {measurements.offset:.9g}" if measurements.offset else ""
        field = measurements.field
        _write_before_and_after(path, measurements.shown(0), results[0], field, less, note)
        return
    low, high = card.normalization.limits or (None, None)
    thin = -(-max(results.shape[1:]) // MOST_SHOWN)
    results = results[:, ::thin, ::thin]
    shown = np.moveaxis(results, 0, -1) if card.gives_colours else np.concatenate(results, 1)
    write_png(path, shown, low, high, note)


def _write_before_and_after(
    path: str | Path,
    image: np.ndarray,
    result: np.ndarray,
    field: Sequence[Axis],
    less: str,
    note: str,
) -> None:
    """The scale is that of the result: noise reaches far beyond what there is to see."""
    seen = result[np.isfinite(result)].astype(np.float64)
    low, high = np.percentile(seen, (0.2, 99.8)) if seen.size else (0.0, 0.0)
    panels = [
        Panel(shown, title + less, "1", float(low), float(high))
        for shown, title in ((image, "input"), (result, "restored"))
    ]
    pixel, unit = pixel_shown(field)
    write_figure(path, panels, pixel, unit, largest=MOST_SHOWN // len(panels), note=note)


def pixel_shown(field: Sequence[Axis]) -> tuple[float | None, str]:
    """The width of a pixel, if it has one, and its unit, for a scale bar in nm or um.

    Parameters
    ----------
    field : sequence of Axis
        Of height and width.
    """
    try:
        pixel = pixel_length(field, "nm")
    except InputError:  # pixels that are not square have no one size
        return None, "nm"
    if pixel and pixel * field[-1].size > WIDE:
        return pixel / 1000, "um"
    return pixel, "nm"
