"""A training that is killed again and again, each life a fork of one process that never computes.

    python tests/kill_training.py '{"output": ..., "settings": ..., "kills": ..., ...}'

A life ends by a signal from outside, or kills itself: within the n-th write of a checkpoint, of
which half is then in the file, or before the n-th renaming of a file. The last one ends by itself.
Prints the steps of the checkpoints that the kills left.
"""

import io
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import conftest  # noqa: F401 - makes the logical devices
import numpy as np
import tensorflow as tf
from test_training import Blur

from mcnn_keras.training import loop

HOW = ("time", "write", "rename")


def live(output, settings, replicas, pause=0.0, die_at=None, told=-1):
    """One life: it resumes where there is a run, and writes a checkpoint after each step."""
    die_at = die_at or {}
    loop.CHECKPOINT_SECONDS = 0
    advance, savez, replace = loop.Trainer._advance, np.savez, os.replace

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    def slowly(self, batch):
        advance(self, batch)
        if told >= 0:
            os.write(told, b"s")
        time.sleep(pause)

    def half(file, **arrays):
        die_at["write"] -= 1
        content = io.BytesIO()
        savez(content, **arrays)
        content = content.getvalue()
        file.write(content if die_at["write"] else content[: len(content) // 2])
        file.flush()
        if not die_at["write"]:
            die()

    def rename(*names):
        die_at["rename"] -= 1
        if not die_at["rename"]:
            die()
        replace(*names)

    loop.Trainer._advance = slowly
    if "write" in die_at:
        np.savez = half
    if "rename" in die_at:
        os.replace = rename
    strategy = tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"]) if replicas == 2 else None
    begun = os.path.exists(os.path.join(output, "config.json"))
    loop.train(Blur(), output=output, resume=begun, strategy=strategy, **settings)


def forked(**life):
    """A life in a process of its own; returns its number."""
    number = os.fork()
    if number == 0:
        status = 1
        try:
            live(**life)
            status = 0
        finally:
            os._exit(status)
    return number


def status_of(number):
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])


def main(output, settings, kills, replicas=1, seed=0, whole=None):
    rng, steps = random.Random(seed), []
    life = {"output": output, "settings": settings, "replicas": replicas}
    for kill in range(kills):
        how = HOW[kill % 3]
        die_at = {how: rng.randint(1, 12)} if how != "time" else {}
        there, told = os.pipe()
        number = forked(**life, pause=0.02, die_at=die_at, told=told)
        os.close(told)
        os.read(there, 1)  # the first step is done, or the life has ended
        if how == "time":
            time.sleep(rng.uniform(0, 0.5))
            os.kill(number, signal.SIGKILL)
        status = status_of(number)
        os.close(there)
        assert status == -signal.SIGKILL, f"kill {kill}: it ended with {status}"
        for name in ("latest", "previous"):
            path = Path(output) / "checkpoints" / f"{name}.npz"
            if path.exists():
                with np.load(path) as data:
                    steps.append(int(data["step"]))
                break
    assert not (Path(output) / "model.h5").exists()
    assert status_of(forked(**life)) == 0
    if whole is not None:
        assert status_of(forked(**{**life, "output": whole})) == 0
    print(json.dumps(steps))


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
