"""Which reader and which writer, by the ending of a file's name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, reason
from . import arrays, microscope, pictures, tiff
from .arrays import HDF5_SUFFIXES, split_dataset
from .recording import Axis, Recording, frames_at_once

# Integers are kept where the results vary by this many times the noise of rounding.
ROUNDING = 50
# Pictures that rosettasciio knows, too, and that need nothing but Pillow.
PICTURES = (".png", ".bmp", ".gif", ".jpg", ".jpeg", ".jpe", ".pgm", ".ppm", ".pbm")

# Endings of folders that are files to their readers.
FOLDERS = (*arrays.ZARR_SUFFIXES, ".zspy")
# What each writer can hold, the ending of its files, and the extra that it needs.
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
    """The file, and which of its images: ``scan.emd:HAADF`` or ``file.h5:/entry/data``."""
    path, image = split_dataset(name)
    if not image and ":" in path and not Path(path).exists():
        head, _, tail = path.rpartition(":")
        if Path(head).suffix.lower() in microscope.suffixes():
            return head, tail
    return path, image


def open_recording(name: str | Path) -> Recording:
    """Open a file of one image or a stack of images; its frames are read when they are asked for.

    Parameters
    ----------
    name : str or Path
        A PNG, JPEG, TIFF or other image file, a .npy, HDF5 or Zarr file, or a microscope's file
        (with the extra `em`). Where it holds several images, with the name of one of them:
        ``file.h5:/entry/data``, ``scan.emd:HAADF``.

    Returns
    -------
    Recording

    Raises
    ------
    InputError
        If the file is missing, damaged or no image.
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
            f"{path} needs the package {error.name}; pip install 'mcnn-keras[em]'"
        ) from None
    except Exception as error:  # whatever a damaged file makes a reader raise
        known = "" if microscope.suffixes() else " (microscopes' files need mcnn-keras[em])"
        raise InputError(
            f"{path} cannot be read as an image ({reason(error)}); is it damaged, or of another "
            f"kind than its name says?{known}"
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
    return pictures.read(path)


def is_image_file(path: Path) -> bool:
    """Whether a name's ending is one that can be read; files that begin with a dot are not."""
    known = (*PICTURES, ".npy", *HDF5_SUFFIXES, *arrays.ZARR_SUFFIXES, *tiff.SUFFIXES)
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
        If the file is missing, damaged or no image, or a value is not finite.
    """
    with open_recording(name) as recording:
        return recording.read()


def output_types(path: str | Path) -> tuple[str, ...]:
    """The data types that a file can hold, by its name's ending.

    Raises
    ------
    InputError
        If such a file cannot be written, or a package is missing.
    """
    import importlib.metadata
    import importlib.util

    suffix = Path(path).suffix.lower()
    if suffix not in WRITABLE:
        offered = ", ".join(WRITABLE)
        raise InputError(f"the output {path} ends in {suffix or 'nothing'}; choose {offered}")
    _, types, package = WRITABLE[suffix]
    if package and importlib.util.find_spec(package) is None:
        raise InputError(f"writing {suffix} files needs {package}; pip install 'mcnn-keras[em]'")
    if suffix == ".zspy" and int(importlib.metadata.version("zarr").split(".")[0]) > 2:
        raise InputError("rosettasciio writes .zspy files with zarr 2; pip install 'zarr<3'")
    return types


def require_type(path: Path, dtype: Any) -> None:
    """Refuse a data type that a file cannot hold, by its name's ending."""
    types = output_types(path)
    if dtype not in types:
        raise InputError(
            f"{path.suffix} files cannot hold {dtype} values; choose from {', '.join(types)}"
        )


def default_type(
    path: Path, frames: Any, dtype: Any, say: Callable[[str], Any] = lambda text: None
) -> str:
    """The data type for results: that of the measurements where it holds them well, else float32.

    Parameters
    ----------
    path : Path
        The file to write.
    frames : object
        With shape (frames, height, width) and slices: the results.
    dtype : numpy.dtype
        Of the measurements.
    say : callable
        Is told, in one line, why the measurements' own type is not taken.
    """
    types, dtype = output_types(path), np.dtype(dtype).newbyteorder("=")
    if dtype.name not in types:
        say(f"{path.name} is written as float32, as its format cannot hold {dtype.name}")
        return "float32"
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
        return dtype.name if fits else "float32"
    if dtype.kind == "b":
        dtype = np.dtype("uint8")
    limits = np.iinfo(dtype)
    # Rounding adds noise of 1 / sqrt(12); a restored frame should not be noisy again.
    if spread < ROUNDING / 12**0.5 or low < limits.min - 0.5 or high > limits.max + 0.5:
        say(f"{path.name} is written as float32: {dtype.name}, as the input, would lose detail")
        return "float32"
    say(f"{path.name} is written as {dtype.name}, as the input; --dtype float32 keeps fractions")
    return dtype.name


def write_recording(
    path: Path,
    frames: Any,
    axes: Sequence[Axis] = (),
    title: str = "",
    dtype: Any = "float32",
    labels: Sequence[str] | None = None,
) -> None:
    """Write frames with their axes, the format by the name's ending.

    Parameters
    ----------
    path : Path
        The file, replaced if it is there, whole or not at all. TIFF (ImageJ's, or OME-TIFF where
        it is named .ome.tif or must be), .npy, .h5, .zarr, .mrc, .hspy or .zspy.
    frames : array, or object with shape, dtype and slices
        (frames, height, width), read a few at a time.
    axes : sequence of Axis
        Those between the frames, then height and width.
    title : str
    dtype : str
        Of what is written; integers are rounded and clipped.
    labels : list of str, optional
        A name for each frame, which TIFF files keep.

    Raises
    ------
    InputError
        If the format is not known, or cannot hold the data type.
    """
    path = Path(path)
    require_type(path, dtype)
    axes = tuple(axes) or (Axis("height", frames.shape[1]), Axis("width", frames.shape[2]))
    write = WRITABLE[path.suffix.lower()][0]
    converted = Converted(frames, dtype)
    options = {"labels": labels} if write is tiff.write else {}
    write(path, converted, tuple(frames.shape), dtype, axes, title, **options)


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
            # The largest integers are no float32; their neighbours below are.
            values = np.clip(np.round(values.astype(np.float64)), limits.min, limits.max)
        return values.astype(self.dtype)

    def __iter__(self) -> Iterator[np.ndarray]:
        each = frames_at_once(self.shape)
        for start in range(0, self.shape[0], each):
            yield from self[start : start + each]
