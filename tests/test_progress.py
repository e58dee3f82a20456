"""Fail where a long task says nothing, or a log fills with its lines."""

import io
import sys

import numpy as np
import pytest

from mcnn_keras import Settings, progress


class Screen(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """A time that tests set."""
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def steps_of(clock, seconds):
    with progress.Progress(Settings(samples=40, batch_size=8, epochs=2)) as shown:
        for step in range(1, 11):
            clock[0] += seconds
            history = [{"test_mae": 0.25}] if step > 5 else []
            shown.update(step, np.array([0.0, 0.5 * ((step - 1) % 5 + 1)]), history)


@pytest.mark.parametrize(("seconds", "lines"), [(1.0, 2), (25.0, 4)])
def test_a_log_has_a_line_an_epoch_and_a_minute(clock, capsys, seconds, lines):
    """Fails where a training that is not at a terminal is silent, or tells each step."""
    steps_of(clock, seconds)
    told = capsys.readouterr().err.splitlines()
    assert len(told) == lines
    assert told[-1].split() == "epoch 2/2 step 5/5 MAE 0.5000 test MAE 0.2500 0:00 left".split()
    assert not any("\r" in line for line in told)


def test_a_terminal_has_one_line(clock, monkeypatch):
    """Fails where each state takes a line of its own."""
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    steps_of(clock, 1.0)
    assert screen.getvalue().count("\r") == 10
    assert screen.getvalue().count("\n") == 1


def test_frames_are_told_once_a_minute(clock, capsys):
    """Fails where a night's recording is silent, or a short one is not."""
    for count in (30, 300):
        with progress.FrameProgress(count) as shown:
            for _ in range(count):
                clock[0] += 1.0
                shown.add(1)
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 5
    assert told[0].startswith("frame 60/300  1 frames/s")


def test_progress_can_be_hidden(clock, monkeypatch):
    """Fails where hidden progress is shown, or what comes after it stays hidden."""
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    with progress.hidden():
        steps_of(clock, 1.0)
    assert screen.getvalue() == ""
    steps_of(clock, 1.0)
    assert "epoch 2/2" in screen.getvalue()
