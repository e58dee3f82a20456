"""Killed and resumed training runs end with the same weights as an uninterrupted run.

    python experiments/resume_exactness.py      # 5 minutes on two cores

Each of ten runs of `mcnn-keras train phase` in float32 gets SIGKILL at a random moment after its
first checkpoint, is resumed, and is compared bit for bit with an uninterrupted run.
"""

import argparse
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np

parser = argparse.ArgumentParser()
parser.add_argument("--kills", type=int, default=10)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--output", type=Path, default=Path("runs/resume_exactness"))
arguments = parser.parse_args()
# Checkpoints after every step, so that the kills fall between different ones; few target pictures,
# so that a run starts quickly.
LAUNCH = """
from mcnn_keras.cli import main
from mcnn_keras.targets import pictures
from mcnn_keras.training import loop
loop.CHECKPOINT_SECONDS = 0
pictures.PER_FAMILY = pictures.MASKS = {"train": 1, "test": 1}
main()
"""
COMMAND = [
    sys.executable, "-c", LAUNCH, "train", "phase", "--defocus", "-108", "--image-size", "64",
    "--samples", "64", "--epochs", "5", "--precision", "float32", "--output",
]  # fmt: skip


def weights(folder):
    """All weights of a finished run, by name."""
    found = {}
    with h5py.File(folder / "model.h5") as file:
        file["model_weights"].visititems(
            lambda name, item: (
                found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
            )
        )
    return found


shutil.rmtree(arguments.output, ignore_errors=True)
whole = arguments.output / "whole"
began = time.monotonic()
subprocess.run([*COMMAND, str(whole)], check=True, capture_output=True)
lasting = time.monotonic() - began
random.seed(arguments.seed)
same = 0
for kill in range(arguments.kills):
    folder = arguments.output / f"kill_{kill}"
    process = subprocess.Popen([*COMMAND, str(folder)], stderr=subprocess.DEVNULL)
    while not (folder / "checkpoints" / "latest.npz").exists():
        time.sleep(0.01)
    time.sleep(random.uniform(0, 0.25 * lasting))
    process.send_signal(signal.SIGKILL)
    process.wait()
    with np.load(folder / "checkpoints" / "latest.npz") as data:
        step = int(data["step"])
    finished = (folder / "model.h5").exists()
    subprocess.run([*COMMAND, str(folder), "--resume"], check=True, capture_output=True)
    expected, found = weights(whole), weights(folder)
    equal = all(np.array_equal(expected[name], found[name]) for name in expected)
    same += equal
    print(f"killed after step {step} of 40{' (already done)' if finished else ''}: "
          f"{'the same weights' if equal else 'DIFFERENT'}", flush=True)  # fmt: skip
print(f"{same} of {arguments.kills} resumed runs equal the uninterrupted one, bit for bit")
sys.exit(same != arguments.kills)
