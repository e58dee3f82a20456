"""What the paper's trainings, and denoising a day of a detector, would take on many accelerators.

    python experiments/scaling.py               # 6 minutes on two cores; prints scaling.md's tables

Measured here, in one run: operations for each sample (TensorFlow's profiler; three times those of
the forward pass for a training step), bytes of the gradients, the time of a step and of simulating
a sample, and the machine's rate of convolutions. Predicted from them, with the assumptions named in
`ASSUMED`: seconds on one and on 64 accelerators. The step of N accelerators takes

    max(step, samples / rate of simulation) + 2 (N - 1) / N bytes / bandwidth + 2 (N - 1) latency

with the ring all-reduce of Patarasuk and Yuan (J. Parallel Distrib. Comput. 69 (2009), 117), not
overlapped with the step. Each accelerator keeps its own batch, so that N of them need N times fewer
steps for the same number of samples; whether these learn as much is a question of the optimiser.
"""

import argparse
import json
import os
from functools import partial
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.python.profiler import model_analyzer, option_builder
from training_speed import seconds

import mcnn_keras as mcnn
from mcnn_keras.files import replacing
from mcnn_keras.training import loop
from mcnn_keras.training.build import build_model, first_sample, network_arguments
from mcnn_keras.training.devices import choose_strategy, convolution_rate
from mcnn_keras.training.pipeline import stream

ASSUMED = {
    "convolutions of an accelerator, operations a second": 300e12,  # bfloat16, about a third of
    # the nominal rate of an H100 or H200
    "processor cores for each accelerator": 16,
    "bandwidth between accelerators, bytes a second": 25e9,  # a 200 Gb/s link for each
    "latency of a message, s": 10e-6,
    "storage for each accelerator, bytes a second": 1e9,
    "samples of a batch for each accelerator": 8,
}
# Samples, size, and whether they are simulated: PAPER's Figs. 2, 4 and 5; the paper does not say
# how large its training images are for Figs. 2 and 5.
TRAININGS = {
    "phase (Fig. 2)": (lambda: mcnn.problems.Phase(-108), "paper", 256, 2048 * 32),
    "reflection (Fig. 4)": (mcnn.problems.Reflection, "paper-bottleneck", 256, 768 * 256),
    "denoising (Fig. 5)": (mcnn.problems.Denoise, "paper", 128, 2048 * 4096),
}
FULL = {"reflection (Fig. 4)": (640 * 384) / (256 * 192)}  # more pixels than are measured here
FRAMES, FRAME = 10**9, (128, 128)

parser = argparse.ArgumentParser()
parser.add_argument("--batch-size", type=int, default=4, help="of the measured step")
parser.add_argument("--repeats", type=int, default=5)
parser.add_argument("--output", type=Path, default=Path("runs/scaling"))
arguments = parser.parse_args()


def operations(model, shape):
    graph = tf.function(lambda x: model(x)).get_concrete_function(tf.TensorSpec((1, *shape)))
    options = option_builder.ProfileOptionBuilder.float_operation()
    options["output"] = "none"
    return model_analyzer.profile(graph.graph, options=options).total_float_ops


def measured(name):
    """What a training costs on this machine, for each sample."""
    make, preset, size, samples = TRAININGS[name]
    problem, batch = make(), arguments.batch_size
    settings = mcnn.Settings(image_size=size, batch_size=batch, samples=batch, preset=preset)
    network = network_arguments(problem, settings, first_sample(problem, settings))
    model = build_model(network, "float32")
    batches = iter(stream(problem, "train", batch, size, 0))
    first = next(batches)
    simulated = seconds(lambda: next(batches), 12) / batch  # while nothing else is computed
    optimizer = tf.keras.optimizers.Adam()
    optimizer.build(model.trainable_variables)
    trainer = loop.Trainer(problem, settings, choose_strategy(0), model, optimizer, None)
    ones, fade = tf.ones(len(model.outputs)), tf.constant(1.0)
    step = partial(trainer._compile(0, batch), first, ones, fade)
    shape = first[0].shape[1:]
    scale = FULL.get(name, 1.0)
    return {
        "samples": samples, "size": list(shape[:2]), "weights": model.count_params(),
        "operations": 3 * scale * operations(build_model(network, "float32"), shape),
        "gradient bytes": 4 * sum(int(np.prod(v.shape)) for v in model.trainable_variables),
        "step, s a sample": scale * seconds(lambda: step().numpy(), arguments.repeats) / batch,
        "simulation, s a sample": scale * simulated,
    }  # fmt: skip


def predicted(row, count, share):
    """Time on a number of accelerators, and what it consists of."""
    each = ASSUMED["samples of a batch for each accelerator"]
    rate = ASSUMED["convolutions of an accelerator, operations a second"] * share
    cores = ASSUMED["processor cores for each accelerator"] / os.cpu_count()
    parts = {
        "computing": each * row["operations"] / rate,
        "simulating": each * row["simulation, s a sample"] / cores,
        "reducing": all_reduce(row["gradient bytes"], count),
    }
    step = max(parts["computing"], parts["simulating"]) + parts["reducing"]
    hours = row["samples"] / (each * count) * step / 3600
    return {"hours": hours, "most": max(parts, key=parts.get), "ms a step": {
        name: 1e3 * value for name, value in parts.items()}}  # fmt: skip


def all_reduce(size, count):
    """Seconds of a ring all-reduce of so many bytes."""
    if count == 1:
        return 0.0
    moved = (
        2 * (count - 1) / count * size / ASSUMED["bandwidth between accelerators, bytes a second"]
    )
    return moved + 2 * (count - 1) * ASSUMED["latency of a message, s"]


def frames(share):
    """Denoising many frames with the shipped model: computing, and reading and writing them."""
    model = mcnn.load("denoise")
    channels = model.card.network["input_channels"]
    rate = ASSUMED["convolutions of an accelerator, operations a second"] * share
    computing = FRAMES * operations(model, (*FRAME, channels)) / rate
    moving = (
        FRAMES * 2 * 2 * np.prod(FRAME) / ASSUMED["storage for each accelerator, bytes a second"]
    )
    return {
        "operations": operations(model, (*FRAME, channels)),
        **{f"hours, {n}": max(computing, moving) / n / 3600 for n in (1, 64)},
        "hours of computing, 1": computing / 3600, "hours of reading and writing, 1": moving / 3600,
    }  # fmt: skip


rate = convolution_rate()
rows = {name: measured(name) for name in TRAININGS}
# The same share of the rate of convolutions as here.
shares = {n: r["operations"] / r["step, s a sample"] / rate for n, r in rows.items()}
table = {
    "assumed": ASSUMED, "cores here": os.cpu_count(),
    "convolutions here, operations a second": rate, "measured": rows,
    "share of the rate of convolutions": shares,
    "predicted": {n: {c: predicted(r, c, shares[n]) for c in (1, 64)} for n, r in rows.items()},
    "frames": frames(shares["denoising (Fig. 5)"]),
}  # fmt: skip
arguments.output.mkdir(parents=True, exist_ok=True)
with replacing(arguments.output / "scaling.json") as part:
    part.write_text(json.dumps(table, indent=2))

print("| training | operations a sample | gradients | step here | simulation here | 1 accelerator "
      "| 64 | most of the step: 1, 64 |\n|---|---|---|---|---|---|---|---|")  # fmt: skip
for name, row in rows.items():
    one, many = (table["predicted"][name][n] for n in (1, 64))
    print(f"| {name} | {row['operations'] / 1e9:.0f} G | {row['gradient bytes'] / 1e6:.0f} MB | "
          f"{1e3 * row['step, s a sample']:.0f} ms a sample | "
          f"{1e3 * row['simulation, s a sample']:.1f} ms a sample | {one['hours']:.2g} h | "
          f"{many['hours']:.2g} h | {one['most']}, {many['most']} |")  # fmt: skip
print(json.dumps(table["frames"], indent=2))
