"""What a prediction shows in its report: some images, their results and what was said.

It collects while the results are made, and writes one page at the end.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..files import open_recording
from ..files.converted import Shifted
from ..models import Frames, ModelCard, Planes
from ..report import Layer, View, write_prediction_report
from ..report.layers import PIXELS
from .consistency import SCORE, Consistency, compared, correlations
from .finished import uncertainty_of
from .measurements import Measurements
from .planes import counted
from .planning import Job, open_measurements
from .preview import pixel_shown

# Images of one recording, and of one page, at most.
EACH, ALL = 8, 24
# What an uncertainty is.
HALF_WIDTH = "half-width of an interval in which the truth is in 90 % of the pixels"


class Said:
    """Passes lines on, and keeps them for a report.

    Parameters
    ----------
    say : callable
        Called with each line.
    """

    def __init__(self, say: Callable[[str], Any]) -> None:
        self.lines: list[str] = []
        self._say = say

    @classmethod
    def of(cls, say: Callable[[str], Any]) -> Said:
        """The callable, if it keeps its lines already, or one that does."""
        return say if isinstance(say, Said) else cls(say)

    def __call__(self, line: str) -> None:
        """Keep a line, and pass it on."""
        self.lines.append(line)
        self._say(line)


class Report:
    """The report of a run; without a path it does nothing.

    Parameters
    ----------
    path : str, Path or None
        The .html file.
    jobs : sequence of Job
        All results of the run.
    numbers : sequence of int, optional
        The images to show of each recording, counted from 0; by default some at even distances.
    consistency : Consistency, optional
        Simulates the images of results, which are shown, too.
    """

    def __init__(
        self,
        path: str | Path | None,
        jobs: Sequence[Job],
        numbers: Sequence[int] | None = None,
        consistency: Consistency | None = None,
    ) -> None:
        self.path = None if path is None else Path(path)
        self.consistency = consistency
        self.views: list[View] = []
        self._jobs, self._began, self._images = jobs, time.monotonic(), 0
        self._numbers = numbers
        shown = evenly(len(jobs), ALL)
        self._shown = {jobs[i].output for i in shown}
        self._each = max(1, min(EACH, ALL // max(len(shown), 1)))

    def show(
        self,
        job: Job,
        card: ModelCard,
        measurements: Measurements,
        results: Any,
        uncertainties: Any = None,
    ) -> None:
        """Keep some images of a job, and their results.

        Parameters
        ----------
        job : Job
        card : ModelCard
        measurements : Measurements
        results : object
            With slices [start:stop] of (frames, height, width), all outputs of each measurement
            one after another, as in a `Spool`.
        uncertainties : object, optional
            The same of the results' uncertainties.
        """
        if self.path is None:
            return
        self._images += len(measurements)
        if job.output not in self._shown:
            return
        count = len(measurements)
        numbers = evenly(count, self._each) if self._numbers is None else self._numbers
        if any(not 0 <= n < count for n in numbers):
            raise InputError(
                f"image {max(numbers)} of {job.source} is not there; it holds {count}, counted "
                "from 0"
            )
        outputs = len(card.outputs)
        pixel, unit = pixel_shown(measurements.field)
        for number in numbers:
            answers = results[outputs * number : outputs * (number + 1)]
            name = ", ".join(job.names)
            if len(measurements) > 1:
                name += f", image {number} (counted from 0)"
            layers = layers_of(card, measurements, number, np.asarray(answers))
            simulated, facts = self._simulated(card, measurements, number, answers)
            layers += simulated
            if uncertainties is not None:
                halves = uncertainties[outputs * number : outputs * (number + 1)]
                layers += uncertain(card, np.asarray(halves))
            view = _view(name, layers, pixel, unit, [*facts, ("result", job.output.name)])
            # Small enough for a page at once: of long runs, little is held.
            self.views.append(view.within(PIXELS / (len(self._shown) * len(numbers))))

    def _simulated(
        self, card: ModelCard, measurements: Measurements, number: int, answers: Any
    ) -> tuple[list[Layer], list[tuple[str, object]]]:
        """The pictures of the images simulated from a result, and their agreement, if known."""
        if self.consistency is None or self.consistency.forward is None:
            return [], []
        image = measurements.read(number, number + 1)[0]
        found = self.consistency.images(answers, image)
        if found is None:
            return [], []
        scores = ", ".join(f"{score:.3f}" for score in correlations(found, image))
        facts: list[tuple[str, object]] = [(SCORE, scores)]
        layers = []
        inputs = _inputs(card, measurements, number)
        for c, shown in enumerate(inputs):
            own, simulated = (image, found) if shown.colour else (image[..., c], found[..., c])
            at = shown.title.removeprefix("Input")
            layers += compared(own, simulated, shown.limits, shown.unit, at)
        return layers, facts

    def show_finished(self, job: Job, card: ModelCard, uncertainty: bool) -> None:
        """Keep some images of a job whose result is there already, from its files.

        Parameters
        ----------
        job : Job
        card : ModelCard
        uncertainty : bool
            Whether the uncertainty of the result is there, too.
        """
        if self.path is None:
            return
        with contextlib.ExitStack() as opened:
            measurements = opened.enter_context(open_measurements(job, card))
            made = opened.enter_context(open_recording(job.output, True))
            half = None
            if uncertainty:
                half = opened.enter_context(open_recording(uncertainty_of(job.output), True)).data
            if not made.colour:
                less = Shifted(made.data, -measurements.offset)
                self.show(job, card, measurements, less, half)

    def write(
        self,
        model: str | Path,
        engine: Any,
        how: Any,
        say: Said,
        wrote: Callable[[Path], Any] = lambda path: None,
    ) -> list[Path]:
        """Write the page; returns its path, if there is one.

        Parameters
        ----------
        model : str or Path
            The model's name or file.
        engine : engine
        how : Options
            How the results were made.
        say : Said
            With what was said.
        wrote : callable
            Called with the path.

        Raises
        ------
        InputError
            If it cannot be written.
        """
        if self.path is None:
            return []
        facts = [
            ("model", model),
            ("problem", engine.card.problem),
            ("inputs", counted(len(self._jobs), "recording")),
            ("images", self._images),
            ("engine", f"{engine.name}, {how.precision}"),
            ("time", f"{time.monotonic() - self._began:.1f} s"),
            *([("neighbours in time", how.temporal), ("faulty pixels", how.faults)]
              if isinstance(engine.card.inputs, Frames) else []),
            *([("average", "over eight mirrored and rotated copies")] if how.average else []),
        ]  # fmt: skip
        title = f"mcnn-keras: {engine.card.problem}"
        write_prediction_report(self.path, title, self.views, facts, say.lines, self._told())
        say(f"wrote {self.path}")
        wrote(self.path)
        return [self.path]

    def _told(self) -> str:
        """Which images are shown."""
        if not self.views:
            return "No image is shown: no result was made."
        if len(self.views) == self._images:
            return ""
        each = " of a file" if len(self._jobs) > 1 else ""
        files = counted(len(self._shown), "file") + f" of {len(self._jobs)}, with " * bool(each)
        return (
            f"{len(self.views)} of {self._images} images are shown: "
            f"{files if each else ''}the first, the last and others at even distances{each}."
        )


def evenly(count: int, most: int) -> list[int]:
    """At most that many of the numbers below `count`: first, last and some at even distances."""
    if count <= most:
        return list(range(count))
    return sorted({round(i * (count - 1) / max(most - 1, 1)) for i in range(most)})


def layers_of(
    card: ModelCard, measurements: Measurements, number: int, answers: np.ndarray
) -> list[Layer]:
    """The pictures of one measurement: input, result and, where both are the same, the residual.

    Parameters
    ----------
    card : ModelCard
    measurements : Measurements
    number : int
        Which of them.
    answers : (outputs, height, width) array
    """
    if card.gives_colours:
        low, high = card.normalization.limits or (float(answers.min()), float(answers.max()))
        colours = Layer("Result", np.moveaxis(answers, 0, -1), low=low, high=high)
        first, *others = _inputs(card, measurements, number)
        return [first, colours, *others]
    if isinstance(card.inputs, Frames):
        image = measurements.shown(number)
        # Both are less what float32 cannot hold.
        less = f"less {measurements.offset:.9g}; " if measurements.offset else ""
        result = Layer("Result", answers[0], note=f"{less}values as in the file")
        low, high = result.limits
        shown = Layer("Input", image, "", low, high, note=f"{less}on the scale of the result")
        layers = [shown, result]
        if image.shape == answers[0].shape:
            apart = np.asarray(image, np.float64) - answers[0]
            layers.append(
                Layer("Residual", apart, diverging=True, note=f"input - result; {_spread(apart)}")
            )
        return layers
    limits = card.normalization.limits or (None, None)
    several = len(card.outputs) > 1
    results = [
        Layer(f"Result ({o.name})" if several else "Result", answer, o.unit, *limits)
        for o, answer in zip(card.outputs, answers, strict=True)
    ]
    inputs = _inputs(card, measurements, number)
    return [inputs[0], *results, *inputs[1:]]


def uncertain(card: ModelCard, halves: np.ndarray) -> list[Layer]:
    """The pictures of half-widths, (outputs, height, width)."""
    several = len(card.outputs) > 1
    return [
        Layer(
            f"Uncertainty ({o.name})" if several else "Uncertainty",
            half,
            o.unit,
            0.0,
            note=HALF_WIDTH,
        )
        for o, half in zip(card.outputs, halves, strict=True)
    ]


def _inputs(card: ModelCard, measurements: Measurements, number: int) -> list[Layer]:
    """The planes, or the channels, that the network has seen."""
    image = measurements.read(number, number + 1)[0]
    if measurements.colours:
        return [Layer("Input", image, low=float(image.min()), high=float(image.max()))]
    planes = card.inputs
    if isinstance(planes, Planes):
        names = [f"Input at {z:g} {planes.unit}" for z in planes.defocus]
    elif image.shape[-1] > 1:
        names = [f"Input {k + 1}" for k in range(image.shape[-1])]
    else:
        names = ["Input"]
    return [Layer(name, image[..., k]) for k, name in enumerate(names)]


def _spread(apart: np.ndarray) -> str:
    seen = apart[np.isfinite(apart)]
    if not seen.size:
        return "no value"
    return f"mean {seen.mean():.4g}, standard deviation {seen.std():.4g}"


def _view(
    name: str,
    layers: Sequence[Layer],
    pixel: float | None,
    unit: str,
    further: Sequence[tuple[str, object]],
) -> View:
    height, width = layers[0].array.shape[:2]
    facts: list[tuple[str, object]] = [("size", f"{width} x {height} pixels")]
    if pixel:
        facts.append(("pixel size", f"{pixel:.6g} {unit}"))
    return View(name, layers, pixel, unit, [*facts, *further])
