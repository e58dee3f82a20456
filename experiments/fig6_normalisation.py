"""Extended figure of the paper: the effect of normalisation layers on maps with a physical scale.

    python experiments/fig6_normalisation.py          # 20 minutes on two cores

Three networks without, with batch and with group normalisation retrieve phase and amplitude from
two planes; same seed, samples and budget. Prints the error of each map, and of each map with its
best scale and offset, which shows how much of the error is a lost scale. Draws targets, results and
differences.
"""

import argparse
import json
from pathlib import Path

import numpy as np

import mcnn_keras as mcnn
from mcnn_keras.files import replacing, to_grey, write_png
from mcnn_keras.inference.engines import engine_of
from mcnn_keras.metrics import mean_absolute_error
from mcnn_keras.problems import Phase
from mcnn_keras.training.pipeline import fixed_set

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=16, help="of 1,024 samples")
parser.add_argument("--image-size", type=int, default=128)
parser.add_argument("--defocus", type=float, nargs="+", default=(-52.0, 52.0), help="um")
parser.add_argument("--output", type=Path, default=Path("runs/fig6"))
arguments = parser.parse_args()
arguments.output.mkdir(parents=True, exist_ok=True)

problem = Phase(list(arguments.defocus), amplitude=True, input="physical")
names = [output.name for output in problem.outputs]
inputs, targets = fixed_set(problem, "test", 128, arguments.image_size, 6)


def rescaled(answer, target):
    """A result with the best scale and offset for its target, image by image."""
    pixels = (1, 2)
    a, t = (x - x.mean(pixels, keepdims=True) for x in (answer, target))
    scale = (a * t).sum(pixels, keepdims=True) / (a**2).sum(pixels, keepdims=True)
    return scale * a + target.mean(pixels, keepdims=True)


results, columns = {}, [targets[:4]]
for normalization in ("none", "batch", "group"):
    run = mcnn.train(
        problem, image_size=arguments.image_size, samples=1024, epochs=arguments.epochs,
        normalization=normalization, learning_rate=1e-3,
    )  # fmt: skip
    engine = engine_of(run.model)
    answers = np.concatenate([engine.compute(inputs[i : i + 8]) for i in range(0, 128, 8)])
    columns += [answers[:4], answers[:4] - targets[:4]]
    row = {}
    for channel, name in enumerate(names):
        answer, target = answers[..., channel], targets[..., channel]
        row[f"{name} error"] = mean_absolute_error(answer, target)
        row[f"{name} error, rescaled"] = mean_absolute_error(rescaled(answer, target), target)
    results[normalization] = row
    print(f"{normalization:<6}" + "  ".join(f"{k} {v:.4f}" for k, v in row.items()), flush=True)

rows = []
for i in range(4):
    for channel in range(len(names)):
        low, high = (f(targets[:4, ..., channel]) for f in (np.min, np.max))
        half = (high - low) / 2
        shown = [to_grey(c[i, ..., channel], low, high) for c in columns[:1]]
        for answer, difference in zip(columns[1::2], columns[2::2], strict=True):
            shown.append(to_grey(answer[i, ..., channel], low, high))
            shown.append(to_grey(difference[i, ..., channel], -half, half))
        rows.append(np.concatenate(shown, axis=1))
write_png(arguments.output / "fig6.png", np.concatenate(rows), 0, 255)
with replacing(arguments.output / "metrics.json") as part:
    part.write_text(json.dumps(results, indent=2))
print(f"truth, then answer and difference without, with batch, with group normalisation: "
      f"{arguments.output}/fig6.png")  # fmt: skip
