"""Figure 1 of the paper: the speed with which an MCNN and a U-Net learn to invert a Laplacian.

    pip install ".[pictures]"
    python experiments/fig1_convergence.py          # 1 h 45 min on two busy cores
    python experiments/fig1_convergence.py --schedules cosine constant          # twice as long
    python experiments/fig1_convergence.py --preset light --output runs/fig1_light

Both networks start from the same seeds, with the same fresh pictures of 128x128, optimiser and
number of steps; the U-Net is the MCNN without its coarse outputs. The test error of the full-size
output is measured every 16 steps. Prints the errors, and the steps that each network needs to an
error of 0.15, 0.10 and 0.07, beside a constant answer and the exact inverse in Fourier space with
the regularisation that is best on the test set. Draws the curves against steps and against seconds:
steps times the median time of a step, from blocks of steps of the two networks in turn. In the
paper, the MCNN reaches about 0.07 within about 100 steps, and the U-Net stays at about 0.2.

A finished training is not repeated, and one that was broken off goes on, so that the command can be
stopped and started again.
"""

import argparse
import json
import shutil
import time
from pathlib import Path

import keras
import matplotlib
import numpy as np

import mcnn_keras as mcnn
from mcnn_keras.files import replacing
from mcnn_keras.metrics import mean_absolute_error
from mcnn_keras.problems import Laplacian
from mcnn_keras.training.build import build_model, first_sample, network_arguments
from mcnn_keras.training.devices import choose_strategy
from mcnn_keras.training.loop import Trainer
from mcnn_keras.training.optimizer import Adam
from mcnn_keras.training.pipeline import fixed_set
from mcnn_keras.training.settings import Settings
from mcnn_keras.training.workers import Workers

matplotlib.use("Agg")
from matplotlib import pyplot

NETWORKS = {"MCNN": None, "U-Net": 0}  # the number of coarse outputs; None: as the preset
COLOURS = {"MCNN": "tab:blue", "U-Net": "tab:orange"}
LEVELS = (0.15, 0.10, 0.07)
SHOWN = (32, 64, 96, 128, 192, 256, 400)
BLOCKS, BLOCK = 5, 6  # of steps, to measure the time of one

parser = argparse.ArgumentParser()
parser.add_argument("--preset", choices=["light", "fast", "paper"], default="paper")
parser.add_argument("--seeds", type=int, default=3)
parser.add_argument("--steps", type=int, default=400)
parser.add_argument("--every", type=int, default=16, help="steps from one test to the next")
parser.add_argument("--schedules", nargs="+", choices=["cosine", "constant"], default=["cosine"])
parser.add_argument("--learning-rate", type=float, default=1e-3)
parser.add_argument("--loss-weights", default="constant")
parser.add_argument("--image-size", type=int, default=128)
parser.add_argument("--boundary", choices=["zero", "open"], default="zero")
parser.add_argument("--output", type=Path, default=Path("runs/fig1"))
arguments = parser.parse_args()

problem = Laplacian(boundary=arguments.boundary)


def settings_of(network, schedule, seed):
    return {
        "preset": arguments.preset, "branches": NETWORKS[network], "seed": seed, "batch_size": 8,
        "image_size": arguments.image_size, "samples": 8 * arguments.every,
        "epochs": arguments.steps // arguments.every, "schedule": schedule,
        "learning_rate": arguments.learning_rate, "loss_weights": arguments.loss_weights,
        "precision": "float32",
    }  # fmt: skip


def curve_of(network, schedule, seed):
    """The test error over the steps of a training, made or finished now, or read."""
    folder = arguments.output / f"{arguments.preset}_{schedule}_{seed}_{network}"
    kept, settings = folder / "curve.json", settings_of(network, schedule, seed)
    if kept.exists():
        curve = json.loads(kept.read_text())
        if curve.pop("settings") != settings:
            raise SystemExit(f"{folder} is of other settings; name another folder with --output")
        return curve
    curve = {}
    try:
        going_on = (folder / "config.json").exists()
        history = mcnn.train(problem, output=folder, resume=going_on, **settings).history
    except mcnn.TrainingStopped as error:
        curve["stopped"] = str(error)
        names = (folder / "history.csv").read_text().split()
        rows = [zip(names[0].split(","), row.split(","), strict=True) for row in names[1:]]
        history = [{name: float(value) for name, value in row} for row in rows]
    curve["steps"] = [int(row["step"]) for row in history]
    curve["error"] = [row["test_mae"] for row in history]
    with replacing(kept) as part:
        part.write_text(json.dumps({"settings": settings, **curve}))
    shutil.rmtree(folder / "checkpoints")
    keras.utils.clear_session()
    return curve


def seconds_per_step():
    """The median time of a step of each network, from blocks of steps in turn."""
    kept = arguments.output / f"seconds_{arguments.preset}_{arguments.image_size}.json"
    if kept.exists():
        return json.loads(kept.read_text())
    trainers = {}
    for network in NETWORKS:
        settings = Settings(**settings_of(network, "constant", 0))
        shape = network_arguments(problem, settings, first_sample(problem, settings))
        model = build_model(shape, "float32")
        optimizer = Adam(settings.learning_rate)
        optimizer.build(model.trainable_variables)
        trainer = Trainer(problem, settings, Workers(choose_strategy()), model, optimizer, None)
        trainers[network] = trainer, iter(trainer._batches())
    taken = {network: [] for network in NETWORKS}
    for block in range(BLOCKS + 1):
        for network, (trainer, batches) in trainers.items():
            for _ in range(BLOCK):
                batch = next(batches)
                began = time.perf_counter()
                trainer._advance(batch)
                if block:  # the first block compiles
                    taken[network].append(time.perf_counter() - began)
    keras.utils.clear_session()
    found = {network: float(np.median(times)) for network, times in taken.items()}
    with replacing(kept) as part:
        part.write_text(json.dumps(found))
    return found


def steps_to(curve, level):
    pairs = zip(curve["steps"], curve["error"], strict=True)
    return next((step for step, error in pairs if error <= level), None)


arguments.output.mkdir(parents=True, exist_ok=True)
seconds = seconds_per_step()
print("seconds a step: " + ", ".join(f"{name} {value:.2f}" for name, value in seconds.items()))
images, targets = fixed_set(problem, "test", 64, arguments.image_size, 0)
answers, chosen = problem.baselines["Fourier inverse"](images, targets)
results = {
    "seconds a step": seconds,
    "Fourier inverse": mean_absolute_error(answers, targets),
    "constant": float(np.abs(targets - np.median(targets)).mean()),
    "curves": {},
}
print(f"exact inverse {results['Fourier inverse']:.4f} at regularisation "
      f"{chosen['regularization']:.2g}; a constant {results['constant']:.4f}")  # fmt: skip
shown = [step for step in SHOWN if step % arguments.every == 0 and step < arguments.steps]
print(f"{'':<22}{'error after ' + ', '.join(map(str, [*shown, 'the last'])) + ' steps':<64}"
      f"steps to {', '.join(map(str, LEVELS))}")  # fmt: skip
for schedule in arguments.schedules:
    results["curves"][schedule] = {network: [] for network in NETWORKS}
    for seed in range(arguments.seeds):
        for network in NETWORKS:
            curve = curve_of(network, schedule, seed)
            results["curves"][schedule][network].append(curve)
            at = dict(zip(curve["steps"], curve["error"], strict=True))
            errors = [f"{at[step]:.3f}" for step in shown if step in at]
            print(f"{schedule:<9} {seed}  {network:<8}  "
                  f"{' '.join([*errors, format(curve['error'][-1], '.4f')]):<64}"
                  f"{' '.join(str(steps_to(curve, level)) for level in LEVELS)}"
                  f"  {curve.get('stopped', '')}", flush=True)  # fmt: skip

rows = len(arguments.schedules)
figure, panels = pyplot.subplots(rows, 2, figsize=(10, 4 * rows), sharey=True, squeeze=False)
for line, schedule in zip(panels, arguments.schedules, strict=True):
    for panel, unit in zip(line, ("steps", "seconds"), strict=True):
        for network, curves in results["curves"][schedule].items():
            scale = 1 if unit == "steps" else seconds[network]
            for i, curve in enumerate(curves):
                panel.plot(scale * np.array(curve["steps"]), curve["error"], COLOURS[network],
                           label=network if i == 0 else None)  # fmt: skip
        panel.axhline(results["constant"], color="grey", ls=":", label="constant answer")
        panel.axhline(results["Fourier inverse"], color="tab:green", ls="--", label="exact inverse")
        panel.set(xlabel=unit, yscale="log", title=f"learning rate: {schedule}")
    line[0].set_ylabel("test error of the full-size output")
panels[0, 0].legend()
figure.tight_layout()
figure.savefig(arguments.output / "curves.png", dpi=120)
with replacing(arguments.output / "metrics.json") as part:
    part.write_text(json.dumps(results, indent=2))
