"""The speed of simulation and training, relative to the machine's convolution rate, in one run.

    python experiments/training_speed.py        # 6 minutes on two cores

Medians of warmed-up repeats; each setting three times, in turn, in a separate process. Wanted: the
pipeline alone at least three times as fast as training, and the training step at 35 % or more of
the machine's float32 convolution rate (64 to 64 channels, 3x3, 128x128). If the processor has
AVX-512, training is also measured with AVX2 only (ONEDNN_MAX_CPU_ISA), with and without
TensorFlow's oneDNN kernels; without is TensorFlow's default there. TensorFlow's profiler counts the
operations of the forward pass; they are tripled for the step (a backward pass costs twice the
forward pass). The fixed channels are part of the simulation.
"""

import json
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np

SIZE, BATCH, ROUNDS = 128, 8, 3
SETTINGS = {
    "float32": ("float32", {}),
    "bfloat16": ("bfloat16", {}),
    "AVX2": ("float32", {"ONEDNN_MAX_CPU_ISA": "AVX2"}),
    "AVX2 without oneDNN": (
        "float32", {"ONEDNN_MAX_CPU_ISA": "AVX2", "TF_ENABLE_ONEDNN_OPTS": "0"},
    ),
}  # fmt: skip


def seconds(compute, repeats=15):
    """Median time of a call, the first three left out."""
    times = []
    for _ in range(repeats + 3):
        began = time.perf_counter()
        compute()
        times.append(time.perf_counter() - began)
    return float(np.median(times[3:]))


def measure(precision):
    """Times of a sample, and rates, in this process."""
    import tensorflow as tf
    from tensorflow.python.profiler import model_analyzer, option_builder

    import mcnn_keras as mcnn
    from mcnn_keras.training import loop
    from mcnn_keras.training.build import build_model, first_sample, network_arguments
    from mcnn_keras.training.devices import choose_strategy, convolution_rate
    from mcnn_keras.training.optimizer import Adam
    from mcnn_keras.training.pipeline import stream
    from mcnn_keras.training.workers import Workers

    problem = mcnn.problems.Phase(-108)
    settings = mcnn.Settings(image_size=SIZE, batch_size=BATCH, samples=BATCH)
    network = network_arguments(problem, settings, first_sample(problem, settings))
    model = build_model(network, precision)
    counted = build_model(network, "float32")
    image = tf.TensorSpec((1, SIZE, SIZE, network["input_channels"]))
    graph = tf.function(lambda x: counted(x)).get_concrete_function(image)
    options = option_builder.ProfileOptionBuilder.float_operation()
    options["output"] = "none"
    operations = 3 * model_analyzer.profile(graph.graph, options=options).total_float_ops

    batches = iter(stream(problem, "train", BATCH, SIZE, 0))
    simulation = []
    for _ in range(40):  # a full queue would look fast: time many batches together
        began = time.perf_counter()
        for _ in range(5):
            batch = next(batches)
        simulation.append((time.perf_counter() - began) / 5 / BATCH)
    optimizer = Adam()
    optimizer.build(model.trainable_variables)
    trainer = loop.Trainer(problem, settings, Workers(choose_strategy()), model, optimizer, None)
    ones = tf.ones(len(model.outputs))
    step = partial(trainer._compile(0, BATCH), weights=ones, fade=tf.constant(1.0))
    alone = seconds(lambda: step(batch).numpy()) / BATCH
    together = seconds(lambda: step(next(batches)).numpy()) / BATCH
    simulated = float(np.median(simulation[8:]))
    rate = convolution_rate()
    return {
        "convolution rate, float32, GFLOP/s": rate / 1e9,
        "simulation, ms a sample": 1e3 * simulated,
        "step, ms a sample": 1e3 * alone,
        "step with simulation, ms a sample": 1e3 * together,
        "step, GFLOP/s": operations / alone / 1e9,
        "step's rate, of the convolution rate": operations / alone / rate,
        "simulation is faster than the step by": alone / simulated,
    }


def main():
    from mcnn_keras.files import replacing

    rounds = {name: [] for name in SETTINGS}
    for _ in range(ROUNDS):
        for name, (precision, variables) in SETTINGS.items():
            output = subprocess.check_output(
                [sys.executable, __file__, precision], env={**os.environ, **variables}, text=True
            )
            rounds[name].append(json.loads(output.splitlines()[-1]))
    results = {
        name: {key: float(np.median([one[key] for one in found])) for key in found[0]}
        for name, found in rounds.items()
    }
    print(json.dumps(results, indent=2))
    folder = Path("runs/training_speed")
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / "metrics.json") as part:
        part.write_text(json.dumps({"medians": results, "rounds": rounds}, indent=2))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1])))
    else:
        main()
