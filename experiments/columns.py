"""Columns of atoms that denoisers invent and miss, against the noise.

    python experiments/columns.py                    # 6 minutes on two cores
    python experiments/columns.py --samples 8 --seeds 1 --no-bm3d     # one minute

Unseen simulated frames of 128x128 pixels with well-resolved columns, within the ranges of the
models' training (see `mcnn_keras.evaluation.columns`). For each group of frames by signal-to-noise
ratio, and each denoiser: invented and missed columns, in percent of the columns that are there, and
the root mean square error of the positions of the true ones. All seeds together; the range over the
seeds is in brackets.
Wanted: fewer invented and fewer missed columns than by the best of the classical methods.

All images are searched in the same way, each kind with the least height that suits it best. The
blur is the best for each group and seed; BM3D knows the noise of each frame. This favours both.
"""

import argparse
import itertools
import json
from pathlib import Path

import numpy as np

import mcnn_keras as mcnn
from mcnn_keras.classical import denoisers
from mcnn_keras.evaluation import network_answers
from mcnn_keras.evaluation.columns import counted, frames_with_columns
from mcnn_keras.files import replacing
from mcnn_keras.problems import from_card

LEVELS = (-10, -5, 0, 5)  # dB
SIZE = 128
QUANTITIES = {
    "invented": "invented, %",
    "missed": "missed, %",
    "position_error": "position, pixels",
}

parser = argparse.ArgumentParser()
parser.add_argument("--models", nargs="+", default=["denoise", "denoise-fast"])
parser.add_argument("--samples", type=int, default=64, help="frames for each seed")
parser.add_argument("--seeds", type=int, nargs="+", default=[101, 102, 103])
parser.add_argument("--no-bm3d", action="store_true", help="leave out BM3D, which takes longest")
parser.add_argument("--output", type=Path, default=Path("runs/columns"))
arguments = parser.parse_args()

models = {name: mcnn.load(name) for name in arguments.models}
problem = from_card(next(iter(models.values())).card)


def bm3d(frames):
    noise = np.std(frames.images - frames.clean, axis=(1, 2))
    answers = [
        denoisers.bm3d(image, sigma / image.std())
        for image, sigma in zip(frames.images, noise, strict=True)
    ]
    return np.stack(answers)


def group_of(low, high):
    if not np.isfinite(low):
        return f"below {high} dB"
    return f"above {low} dB" if not np.isfinite(high) else f"{low} to {high} dB"


edges = [-np.inf, *LEVELS, np.inf]
results = []
for seed in arguments.seeds:
    frames = frames_with_columns(problem, arguments.samples, seed, SIZE)
    answers = {n: network_answers(m, frames.inputs)[..., 0] for n, m in models.items()}
    if not arguments.no_bm3d:
        answers["BM3D"] = bm3d(frames)
    groups = {}
    for low, high in itertools.pairwise(edges):
        own = np.flatnonzero((frames.snr >= low) & (frames.snr < high))
        if len(own):
            groups[group_of(low, high)] = counted(frames, own, answers)
    results.append({"seed": seed, "frames": len(frames.truths), "groups": groups})
    print(f"seed {seed}: {len(frames.truths)} frames of {frames.drawn} drawn", flush=True)


def shown(groups, answer, quantity):
    """All seeds together, and the range over the seeds in brackets."""
    rows = [(g["answers"][answer], g["columns"]) for g in groups]
    if quantity == "position_error":
        true = [(row["true"], row[quantity]) for row, _ in rows if row["true"]]
        each, digits = [error for _, error in true], 2
        mean = np.sqrt(sum(n * e**2 for n, e in true) / sum(n for n, _ in true)) if true else None
    else:
        each, digits = [100 * row[quantity] / columns for row, columns in rows], 1
        mean = 100 * sum(row[quantity] for row, _ in rows) / sum(n for _, n in rows)
    if not each:
        return "-"
    return f"{mean:.{digits}f} ({min(each):.{digits}f} to {max(each):.{digits}f})"


print(f"\n| noise | denoiser | {' | '.join(QUANTITIES.values())} |\n|---|---|---|---|---|")
for low, high in itertools.pairwise(edges):
    name = group_of(low, high)
    own = [r["groups"][name] for r in results if name in r["groups"]]
    if not own:
        continue
    columns, count = (sum(g[n] for g in own) for n in ("columns", "frames"))
    mark = f"{name}: {columns} columns in {count} frames"
    for answer in own[0]["answers"]:
        print(f"| {mark} | {answer} | {' | '.join(shown(own, answer, q) for q in QUANTITIES)} |")
        mark = ""

arguments.output.mkdir(parents=True, exist_ok=True)
with replacing(arguments.output / "metrics.json") as part:
    part.write_text(json.dumps(results, indent=2))
