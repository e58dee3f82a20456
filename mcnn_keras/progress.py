"""Progress of long tasks on stderr: one line that changes on a terminal, else a line per minute."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

# Seconds between two states that are shown: on a terminal, and elsewhere.
LIVE, LOGGED = 0.3, 60.0
_hidden: ContextVar[bool] = ContextVar("hidden", default=False)
# Takes what is done, the count of all, and what is counted.
Listener = Callable[[int, int, str], Any]
_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextlib.contextmanager
def hidden() -> Iterator[None]:
    """Show no progress of tasks that start inside this context."""
    token = _hidden.set(True)
    try:
        yield
    finally:
        _hidden.reset(token)


@contextlib.contextmanager
def heard_by(listener: Listener) -> Iterator[None]:
    """Call a function with the progress of tasks that start inside this context, too."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def tell(done: int, count: int, unit: str) -> None:
    """Tell the listener, if there is one."""
    listener = _listener.get()
    if listener is not None:
        listener(done, count, unit)


class _Line:
    """A line that is overwritten on a terminal; elsewhere, a new line each time."""

    def __init__(self) -> None:
        self.hidden = _hidden.get()
        self.live = sys.stderr.isatty() and not self.hidden
        self.shown = 0.0 if self.live else time.monotonic()

    def due(self, now: float) -> bool:
        return now - self.shown >= (LIVE if self.live else LOGGED)

    def show(self, text: str, now: float) -> None:
        self.shown = now
        if self.hidden:
            return
        if self.live:
            print(f"\r{text:<78}", end="", file=sys.stderr, flush=True)
        else:
            print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        if self.live and self.shown:
            print(file=sys.stderr)


class Progress:
    """Epoch, error and time left: a line at the end of each epoch, and between them.

    Parameters
    ----------
    settings : Settings
        The settings of the training run.
    """

    def __init__(self, settings: Any) -> None:
        self.settings = settings
        self.first: int | None = None
        self.line = _Line()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.line.close()

    def going_on(self, step: int) -> None:
        """Tell from which epoch a training that was interrupted goes on.

        Parameters
        ----------
        step : int
            Number of steps done.
        """
        s = self.settings
        done, within = divmod(step, s.steps_per_epoch)
        text = f"continues at epoch {done + 1} of {s.epochs}"
        if within:
            text += f", step {within + 1} of {s.steps_per_epoch}"
        if step >= s.steps:
            text = f"all {s.epochs} epochs are done already"
        if not self.line.hidden:
            print(text, file=sys.stderr, flush=True)

    def update(self, step: int, sums: np.ndarray, history: Sequence[Mapping[str, Any]]) -> None:
        """Show the state of the training.

        Parameters
        ----------
        step : int
            Number of steps done.
        sums : array
            Sums over the epoch's steps; the second is that of the mean absolute error.
        history : sequence of mapping
            One row for each finished epoch.
        """
        now, s = time.monotonic(), self.settings
        if self.first is None:  # the first step compiles, so it takes longer than the others
            self.first, self.began = step, now
        if not (step % s.steps_per_epoch == 0 or self.line.due(now)):
            return
        done = (step - 1) % s.steps_per_epoch + 1
        left = (now - self.began) / max(step - self.first, 1) * (s.steps - step)
        text = f"epoch {(step - 1) // s.steps_per_epoch + 1}/{s.epochs}"
        text += f"  step {done}/{s.steps_per_epoch}  MAE {sums[1] / done:.4f}"
        if history:
            text += f"  test MAE {history[-1]['test_mae']:.4f}"
        text += f"  {duration(left)} left"
        self.line.show(text, now)


class FrameProgress:
    """Frames done, frames per second and time left.

    Parameters
    ----------
    count : int
        Number of all frames.
    done : int
        Number of frames that were done before the start.
    unit : str
        What is counted: frames, or tiles of large frames.
    """

    def __init__(self, count: int, done: int = 0, unit: str = "frame") -> None:
        self.count, self.first, self.done, self.unit = count, done, done, unit
        self.began, self.line = time.monotonic(), _Line()

    def __enter__(self) -> FrameProgress:
        return self

    def __exit__(self, *_: object) -> None:
        self.line.close()

    def add(self, count: int) -> None:
        """Count more frames as done, and show it."""
        self.done += count
        tell(self.done, self.count, self.unit)
        now = time.monotonic()
        last = self.line.live and self.done >= self.count
        if self.count < 2 or not (last or self.line.due(now)):
            return
        rate = (self.done - self.first) / max(now - self.began, 1e-9)
        left = duration((self.count - self.done) / max(rate, 1e-9))
        text = f"{self.unit} {self.done}/{self.count}  {rate:.0f} {self.unit}s/s  {left} left"
        self.line.show(text, now)


def duration(seconds: float) -> str:
    """Seconds as h:mm:ss or m:ss."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
