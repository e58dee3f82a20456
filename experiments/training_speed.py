"""How fast simulation and training are, beside the machine's own convolution rate, in one run.

    python experiments/training_speed.py        # 2 minutes on two cores

Medians of warmed-up repeats. Wanted: the pipeline alone at least three times as fast as training,
and the training step at 35 % or more of the machine's float32 convolution rate (64 to 64
channels, 3x3, 128x128). The step's operations are counted by TensorFlow's profiler for the
forward pass and tripled for the step (a backward pass costs twice the forward one). The fixed
channels belong to the simulation.
"""

import json
import time
from functools import partial
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.profiler import model_analyzer, option_builder

import mcnn_keras as mcnn
from mcnn_keras.files import replacing
from mcnn_keras.training import loop
from mcnn_keras.training.build import build_model, first_sample, network_arguments
from mcnn_keras.training.devices import choose_strategy, convolution_rate, faster_precision
from mcnn_keras.training.pipeline import stream

SIZE, BATCH = 256, 8
problem = mcnn.problems.Phase(-108, input="physical")
settings = mcnn.training.Settings(image_size=SIZE, batch_size=BATCH)
network = network_arguments(problem, settings, first_sample(problem, settings))


def seconds(compute, repeats=15):
    """Median time of a call, the first three left out."""
    times = []
    for _ in range(repeats + 3):
        began = time.perf_counter()
        compute()
        times.append(time.perf_counter() - began)
    return float(np.median(times[3:]))


model = mcnn.MCNN(**network)
image = tf.TensorSpec((1, SIZE, SIZE, network["input_channels"]))
graph = tf.function(lambda x: model(x)).get_concrete_function(image)
options = option_builder.ProfileOptionBuilder.float_operation()
options["output"] = "none"
operations = 3 * model_analyzer.profile(graph.graph, options=options).total_float_ops

rates = {precision: convolution_rate(precision) for precision in ("float32", "bfloat16")}
results = {"parameters": model.count_params(), "precision 'auto'": faster_precision()}
print(f"convolution: {rates['float32'] / 1e9:.0f} GFLOP/s in float32, "
      f"{rates['bfloat16'] / 1e9:.0f} in bfloat16; 'auto' takes {faster_precision()}")  # fmt: skip

batches = iter(stream(problem, "train", BATCH, SIZE, 0))
simulation = []
for _ in range(40):  # a full queue would look fast: time many batches together
    began = time.perf_counter()
    for _ in range(5):
        batch = next(batches)
    simulation.append((time.perf_counter() - began) / 5 / BATCH)
results["simulation, ms a sample"] = 1e3 * float(np.median(simulation[8:]))

for precision in ("float32", "bfloat16"):
    model = build_model(network, precision)
    optimizer = keras.optimizers.Adam()
    optimizer.build(model.trainable_variables)
    trainer = loop.Trainer(
        problem, mcnn.training.Settings(image_size=SIZE, batch_size=BATCH, samples=BATCH),
        choose_strategy(), model, optimizer, None,
    )  # fmt: skip
    ones = tf.ones(len(model.outputs))
    step = partial(trainer._compile(0, BATCH), weights=ones, fade=tf.constant(1.0))
    alone = seconds(lambda step=step: step(batch).numpy()) / BATCH
    together = seconds(lambda step=step: step(next(batches)).numpy()) / BATCH
    results[precision] = {
        "step alone, ms a sample": 1e3 * alone,
        "step with simulation, ms a sample": 1e3 * together,
        "step's rate, of the float32 convolution rate": operations / alone / rates["float32"],
        "simulation is faster than the step by": 1e3 * alone / results["simulation, ms a sample"],
    }
print(json.dumps(results, indent=2))
folder = Path("runs/training_speed")
folder.mkdir(parents=True, exist_ok=True)
with replacing(folder / "metrics.json") as part:
    part.write_text(json.dumps({**results, "convolution rates": rates}, indent=2))
