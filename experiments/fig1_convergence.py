"""Figure 1 of the paper: the speed with which an MCNN and a U-Net learn to invert a Laplacian.

    pip install ".[pictures]" && python experiments/fig1_convergence.py          # 13 minutes

Both start from the same seeds, with the same 768 pictures of 128x128, optimiser and budget; the
U-Net is the MCNN without its coarse outputs. Prints the final test error of the full-size output,
the number of steps after which each reaches the U-Net's best error, and the error of the exact
inverse in Fourier space with the regularisation that is best on the test set. Draws the curves
against steps and against seconds. In the paper, the MCNN reaches about 0.07, and the U-Net stays at
about 0.2. Wanted: the U-Net's best in a fifth of its steps, and 0.07 at the end.
"""

import argparse
import json
from pathlib import Path

import matplotlib
import numpy as np

import mcnn_keras as mcnn
from mcnn_keras.files import replacing
from mcnn_keras.metrics import mean_absolute_error
from mcnn_keras.problems import Laplacian
from mcnn_keras.training.pipeline import fixed_set

matplotlib.use("Agg")
from matplotlib import pyplot

parser = argparse.ArgumentParser()
parser.add_argument("--seeds", type=int, default=3)
parser.add_argument("--epochs", type=int, default=16)
parser.add_argument("--image-size", type=int, default=128)
parser.add_argument("--boundary", choices=["zero", "open"], default="zero")
parser.add_argument("--learning-rate", type=float, default=1e-3)
parser.add_argument("--loss-weights", default="constant")
parser.add_argument("--output", type=Path, default=Path("runs/fig1"))
arguments = parser.parse_args()
arguments.output.mkdir(parents=True, exist_ok=True)

problem = Laplacian(boundary=arguments.boundary)
NETWORKS = {"MCNN": None, "U-Net": 0}
curves = {name: [] for name in NETWORKS}
for seed in range(arguments.seeds):
    for name, branches in NETWORKS.items():
        run = mcnn.train(
            problem, branches=branches, seed=seed, image_size=arguments.image_size,
            samples=768, epochs=arguments.epochs, batch_size=8, fresh=False,
            learning_rate=arguments.learning_rate, loss_weights=arguments.loss_weights,
        )  # fmt: skip
        curve = {
            "steps": [row["step"] for row in run.history],
            "seconds": np.cumsum([row["seconds"] for row in run.history]).tolist(),
            "error": [row["test_mae"] for row in run.history],
        }
        curves[name].append(curve)
        print(f"seed {seed}  {name:<6}  test MAE {curve['error'][-1]:.4f}, best "
              f"{min(curve['error']):.4f}, {curve['seconds'][-1]:.0f} s", flush=True)  # fmt: skip

results = {"curves": curves, "steps to the U-Net's best": []}
for ours, theirs in zip(curves["MCNN"], curves["U-Net"], strict=True):
    best = min(theirs["error"])
    steps = {
        name: next((s for s, e in zip(c["steps"], c["error"], strict=True) if e <= best), None)
        for name, c in (("MCNN", ours), ("U-Net", theirs))
    }
    results["steps to the U-Net's best"].append(steps)
    print(f"to the U-Net's best, {best:.4f}: MCNN {steps['MCNN']} steps, U-Net {steps['U-Net']}")

images, targets = fixed_set(problem, "test", 256, arguments.image_size, 0)
answers, chosen = problem.baselines["Fourier inverse"](images, targets)
results["Fourier inverse"] = mean_absolute_error(answers, targets)
results["constant"] = float(np.abs(targets - np.median(targets)).mean())
print(f"exact inverse {results['Fourier inverse']:.4f} at regularisation "
      f"{chosen['regularization']:.2g}; a constant {results['constant']:.4f}")  # fmt: skip

figure, panels = pyplot.subplots(1, 2, figsize=(10, 4), sharey=True)
for panel, unit in zip(panels, ("steps", "seconds"), strict=True):
    for name, colour in (("MCNN", "tab:blue"), ("U-Net", "tab:orange")):
        for i, curve in enumerate(curves[name]):
            panel.plot(curve[unit], curve["error"], colour, label=name if i == 0 else None)
    panel.axhline(results["Fourier inverse"], color="tab:green", ls="--", label="Fourier inverse")
    panel.set(xlabel=unit, yscale="log")
panels[0].set_ylabel("test error of the full-size output")
panels[0].legend()
figure.tight_layout()
figure.savefig(arguments.output / "curves.png", dpi=120)
with replacing(arguments.output / "metrics.json") as part:
    part.write_text(json.dumps(results, indent=2))
