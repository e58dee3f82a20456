"""Choose the reader or writer of a file by its extension."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, reason
from . import arrays, microscope, pictures, tiff
from .arrays import HDF5_SUFFIXES, split_dataset
from .recording import Axis, Recording, frames_at_once

# Results are written as integers only if their standard deviation is at least this many times the
# noise of rounding.
ROUNDING = 50
# Formats that Pillow reads here, although rosettasciio reads some of them, too.
PICTURES = (".png", ".bmp", ".gif", ".jpg", ".jpeg", ".jpe", ".pgm", ".ppm", ".pbm")

# Extensions of folders that are read and written like one file.
FOLDERS = (*arrays.ZARR_SUFFIXES, ".zspy")
# By extension: the writer, the data types that the format can hold, and an optional package that
# the writer needs.
WRITABLE: dict[str, tuple[Callable[..., None], tuple[str, ...], str | None]] = {
    ".tif": (tiff.write, tiff.TYPES, None),
    ".tiff": (tiff.write, tiff.TYPES, None),
    ".btf": (tiff.write, tiff.TYPES, None),
    ".npy": (arrays.write_npy, arrays.TYPES, None),
    ".h5": (arrays.write_hdf5, arrays.TYPES, None),
    ".hdf5": (arrays.write_hdf5, arrays.TYPES, None),
    ".zarr": (arrays.write_zarr, arrays.TYPES, "zarr"),
    ".mrc": (microscope.write_mrc, microscope.MRC_TYPES, "mrcfile"),
    ".hspy": (microscope.write_hyperspy, arrays.TYPES, "rsciio"),
    ".zspy": (microscope.write_hyperspy, arrays.TYPES, "zarr"),
}


def split_name(name: str | Path) -> tuple[str, str]:
    """Split ``scan.emd:HAADF`` or ``file.h5:/entry/data`` into file name and image name."""
    path, image = split_dataset(name)
    if not image and ":" in path and not Path(path).exists():
        head, _, tail = path.rpartition(":")
        if Path(head).suffix.lower() in microscope.suffixes():
            return head, tail
    return path, image


def open_recording(name: str | Path) -> Recording:
    """Open a file of one image or a stack of images. Its frames are read on demand.

    Parameters
    ----------
    name : str or Path
        A PNG, JPEG, TIFF or other image file, a .npy, HDF5 or Zarr file, or a microscope's file
        (with the extra `em`). If the file holds several images, add the name of one of them:
        ``file.h5:/entry/data``, ``scan.emd:HAADF``.

    Returns
    -------
    Recording

    Raises
    ------
    InputError
        If the file is missing, damaged or not an image.
    """
    name, image = split_name(name)
    path = Path(name)
    suffix = path.suffix.lower()
    if not path.exists():
        raise InputError(f"{path} is not there; give the name of an image file")
    if path.is_dir() and suffix not in FOLDERS:
        raise InputError(f"{path} is a folder; give the name of an image file")
    try:
        return _open(path, suffix, image)
    except InputError:
        raise
    except ImportError as error:
        raise InputError(
            f"{path} needs the package {error.name}; run pip install 'mcnn-keras[em]'"
        ) from None
    except Exception as error:  # readers raise errors of any type for damaged files
        raise InputError(
            f"{path} cannot be read as an image ({reason(error)}); it may be damaged, or have the "
            "wrong extension"
        ) from None


def _open(path: Path, suffix: str, image: str) -> Recording:
    if suffix == ".npy":
        return arrays.read_npy(path)
    if suffix in HDF5_SUFFIXES:
        return arrays.read_hdf5(path, image)
    if suffix in arrays.ZARR_SUFFIXES:
        return arrays.read_zarr(path, image)
    if suffix in tiff.SUFFIXES:
        return tiff.read(path)
    if suffix in microscope.suffixes() and suffix not in PICTURES:
        return microscope.read(path, image)
    if suffix in microscope.SUFFIXES:
        raise InputError(f"{path} is a microscope's file; pip install 'mcnn-keras[em]' to read it")
    return pictures.read(path)


def is_image_file(path: Path) -> bool:
    """Whether a file has an extension that can be read; hidden files (".name") are excluded."""
    known = (
        *PICTURES, ".npy", *HDF5_SUFFIXES, *arrays.ZARR_SUFFIXES, *tiff.SUFFIXES,
        *microscope.SUFFIXES,
    )  # fmt: skip
    suffix = path.suffix.lower()
    return not path.name.startswith(".") and (suffix in known or suffix in microscope.suffixes())


def read_images(name: str | Path) -> np.ndarray:
    """Read all images of a file; see `open_recording`.

    Returns
    -------
    numpy.ndarray
        (images, height, width), float32, finite. Colours are averaged to grey.

    Raises
    ------
    InputError
        If the file is missing, damaged or not an image, or a value is not finite.
    """
    with open_recording(name) as recording:
        return recording.read()


def output_types(path: str | Path) -> tuple[str, ...]:
    """The data types that a file can hold, by its extension.

    Raises
    ------
    InputError
        If the format cannot be written, or a package is missing.
    """
    import importlib.metadata
    import importlib.util

    suffix = Path(path).suffix.lower()
    if suffix not in WRITABLE:
        offered = ", ".join(WRITABLE)
        raise InputError(
            f"the output {path} has the extension {suffix or 'none'}; choose {offered}"
        )
    _, types, package = WRITABLE[suffix]
    if package and importlib.util.find_spec(package) is None:
        raise InputError(
            f"writing {suffix} files needs {package}; run pip install 'mcnn-keras[em]'"
        )
    if suffix == ".zspy" and int(importlib.metadata.version("zarr").split(".")[0]) > 2:
        raise InputError("rosettasciio writes .zspy files with zarr 2; run pip install 'zarr<3'")
    return types


def require_type(path: Path, dtype: Any) -> None:
    """Raise an `InputError` for a data type that a file with this extension cannot hold."""
    types = output_types(path)
    if dtype not in types:
        raise InputError(
            f"{path.suffix} files cannot hold {dtype} values; choose from {', '.join(types)}"
        )


def default_type(
    path: Path,
    frames: Any,
    dtype: Any,
    say: Callable[[str], Any] = lambda text: None,
    other: str = "float32",
) -> str:
    """The data type for results: that of the measurements if it loses no detail, else another.

    Parameters
    ----------
    path : Path
        The file to write.
    frames : object
        The results, with shape (frames, height, width) and slices.
    dtype : numpy.dtype
        Of the measurements.
    say : callable
        Called with one line that explains the choice.
    other : str
        The type that holds the results in any case.
    """
    types, dtype = output_types(path), np.dtype(dtype).newbyteorder("=")
    if dtype.name not in types:
        say(f"{path.name} is written as {other}, since its format cannot hold {dtype.name}")
        return other
    if dtype.name in ("float32", "float64"):
        return dtype.name
    low, high, spread = np.inf, -np.inf, 0.0
    each = frames_at_once(frames.shape)
    for start in range(0, frames.shape[0], each):
        some = np.asarray(frames[start : start + each])
        low, high = min(low, some.min()), max(high, some.max())
        spread = max(spread, float(some.std(axis=(1, 2)).max()))
    if dtype.kind == "f":
        fits = max(-low, high) < np.finfo(dtype).max
        return dtype.name if fits else other
    if dtype.kind == "b":
        dtype = np.dtype("uint8")
    limits = np.iinfo(dtype)
    # Rounding adds noise with a standard deviation of 1 / sqrt(12), which should be negligible.
    if spread < ROUNDING / 12**0.5 or low < limits.min - 0.5 or high > limits.max + 0.5:
        say(f"{path.name} is written as {other}: the input's {dtype.name} would lose detail")
        return other
    say(f"{path.name} is written as {dtype.name}, like the input; --dtype {other} keeps fractions")
    return dtype.name


def widest_type(output: Path, dtype: str | None, offset: float) -> str:
    """The type that holds results in any case; float64 where they lie far from zero."""
    if not offset:
        return "float32"
    if dtype in ("float16", "float32") or (dtype is None and "float64" not in output_types(output)):
        raise InputError(
            f"{output} would lose what the images show: their values lie about {offset:.6g}, and "
            "only float64 keeps the digits; write a .tif or .h5 file, without --dtype"
        )
    return "float64"


def write_recording(
    path: Path,
    frames: Any,
    axes: Sequence[Axis] = (),
    title: str = "",
    dtype: Any = "float32",
    labels: Sequence[str] | None = None,
) -> None:
    """Write frames with their axes. The extension decides the format.

    Parameters
    ----------
    path : Path
        The file, replaced if it exists, and written completely or not at all. TIFF (ImageJ's
        dialect; OME-TIFF if the name ends in .ome.tif or ImageJ's dialect cannot hold the data),
        .npy, .h5, .zarr, .mrc, .hspy or .zspy.
    frames : array, or object with shape, dtype and slices
        (frames, height, width), read a few at a time.
    axes : sequence of Axis
        The outer axes, which the frames run through, then height and width.
    title : str
    dtype : str
        Data type in the file. For integers, values are rounded and clipped.
    labels : list of str, optional
        A name for each frame; only TIFF files store it.

    Raises
    ------
    InputError
        If the format is unknown, or cannot hold the data type.
    """
    path = Path(path)
    require_type(path, dtype)
    axes = tuple(axes) or (Axis("height", frames.shape[1]), Axis("width", frames.shape[2]))
    write = WRITABLE[path.suffix.lower()][0]
    converted = Converted(frames, dtype)
    options = {"labels": labels} if write is tiff.write else {}
    write(path, converted, tuple(frames.shape), dtype, axes, title, **options)


class Shifted:
    """Frames with an offset added in float64, as they are read.

    Parameters
    ----------
    frames : object
        With shape (frames, height, width) and slices.
    offset : float
    """

    def __init__(self, frames: Any, offset: float) -> None:
        self.frames, self.offset = frames, np.float64(offset)
        self.shape, self.dtype = tuple(frames.shape), np.dtype(np.float64)

    def __getitem__(self, frames: Any) -> np.ndarray:
        return np.asarray(self.frames[frames]) + self.offset


class Converted:
    """Frames in another data type, converted as they are read.

    Parameters
    ----------
    frames : object
        With shape (frames, height, width) and slices.
    dtype : str
    """

    def __init__(self, frames: Any, dtype: Any) -> None:
        self.frames, self.dtype = frames, np.dtype(dtype)
        self.shape, self.ndim = tuple(frames.shape), len(frames.shape)

    def __getitem__(self, frames: Any) -> np.ndarray:
        values = np.asarray(self.frames[frames])
        if self.dtype.kind in "ui":
            limits = np.iinfo(self.dtype)
            # float32 cannot represent the upper limits of 32-bit integers; float64 can. It cannot
            # represent those of 64 bits: the number before is the largest that does not wrap.
            high = float(limits.max)
            high = np.nextafter(high, 0) if high > limits.max else high
            values = np.clip(np.round(values.astype(np.float64)), limits.min, high)
        return values.astype(self.dtype)

    def __iter__(self) -> Iterator[np.ndarray]:
        each = frames_at_once(self.shape)
        for start in range(0, self.shape[0], each):
            yield from self[start : start + each]
