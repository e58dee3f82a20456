"""What training on two replicas costs: time of a step on two logical processors and on one.

    python experiments/distributed_cost.py                      # 5 minutes on two cores

Both replicas share the machine's cores, so that without any cost a step of the same batch would
take as long as on one. Target: at most 10 % more. Steps are timed in blocks that alternate between
the two, after a warm-up; medians of the blocks. The samples are simulated before.
"""

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration(), tf.config.LogicalDeviceConfiguration()],
)

TARGET = 0.1


def trainer(strategy, problem, settings):
    """A run that has not begun, and batches that are ready."""
    import keras

    from mcnn_keras.training import loop
    from mcnn_keras.training.build import build_model, first_sample, network_arguments
    from mcnn_keras.training.optimizer import Adam
    from mcnn_keras.training.workers import Workers

    keras.utils.set_random_seed(0)
    network = network_arguments(problem, settings, first_sample(problem, settings))
    with strategy.scope():
        model = build_model(network, settings.precision)
        optimizer = Adam(settings.learning_rate)
        optimizer.build(model.trainable_variables)
    run = loop.Trainer(problem, settings, Workers(strategy), model, optimizer, None)
    iterator = iter(run._batches())
    return run, [next(iterator) for _ in range(4)]


def block(run, batches, steps):
    """Seconds of a step, the median of some."""
    times = []
    for i in range(steps):
        begun = time.perf_counter()
        run._advance(batches[i % len(batches)])
        times.append(time.perf_counter() - begun)
    return float(np.median(times))


def main():
    import mcnn_keras as mcnn
    from mcnn_keras.training.settings import Settings

    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--blocks", type=int, default=12)
    options.add_argument("--steps", type=int, default=10, help="steps of a block")
    options.add_argument("--image-size", type=int, default=256)
    options.add_argument("--batch-size", type=int, default=8)
    options.add_argument("--preset", default="light")
    options.add_argument("--precision", default="float32")
    options.add_argument("--output", default="runs/distributed_cost")
    given = options.parse_args()

    settings = Settings(
        image_size=given.image_size, batch_size=given.batch_size, samples=10**6, epochs=1,
        preset=given.preset, precision=given.precision,
    )  # fmt: skip
    problem = mcnn.problems.Laplacian()
    runs = {
        "one replica": trainer(tf.distribute.OneDeviceStrategy("/cpu:0"), problem, settings),
        "two replicas": trainer(
            tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"]), problem, settings
        ),
    }
    for run in runs.values():
        block(*run, 5)
    times = {name: [] for name in runs}
    for _ in range(given.blocks):
        for name, run in runs.items():
            times[name].append(block(*run, given.steps))
    one, two = (np.array(times[name]) for name in runs)
    ratios = two / one
    found = {
        "settings": vars(given),
        "cores": len(os.sched_getaffinity(0)),
        "seconds": {name: float(np.median(t)) for name, t in times.items()},
        "more": float(np.median(ratios) - 1),
        "more_quartiles": [float(q - 1) for q in np.percentile(ratios, [25, 75])],
        "target": TARGET,
    }
    for name, seconds in found["seconds"].items():
        print(f"{name:14s} {1e3 * seconds:8.1f} ms a step of {given.batch_size}")
    low, high = found["more_quartiles"]
    print(
        f"two replicas take {found['more']:+.1%} (quartiles of {given.blocks} pairs of blocks "
        f"{low:+.1%} to {high:+.1%}); at most {TARGET:+.0%} is wanted"
    )
    folder = Path(given.output)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.json").write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
