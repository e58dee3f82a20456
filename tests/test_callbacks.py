"""Keras callbacks in a run."""

import keras
import pytest
from test_training import Blur

from mcnn_keras import load, train


class Recorder(keras.callbacks.Callback):
    """Notes what it is told, and ends the run after a number of batches."""

    def __init__(self, most=None):
        super().__init__()
        self.told, self.most, self.logs = [], most, []

    def on_train_begin(self, logs=None):
        self.told.append("begin")

    def on_train_end(self, logs=None):
        self.told.append("end")

    def on_epoch_begin(self, epoch, logs=None):
        self.told.append(f"epoch {epoch}")

    def on_train_batch_end(self, batch, logs=None):
        self.told.append(f"batch {batch}")
        if self.most and sum("batch" in t for t in self.told) == self.most:
            self.model.stop_training = True

    def on_epoch_end(self, epoch, logs=None):
        self.logs.append(logs)


def test_keras_callbacks_are_told_as_by_fit(tiny):
    """Fails where a callback misses an event, or sees other numbers than the history."""
    recorder = Recorder()
    run = train(Blur(), callbacks=[recorder], **tiny)
    assert recorder.told == [
        "begin", "epoch 0", "batch 0", "batch 1", "epoch 1", "batch 0", "batch 1", "end",
    ]  # fmt: skip
    assert [logs["test_mae"] for logs in recorder.logs] == [r["test_mae"] for r in run.history]
    assert recorder.logs[0]["loss"] == run.history[0]["loss"]


def test_a_callback_can_end_the_run(tiny, tmp_path):
    """Fails where stop_training is passed over, or the model is not written then."""
    run = train(Blur(), output=tmp_path / "run", callbacks=[Recorder(most=3)], **tiny)
    assert len(run.history) == 1
    assert load(tmp_path / "run" / "model.h5").card.problem == "blur"


def test_curves_for_tensorboard(tiny, tmp_path):
    """Fails where Keras's own callback for it does not run with our loop."""
    pytest.importorskip("tensorboard")
    train(Blur(), callbacks=[keras.callbacks.TensorBoard(tmp_path, write_graph=False)], **tiny)
    assert list(tmp_path.rglob("events.out.tfevents*"))
