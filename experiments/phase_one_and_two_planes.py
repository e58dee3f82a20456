"""Error of phase networks on unseen simulated targets, against zero and transport of intensity.

    python experiments/phase_one_and_two_planes.py                  # 42 minutes on two cores

Trains the default network for -108 um with the full budget. With equal, smaller budgets of 128x128
pixels it trains networks for -52, 52 and both planes, and for -108 with either of the two inputs.
Finished runs are kept in the output folder and not trained again.

Wanted: the error of the full run at most 35 % of the zero result's and 60 % of one-plane transport
of intensity, in 40 minutes; two planes better than either plane alone.
"""

import argparse
import json
import time
from pathlib import Path

import mcnn_keras as mcnn
from mcnn_keras.files import replacing
from mcnn_keras.problems import Phase
from mcnn_keras.training.checkpoints import RunFolder

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=32)
parser.add_argument("--small-epochs", type=int, default=4)
parser.add_argument("--samples", type=int, default=128, help="unseen test samples")
parser.add_argument("--output", type=Path, default=Path("runs/phase_planes"))
arguments = parser.parse_args()

small = {"epochs": arguments.small_epochs, "image_size": 128}
RUNS = {
    "full -108": (Phase(-108, input="physical"), {"epochs": arguments.epochs}),
    "-52": (Phase(-52, input="physical"), small),
    "52": (Phase(52, input="physical"), small),
    "-52 and 52": (Phase([-52, 52], input="physical"), small),
    "-108": (Phase(-108, input="physical"), small),
    "-108 intensity": (Phase(-108, input="intensity"), small),
}

rows = {}
for name, (problem, settings) in RUNS.items():
    folder = RunFolder(arguments.output / name.replace(" ", "_"))
    if not folder.model_path.exists():
        began = time.monotonic()
        mcnn.train(problem, output=folder.path, resume=folder.config_path.exists(), **settings)
        (folder.path / "minutes.txt").write_text(f"{(time.monotonic() - began) / 60:.1f}")
    answers = mcnn.evaluate(mcnn.load(folder.model_path), samples=arguments.samples)
    network, zero, tie = (
        answers[k]["mae"]["phase"] for k in ("network", "zero", "transport of intensity")
    )
    rows[name] = {
        "epochs": settings["epochs"],
        "minutes": float((folder.path / "minutes.txt").read_text()),
        "mae": network,
        "correlation": answers["network"]["correlation"],
        "of zero": network / zero,
        "of TIE": network / tie,
        "zero": zero,
        "TIE": tie,
    }
    print(f"{name:<24}" + "".join(f"  {key} {value:.3f}" for key, value in rows[name].items()))

with replacing(arguments.output / "metrics.json") as part:
    part.write_text(json.dumps(rows, indent=2))
full = rows["full -108"]
print(f"\nfull run: {full['of zero']:.0%} of the zero answer (wanted: 35 %), "
      f"{full['of TIE']:.0%} of one-plane TIE (wanted: 60 %), in {full['minutes']:.0f} minutes "
      "(wanted: 40)")  # fmt: skip
print(f"two planes {rows['-52 and 52']['mae']:.4f} rad, "
      f"one plane {rows['-52']['mae']:.4f} and {rows['52']['mae']:.4f} rad")  # fmt: skip
print(f"physical input {rows['-108']['mae']:.4f} rad, "
      f"bare intensities {rows['-108 intensity']['mae']:.4f} rad")  # fmt: skip
print(f"pictures: {arguments.output}/*/examples.png")
