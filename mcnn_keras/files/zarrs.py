"""Zarr arrays and groups, with this package's own attributes or as OME-Zarr (NGFF)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from . import checks
from .arrays import attributes_of, choose, full_shape, one_frame, put, with_axes
from .recording import Axis, Recording, axis, recording_of
from .whole import replacing

SUFFIXES = (".zarr",)
# Names of OME-Zarr's axes, and those of the oldest files, which name none.
NAMES = {"t": "time", "c": "channel", "z": "z", "y": "height", "x": "width"}
OLDEST = ("t", "c", "z", "y", "x")


def read(path: str | Path, dataset: str = "") -> Recording:
    """A recording of a Zarr array, or of one in a Zarr group.

    An OME-Zarr image is read at its full size, unless another one is named.
    """
    path = Path(path)
    stored = checks.stored_in(path)
    opened = _open(path)
    if hasattr(opened, "shape"):
        if dataset:
            raise InputError(f"{path} is one array; leave :{dataset} out")
        array, pyramids = opened, {}
    else:
        pyramids = dict(_pyramids(opened))
        own = dataset.strip("/")
        inside = {key for levels, _ in pyramids.values() for key in levels}
        arrays = [*_arrays_of(opened)]
        offered = [*pyramids, *(key for key in arrays if key not in inside)]
        array = opened[own if own in arrays else choose(path, dataset, offered)]
    checks.require_plausible(path, array.shape, array.dtype.itemsize, stored)
    key = str(getattr(array, "path", "")).strip("/")
    for levels, told in pyramids.values():
        if key in levels:
            return _of_ome(array, path, told, levels.index(key))
    return with_axes(array, path, dict(array.attrs), None)


def _open(path: Path) -> Any:
    """The array or group in a folder; never what a name such as http://... stands for."""
    import zarr

    if int(zarr.__version__.split(".")[0]) > 2:
        return zarr.open(path, mode="r")
    if (path / "zarr.json").exists() and not (
        (path / ".zarray").exists() or (path / ".zgroup").exists()
    ):
        raise InputError(
            f"{path} is of Zarr's format 3, which zarr {zarr.__version__} does not read; "
            "pip install 'zarr>=3'"
        )
    return zarr.open(zarr.DirectoryStore(str(path)), mode="r")


def _arrays_of(group: Any, prefix: str = "") -> Iterator[str]:
    yield from (prefix + key for key, array in group.arrays() if array.ndim > 1)
    for key, inner in group.groups():
        yield from _arrays_of(inner, f"{prefix}{key}/")


def _pyramids(group: Any, prefix: str = "") -> Iterator[tuple[str, tuple[list[str], Any]]]:
    """OME-Zarr's images: the array of full size; arrays of all sizes, and what describes them."""
    attributes = dict(group.attrs)
    told = attributes.get("ome", attributes)
    for number, image in enumerate(told.get("multiscales") or ()):
        levels = [prefix + str(level["path"]).strip("/") for level in image["datasets"]]
        omero = told.get("omero") if number == 0 else None
        yield levels[0], (levels, {**image, "omero": omero or {}})
    for key, inner in group.groups():
        yield from _pyramids(inner, f"{prefix}{key}/")


def _of_ome(array: Any, path: Path, told: Any, level: int) -> Recording:
    """A recording of one size of an OME-Zarr image, with its scales, units and time."""
    given = told.get("axes") or OLDEST[-array.ndim :]
    described = [a if isinstance(a, dict) else {"name": a} for a in given]
    if len(described) != array.ndim:
        raise InputError(
            f"{path} describes {len(described)} axes of an array of {array.ndim}; it is damaged"
        )
    scales, offsets = np.ones(array.ndim), np.zeros(array.ndim)
    known = False
    for step in [
        *(told["datasets"][level].get("coordinateTransformations") or ()),
        *(told.get("coordinateTransformations") or ()),
    ]:
        if "scale" in step:
            scales, offsets, known = scales * step["scale"], offsets * step["scale"], True
        if "translation" in step:
            offsets = offsets + step["translation"]
    axes = []
    for a, size, scale, offset in zip(described, array.shape, scales, offsets, strict=True):
        name = str(a.get("name", ""))
        told_scale = float(scale) if known and name != "c" else None
        axes.append(axis(NAMES.get(name.lower(), name), size, told_scale, offset, a.get("unit")))
    channels = [c.get("label", "") for c in told["omero"].get("channels") or () if c]
    notes = []
    if any(channels) and any(a.name == "channel" and a.size > 1 for a in axes):
        notes.append(f"the channels' names are not kept: {', '.join(map(str, channels))}")
    found = recording_of(array, path, axes, str(told.get("name") or ""))
    found.notes = tuple(notes)
    return found


def write(
    path: str | Path,
    frames: Any,
    shape: Sequence[int],
    dtype: Any,
    axes: Sequence[Axis],
    title: str = "",
    software: str = "",
) -> None:
    """Write frames as a Zarr array, one chunk per frame."""
    import zarr

    full = full_shape(axes, shape)
    with replacing(path) as part:
        array = zarr.open(str(part), mode="w", shape=full, chunks=one_frame(full), dtype=dtype)
        array.attrs.update(attributes_of(axes, full, title, software))
        put(array, frames)
