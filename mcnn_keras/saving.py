"""Model files: one .h5 that explains itself, read back as data and never as code."""

import datetime
import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import h5py
import numpy as np

from .errors import InputError, reason
from .files import replacing

PACKAGES = ("mcnn-keras", "keras", "tensorflow", "numpy")
# What a card must have.
FIELDS = (
    "problem", "output_names", "units", "pixel_size", "normalization", "network", "training",
)  # fmt: skip
ATTRIBUTE = "mcnn_keras_card"
FORMAT = 1
WEIGHTS = Path(__file__).parent / "weights"


def shipped():
    """The models that come with the package, by the names that `load` knows.

    Returns
    -------
    dict
        Name -> path of its .h5 file.
    """
    return {path.stem: path for path in sorted(WEIGHTS.glob("*.h5"))}


def model_path(name):
    """The file of a model: a shipped one by its name, or any by its path."""
    return shipped().get(str(name), Path(name))


def make_card(problem, network, training, metrics):
    """What a model file tells of itself.

    Parameters
    ----------
    problem : Problem
        What the model was trained on.
    network : dict
        The arguments of `mcnn_keras.MCNN`.
    training, metrics : dict
        Settings of the run, and what it reached.

    Returns
    -------
    dict
        As JSON can hold it.
    """
    card = {
        "format": FORMAT,
        "problem": {"name": problem.name, "config": problem.config()},
        "output_names": problem.output_names,
        "units": problem.units,
        "pixel_size": problem.pixel_size,
        "normalization": problem.normalization,
        "network": network,
        "training": training,
        "metrics": metrics,
        "versions": {name: _version(name) for name in PACKAGES},
        "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }
    return json.loads(json.dumps(card))


def error_unit(card):
    """The unit of the mean absolute error over all outputs, to print behind it."""
    units, names = card["units"], card["output_names"]
    if card["normalization"]["output"] == "fixed":
        return "of the targets' deviation"
    return units[0] if len(units) == 1 else f"(mean over {' and '.join(names)})"


def save(model, path):
    """Save a model with its card.

    Parameters
    ----------
    model : keras.Model
        From `mcnn_keras.train` or `mcnn_keras.load`.
    path : str or Path
        A name ending in .h5; the file appears whole or not at all.

    Raises
    ------
    InputError
        If the name does not end in .h5, or the model has no card.
    """
    path = Path(path)
    if path.suffix != ".h5":
        raise InputError(f"{path} does not end in .h5; name the model file like phase.h5")
    if not hasattr(model, "card"):
        raise InputError("the model has no card; save models that mcnn_keras trained or loaded")
    with replacing(path) as part:
        _write_keras_file(model, part)
        with h5py.File(part, "r+") as file:
            file.attrs[ATTRIBUTE] = json.dumps(dict(model.card), default=dict)


def load(path, precision="float32"):
    """Load a model that `save` wrote, or one that comes with the package.

    Parameters
    ----------
    path : str or Path
        The .h5 file, a .onnx file that `mcnn_keras.onnx_file.export` made, or a shipped model's
        name, such as "denoise".
    precision : {'float32', 'bfloat16'}
        What it computes in; bfloat16 is faster on processors that know it, and good to two
        digits.

    Returns
    -------
    keras.Model
        Rebuilt from the card; nothing in the file is run. Of a .onnx file an
        `mcnn_keras.onnx_file.OnnxModel`, which `mcnn_keras.predict` takes just as well.

    Raises
    ------
    InputError
        If the file is missing, damaged, or was not written by this package, or the precision is
        not known.
    """
    if str(path).endswith(".onnx"):
        from .onnx_file import OnnxModel

        return OnnxModel(path)
    from .network import build

    if precision not in ("float32", "bfloat16"):
        raise InputError(f"precision {precision!r} is not known; choose 'float32' or 'bfloat16'")
    path = model_path(path)
    card = read_card(path)
    try:
        # A card that tells nothing of its last layer is from before there were two.
        model = build({"head_kernel": 2, **card["network"]}, precision)
        with h5py.File(path, "r") as file:
            for layer in model.layers:
                if layer.weights:
                    layer.set_weights(_layer_weights(file["model_weights"][layer.name], layer))
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise InputError(
            f"{path} is damaged: its weights do not fit its card ({reason(error)})"
        ) from None
    model.card = card
    return model


def read_card(path):
    """The card of a model file.

    Parameters
    ----------
    path : str or Path
        The .h5 file, or a shipped model's name.

    Returns
    -------
    dict

    Raises
    ------
    InputError
        If the file is missing, damaged, or was not written by this package.
    """
    if str(path).endswith(".onnx"):
        return load(path).card
    path = model_path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "is not there"
        known = "".join(f", or {name}" for name in shipped())
        raise InputError(f"the model {path} {what}; give the name of a .h5 file{known}")
    try:
        with h5py.File(path, "r") as file:
            text = file.attrs[ATTRIBUTE]
        card = json.loads(text)
        newer = card["format"] > FORMAT
        complete = newer or all(field in card for field in FIELDS)
    except KeyError:
        raise InputError(
            f"{path} was not written by mcnn-keras (it has no card); give a model.h5 that "
            "`mcnn-keras train` made"
        ) from None
    except (OSError, ValueError, TypeError):
        raise InputError(f"{path} is damaged or no HDF5 file; copy or train it again") from None
    if newer:
        raise InputError(f"{path} was written by a newer mcnn-keras; upgrade this one")
    if not complete:
        raise InputError(f"{path} is damaged: its card is not complete; copy or train it again")
    return card


def _version(package):
    try:
        return version(package)
    except PackageNotFoundError:  # run from a checkout, or a build under another name
        return "unknown"


def _write_keras_file(model, path):
    # Keras logs a line in praise of its other format for each .h5; this format is the contract.
    from absl import logging

    level = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        model.save(path, include_optimizer=False)
    finally:
        logging.set_verbosity(level)


def _layer_weights(group, layer):
    """The arrays of a layer's weights, in the layer's order, in float32."""
    names = [n.decode() if isinstance(n, bytes) else n for n in group.attrs["weight_names"]]
    arrays = [np.asarray(group[name], np.float32) for name in names]
    shapes = [tuple(weight.shape) for weight in layer.weights]
    if [a.shape for a in arrays] != shapes:
        raise ValueError(f"{layer.name} has weights of {[a.shape for a in arrays]}, not {shapes}")
    return arrays
