"""One million frames of 128x128 through the streamed prediction: memory, rate and count.

    python experiments/million_frames.py        # half an hour on two cores

The frames are made as they are read, and the results are counted and dropped, so that no disk is
needed. The networks are tiny (trained for a second): what is tried is the stream around them. One
million images by themselves; then a fiftieth as many with all that `denoise` does, the search for
faults and the neighbours in time, which take longer than such a network. The frames repeat after
64, and so must the answers: a frame that is lost, doubled or out of order breaks the period.
Wanted: every frame once, memory flat within 5 % after the first tenth, the last tenth as fast as
the second one within 10 %.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

import mcnn_keras as mcnn
from mcnn_keras.files import replacing
from mcnn_keras.files.recording import recording_of
from mcnn_keras.inference.engines import engine_of
from mcnn_keras.inference.filling import fill
from mcnn_keras.inference.measurements import Measurements

SIZE, PERIOD, PARTS = 128, 64, 10


class Made:
    """Frames that repeat, made when they are asked for."""

    def __init__(self, count):
        rng = np.random.default_rng(0)
        y, x = np.mgrid[:SIZE, :SIZE]
        lattice = 2 + np.cos(y / 3) * np.cos(x / 3)
        self.period = rng.poisson(4 * lattice, (PERIOD, SIZE, SIZE)).astype(np.uint16)
        self.shape, self.dtype, self.ndim = (count, SIZE, SIZE), np.dtype(np.uint16), 3

    def __getitem__(self, frames):
        return self.period[np.arange(self.shape[0])[frames] % PERIOD]


class Counted:
    """Takes results as a spool does; counts them and compares each with the one a period before."""

    def __init__(self, count):
        self.count, self.done, self.differ = count, 0, 0.0
        self.before = None
        self.rows, self.began = [], time.monotonic()

    def append(self, answers):
        """Count answers, and compare each."""
        for answer in answers:
            place = self.done % PERIOD
            if self.done < 2 * PERIOD:  # the first frame has no frames before it
                if self.before is None:
                    self.before = np.zeros((PERIOD, SIZE, SIZE), np.float32)
                self.before[place] = answer
            elif self.done < self.count - 2:  # nor have the last ones any after them
                self.differ = max(self.differ, float(np.abs(answer - self.before[place]).max()))
            self.done += 1
        if self.done * PARTS // self.count > len(self.rows):
            seconds, self.began = time.monotonic() - self.began, time.monotonic()
            self.rows.append({"frames": self.done, "seconds": seconds, "memory, MB": resident()})
            print(json.dumps(self.rows[-1]), flush=True)


class Still:
    """Files that nobody changes."""

    def check(self, always=False):
        """Find nothing changed."""


def resident():
    """Memory of this process, MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--frames", type=int, default=1_000_000)
count = parser.parse_args().frames

# The smallest networks: filters, and training that takes a second.
SMALL = {
    "image_size": 32, "samples": 16, "epochs": 1, "batch_size": 4, "filters": (4,), "branches": 0,
    "precision": "float32", "mixed_sizes": False, "start": None,
}  # fmt: skip
problems = {
    "images one by one (phase)": (mcnn.problems.Phase(-20, input="intensity"), count),
    "movies with faults and neighbours (denoise)": (
        mcnn.problems.Denoise(0, families={"columns": 2, "blank": 1}, window=5), count // 50,
    ),
}  # fmt: skip
results = {}
for name, (problem, frames) in problems.items():
    model = mcnn.train(problem, **SMALL).model
    spool = Counted(frames)
    measurements = Measurements([recording_of(Made(frames), "made")], model.card)
    fill(
        spool, measurements, engine_of(model), Still(), 64, None, print, "auto", "mend", None
    )  # fmt: skip
    first, last = spool.rows[1], spool.rows[-1]
    results[name] = {
        "frames": spool.done,
        "frames expected": frames,
        "largest difference from the answer a period before": spool.differ,
        "memory of the last tenth, of the second": last["memory, MB"] / first["memory, MB"],
        "time of the last tenth, of the second": last["seconds"] / first["seconds"],
        "frames a second": frames / sum(row["seconds"] for row in spool.rows),
        "parts": spool.rows,
    }
print(json.dumps(results, indent=2))
folder = Path("runs/million_frames")
folder.mkdir(parents=True, exist_ok=True)
with replacing(folder / "metrics.json") as part:
    part.write_text(json.dumps(results, indent=2))
