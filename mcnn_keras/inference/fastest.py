"""The fastest engine of this machine for a network: measured once, and remembered.

model file -> engines that may compute it -> their times -> the fastest, kept in the user's cache

The cache also contains the exported networks for ONNX Runtime. So TensorFlow, which takes seconds
to start, is imported only if it computes. If the cache is damaged or missing, the engines are
measured again and the networks are exported again.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, reason
from ..files import replacing
from ..models import onnx
from ..models.saving import PRECISIONS, load, model_path, read_card
from ..version import version_of
from .engines import engine_of
from .tiles import PIXELS

ENGINES = ("auto", "tensorflow", "onnxruntime")
Pair = tuple[str, str]
# An engine and its precision.
PAIRS: tuple[Pair, ...] = (
    ("onnxruntime", "float32"), ("tensorflow", "float32"), ("tensorflow", "bfloat16"),
)  # fmt: skip
# TensorFlow is chosen only below this fraction of ONNX Runtime's time, as it takes seconds to
# start; bfloat16 only below this fraction of the float32 time, as it is accurate to two digits.
WORTH_STARTING, WORTH_ROUNDING = 0.9, 0.8
# Rounds of the measurement, their approximate total time in seconds at most, and the multiple of
# the best time from which an engine is dropped after one image.
ROUNDS, SECONDS, HOPELESS = 5, 2.0, 4.0
# Width of the images that are measured, in pixels, and number of exported networks to keep.
SIZE, KEPT = 128, 8
KEY = "mcnn_keras_source"
CPUINFO, GPUS = Path("/proc/cpuinfo"), Path("/proc/driver/nvidia/gpus")
# Environment variables that select TensorFlow's kernels on a processor.
ONEDNN = ("TF_ENABLE_ONEDNN_OPTS", "ONEDNN_MAX_CPU_ISA")
NETWORK = Path(__file__).parents[1] / "network"

# Engines of a process that runs many commands: by model file and pair, the newest last.
_ready: ContextVar[dict[Any, Any] | None] = ContextVar("ready", default=None)
MOST_READY = 3


@contextlib.contextmanager
def engines_kept() -> Iterator[None]:
    """Load the engine of a model once inside this context, as long as its file stays the same."""
    token = _ready.set({})
    try:
        yield
    finally:
        _ready.reset(token)


def engine_for(
    model: str | Path,
    choice: str = "auto",
    precision: str = "float32",
    say: Callable[[str], Any] = lambda text: None,
    begun: Mapping[str, Any] | None = None,
    start: Callable[[], Any] = lambda: None,
) -> Any:
    """The engine of a model file: the fastest on this machine, or the given one.

    Parameters
    ----------
    model : str or Path
        A model file, or the name of a shipped model.
    choice : {'auto', 'tensorflow', 'onnxruntime'}
    precision : {'float32', 'bfloat16', 'auto'}
        'auto' allows both. ONNX Runtime computes in float32.
    say : callable
        Called with the result of the measurement, in the run that measures.
    begun : dict, optional
        The "engine" and "precision" of a run that is resumed; used if they are allowed.
    start : callable
        Called before TensorFlow is imported.

    Returns
    -------
    engine
        With its ``name`` and ``precision``.

    Raises
    ------
    InputError
        If the engine or precision is not known, they cannot be combined, or the model cannot be
        loaded.
    """
    _check(model, choice, precision)
    if _is_onnx(model):
        return engine_of(load(model))
    allowed = [p for p in PAIRS if choice in ("auto", p[0]) and precision in ("auto", p[1])]
    if choice == "auto" and not (find_spec("onnxruntime") and find_spec("onnx")):
        allowed = [pair for pair in allowed if pair[0] == "tensorflow"]
    source = _Source(model, start)
    if len(allowed) == 1:
        return source.serve(allowed[0])
    circumstances = _circumstances(source.card.network, allowed)
    known = (begun.get("engine"), begun.get("precision")) if begun else None
    found = known if known in allowed else _remembered(circumstances)
    if found in allowed:
        try:
            return source.serve(found)
        except Exception:  # e.g. ONNX Runtime no longer starts
            if found[0] == "tensorflow":
                raise
    engines = _that_work(source, allowed)
    times = measured(engines) if len(engines) > 1 else dict.fromkeys(engines, 1.0)
    best = _best(times)
    failure = _remember(circumstances, best, times)
    if len(times) > 1:
        others = " and ".join(
            f"{took / times[best]:.1f} times as fast as {' '.join(pair)}"
            for pair, took in times.items()
            if pair != best
        )
        kept = f"not remembered ({failure})" if failure else "remembered"
        say(
            f"first run of this model here: {' '.join(best)} computes it {others}; the choice is "
            f"{kept}"
        )
    return source.serve(best)


def rates(model: str | Path) -> dict[Pair, float]:
    """Images of 128x128 pixels per second of each engine, without scaling and fixed channels.

    Parameters
    ----------
    model : str or Path
        A model file, or the name of a shipped model.

    Returns
    -------
    dict
        (name, precision) -> rate, for the engines that can compute the model on this machine.
    """
    return {pair: 1 / took for pair, took in measured(_that_work(_Source(model), PAIRS)).items()}


def _check(model: str | Path, choice: str, precision: str) -> None:
    """Raise InputError for an unknown engine or precision, or a combination that is impossible."""
    for told, value, known in (
        ("engine", choice, ENGINES), ("precision", precision, ("auto", *PRECISIONS)),
    ):  # fmt: skip
        if value not in known:
            offered = " or ".join(repr(k) for k in known)
            raise InputError(f"{told} {value!r} is not known; choose {offered}")
    if _is_onnx(model):
        if precision == "bfloat16":
            raise InputError("an .onnx file is computed in float32; leave the precision out")
        if choice == "tensorflow":
            raise InputError(
                f"{model} is computed by ONNX Runtime, not TensorFlow; leave the engine out, or "
                "give the .h5 that it was exported from"
            )
    elif (choice, precision) == ("onnxruntime", "bfloat16"):
        raise InputError("ONNX Runtime computes in float32, not bfloat16; leave one of them out")


def measured(engines: Mapping[Pair, Any]) -> dict[Pair, float]:
    """Seconds per image of each engine, in batches of the size for predictions; the median.

    Parameters
    ----------
    engines : dict
        (name, precision) -> engine, of one network.

    Returns
    -------
    dict
        Seconds for each engine; for engines far slower than the fastest, the time of one image.
    """
    engine = next(iter(engines.values()))
    size = -(-SIZE // engine.stride) * engine.stride
    count = max(1, PIXELS // size**2)
    shape = (count, size, size, engine.card.network["input_channels"])
    batch = np.random.default_rng(0).standard_normal(shape).astype(np.float32)

    def seconds(pair: Pair, images: int) -> float:
        began = time.perf_counter()
        engines[pair].compute(batch[:images])
        return time.perf_counter() - began

    one = {pair: min(seconds(pair, 1) for _ in range(2)) for pair in engines}
    pairs = [pair for pair in engines if one[pair] <= HOPELESS * min(one.values())]
    # Large networks are measured on fewer images, and less often. The first round is a warm-up.
    each = sum(one[pair] for pair in pairs)
    images = min(max(int(SECONDS / (ROUNDS + 1) / each), 1), count)
    often = min(max(int(SECONDS / (images * each)), 2), ROUNDS + 1)
    # In turns, so that other load on the machine affects all engines.
    rounds = [{pair: seconds(pair, images) for pair in pairs} for _ in range(often)]
    return {
        pair: float(np.median([r[pair] for r in rounds[1:]])) / images if pair in pairs else took
        for pair, took in one.items()
    }


def _best(times: Mapping[Pair, float]) -> Pair:
    """The fastest engine, if its gain is larger than the thresholds above."""
    whole = {pair: took for pair, took in times.items() if pair[1] == "float32"}
    best = min(whole, key=lambda p: whole[p] / (WORTH_STARTING if p[0] == "tensorflow" else 1))
    rounded = ("tensorflow", "bfloat16")
    worth = rounded in times and times[rounded] < WORTH_ROUNDING * min(whole.values())
    return rounded if worth else best


def cache_folder() -> Path | None:
    """The folder for this package in the user's cache; None if the user has no home folder."""
    told = os.environ.get("XDG_CACHE_HOME")
    if not told and os.name == "nt":
        told = os.environ.get("LOCALAPPDATA")
    try:
        return (Path(told) if told else Path.home() / ".cache") / "mcnn-keras"
    except RuntimeError:  # a user without a home
        return None


class _Source:
    """The engines of a model file, each made once."""

    def __init__(self, model: str | Path, start: Callable[[], Any] = lambda: None) -> None:
        self.model, self._start = model, start
        self._models: dict[str, Any] = {}
        self._engines: dict[Pair, Any] = {}
        self._content: bytes | None = None
        self.card = read_card(model)

    def engine(self, pair: Pair) -> Any:
        if pair not in self._engines:
            is_onnx = pair[0] == "onnxruntime"
            self._engines[pair] = (
                self._kept_engine() or self._exported()
                if is_onnx
                else engine_of(self._load(pair[1]))
            )
        return self._engines[pair]

    def serve(self, pair: Pair) -> Any:
        """The chosen engine; its exported network is written to the cache."""
        ready, stat = _ready.get(), model_path(self.model).stat()
        key = (model_path(self.model).resolve(), stat.st_mtime_ns, stat.st_size, pair)
        if ready is not None and key in ready:
            return ready[key]
        engine = self.engine(pair)
        if ready is not None:
            ready[key] = engine
            for old in list(ready)[:-MOST_READY]:
                del ready[old]
        if self._content is not None and pair[0] == "onnxruntime" and self.kept is not None:
            with contextlib.suppress(OSError):  # it is exported again next time
                _write(self.kept, self._content)
                kept = self.kept.parent.glob("*.onnx")
                for old in sorted(kept, key=lambda path: path.stat().st_mtime)[:-KEPT]:
                    old.unlink(missing_ok=True)
        return engine

    @functools.cached_property
    def kept(self) -> Path | None:
        """The file of the exported network in the cache."""
        folder = cache_folder()
        return folder / f"{self._key[:32]}.onnx" if folder else None

    @functools.cached_property
    def _key(self) -> str:
        """A digest of everything that the exported network depends on."""
        told = hashlib.sha256(model_path(self.model).read_bytes())
        told.update(version_of("mcnn-keras").encode())
        # In a checkout, the code that makes the network changes without the version.
        for path in (Path(onnx.__file__), *sorted(NETWORK.glob("*.py"))):
            told.update(path.read_bytes())
        return told.hexdigest()

    def _kept_engine(self) -> Any:
        # Unlike Path.is_file, this does not raise for a folder without permission.
        if self.kept is None or not os.path.isfile(self.kept):
            return None
        try:
            engine = onnx.OnnxModel(self.kept, own=True)
        except (InputError, KeyError, ValueError):  # damaged
            return None
        return engine if engine.notes.get(KEY) == self._key else None

    def _exported(self) -> Any:
        self._content = onnx.serialized(self._load("float32"), **{KEY: self._key})
        return onnx.OnnxModel(self._content, own=True)

    def _load(self, precision: str) -> Any:
        if precision not in self._models:
            self._start()
            self._models[precision] = load(self.model, precision)
        return self._models[precision]


def _that_work(source: _Source, pairs: Sequence[Pair]) -> dict[Pair, Any]:
    """The engines that compute a test image. An error of TensorFlow in float32 is raised."""
    found = {}
    for pair in pairs:
        try:
            engine = source.engine(pair)
            side, channels = engine.stride, engine.card.network["input_channels"]
            engine.compute(np.zeros((1, side, side, channels), np.float32))
        except Exception:  # a layer that cannot be exported, a processor without bfloat16
            if pair == ("tensorflow", "float32"):
                raise
        else:
            found[pair] = engine
    return found


def _circumstances(network: Mapping[str, Any], pairs: Sequence[Pair]) -> dict[str, Any]:
    """What the choice depends on, as JSON values."""
    told = {
        "processor": processor(),
        "cores": onnx.usable_cores(),
        "oneDNN": [os.environ.get(name) for name in ONEDNN],
        "gpus": [sum(1 for _ in GPUS.glob("*")), os.environ.get("CUDA_VISIBLE_DEVICES")],
        "versions": {
            "mcnn-keras": version_of("mcnn-keras"),
            "tensorflow": version_of("tensorflow"),
            "onnxruntime": version_of("onnxruntime"),
        },
        "network": dict(network),
        "engines": pairs,
    }
    return json.loads(json.dumps(told, sort_keys=True))


def processor() -> str:
    """The processor's name; under Linux with a digest of its features."""
    try:
        first = CPUINFO.read_text().split("\n\n")[0]
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    told = dict(line.replace("\t", "").split(":", 1) for line in first.splitlines() if ":" in line)
    names = [
        told[key].strip() for key in ("model name", "CPU implementer", "CPU part") if key in told
    ]
    features = told.get("flags", told.get("Features", ""))
    return " ".join([platform.machine(), *names, hashlib.sha256(features.encode()).hexdigest()[:8]])


def _file_of(circumstances: Mapping[str, Any]) -> Path | None:
    folder, text = cache_folder(), json.dumps(circumstances, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:32]
    return folder / f"engine-{digest}.json" if folder else None


def _remembered(circumstances: Mapping[str, Any]) -> Any:
    """The pair that was fastest in these circumstances; None if nothing usable is kept."""
    path = _file_of(circumstances)
    try:
        told = json.loads(path.read_text()) if path else {}
        return tuple(told["fastest"]) if told["circumstances"] == circumstances else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _remember(
    circumstances: Mapping[str, Any], pair: Pair, times: Mapping[Pair, float]
) -> str | None:
    """Keep the fastest pair; returns the reason if that fails, else None."""
    path = _file_of(circumstances)
    if path is None:
        return "the user has no home folder"
    seconds = {" ".join(p): took for p, took in times.items()}
    told = {"fastest": pair, "seconds": seconds, "circumstances": circumstances}
    try:
        _write(path, json.dumps(told, indent=2).encode())
    except OSError as error:
        return f"{path.parent} cannot be written: {reason(error)}"
    return None


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        part.write_bytes(content)


def _is_onnx(model: str | Path) -> bool:
    return str(model).endswith(".onnx")
