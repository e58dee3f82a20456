"""Figure 2 of the paper: phases from one and two planes, and classical methods with many planes.

    python experiments/fig2_phase.py

Three networks, for planes at -108, 108, and -52 and 52 um, with the optics of the paper's cheek
cells (0.65 um, 0.31 um pixels). They are trained in runs/ if they do not exist (35 minutes each).
Prints error, correlation and time on unseen simulated cells for each network; for transport of
intensity from the same planes with the regularisation that is best on the set; for both after
refinement (`variational_phase`); for GP-TIE from 128 planes (-256 to 256 um); and for amplitude
projections from 16 of them. Wanted: with one plane, half of the error of transport of intensity;
with two planes, at most its error, and at most 1.2 times that of GP-TIE.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

import mcnn_keras as mcnn
from mcnn_keras.channels import network_input
from mcnn_keras.files import replacing, to_grey, write_png
from mcnn_keras.focal_series import best_tie, gp_tie, iterative_phase, variational_phase
from mcnn_keras.inference.engines import engine_of
from mcnn_keras.metrics import correlation, mean_absolute_error
from mcnn_keras.problems import Phase
from mcnn_keras.training.checkpoints import RunFolder
from mcnn_keras.training.pipeline import fixed_set

parser = argparse.ArgumentParser()
parser.add_argument("--samples", type=int, default=32)
parser.add_argument("--many", type=int, default=8, help="samples for the methods of many planes")
parser.add_argument("--epochs", type=int, default=32)
parser.add_argument("--runs", type=Path, default=Path("runs"))
parser.add_argument("--output", type=Path, default=Path("runs/fig2"))
arguments = parser.parse_args()
arguments.output.mkdir(parents=True, exist_ok=True)

SEED, SIZE = 2, 256
NETWORKS = {"-108": [-108.0], "108": [108.0], "-52, 52": [-52.0, 52.0]}
MANY = np.arange(-256.0, 257.0, 4.0)
CUTOFFS = np.geomspace(1e-3, 0.05, 8)

results, pictures = {}, {}


def note(name, planes, answers, targets, seconds):
    """Print and keep a row of the table."""
    results[name] = {
        "planes": planes, "error": mean_absolute_error(answers, targets),
        "correlation": correlation(answers, targets), "seconds": seconds,
    }  # fmt: skip
    pictures[name] = answers[:4]
    print(f"{name:<42}" + "  ".join(f"{k} {v:.3g}" for k, v in results[name].items()), flush=True)


def refined(name, problem, images, starts):
    """The refined results of the first samples."""
    began = time.perf_counter()
    answers = np.stack([
        variational_phase(i, problem.defocus, problem.optics, start=s[..., 0])
        for i, s in zip(images[: arguments.many], starts, strict=False)
    ])[..., None]  # fmt: skip
    took = (time.perf_counter() - began) / len(answers)
    note(name, len(problem.defocus), answers, targets[: arguments.many], took)


def answered(engine, contrasts):
    """The network's output; the fixed channels count in its time."""
    card = engine.card
    return engine.compute(network_input(contrasts, card.channels, card.measured_conditions()))


targets = None
for name, planes in NETWORKS.items():
    problem = Phase(planes, input="physical")
    inputs, targets = fixed_set(problem, "test", arguments.samples, SIZE, SEED)
    images = inputs[..., : len(planes)]  # without the fixed channels
    folder = RunFolder(arguments.runs / problem.label)
    if not folder.model_path.exists():
        mcnn.train(problem, output=folder.path, resume=folder.config_path.exists(),
                   epochs=arguments.epochs)  # fmt: skip
    engine = engine_of(mcnn.load(folder.model_path))
    answered(engine, images[:1])
    began = time.perf_counter()
    answers = np.concatenate([answered(engine, images[i : i + 1]) for i in range(len(images))])
    took = (time.perf_counter() - began) / len(images)
    note(f"network, {name} um", len(planes), answers, targets, took)
    refined(f"network, {name} um, refined", problem, images, answers)
    began = time.perf_counter()
    answers, _ = best_tie(images, targets, problem.defocus, problem.optics)
    note(f"transport of intensity, {name} um", len(planes), answers, targets, float("nan"))
    refined(f"transport of intensity, {name} um, refined", problem, images, answers)
note("zero", 0, np.zeros_like(targets), targets, 0.0)

# The same objects at all planes: the object of a sample does not depend on the planes.
problem = Phase(MANY[MANY != 0].tolist(), input="intensity")
images, same = fixed_set(problem, "test", arguments.many, SIZE, SEED)
assert np.allclose(same, targets[: arguments.many], atol=1e-5)
images, planes = images + 1, np.array(problem.defocus)
best = None
for cutoff in CUTOFFS:
    began = time.perf_counter()
    answers = np.stack([gp_tie(i, planes, problem.optics, cutoff) for i in images])[..., None]
    took = (time.perf_counter() - began) / len(images)
    error = mean_absolute_error(answers, same)
    if best is None or error < best[0]:
        best = (error, answers, took)
note("GP-TIE, 128 planes", 128, best[1], same, best[2])
few = np.arange(0, 128, 8)
began = time.perf_counter()
answers = np.stack([
    iterative_phase(i[..., few], planes[few], problem.optics, 50, start=s[..., 0])[0]
    for i, s in zip(images, best[1], strict=True)
])[..., None]  # fmt: skip
took = (time.perf_counter() - began) / len(images)
note("amplitude projections, 16 planes", 16, answers, same, took)

for one in ("-108", "108"):
    ratio = results[f"network, {one} um"]["error"]
    ratio /= results[f"transport of intensity, {one} um"]["error"]
    print(f"{one} um: {100 * ratio:.0f} % of transport of intensity's error (wanted: 50)")
two = results["network, -52, 52 um"]["error"]
share = two / results["transport of intensity, -52, 52 um"]["error"]
print(f"two planes: {100 * share:.0f} % of transport of intensity's error (wanted: 100)")
print(f"two planes: {100 * two / results['GP-TIE, 128 planes']['error']:.0f} % of GP-TIE's error "
      "from 128 (wanted: 120)")  # fmt: skip
rows = []
for i in range(min(4, arguments.many)):
    low, high = targets[i].min(), targets[i].max()
    shown = [to_grey(a[i, ..., 0], low, high) for a in pictures.values()]
    rows.append(np.concatenate([to_grey(targets[i, ..., 0], low, high), *shown], axis=1))
write_png(arguments.output / "fig2.png", np.concatenate(rows), 0, 255)
with replacing(arguments.output / "metrics.json") as part:
    part.write_text(json.dumps(results, indent=2))
print(f"truth, then the answers in this order: {arguments.output}/fig2.png")
