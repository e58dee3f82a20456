"""Keras callbacks during training, and the signals that interrupt it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from .settings import Settings


class Callbacks:
    """Keras callbacks, called as by Keras's own `fit`.

    Parameters
    ----------
    callbacks : sequence of keras.callbacks.Callback
    model : keras.Model
        The model in training.
    settings : Settings
        Settings of the run.
    optimizer : keras.optimizers.Optimizer
        Optimiser of the run.
    """

    def __init__(
        self,
        callbacks: Sequence[keras.callbacks.Callback],
        model: keras.Model,
        settings: Settings,
        optimizer: Any,
    ) -> None:
        self.settings, self.model = settings, model
        # Callbacks expect it there. Keras must not track it, or it would be saved with the model.
        model.__dict__["optimizer"] = optimizer
        params = {"epochs": settings.epochs, "steps": settings.steps_per_epoch, "verbose": 0}
        self._list: Any = keras.callbacks.CallbackList(list(callbacks), model=model, **params)
        model.stop_training = False
        self._in_epoch = False

    @property
    def stopped(self) -> bool:
        """Whether a callback has requested the end of training."""
        return bool(self.model.stop_training)

    @stopped.setter
    def stopped(self, value: bool) -> None:
        self.model.stop_training = value

    def __enter__(self) -> Callbacks:
        self._list.on_train_begin()
        return self

    def __exit__(self, *_: object) -> None:
        self._list.on_train_end()

    def batch_begin(self, step: int) -> None:
        """Before a step, counted from 0 over the whole run."""
        each = self.settings.steps_per_epoch
        if not self._in_epoch:
            self._list.on_epoch_begin(step // each)
            self._in_epoch = True
        self._list.on_train_batch_begin(step % each)

    def batch_end(self, step: int, sums: np.ndarray) -> None:
        """After a step, with the sums of loss and error over the epoch so far."""
        place = step % self.settings.steps_per_epoch
        logs = {"loss": float(sums[0]) / (place + 1), "mae": float(sums[1]) / (place + 1)}
        self._list.on_train_batch_end(place, logs)

    def epoch_end(self, row: Mapping[str, Any]) -> None:
        """After an epoch, with its row of the history."""
        left_out = ("epoch", "step", "seconds")
        logs = {name: value for name, value in row.items() if name not in left_out}
        self._list.on_epoch_end(row["epoch"] - 1, logs)
        self._in_epoch = False


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Catch the first Ctrl-C (or SIGTERM); yields a function that says whether one came."""
    caught: list[int] = []

    def note(signum: int, frame: Any) -> None:
        if caught:  # the second one interrupts at once
            raise KeyboardInterrupt
        caught.append(signum)

    try:
        before = {s: signal.signal(s, note) for s in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not in the main thread, where signals cannot be caught
        yield lambda: False
        return
    try:
        yield lambda: bool(caught)
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
