"""What reports show of a focal series: a wave and the images that it explains; several methods.

wave -> its intensities, simulated at each plane -> measured less simulated -> views of a report
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..inference.consistency import SCORE, compared
from ..inference.reporting import EACH, HALF_WIDTH, evenly
from ..metrics import correlation
from ..physics.agreement import resimulated, within_borders
from ..physics.optics import Optics
from ..report import Layer, View
from .series import FocalSeries

if TYPE_CHECKING:
    from .comparison import Answer

# Of measured and simulated intensities.
RELATIVE = "of the mean"


def wave_views(
    series: FocalSeries,
    optics: Optics,
    phase: np.ndarray,
    amplitude: np.ndarray | None,
    lit: np.ndarray | None = None,
    name: str = "Result",
    uncertainty: Sequence[np.ndarray] = (),
) -> list[View]:
    """A wave, and for some planes the measured and the simulated image and their difference.

    Parameters
    ----------
    series : FocalSeries
        The images that the wave was retrieved from.
    optics : Optics
    phase : (height, width) array
        In rad.
    amplitude : (height, width) array or None
    lit : (height, width) array of bool, optional
        The pixels within a field stop; others have no value.
    name : str
    uncertainty : sequence of (height, width) array
        Half-widths of intervals around phase and amplitude.

    Returns
    -------
    list of View
        The wave first.
    """

    def within(array: np.ndarray) -> np.ndarray:
        return array if lit is None else np.where(lit, array, np.nan)

    pixel: dict[str, Any] = {"pixel": optics.pixel_size, "pixel_unit": optics.unit}
    nearest = int(np.argmin(np.abs(series.defocus)))
    layers = [Layer("Phase", within(phase), "rad")]
    if amplitude is not None:
        layers.append(Layer("Amplitude", within(amplitude), note="relative to its mean"))
    layers += [
        Layer(f"Uncertainty of the {what}", within(half), unit, 0.0, note=HALF_WIDTH)
        for half, what, unit in zip(uncertainty, ("phase", "amplitude"), ("rad", ""), strict=False)
    ]
    image = series.images[..., nearest]
    at = f"at {series.defocus[nearest]:g} {optics.unit}"
    layers.insert(0, Layer(f"Input {at}", within(image / image.mean()), RELATIVE))
    views = [View(name, layers, **pixel)]
    inner = within_borders(phase.shape)
    for number in evenly(len(series.defocus), EACH):
        z = series.defocus[number]
        found = resimulated(phase, amplitude, [z], optics)[..., 0]
        image = series.images[..., number]
        score = correlation(found[inner], image[inner])
        # In units of their means inside of the border, where the simulation holds.
        image, found = image / image[inner].mean(), found / found[inner].mean()
        measured = Layer("Input", within(image), RELATIVE)
        apart = compared(within(image), within(found), measured.limits, RELATIVE)
        views.append(
            View(
                f"Image at {z:g} {optics.unit}", [measured, *apart],
                facts=[(SCORE, f"{score:.3f}")],
                **pixel,
            )
        )  # fmt: skip
    return views


def shown_planes(series: FocalSeries) -> str:
    """A line about the planes that `wave_views` shows."""
    count = len(series.defocus)
    if count <= EACH:
        return ""
    return f"{EACH} of {count} planes are shown: the first, the last and others at even distances."


def optics_facts(optics: Optics, defocus: Sequence[float]) -> list[tuple[str, object]]:
    """The instrument and the planes, for a table."""
    units = dict.fromkeys(("wavelength", "pixel_size", "spherical_aberration"), optics.unit)
    units["coherence_angle"] = "rad"
    told: list[tuple[str, object]] = [
        (name.replace("_", " "), f"{value:g} {units.get(name, '')}".rstrip())
        for name, value in optics.asdict().items()
        if isinstance(value, (int, float))
    ]
    planes = ", ".join(f"{z:g}" for z in defocus)
    return [(f"planes ({optics.unit})", planes), *told]


def comparison_views(
    answers: Sequence[Answer],
    series: FocalSeries,
    optics: Optics,
    truth: np.ndarray | None = None,
    low: float | None = None,
    high: float | None = None,
) -> list[View]:
    """The phases of all methods on one scale, and their errors if the truth is known.

    Parameters
    ----------
    answers : sequence of Answer
    series : FocalSeries
    optics : Optics
    truth : (height, width) array, optional
        The true phase in rad.
    low, high : float, optional
        The phases that become black and white.
    """
    pixel: dict[str, Any] = {"pixel": optics.pixel_size, "pixel_unit": optics.unit}
    layers = [Layer(a.name, a.phase, "rad", low, high, note="one scale for all") for a in answers]
    if truth is not None:
        layers.insert(0, Layer("truth", truth - truth.mean(), "rad", low, high))
    image = series.images[..., 0]
    first = f"image at {series.defocus[0]:g} {optics.unit}"
    layers.append(Layer(first, image / image.mean(), RELATIVE))
    views = [View("Phases", layers, **pixel)]
    if truth is not None:
        errors = [a.phase - a.phase.mean() - (truth - truth.mean()) for a in answers]
        most = max(float(np.percentile(np.abs(e), 99.8)) for e in errors)
        apart = [
            Layer(a.name, error, "rad", high=most, diverging=True, note="phase - truth; one scale")
            for a, error in zip(answers, errors, strict=True)
        ]
        views.append(View("Errors", apart, **pixel))
    return views


def comparison_tables(answers: Sequence[Answer], unit: str) -> list[Any]:
    """The numbers of all methods: scores, time and memory, and errors by spatial frequency."""
    known = any(a.error is not None for a in answers)
    head = ["method", "score", *["error / rad"] * known, "seconds", "MiB"]
    rows = [
        [a.name, _number(a.score, ".3f"), *[_number(a.error, ".4f")] * known,
         f"{a.seconds:.2f}", f"{a.memory:.0f}"]
        for a in answers
    ]  # fmt: skip
    tables: list[Any] = [("Score: mean correlation at the planes that no method used", head, rows)]
    for caption, name in (
        (f"Correlation of simulated and measured image at each unused plane ({unit})", "scores"),
        (f"Root mean square error in rad, by spatial frequency up to ... 1/{unit}", "bands"),
    ):
        columns = list(getattr(answers[0], name) or {}) if answers else []
        if columns:
            rows = [
                [a.name, *(_number((getattr(a, name) or {}).get(c), ".3g") for c in columns)]
                for a in answers
            ]
            head = ["method", *(f"{c:g}" if isinstance(c, float) else c for c in columns)]
            tables.append((caption, head, rows))
    return tables


def _number(value: float | None, digits: str) -> str:
    return "-" if value is None else format(value, digits)
