"""Denoise frames from other simulators than the package's.

    python experiments/denoise_other_sets.py [--model denoise]          # 2 minutes on two cores

1. Lattices: 32 frames of 128x128 with one or two kinds of Gaussian columns on lattices of any angle
   and spacing, on an empty background, with counting noise only, each at an SNR of -1.2 dB. The
   lattices of the training follow other rules.
2. Platinum clusters on carbon: six multislice images by abTEM (data/pt_on_carbon.npz, made by
   data_tools/multislice_set.py), a source 0.8 Angstrom wide, counts at -8.5, -3.2 and 1.9 dB.

A published network for restoring STEM images, of 7 M parameters, gave on sets of these kinds 16.5,
11.1, 14.6 and 18.1 dB; the best classical methods gave 10.5, 8.2, 10.7 and 13.8, so 6.0, 2.9, 3.9
and 4.3 dB less. Those were other frames, so only the differences can be compared. Each classical
method has the strength that is best over the set.
"""

import argparse
import json
import warnings
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

import mcnn_keras as mcnn
from mcnn_keras.classical import denoisers
from mcnn_keras.files import replacing, to_grey, write_png
from mcnn_keras.metrics import snr_db

PUBLISHED = {"lattices": 6.0, "Pt on C at -8.5": 2.9, "Pt on C at -3.2": 3.9, "Pt on C at 1.9": 4.3}
METHODS = {
    "blur": (denoisers.gaussian, (0.7, 1, 1.4, 1.8, 2.2, 2.6, 3, 3.5, 4)),
    "TV": (denoisers.total_variation, (0.2, 0.4, 0.7, 1.0, 1.5, 2.5)),
    "BM3D": (denoisers.bm3d, (0.8, 1.0, 1.3, 1.7, 2.2)),
}
parser = argparse.ArgumentParser()
parser.add_argument("--model", default="denoise", help="a shipped model's name, or a file")
parser.add_argument("--output", type=Path, default=Path("runs/other_sets"))
arguments = parser.parse_args()
model = mcnn.load(arguments.model)
arguments.output.mkdir(parents=True, exist_ok=True)
rng = np.random.default_rng(30)


def lattice():
    """One or two kinds of columns, a third of the lattices with thermal and height disorder."""
    pitch = rng.uniform(9, 26)
    angle, shear = rng.uniform(0, np.pi), rng.uniform(np.pi / 3, np.pi / 2)
    a = pitch * np.array([np.cos(angle), np.sin(angle)])
    b = pitch * rng.uniform(0.8, 1.4) * np.array([np.cos(angle + shear), np.sin(angle + shear)])
    cells = np.stack(np.mgrid[-30:31, -30:31], -1).reshape(-1, 2)
    target, grid = np.zeros((128, 128)), np.arange(128)
    for kind in range(rng.integers(1, 3)):
        sites = cells @ np.stack([a, b]) + 64 + rng.uniform(0, 1, 2) @ np.stack([a, b])
        sites += rng.normal(0, rng.choice([0, 0, 0.03]) * pitch, sites.shape)
        sites = sites[(np.abs(sites - 64) < 80).all(1)]
        width = pitch * rng.uniform(0.12, 0.22)
        height = (1, rng.uniform(0.2, 0.8))[kind] * (1 + rng.normal(0, 0.05, len(sites)))
        y, x = (np.exp(-((grid - sites[:, i, None]) ** 2) / (2 * width**2)) for i in (0, 1))
        target += (y * height[:, None]).T @ x
    return target / target.max()


def counted(target, snr):
    """Counts of the dose that gives an SNR, in the target's scale."""
    dose = 10 ** (snr / 10) * target.sum() / (target**2).sum()
    return rng.poisson(target * dose) / dose


def snr(answer, target):
    return snr_db(answer - answer.mean() + target.mean(), target)


stored = np.load(Path(__file__).parent / "data" / "pt_on_carbon.npz")
# The multislice images are of a point source; a real one is about 0.8 Angstrom wide.
clusters = gaussian_filter(
    stored["images"].astype(float), (0, *2 * (0.34 / float(stored["pixel_size"]),)), mode="wrap"
)
clusters /= clusters.max((1, 2), keepdims=True)
sets = {"lattices": [(lattice(), -1.2) for _ in range(32)]}
for level in (-8.5, -3.2, 1.9):
    sets[f"Pt on C at {level}"] = [(image, level) for image in clusters]

results = {}
for name, pairs in sets.items():
    targets = [target for target, _ in pairs]
    frames = [counted(target, level) for target, level in pairs]
    answers = mcnn.predict(model, frames, axes="tyx", temporal="off")
    row = {"in": np.mean([snr_db(f, t) for f, t in zip(frames, targets, strict=True)])}
    row["network"] = np.mean([snr(a, t) for a, t in zip(answers, targets, strict=True)])
    for method, (function, strengths) in METHODS.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found, _ = denoisers.best_strength(function, frames, targets, strengths, snr)
        row[method] = np.mean([snr(a, t) for a, t in zip(found, targets, strict=True)])
    row["above the best"] = row["network"] - max(row[method] for method in METHODS)
    row["a published network"] = PUBLISHED[name]
    results[name] = {key: float(value) for key, value in row.items()}
    print(f"{name:<16}" + "  ".join(f"{key} {value:.1f}" for key, value in row.items()), flush=True)
    columns = [
        np.concatenate([to_grey(f), to_grey(a, t.min(), t.max()), to_grey(t)])
        for f, a, t in list(zip(frames, answers, targets, strict=True))[:6]
    ]
    picture = name.replace(" ", "_") + ".png"
    write_png(arguments.output / picture, np.concatenate(columns, 1), 0, 255)

with replacing(arguments.output / "metrics.json") as part:
    part.write_text(json.dumps(results, indent=2))
