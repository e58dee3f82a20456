"""Real colour pairs: pictures by a lensless camera with a diffuser, and by a camera with a lens.

    python experiments/diffuser_camera.py --inputs diffuser/ --targets truth/        # 40 minutes

Takes a folder of pictures through the diffuser, and a folder of the same scenes through a lens with
the same file names (made for the DiffuserCam of Waller's group, under BSD-3 in its repository
LenslessLearning). The last two pairs by name are for testing. Compares, on these:

1. the mean of the other targets;
2. the best linear inverse: the diffuser's point-spread function from the other pairs, then a Wiener
   filter with the strength that is best on the test pairs;
3. `Paired`, a network trained on the other pairs only;
4. a network trained on pictures simulated with that point-spread function, with the measurement and
   its Wiener estimate as input channels. This shows the benefit of a forward model.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import tensorflow as tf
from scipy import fft

import mcnn_keras as mcnn
from mcnn_keras.files import open_recording, replacing, write_png
from mcnn_keras.inference.engines import engine_of
from mcnn_keras.metrics import correlation, mean_absolute_error
from mcnn_keras.problems import Reflection, Sample
from mcnn_keras.problems.paired import COLOURS, filled

STRENGTHS = tuple(10.0 ** (k / 2) for k in range(-8, 0))  # of the largest transfer
SEEN = 3e-3  # the strength of the estimate that the network sees
ITERATIONS = 100

parser = argparse.ArgumentParser()
parser.add_argument("--inputs", type=Path, required=True)
parser.add_argument("--targets", type=Path, required=True)
parser.add_argument("--epochs", type=int, default=10, help="of 1,024 simulated pairs")
parser.add_argument("--output", type=Path, default=Path("runs/diffuser"))
arguments = parser.parse_args()
arguments.output.mkdir(parents=True, exist_ok=True)


def pictures(folder):
    """All pictures of a folder, (pictures, height, width, 3), by name."""
    found = {}
    for path in sorted(folder.iterdir()):
        with open_recording(path) as recording:
            found[path.stem] = recording.read_channels()
    return found


measured, truths = pictures(arguments.inputs), pictures(arguments.targets)
names = sorted(set(measured) & set(truths))
measured, truths = (np.stack([p[n] for n in names]) for p in (measured, truths))
measured, truths = measured / measured.max(), truths / truths.max()
train, test = slice(0, len(names) - 2), slice(len(names) - 2, None)
height, width = measured.shape[1:3]
# Twice the size, so that nothing comes in again on the other side.
WHOLE = (2 * height, 2 * width)
inner = (
    slice(None),
    slice(height // 2, height // 2 + height),
    slice(width // 2, width // 2 + width),
)


def spectrum(a):
    return fft.rfft2(a, WHOLE, axes=(-2, -1), workers=2)


def image(a):
    return fft.irfft2(a, WHOLE, axes=(-2, -1), workers=2)


def placed(pictures, mode="constant"):
    """Channels first, in the middle of the whole field."""
    widths = [(0, 0), (height // 2, height - height // 2), (width // 2, width - width // 2)]
    channels_first = np.moveaxis(pictures, -1, -3)
    return np.pad(channels_first, [(0, 0)] * (channels_first.ndim - 3) + widths, mode=mode)


def point_spread(targets, measurements):
    """The kernel, not negative, of which targets give measurements, whose borders are cut off.

    Alternating directions (ADMM): what lies beyond the sensor is free, what is negative is not.
    """
    spectra, sensor = spectrum(placed(targets)), placed(measurements)
    mask = placed(np.ones((1, height, width, 1)))
    power = (np.abs(spectra) ** 2).sum(0)
    nu = 0.1 * power.mean((-1, -2), keepdims=True)
    support = np.fft.ifftshift(mask[0, 0])
    kernel, dual = np.zeros((3, *WHOLE)), np.zeros((3, *WHOLE))
    seen, seen_dual = np.zeros_like(sensor), np.zeros_like(sensor)
    for _ in range(ITERATIONS):
        free = (mask * sensor + seen + seen_dual) / (mask + 1)
        positive = np.maximum(kernel + dual, 0) * support
        kernel_spectrum = (spectra.conj() * spectrum(free - seen_dual)).sum(0)
        kernel_spectrum = (kernel_spectrum + nu * spectrum(positive - dual)) / (power + nu)
        kernel, seen = image(kernel_spectrum), image(spectra * kernel_spectrum)
        seen_dual += seen - free
        dual += kernel - positive
    return positive


transfer = spectrum(point_spread(truths[train], measured[train]))
largest = (np.abs(transfer) ** 2).max((-1, -2), keepdims=True)


def wiener(measurement, strength):
    """Wiener's estimate of one picture, (height, width, 3)."""
    inverse = transfer.conj() / (np.abs(transfer) ** 2 + strength * largest)
    estimate = image(inverse * spectrum(placed(measurement, "edge")))
    return np.moveaxis(estimate[inner], 0, -1)


class Diffuser:
    """Pictures on the monitor, through the diffuser."""

    name = "diffuser"
    outputs = COLOURS
    screen = Reflection()
    # Where the monitor is.
    monitor = np.float32(truths[train].max((0, 3)) > 0.15)[..., None]
    forward = tf.constant(transfer, tf.complex64)
    inverse = tf.constant(transfer.conj() / (np.abs(transfer) ** 2 + SEEN * largest), tf.complex64)

    def targets(self, seed, size, split):
        """A colour picture where the monitor is."""
        return self.screen.targets(seed, width, split) * self.monitor

    def observe(self, target, seed):
        """What reaches the sensor."""
        return self._through(target, self.forward, "CONSTANT")

    def _through(self, picture, transfer, mode):
        widths = ((height // 2, height - height // 2), (width // 2, width - width // 2), (0, 0))
        whole = tf.transpose(tf.pad(picture, widths, mode=mode), (2, 0, 1))
        through = tf.signal.irfft2d(tf.signal.rfft2d(whole) * transfer, fft_length=WHOLE)
        return tf.transpose(through[inner], (1, 2, 0))

    def seen(self, measurement):
        """The network's input: the measurement and Wiener's estimate."""
        estimate = self._through(measurement, self.inverse, "SYMMETRIC")
        return filled(tf.concat([2 * measurement - 0.5, estimate], axis=-1))

    def sample(self, seed, size, split="train"):
        """One pair; the size is that of the real ones."""
        seeds = tf.unstack(tf.random.split(tf.random.fold_in(seed, int(split == "test")), 3))
        target = self.targets(seeds[0], size, split)
        measurement = self.observe(target, seeds[1])
        # The fit of the kernel leaves about this much of the light unexplained.
        noise = 0.01 * tf.reduce_mean(measurement) * tf.random.stateless_normal(
            measurement.shape, seeds[2]
        )  # fmt: skip
        return Sample(self.seen(measurement + noise), {}, filled(target))


def cut(answers):
    """The picture's part of answers whose height and width were filled up."""
    top, left = ((n - m) // 2 for n, m in zip(answers.shape[1:3], (height, width), strict=True))
    return answers[:, top : top + height, left : left + width]


targets = truths[test]
answers = {"mean of the others": np.broadcast_to(truths[train].mean(0), targets.shape)}
estimates = {s: np.stack([wiener(m, s) for m in measured[test]]).clip(0, 1) for s in STRENGTHS}
best = min(STRENGTHS, key=lambda s: mean_absolute_error(estimates[s], targets))
answers[f"Wiener, strength {best:.1g}"] = estimates[best]

held = arguments.output / "train"
for kind, arrays in (("inputs", measured), ("targets", truths)):
    (held / kind).mkdir(parents=True, exist_ok=True)
    for name, array in list(zip(names, arrays, strict=True))[train]:
        np.save(held / kind / f"{name}.npy", np.moveaxis(array, -1, 0).astype(np.float32))
alone = mcnn.train(
    mcnn.problems.Paired(held / "inputs", held / "targets", whole=True),
    image_size=64, samples=256, epochs=4, batch_size=4, learning_rate=1e-3,
)  # fmt: skip
answers["network, real pairs alone"] = np.stack(
    [mcnn.predict(alone.model, m.astype(np.float32)) for m in measured[test]]
)

problem = Diffuser()
helped = mcnn.train(
    problem, output=arguments.output / "run", resume=(arguments.output / "run").exists(),
    image_size=64, samples=1024, epochs=arguments.epochs, batch_size=4, learning_rate=1e-3,
)  # fmt: skip
seen = np.stack([problem.seen(tf.constant(m, tf.float32)) for m in measured[test]])
answers["network, with the forward model"] = cut(engine_of(helped.model).compute(seen))

results, rows = {}, [np.concatenate(list(measured[test]), 1), np.concatenate(list(targets), 1)]
for name, answer in answers.items():
    answer = np.clip(answer, 0, 1)
    results[name] = {"MAE": mean_absolute_error(answer, targets),
                     "correlation": correlation(answer, targets)}  # fmt: skip
    print(f"{name:<32}" + "  ".join(f"{k} {v:.3f}" for k, v in results[name].items()))
    rows.append(np.concatenate(list(answer), 1))
picture = np.concatenate(rows)
write_png(arguments.output / "answers.png", picture, 0, 1)
with replacing(arguments.output / "metrics.json") as part:
    part.write_text(json.dumps(results, indent=2))
print(f"measurement, truth, and the answers in this order: {arguments.output}/answers.png")
