"""What the paper's trainings, and denoising a billion frames, would take on many accelerators.

    python experiments/scaling.py          # 15 minutes on two cores; prints scaling.md's tables

Measured here: operations of a training step (TensorFlow's profiler, beside a count by hand), bytes
of the gradients, time of a step and of a simulated sample, and the machine's rate of convolutions.
Predicted from them and from `ASSUMED`: the step of N accelerators, each with its own batch, takes

    max(computing, simulating, reading) + reducing
    reducing = 2 (N - 1) / N bytes / bandwidth + 2 (N - 1) latency

as in the ring all-reduce of Patarasuk and Yuan (J. Parallel Distrib. Comput. 69 (2009), 117), not
overlapped with the rest. Checked with two processes, each on one core, that train together as with
`train --distributed`: the time of a step from that of one process alone and the formula, whose
bandwidth and latency come from arrays of other sizes, beside the measured one. Wanted: within 20 %.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

SHARE = "share of the convolution rate"
RATE = "convolutions of an accelerator, operations a second"
ASSUMED = {
    RATE: 300e12,
    "processor cores for each accelerator": 16,
    "bandwidth between accelerators, bytes a second": 25e9,
    "latency of a message, s": 10e-6,
    "file system, shared by all, bytes a second": 10e9,
}
BATCH, SAMPLES = 8, 4  # of a step: for each accelerator, and in the measured ones
COUNTS = (1, 8, 64, 512)
HERE = len(os.sched_getaffinity(0))  # cores
# `size` is the width of the images measured here; `pixels` of a sample, `read` bytes for it, and
# `told`, of the time on two GTX 1080 Ti, are the paper's.
Training = namedtuple("Training", "problem preset size samples pixels read told")
TRAININGS = {
    "phase (Fig. 2)":
        Training("phase", "paper", 256, 2048 * 32, 1024**2, 1024**2, "a few hours"),
    "reflection (Fig. 4)":
        Training("reflection", "paper-bottleneck", 256, 768 * 256, 640 * 384,
                 3 * (640 * 360 + 1280 * 720), "half a day"),
    "denoising (Fig. 5)":
        Training("denoise", "paper", 256, 2048 * 4096, 512**2, 512**2, "about one week"),
}  # fmt: skip
PAPERS = 2 * 11.3e12 / 3  # convolutions of the paper's accelerators, of the nominal rate as above
FRAMES, FRAME = 10**9, 128
CHECKED = {"light": 4, "paper": 2}  # presets, and samples of a step for each worker
SMALL, LARGE = 2**10, 2**24  # numbers in the arrays of which the formula's constants come


def problem_of(name):
    """As in the paper: phases from one plane, single frames with low-pass filters."""
    from mcnn_keras import problems

    arguments = {"phase": {"defocus": -108}, "denoise": {"window": 1, "channels": "low_pass"}}
    return getattr(problems, name.capitalize())(**arguments.get(name, {}))


def seconds(compute, repeats, warm=2):
    """Median time of a call, the first ones left out."""
    times = []
    for _ in range(repeats + warm):
        began = time.perf_counter()
        compute()
        times.append(time.perf_counter() - began)
    return float(np.median(times[warm:]))


def trainer(strategy, problem, batch, size, preset):
    """A run that has not begun."""
    import keras

    from mcnn_keras.training import build, loop, optimizer, settings, workers

    keras.utils.set_random_seed(0)
    told = settings.Settings(image_size=size, batch_size=batch, samples=batch, preset=preset)
    network = build.network_arguments(problem, told, build.first_sample(problem, told))
    with strategy.scope():
        model = build.build_model(network, "float32")
        adam = optimizer.Adam(told.learning_rate)
        adam.build(model.trainable_variables)
    return loop.Trainer(problem, told, workers.Workers(strategy), model, adam, None)


def profiled(compute, shape):
    """Operations that TensorFlow's profiler counts: two for a multiplication with addition."""
    import tensorflow as tf
    from tensorflow.python.profiler import model_analyzer, option_builder

    function = tf.function(compute, autograph=False).get_concrete_function(tf.TensorSpec(shape))
    options = {**option_builder.ProfileOptionBuilder.float_operation(), "output": "none"}
    return model_analyzer.profile(function.graph, options=options).total_float_ops


def by_hand(model, shape):
    """Operations of the convolutions of a model for one image, from kernels and sizes alone."""
    import keras

    fixed = keras.models.clone_model(model, input_tensors=keras.Input(shape))
    total = 0
    for layer in fixed.layers:
        kind = type(layer).__name__
        if "Conv" in kind:  # each number of a kernel is used once for each place
            places = layer.input if "Transpose" in kind else layer.output
            total += 2 * int(np.prod(layer.kernel.shape)) * places.shape[1] * places.shape[2]
    return total


def measured(training, repeats):
    """What a training costs here, and what it does."""
    import tensorflow as tf

    from mcnn_keras.training.devices import choose_strategy, convolution_rate
    from mcnn_keras.training.optimizer import apply_clipped
    from mcnn_keras.training.pipeline import stream

    of = TRAININGS[training]
    problem = problem_of(of.problem)
    run = trainer(choose_strategy(0), problem, SAMPLES, of.size, of.preset)
    batches = iter(stream(problem, "train", SAMPLES, of.size, 0))
    first = next(batches)
    shape, weights = tuple(first[0].shape[1:]), run.model.trainable_variables

    def gradients(images):
        with tf.GradientTape() as tape:
            error = sum(tf.reduce_sum(output**2) for output in run.model(images))
        return tape.gradient(error, [weight.value for weight in weights])

    @tf.function(autograph=False)
    def update():
        nothing = [tf.zeros(weight.shape) for weight in weights]
        run.strategy.run(lambda: apply_clipped(run.optimizer, nothing, weights))

    simulated = seconds(lambda: [next(batches) for _ in range(5)], repeats) / 5 / SAMPLES
    updating = seconds(update, repeats)
    rates = [convolution_rate()]
    step = seconds(lambda: run._advance(first), repeats)
    rates.append(convolution_rate())  # a shared machine is not always as fast
    row = {
        "image": shape, "times as large in the paper": of.pixels / (shape[0] * shape[1]),
        "operations": profiled(gradients, (1, *shape)),
        "forward": profiled(lambda images: run.model(images), (1, *shape)),
        "by hand": by_hand(run.model, shape),
        "gradient bytes": 4 * sum(int(np.prod(weight.shape)) for weight in weights),
        "step, s": step, "updating, s": updating,
        "computing, s a sample": (step - updating) / SAMPLES,
        "simulating, s a sample": simulated,
        "convolutions here, operations a second": float(np.mean(rates)),
    }  # fmt: skip
    return row | {SHARE: row["operations"] / row["computing, s a sample"] / np.mean(rates)}


def measured_frames(repeats):
    """What the shipped network for denoising, and preparing its frames, costs here."""
    import mcnn_keras as mcnn
    from mcnn_keras.inference.engines import engine_of
    from mcnn_keras.inference.stack import predict_stack
    from mcnn_keras.training.devices import convolution_rate

    model = mcnn.load("denoise")
    engine, channels = engine_of(model), model.card.network["input_channels"]
    frames = np.random.default_rng(0).poisson(2.0, (64, FRAME, FRAME, 1)).astype(np.float32)
    ready, rates = np.repeat(frames[:16], channels, axis=-1), [convolution_rate()]
    whole = seconds(lambda: predict_stack(model, frames), repeats) / len(frames)
    alone = seconds(lambda: engine.compute(ready), 4 * repeats) / len(ready)
    rates.append(convolution_rate())
    operations = profiled(lambda images: model(images), (1, FRAME, FRAME, channels))
    return {
        "operations": operations, "network, s a frame": alone,
        "preparing, s a frame": max(whole - alone, 0.0),
        SHARE: operations / alone / np.mean(rates),
    }  # fmt: skip


def all_reduce(size, count, bandwidth, latency):
    """Seconds of a ring all-reduce of so many bytes."""
    return 2 * (count - 1) / count * size / bandwidth + 2 * (count - 1) * latency


def parts_of_step(training, row, count, assumed):
    """Seconds of the parts of a step on a number of accelerators."""
    rate, cores, bandwidth, latency, files = assumed.values()
    larger = row["times as large in the paper"]
    operations = larger * row["operations"] / row[SHARE]
    return {
        "computing": BATCH * operations / rate,
        "simulating": BATCH * larger * row["simulating, s a sample"] * HERE / cores,
        "reading": BATCH * TRAININGS[training].read * count / files,
        "reducing": all_reduce(row["gradient bytes"], count, bandwidth, latency),
    }


def training_time(training, row, count, assumed=ASSUMED):
    *overlapping, reducing = parts_of_step(training, row, count, assumed).values()
    steps = TRAININGS[training].samples / (BATCH * count)
    return steps * (max(overlapping) + reducing) / 3600


def hours_of_frames(row, count, assumed=ASSUMED):
    """Of the parts of denoising the frames, which overlap."""
    rate, cores, _, _, files = assumed.values()
    operations = row["operations"] / row[SHARE]
    return {
        "computing": FRAMES * operations / rate / count / 3600,
        "preparing": FRAMES * row["preparing, s a frame"] * HERE / cores / count / 3600,
        "reading and writing": FRAMES * 2 * 2 * FRAME**2 / files / 3600,  # 16 bits each
    }


def start_workers(rounds, steps):
    """Two processes, each on a core of its own; returns what the first one has measured."""
    with socket.create_server(("", 0)) as one, socket.create_server(("", 0)) as other:
        addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in (one, other)]
    cores = sorted(os.sched_getaffinity(0))[:2]
    processes = []
    for index, core in enumerate(cores):
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        words = map(str, ("--worker", core, "--rounds", rounds, "--steps", steps))
        processes.append(subprocess.Popen([sys.executable, __file__, *words], text=True,
            stdout=subprocess.PIPE, env={**os.environ, "TF_CONFIG": json.dumps(task)}))  # fmt: skip
    texts = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise SystemExit("a worker has failed; see above")
    return json.loads(texts[0].splitlines()[-1])


def worker(rounds, steps):
    """One of the two: blocks of steps alone, of both at once, and of both together, in turn."""
    import tensorflow as tf

    from mcnn_keras.training import distributed_strategy
    from mcnn_keras.training.workers import Workers

    strategy = distributed_strategy(wait=100.0)
    both = Workers(strategy)

    def sums(size):
        def own():
            return tf.distribute.get_replica_context().all_reduce("SUM", tf.ones(size))[0]

        compiled = tf.function(lambda: strategy.run(own), autograph=False)
        return lambda: compiled().numpy()

    def block(run, batches):
        batches = iter(batches * steps)
        return seconds(lambda: run._advance(next(batches)), steps, warm=1)

    found, small, large = {}, sums(SMALL), sums(LARGE)
    for preset, batch in CHECKED.items():
        problem, core = problem_of("phase"), tf.distribute.OneDeviceStrategy("/cpu:0")
        alone = trainer(core, problem, batch, 128, preset)
        together = trainer(strategy, problem, 2 * batch, 128, preset)
        ready = [[next(batches) for _ in range(2)]
                 for batches in (iter(alone._batches()), iter(together._batches()))]  # fmt: skip
        weights = sum(int(np.prod(v.shape)) for v in alone.model.trainable_variables)
        own = sums(weights)
        times = {n: [] for n in ("alone", "at once", "together", "all-reduce", "small", "large")}
        for _ in range(rounds + 1):
            both.any(False)  # waits for the other worker, here and below
            times["alone"].append(block(alone, ready[0]) if both.chief else 0.0)
            both.any(False)
            times["at once"].append(block(alone, ready[0]))
            both.any(False)
            times["together"].append(block(together, ready[1]))
            for name, add in {"all-reduce": own, "small": small, "large": large}.items():
                times[name].append(seconds(add, 5))
        found[preset] = {"bytes": 4 * weights, **{name: t[1:] for name, t in times.items()}}
    both.any(False)
    print(json.dumps(found))


def compared(checked):
    """Predicted and measured steps of two workers; medians of the rounds."""
    rows = {}
    for preset in CHECKED:
        size = checked[preset]["bytes"]
        times = {n: np.array(t) for n, t in checked[preset].items() if n != "bytes"}
        bandwidth = 4 * (LARGE - SMALL) / (times["large"] - times["small"])
        times["formula"] = all_reduce(size, 2, bandwidth, times["small"] / 2)
        times["predicted"] = times["alone"] + times["formula"]
        off = times["together"] / times["predicted"] - 1
        rest = times["together"] / (times["at once"] + times["all-reduce"]) - 1
        rows[preset] = {
            "bytes": size, **{f"{n}, s": float(np.median(t)) for n, t in times.items()},
            "off": np.percentile(off, [50, 25, 75]).tolist(),
            "off, both at once and measured all-reduce": float(np.median(rest)),
        }  # fmt: skip
    return rows


def hour(value):
    return f"{value:,.0f} h" if value >= 10 else f"{value:.2g} h"


def show(title, columns, rows):
    print(f"\n## {title}\n\n| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    for row in rows:
        print(f"| {' | '.join(str(cell) for cell in row)} |")


def show_all(rows, frames, checked):
    show("Measured here", (
        "training", "image measured", "gradients", "operations a sample", "forward: profiler, by "
        "hand", f"step of {SAMPLES}", "of the convolution rate", "updating the weights",
        "simulating a sample",
    ), [(
        name, "x".join(map(str, row["image"][:2])), f"{row['gradient bytes'] / 1e6:.0f} MB",
        f"{row['operations'] / 1e9:.1f} G",
        f"{row['forward'] / 1e9:.2f} G, {row['by hand'] / 1e9:.2f} G",
        f"{row['step, s']:.2f} s",
        f"{row[SHARE]:.0%} of {row['convolutions here, operations a second'] / 1e9:.0f} G a second",
        f"{row['updating, s']:.2f} s", f"{1e3 * row['simulating, s a sample']:.1f} ms",
    ) for name, row in rows.items()])  # fmt: skip
    show("Predicted", (
        "training", "pixels", "operations a sample", "samples", "1 accelerator", "64",
        "steps on 64", "two GTX 1080 Ti", "the paper's time on these",
    ), [(
        name, f"{of.pixels:,}", f"{work / 1e9:.0f} G", f"{of.samples:,}",
        *(hour(training_time(name, row, n)) for n in (1, 64)), of.samples // BATCH // 64,
        hour(of.samples * work / row[SHARE] / PAPERS / 3600), of.told,
    ) for name, row in rows.items() for of in [TRAININGS[name]]
      for work in [row["operations"] * row["times as large in the paper"]]])  # fmt: skip
    of_frames = [hours_of_frames(frames, n) for n in (1, 64)]
    show(f"{FRAMES:,} frames of {FRAME}x{FRAME}", ("", "1 accelerator", "64"), [
        *((part, *(hour(each[part]) for each in of_frames)) for part in of_frames[0]),
        ("all, at the same time", *(hour(max(each.values())) for each in of_frames)),
    ])  # fmt: skip
    lines, changed = [], []
    for name, row in rows.items():
        steps = [parts_of_step(name, row, n, ASSUMED) for n in COUNTS]
        for part in steps[0]:
            marks = ["**" if each[part] == max(each.values()) else "" for each in steps]
            cells = [f"{m}{1e3 * each[part]:.3g}{m}" for m, each in zip(marks, steps, strict=True)]
            lines.append((name, part, *cells))
    show("Where the time goes, ms a step", ("training", "", *map(str, COUNTS)), lines)
    for name, value in ASSUMED.items():
        other = {**ASSUMED, name: value * (2 if "latency" in name else 0.5)}
        times = [training_time(n, row, 64, other) / training_time(n, row, 64)
                 for n, row in rows.items()]  # fmt: skip
        slower = hours_of_frames(frames, 64, other)
        times.append(max(slower.values()) / max(of_frames[1].values()))
        changed.append((name, f"{value:g}", *(f"{each:.2f}" for each in times)))
    show("Times as long on 64, if an assumption is twice too good",
         ("assumption", "value", *rows, "frames"), changed)  # fmt: skip
    show("Two processes, each on one core", (
        "network", "gradients", "GB/s", "step of one alone", "all-reduce, formula", "measured",
        "step of two, predicted", "measured", "off (quartiles)", "step of one, the other one "
        "working alone, too", "off from this and the measured all-reduce",
    ), [(
        name, f"{row['bytes'] / 1e6:.0f} MB", f"{row['bytes'] / row['all-reduce, s'] / 1e9:.2f}",
        *(f"{1e3 * row[f'{part}, s']:.0f} ms" for part in
          ("alone", "formula", "all-reduce", "predicted", "together")),
        "{:+.0%} ({:+.0%} to {:+.0%})".format(*row["off"]), f"{1e3 * row['at once, s']:.0f} ms",
        f"{row['off, both at once and measured all-reduce']:+.0%}",
    ) for name, row in compared(checked).items()])  # fmt: skip


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--repeats", type=int, default=9)
    options.add_argument("--rounds", type=int, default=10, help="of the two processes")
    options.add_argument("--steps", type=int, default=5, help="in each block of a round")
    options.add_argument("--output", type=Path, default=Path("runs/scaling"))
    options.add_argument("--worker", type=int, help=argparse.SUPPRESS)  # on this core
    given = options.parse_args()
    if given.worker is not None:
        os.sched_setaffinity(0, {given.worker})  # before TensorFlow counts the cores
        return worker(given.rounds, given.steps)

    from mcnn_keras.files import replacing

    checked = start_workers(given.rounds, given.steps)
    rows = {name: measured(name, given.repeats) for name in TRAININGS}
    frames = measured_frames(given.repeats)
    given.output.mkdir(parents=True, exist_ok=True)
    found = {
        "assumed": ASSUMED, "cores": HERE, "measured": rows, "frames": frames,
        "hours": {n: {c: training_time(n, row, c) for c in COUNTS} for n, row in rows.items()},
        "two processes": compared(checked), "rounds": checked,
    }  # fmt: skip
    with replacing(given.output / "metrics.json") as part:
        part.write_text(json.dumps(found, indent=2))
    show_all(rows, frames, checked)


if __name__ == "__main__":
    main()
