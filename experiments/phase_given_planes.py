"""The model for any planes at given planes: against networks for these, and in large fields.

    python experiments/phase_given_planes.py                  # ten minutes on two cores

Unseen samples of the problem `phase`, simulated with its own ranges: for light at -108 um and at
-52 and 52 um, and for electrons of 300 keV at -2000 and 2000 Angstrom. Results: zero; transport of
intensity with the cutoff and boundary that are best on these samples; `ctf` with its defaults; the
network trained only for these planes, if one is shipped; the model for any planes; and the same
after refinement, on the first --slow samples (with the model's error on these). Mean absolute error
in rad, phases without their means.

Wanted for the model for any planes: at most 10 % more error than a network trained for the planes
with as many samples; for electrons less than half the error of transport of intensity; in 1024x1024
at most 15 % more error than in 256x256, relative to the zero result, in 2 s. Writes metrics.json.
"""

import argparse
import itertools
import json
import statistics
import time
from pathlib import Path

import numpy as np

import mcnn_keras as mcnn
from mcnn_keras.files import replacing
from mcnn_keras.focal_series import FocalSeries, ctf_phase
from mcnn_keras.focal_series.network import at_any_planes
from mcnn_keras.focal_series.refinement import refined_wave
from mcnn_keras.focal_series.tie import best_tie
from mcnn_keras.problems import Phase
from mcnn_keras.problems.phase import PHASE_SPAN
from mcnn_keras.training.pipeline import measurements

CASES = {
    "-108 um": ([-108.0], mcnn.Optics(), "phase-108"),
    "-52, 52 um": ([-52.0, 52.0], mcnn.Optics(), "phase-52+52"),
    "electrons": ([-2000.0, 2000.0], mcnn.Optics.electron(300e3, pixel_size=0.5), None),
}

parser = argparse.ArgumentParser()
parser.add_argument("--model", default="phase", help="of any planes")
parser.add_argument("--own", nargs="+", default=[], help="models trained for the planes alone")
parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
parser.add_argument("--sizes", type=int, nargs="+", default=[256, 1024])
parser.add_argument("--pixels", type=int, default=64 * 256**2, help="of all samples of a size")
parser.add_argument("--phase-span", type=float, nargs=2, default=PHASE_SPAN, help="rad")
parser.add_argument("--slow", type=int, default=8, help="samples that are refined")
parser.add_argument("--seed", type=int, default=5)
parser.add_argument("--output", type=Path, default=Path("runs/phase_given_planes"))
arguments = parser.parse_args()
general, rows = mcnn.load(arguments.model), {}


def seconds(image, planes, optics):
    """The time of one result, with the model loaded and its functions compiled."""
    began = time.perf_counter()
    at_any_planes(general, image, planes, optics)
    return time.perf_counter() - began


for case, size in itertools.product(arguments.cases, arguments.sizes):
    planes, optics, own = CASES[case]
    count = max(4, arguments.pixels // size**2)
    problem = Phase(planes, optics, phase_span=arguments.phase_span)
    stream = measurements(problem, "test", size, arguments.seed)
    samples = [
        (s["image"].numpy(), s["target"].numpy()[..., 0]) for s in itertools.islice(stream, count)
    ]
    images, truths = (np.stack(parts) for parts in zip(*samples, strict=True))
    truths -= truths.mean((1, 2), keepdims=True)

    def error(phases, truths=truths):
        phases = np.stack(phases)
        phases = phases - phases.mean((1, 2), keepdims=True)
        return float(np.abs(phases - truths[: len(phases)]).mean())

    row = {"samples": count, "zero": float(np.abs(truths).mean())}
    ties, _ = best_tie(images, truths[..., None], planes, optics)
    row["tie, best"] = error(ties[..., 0])
    row["ctf"] = error([ctf_phase(i, planes, optics)[0] for i in images])
    for name in [*filter(None, [own]), *arguments.own]:
        found = mcnn.predict(mcnn.load(name), images, defocus=planes, axes="tyxz")
        row[name] = error(found if found.ndim == 3 else found[..., 0])
    waves = [at_any_planes(general, i, planes, optics) for i in images]
    row["any planes"] = error([w[0] for w in waves])
    row["seconds"] = statistics.median(seconds(images[0], planes, optics) for _ in range(5))
    if size <= 512 and arguments.slow:
        few = list(zip(images, waves, strict=True))[: arguments.slow]
        row["any planes, these"] = error([w[0] for _, w in few])
        row["any planes, these refined"] = error(
            [refined_wave(FocalSeries(i, tuple(planes), ()), optics, *w)[0] for i, w in few]
        )
    rows[f"{case}, {size}x{size}"] = row
    told = "; ".join(f"{name} {value:.4f}" for name, value in row.items() if name != "samples")
    print(f"{case}, {count} of {size}x{size}: {told}", flush=True)
arguments.output.mkdir(parents=True, exist_ok=True)
with replacing(arguments.output / "metrics.json") as part:
    part.write_text(json.dumps(rows, indent=1))
