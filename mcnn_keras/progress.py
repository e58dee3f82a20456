"""The live lines of long work; nothing where there is no terminal to show them."""

from __future__ import annotations

import sys
import time
from typing import Any


class Progress:
    """One line that tells epoch, error and time left, rewritten a few times a second.

    Parameters
    ----------
    settings : Settings
        Of the run.
    """

    def __init__(self, settings: Any) -> None:
        self.settings = settings
        self.first: int | None = None
        self.shown = 0.0
        self.live = sys.stderr.isatty()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self.live:
            print(file=sys.stderr)

    def update(self, step: int, sums: Any, history: Any) -> None:
        """Show where training stands."""
        now = time.monotonic()
        if not self.live or now - self.shown < 0.3:
            return
        self.shown = now
        if self.first is None:  # the first step compiles, and tells nothing of the others
            self.first, self.began = step, now
        s = self.settings
        done = (step - 1) % s.steps_per_epoch + 1
        left = (now - self.began) / max(step - self.first, 1) * (s.steps - step)
        text = f"epoch {(step - 1) // s.steps_per_epoch + 1}/{s.epochs}"
        text += f"  step {done}/{s.steps_per_epoch}  MAE {sums[1] / done:.4f}"
        if history:
            text += f"  test MAE {history[-1]['test_mae']:.4f}"
        text += f"  {duration(left)} left"
        print(f"\r{text:<78}", end="", file=sys.stderr, flush=True)


class FrameProgress:
    """One line that tells frames done, frames a second and time left.

    Parameters
    ----------
    count : int
        Frames in all.
    done : int
        Frames that were there at the start.
    unit : str
        What is counted: frames, or tiles of large ones.
    """

    def __init__(self, count: int, done: int = 0, unit: str = "frame") -> None:
        self.count, self.first, self.done, self.unit = count, done, done, unit
        self.began, self.shown = time.monotonic(), 0.0
        self.live = sys.stderr.isatty() and count > 1

    def __enter__(self) -> FrameProgress:
        return self

    def __exit__(self, *_: object) -> None:
        if self.live and self.shown:
            print(file=sys.stderr)

    def add(self, count: int) -> None:
        """Show that some more are done."""
        self.done += count
        now = time.monotonic()
        if not self.live or (now - self.shown < 0.3 and self.done < self.count):
            return
        self.shown = now
        rate = (self.done - self.first) / max(now - self.began, 1e-9)
        left = duration((self.count - self.done) / max(rate, 1e-9))
        text = f"{self.unit} {self.done}/{self.count}  {rate:.0f} {self.unit}s/s  {left} left"
        print(f"\r{text:<60}", end="", file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """Seconds as h:mm:ss or m:ss."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
