"""Movies: compare denoising of single frames with methods that use neighbouring frames.

    python experiments/denoise_movies.py [--model denoise]          # 5 minutes on two cores

Sequences of 15 frames of 128x128 with counting noise, from data_tools/messy_frames.py, which is not
the package's simulator. SNR is in dB with the best scale and offset of each result.

1. Drifting: a lattice or a cluster that moves by up to 0.8 pixels per frame and rotates a little,
   at -8, -3 and 2 dB: the network on single frames, on the movie, and PGURE-SVT. Wanted: the movie
   above both.
2. Unrelated: each frame shows another specimen. Wanted: the movie not below single frames.
3. Jumping atoms at 10 dB: for atoms that exist in one frame only, their height in the movie's
   result relative to the result from the single frame (wanted: at least 0.8), and their height in
   the two frames around it relative to the same (wanted: at most 0.1).
"""

import argparse
import json
import platform
import re
import sys
from pathlib import Path

import numpy as np
from scipy.ndimage import maximum_filter, uniform_filter

import mcnn_keras as mcnn
from mcnn_keras.classical.pgure_svt import pgure_svt
from mcnn_keras.files import replacing, to_grey, write_png
from mcnn_keras.metrics import correlation

sys.path.append(str(Path(__file__).parents[1] / "data_tools"))
from messy_frames import at_snr, sequence

LEVELS = (-8, -3, 2)

parser = argparse.ArgumentParser()
parser.add_argument("--model", default="denoise", help="a shipped model's name, or a file")
parser.add_argument("--seed", type=int, default=50)
parser.add_argument("--sequences", type=int, default=6, help="of each kind")
parser.add_argument("--no-pgure", action="store_true", help="leave out PGURE-SVT")
parser.add_argument("--output", type=Path, default=Path("runs/denoise_movies"))
arguments = parser.parse_args()
model = mcnn.load(arguments.model)
arguments.output.mkdir(parents=True, exist_ok=True)


def machine():
    told = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    return (*re.findall(r"model name\s*: (.*)", told), platform.machine())[0]


def alone(frames):
    return np.stack([mcnn.predict(model, frame, temporal="off") for frame in frames])


def movie(frames):
    return mcnn.predict(model, frames, axes="tyx", temporal="auto")


METHODS = {"alone": alone, "movie": movie, "PGURE-SVT": pgure_svt}
if arguments.no_pgure:
    del METHODS["PGURE-SVT"]


def snr(answer, truth):
    return float(-10 * np.log10(1 - max(correlation(answer, truth), 0) ** 2))


def noisy(clean, level, rng):
    return np.stack([at_snr(frame, level, rng) for frame in clean])


def picture(name, frames, answers, truth):
    """Every third frame; from top to bottom the frames, the answers and the truth."""
    rows = []
    for images in (frames, *answers.values(), truth):
        low, high = np.percentile(images[::3], (0.5, 99.8))
        rows.append(np.concatenate([to_grey(image, low, high) for image in images[::3]], 1))
    write_png(arguments.output / f"{name}.png", np.concatenate(rows), 0, 255)


def said(row):
    return "  ".join(f"{name} {value:.2f}" for name, value in row.items())


print(f"{arguments.model}, seed {arguments.seed}, {machine()}")
results = {"model": arguments.model, "seed": arguments.seed, "machine": machine()}

for part, kind in enumerate(("drifting", "unrelated")):
    print(f"{part + 1}. {kind}, {arguments.sequences} sequences of 15 frames: mean dB", flush=True)
    for level in LEVELS:
        scores = {"in": [], **{name: [] for name in METHODS}}
        for number in range(arguments.sequences):
            # The same specimens at every level.
            clean = sequence(kind, np.random.default_rng([arguments.seed, part, number]))
            frames = noisy(clean, level, np.random.default_rng([arguments.seed, 9, part, number]))
            answers = {name: method(frames) for name, method in METHODS.items()}
            for name, images in {"in": frames, **answers}.items():
                scores[name].append(np.mean([snr(*p) for p in zip(images, clean, strict=True)]))
            if number == 0:
                picture(f"{kind}_{level}", frames, answers, clean)
        gains = np.subtract(scores["movie"], scores["alone"])
        row = {name: float(np.mean(values)) for name, values in scores.items()}
        row |= {"movie - alone": float(np.mean(gains)), "least": float(np.min(gains))}
        results[f"{kind} at {level}"] = row
        print(f"  {level:>3} dB  {said(row)}", flush=True)


def visits(clean):
    """(frame, y, x) of atoms that stand in one frame, with nothing near them in the two around."""
    found = []
    for i in range(1, len(clean) - 1):
        peaks = (clean[i] == maximum_filter(clean[i], 17)) & (clean[i] > 0.5)
        empty = maximum_filter(np.maximum(clean[i - 1], clean[i + 1]), 13) < 0.02
        found += [(i, y, x) for y, x in np.argwhere(peaks & empty) if min(y, x) > 4]
    return found


def heights(answers):
    """Above each answer's own background, the mean of 3x3 pixels."""
    return uniform_filter(answers, (0, 3, 3)) - np.median(answers, (1, 2), keepdims=True)


own, before_and_after, alone_there = [], [], []
for number in range(arguments.sequences):
    clean = sequence("jumping atoms", np.random.default_rng([arguments.seed, 2, number]))
    frames = noisy(clean, 10, np.random.default_rng([arguments.seed, 9, 2, number]))
    answers = {"alone": alone(frames), "movie": movie(frames)}
    single, together = (heights(images) for images in answers.values())
    for i, y, x in visits(clean):
        own.append(together[i, y, x] / single[i, y, x])
        around = [i - 1, i + 1]
        before_and_after.append(np.mean(together[around, y, x]) / single[i, y, x])
        alone_there.append(np.mean(single[around, y, x]) / single[i, y, x])
    if number == 0:
        picture("jumping_atoms", frames, answers, clean)
results["jumping atoms"] = row = {
    "atoms": len(own),
    "height": float(np.mean(own)),
    "least tenth's height": float(np.percentile(own, 10)),
    "in the two around": float(np.mean(before_and_after)),
    "greatest tenth's": float(np.percentile(before_and_after, 90)),
    "there from the frames alone": float(np.mean(alone_there)),
}
print(f"3. jumping atoms at 10 dB, in parts of the height from the frame alone: {said(row)}")

with replacing(arguments.output / "metrics.json") as part:
    part.write_text(json.dumps(results, indent=2))
print(f"pictures: {arguments.output}/*.png")
