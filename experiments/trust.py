"""How often stated intervals hold, and which results outside of the training are told.

    python experiments/trust.py denoise                  # 15 minutes on two cores
    python experiments/trust.py phase
    python experiments/trust.py denoise --series frames.ser

Four tables:

1. The share of the pixels whose truth is within the interval of 90 %, on unseen samples of the
   model's own simulator: of all, and of each tenth of intensity, of noise, and for phases of the
   defocus. Noise is the share of the frame's variance that the result lacks, and of the images of
   phases the power at 0.4 to 0.5 cycles per pixel. Wanted: 90 +-2 %, and 90 +-5 % in every tenth.
   The share differs so much between samples that a tenth needs a hundred of them.
2. Frames of a real series (--series): the interval around each denoised frame, widened by the noise
   (whose variance is a line in the mean, fitted to the frame less the result), and the share of the
   pixels of the next raw frame within it. Wanted: 90 +-5 %.
3. Images outside of the training, of an independent simulator (data_tools/messy_frames.py): the
   mean absolute error in deviations of the image, how many are worse than the worst hundredth of
   the samples of 1, how many of these and of all are told. Wanted: 95 % of the worse ones, at most
   5 % of the samples of 1.
4. The time of a prediction with its uncertainty, relative to that without, in turns.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from trust_sets import SHIFTS, phase_shifts

import mcnn_keras as mcnn
from mcnn_keras.files import open_recording, replacing
from mcnn_keras.inference.predict import computed
from mcnn_keras.inference.range_check import RangeCheck
from mcnn_keras.inference.stack import prepared
from mcnn_keras.inference.statistics import image_statistics
from mcnn_keras.inference.uncertain import UncertainEngine
from mcnn_keras.models import AnyPlanes
from mcnn_keras.physics import contrast_transfer as transfer
from mcnn_keras.physics.agreement import agreement
from mcnn_keras.problems import from_card
from mcnn_keras.problems.any_phase import instrument_of
from mcnn_keras.training.pipeline import measurements

SEED, WORST, NORMAL = 2026, 0.99, 1.645  # of a normal distribution, 90 % within +-1.645
LEAST = 0.05  # rad: errors of weaker phases are relative to this deviation

parser = argparse.ArgumentParser()
parser.add_argument("model", help="a shipped model's name, or a file")
parser.add_argument("--samples", type=int, default=1000)
parser.add_argument("--frames", type=int, default=40, help="images of each set of table 3")
parser.add_argument("--series", type=Path, help="a recording of several frames of one field")
parser.add_argument("--output", type=Path, default=Path("runs/trust"))
arguments = parser.parse_args()
model = mcnn.load(arguments.model)
card, engine = model.card, UncertainEngine(model)
is_phase = card.outputs[0].role == "phase"


def answer_of(image, told):
    """Result and half-width, (height, width), of the first output, and the amplitude if any."""
    if isinstance(card.inputs, AnyPlanes):
        planes, optics = instrument_of(told)
        found = computed(engine, image, axes="yxz", defocus=planes, conditions=optics.conditions())
        own = found.shape[-1] // 2
        return found[..., 0], found[..., own], found[..., 1] if own > 1 else None
    finish, batch = prepared(engine, image[None].astype(np.float32))
    found = finish(batch)[0]
    return found[..., 0], found[..., found.shape[-1] // 2], None


def agreement_of(image, told, phase, amplitude):
    """What the command `phase` compares with the agreements of the training."""
    planes, optics = instrument_of(told)
    return float(np.mean(agreement(phase, amplitude, image, planes, optics)))


def look(image, truth, told=None):
    """One image: its error, its share within the interval, and whether it is told."""
    result, half, amplitude = answer_of(image, told or {})
    frame = image[..., 0 if is_phase else image.shape[-1] // 2]
    seen = np.isfinite(frame)
    # An unknown offset is no error: neither a phase nor a frame has an absolute zero.
    truth = truth - truth[seen].mean() + result[seen].mean()
    error = np.abs(result - truth)[seen]
    check = RangeCheck(card, 1)
    score = None
    if isinstance(card.inputs, AnyPlanes):
        score = agreement_of(image, told, result, amplitude)
    check.see(0, frame, result, half, score)  # with the uncertainty, as with --uncertainty
    doubted = score is not None and score < card.calibration["least agreement"]
    scale = max(truth[seen].std(), LEAST) if is_phase else max(frame[seen].std(), 1e-12)
    return {
        "error": float(error.mean() / scale), "told": bool(check.found) or doubted,
        "within": (error <= half[seen]), "value": result[seen],
        "noise": noise_share(frame, result, seen),
    }  # fmt: skip


def noise_share(frame, result, seen):
    """How noisy a frame is; any rising function of it serves."""
    if is_phase:
        return image_statistics(frame)["power 0.4-0.5"]
    return float(1 - np.clip(result[seen].var() / max(frame[seen].var(), 1e-30), 0, 1))


def tenths(order, within):
    """The share within, in each tenth by a quantity."""
    parts = np.array_split(np.argsort(order, kind="stable"), 10)
    return [round(100 * float(np.mean(within[part])), 1) for part in parts]


def own_samples():
    problem, rows = from_card(card), []
    size = card.training["image_size"]
    for sample in measurements(problem, "test", size, SEED).take(arguments.samples):
        told = {n: v.numpy() for n, v in sample["conditions"].items()}
        row = look(sample["image"].numpy(), sample["target"].numpy()[..., 0], told)
        if is_phase and isinstance(card.inputs, AnyPlanes):
            planes, optics = instrument_of(told)
            row["defocus"] = float(np.abs(transfer.dimensionless(np.asarray(planes), optics)).max())
        rows.append(row)
    return rows


def coverage(rows):
    within = np.concatenate([r["within"] for r in rows])
    # Each frame has its own scale: its pixels are ranked by themselves.
    ranks = [np.argsort(np.argsort(r["value"])) / r["value"].size for r in rows]
    table = {"all": round(100 * float(within.mean()), 1)}
    table["tenths of intensity"] = tenths(np.concatenate(ranks), within)
    for name in ("noise", "defocus"):
        if name in rows[0]:
            each = np.concatenate([np.full(r["within"].size, r[name]) for r in rows])
            table[f"tenths of {name}"] = tenths(each, within)
    return table


def noise_of(frame, result):
    """The deviation of the noise at each pixel: its variance is a line in the result."""
    order = np.array_split(np.argsort(result, axis=None), 16)
    residual = (frame - result).ravel()
    means = np.array([result.ravel()[part].mean() for part in order])
    slope, offset = np.polyfit(means, [residual[part].var() for part in order], 1)
    return np.sqrt(np.maximum(slope * result + offset, 1e-12))


def real_series(path):
    with open_recording(str(path)) as recording:
        frames = recording.read(0, len(recording))
    results, halves = mcnn.predict(model, frames, axes="tyx", temporal="off", uncertainty=True)
    shares = []
    for i in range(len(frames) - 1):
        wide = np.hypot(halves[i], NORMAL * noise_of(frames[i], results[i]))
        offset = frames[i + 1].mean() - frames[i].mean()  # the beam flickers
        shares.append(100 * float(np.mean(np.abs(frames[i + 1] - offset - results[i]) <= wide)))
    return {"frames": len(frames), "within": [round(s, 1) for s in shares]}


def outside(rows):
    worst = float(np.quantile([r["error"] for r in rows], WORST))
    table = {
        "worst hundredth": worst,
        "told": float(np.mean([r["told"] for r in rows])),
        "sets": {},
    }
    rng, bad, told = np.random.default_rng(SEED), 0, 0
    sets = phase_shifts(card) if is_phase else SHIFTS
    for name, draw in sets.items():
        found = [look(*draw(rng, i)) for i in range(arguments.frames)]
        worse = [r for r in found if r["error"] > worst]
        bad, told = bad + len(worse), told + sum(r["told"] for r in worse)
        table["sets"][name] = {
            "error": float(np.median([r["error"] for r in found])),
            "worse": len(worse) / len(found), "told": float(np.mean([r["told"] for r in found])),
            "within": 100 * float(np.mean([r["within"].mean() for r in found])),
            "told of the worse": [sum(r["told"] for r in worse), len(worse)],
        }  # fmt: skip
    table["told of the worse"] = [told, bad]
    return table


def cost(image, told):
    from mcnn_keras.inference.engines import engine_of

    times = {"with": [], "without": []}
    stack = np.repeat(image[None], 8, 0).astype(np.float32)
    engines = {"with": engine, "without": engine_of(model)}
    for _ in range(9):
        for name, own in engines.items():
            began = time.perf_counter()
            finish, batch = prepared(own, stack)
            finish(batch)
            times[name].append(time.perf_counter() - began)
    return float(np.median(times["with"][2:]) / np.median(times["without"][2:]))


rows = own_samples()
table = {"model": arguments.model, "coverage": coverage(rows), "outside": outside(rows)}
if arguments.series:
    table["real series"] = real_series(arguments.series)
if not isinstance(card.inputs, AnyPlanes):
    size = card.training["image_size"]
    image = next(iter(measurements(from_card(card), "test", size, 1)))["image"].numpy()
    table["time with / without"] = cost(image, {})
arguments.output.mkdir(parents=True, exist_ok=True)
with replacing(arguments.output / f"{Path(arguments.model).stem}.json") as part:
    part.write_text(json.dumps(table, indent=2))
print(json.dumps(table, indent=2))
