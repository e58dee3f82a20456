"""The run folder: configuration, history, and checkpoints for an exact continuation."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .. import checks
from ..errors import InputError, NewerFormat, TrainingStopped, reason, visible
from ..files import replacing
from ..files.locking import lock_file
from ..files.whole import is_left, remove_left
from ..models.card import require_known
from ..models.format_1 import problem_config
from ..models.saving import load
from ..models.weights import digest
from ..problems.base import Problem
from .settings import FIELDS, Settings
from .stored import facts_of, files_differ

# Of config.json and of checkpoints; those that tell none are as the first one.
FORMAT = 1
LOCK = lock_file(Path(), inside=True).name
NEEDED = (
    "and the checkpoints cannot be used without it; copy it again, or start a new run in another "
    "folder"
)
CONFIG = checks.fields(
    {
        "format": checks.whole(1, 10**6),
        "problem": checks.fields(
            {
                "name": checks.text(1000),
                "config": checks.table(checks.anything),
                "set": checks.table(checks.anything),
                "files": checks.table(checks.text(1000)),
            },
            ("name", "config"),
        ),
        "settings": checks.fields(FIELDS),
        "precision": checks.one_of("float32", "bfloat16"),
    },
    ("problem", "settings", "precision"),
)

# Arguments of problems that name the user's files.
FOLDERS = ("inputs", "targets", "pictures")
COLUMNS = (
    "epoch", "step", "loss", "mae", "test_mae", "test_deviation", "learning_rate", "seconds",
)  # fmt: skip


class RunFolder:
    """The files of one training run: config.json, history.csv, checkpoints/, model.h5, report.html
    and examples.png; stopped.json where a batch gave no numbers.

    Parameters
    ----------
    path : str or Path
        The folder, created if it does not exist.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.config_path = self.path / "config.json"
        self.history_path = self.path / "history.csv"
        self.checkpoint_path = self.path / "checkpoints" / "latest.npz"
        self.previous_path = self.path / "checkpoints" / "previous.npz"
        self.stopped_path = self.path / "stopped.json"
        self.model_path = self.path / "model.h5"
        self.report_path = self.path / "report.html"
        self.examples_path = self.path / "examples.png"

    def create(self, config: Mapping[str, Any]) -> None:
        """Start a new run.

        Raises
        ------
        InputError
            If the folder holds a run or cannot be made.
        """
        if self.config_path.exists():
            raise InputError(
                f"{self.path} already holds a run; add --resume to continue it, or name another "
                "folder with --output"
            )
        try:
            self.checkpoint_path.parent.mkdir(parents=True, exist_ok=True)
            self._remove_left()
            with replacing(self.config_path) as part:
                part.write_text(json.dumps({"format": FORMAT, **config}, indent=2) + "\n")
        except OSError as error:
            told = error.strerror or reason(error)
            raise InputError(f"the folder {self.path} cannot be made: {told}") from None

    def begun(self) -> bool:
        """Whether a run was started here; False if there is no folder yet, or an empty one.

        Raises
        ------
        InputError
            If there are other files and no run.
        """
        try:
            names = {path.name for path in self.path.iterdir()}
            checkpoints = self.checkpoint_path.parent
            if checkpoints.name in names and not any(checkpoints.iterdir()):
                names.remove(checkpoints.name)  # a kill came before the configuration
        except FileNotFoundError:
            return False
        except OSError as error:
            told = f"{self.path} cannot be read ({error.strerror})"
            raise InputError(f"{told}; name a folder for the run with --output") from None
        names = {name for name in names if not is_left(name, self.config_path.name)} - {LOCK}
        if not names or self.config_path.exists():
            return bool(names)
        if checkpoints.name in names:  # without its configuration, which `config` tells
            return True
        raise InputError(
            f"{self.path} holds no run to resume, but other files ({visible(min(names))}); name an "
            "empty folder, or that of the run, with --output"
        )

    def config(self) -> dict[str, Any]:
        """The configuration with which the run was started.

        Raises
        ------
        InputError
            If there is no run here, its configuration is damaged, or it is of a newer version.
        """
        begun = any(path.exists() for path in (self.checkpoint_path, self.previous_path))
        try:
            config = checks.parsed(self.config_path.read_bytes())
            if isinstance(config, dict) and "format" in config:
                require_known(config, FORMAT)
            CONFIG(config, "")
            Settings(**config["settings"])
            return config
        except OSError as error:
            if begun:
                raise InputError(
                    f"{self.config_path} cannot be read ({error.strerror}), {NEEDED}"
                ) from None
            raise InputError(f"{self.path} holds no run") from None
        except NewerFormat as error:
            raise InputError(f"{self.config_path} cannot be used: {error}") from None
        except ValueError as error:
            told = f"{self.config_path} is damaged ({reason(error)})"
            kept = f", {NEEDED}" if begun else "; start a new run in another folder"
            raise InputError(told + kept) from None

    def save_checkpoint(
        self,
        variables: Sequence[Any],
        step: int,
        sums: np.ndarray,
        history: Sequence[Mapping[str, Any]],
    ) -> None:
        """Add a checkpoint, completely or not at all; the one before it is kept."""
        arrays = {
            "format": np.array(FORMAT),
            "step": np.array(step),
            "sums": np.asarray(sums),
            "history": np.array(json.dumps(history)),
            **{f"variable_{i}": v.numpy() for i, v in enumerate(variables)},
        }
        told = np.array(digest(arrays))
        with replacing(self.checkpoint_path) as part:
            with open(part, "wb") as file:
                np.savez(file, digest=told, **arrays)
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileNotFoundError):
                os.replace(self.checkpoint_path, self.previous_path)

    def load_checkpoint(
        self, variables: Sequence[Any]
    ) -> tuple[int, np.ndarray | None, list[dict[str, Any]]]:
        """Set the variables to the values in the last undamaged checkpoint.

        Returns
        -------
        step : int
            Steps done; 0 if there is no checkpoint yet.
        sums : numpy.ndarray or None
            The running sums of the current epoch.
        history : list of dict
            A row for each finished epoch.

        Raises
        ------
        InputError
            If all checkpoints are damaged, or of a newer version.
        """
        self._remove_left()
        damage = ""
        for path in (self.checkpoint_path, self.previous_path):
            try:
                arrays = _read(path, variables)
                break
            except FileNotFoundError:
                continue
            except NewerFormat as error:
                raise InputError(f"{path} cannot be used: {error}") from None
            except (OSError, ValueError, LookupError, zipfile.BadZipFile, MemoryError,
                    NotImplementedError, RuntimeError) as error:  # fmt: skip
                damage = damage or reason(error)
        else:
            if not damage:
                return 0, None, []
            raise InputError(
                f"{self.checkpoint_path} is damaged ({damage}), and there is no other one; start "
                "a new run in another folder"
            )
        step = int(arrays["step"])
        if damage:
            # Out of the way: the next checkpoint must not put it in the place of the good one.
            os.replace(self.checkpoint_path, self.checkpoint_path.with_name("damaged.npz"))
            warnings.warn(
                f"{self.checkpoint_path} is damaged ({damage}); training goes on from the "
                f"checkpoint before it, at step {step}",
                stacklevel=2,
            )
        for i, variable in enumerate(variables):
            variable.assign(arrays[f"variable_{i}"])
        history = json.loads(str(arrays["history"]))
        return step, arrays["sums"], [row for row in history if row["step"] <= step]

    def _remove_left(self) -> None:
        """Remove what a killed run has half written."""
        for path in (
            self.config_path, self.history_path, self.checkpoint_path, self.stopped_path,
            self.model_path, self.report_path, self.examples_path,
        ):  # fmt: skip
            remove_left(path)

    def finished(self, weights: Sequence[np.ndarray]) -> Any:
        """The model of a finished run with these weights; None without it or its report."""
        if not (self.model_path.is_file() and self.report_path.is_file()):
            return None
        with contextlib.suppress(InputError):
            model = load(self.model_path)
            own = model.get_weights()
            if len(own) == len(weights) and all(map(np.array_equal, own, weights)):
                return model
        return None

    def note_stopped(self, told: Mapping[str, Any]) -> None:
        """Write stopped.json: the batch at which a run has ended. A full disk is passed over."""
        with contextlib.suppress(OSError), replacing(self.stopped_path) as part:
            part.write_text(json.dumps(told, indent=2) + "\n")

    def write_history(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Write history.csv, a row for each epoch."""
        with replacing(self.history_path) as part, open(part, "w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(history)


@contextmanager
def going_on(what: str, kept: Callable[[], str]) -> Iterator[None]:
    """What cannot be written ends a run in one line, which tells what is kept.

    Parameters
    ----------
    what : str
        Is written in the block.
    kept : callable
        Says what is kept of the run.
    """
    try:
        yield
    except (OSError, InputError) as error:
        told = getattr(error, "strerror", None) or reason(error)
        raise TrainingStopped(
            f"{what} cannot be written ({told}); {kept()}: make room, or mend the folder, and go "
            "on with --resume"
        ) from None


def config_of(problem: Problem, settings: Settings, precision: str | None) -> dict[str, Any]:
    """What a run is started with, as JSON can hold it."""
    config = {
        "problem": {
            "name": problem.name,
            "config": problem.config(),
            **facts_of(problem),
            **({"files": dict(problem.files)} if problem.files else {}),
        },
        "settings": settings.asdict(),
        "precision": precision,
    }
    return json.loads(json.dumps(config))


def require_same(started: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Compare a resumed run with how it was started.

    Raises
    ------
    InputError
        If a resumed run has another problem or other settings.
    """
    begun_name, name = (told["problem"]["name"] for told in (started, asked))
    sets = [told["problem"].get("set", {}) for told in (started, asked)]
    wanted_settings = dict(asked["settings"])
    if all(sets):  # the folder may have moved: what it holds is compared
        del wanted_settings["dataset"]
    wanted_config = dict(asked["problem"]["config"])
    pairs: list[tuple[Mapping[str, Any], Mapping[str, Any]]] = [
        ({"problem": begun_name}, {"problem": name}),
        (problem_config(started["problem"]), wanted_config),
        # Settings that a run from an older version does not have were the defaults.
        ({**Settings().asdict(), **started["settings"]}, wanted_settings),
        ({"training set": _told(sets[0])}, {"training set": _told(sets[1])}),
    ]
    files = [told["problem"].get("files", {}) for told in (started, asked)]
    if begun_name == name and all(files):
        differ = files_differ(*files)
        if differ:
            what = "pairs" if name == "paired" else "pictures"
            raise InputError(
                f"the {what} are others than those that the run was started with: {differ}; "
                "restore them, or start a new run in another folder (--output)"
            )
        # The folders may have moved: what they hold was compared.
        for own in FOLDERS:
            wanted_config.pop(own, None)
    for begun, wanted in pairs if begun_name == name else pairs[:1]:
        for key, value in wanted.items():
            if begun.get(key) != value:
                raise InputError(
                    f"the run was started with {key} {begun.get(key)}, not {value}; "
                    "resume it with its own settings, or start a new run in another folder"
                )


def _told(facts: Mapping[str, Any]) -> str:
    samples, seed, known = (facts.get(name) for name in ("samples", "seed", "identity"))
    return f"of {samples} samples, seed {seed} ({str(known)[:8]})" if facts else "none"


def _read(path: Path, variables: Sequence[Any]) -> dict[str, np.ndarray]:
    """The arrays of a checkpoint, all of it compared with its digest and with the variables."""
    size = path.stat().st_size
    with zipfile.ZipFile(path) as file:
        members = [m for m in file.infolist() if m.filename.endswith(".npy")]
        if any(m.compress_type != zipfile.ZIP_STORED or m.file_size > size for m in members):
            raise ValueError("it is compressed")
        arrays = {
            m.filename.removesuffix(".npy"): np.lib.format.read_array(
                io.BytesIO(file.read(m)), allow_pickle=False
            )
            for m in members
        }
    if "format" in arrays:
        require_known({"format": int(arrays["format"])}, FORMAT)
    told = arrays.pop("digest", None)
    if told is not None and str(told) != digest(arrays):
        raise ValueError("its digest is another one")
    shapes = [arrays[f"variable_{i}"].shape for i in range(len(variables))]
    if shapes != [tuple(v.shape) for v in variables] or f"variable_{len(shapes)}" in arrays:
        raise ValueError("it is of another network")
    for name in ("step", "sums", "history"):
        if arrays[name].shape != (() if name != "sums" else (2,)):
            raise ValueError(f"its {name} is none")
    rows = checks.parsed(str(arrays["history"]))
    row = checks.fields({"step": checks.whole(0, 2**62)}, ("step",), checks.anything)
    checks.several(row, least=0, most=2**31)(rows, "history")
    if int(arrays["step"]) < 0 or not np.isfinite(arrays["sums"]).all():
        raise ValueError("its step or its sums are none")
    return arrays
