"""A real focal series: does the retrieved phase explain the planes that were not used?

    python experiments/phase_real_cell.py focal_series.tif            # minutes on two cores
    python experiments/phase_real_cell.py focal_series.tif --train    # half an hour more

The stack contains frames of one cell in coherent light; a .json next to it gives `defocus` (um, of
each frame), `wavelength`, `pixel_size` (um) and `numerical_aperture`. Three things are found from
the frames, independently of the compared methods: the focus, where the contrast is least (positive
defocus in the stack is upstream, --sign); the brightness, each frame's median; and the shift and
magnification with focus, by `mcnn_keras.focal_series.registration`.

The network for any planes, not trained on this instrument, and `ctf` retrieve the phase from one to
four planes. With --train, one network is trained for the one plane and one for the two planes. Each
result is propagated to all planes that it did not use, and correlated with the frames there. The
amplitude is that of the method with several planes, and one with one plane. Transport of intensity
uses the same planes, with the regularisation that scores best. Both are also refined: networks by
`refined_wave`, transport of intensity by `variational_phase`. Amplitude projections use all planes,
including those of the score.

Wanted for the network for any planes: 0.62 from one plane, 0.80 from two, 0.84 from four, and never
less than `ctf`. Writes metrics.json and phases.png.
"""

import argparse
import json
from pathlib import Path

import numpy as np

import mcnn_keras as mcnn
from mcnn_keras.files import Panel, replacing, write_figure
from mcnn_keras.focal_series import (
    ctf_phase,
    gp_tie,
    iterative_phase,
    read_focal_series,
    tie,
    variational_phase,
)
from mcnn_keras.focal_series.network import network_answer
from mcnn_keras.focal_series.refinement import refined_wave
from mcnn_keras.focal_series.registration import registered
from mcnn_keras.focal_series.tie import lowest_cutoff
from mcnn_keras.physics.agreement import agreement
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
parser.add_argument(
    "--planes", type=float, nargs="+", default=[50, -30, 90, -70], help="on the stack's scale"
)
parser.add_argument("--model", default="phase", help="of any planes")
parser.add_argument("--train", action="store_true", help="networks for one and for two planes, too")
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


def score(answer, used):
    """Correlation of re-simulated with measured intensities at each plane not used."""
    unused = [i for i in range(len(scale)) if i not in used]
    phase, amplitude = answer
    # One plane does not determine the amplitude.
    amplitude = amplitude if len(used) > 1 else None
    found = agreement(phase, amplitude, frames[..., unused], defocus[unused], optics)
    return dict(zip(scale[unused].tolist(), found, strict=True))


def trained(count, planes):
    """The network of a run for these planes only, trained if it does not exist."""
    folder = RunFolder(arguments.output / f"planes_{count}")
    if not folder.model_path.exists():
        mcnn.train(
            Phase(planes, optics, phase_span=PHASE_SPAN, input="physical"),
            output=folder.path,
            resume=folder.config_path.exists(),
            epochs=arguments.epochs,
            **SETTINGS,
        )
    return mcnn.load(folder.model_path)


# The wave's phase alone, as of the others.
cutoff = lowest_cutoff(frames.shape[:2], optics.pixel_size)
explained, _ = iterative_phase(
    frames, defocus, optics, 60, start=gp_tie(frames, defocus, optics, cutoff)
)
rows, pictures = {}, []
arguments.output.mkdir(parents=True, exist_ok=True)
general = mcnn.load(arguments.model)
for count in range(1, len(arguments.planes) + 1):
    used = [int(np.argmin(np.abs(scale - z))) for z in arguments.planes[:count]]
    used.sort()
    planes = tuple(float(z) for z in defocus[used].round(2))
    own = series._replace(images=frames[..., used], defocus=planes)
    answers = {"any planes": network_answer(general, own, optics)}
    if arguments.train and count < 3:
        answers["trained"] = network_answer(trained(count, list(planes)), own, optics)
    candidates = [
        (tie(own.images, planes, optics, cutoff), None)
        for cutoff in np.geomspace(1e-3, 0.5 / optics.pixel_size, 25)
    ]
    answers["tie"] = max(candidates, key=lambda a: np.mean(list(score(a, used).values())))
    for method, (phase, amplitude) in list(answers.items()):
        if method == "tie":
            refined = variational_phase(own.images, planes, optics, start=phase), None
        else:
            refined = refined_wave(own, optics, phase, amplitude if count > 1 else None)
        answers[f"{method}, refined"] = refined
    answers["ctf"] = ctf_phase(own.images, planes, optics)
    answers["projections of all planes"] = explained, None
    for method, answer in answers.items():
        scores = score(answer, used)
        mean = float(np.mean(list(scores.values())))
        rows[f"{method}, {count} planes"] = {"planes": planes, "mean": mean, "scores": scores}
        print(f"{method:<26} {count} plane(s) {planes}: {mean:.3f} over {len(scores)} planes")
        title = f"{method}, {count} plane{'s' * (count > 1)}: {mean:.2f}"
        pictures.append(Panel(answer[0], title, "rad", -2.0, 5.0))
write_figure(arguments.output / "phases.png", pictures, optics.pixel_size, optics.unit)
with replacing(arguments.output / "metrics.json") as part:
    part.write_text(json.dumps({"focus": focus, "drift": drift._asdict(), **rows}, indent=2))
print(f"picture: {arguments.output / 'phases.png'}")
