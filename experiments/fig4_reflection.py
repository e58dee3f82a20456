"""Figure 4 and extended video 1 of the paper: a screen's picture from the light on a wall.

    python experiments/fig4_reflection.py [--run runs/reflection]       # 30 minutes

Trains on simulated photographs, if the folder of the run has no model yet. Compares with the best
linear inverse (ridge regression on 1,024 pairs, with the strength that is best on the test set) on
unseen scenes: mean absolute errors, and a GIF of photograph, truth, result and difference. Wanted:
at most 75 % of the error of the linear inverse.
"""

import argparse
import json
from pathlib import Path

import imageio.v3 as iio
import numpy as np

import mcnn_keras as mcnn
from mcnn_keras.evaluation import evaluate
from mcnn_keras.files import replacing, to_grey
from mcnn_keras.inference.engines import engine_of
from mcnn_keras.problems import Reflection
from mcnn_keras.training.pipeline import fixed_set


def side_by_side(image, target, answer):
    """Input, truth, answer and absolute difference; the last three in the truth's grey scale."""
    low, high = float(target.min()), float(target.max())
    difference = np.abs(target - answer)
    tiles = [
        to_grey(image),
        to_grey(target, low, high),
        to_grey(answer, low, high),
        to_grey(difference, 0, high - low),
    ]
    return np.concatenate(tiles, axis=1)


parser = argparse.ArgumentParser()
parser.add_argument("--run", type=Path, default=Path("runs/reflection"))
parser.add_argument("--image-size", type=int, default=192)
parser.add_argument("--epochs", type=int, default=32)
parser.add_argument("--output", type=Path, default=Path("runs/fig4"))
arguments = parser.parse_args()
arguments.output.mkdir(parents=True, exist_ok=True)

if not (arguments.run / "model.h5").exists():
    mcnn.train(Reflection(), output=arguments.run, image_size=arguments.image_size,
               epochs=arguments.epochs)  # fmt: skip
model = mcnn.load(arguments.run / "model.h5")
results = {}
for name, answer in evaluate(model, samples=64).items():
    results[name] = {"MAE": float(np.mean(list(answer["mae"].values()))),
                     "correlation": float(answer["correlation"])}  # fmt: skip
    print(f"{name:<16}" + "  ".join(f"{k} {v:.4f}" for k, v in results[name].items()))
share = results["network"]["MAE"] / results["linear inverse"]["MAE"]
print(f"the network's error is {100 * share:.0f} % of the linear inverse's (wanted: 75)")

width = model.card.training["image_size"]
inputs, targets = fixed_set(Reflection(), "test", 12, width, 2)
answers = engine_of(model).compute(inputs).clip(0, 1)
images = inputs[..., :3]  # without the fixed channels
images = images.repeat(2, axis=1).repeat(2, axis=2)
height = width * 9 // 16 * 2
top = (targets.shape[1] - height) // 2
rows = slice(top, top + height)
video = [
    side_by_side(i[rows], t[rows], a[rows])
    for i, t, a in zip(images, targets, answers, strict=True)
]
with replacing(arguments.output / "video1.gif") as part:
    iio.imwrite(part, video, duration=500, loop=0)
with replacing(arguments.output / "fig4.png") as part:
    iio.imwrite(part, np.concatenate(video[:6]))
with replacing(arguments.output / "metrics.json") as part:
    part.write_text(json.dumps(results, indent=2))
print(f"photograph, truth, answer, difference: {arguments.output}/fig4.png, video1.gif")
