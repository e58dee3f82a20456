"""The wave of a focal series by a network, with refinement and the agreement with its images.

images at planes, optics -> within their field stop -> network -> refined -> simulated, compared
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import InputError, NotFinite
from ..files import Axis
from ..files.precision import narrowed, without_mask
from ..inference.any_planes import outside
from ..inference.assumptions import compare_optics
from ..inference.axes import LEAST
from ..inference.consistency import POOR, doubt
from ..inference.planes import counted, require_out_of_focus
from ..inference.range_check import RangeCheck
from ..inference.uncertain import of_refined
from ..models import AnyPlanes, ModelCard
from ..physics.agreement import agreement
from ..physics.optics import Optics
from .field_stop import within_stop
from .network import frames_of, with_uncertainty
from .refinement import refined_wave
from .series import FocalSeries


class Retrieved(NamedTuple):
    """A wave, and its agreement with the images.

    Parameters
    ----------
    phase : numpy.ndarray
        (height, width), in rad, mean-free.
    amplitude : numpy.ndarray or None
        (height, width), relative to its mean; None from a network without amplitude.
    defocus : tuple of float
        The planes that were used, ascending.
    agreement : float
        Mean correlation of the images with those simulated from the wave; 1 is perfect.
    before : float or None
        The same before the refinement; None without refinement.
    uncertainty : tuple of numpy.ndarray
        Half-widths of intervals around phase and amplitude in which the truth is in 90 % of the
        pixels; empty from an engine without.
    unusual : tuple of str
        Warnings: in what the images, the phase or the agreement are unlike those of the training.
    least : float
        The agreement that nearly all waves of the training reach, if the model knows it.
    """

    phase: np.ndarray
    amplitude: np.ndarray | None
    defocus: tuple[float, ...]
    agreement: float
    before: float | None = None
    uncertainty: tuple[np.ndarray, ...] = ()
    unusual: tuple[str, ...] = ()
    least: float = POOR

    @property
    def doubt(self) -> str | None:
        """A warning if the images contradict the wave, else None."""
        if self.agreement >= self.least:
            return None
        return doubt(self.agreement)

    @property
    def guess(self) -> str | None:
        """A warning if the amplitude is a guess, as from a single plane, else None."""
        if self.amplitude is None or len(self.defocus) > 1:
            return None
        return "one plane cannot separate phase and amplitude: the amplitude is a guess"


def mostly_negative(phase: np.ndarray) -> bool:
    """Whether an object in a phase, (height, width), lies below its surroundings.

    Objects denser than what surrounds them are positive. The skewness tells, from -1 on: an even
    distribution has 0.
    """
    away = phase - np.median(phase)
    deviation = float(np.sqrt(np.mean(away**2)))
    return deviation > 0 and float(np.mean((away / deviation) ** 3)) < -1


def retrieved(
    engine: Any,
    series: FocalSeries,
    optics: Optics,
    refine: bool | None = None,
    progress: Callable[[int, int], Any] = lambda done, count: None,
) -> Retrieved:
    """The wave of a series by a network.

    Parameters
    ----------
    engine : engine or keras.Model
    series : FocalSeries
        The planes of the model, ascending; for a model for any planes, all are used.
    optics : Optics
    refine : bool, optional
        Improve the agreement of the wave with the images; by default with two or more planes, as
        with one plane uneven light would be taken for a phase.
    progress : callable
        As for `refined_wave`; also called between the parts of the network's computation.

    Raises
    ------
    InputError
        If the result contains NaN or infinity.
    """
    try:
        phase, amplitude, widths = with_uncertainty(engine, series, optics, progress)
    except NotFinite:
        raise InputError(
            "the network's result is not a number: with these planes and optics the images show "
            "no phase; check that wavelength, pixel size and defocus are correct, and in "
            f"{optics.unit}"
        ) from None

    def score() -> float:
        found = agreement(phase, amplitude, series.images, series.defocus, optics)
        return sum(found) / len(found)

    first, before = score(), None
    card = getattr(engine, "answers", engine.card)
    unusual = _unusual(card, series, phase, widths, first)
    if len(series.defocus) > 1 if refine is None else refine:
        before = first
        phase, amplitude = refined_wave(series, optics, phase, amplitude, progress)
        first = score()
        widths = widths and of_refined(engine.answers, widths)
    least = card.calibration.get("least agreement", POOR)
    return Retrieved(
        phase, amplitude, series.defocus, first, before, tuple(widths), tuple(unusual), least
    )


def _unusual(
    card: ModelCard,
    series: FocalSeries,
    phase: np.ndarray,
    widths: Sequence[np.ndarray],
    score: float,
) -> list[str]:
    """In what a network's answer is unlike those to the images of its training."""
    check = RangeCheck(card, 1, "the series")
    check.see(0, series.images[..., 0], phase, widths[0] if widths else None, score)
    return check.warnings()


def wave_of(
    images: np.ndarray,
    defocus: Sequence[float],
    optics: Optics,
    model: Any = "phase",
    refine: bool | None = None,
    progress: Callable[[int, int], Any] = lambda done, count: None,
    say: Callable[[str], Any] = lambda text: None,
) -> Retrieved:
    """The wave of images in memory, as ``mcnn-keras phase`` computes it for files.

    Parameters
    ----------
    images : (height, width, planes) array
        Intensities in any unit.
    defocus : sequence of float
        Of each image, in any order, in the unit of the optics, positive downstream.
    optics : Optics
    model : str, Path, keras.Model or engine
        A phase model, for any planes or for given planes, which are chosen from the images.
    refine, progress :
        As for `retrieved`.
    say : callable
        Called with each line for the user.

    Returns
    -------
    Retrieved
        NaN in the dark rim of a field stop.

    Raises
    ------
    InputError
        If an image is not finite, too small or in the same plane as another, all planes are in
        focus, or the model does not fit.
    """
    series = _series(images, [float(z) for z in defocus], optics)
    if isinstance(model, (str, Path)):
        from ..models.saving import load_once

        name, model = model, load_once(model)
    else:
        name = "the model"
    card = model.card
    if isinstance(card.inputs, AnyPlanes):
        for line in outside(card, series.defocus, optics):
            say(f"{line}; the answer may be wrong")
    own = frames_of(card, name, series.defocus, optics.unit)
    if not isinstance(card.inputs, AnyPlanes):
        compare_optics(card, optics, "the series", lambda t: say(t.removeprefix("Warning: ")))
    series, lit = within_stop(series)
    planes = tuple(series.defocus[i] for i in own)
    series = series._replace(images=series.images[..., own], defocus=planes)
    found = retrieved(model, series, optics, refine, progress)
    for line in filter(None, (found.doubt, *found.unusual, found.guess)):
        say(line)
    if lit is None:
        return found
    return found._replace(
        phase=np.where(lit, found.phase, np.nan),
        amplitude=None if found.amplitude is None else np.where(lit, found.amplitude, np.nan),
        uncertainty=tuple(np.where(lit, width, np.nan) for width in found.uncertainty),
    )


def _series(images: np.ndarray, planes: list[float], optics: Optics) -> FocalSeries:
    """The images as a series; raises InputError if they are not one."""
    images = without_mask(images)
    if images.ndim != 3 or images.dtype.kind not in "buif":
        raise InputError(
            f"an array of shape {images.shape} and type {images.dtype} was given; real images, "
            "(height, width, planes), are expected"
        )
    if images.shape[2] != len(planes) or not np.isfinite(planes).all():
        raise InputError(
            f"{counted(images.shape[2], 'image')} and the planes {planes} were given; give a "
            f"defocus in {optics.unit} for each image"
        )
    if min(images.shape[:2]) < LEAST:
        raise InputError(
            f"the images have {images.shape[0]}x{images.shape[1]} pixels; at least "
            f"{LEAST}x{LEAST} are needed"
        )
    if len(set(planes)) < len(planes):
        raise InputError(f"defocus {planes} names a plane twice; give each plane once")
    require_out_of_focus(planes)
    order = np.argsort(planes)
    images = narrowed(images[None, ..., order], "the series")[0]
    if not np.isfinite(images).all():
        raise InputError("the images have pixels that are NaN or infinite; fill or cut them first")
    axes = (Axis("height", images.shape[0]), Axis("width", images.shape[1]))
    return FocalSeries(images, tuple(planes[i] for i in order), axes)
