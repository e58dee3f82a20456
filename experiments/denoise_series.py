"""Real series of one field, without a truth: compare each denoised frame with the next raw frame.

    python experiments/denoise_series.py FILE...                  # a minute for 5 frames of 128x128
    python experiments/denoise_series.py --against runs/other/model.h5 FILE...

The noise of the next frame is independent of the frame. The measure is the squared difference of
the result to the next raw frame, relative to that of the two raw frames: 1 for the raw frame, 0.5
for the perfect result. A frame is first moved onto the next one, by the shift at which the two
correlate best after a blur. Rims from outside the frame, and 8 pixels more, are left out.

For comparison: the blur that is best for the series; BM3D with the noise's spectrum (from the
differences of the frames); and PGURE-SVT, which sees all frames except the next one.
"""

import argparse
import json
import platform
import re
import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy.ndimage import fourier_shift, gaussian_filter
from skimage.registration import phase_cross_correlation

import mcnn_keras as mcnn
from mcnn_keras.classical import denoisers
from mcnn_keras.classical.pgure_svt import pgure_svt
from mcnn_keras.files import read_images, replacing, to_grey, write_png

RIM = 8
BLURS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.2, 1.4, 1.7, 2, 2.5, 3, 4, 5, 7)
STRENGTHS = (0.7, 1, 1.4, 2, 2.8)  # of BM3D, in parts of the noise that was found

parser = argparse.ArgumentParser()
parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="frames of one field each")
parser.add_argument("--model", default="denoise", help="a shipped model's name, or a file")
parser.add_argument("--against", help="another model, to stand beside it")
parser.add_argument("--frames", type=int, default=16, help="of each series, from its start")
parser.add_argument("--output", type=Path, default=Path("runs/denoise_series"))
arguments = parser.parse_args()
if not arguments.files:
    raise SystemExit("no series was given; name files of at least two frames of one field")


def machine():
    told = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    return (*re.findall(r"model name\s*: (.*)", told), platform.machine())[0]


def shift_between(frame, following):
    """How far the field moved, to a twentieth of a pixel."""
    # Correlated without normalisation: that would give back to the noise what the blur took.
    here, there = (gaussian_filter(f - f.mean(), 2) for f in (frame, following))
    return phase_cross_correlation(there, here, upsample_factor=20, normalization=None)[0]


def moved(frame, shift):
    """By phases, which leaves the noise as strong as it was."""
    wide = np.pad(frame, 2 * RIM, mode="reflect")
    back = np.fft.ifft2(fourier_shift(np.fft.fft2(wide), shift)).real
    return back[2 * RIM : -2 * RIM, 2 * RIM : -2 * RIM]


def noise_spectrum(frames, shifts):
    """E |fft2(noise)|^2 of one frame, smoothed; its mean is the variance times the pixels."""
    pairs = zip(pairwise(frames), shifts, strict=True)
    differences = [moved(frame, shift) - following for (frame, following), shift in pairs]
    power = np.mean([np.abs(np.fft.fft2(d - d.mean())) ** 2 / 2 for d in differences], axis=0)
    return gaussian_filter(power, 3, mode="wrap")


def with_spectrum(frames, spectrum, strength):
    import bm3d

    if not hasattr(np, "trapz"):
        # bm3d still asks newer NumPy for the old name.
        np.trapz = np.trapezoid  # noqa: NPY201
    scale = frames.std()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [bm3d.bm3d(f / scale, spectrum * (strength / scale) ** 2) * scale for f in frames]


def without_the_next(frames):
    """PGURE-SVT of each frame among its neighbours, fifteen together, but not the next one."""
    answers = []
    for i in range(len(frames) - 1):
        others = [k for k in range(len(frames)) if k != i + 1]
        window = sorted(sorted(others, key=lambda k, i=i: abs(k - i))[:15])
        answers.append(pgure_svt(frames[window])[window.index(i)])
    return answers


def error(answers, frames, shifts):
    """Squared difference to the next raw frame in parts of that of the raw frames, their mean."""
    ratios = []
    for answer, (frame, following), shift in zip(answers, pairwise(frames), shifts, strict=False):
        inner = tuple(slice(n, -n) for n in RIM + np.ceil(np.abs(shift)).astype(int))
        ours, raw = (moved(image, shift) - following for image in (answer, frame))
        ratios.append(np.mean(ours[inner] ** 2) / np.mean(raw[inner] ** 2))
    return float(np.mean(ratios))


print(f"{arguments.model}, {machine()}, no seed: nothing is drawn")
arguments.output.mkdir(parents=True, exist_ok=True)
results = {}
for path in arguments.files:
    frames = np.asarray(read_images(path), np.float64)[: arguments.frames]
    if frames.ndim != 3 or len(frames) < 2 or min(frames.shape[1:]) < 64:
        raise SystemExit(
            f"{path} holds an array of shape {frames.shape}; a series is at least two grey frames "
            "of 64x64 pixels"
        )
    shifts = [shift_between(*pair) for pair in pairwise(frames)]
    # Each frame alone: the network must not see the next one.
    answers = {"network": [mcnn.predict(arguments.model, frame) for frame in frames]}
    if arguments.against:
        answers["against"] = [mcnn.predict(arguments.against, frame) for frame in frames]
    spectrum = noise_spectrum(frames, shifts)
    tried = {
        "blur": {s: [denoisers.gaussian(frame, s) for frame in frames] for s in BLURS},
        "BM3D": {s: with_spectrum(frames, spectrum, s) for s in STRENGTHS},
    }
    chosen = {}
    for name, by_strength in tried.items():
        errors = {s: error(images, frames, shifts) for s, images in by_strength.items()}
        chosen[name] = min(errors, key=errors.get)
        answers[name] = by_strength[chosen[name]]
    if len(frames) > 2:
        answers["PGURE-SVT"] = without_the_next(frames)
    row = {name: error(images, frames, shifts) for name, images in answers.items()}
    drift = float(np.mean(np.hypot(*np.transpose(shifts))))
    results[str(path)] = {**row, "chosen": chosen, "pixels a frame": drift, "frames": len(frames)}
    print(f"{path.name:<28}" + "  ".join(f"{name} {value:.3f}" for name, value in row.items())
          + f"   ({len(frames)} frames, {drift:.2f} pixels a frame, blur of {chosen['blur']}, "
          f"BM3D at {chosen['BM3D']})", flush=True)  # fmt: skip
    # The first frame, and its answers in the order of the table.
    low, high = np.percentile(answers["blur"][0], (0.5, 99.8))
    tiles = [to_grey(image, low, high) for image in (frames[0], *(a[0] for a in answers.values()))]
    write_png(arguments.output / f"{path.stem}.png", np.concatenate(tiles, 1), 0, 255)

with replacing(arguments.output / "metrics.json") as part:
    part.write_text(json.dumps({"model": arguments.model, "against": arguments.against,
                                "machine": machine(), "series": results}, indent=2))  # fmt: skip
print(f"pictures, frame and answers from left to right: {arguments.output}/*.png")
