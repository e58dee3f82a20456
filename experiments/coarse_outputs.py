"""Where coarse outputs make a training faster or safer: one change of the network at a time.

    pip install ".[pictures]"
    python experiments/coarse_outputs.py                  # hours; each training takes up to minutes
    python experiments/coarse_outputs.py --only laplacian/light laplacian/light/sigmoid

Each variant is trained with its coarse outputs (MCNN) and without (U-Net), from the same seeds, for
256 steps of 8 fresh samples of 64x64, in float32. Three bases: `light`, the default network;
`plain`, the shape of the paper's network (one strided convolution in each cell, a last cell at full
size) with the width of `light`; and `paper`, with the paper's width and the six scales that fit
64x64. The other variants change one thing of a base. Prints the test error of the full-size output,
as a share of a constant answer's, at a quarter of the steps and at the end, of each seed; and
the ratio of the two networks' errors: above 1, the coarse outputs help.

There is one file for each training; those that are there are not repeated, so that the command can
be stopped and started again. --table prints what there is.
"""

import argparse
import json
import time
from pathlib import Path

import keras
import matplotlib
import numpy as np

import mcnn_keras as mcnn
from mcnn_keras.files import replacing
from mcnn_keras.problems import Denoise, Laplacian, Phase
from mcnn_keras.training import optimizer as optimizers
from mcnn_keras.training.build import build_model, first_sample, network_arguments, schedule
from mcnn_keras.training.devices import choose_strategy
from mcnn_keras.training.loop import Trainer
from mcnn_keras.training.settings import Settings
from mcnn_keras.training.workers import Workers

matplotlib.use("Agg")
from matplotlib import pyplot

SIZE, BATCH, EVERY = 64, 8, 32
PROBLEMS = {
    "laplacian": Laplacian,
    "phase": lambda: Phase(-108.0, input="intensity"),
    "denoise": lambda: Denoise(channels=None, window=1),
}
NARROW, WIDE = (32, 48, 96, 128, 160, 192), (64, 128, 256, 512, 576, 576)
PLAIN = {"filters": NARROW, "depth": 0, "full_size_filters": 32}
PAPER = {"filters": WIDE, "depth": 0, "full_size_filters": 64}
BASES = {"light": {"filters": NARROW}, "plain": PLAIN, "paper": PAPER}
# What is changed: arguments of the network, settings of the training, or one of the keys that
# `trained` knows.
CHANGES = {
    "3 scales": {"scales": 3},
    "4 scales": {"scales": 4},
    "plain cells": {"depth": 0},
    "last cell at full size": {"full_size_filters": 32},
    "last layer starts at random": {"last": "random"},
    "the paper's width": {"filters": WIDE},
    "sigmoid": {"sigmoid": True},
    "start of He": {"start": "he"},
    "start normal 0.02": {"start": "normal"},
    "rate 0.0003": {"learning_rate": 3e-4},
    "rate 0.003": {"learning_rate": 3e-3},
    "rate 0.01": {"learning_rate": 1e-2},
    "rate 0.03": {"learning_rate": 3e-2},
    "constant rate": {"schedule": "constant"},
    "constant rate, sigmoid": {"schedule": "constant", "sigmoid": True},
    "constant rate, sigmoid, no clipping": {
        "schedule": "constant", "sigmoid": True, "clipping": False,
    },
    "no clipping": {"clipping": False},
    "annealed weights": {"loss_weights": "annealed"},
    "growing": {"growing": True},
    "squared error": {"loss": "squared"},
    "squared error, rate 0.003": {"loss": "squared", "learning_rate": 3e-3},
    "as the authors": {
        "schedule": "constant", "sigmoid": True, "clipping": False, "start": "normal",
    },
}  # fmt: skip
# In the order of the trainings.
VARIANTS = [
    "laplacian/light", "laplacian/plain", "laplacian/plain/constant rate, sigmoid",
    "laplacian/plain/start of He", "laplacian/plain/rate 0.01",
    "laplacian/light/last cell at full size", "laplacian/light/plain cells",
    "laplacian/light/last layer starts at random", "laplacian/plain/sigmoid",
    "laplacian/plain/4 scales", "laplacian/plain/rate 0.003", "laplacian/paper",
    "laplacian/light/rate 0.003", "laplacian/light/rate 0.01",
    "laplacian/paper/constant rate, sigmoid", "laplacian/light/sigmoid",
    "laplacian/plain/growing", "laplacian/light/growing", "laplacian/plain/constant rate",
    "phase/light", "phase/plain", "denoise/light", "denoise/plain",
    "laplacian/light/4 scales", "laplacian/light/3 scales", "laplacian/plain/3 scales",
    "laplacian/plain/rate 0.0003", "laplacian/light/rate 0.0003",
    "laplacian/plain/start normal 0.02", "laplacian/light/constant rate",
    "laplacian/plain/no clipping", "laplacian/plain/annealed weights",
    "laplacian/plain/squared error", "laplacian/light/start of He",
    "laplacian/light/the paper's width", "laplacian/paper/rate 0.003", "laplacian/paper/rate 0.01",
    "laplacian/paper/start of He", "laplacian/paper/constant rate, sigmoid, no clipping",
    "laplacian/light/rate 0.03", "laplacian/plain/rate 0.03", "laplacian/paper/growing",
    "phase/paper", "denoise/paper", "phase/plain/growing", "denoise/plain/growing",
    "phase/plain/rate 0.003", "denoise/plain/rate 0.003",
    "laplacian/light/squared error", "denoise/light/squared error", "denoise/plain/squared error",
    "phase/plain/squared error", "laplacian/plain/squared error, rate 0.003",
    "laplacian/light/squared error, rate 0.003",
    "laplacian/plain/as the authors", "laplacian/paper/squared error",
    "laplacian/paper/as the authors",
]  # fmt: skip
NETWORKS = ("MCNN", "U-Net")

parser = argparse.ArgumentParser()
parser.add_argument("--seeds", type=int, default=2)
parser.add_argument("--steps", type=int, default=256, help=f"a multiple of {EVERY}")
parser.add_argument("--only", nargs="+", choices=VARIANTS, metavar="VARIANT", default=VARIANTS)
parser.add_argument("--table", action="store_true", help="train nothing")
parser.add_argument("--output", type=Path, default=Path("runs/coarse_outputs"))
arguments = parser.parse_args()


def started(model, kind, last, seed):
    """Give a network's layers other initial weights than Keras's (Glorot, uniform)."""
    drawn = np.random.default_rng(seed)
    interpolating = last != "random" and model.get_layer("output_1").kernel.shape[0] == 4
    for layer in model.layers:
        own = layer.name == "output_1"
        if not hasattr(layer, "kernel") or (own and interpolating):
            continue
        shape = layer.kernel.shape
        transposed = isinstance(layer, keras.layers.Conv2DTranspose)
        taps = shape[0] * shape[1] / (4 if transposed else 1)  # of one pixel of the result
        if kind == "he":
            deviation = np.sqrt(2 / (taps * shape[3 if transposed else 2]))
        elif kind == "normal":
            deviation = 0.02
        elif own and last == "random":
            limit = np.sqrt(6 / (shape[0] * shape[1] * (shape[2] + shape[3])))
            layer.kernel.assign(drawn.uniform(-limit, limit, shape))
            continue
        else:
            continue
        layer.kernel.assign(deviation * drawn.normal(size=shape))


def trained(name, network, seed):
    """Train one network; returns its curve."""
    kind, base, *change = name.split("/")
    changed = {**BASES[base], **(CHANGES[change[0]] if change else {})}
    scales, last, start = (changed.pop(key, None) for key in ("scales", "last", "start"))
    sigmoid, clipping = changed.pop("sigmoid", False), changed.pop("clipping", True)
    optimizers.CLIP_NORM = 1.0 if clipping else 1e9
    shape = {key: changed.pop(key) for key in ("depth", "full_size_filters") if key in changed}
    settings = Settings(**{
        "image_size": SIZE, "samples": BATCH * EVERY, "epochs": arguments.steps // EVERY,
        "batch_size": BATCH, "learning_rate": 1e-3, "precision": "float32", "seed": seed,
        **changed, "filters": changed["filters"][:scales],
        "branches": None if network == "MCNN" else 0,
    })  # fmt: skip
    problem = PROBLEMS[kind]().for_run(settings.samples * settings.epochs)
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    built = network_arguments(problem, settings, first_sample(problem, settings))
    model = build_model({**built, **shape}, "float32")
    started(model, start, last, seed)
    if sigmoid:
        heads = [keras.layers.Activation("sigmoid")(output) for output in model.outputs]
        model = keras.Model(model.inputs, heads)
    optimizer = optimizers.Adam(schedule(settings))
    optimizer.build(model.trainable_variables)
    trainer = Trainer(problem, settings, Workers(choose_strategy()), model, optimizer, None)
    batches, began = iter(trainer._batches()), time.monotonic()
    curve = {"parameters": model.count_params(), "steps": [], "error": []}
    try:
        while trainer.step < settings.steps:
            trainer._advance(next(batches))
            if trainer.step % EVERY == 0:
                curve["steps"].append(trainer.step)
                curve["error"].append(float(trainer.test_metrics()["test_mae"]))
    except mcnn.TrainingStopped as error:
        curve["stopped"] = str(error)
    curve["constant"] = float(trainer.test_metrics()["constant_answer_mae"])
    return {**curve, "settings": settings.asdict(), "seconds": time.monotonic() - began}


def share(curve, step):
    """The error at a step as a share of a constant answer's."""
    at = dict(zip(curve["steps"], curve["error"], strict=True))
    return at.get(step, np.nan) / curve["constant"]


def told(values):
    return " ".join("  -  " if np.isnan(v) else f"{v:5.3f}" for v in values)


folder = arguments.output / "runs"
folder.mkdir(parents=True, exist_ok=True)
places = (max(arguments.steps // 4 // EVERY, 1) * EVERY, arguments.steps)
rows = {}
print(f"{'':<54}" + "".join(f"{f'after {p} steps: MCNN, U-Net; ratio':<44}" for p in places))
for name in arguments.only:
    curves = {network: [] for network in NETWORKS}
    for seed in range(arguments.seeds):
        for network in NETWORKS:
            # Without coarse outputs, some changes change nothing.
            alone = network == "U-Net" and name.endswith(("growing", "annealed weights"))
            own = name.rsplit("/", 1)[0] if alone else name
            path = folder / f"{own.replace('/', '_').replace(' ', '-')}_{network}_{seed}.json"
            if not path.exists() and not arguments.table:
                made = trained(own, network, seed)
                with replacing(path) as part:
                    part.write_text(json.dumps(made, indent=1))
            if path.exists():
                curve = json.loads(path.read_text())
                if curve["settings"]["epochs"] * EVERY != arguments.steps:
                    raise SystemExit(f"{path} is of other --steps; name another --output")
                curves[network].append(curve)
    if not arguments.seeds == len(curves["MCNN"]) == len(curves["U-Net"]):
        continue
    row = rows[name] = {"curves": curves}
    line = f"{name:<54}"
    for place in places:
        ours, theirs = (np.array([share(c, place) for c in curves[n]]) for n in NETWORKS)
        row[f"ratio after {place}"] = (theirs / ours).tolist()
        line += f"{told(ours)}, {told(theirs)}; {told(theirs / ours)}".ljust(44)
    stopped = [n for n in NETWORKS for c in curves[n] if "stopped" in c]
    print(line + (f"not finite: {', '.join(stopped)}" if stopped else ""), flush=True)

if not rows:
    raise SystemExit("no variant is complete")
figure, axes = pyplot.subplots(figsize=(8, 1 + 0.24 * len(rows)))
for place, marker, colour in zip(places, "ox", ("tab:blue", "tab:red"), strict=True):
    dots = [(r, i) for i, row in enumerate(rows.values()) for r in row[f"ratio after {place}"]]
    axes.plot(*zip(*dots, strict=True), marker, color=colour, label=f"after {place} steps")
axes.axvline(1, color="grey", lw=1)
axes.set_yticks(range(len(rows)), list(rows))
axes.set(xscale="log", xlabel="error of the U-Net / error of the MCNN (a dot for each seed)")
axes.invert_yaxis()
axes.legend()
figure.tight_layout()
figure.savefig(arguments.output / "ratios.png", dpi=120)
with replacing(arguments.output / "metrics.json") as part:
    part.write_text(json.dumps(rows, indent=1))
