"""The weights in a model file: read as what the network expects, or not at all.

No link out of the file is followed, nothing is read that is larger than the network's own, and
arrays are compared with the digest that was saved with them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np

# The attribute that holds the digest of all weights and the card; earlier files have none.
DIGEST = "mcnn_keras_digest"
GROUP = "model_weights"
PLAIN = (h5py.h5d.COMPACT, h5py.h5d.CONTIGUOUS)


def digest(arrays: Mapping[str, np.ndarray], *texts: str) -> str:
    """SHA-256 of arrays with their names, types and shapes, and of texts.

    Parameters
    ----------
    arrays : dict
        Name -> array, in any order.
    *texts
        Further parts.
    """
    found = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        shape = np.shape(arrays[name])
        found.update(f"{name} {array.dtype.str} {shape}\n".encode())
        found.update(array.reshape(-1).view(np.uint8).data)
    for text in texts:
        found.update(f"\n{text}".encode())
    return found.hexdigest()


def text_attribute(file: Any, name: str) -> str | None:
    """A text in a file's attribute; None where there is none.

    Raises
    ------
    ValueError
        If it is no text.
    """
    if name not in file.attrs:
        return None
    attribute = file.attrs.get_id(name)
    if attribute.shape != () or h5py.check_string_dtype(attribute.dtype) is None:
        raise ValueError(f"the attribute {name} is no text")
    value = file.attrs[name]
    text = value.decode() if isinstance(value, bytes) else str(value)
    text.encode()  # what is no UTF-8 is told now
    return text


def stored(file: Any) -> dict[str, Any]:
    """The datasets of a file's weights by their names there; links are passed over.

    Raises
    ------
    ValueError
        If one is not stored whole and plainly in this file, or is no array of numbers.
    """
    if not isinstance(file.get(GROUP, getlink=True), h5py.HardLink):
        raise ValueError("it has no weights")
    found: dict[str, Any] = {}

    def note(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = item

    file[GROUP].visititems(note)
    for name, dataset in found.items():
        if dataset.dtype.kind != "f" or dataset.dtype.itemsize > 8 or dataset.shape is None:
            raise ValueError(f"{name} is of {dataset.dtype}")
        made = dataset.id.get_create_plist()
        if made.get_layout() not in PLAIN or made.get_external_count():
            raise ValueError(f"{name} is compressed, or lies outside of the file")
        if dataset.id.get_storage_size() < dataset.nbytes:
            raise ValueError(f"{name} is not whole")
    return found


def require_room(found: Mapping[str, Any], layers: int, weights: int) -> None:
    """Refuse a network that is larger than a file's weights.

    Parameters
    ----------
    found : dict
        From `stored`.
    layers, weights : int
        That the network has, see `mcnn_keras.network.size`.
    """
    there = sum(dataset.size for dataset in found.values())
    if there < weights or len(found) < layers:
        raise ValueError(f"{there} weights in {len(found)} arrays, and the network has more")


def layer_arrays(file: Any, found: Mapping[str, Any], layer: Any) -> dict[str, np.ndarray]:
    """The arrays of a layer's weights as they are stored, in the layer's order.

    Raises
    ------
    KeyError, ValueError
        If they are not those of the layer.
    """
    attributes, shapes = file[GROUP][layer.name].attrs, [tuple(w.shape) for w in layer.weights]
    if attributes.get_id("weight_names").shape != (len(shapes),):
        raise ValueError(f"{layer.name} has other weights than {shapes}")
    names = [n.decode() if isinstance(n, bytes) else str(n) for n in attributes["weight_names"]]
    datasets = {f"{layer.name}/{name}": found[f"{layer.name}/{name}"] for name in names}
    if [d.shape for d in datasets.values()] != shapes:
        there = [d.shape for d in datasets.values()]
        raise ValueError(f"{layer.name} has weights of {there}, not {shapes}")
    return {name: dataset[()] for name, dataset in datasets.items()}


def single(arrays: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Weights in float32.

    Raises
    ------
    ValueError
        If one of them is not a finite number.
    """
    with np.errstate(over="ignore"):
        found = [np.asarray(array, np.float32) for array in arrays.values()]
    for name, array in zip(arrays, found, strict=True):
        if not np.isfinite(array).all():
            raise ValueError(f"{name} holds NaN or infinity")
    return found
