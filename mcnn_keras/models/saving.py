"""Model files: an .h5 file with weights and card, read as data and never as code."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

import h5py

from ..errors import InputError, reason
from ..files import replacing
from ..files.checks import require_ending
from ..files.sink import Sink
from ..version import version_of
from .card import ModelCard, parsed_card
from .weights import (
    DIGEST,
    digest,
    layer_arrays,
    require_room,
    single,
    stored,
    text_attribute,
)

PACKAGES = ("mcnn-keras", "keras", "tensorflow", "numpy")
ATTRIBUTE = "mcnn_keras_card"
WEIGHTS = Path(__file__).parents[1] / "weights"
PRECISIONS = ("float32", "bfloat16")


def shipped() -> dict[str, Path]:
    """The models that come with the package, by their names for `load`.

    Returns
    -------
    dict
        Name -> path of its .h5 file.
    """
    return {path.stem: path for path in sorted(WEIGHTS.glob("*.h5"))}


def model_path(name: str | Path) -> Path:
    """The file of a model: of a shipped model by its name, of others by the path."""
    return shipped().get(str(name), Path(name))


def versions() -> dict[str, str]:
    """Versions of the packages that make a model."""
    return {name: version_of(name) for name in PACKAGES}


def save(model: Any, path: str | Path) -> None:
    """Save a model with its card.

    Parameters
    ----------
    model : keras.Model
        From `mcnn_keras.train` or `mcnn_keras.load`.
    path : str or Path
        A name ending in .h5; the file is written completely or not at all.

    Raises
    ------
    InputError
        If the name does not end in .h5, or the model has no card.
    OSError
        If the file cannot be written, e.g. as the disk is full.
    """
    path = Path(path)
    if path.suffix != ".h5":
        raise InputError(f"{path} does not end in .h5; give a name like phase.h5")
    if not hasattr(model, "card"):
        raise InputError("the model has no card; save models that mcnn_keras trained or loaded")
    with replacing(path) as part, Sink(part) as sink, _KerasFile(sink, "w") as file:
        _write_keras_file(model, file)
        file.flush()
        sink.check()
        seal(file, model.card)


def seal(file: Any, card: ModelCard) -> None:
    """Put a card into an open file of weights, and the digest of both.

    Parameters
    ----------
    file : h5py.File
        Open for writing.
    card : ModelCard
    """
    file.attrs[ATTRIBUTE] = text = card.to_json()
    arrays = {name: dataset[()] for name, dataset in stored(file).items()}
    file.attrs[DIGEST] = digest(arrays, text)


def load(path: str | Path, precision: str = "float32") -> Any:
    """Load a model that `save` wrote, or one that comes with the package.

    Parameters
    ----------
    path : str or Path
        The .h5 file, a .onnx file that `mcnn_keras.models.onnx.export` made, or the name of a
        shipped model, such as "denoise".
    precision : {'float32', 'bfloat16'}
        bfloat16 is faster on processors that support it, and accurate to two digits.

    Returns
    -------
    keras.Model
        Rebuilt from the card; no code in the file is run. For a .onnx file an
        `mcnn_keras.models.onnx.OnnxModel`, which `mcnn_keras.predict` takes, too.

    Raises
    ------
    InputError
        If the file is missing, damaged, or was not written by this package, or the precision is
        not known.
    """
    if str(path).endswith(".onnx"):
        from .onnx import OnnxModel

        return OnnxModel(path)
    from ..network import build, receptive_radius, size

    if precision not in PRECISIONS:
        raise InputError(f"precision {precision!r} is not known; choose 'float32' or 'bfloat16'")
    path = model_path(path)
    card, arrays = read_card(path), {}
    try:
        with h5py.File(path, "r") as file:
            text, told = text_attribute(file, ATTRIBUTE), text_attribute(file, DIGEST)
            found = stored(file)
            require_room(found, *size(card.network))
            model = build(card.network, precision)
            for layer in model.layers:
                if layer.weights:
                    own = layer_arrays(file, found, layer)
                    layer.set_weights(single(own))
                    arrays.update(own)
    except (LookupError, TypeError, ValueError, OSError, RuntimeError, MemoryError) as error:
        raise InputError(
            f"{path} is damaged: its weights do not fit its card ({reason(error)})"
        ) from None
    if told is not None and told != digest(arrays, str(text)):
        raise InputError(
            f"{path} is damaged: its card or its weights are not those that were saved; copy or "
            "train it again"
        )
    if card.tile.overlap is None:
        card.tile = dataclasses.replace(card.tile, overlap=receptive_radius(model))
    model.card = card
    return model


def load_once(path: str | Path, precision: str = "float32") -> Any:
    """As `load`, but an unchanged file is not read again.

    The models of the last four files are kept in memory.
    """
    file = model_path(path)
    changed = file.stat().st_mtime_ns if file.is_file() else None
    return _loaded(str(path), precision, changed)


@functools.lru_cache(4)
def _loaded(path: str, precision: str, changed: int | None) -> Any:
    return load(path, precision)


def read_card(path: str | Path) -> ModelCard:
    """The card of a model file.

    Parameters
    ----------
    path : str or Path
        The .h5 or .onnx file, or the name of a shipped model.

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
        require_ending(path)
        with h5py.File(path, "r") as file:
            text = text_attribute(file, ATTRIBUTE)
    except (LookupError, TypeError, ValueError, OSError, RuntimeError):
        raise InputError(f"{path} is damaged or not an HDF5 file; copy or train it again") from None
    if text is None:
        raise InputError(
            f"{path} was not written by mcnn-keras (it has no card); give a model.h5 that "
            "`mcnn-keras train` made"
        )
    return parsed_card(text, path)


def card_of(model: Any) -> ModelCard:
    """The card of a model in memory, or of a model file by its name."""
    return model.card if hasattr(model, "card") else read_card(model)


class _KerasFile(h5py.File):
    """An open HDF5 file, which Keras knows by the ending of its name."""

    def __str__(self) -> str:
        return "model.h5"


def _write_keras_file(model: Any, file: h5py.File) -> None:
    # For each .h5 file, Keras logs advice to use its other format; here .h5 is intended.
    from absl import logging

    level = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        model.save(file, include_optimizer=False)
    finally:
        logging.set_verbosity(level)
