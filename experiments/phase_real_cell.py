"""A real focal series: does the retrieved phase explain the planes that were not used?

    python experiments/phase_real_cell.py focal_series.tif          # half an hour on two cores

The stack holds frames of one cell in coherent light; a .json beside it gives `defocus` (um, of
each frame), `wavelength`, `pixel_size` (um) and `numerical_aperture`. Three things are found from
the frames themselves, by no method that is compared:

* focus, where the contrast is least; the stack's positive defocus is taken as upstream (--sign);
* brightness: each frame is divided by its median;
* the tilt of the illumination, which shifts a frame in proportion to its defocus: the tilt with
  which amplitude projections over some planes predict others best.

One network is trained for one plane and one for two; each phase is propagated, with unit
amplitude, to all planes that it has not seen, and correlated with the frames there. Transport of
intensity answers from the same planes, with the regularisation that scores best. Wanted: networks
above transport of intensity. Writes metrics.json and phases.png.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import scipy.fft
import scipy.ndimage
import scipy.optimize
import tensorflow as tf

import mcnn_keras as mcnn
from mcnn_keras.classical import tie
from mcnn_keras.files import read_images, replacing, to_grey, write_png
from mcnn_keras.metrics import correlation
from mcnn_keras.optics import defocus_stack, transfer_function
from mcnn_keras.problems import Phase
from mcnn_keras.training.checkpoints import RunFolder

# A cell in coherent light at this magnification delays the wave by more than the default's 3 rad:
# two-plane transport of intensity, whose scale owes nothing to training, finds 5 to 6 rad.
PHASE_SPAN = (2.0, 8.0)
# Large enough for a whole cell, whose slow changes count far from focus; 1,024 of these samples
# take as long as the default's 2,048.
SETTINGS = {"image_size": 384, "samples": 1024, "batch_size": 4}

parser = argparse.ArgumentParser()
parser.add_argument("stack", type=Path)
parser.add_argument("--planes", type=float, nargs=2, default=[50, -30], help="on the stack's scale")
parser.add_argument("--sign", type=int, choices=[-1, 1], default=-1)
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--output", type=Path, default=Path("runs/real_cell"))
arguments = parser.parse_args()

facts = json.loads(arguments.stack.with_suffix(".json").read_text())
optics = mcnn.Optics(facts["wavelength"], facts["pixel_size"], facts["numerical_aperture"])
frames = read_images(arguments.stack)
frames /= np.median(frames, axis=(1, 2), keepdims=True)
scale = np.array(facts["defocus"])

# Focus: the vertex of a parabola through the three frames of least contrast.
least = int(np.argmin(frames.std((1, 2))))
near = slice(least - 1, least + 2)
a, b, _ = np.polyfit(scale[near], frames[near].std((1, 2)), 2)
focus = -b / (2 * a)
defocus = arguments.sign * (scale - focus)
print(f"focus at {focus:.1f} um of the stack's scale")

# Tilt: on frames of half the resolution, for speed.
height, width = (n // 2 * 2 for n in frames.shape[1:])
halved = frames[:, :height, :width].reshape(len(frames), height // 2, 2, width // 2, 2).mean((2, 4))
coarse = mcnn.Optics(optics.wavelength, 2 * optics.pixel_size, optics.numerical_aperture)
kernels = transfer_function(halved.shape[1:], defocus, coarse).numpy()
fy = scipy.fft.fftfreq(halved.shape[1])[:, None]
fx = scipy.fft.fftfreq(halved.shape[2])[None]
kernels *= fy**2 + fx**2 < (coarse.numerical_aperture / coarse.wavelength * coarse.pixel_size) ** 2
middle = [i for i, z in enumerate(defocus) if 15 < abs(z) < 90]
fitted, predicted = middle[::2], middle[1::2]


def consistency(tilt):
    """How well amplitude projections over the fitted planes predict the others, at a tilt."""
    shift = np.multiply.outer(scale - focus, np.asarray(tilt) / 2)
    phases = -2j * np.pi * (shift[:, 0, None, None] * fy + shift[:, 1, None, None] * fx)
    tilted = kernels * np.exp(phases).astype(np.complex64)
    wave = np.ones(halved.shape[1:], np.complex64)
    for _ in range(4):
        for i in fitted:
            there = scipy.fft.ifft2(scipy.fft.fft2(wave) * tilted[i])
            there *= np.sqrt(np.clip(halved[i], 0, None)) / np.maximum(np.abs(there), 1e-6)
            wave = scipy.fft.ifft2(scipy.fft.fft2(there) * tilted[i].conj())
    spectrum = scipy.fft.fft2(wave)
    answers = np.abs(scipy.fft.ifft2(spectrum * tilted[predicted])) ** 2
    return np.mean([correlation(x, halved[i]) for x, i in zip(answers, predicted, strict=True)])


start = max(((y, x) for y in np.arange(-0.2, 0.21, 0.1) for x in np.arange(-0.2, 0.21, 0.1)),
            key=consistency)  # fmt: skip
simplex = np.add(start, [[0, 0], [0.03, 0], [0, 0.03]])
found = scipy.optimize.minimize(
    lambda tilt: -consistency(tilt), start, method="Nelder-Mead",
    options={"initial_simplex": simplex, "xatol": 0.002, "fatol": 0.001, "maxfev": 60},
)  # fmt: skip
tilt = found.x
without = consistency((0, 0))
print(
    f"tilt {tilt.round(3)} pixels per um: amplitude projections over {len(fitted)} planes predict"
)
print(f"{len(predicted)} others to {-found.fun:.3f}, and to {without:.3f} without the tilt")
frames = np.stack([
    scipy.ndimage.shift(frame, -tilt * (z - focus), order=3, mode="nearest")
    for frame, z in zip(frames, scale, strict=True)
])  # fmt: skip


def score(phase, used):
    """Correlation of re-simulated with measured intensities at each plane not used."""
    wave = tf.constant(np.exp(1j * phase).astype(np.complex64))
    unused = [i for i in range(len(frames)) if i not in used]
    answers = defocus_stack(wave, defocus[unused], optics).numpy()
    return {float(scale[i]): correlation(answers[..., n], frames[i]) for n, i in enumerate(unused)}


rows, pictures = {}, []
arguments.output.mkdir(parents=True, exist_ok=True)
for count in (1, 2):
    used = [int(np.argmin(np.abs(scale - z))) for z in arguments.planes[:count]]
    images = np.moveaxis(frames[used], 0, -1)
    planes = defocus[used].round(2).tolist()
    folder = RunFolder(arguments.output / f"planes_{count}")
    if not folder.model_path.exists():
        mcnn.train(
            Phase(planes, optics, phase_span=PHASE_SPAN),
            output=folder.path,
            resume=folder.config_path.exists(),
            epochs=arguments.epochs,
            **SETTINGS,
        )
    phase = mcnn.predict(mcnn.load(folder.model_path), images)
    candidates = [
        tie(images, planes, optics, cutoff)
        for cutoff in np.geomspace(1e-3, 0.5 / optics.pixel_size, 25)
    ]
    best = max(candidates, key=lambda p: np.mean(list(score(p, used).values())))
    row = [to_grey(images[..., 0])]
    for method, answer in (("network", phase), ("transport of intensity", best)):
        scores = score(answer, used)
        mean = float(np.mean(list(scores.values())))
        rows[f"{method}, {count} planes"] = {"planes": planes, "mean": mean, "scores": scores}
        print(
            f"{method:<24} {count} plane(s) {planes}: {mean:.3f} over {len(scores)} unused planes"
        )
        row.append(to_grey(answer))
    pictures.append(row)
write_png(arguments.output / "phases.png", np.block(pictures), 0, 255)
with replacing(arguments.output / "metrics.json") as part:
    part.write_text(json.dumps({"focus": focus, "tilt": tilt.tolist(), **rows}, indent=2))
print(f"picture (frame, network, transport of intensity): {arguments.output / 'phases.png'}")
