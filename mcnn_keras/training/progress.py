"""The live line of a training run; nothing where there is no terminal to show it."""

import sys
import time


class Progress:
    """One line that tells epoch, error and time left, rewritten a few times a second.

    Parameters
    ----------
    settings : Settings
        Of the run.
    """

    def __init__(self, settings):
        self.settings = settings
        self.first = None
        self.shown = 0.0
        self.live = sys.stderr.isatty()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.live:
            print(file=sys.stderr)

    def update(self, step, sums, history):
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


def duration(seconds):
    """Seconds as h:mm:ss or m:ss."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
