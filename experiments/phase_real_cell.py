"""A real focal series: does the retrieved phase explain the planes that were not used?

    python experiments/phase_real_cell.py focal_series.tif          # half an hour on two cores

The stack holds frames of one cell in coherent light; a .json beside it gives `defocus` (um, of
each frame), `wavelength`, `pixel_size` (um) and `numerical_aperture`. Three things are found from
the frames themselves, by no method that is compared: focus, where the contrast is least (the
stack's positive defocus is taken as upstream, --sign); brightness, each frame's median; and how
the image moves and grows with focus, by `mcnn_keras.focal_series.registration`.

One network is trained for one plane and one for two; each phase is propagated, with unit
amplitude, to all planes that it has not seen, and correlated with the frames there. Transport of
intensity answers from the same planes, with the regularisation that scores best; both answers are
refined, too: made to agree with these planes (`variational_phase`). Amplitude projections have all
planes, those judged by among them. Wanted: networks above transport of intensity, and two planes
within 0.02 of the amplitude projections' phase. Writes metrics.json and phases.png.
"""

import argparse
import json
from pathlib import Path

import numpy as np

import mcnn_keras as mcnn
from mcnn_keras.files import replacing, to_grey, write_png
from mcnn_keras.focal_series import (
    gp_tie,
    iterative_phase,
    read_focal_series,
    tie,
    variational_phase,
)
from mcnn_keras.focal_series.comparison import resimulated
from mcnn_keras.focal_series.registration import registered
from mcnn_keras.focal_series.tie import lowest_cutoff
from mcnn_keras.metrics import correlation
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
series = read_focal_series([arguments.stack])
frames = series.images / np.median(series.images, axis=(0, 1))
scale = np.array(series.defocus)

# Focus: the vertex of a parabola through the three frames of least contrast.
least = int(np.argmin(frames.std((0, 1))))
near = slice(least - 1, least + 2)
a, b, _ = np.polyfit(scale[near], frames[..., near].std((0, 1)), 2)
focus = -b / (2 * a)
print(f"focus at {focus:.1f} um of the stack's scale")
order = np.argsort(arguments.sign * scale)
scale = scale[order]
defocus = arguments.sign * (scale - focus)
series = series._replace(images=frames[..., order], defocus=tuple(defocus))
series, drift = registered(series, optics)
frames = series.images
print(
    f"per um of focus the image moves by {drift.down:.3f} pixels down and {drift.right:.3f} right, "
    f"and grows by {100 * drift.growth:.4f} %"
)


def score(phase, used):
    """Correlation of re-simulated with measured intensities at each plane not used."""
    unused = [i for i in range(len(scale)) if i not in used]
    answers = resimulated(phase, None, defocus[unused], optics)
    return {
        float(scale[i]): correlation(answers[..., n], frames[..., i]) for n, i in enumerate(unused)
    }


# The wave's phase alone, as of the others.
cutoff = lowest_cutoff(frames.shape[:2], optics.pixel_size)
explained, _ = iterative_phase(
    frames, defocus, optics, 60, start=gp_tie(frames, defocus, optics, cutoff)
)
rows, pictures = {}, []
arguments.output.mkdir(parents=True, exist_ok=True)
for count in (1, 2):
    used = [int(np.argmin(np.abs(scale - z))) for z in arguments.planes[:count]]
    used.sort()
    images, planes = frames[..., used], defocus[used].round(2).tolist()
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
    answers = {"network": phase, "transport of intensity": best}
    for method, start in list(answers.items()):
        answers[f"{method}, refined"] = variational_phase(images, planes, optics, start=start)
    answers["projections, all"] = explained
    for method, answer in answers.items():
        scores = score(answer, used)
        mean = float(np.mean(list(scores.values())))
        rows[f"{method}, {count} planes"] = {"planes": planes, "mean": mean, "scores": scores}
        print(
            f"{method:<33} {count} plane(s) {planes}: {mean:.3f} over {len(scores)} unused planes"
        )
        row.append(to_grey(answer))
    pictures.append(row)
write_png(arguments.output / "phases.png", np.block(pictures), 0, 255)
with replacing(arguments.output / "metrics.json") as part:
    part.write_text(json.dumps({"focus": focus, "drift": drift._asdict(), **rows}, indent=2))
print(f"picture (frame, then as above): {arguments.output / 'phases.png'}")
