"""Figure 3 of the paper: phase and amplitude from 4, 8, 10 and 32 planes.

    python experiments/fig3_phase_amplitude.py --counts 8 32          # an hour a network
    python experiments/fig3_phase_amplitude.py --counts          # without them: 15 to 45 minutes

The shipped model for any planes, at the paper's exponential planes and with the optics of its HeLa
cells (0.525 um in oil of 1.518, aperture 1.35, 0.1625 um pixels); and networks for --counts of
these planes alone, with bottleneck cells and 3 coarse branches, which are trained in runs/ if they
do not exist. Prints errors of phase and amplitude and the time on unseen simulated cells, also for
multi-focus transport of intensity and amplitude projections from 50 planes (-500 to 500 um).
Wanted: the network with 32 planes at or below multi-focus transport of intensity. Also prints
errors by spatial frequency: slow changes of phase hardly show in planes near focus.
"""

import argparse
import json
import time
from itertools import pairwise
from pathlib import Path

import numpy as np

import mcnn_keras as mcnn
from mcnn_keras.channels import network_input
from mcnn_keras.files import replacing, to_grey, write_png
from mcnn_keras.focal_series import exponential_planes, iterative_phase, multi_focus_tie
from mcnn_keras.focal_series.retrieval import wave_of
from mcnn_keras.inference.engines import engine_of
from mcnn_keras.metrics import mean_absolute_error
from mcnn_keras.problems import Phase
from mcnn_keras.training.checkpoints import RunFolder
from mcnn_keras.training.pipeline import fixed_set

parser = argparse.ArgumentParser()
parser.add_argument("--counts", type=int, nargs="*", default=[8, 32],
                    help="of planes, each with a network of its own")  # fmt: skip
parser.add_argument("--samples", type=int, default=16)
parser.add_argument("--epochs", type=int, default=24, help="of 1,024 samples")
parser.add_argument("--runs", type=Path, default=Path("runs"))
parser.add_argument("--output", type=Path, default=Path("runs/fig3"))
arguments = parser.parse_args()
arguments.output.mkdir(parents=True, exist_ok=True)

OPTICS = mcnn.Optics(0.525, 0.1625, 1.35, 1.518)
# As the authors simulate it: up to 1 rad.
OPTIONS = {"optics": OPTICS, "amplitude": True, "phase_span": (0.2, 1.5)}
SIZE, SEED = 256, 3
COUNTS = (4, 8, 10, 32)  # of planes, in the paper
MANY = [s * 500 ** (k / 24) for k in range(25) for s in (-1, 1)]
BANDS = (0.0, 1 / 32, 1 / 8, 1.0)  # of the highest frequency

results, pictures = {}, {}


def note(name, phases, amplitudes, targets, seconds):
    """Print and keep a row of the table."""
    row = {"phase": mean_absolute_error(phases, targets[..., 0])}
    if amplitudes is not None:
        row["amplitude"] = mean_absolute_error(amplitudes, targets[..., 1])
    f = np.fft.fftfreq(SIZE)
    radius = 2 * np.hypot(f[:, None], f)
    power = np.mean(np.abs(np.fft.fft2(phases - targets[..., 0])) ** 2, axis=0) / SIZE**4
    for low, high in pairwise(BANDS):
        inside = (radius >= low) & (radius < (high if high < 1 else 2))
        row[f"phase, {low:.2g} to {high:.2g}"] = float(np.sqrt(power[inside].sum()))
    results[name] = {**row, "seconds": seconds}
    pictures[name] = phases[:3]
    print(f"{name:<46}" + "  ".join(f"{k} {v:.3g}" for k, v in results[name].items()), flush=True)


def answered(engine, contrasts):
    """The network's output; the fixed channels count in its time."""
    card = engine.card
    return engine.compute(network_input(contrasts, card.channels, card.measured_conditions()))


def simulated(count):
    """Contrasts of the planes, (samples, height, width, planes), their problem, and the targets."""
    problem = Phase(exponential_planes(count), input="physical", **OPTIONS)
    inputs, targets = fixed_set(problem, "test", arguments.samples, SIZE, SEED)
    return problem, inputs[..., :count], targets  # without the fixed channels


for count in arguments.counts:
    problem, images, targets = simulated(count)
    folder = RunFolder(arguments.runs / f"hela_{count}_planes")
    if not folder.model_path.exists():
        mcnn.train(problem, output=folder.path, resume=folder.config_path.exists(), image_size=SIZE,
                   samples=1024, epochs=arguments.epochs, cell="resnext", branches=3)  # fmt: skip
    engine = engine_of(mcnn.load(folder.model_path))
    answered(engine, images[:1])
    began = time.perf_counter()
    answers = np.concatenate([answered(engine, images[i : i + 1]) for i in range(len(images))])
    took = (time.perf_counter() - began) / len(images)
    answers[..., 0] -= answers[..., 0].mean((1, 2), keepdims=True)
    note(f"network, {count} planes", answers[..., 0], answers[..., 1], targets, took)

for count in COUNTS:
    problem, images, targets = simulated(count)
    for refine in (False, True):
        began = time.perf_counter()
        found = [
            wave_of(image + 1, problem.defocus, OPTICS, refine=refine, say=print)
            for image in images
        ]
        took = (time.perf_counter() - began) / len(images)
        phases, amplitudes = (np.stack([f[i] for f in found]) for i in (0, 1))
        name = f"the model of any planes, {count} planes{', refined' * refine}"
        phases -= phases.mean((1, 2), keepdims=True)
        note(name, phases, amplitudes, targets, took)
pictures = {"truth": targets[:3, ..., 0], **pictures}
note("zero and one", 0 * targets[..., 0], 0 * targets[..., 1] + 1, targets, 0.0)

problem = Phase(MANY, input="intensity", **OPTIONS)
images, targets = fixed_set(problem, "test", arguments.samples, SIZE, SEED)
images, planes = images + 1, np.array(problem.defocus)
best = None
for cutoff in np.geomspace(2e-3, 0.1, 6):
    for refinements in (0, 5):
        began = time.perf_counter()
        phases = np.stack([
            multi_focus_tie(i, planes, OPTICS, cutoff, refinements=refinements) for i in images
        ])  # fmt: skip
        took = (time.perf_counter() - began) / len(images)
        error = mean_absolute_error(phases, targets[..., 0])
        if best is None or error < best[0]:
            best = (error, phases, took)
note("multi-focus transport, 50 planes", best[1], None, targets, best[2])
began = time.perf_counter()
pairs = [
    iterative_phase(i, planes, OPTICS, 20, start=s) for i, s in zip(images, best[1], strict=True)
]
took = (time.perf_counter() - began) / len(images)
phases, amplitudes = (np.stack(part) for part in zip(*pairs, strict=True))
note("amplitude projections, 50 planes", phases, amplitudes, targets, took)

rows = []
for i in range(3):
    low, high = targets[i, ..., 0].min(), targets[i, ..., 0].max()
    rows.append(np.concatenate([to_grey(p[i], low, high) for p in pictures.values()], axis=1))
write_png(arguments.output / "fig3.png", np.concatenate(rows), 0, 255)
with replacing(arguments.output / "metrics.json") as part:
    part.write_text(json.dumps(results, indent=2))
print(f"phases in this order, the truth first: {arguments.output}/fig3.png")
