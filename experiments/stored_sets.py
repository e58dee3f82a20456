"""Training sets on disk beside the simulator: rates of writing, sizes, and rates of training steps.

    python experiments/stored_sets.py        # an hour on two cores

Phase pairs of one plane. (a) data_tools/simulate_set.py writes --pairs pairs; its rate, without the
start of its processes, is compared with that of the simulator alone (`measurements`, all threads).
A million pairs are extrapolated from the two. (b) A training step with samples from the set, with
simulated ones, and with one batch again and again. Medians; what is compared takes turns, and
the first calls are left out. The error of the rounding is that of 64 samples, relative to the
deviation of each channel.
"""

import argparse
import json
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
CODE = """
import json, sys, time
import mcnn_keras as mcnn
from mcnn_keras.training.pipeline import measurements
size, count = map(int, sys.argv[1:])
found = iter(measurements(mcnn.problems.Phase(-108.0), "train", size, 0).as_numpy_iterator())
for _ in range(200):
    next(found)
began = time.perf_counter()
for _ in range(count):
    next(found)
print(json.dumps(count / (time.perf_counter() - began)))
"""


def bare_rate(size, count):
    """Pairs in a second by the simulator alone, in a process of its own."""
    words = [sys.executable, "-c", CODE, str(size), str(count)]
    return json.loads(subprocess.check_output(words, text=True).splitlines()[-1])


def written(folder, size, count, *more):
    """Seconds to write a set: of all, and from the first shard to the last one."""
    began = time.time()
    subprocess.check_call(
        [sys.executable, ROOT / "data_tools" / "simulate_set.py", "phase", "--defocus", "-108",
         "--samples", str(count), "--test-samples", "64", "--image-size", str(size),
         "--shard-size", "200", "--output", folder, *more], stdout=subprocess.DEVNULL,
    )  # fmt: skip
    ended = sorted(path.stat().st_mtime for path in folder.glob("train-*.set"))
    # The processes start at about the same time: the first shards of all of them are left out.
    first = max(1, len(ended) // 10)
    rate = 200 * (len(ended) - 1 - first) / (ended[-1] - ended[first])
    size_of_all = sum(path.stat().st_size for path in folder.glob("*.set"))
    return {
        "pairs a second": rate,
        "seconds of all": time.time() - began,
        "bytes a pair": size_of_all / (count + 64),
    }


def rounding(folder):
    """The error of the rounding and the deviation of the noise, relative to each image's."""
    import tensorflow as tf

    import mcnn_keras as mcnn
    from mcnn_keras.files.packing import packed, unpacked

    problem, errors = mcnn.problems.Phase(-108.0), []
    size = json.loads((folder / "index.json").read_text())["image_size"]
    draw = tf.function(lambda n: problem.sample(tf.stack([np.int64(0), n]), size), autograph=False)
    for number in range(64):
        sample = draw(tf.constant(number, tf.int64))
        arrays = [sample.image.numpy(), sample.target.numpy()]
        for own, kept in zip(arrays, unpacked(packed(arrays, True)), strict=True):
            errors.append((np.sqrt(((own - kept) ** 2).mean((0, 1))) / own.std((0, 1))).max())
    return {"root mean square error, of the deviation, at most": float(max(errors))}


def steps(folder, size, batch, rounds):
    """Milliseconds of a training step a sample, by where the samples come from, in turns."""
    import tensorflow as tf

    import mcnn_keras as mcnn
    from mcnn_keras.training import loop
    from mcnn_keras.training.build import build_model, first_sample, network_arguments
    from mcnn_keras.training.devices import choose_strategy, faster_precision
    from mcnn_keras.training.optimizer import Adam
    from mcnn_keras.training.pipeline import stream
    from mcnn_keras.training.stored import Stored
    from mcnn_keras.training.workers import Workers

    problem = mcnn.problems.Phase(-108.0)
    settings = mcnn.Settings(image_size=size, batch_size=batch, samples=batch, gated=True)
    network = network_arguments(problem, settings, first_sample(problem, settings))
    model = build_model(network, faster_precision())
    optimizer = Adam()
    optimizer.build(model.trainable_variables)
    trainer = loop.Trainer(problem, settings, Workers(choose_strategy()), model, optimizer, None)
    ones = tf.ones(len(model.outputs))
    step = partial(trainer._compile(0, batch), weights=ones, fade=tf.constant(1.0))

    stored = Stored(problem, folder)
    sources = {
        "simulated": iter(stream(problem, "train", batch, size, 0)),
        "from disk": iter(stream(stored, "train", batch, size, 0)),
    }
    one = next(sources["simulated"])
    times = {"one batch again": [], **{name: [] for name in sources}}
    for _ in range(rounds):
        for name, found in times.items():
            for i in range(14):  # the first ones take what was prepared in the others' turn
                if i == 6:
                    began = time.perf_counter()
                step(one if name not in sources else next(sources[name])).numpy()
            found.append((time.perf_counter() - began) / 8 / batch * 1e3)
    # The pipelines of the others fill up and then rest while one is measured.
    return {name: float(np.median(found[1:])) for name, found in times.items()}


def main():
    from mcnn_keras.files import replacing

    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=20000)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path("runs/stored_sets"))
    asked = parser.parse_args()
    asked.output.mkdir(parents=True, exist_ok=True)
    bare, sets, stamp = [], [], int(time.time())
    for i, more in enumerate(((), ("--exact",))):
        bare.append(bare_rate(asked.size, max(200, asked.pairs // 10)))
        folder = asked.output / f"set-{stamp}-{i}"
        sets.append(written(folder, asked.size, asked.pairs, *more))
    bare.append(bare_rate(asked.size, max(200, asked.pairs // 10)))
    alone = float(np.median(bare))
    found = {
        "size": asked.size,
        "pairs": asked.pairs,
        "simulator alone, pairs a second": alone,
        "of each run": bare,
    }
    for name, told in zip(("rounded", "exact"), sets, strict=True):
        start = told["seconds of all"] - asked.pairs / told["pairs a second"]
        hours = (max(start, 0) + 1e6 / told["pairs a second"]) / 3600
        found[name] = {
            **told,
            "of the simulator alone": told["pairs a second"] / alone,
            "a million pairs, hours": hours,
            "a million pairs, GB": told["bytes a pair"] / 1e3,
            "a million pairs, of the simulator alone": 1e6 / alone / hours / 3600,
        }
    folder = asked.output / f"set-{stamp}-0"
    found["rounded"] |= rounding(folder)
    times = steps(folder, asked.size, asked.batch, asked.rounds)
    found["training, ms a sample"] = times
    found["from disk, of the rate from simulation"] = times["simulated"] / times["from disk"]
    print(json.dumps(found, indent=2))
    with replacing(asked.output / "metrics.json") as part:
        part.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
