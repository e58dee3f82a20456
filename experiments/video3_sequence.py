"""Extended video 3 of the paper: raw frames, PGURE-SVT and the network, side by side at 2 fps.

    python experiments/video3_sequence.py                           # 1 minute on two cores
    python experiments/video3_sequence.py --frames recording.tif

Without your own recording: a platinum cluster that rotates by one degree per frame and drifts, on
carbon, 128x128 pixels of 0.1 Angstrom and about two electrons per pixel at its brightest; then the
truth is shown at the right, and the mean SNR of each result is printed. PGURE-SVT sees fifteen
frames at a time, the network one. Writes video3.gif and its first frame, video3.png.
"""

import argparse
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import tensorflow as tf
from scipy.spatial.transform import Rotation

import mcnn_keras as mcnn
from mcnn_keras.classical.pgure_svt import pgure_svt
from mcnn_keras.files import read_images, replacing, to_grey, write_png
from mcnn_keras.metrics import snr_db
from mcnn_keras.physics import stem
from mcnn_keras.targets.crystals import atoms_within

parser = argparse.ArgumentParser()
parser.add_argument("--frames", type=Path, help="a stack of your own")
parser.add_argument("--model", default="denoise", help="a shipped model's name, or a file")
parser.add_argument("--output", type=Path, default=Path("runs/video3"))
arguments = parser.parse_args()

COUNT, SIZE, PIXEL, DOSE = 30, 128, 0.1, 2.0


def turning_cluster():
    rng = np.random.default_rng(4)
    positions, elements = atoms_within("Pt", 5.2)
    weights = stem.scattering(tf.constant(elements))
    fy, fx = stem.frequencies((SIZE, SIZE), PIXEL)
    transfer = stem.probe_transfer(tf.sqrt(fy**2 + fx**2), 300e3, 0.021, -20.0)
    carbon = rng.poisson(0.05, (SIZE, SIZE)) * float(stem.scattering(6.0))
    frames = []
    for i in range(COUNT):
        turned = Rotation.from_euler("yxz", (i, 0.5 * i, 20), degrees=True).apply(positions)
        places = turned[:, :2] / PIXEL + SIZE / 2 + 0.2 * np.array([i, -0.5 * i])
        projected = stem.project(places.astype(np.float32), weights, (SIZE, SIZE))
        frames.append(stem.image(projected + np.float32(carbon), PIXEL, transfer, (0.3, 0.3)))
    frames = np.maximum(np.stack(frames), 0)
    return frames / frames.max()


if arguments.frames:
    truth, raw = None, read_images(arguments.frames)
else:
    truth = turning_cluster()
    raw = np.random.default_rng(5).poisson(DOSE * truth).astype(np.float32) / DOSE

answers = {
    "raw": raw,
    "PGURE-SVT": pgure_svt(raw),
    "network": mcnn.predict(arguments.model, raw, axes="tyx"),
}
if truth is not None:
    for name, frames in answers.items():
        mean = np.mean([snr_db(a, t) for a, t in zip(frames, truth, strict=True)])
        print(f"{name:<12}{mean:6.2f} dB")
    answers["truth"] = truth

scales = {name: np.percentile(frames, (0.5, 99.8)) for name, frames in answers.items()}
video = [
    np.concatenate([to_grey(frames[i], *scales[name]) for name, frames in answers.items()], 1)
    for i in range(len(raw))
]
arguments.output.mkdir(parents=True, exist_ok=True)
write_png(arguments.output / "video3.png", video[0], 0, 255)
with replacing(arguments.output / "video3.gif") as part:
    iio.imwrite(part, video, duration=500, loop=0)
print(f"{', '.join(answers)} from left to right: {arguments.output / 'video3.gif'}")
