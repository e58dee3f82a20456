"""A worker of several that train together: PLAN, as JSON.

PLAN is {"address": [...], "index": ..., "runs": [settings, ...]}. A run may tell of a `signal`,
[number of the worker, step, name], that comes to one worker; and of a step after which a callback
of the second worker ends it (`stop`). Prints a line of JSON for each run: what came of it.
"""

import json
import os
import signal
import sys

import conftest  # noqa: F401 - makes the logical devices
import keras
import numpy as np
from test_training import Blur

from mcnn_keras import InputError, TrainingStopped
from mcnn_keras.cli import main as command
from mcnn_keras.training import distributed_strategy, loop, workers


class Stop(keras.callbacks.Callback):
    """Ends the training after a step; of one worker alone."""

    def __init__(self, step):
        super().__init__()
        self.left = step

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if not self.left:
            self.model.stop_training = True


def happening(index, plan):
    """Have a signal come to one worker after a step, before its checkpoint."""
    advance = loop.Trainer._advance

    def happens(self, batch):
        advance(self, batch)
        told = plan.get("signal")
        if told and told[:2] == [index, self.step]:
            os.kill(os.getpid(), getattr(signal, told[2]))

    loop.Trainer._advance = happens


def told_of(run, seen):
    names = ("epoch", "step", "loss", "mae", "test_mae", "learning_rate")
    weights = [float(np.abs(w).sum()) for w in run.model.get_weights()]
    history = [{name: row[name] for name in names} for row in run.history]
    return {"history": history, "weights": weights, "simulated": sorted(set(seen))}


def watched():
    """The numbers of the training samples that this process simulates."""
    import tensorflow as tf

    seen, sample = [], Blur.sample

    def noted(self, seed, size, split="train"):
        if split == "train":
            tf.py_function(lambda number: seen.append(int(number)), [seed[1]], [])
        return sample(self, seed, size, split)

    Blur.sample = noted
    return seen


def main(address, index, runs, command_line=None, connect=60.0):
    workers.CONNECT = connect
    told = {"cluster": {"worker": address}, "task": {"type": "worker", "index": index}}
    os.environ["TF_CONFIG"] = json.dumps(told)
    if command_line is not None:
        return command(command_line)
    strategy, seen = distributed_strategy(wait=60.0), watched()
    advance = loop.Trainer._advance
    for run in runs:
        seen.clear()
        happening(index, run)
        given = {name: value for name, value in run.items() if name not in ("signal", "stop")}
        callbacks = [Stop(run["stop"])] if index and "stop" in run else []
        try:
            done = loop.train(Blur(), strategy=strategy, callbacks=callbacks, **given)
            print(json.dumps(told_of(done, seen)), flush=True)
        except KeyboardInterrupt:
            print(json.dumps("interrupted"), flush=True)
        except InputError as error:
            print(json.dumps(str(error)), flush=True)
        except TrainingStopped as error:
            print(json.dumps(str(error)), flush=True)
            sys.exit(3)
        loop.Trainer._advance = advance


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
