"""The time of a network and of amplitude projections for equally good phases of a large field.

    python experiments/phase_speed.py                               # 15 minutes on two cores

Uses an unseen simulated field of cells with 1024x1024 pixels, with the noise of training. The
network uses its planes (median of warmed-up runs, including scaling). Amplitude projections, from
the same planes and from 16 planes (-256 to 256 um), use more and more iterations until their error
is at most the network's, or --iterations is reached. They start from zero, and from the phase of
transport of intensity with the regularisation that is best here, whose time is included. Wanted:
the network in less than a hundredth of the time. Writes metrics.json.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

import mcnn_keras as mcnn
from mcnn_keras.files import replacing
from mcnn_keras.focal_series import best_tie, iterative_phase, tie
from mcnn_keras.metrics import correlation, mean_absolute_error
from mcnn_keras.problems import from_card
from mcnn_keras.training.pipeline import fixed_set

parser = argparse.ArgumentParser()
parser.add_argument("--model", default="phase-52+52", help="a .h5 file, or a shipped model's name")
parser.add_argument("--size", type=int, default=1024)
parser.add_argument("--iterations", type=int, default=256, help="at most")
parser.add_argument("--output", type=Path, default=Path("runs/phase_speed"))
arguments = parser.parse_args()
arguments.output.mkdir(parents=True, exist_ok=True)

SEED = 4
# Twice as many each time: the iterations that suffice are known to a factor of two, and the time
# that counts is that of the smaller number whose error lies above the network's.
STEPS = [2**k for k in range(20) if 2**k <= arguments.iterations]
MANY = [float(z) for z in range(-256, 257, 32) if z]
results = {}

model = mcnn.load(arguments.model)
problem = from_card(model.card)
inputs, targets = fixed_set(problem, "test", 1, arguments.size, SEED)
image, truth = inputs[0, ..., : model.card.image_channels] + 1, targets[0, ..., 0]


def answered():
    began = time.perf_counter()
    phase = mcnn.predict(model, image)
    return time.perf_counter() - began, phase


answered()
network = float(np.median([answered()[0] for _ in range(7)]))
phase = answered()[1]
error = mean_absolute_error(phase, truth)
results["network"] = {
    "planes": len(problem.defocus), "seconds": network, "error": error,
    "correlation": correlation(phase, truth), "zero": float(np.abs(truth).mean()),
}  # fmt: skip
print(f"network, {len(problem.defocus)} planes: {network:.2f} s, error {error:.4f} rad "
      f"(zero {results['network']['zero']:.4f})", flush=True)  # fmt: skip

for planes in (problem.defocus, MANY):
    other = problem.from_config({**problem.config(), "defocus": planes, "input": "intensity"})
    stack, same = fixed_set(other, "test", 1, arguments.size, SEED)
    assert np.allclose(same[0, ..., 0], truth, atol=1e-5)
    _, best = best_tie(stack, same, planes, problem.optics)
    began = time.perf_counter()
    transport = tie(stack[0] + 1, planes, problem.optics, **best)
    started = time.perf_counter() - began
    found = mean_absolute_error(transport, truth)
    print(f"transport of intensity, {len(planes)} planes: error {found:.4f}", flush=True)
    for name, start, before in (("nothing", None, 0.0), ("transport", transport, started)):
        row = {"planes": len(planes), "of transport": found, "errors": {}, "seconds": {}}
        for iterations in STEPS:
            began = time.perf_counter()
            answer, _ = iterative_phase(stack[0] + 1, planes, problem.optics, iterations, start)
            row["seconds"][iterations] = time.perf_counter() - began + before
            row["errors"][iterations] = mean_absolute_error(answer, truth)
            if row["errors"][iterations] <= error:
                break
        reached = row["reached"] = row["errors"][iterations] <= error
        # Half as many iterations did not suffice, so the network is at least so much faster.
        enough = iterations // 2 if reached and iterations > 1 else iterations
        times = row["times the network's"] = row["seconds"][enough] / network
        results[f"projections, {len(planes)} planes, from {name}"] = row
        print(f"amplitude projections, {len(planes)} planes, from {name}: "
              f"{row['seconds'][iterations]:.1f} s for {iterations} iterations, error "
              f"{row['errors'][iterations]:.4f}; {enough} were too few and took "
              f"{times:.0f} times as long as the network (wanted: 100)",
              flush=True)  # fmt: skip

with replacing(arguments.output / "metrics.json") as part:
    part.write_text(json.dumps(results, indent=2))
