"""Figure 5 of the paper: denoising of single frames, compared with classical methods.

    python experiments/fig5_denoising.py [--model denoise]          # 25 minutes on two cores

Prints four tables and writes metrics.json and pictures:

1. The paper's set: 64 frames of 512x512 with 225 to 400 Gaussian columns, the noise of each raised
   until its SNR is below -10 dB. Wanted: 20 dB, or within 2 dB of the limit of an estimator that
   knows the shape and fits position and height of each column: SNR + 10 log10(pixels / (3
   columns)). The best blur is the best for each frame.
2. A mixed set of all families at 128x128 and 256x256, SNR -12 to 5 dB. Wanted: 7 dB above the best
   classical method, each with the parameter that is best for its own mean over this very set, and
   not below it in any tenth of the set.
3. 1,000 frames of pure noise. Wanted: fewer than 0.01 invented atoms per frame.
4. Lone atoms: average precision of the local maxima of all frames together, against the best blur.

SNR is 10 log10(sum target^2 / sum (target - answer)^2). Each result first gets the mean of the
truth, so that a detector's offset has no effect. All methods get the same frames, with hot pixels
clipped. BM3D is used on the frames directly, and after an Anscombe transform with the noise
measured in each frame.
"""

import argparse
import json
import warnings
from pathlib import Path

import numpy as np
import tensorflow as tf
from scipy.ndimage import fourier_shift, maximum_filter

import mcnn_keras as mcnn
from mcnn_keras.classical import denoisers
from mcnn_keras.classical.pgure_svt import noise_line, pgure_svt
from mcnn_keras.files import replacing, to_grey, write_png
from mcnn_keras.metrics import snr_db
from mcnn_keras.problems import Denoise
from mcnn_keras.training.pipeline import fixed_set

parser = argparse.ArgumentParser()
parser.add_argument("--model", default="denoise", help="a shipped model's name, or a file")
parser.add_argument(
    "--frames", type=int, nargs=2, default=[64, 16], help="at 128 and at 256 pixels"
)
parser.add_argument("--blank", type=int, default=1000, help="frames of pure noise")
parser.add_argument("--parts", default="paper,mixed,blank,atoms")
parser.add_argument("--no-bm3d", action="store_true", help="leave out BM3D, which takes longest")
parser.add_argument("--output", type=Path, default=Path("runs/fig5"))
arguments = parser.parse_args()

model = mcnn.load(arguments.model)
arguments.output.mkdir(parents=True, exist_ok=True)
results = {}


def anscombe(frame, strength):
    gain, offset = noise_line(frame[None])
    if gain <= 0:
        return denoisers.bm3d(frame, strength)
    return denoisers.bm3d_anscombe(frame, gain * strength, -offset / gain)


METHODS = {
    "blur": (denoisers.gaussian, (0.7, 1, 1.5, 2, 2.5, 3, 4, 5, 7)),
    "TV": (denoisers.total_variation, (0.4, 0.7, 1.0, 1.5, 2.5, 4.0, 6.0, 9.0)),
    "NLM": (denoisers.non_local_means, (0.5, 0.7, 0.9, 1.1, 1.5, 2.0, 3.0, 4.5, 7.0)),
    "BM3D": (denoisers.bm3d, (1.0, 1.3, 1.7, 2.2, 3.0, 4.5)),
    "BM3D, Anscombe": (anscombe, (1.5, 2.2, 3.3, 5.0, 7.5)),
}
if arguments.no_bm3d:
    METHODS = {name: value for name, value in METHODS.items() if "BM3D" not in name}


def network(frames):
    return mcnn.predict(model, frames, axes="tyx", temporal="off")


def snr(answer, target):
    return snr_db(answer - answer.mean() + target.mean(), target)


def say(name, values):
    print(f"  {name:<24}" + "  ".join(f"{k} {v:.2f}" for k, v in values.items()))


def paper_frame(rng):
    """Columns near a jittered grid, Poisson, Gaussian and clipped white noise, below -10 dB."""
    side = rng.integers(15, 21)  # 225 to 400 columns
    pitch = 512 / side
    grid = np.stack(np.mgrid[:side, :side], -1).reshape(-1, 2)
    sites = (grid + 0.5 + rng.uniform(-1, 1, grid.shape) / 8) * pitch
    t = np.arange(512)
    variance, height = rng.uniform(5, 50, len(sites)), rng.uniform(0.2, 1, len(sites))
    y, x = (np.exp(-((t - sites[:, i, None]) ** 2) / (2 * variance[:, None])) for i in (0, 1))
    target = (y * height[:, None]).T @ x
    target /= target.max()
    for level in np.geomspace(1, 50, 60):
        dose = 10 / level  # electrons where the image is one: ten at most
        frame = rng.poisson(target * dose) / dose + rng.normal(0, 0.3 * level**0.5, target.shape)
        frame = np.clip(frame, -2.0 * level, 1 + 4.0 * level)
        if snr_db(frame, target) < -10:
            return frame, target, len(sites)


if "paper" in arguments.parts:
    rows, rng = [], np.random.default_rng(20)
    for i in range(64):
        frame, target, columns = paper_frame(rng)
        answer = network(frame[None])[0]
        blurred = max(snr(denoisers.gaussian(frame, s), target) for s in (3, 4, 5, 6, 7))
        rows.append({
            "in": snr_db(frame, target), "out": snr(answer, target), "best blur": blurred,
            "limit": snr_db(frame, target) + 10 * np.log10(target.size / (3 * columns)),
            "MAE": np.abs(answer - answer.mean() + target.mean() - target).mean(),
        })  # fmt: skip
        if i < 2:
            tiles = [to_grey(frame), to_grey(answer, 0, 1), to_grey(target, 0, 1)]
            write_png(arguments.output / f"paper_{i}.png", np.concatenate(tiles, 1), 0, 255)
    results["paper"] = {k: float(np.mean([r[k] for r in rows])) for k in rows[0]}
    print("1. the paper's set, 64 frames of 512x512 (mean dB; wanted: 20, or limit - 2; MAE 0.01)")
    say("mean", {k: v for k, v in results["paper"].items() if k != "MAE"})
    print(f"  MAE {results['paper']['MAE']:.4f}")


def mixed_frames(size, count):
    """Frames of all families, without faults, that lie between -12 and 5 dB, and their truth."""
    problem = Denoise(window=1)
    frames, targets, number = [], [], 0

    @tf.function
    def draw(number):
        seeds = tf.unstack(tf.random.split(tf.stack([tf.constant(77, tf.int64), number]), 3))
        target = problem.targets(seeds[0], size, "test")
        return target, problem.detect(problem.observe(target, seeds[1]), seeds[2])

    while len(frames) < count:
        target, frame = (a.numpy()[..., 0] for a in draw(tf.constant(number, tf.int64)))
        number += 1
        if np.isfinite(frame).all() and np.ptp(target) > 0 and -12 < snr(frame, target) < 5:
            drawn, scale = problem.normalization.apply(frame[..., None])
            frames.append(problem.normalization.restore(drawn, scale)[..., 0])
            targets.append(target)
    return frames, targets


if "mixed" in arguments.parts:
    for size, count in zip((128, 256), arguments.frames, strict=True):
        frames, targets = mixed_frames(size, count)
        noisy = np.array([snr(f, t) for f, t in zip(frames, targets, strict=True)])
        ours = np.array([snr(a, t) for a, t in zip(network(frames), targets, strict=True)])
        scores, chosen = {}, {}
        for name, (method, strengths) in METHODS.items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                answers, chosen[name] = denoisers.best_strength(
                    method, frames, targets, strengths, snr
                )
            scores[name] = np.array([snr(a, t) for a, t in zip(answers, targets, strict=True)])
        best = max(scores, key=lambda name: scores[name].mean())
        order = np.array_split(np.argsort(noisy), min(10, count))
        margins = [min(float((ours - s)[i].mean()) for s in scores.values()) for i in order]
        results[f"mixed {size}"] = {
            "in": noisy.mean(),
            "network": ours.mean(),
            **{name: s.mean() for name, s in scores.items()},
            "margin": ours.mean() - scores[best].mean(),
            "least tenth's margin": min(margins),
        }
        print(f"2. mixed set, {count} frames of {size}x{size} (mean dB; wanted: 7 above the best)")
        say("mean", results[f"mixed {size}"])
        edges = [n for n, (_, grid) in METHODS.items() if chosen[n] in (grid[0], grid[-1])]
        if edges:
            print(f"  the best strength lies at the end of what was tried: {', '.join(edges)}")
        print(f"  chosen: {chosen}; margin over the best by tenths of input SNR: "
              + " ".join(f"{m:.1f}" for m in margins))  # fmt: skip
        columns = []
        for i in np.argsort(noisy)[:: max(1, count // 8)][:8]:
            low, high = targets[i].min(), targets[i].max()
            answer = network([frames[i]])[0]
            answer += targets[i].mean() - answer.mean()
            tiles = [to_grey(frames[i]), to_grey(answer, low, high), to_grey(targets[i])]
            columns.append(np.concatenate(tiles, 0))
        write_png(arguments.output / f"mixed_{size}.png", np.concatenate(columns, 1), 0, 255)
    # Sequences: fifteen frames of one specimen with a slow drift, for the method that needs them.
    frames, targets = mixed_frames(128, 12)
    ours, theirs, rng = [], [], np.random.default_rng(21)
    for target in targets:
        steps = np.cumsum(rng.normal(0, 0.3, (15, 2)), 0)
        spectrum = np.fft.fft2(target)
        moved = np.fft.ifft2([fourier_shift(spectrum, step) for step in steps]).real.clip(0)
        dose = 10 ** rng.uniform(-0.5, 1)
        noisy = rng.poisson(moved * dose) / dose
        theirs.append(np.mean([snr(a, t) for a, t in zip(pgure_svt(noisy), moved, strict=True)]))
        ours.append(np.mean([snr(a, t) for a, t in zip(network(noisy), moved, strict=True)]))
    results["sequences"] = {"network, each frame alone": np.mean(ours),
                            "PGURE-SVT, 15 frames together": np.mean(theirs)}  # fmt: skip
    print("   sequences of 15 drifting frames (mean dB)")
    say("mean", results["sequences"])


def peaks(image, height):
    """Local maxima within 2 pixels, above a height."""
    found = (image == maximum_filter(image, 5)) & (image > height)
    return np.argwhere(found)


def lone_atom_samples(count):
    """Frames of lone atoms and their truth, in the frames' deviations."""
    problem = Denoise(families={"lone_atoms": 1}, channels=None, window=1)
    return fixed_set(problem, "test", count, 128, 99)


if "blank" in arguments.parts:
    # What a single atom looks like in training: its height in deviations of the frame.
    _, truth = lone_atom_samples(200)
    single = float(np.median(truth.max((1, 2, 3))))
    atoms, rng = 0, np.random.default_rng(22)
    for _ in range(arguments.blank // 20):
        dose = 10 ** rng.uniform(-0.3, 1.3)
        noise = rng.poisson(dose, (20, 128, 128)) + rng.normal(
            0, rng.uniform(0, dose**0.5), (20, 128, 128)
        )
        deviation = noise.std((1, 2))
        for answer, sigma in zip(network(noise), deviation, strict=True):
            atoms += len(peaks((answer - answer.mean()) / sigma, 0.1 * single))
    results["blank"] = {"atoms a frame": atoms / arguments.blank, "single atom": single}
    print(f"3. pure noise: {atoms / arguments.blank:.4f} atoms a frame above a tenth of a single "
          f"atom's {single:.2f} deviations (wanted: 0.01)")  # fmt: skip


def average_precision(images, targets):
    """Of local maxima ranked by height, true within 5 pixels of an atom not yet found."""
    found, total = [], 0
    for image, target in zip(images, targets, strict=True):
        atoms = list(peaks(target, target.mean() + 0.2 * (target.max() - target.mean())))
        total += len(atoms)
        for p in sorted(peaks(image, -np.inf), key=lambda p: -image[tuple(p)]):
            near = [a for a in atoms if np.hypot(*(a - p)) <= 5]
            hit = bool(near)
            if hit:
                nearest = min(near, key=lambda a: np.hypot(*(a - p)))
                atoms = [a for a in atoms if a is not nearest]
            found.append((image[tuple(p)], hit))
    found.sort(key=lambda pair: -pair[0])
    hits = np.array([hit for _, hit in found])
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(np.sum(precision * hits) / total)


if "atoms" in arguments.parts:
    images, truth = (a[..., 0] for a in lone_atom_samples(200))
    weak = [
        i for i in range(200) if 10 * np.log10(truth[i].var() / max(1 - truth[i].var(), 1e-3)) < 0
    ]
    images, truth = images[weak], truth[weak]
    ours = average_precision(network(images), truth)
    blurs = {
        s: average_precision([denoisers.gaussian(f, s) for f in images], truth)
        for s in (1, 1.5, 2, 2.5, 3, 4, 5)
    }
    best = max(blurs, key=blurs.get)
    results["atoms"] = {"network": ours, "blur": blurs[best]}
    print(f"4. lone atoms, {len(weak)} frames below 0 dB: average precision {ours:.3f}, "
          f"best blur ({best} pixels) {blurs[best]:.3f}")  # fmt: skip

with replacing(arguments.output / "metrics.json") as part:
    part.write_text(json.dumps(results, indent=2, default=float))
print(f"pictures: {arguments.output}/*.png")
