"""Denoise frames with the faults of instruments and programs, from an independent simulator.

    python experiments/denoise_kinds.py [--model denoise]           # 2 minutes on two cores
    python experiments/denoise_kinds.py --quick                     # 10 seconds

Three tables, from frames of data_tools/messy_frames.py, 128x128 pixels:

1. Kinds of frames: noise that is correlated, resampled, rotated, burned-in marks and so on, over
   lattices and clusters on a film at -3 dB. Mean SNR in dB of the frames, of the Gaussian blur that
   is best for that kind, round or longer along one axis, and of the network, each with its best
   scale and offset. Burned-in pixels are left out, and the blur gets their mask. Wanted: above the
   blur in every row.
2. Never worse than no denoising: specimens of all kinds, white noise, -10 to 40 dB. The squared
   error relative to that of the frame, mean of two draws of the noise. Wanted: none above 1.
3. Pure noise, white and correlated: invented atoms per frame, counted as in fig5_denoising.py.
   Wanted: 0.01.
"""

import argparse
import json
import platform
import re
import sys
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter, maximum_filter

import mcnn_keras as mcnn
from mcnn_keras.files import replacing, to_grey, write_png
from mcnn_keras.metrics import correlation
from mcnn_keras.problems import Denoise
from mcnn_keras.training.pipeline import fixed_set

sys.path.append(str(Path(__file__).parents[1] / "data_tools"))
from messy_frames import KINDS, SPECIMENS, at_snr, specimen

ROUND = [(s, s) for s in (0, 0.5, 0.7, 1, 1.2, 1.4, 1.6, 1.8, 2, 2.3, 2.6, 3, 3.5, 4, 5)]
LONG = [(s, f * s) for s in (0.5, 0.8, 1.2, 1.6, 2, 2.5) for f in (1.5, 2, 3, 4)]
BLURS = ROUND + LONG + [(x, y) for y, x in LONG]

parser = argparse.ArgumentParser()
parser.add_argument("--model", default="denoise", help="a shipped model's name, or a file")
parser.add_argument("--seed", type=int, default=40)
parser.add_argument("--frames", type=int, default=12, help="lattices, and as many clusters, a kind")
parser.add_argument("--blank", type=int, default=64, help="frames of pure noise, of either kind")
parser.add_argument("--average", action="store_true", help="over eight copies, --quality best")
parser.add_argument("--quick", action="store_true", help="a few frames of everything")
parser.add_argument("--output", type=Path, default=Path("runs/denoise_kinds"))
arguments = parser.parse_args()
if arguments.quick:
    arguments.frames, arguments.blank = 2, 8
model = mcnn.load(arguments.model)
arguments.output.mkdir(parents=True, exist_ok=True)


def machine():
    told = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    return (*re.findall(r"model name\s*: (.*)", told), platform.machine())[0]


def network(frame):
    return mcnn.predict(model, frame, average=arguments.average)


def snr(answer, truth):
    """In dB, with the best scale and offset of the answer."""
    seen = np.isfinite(truth)
    return -10 * np.log10(1 - max(correlation(answer[seen], truth[seen]), 0) ** 2)


def blurred(frame, truth, sigmas):
    """Blur that leaves out burned-in pixels."""
    seen = np.isfinite(truth).astype(float)
    weight = gaussian_filter(seen, sigmas, mode="reflect")
    return gaussian_filter(np.where(seen > 0, frame, 0), sigmas) / np.maximum(weight, 1e-12)


def mean_snr(answers, truths):
    return float(np.mean([snr(a, t) for a, t in zip(answers, truths, strict=True)]))


def best_blur(frames, truths):
    tried = {
        sigmas: [blurred(f, t, sigmas) for f, t in zip(frames, truths, strict=True)]
        for sigmas in BLURS
    }
    sigmas = max(tried, key=lambda sigmas: mean_snr(tried[sigmas], truths))
    return tried[sigmas], sigmas


def picture(name, rows):
    """Frame, best blur, network and truth from left to right, one specimen a row."""
    lines = []
    for frame, *answers, truth in rows:
        seen = np.isfinite(truth)
        tiles = [to_grey(frame, *np.percentile(frame[seen], (0.5, 99.5)))]
        for answer in (*answers, truth):
            low, high = np.percentile(answer[seen], (0.2, 99.8))
            tiles.append(to_grey(np.where(np.isfinite(answer), answer, low), low, high))
        lines.append(np.concatenate(tiles, 1))
    path = arguments.output / (re.sub(r"\W+", "_", name).strip("_") + ".png")
    write_png(path, np.concatenate(lines), 0, 255)


print(f"{arguments.model}, seed {arguments.seed}, {machine()}")
results = {"model": arguments.model, "seed": arguments.seed, "machine": machine(), "kinds": {}}

print(f"1. kinds of frames at -3 dB, {arguments.frames} lattices and {arguments.frames} clusters; "
      "mean dB of frame, best blur, network; margin")  # fmt: skip
for number, (name, kind) in enumerate(KINDS.items()):
    row, rows = {}, []
    for which, subject in enumerate(("lattice", "cluster on film")):
        # The same specimens for every kind.
        rng = np.random.default_rng([arguments.seed, 3, which])
        cleans = [specimen(subject, rng) for _ in range(arguments.frames)]
        rng = np.random.default_rng([arguments.seed, 4, which, number])
        frames, truths = zip(*(kind(clean, -3, rng) for clean in cleans), strict=True)
        blurs, sigmas = best_blur(frames, truths)
        answers = [network(frame) for frame in frames]
        row[subject] = {
            "in": mean_snr(frames, truths),
            "blur": mean_snr(blurs, truths),
            "network": mean_snr(answers, truths),
            "blur of": sigmas,
        }
        row[subject]["margin"] = row[subject]["network"] - row[subject]["blur"]
        rows.append((frames[0], blurs[0], answers[0], truths[0]))
    row["margin"] = float(np.mean([part["margin"] for part in row.values()]))
    results["kinds"][name] = row
    text = "   ".join(
        f"{short} {part['in']:5.1f} {part['blur']:5.1f} {part['network']:5.1f} "
        f"{part['margin']:+5.1f} (blur {part['blur of'][0]:g}, {part['blur of'][1]:g})"
        for short, part in (("lattice", row["lattice"]), ("cluster", row["cluster on film"]))
    )
    print(f"  {name:<16}{text}   margin {row['margin']:+.1f}", flush=True)
    picture(name, rows)
margins = [row["margin"] for row in results["kinds"].values()]
results["mean margin"] = float(np.mean(margins))
print(f"  mean margin {np.mean(margins):+.2f}, {sum(m < 0 for m in margins)} kinds of "
      f"{len(margins)} below the blur")  # fmt: skip

count, levels = (7, (-10, 5, 20, 40)) if arguments.quick else (24, range(-10, 41, 5))
rng = np.random.default_rng([arguments.seed, 1])
names = [list(SPECIMENS)[i % len(SPECIMENS)] for i in range(count)]
cleans = [specimen(name, rng) for name in names]
print(f"2. squared error in parts of the frame's, {count} specimens: mean, worst, above 1")
results["never worse"] = {}
for level in levels:
    ratios = []
    for clean in cleans:
        draws = [
            at_snr(clean, level, rng, counting=False) for _ in range(1 if arguments.quick else 2)
        ]
        ours = np.mean([(network(frame) - clean) ** 2 for frame in draws])
        ratios.append(float(ours / np.mean([(frame - clean) ** 2 for frame in draws])))
    worst = int(np.argmax(ratios))
    results["never worse"][level] = {
        "ratios": ratios, "worst": ratios[worst], "above 1": sum(r > 1 for r in ratios),
    }  # fmt: skip
    print(f"  {level:>3} dB  {np.mean(ratios):.3f}  {ratios[worst]:.3f} ({names[worst]})  "
          f"{sum(r > 1 for r in ratios)}", flush=True)  # fmt: skip
above = sum(row["above 1"] for row in results["never worse"].values())
print(f"  {above} of {count * len(levels)} above 1")

# What a single atom looks like in training: its height in deviations of the frame.
_, lone = fixed_set(
    Denoise(families={"lone_atoms": 1}, channels=None, window=1), "test", 200, 128, 99
)
single = float(np.median(lone.max((1, 2, 3))))
results["blank"] = {"single atom": single}
for name, sigma in (("white", 0), ("correlated 0.5", 0.5)):
    rng, atoms = np.random.default_rng([arguments.seed, 2]), 0
    for _ in range(arguments.blank):
        dose = 10 ** rng.uniform(-0.3, 1.3)
        noise = rng.poisson(dose, (128, 128)) + rng.normal(0, rng.uniform(0, dose**0.5), (128, 128))
        noise = gaussian_filter(noise, sigma, mode="wrap")
        answer = network(noise)
        height = (answer - answer.mean()) / noise.std()
        atoms += int(np.sum((height == maximum_filter(height, 5)) & (height > 0.1 * single)))
    results["blank"][name] = atoms / arguments.blank
    print(f"3. pure noise, {name}: {atoms / arguments.blank:.3f} atoms a frame above a tenth of a "
          f"single atom's {single:.2f} deviations", flush=True)  # fmt: skip

with replacing(arguments.output / "metrics.json") as part:
    part.write_text(json.dumps(results, indent=2))
print(f"pictures: {arguments.output}/*.png")
