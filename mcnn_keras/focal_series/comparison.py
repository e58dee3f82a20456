"""Networks and classical methods on one focal series, and what tells without a truth.

series -> used planes -> each method's wave -> re-simulated at the planes that none has used
"""

import os
import threading
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..metrics import correlation, mean_absolute_error
from ..physics.waves import defocus_stack
from .iterative import surroundings
from .reconstruct import METHODS, load_network, network_answer, reconstruct

# Of fewer planes all are used, and none is left to judge by.
FEWEST = 4
# Borders, as a part of the field, where what lies beyond disturbs the re-simulation.
BORDER = 0.06
# Borders of the bands of spatial frequency, in parts of the highest that the pixels show.
BANDS = (0.0, 1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)


@dataclass
class Answer:
    """What a method makes of a series.

    Attributes
    ----------
    name : str
    planes : tuple of float
        That it has used.
    phase : numpy.ndarray
        (height, width), rad.
    amplitude : numpy.ndarray or None
    seconds : float
    memory : float
        The most that was used beyond what was in use before, MiB.
    score : float or None
        Mean correlation of re-simulated with measured intensities at the planes that no method
        has used.
    scores : dict
        By plane.
    error : float or None
        Mean absolute error, rad, where the truth is known.
    bands : dict
        Error (root mean square, rad) by the highest frequency of a band, in 1 / unit of length.
    """

    name: str
    planes: tuple
    phase: np.ndarray
    amplitude: np.ndarray | None
    seconds: float
    memory: float
    score: float | None = None
    scores: dict | None = None
    error: float | None = None
    bands: dict | None = None

    def row(self):
        """Numbers alone, as JSON can hold them."""
        return {
            "planes": [float(z) for z in self.planes], "seconds": self.seconds,
            "memory": self.memory, "score": self.score, "scores": self.scores,
            "error": self.error, "bands": self.bands,
        }  # fmt: skip


def compare(series, optics, models=(), methods=None, truth=None, progress=None):
    """Retrieve the phase of a series by several methods, and score them.

    Networks use their own planes; what `variational_phase` makes of their answers is shown beside
    them. `tie` and `variational_phase` are done on each network's planes, too, so that all see the
    same; the others use every second plane of the series, and those of the networks. What
    none has used is what all are judged by; where nothing is left, nobody is.

    Parameters
    ----------
    series : FocalSeries
    optics : Optics
    models : sequence of str
        Files or names of models.
    methods : sequence of str, optional
        Of `mcnn_keras.reconstruct.METHODS`; all that the planes suffice for by default.
    truth : (height, width) array, optional
        The phase in rad, where it is known.
    progress : callable, optional
        Called with each name when its turn comes.

    Returns
    -------
    list of Answer

    Raises
    ------
    InputError
        If a model is none of phases, or its planes are not in the series.
    """
    planes = np.array(series.defocus)
    if truth is not None and truth.shape != series.images.shape[:2]:
        raise InputError(
            f"the truth has {truth.shape[0]}x{truth.shape[1]} pixels, the series "
            f"{series.images.shape[0]}x{series.images.shape[1]}"
        )
    loaded = [(name, *load_network(name, planes, optics.unit)) for name in models]
    step = 1 if len(planes) < FEWEST else 2
    many = sorted({*range(0, len(planes), step), *(i for *_, own in loaded for i in own)})
    tasks = []
    for name, model, own in loaded:
        label = _label(name, [task[0] for task in tasks])
        tasks.append((label, own, _network(model)))
        tasks.append((f"{label} refined", own, _refined(model, optics)))
        tasks += [(method, own, _classical(method, optics)) for method in ("tie", "variational")]
    for method in methods or METHODS:
        if method != "tie" or not loaded:
            tasks.append((method, many, _classical(method, optics)))
    # Two networks of the same planes share the classical answers from these.
    tasks = list(
        {(name, tuple(sorted(own))): (name, own, how) for name, own, how in tasks}.values()
    )
    answers = []
    for name, used, method in tasks:
        label = f"{name}, {len(used)} plane{'s' * (len(used) > 1)}"
        if any(answer.name == label for answer in answers):
            label += f" ({', '.join(f'{planes[i]:g}' for i in used)})"
        if progress:
            progress(label)
        chosen = series._replace(
            images=series.images[..., used], defocus=tuple(float(z) for z in planes[used])
        )
        try:
            answers.append(_answer(label, chosen, method))
        except InputError:
            # What was asked for by name must say why it cannot.
            if methods is not None or name not in METHODS:
                raise
    unused = sorted(set(range(len(planes))) - {i for _, used, _ in tasks for i in used})
    for answer in answers:
        if unused:
            _score(answer, series, unused, optics)
        if truth is not None:
            _err(answer, truth, optics)
    return answers


def _label(name, taken):
    """What a model is called: by its run's folder, where its file is called as all are."""
    path = Path(name)
    label = name if path.suffix != ".h5" else path.stem
    if label == "model":
        label = path.resolve().parent.name
    number = sum(other == label or other.startswith(f"{label} #") for other in taken)
    return f"{label} #{number + 1}" if number else label


def _classical(method, optics):
    return lambda series: reconstruct(method, series, optics)


def _network(model):
    return lambda series: network_answer(model, series)


def _refined(model, optics):
    def refined(series):
        start, _ = network_answer(model, series)
        return reconstruct("variational", series, optics, start=start)

    return refined


def _answer(label, series, method):
    with _Memory() as memory:
        began = time.perf_counter()
        phase, amplitude = method(series)
        seconds = time.perf_counter() - began
    return Answer(label, series.defocus, phase, amplitude, seconds, memory.most)


def resimulated(phase, amplitude, defocus, optics):
    """Intensities, (height, width, planes), of an answer whose field goes on beyond its borders.

    Parameters
    ----------
    phase : (height, width) array
        In rad.
    amplitude : (height, width) array or None
        One where it is None.
    defocus : sequence of float
    optics : Optics
    """

    margins, inner = surroundings(phase.shape, defocus, optics, "reflect")
    wave = np.exp(1j * phase) if amplitude is None else amplitude * np.exp(1j * phase)
    wave = np.pad(wave, margins, mode="symmetric").astype(np.complex64)
    return defocus_stack(wave, defocus, optics)[inner]


def _score(answer, series, unused, optics):
    planes = np.array(series.defocus)[unused]
    inner = tuple(slice(int(BORDER * n), n - int(BORDER * n)) for n in answer.phase.shape)
    answer.scores = {}
    for z, i in zip(planes, unused, strict=True):
        image = resimulated(answer.phase, answer.amplitude, [z], optics)[..., 0]
        answer.scores[float(z)] = correlation(image[inner], series.images[..., i][inner])
    answer.score = float(np.mean(list(answer.scores.values())))


def _err(answer, truth, optics):
    difference = answer.phase - answer.phase.mean() - (truth - truth.mean())
    answer.error = mean_absolute_error(difference, 0)
    spectrum = np.abs(np.fft.fft2(difference)) ** 2 / difference.size**2
    f = [np.fft.fftfreq(n) for n in difference.shape]
    radius = np.hypot(f[0][:, None], f[1]) * 2  # of the highest along an axis
    answer.bands = {}
    for low, high in pairwise(BANDS):
        inside = (radius > low) & (radius <= (high if high < 1 else 2))
        highest = high / (2 * optics.pixel_size)
        answer.bands[f"{highest:.3g}"] = float(np.sqrt(spectrum[inside].sum()))


class _Memory:
    """The most memory that the process holds meanwhile, beyond what it held, in MiB."""

    def __enter__(self):
        self.before = self.highest = _resident()
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()
        return self

    def _watch(self):
        while not self.done.wait(0.01):
            self.highest = max(self.highest, _resident())

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()
        self.most = max(self.highest, _resident()) - self.before


def _resident():
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:  # no such file on this system: memory is not told
        return float("nan")
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
