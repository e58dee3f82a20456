"""Compare networks and classical methods on one focal series, with or without a known phase.

series -> planes of each method -> retrieved wave -> simulated images at planes that no method uses
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..metrics import mean_absolute_error
from ..models import AnyPlanes
from ..physics.agreement import agreement
from ..physics.optics import Optics
from .network import load_network, network_answer
from .reconstruct import METHODS, reconstruct
from .refinement import refined_wave
from .series import FocalSeries

# From a series to its phase in rad and its amplitude, if there is one.
Method = Callable[[FocalSeries], tuple[np.ndarray, np.ndarray | None]]

# The methods use all planes of a shorter series, so that no plane is left for a score.
FEWEST = 4
# Limits of the bands of spatial frequency, as shares of the highest that the pixels resolve.
BANDS = (0.0, 1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)


@dataclass
class Answer:
    """Result of one method on a series.

    Attributes
    ----------
    name : str
    planes : tuple of float
        The planes that the method uses.
    phase : numpy.ndarray
        (height, width), rad.
    amplitude : numpy.ndarray or None
    seconds : float
        Run time.
    memory : float
        Peak of the memory in use, less what was in use before, in MiB.
    score : float or None
        Mean correlation of simulated and measured intensities at the planes that no method uses.
    scores : dict or None
        The correlation at each of these planes.
    error : float or None
        Mean absolute error in rad, if the true phase is known.
    bands : dict or None
        Root mean square error in rad of each band, by the highest frequency of the band in
        1 / unit of length.
    """

    name: str
    planes: tuple[float, ...]
    phase: np.ndarray
    amplitude: np.ndarray | None
    seconds: float
    memory: float
    score: float | None = None
    scores: dict[float, float] | None = None
    error: float | None = None
    bands: dict[str, float] | None = None

    def row(self) -> dict[str, Any]:
        """All numbers of the result, for a JSON file."""
        return {
            "planes": [float(z) for z in self.planes], "seconds": self.seconds,
            "memory": self.memory, "score": self.score, "scores": self.scores,
            "error": self.error, "bands": self.bands,
        }  # fmt: skip


def compare(
    series: FocalSeries,
    optics: Optics,
    models: Sequence[str] = (),
    methods: Sequence[str] | None = None,
    truth: np.ndarray | None = None,
    progress: Callable[[str], None] | None = None,
) -> list[Answer]:
    """Retrieve the phase of a series by several methods, and score the results.

    Each network runs on its own planes, followed by three methods on the same planes:
    `refined_wave` from the network's answer ("refined"), `tie` and `variational_phase`. All
    classical methods run on every second plane of the series and the planes of the networks (`tie`
    only if there is no network). The results are scored at the planes that no method uses. If
    there are none, they have no score.

    Parameters
    ----------
    series : FocalSeries
    optics : Optics
    models : sequence of str
        Files or names of models.
    methods : sequence of str, optional
        Names from `mcnn_keras.focal_series.reconstruct.METHODS`; by default all that can use the
        planes.
    truth : (height, width) array, optional
        The true phase in rad, if it is known.
    progress : callable, optional
        Called with the name of each method before it runs.

    Returns
    -------
    list of Answer

    Raises
    ------
    InputError
        If a model is not a phase model, its planes are not in the series, a given method cannot
        use the planes, or the truth has another size.
    """
    planes = np.array(series.defocus)
    if truth is not None and truth.shape != series.images.shape[:2]:
        raise InputError(
            f"the truth has {truth.shape[0]}x{truth.shape[1]} pixels, the series "
            f"{series.images.shape[0]}x{series.images.shape[1]}"
        )
    loaded = [(name, *load_network(name, series.defocus, optics.unit)) for name in models]
    step = 1 if len(planes) < FEWEST else 2
    bound = [own for _, model, own in loaded if not isinstance(model.card.inputs, AnyPlanes)]
    many = sorted({*range(0, len(planes), step), *(i for own in bound for i in own)})
    # A network for any planes takes the planes of the classical methods.
    loaded = [
        (name, model, many if isinstance(model.card.inputs, AnyPlanes) else own)
        for name, model, own in loaded
    ]
    tasks: list[tuple[str, list[int], Method]] = []
    for name, model, own in loaded:
        label = _label(name, [task[0] for task in tasks])
        tasks.append((label, own, _network(model, optics)))
        tasks.append((f"{label} refined", own, _refined(model, optics)))
        tasks += [(method, own, _classical(method, optics)) for method in ("tie", "variational")]
    for method in methods or METHODS:
        if method != "tie" or not loaded:
            tasks.append((method, many, _classical(method, optics)))
    # Networks with the same planes share the results of the classical methods.
    tasks = list(
        {(name, tuple(sorted(own))): (name, own, run) for name, own, run in tasks}.values()
    )
    answers: list[Answer] = []
    for name, used, run in tasks:
        label = f"{name}, {len(used)} plane{'s' * (len(used) > 1)}"
        if any(answer.name == label for answer in answers):
            label += f" ({', '.join(f'{planes[i]:g}' for i in used)})"
        if progress:
            progress(label)
        chosen = series._replace(
            images=series.images[..., used], defocus=tuple(float(z) for z in planes[used])
        )
        try:
            answers.append(_answer(label, chosen, run))
        except InputError:
            # A method that was not given explicitly is left out if it cannot use the planes.
            if methods is not None or name not in METHODS:
                raise
    unused = sorted(set(range(len(planes))) - {i for _, used, _ in tasks for i in used})
    for answer in answers:
        if unused:
            _score(answer, series, unused, optics)
        if truth is not None:
            _err(answer, truth, optics)
    return answers


def _label(name: str, taken: Sequence[str]) -> str:
    """A new label for a model: the name of its file, or of its folder if the file is model.h5."""
    path = Path(name)
    label = name if path.suffix != ".h5" else path.stem
    if label == "model":
        label = path.resolve().parent.name
    number = sum(other == label or other.startswith(f"{label} #") for other in taken)
    return f"{label} #{number + 1}" if number else label


def _classical(method: str, optics: Optics) -> Method:
    return lambda series: reconstruct(method, series, optics)


def _network(model: Any, optics: Optics) -> Method:
    return lambda series: network_answer(model, series, optics)


def _refined(model: Any, optics: Optics) -> Method:
    return lambda series: refined_wave(series, optics, *network_answer(model, series, optics))


def _answer(label: str, series: FocalSeries, method: Method) -> Answer:
    with _Memory() as memory:
        began = time.perf_counter()
        phase, amplitude = method(series)
        seconds = time.perf_counter() - began
    return Answer(label, series.defocus, phase, amplitude, seconds, memory.most)


def _score(answer: Answer, series: FocalSeries, unused: Sequence[int], optics: Optics) -> None:
    planes = [series.defocus[i] for i in unused]
    images = series.images[..., unused]
    found = agreement(answer.phase, answer.amplitude, images, planes, optics)
    answer.scores = dict(zip(map(float, planes), found, strict=True))
    answer.score = float(np.mean(list(answer.scores.values())))


def _err(answer: Answer, truth: np.ndarray, optics: Optics) -> None:
    difference = answer.phase - answer.phase.mean() - (truth - truth.mean())
    answer.error = mean_absolute_error(difference, 0)
    spectrum = np.abs(np.fft.fft2(difference)) ** 2 / difference.size**2
    f = [np.fft.fftfreq(n) for n in difference.shape]
    radius = np.hypot(f[0][:, None], f[1]) * 2  # relative to the highest along an axis
    answer.bands = {}
    for low, high in pairwise(BANDS):
        inside = (radius > low) & (radius <= (high if high < 1 else 2))
        highest = high / (2 * optics.pixel_size)
        answer.bands[f"{highest:.3g}"] = float(np.sqrt(spectrum[inside].sum()))


class _Memory:
    """Measures `most`: the peak memory of the process, less its memory at the start, in MiB."""

    def __enter__(self) -> _Memory:
        self.before = self.highest = _resident()
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()
        return self

    def _watch(self) -> None:
        while not self.done.wait(0.01):
            self.highest = max(self.highest, _resident())

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.thread.join()
        self.most = max(self.highest, _resident()) - self.before


def _resident() -> float:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:  # this system has no such file; the memory is unknown
        return float("nan")
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
