"""NPY and HDF5 files: arrays with a description of their axes.

In HDF5 and Zarr files, this package describes the axes in four attributes of the array: `axes`
(names), `scales`, `offsets` and `units`, with one entry for each axis. Others are the `title`, and
the `software` that wrote the file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from . import microscope
from .checks import require_own_hdf5, require_whole
from .recording import Axis, RawFrames, Recording, axis, recording_of
from .sink import Sink
from .whole import replacing

HDF5_SUFFIXES = (".h5", ".hdf5")
TYPES = (
    "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16", "float32",
    "float64",
)  # fmt: skip


def read_npy(path: str | Path) -> Recording:
    """A recording of a .npy file."""
    with open(path, "rb") as file:
        version = np.lib.format.read_magic(file)
        headers = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }
        shape, fortran, dtype = headers[version](file)
        offset = file.tell()
    if not dtype.hasobject:  # those are refused below
        require_whole(path, shape, dtype.itemsize, offset)
    if fortran or len(shape) < 3 or dtype.hasobject:
        return _guessed(np.load(path, allow_pickle=False), path)
    recording = _guessed(np.broadcast_to(np.zeros((), dtype), shape), path)
    recording.data = RawFrames(path, dtype, recording.data.shape, offset)
    return recording


def _guessed(array: Any, path: str | Path, close: Callable[[], Any] | None = None) -> Recording:
    """A recording of an array whose file states no axes."""
    recording = recording_of(array, path, close=close)
    recording.guessed = tuple(array.shape)
    return recording


def write_npy(
    path: str | Path,
    frames: Any,
    shape: Sequence[int],
    dtype: Any,
    axes: Sequence[Axis],
    title: str = "",
    software: str = "",
) -> None:
    """Write frames as a .npy file, which stores neither axes nor a title."""
    full = full_shape(axes, shape)
    with replacing(path) as part, open(part, "wb") as file:
        header = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": full}
        np.lib.format.write_array_header_1_0(file, header)
        for frame in frames:
            file.write(np.ascontiguousarray(frame, dtype).data)


def read_hdf5(path: str | Path, dataset: str = "") -> Recording:
    """A recording of an array in an HDF5 file, read on demand."""
    import h5py

    file = h5py.File(path, "r")
    try:
        # HyperSpy's files ended in .hdf5 before they ended in .hspy; their axes are groups.
        if "Experiments" in file and (not dataset or dataset not in file):
            file.close()
            return microscope.read(Path(path), dataset, ("rsciio.hspy",))
        found = []
        file.visititems(
            lambda key, item: (
                found.append(key) if isinstance(item, h5py.Dataset) and item.ndim > 1 else None
            )
        )
        array = file.get(dataset) if dataset else None  # follows links
        if not isinstance(array, h5py.Dataset) or array.ndim < 2:
            array = file[choose(path, dataset, found)]
        require_own_hdf5(array, path)
        return with_axes(array, path, array.attrs, file.close)
    except BaseException:
        file.close()
        raise


def write_hdf5(
    path: str | Path,
    frames: Any,
    shape: Sequence[int],
    dtype: Any,
    axes: Sequence[Axis],
    title: str = "",
    software: str = "",
) -> None:
    """Write frames as the dataset `data` of an HDF5 file, one chunk per frame."""
    import h5py

    full = full_shape(axes, shape)
    with replacing(path) as part, Sink(part) as sink, h5py.File(sink, "w") as file:
        array = file.create_dataset("data", full, dtype, chunks=one_frame(full))
        array.attrs.update(attributes_of(axes, full, title, software))
        put(array, frames, sink.check)


def one_frame(full: Sequence[int]) -> tuple[int, ...]:
    """The chunks of an array: a frame each."""
    return (*(1 for _ in full[:-2]), *full[-2:])


def put(array: Any, frames: Any, check: Callable[[], Any] = lambda: None) -> None:
    """Fill the array in a file frame by frame; `check` is called after each."""
    for place, frame in zip(np.ndindex(array.shape[:-2]), frames, strict=True):
        array[place] = frame
        check()


def choose(path: str | Path, dataset: str, found: Sequence[str]) -> str:
    """The array with the given name, or the only one."""
    dataset = dataset.strip("/")
    if dataset in found:
        return dataset
    if dataset or len(found) != 1:
        name = Path(path).name
        offered = ", ".join(f"{name}:/{key}" for key in found[:8]) or "none"
        raise InputError(f"{path} holds these images: {offered}; name one of them")
    return found[0]


def with_axes(
    array: Any, path: str | Path, attributes: Any, close: Callable[[], Any] | None
) -> Recording:
    """A recording of an array in a file with the attributes of this package, or without."""
    fields = [attributes.get(key) for key in ("axes", "scales", "offsets", "units")]
    if any(f is None or len(f) != array.ndim for f in fields):
        return _guessed(array, path, close)
    scales = [s if np.isfinite(s) else None for s in np.asarray(fields[1], np.float64)]
    axes = [
        axis(_text(name), size, scale, offset, _text(unit))
        for name, size, scale, offset, unit in zip(
            fields[0], array.shape, scales, fields[2], fields[3], strict=True
        )
    ]
    if axes[-1].name == "channel" and array.ndim == 3:
        return recording_of(np.moveaxis(array[...], -1, 0), path, [axes[-1], *axes[:-1]],
                            close=close)  # fmt: skip
    if axes[-1].name == "channel":  # samples are stored with channels last
        return recording_of(_ChannelsBefore(array), path, [*axes[:-3], axes[-1], *axes[-3:-1]],
                            close=close)  # fmt: skip
    return recording_of(array, path, axes, _text(attributes.get("title", "")), close=close)


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


class _ChannelsBefore:
    """A view of (samples, height, width, channels) as (samples, channels, height, width)."""

    def __init__(self, array: Any) -> None:
        self.array, self.dtype, self.ndim = array, array.dtype, array.ndim
        self.shape = (*array.shape[:-3], array.shape[-1], *array.shape[-3:-1])

    def __getitem__(self, place: Any) -> np.ndarray:
        *outer, channel = place
        return self.array[(*outer, slice(None), slice(None), channel)]


def full_shape(axes: Sequence[Axis], shape: Sequence[int]) -> tuple[int, ...]:
    """The shape with the outer axes of `axes`, if these fit the number of frames."""
    outer = tuple(a.size for a in axes[:-2])
    if int(np.prod(outer)) != shape[0]:
        outer = (shape[0],) if shape[0] > 1 else ()
    return (*outer, *shape[1:])


def attributes_of(
    axes: Sequence[Axis], full: Sequence[int], title: str, software: str = ""
) -> dict[str, Any]:
    """What describes an array in a file."""
    axes = [*axes]
    if len(axes) != len(full):
        axes = [Axis("frame", n) for n in full[:-2]] + axes[-2:]
    mark = {"software": software} if software else {}
    return {**_described(axes), "title": title, **mark}


def axis_attributes(names: Sequence[str], shape: Sequence[int]) -> dict[str, Any]:
    """The attributes of an array whose axes have names but no scales."""
    return _described([Axis(name, size) for name, size in zip(names, shape, strict=True)])


def _described(axes: Sequence[Axis]) -> dict[str, Any]:
    return {
        "axes": [a.name for a in axes],
        "scales": [float("nan") if a.scale is None else a.scale for a in axes],
        "offsets": [a.offset for a in axes],
        "units": [a.units for a in axes],
    }
