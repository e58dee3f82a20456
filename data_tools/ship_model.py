"""Put a trained model into the package: float16 weights, and how it was made in its card.

    python data_tools/ship_model.py runs/denoise/model.h5 mcnn_keras/weights/denoise.h5 \\
        --command "mcnn-keras train denoise" --description "STEM frames, 4.0 M parameters" \\
        --metrics runs/fig5/metrics.json

mcnn_keras.load and keras.models.load_model can open the file. The rounding to half precision is far
smaller than the variation between trainings; the script prints what it changes.
"""

import argparse
import json
import tempfile
from pathlib import Path

import h5py
import numpy as np

import mcnn_keras as mcnn
from mcnn_keras.evaluation import evaluate
from mcnn_keras.evaluation.columns import evaluate_columns
from mcnn_keras.files import replacing
from mcnn_keras.models.saving import ATTRIBUTE, seal
from mcnn_keras.models.weights import DIGEST

parser = argparse.ArgumentParser()
parser.add_argument("model", type=Path)
parser.add_argument("output", type=Path)
parser.add_argument("--command", required=True, help="the command that made the model")
parser.add_argument("--description", required=True, help="a line for `mcnn-keras models`")
parser.add_argument("--metrics", type=Path, help="a .json of measured quality, for the card")
arguments = parser.parse_args()

model = mcnn.load(arguments.model)
card = model.card
card.command, card.description = arguments.command, arguments.description
# Only the file name of the start model is kept, without the folder of this machine.
training = card.training
while training is not None:
    if training.get("start"):
        training["start"] = Path(training["start"]).name
    training = training.get("before")
if arguments.metrics:
    card.metrics["measured"] = json.loads(arguments.metrics.read_text())
columns = evaluate_columns(model)
if columns:  # of denoising models
    card.metrics["columns"] = columns
json.dumps(card.asdict(), allow_nan=False)  # NaN is not valid JSON: raise an error


def copy_halved(source, target):
    """Copy a group with its attributes, floating-point arrays in half precision."""
    # The old card is removed completely, and so is the digest of the weights as they were.
    target.attrs.update({k: v for k, v in source.attrs.items() if k not in (ATTRIBUTE, DIGEST)})
    for name, item in source.items():
        if isinstance(item, h5py.Group):
            copy_halved(item, target.create_group(name))
        else:
            halved = np.asarray(item).astype(np.float16)
            if not np.isfinite(halved).all():
                raise SystemExit(f"{item.name} does not fit into float16")
            target.create_dataset(name, data=halved)


with tempfile.TemporaryDirectory() as folder:
    # Saved again, so that a file of an earlier format is converted to the present format.
    whole = Path(folder) / "model.h5"
    mcnn.save(model, whole)
    with (
        replacing(arguments.output) as part,
        h5py.File(whole) as source,
        h5py.File(part, "w") as target,
    ):
        copy_halved(source, target)
        seal(target, card)

print(f"{arguments.output}: {arguments.output.stat().st_size / 1e6:.1f} MB")
for path in (arguments.model, arguments.output):
    answers = evaluate(mcnn.load(path))
    print(f"{path}: {answers['network']}")
