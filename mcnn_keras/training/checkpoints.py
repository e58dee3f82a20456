"""The run folder: configuration, history, and a checkpoint for an exact continuation."""

from __future__ import annotations

import csv
import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..files import replacing

COLUMNS = (
    "epoch", "step", "loss", "mae", "test_mae", "test_deviation", "learning_rate", "seconds",
)  # fmt: skip


class RunFolder:
    """The files of one training run: config.json, history.csv, checkpoints/, model.h5, report.html
    and examples.png.

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
        except OSError as error:
            raise InputError(f"the folder {self.path} cannot be made: {error.strerror}") from None
        with replacing(self.config_path) as part:
            part.write_text(json.dumps(config, indent=2) + "\n")

    def config(self) -> dict[str, Any]:
        """The configuration with which the run was started.

        Raises
        ------
        InputError
            If there is no run here.
        """
        try:
            config = json.loads(self.config_path.read_text())
            if {"problem", "settings", "precision"} <= set(config):
                return config
            raise ValueError
        except OSError:
            raise InputError(
                f"{self.path} holds no run to resume; leave --resume out to start a run"
            ) from None
        except (ValueError, TypeError):
            raise InputError(
                f"{self.config_path} is damaged; start a new run in another folder"
            ) from None

    def save_checkpoint(
        self,
        variables: Sequence[Any],
        step: int,
        sums: np.ndarray,
        history: Sequence[Mapping[str, Any]],
    ) -> None:
        """Replace the checkpoint, completely or not at all."""
        arrays = {f"variable_{i}": v.numpy() for i, v in enumerate(variables)}
        with replacing(self.checkpoint_path) as part, open(part, "wb") as file:
            np.savez(file, step=step, sums=sums, history=json.dumps(history), **arrays)
            file.flush()
            os.fsync(file.fileno())
        self.write_history(history)

    def load_checkpoint(
        self, variables: Sequence[Any]
    ) -> tuple[int, np.ndarray | None, list[dict[str, Any]]]:
        """Set the variables to the values in the checkpoint.

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
            If the checkpoint is damaged.
        """
        if not self.checkpoint_path.exists():
            return 0, None, []
        try:
            with np.load(self.checkpoint_path, allow_pickle=False) as data:
                for i, variable in enumerate(variables):
                    variable.assign(data[f"variable_{i}"])
                return int(data["step"]), data["sums"], json.loads(str(data["history"]))
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            raise InputError(
                f"{self.checkpoint_path} is damaged; start a new run in another folder"
            ) from None

    def write_history(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Write history.csv, a row for each epoch."""
        with replacing(self.history_path) as part, open(part, "w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(history)
