"""Training sets on disk: the rates of writing and of training, beside those without a disk.

    python experiments/stored_sets.py        # 4 minutes on two cores

Pairs of one plane (-108 um), 256x256, warmed up; blocks in turn in one process; medians. Wanted:
sets are written at 80 % of the rate at which the simulator alone makes samples or more, and a step
of a training from disk takes at most 10 % longer than one from simulation.
"""

import argparse
import json
import shutil
import time
from pathlib import Path

import numpy as np

BATCH = 8


def writing(problem, folder, size, count, rounds):
    """Seconds a sample of the simulator alone, and of shards as 16-bit levels and as float32."""
    from mcnn_keras.training import simulated
    from mcnn_keras.training.pipeline import measurements

    sets = {}
    for kind in ("rounded", "exact"):
        simulated.simulate_set(problem, folder / kind, count, 64, size, exact=kind == "exact")
        sets[kind] = simulated.read_index(folder / kind)
    stream = measurements(problem, "train", size, 0).as_numpy_iterator()
    for _ in range(16):
        next(stream)
    seconds = {"simulator": [], "rounded": [], "exact": []}
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(count):
            next(stream)
        seconds["simulator"].append((time.perf_counter() - began) / count)
        for kind, index in sets.items():
            (shard,) = (folder / kind).glob("train-*.set")
            shard.unlink()
            began = time.perf_counter()
            simulated._shard(problem, str(folder / kind), index, "train", 0, count)
            seconds[kind].append((time.perf_counter() - began) / count)
    median = {kind: float(np.median(found)) for kind, found in seconds.items()}
    arrays = index["arrays"]
    plain = 4 * sum(np.prod(arrays[name]) for name in ("image", "target"))
    result = {"simulator, samples/s": 1 / median["simulator"], "kB a pair, float32": plain / 1e3}
    for kind in sets:
        shard = next((folder / kind).glob("train-*.set"))
        result |= {
            f"{kind}, of the simulator's rate": median["simulator"] / median[kind],
            f"{kind}, kB a pair": shard.stat().st_size / count / 1e3,
        }
    return result


def training(problem, folder, size, steps, rounds):
    """Seconds of a step on samples that are simulated, and on those of sets."""
    import tensorflow as tf

    import mcnn_keras as mcnn
    from mcnn_keras.training import loop
    from mcnn_keras.training.build import build_model, first_sample, network_arguments
    from mcnn_keras.training.devices import choose_strategy
    from mcnn_keras.training.optimizer import Adam
    from mcnn_keras.training.pipeline import stream
    from mcnn_keras.training.stored import Stored
    from mcnn_keras.training.workers import Workers

    settings = mcnn.Settings(image_size=size, batch_size=BATCH, samples=BATCH)
    network = network_arguments(problem, settings, first_sample(problem, settings))
    model, optimizer = build_model(network, "float32"), Adam()
    optimizer.build(model.trainable_variables)
    trainer = loop.Trainer(problem, settings, Workers(choose_strategy()), model, optimizer, None)
    ones, fade = tf.ones(len(model.outputs)), tf.constant(1.0)
    step = trainer._compile(0, BATCH)
    problems = {"simulation": problem}
    problems |= {kind: Stored(problem, folder / kind) for kind in ("rounded", "exact")}
    streams = {name: iter(stream(one, "train", BATCH, size, 0)) for name, one in problems.items()}
    seconds = {name: [] for name in streams}
    for turn in range(rounds + 1):
        for name, batches in streams.items():
            for _ in range(6):  # batches that wait since the turn before
                step(next(batches), ones, fade).numpy()
            began = time.perf_counter()
            for _ in range(steps):
                step(next(batches), ones, fade).numpy()
            if turn:
                seconds[name].append((time.perf_counter() - began) / steps)
    median = {name: float(np.median(found)) for name, found in seconds.items()}
    return {
        "step from simulation, ms": 1e3 * median["simulation"],
        "step from disk, rounded, of that from simulation": median["rounded"]
        / median["simulation"],
        "step from disk, exact, of that from simulation": median["exact"] / median["simulation"],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=256, help="of the images; default 256")
    parser.add_argument("--samples", type=int, default=1000, help="of a set; default 1000")
    parser.add_argument("--rounds", type=int, default=5, help="default 5")
    parser.add_argument("--steps", type=int, default=10, help="of a turn; default 10")
    asked = parser.parse_args()
    import mcnn_keras as mcnn
    from mcnn_keras.files import replacing

    problem, folder = mcnn.problems.Phase(-108), Path("runs/stored_sets")
    shutil.rmtree(folder / "sets", ignore_errors=True)
    results = writing(problem, folder / "sets", asked.size, asked.samples, asked.rounds)
    results |= training(problem, folder / "sets", asked.size, asked.steps, asked.rounds)
    shutil.rmtree(folder / "sets")
    print(json.dumps(results, indent=2))
    with replacing(folder / "metrics.json") as part:
        part.write_text(json.dumps({**vars(asked), **results}, indent=2))


if __name__ == "__main__":
    main()
