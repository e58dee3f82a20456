"""NPY, HDF5 and Zarr files: arrays with a description of their axes.

In HDF5 and Zarr files, this package describes the axes in four attributes of the array: `axes`
(names), `scales`, `offsets` and `units`, with one entry for each axis. A fifth is the `title`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from .recording import Axis, RawFrames, Recording, axis, recording_of
from .sink import Sink
from .whole import replacing

HDF5_SUFFIXES = (".h5", ".hdf5")
ZARR_SUFFIXES = (".zarr",)
TYPES = (
    "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16", "float32",
    "float64",
)  # fmt: skip


def split_dataset(name: str | Path) -> tuple[str, str]:
    """Split ``file.h5:/dataset`` into file and dataset; the dataset is empty for other names."""
    for suffix in (*HDF5_SUFFIXES, *ZARR_SUFFIXES):
        head, mark, tail = str(name).partition(f"{suffix}:")
        if mark:
            return head + suffix, tail
    return str(name), ""


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
    if fortran or len(shape) < 3 or dtype.hasobject:
        return recording_of(np.load(path, allow_pickle=False), path)
    recording = recording_of(np.broadcast_to(np.zeros((), dtype), shape), path)
    recording.data = RawFrames(path, dtype, recording.data.shape, offset)
    return recording


def write_npy(
    path: str | Path,
    frames: Any,
    shape: Sequence[int],
    dtype: Any,
    axes: Sequence[Axis],
    title: str = "",
) -> None:
    """Write frames as a .npy file, which stores neither axes nor a title."""
    full = _full_shape(axes, shape)
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
        found = []
        file.visititems(
            lambda key, item: (
                found.append(key) if isinstance(item, h5py.Dataset) and item.ndim > 1 else None
            )
        )
        array = file.get(dataset) if dataset else None  # follows links
        if not isinstance(array, h5py.Dataset) or array.ndim < 2:
            array = file[_choose(path, dataset, found)]
        return _with_axes(array, path, array.attrs, file.close)
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
) -> None:
    """Write frames as the dataset `data` of an HDF5 file, one chunk per frame."""
    import h5py

    full = _full_shape(axes, shape)
    with replacing(path) as part, Sink(part) as sink, h5py.File(sink, "w") as file:
        array = file.create_dataset("data", full, dtype, chunks=_one_frame(full))
        _put(array, frames, axes, title, sink.check)


def read_zarr(path: str | Path, dataset: str = "") -> Recording:
    """A recording of a Zarr array, or of one in a Zarr group."""
    import zarr

    opened = zarr.open(str(path), mode="r")
    if hasattr(opened, "shape"):
        if dataset:
            raise InputError(f"{path} is one array; leave :{dataset} out")
        array = opened
    else:
        array = opened[_choose(path, dataset, [*_arrays_of(opened)])]
    return _with_axes(array, path, dict(array.attrs), None)


def _arrays_of(group: Any, prefix: str = "") -> Iterator[str]:
    yield from (prefix + key for key, array in group.arrays() if array.ndim > 1)
    for key, inner in group.groups():
        yield from _arrays_of(inner, f"{prefix}{key}/")


def write_zarr(
    path: str | Path,
    frames: Any,
    shape: Sequence[int],
    dtype: Any,
    axes: Sequence[Axis],
    title: str = "",
) -> None:
    """Write frames as a Zarr array, one chunk per frame."""
    import zarr

    full = _full_shape(axes, shape)
    with replacing(path) as part:
        array = zarr.open(str(part), mode="w", shape=full, chunks=_one_frame(full), dtype=dtype)
        _put(array, frames, axes, title)


def _one_frame(full: Sequence[int]) -> tuple[int, ...]:
    return (*(1 for _ in full[:-2]), *full[-2:])


def _put(
    array: Any,
    frames: Any,
    axes: Sequence[Axis],
    title: str,
    check: Callable[[], Any] = lambda: None,
) -> None:
    """Fill the array in a file frame by frame, and set its attributes."""
    array.attrs.update(_attributes(axes, array.shape, title))
    for place, frame in zip(np.ndindex(array.shape[:-2]), frames, strict=True):
        array[place] = frame
        check()


def _choose(path: str | Path, dataset: str, found: Sequence[str]) -> str:
    """The array with the given name, or the only one."""
    dataset = dataset.strip("/")
    if dataset in found:
        return dataset
    if dataset or len(found) != 1:
        name = Path(path).name
        offered = ", ".join(f"{name}:/{key}" for key in found[:8]) or "none"
        raise InputError(f"{path} holds these images: {offered}; name one of them")
    return found[0]


def _with_axes(
    array: Any, path: str | Path, attributes: Any, close: Callable[[], Any] | None
) -> Recording:
    fields = [attributes.get(key) for key in ("axes", "scales", "offsets", "units")]
    if any(f is None or len(f) != array.ndim for f in fields):
        return recording_of(array, path, close=close)
    scales = [s if np.isfinite(s) else None for s in np.asarray(fields[1], np.float64)]
    axes = [
        axis(name, size, scale, offset, unit)
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
    return recording_of(array, path, axes, str(attributes.get("title", "")), close=close)


class _ChannelsBefore:
    """A view of (samples, height, width, channels) as (samples, channels, height, width)."""

    def __init__(self, array: Any) -> None:
        self.array, self.dtype, self.ndim = array, array.dtype, array.ndim
        self.shape = (*array.shape[:-3], array.shape[-1], *array.shape[-3:-1])

    def __getitem__(self, place: Any) -> np.ndarray:
        *outer, channel = place
        return self.array[(*outer, slice(None), slice(None), channel)]


def _full_shape(axes: Sequence[Axis], shape: Sequence[int]) -> tuple[int, ...]:
    """The shape with the outer axes of `axes`, if these fit the number of frames."""
    outer = tuple(a.size for a in axes[:-2])
    if int(np.prod(outer)) != shape[0]:
        outer = (shape[0],) if shape[0] > 1 else ()
    return (*outer, *shape[1:])


def _attributes(axes: Sequence[Axis], full: Sequence[int], title: str) -> dict[str, Any]:
    axes = [*axes]
    if len(axes) != len(full):
        axes = [Axis("frame", n) for n in full[:-2]] + axes[-2:]
    return {**_described(axes), "title": title}


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
