"""The model for any planes against the best classical method, by defocus, planes and phase span.

    python experiments/phase_any.py               # hours on two cores; continues where it stopped
    python experiments/phase_any.py --samples 8 --slow 2 --planes 1 2

Each cell of the grid is a set of unseen 256x256 samples with one wavelength x defocus / (index x
pixel size^2) of the farthest plane, number of planes, and phase span. Optics and spacing are random
as in training (see `mcnn_keras.problems.any_phase`). The noise is 5 to 30 % of the contrast, at
most that of a camera; the absorption is at most a tenth. The error is the mean absolute error in
rad of phases without their means. Each classical method uses the regularisation that is best for
this set. Iterative methods use the first --slow samples, and are compared with the network on the
same samples.

Wanted: below 60 % of the best classical error in three quarters of the cells, above it in none.
Writes metrics.json after each cell.
"""

import argparse
import itertools
import json
from pathlib import Path

import numpy as np

import mcnn_keras as mcnn
from mcnn_keras.files import replacing
from mcnn_keras.focal_series import (
    FocalSeries,
    ctf_phase,
    gp_tie,
    iterative_phase,
    multi_focus_tie,
    tie,
    variational_phase,
)
from mcnn_keras.focal_series.network import at_any_planes
from mcnn_keras.focal_series.refinement import refined_wave
from mcnn_keras.problems.any_phase import AnyPhase, instrument_of
from mcnn_keras.training.pipeline import measurements

parser = argparse.ArgumentParser()
parser.add_argument("--model", default="phase")
parser.add_argument("--defocus", type=float, nargs="+", default=[10, 30, 100, 300, 1000, 2000])
parser.add_argument("--planes", type=int, nargs="+", default=[1, 2, 4, 8])
parser.add_argument("--spans", type=float, nargs="+", default=[0.3, 3.0])
parser.add_argument("--samples", type=int, default=32)
parser.add_argument("--slow", type=int, default=4, help="samples for methods that iterate, or 0")
parser.add_argument("--size", type=int, default=256)
parser.add_argument("--output", type=Path, default=Path("runs/phase_any"))
arguments = parser.parse_args()
arguments.output.mkdir(parents=True, exist_ok=True)
record = arguments.output / "metrics.json"
rows = json.loads(record.read_text()) if record.exists() else {}
model = mcnn.load(arguments.model)


def error(phase, truth):
    return float(np.abs(phase - phase.mean() - truth).mean())


def tried(function, samples, settings):
    """The lowest mean error over settings, and these; None if the method cannot be used."""
    best = None
    for setting in settings:
        try:
            errors = [error(function(*s[:3], **setting), s[3]) for s in samples]
        except mcnn.InputError:
            return None
        if best is None or np.mean(errors) < np.mean(best[0]):
            best = errors, setting
    return best


def cutoffs(count):
    # In cycles per pixel: pixels are the samples' unit of length.
    return [{"cutoff": c} for c in np.geomspace(2e-4, 0.1, count)]


def start(images, defocus, optics):
    return ctf_phase(images, defocus, optics)[0]


def one(found):
    return found[0] if isinstance(found, tuple) else found


QUICK = {
    "tie": (tie, cutoffs(9)),
    "ctf": (
        lambda *s, **k: ctf_phase(*s, **k)[0],
        [{"absorption": a, "noise": n} for a in (0.0, 0.01, 0.1) for n in (None, 0.03, 0.3)],
    ),
    "gp-tie": (gp_tie, cutoffs(5)),
    "mf-tie": (multi_focus_tie, cutoffs(5)),
}
SLOW = {
    "variational": (
        lambda *s, **k: variational_phase(*s, iterations=60, start=start(*s), **k),
        [{"smoothness": s} for s in (0.03, 0.3, 3.0)],
    ),
    "iterative": (
        lambda *s, **k: one(iterative_phase(*s, start=start(*s), **k)),
        [{"iterations": 5}, {"iterations": 30}],
    ),
}

print(f"{'cell':<22}{'zero':>8}{'network':>9}{'refined':>9}   best classical, and the ratio to it")
for u, count, span in itertools.product(arguments.defocus, arguments.planes, arguments.spans):
    cell = f"{u:g}, {count} planes, {span:g} rad"
    if cell not in rows:
        problem = AnyPhase(
            ranges={
                "defocus": (u, u), "planes": (count, count), "phase_span": (span, span),
                "amplitude_span": (0.05, 0.1), "noise": (0.05, 0.3),
            }
        )  # fmt: skip
        samples = []
        stream = measurements(problem, "test", arguments.size, seed=11)
        for found in itertools.islice(stream, arguments.samples):
            told = {k: v.numpy() for k, v in found["conditions"].items()}
            truth = found["target"].numpy()[..., 0]
            samples.append((found["image"].numpy(), *instrument_of(told), truth - truth.mean()))
        waves = [at_any_planes(model, i, z, o) for i, z, o, _ in samples]
        errors = {"network": [error(w[0], s[3]) for w, s in zip(waves, samples, strict=True)]}
        errors["zero"] = [float(np.abs(s[3]).mean()) for s in samples]
        slow = samples[: arguments.slow]
        if slow:
            errors["network refined"] = [
                error(refined_wave(FocalSeries(i, tuple(z), ()), o, *w)[0], t)
                for w, (i, z, o, t) in zip(waves, slow, strict=False)
            ]
        settings = {}
        for methods, own in ((QUICK, samples), (SLOW if slow else {}, slow)):
            for name, (function, choices) in methods.items():
                best = tried(function, own, choices)
                if best is not None:
                    errors[name], settings[name] = best
        ratios = {
            name: float(np.mean(errors["network"][: len(e)]) / np.mean(e))
            for name, e in errors.items()
            if name in QUICK or name in SLOW
        }
        rows[cell] = {"errors": errors, "settings": settings, "ratios": ratios}
        with replacing(record) as part:
            part.write_text(json.dumps(rows, indent=1))
    row = rows[cell]
    worst = max(row["ratios"], key=lambda name: row["ratios"][name])
    means = [
        np.mean(row["errors"].get(n, [np.nan])) for n in ("zero", "network", "network refined")
    ]
    print(
        f"{cell:<22}{means[0]:>8.4f}{means[1]:>9.4f}{means[2]:>9.4f}   {worst:<12}"
        f"{np.mean(row['errors'][worst]):>8.4f}{row['ratios'][worst]:>7.2f}",
        flush=True,
    )
worst = [max(row["ratios"].values()) for row in rows.values()]
print(
    f"{len(worst)} cells: below 0.6 in {np.mean(np.array(worst) < 0.6):.0%}, above 1 in "
    f"{np.mean(np.array(worst) > 1):.0%}; median {np.median(worst):.2f}"
)
