"""The effect of each part of the denoising network and its training, with one small budget.

    python experiments/denoise_ablation.py          # 40 minutes on two cores

Each variant is trained on 24,576 samples of 128x128 from the same seed, and tested on the same 512
unseen samples: the mean over samples of 10 log10(variance of the truth / mean squared error), all
families without blank frames. Differences of a tenth of a decibel may be due to the seed.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

import mcnn_keras as mcnn
from mcnn_keras.channels import network_input
from mcnn_keras.files import replacing
from mcnn_keras.inference.engines import engine_of
from mcnn_keras.problems import Denoise
from mcnn_keras.training.pipeline import fixed_set

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=12, help="of 2,048 samples")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--only", nargs="*", help="names of variants")
parser.add_argument("--output", type=Path, default=Path("runs/denoise_ablation"))
arguments = parser.parse_args()

SAMPLES = 2048 * arguments.epochs
# Name: (photographs among the samples, arguments of the problem, settings of the training).
VARIANTS = {
    "default": (SAMPLES // 4, {}, {}),
    "low-pass channels": (SAMPLES // 4, {"channels": "low_pass"}, {}),
    "no fixed channels": (SAMPLES // 4, {"channels": None}, {}),
    "without photographs": (0, {}, {}),
    "without coarse branches": (SAMPLES // 4, {}, {"branches": 0}),
    "with an adversary": (SAMPLES // 4, {}, {"adversarial": 0.01}),
    "annealed weights": (SAMPLES // 4, {}, {"loss_weights": "annealed"}),
    "absolute error": (SAMPLES // 4, {}, {"loss": "absolute"}),
}
# Each variant has its own fixed channels.
frames, targets = fixed_set(Denoise(channels=None, window=1), "test", 512, 128, 1234)
variance = (targets**2).mean((1, 2, 3))
seen = variance > 1e-4

results = {}
for name, (photographs, problem, settings) in VARIANTS.items():
    if arguments.only and name not in arguments.only:
        continue
    began = time.perf_counter()
    options = {
        "image_size": 128, "samples": 2048, "epochs": arguments.epochs, "batch_size": 16,
        "mixed_sizes": False, "loss": "squared", "learning_rate": 1e-3, "seed": arguments.seed,
        **settings,
    }  # fmt: skip
    run = mcnn.train(Denoise(photographs=photographs, window=1, **problem), **options)
    took = time.perf_counter() - began
    engine = engine_of(run.model)
    inputs = network_input(frames, run.model.card.channels, {})
    answers = np.concatenate([engine.compute(inputs[i : i + 16]) for i in range(0, 512, 16)])
    answers -= answers.mean((1, 2), keepdims=True)
    error = ((answers - targets) ** 2).mean((1, 2, 3))
    results[name] = {
        "dB": float(np.mean(10 * np.log10(variance[seen] / error[seen]))),
        "squared error": float(error.mean()),
        "seconds": took,
    }
    print(f"{name:<26}" + "  ".join(f"{k} {v:.4g}" for k, v in results[name].items()), flush=True)

arguments.output.mkdir(parents=True, exist_ok=True)
with replacing(arguments.output / "metrics.json") as part:
    part.write_text(json.dumps(results, indent=2))
