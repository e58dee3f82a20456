"""Choose the reader or writer of a file by its extension."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, reason
from . import arrays, checks, microscope, mrc, pictures, tiff, zarrs
from .arrays import HDF5_SUFFIXES
from .converted import Converted
from .kinds import kind_of
from .own import SOFTWARE
from .recording import Axis, Recording, frames_at_once, length
from .told_axes import with_axes_told
from .units import LENGTHS

# Results are written as integers only if their standard deviation is at least this many times the
# noise of rounding.
ROUNDING = 50
# Formats that Pillow reads here, although rosettasciio reads some of them, too.
PICTURES = (".png", ".bmp", ".gif", ".jpg", ".jpeg", ".jpe", ".pgm", ".ppm", ".pbm")

# Packages that the extra `em` brings.
EM = ("rsciio", "mrcfile", "zarr", "dask", "numcodecs")
# Extensions of folders that are read and written like one file.
FOLDERS = (*zarrs.SUFFIXES, ".zspy")
# By extension: the writer, the data types that the format can hold, and an optional package that
# the writer needs.
WRITABLE: dict[str, tuple[Callable[..., None], tuple[str, ...], str | None]] = {
    ".tif": (tiff.write, tiff.TYPES, None),
    ".tiff": (tiff.write, tiff.TYPES, None),
    ".btf": (tiff.write, tiff.TYPES, None),
    ".npy": (arrays.write_npy, arrays.TYPES, None),
    ".h5": (arrays.write_hdf5, arrays.TYPES, None),
    ".hdf5": (arrays.write_hdf5, arrays.TYPES, None),
    ".zarr": (zarrs.write, arrays.TYPES, "zarr"),
    **dict.fromkeys(mrc.WRITTEN, (mrc.write, mrc.TYPES, "mrcfile")),
    ".hspy": (microscope.write_hyperspy, arrays.TYPES, "rsciio"),
    ".zspy": (microscope.write_hyperspy, arrays.TYPES, "zarr"),
}


def split_name(name: str | Path) -> tuple[str, str]:
    """Split ``scan.emd:HAADF`` or ``file.h5:/entry/data`` into file name and image name.

    A file or folder whose own name holds the colon goes before.
    """
    text = str(name)
    if ":" not in text or os.path.exists(text):
        return text, ""
    known = (*HDF5_SUFFIXES, *zarrs.SUFFIXES, *microscope.SUFFIXES, *microscope.suffixes())
    places = [i for i, c in enumerate(text) if c == ":"]
    places = [i for i in places if Path(text[:i]).suffix.lower() in known]
    there = [i for i in places if os.path.exists(text[:i])]
    if not places:
        return text, ""
    place = (there or places)[0]
    return text[:place], text[place + 1 :]


def open_recording(name: str | Path, force: bool = False, axes: str | None = None) -> Recording:
    """Open a file of one image or a stack of images. Its frames are read on demand.

    Parameters
    ----------
    name : str or Path
        A PNG, JPEG, TIFF or other image file, a .npy, HDF5 or Zarr file, or a microscope's file
        (with the extra `em`). If the file holds several images, add the name of one of them:
        ``file.h5:/entry/data``, ``scan.emd:HAADF``.
    force : bool
        Treat as images what the file says is none: diffraction patterns, spectra, 4D-STEM.
    axes : str, optional
        A letter for each axis of an array whose file states none, see `with_axes_told`.

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
    if not os.path.exists(path):
        hint = f" ({path} looks like a unit: numbers are given without)" if name in LENGTHS else ""
        raise InputError(f"{path} is not there{hint}; give the name of an image file")
    if path.is_dir() and suffix not in FOLDERS:
        raise InputError(f"{path} is a folder; give the name of an image file")
    checks.require_file(path)
    try:
        if path.is_file() and path.stat().st_size:
            checks.require_ending(path, checks.TEXTS)
        recording = _open(path, suffix, image)
    except InputError:
        raise
    except PermissionError:
        raise InputError(f"{path} may not be read; ask for the right to (chmod u+r)") from None
    except ImportError as error:
        raise InputError(_missing(path, error)) from None
    except Exception as error:  # readers raise errors of any type for damaged files
        raise InputError(
            f"{path} cannot be read as an image ({reason(error)}); it may be damaged, or have the "
            "wrong extension"
        ) from None
    kind = recording.kind or kind_of(recording.axes)
    if kind and not force:
        recording.__exit__()
        raise InputError(
            f"{path} holds {kind}, and the models are made for images; give --force (in Python "
            "force=True) to treat them as images"
        )
    if kind:
        recording.notes = (*recording.notes, f"{kind}, treated as images")
    if axes is None:
        return recording
    try:
        return with_axes_told(recording, axes)
    except BaseException:
        recording.__exit__()
        raise


def _missing(path: Path, error: ImportError) -> str:
    """What to install for a file whose reader lacks a package."""
    if error.name is None:
        return f"{path} needs a package that is not installed ({reason(error)})"
    package = error.name.split(".")[0]
    wanted = "'mcnn-keras[em]'" if package in EM else package
    return f"{path} needs the package {error.name}; run pip install {wanted}"


def _open(path: Path, suffix: str, image: str) -> Recording:
    if suffix in HDF5_SUFFIXES:
        return arrays.read_hdf5(path, image)
    if suffix in zarrs.SUFFIXES:
        return zarrs.read(path, image)
    reads = {".npy": arrays.read_npy, **dict.fromkeys(tiff.SUFFIXES, tiff.read)}.get(suffix)
    if suffix in mrc.SUFFIXES and not (suffix == ".map" and not mrc.is_mrc(path)):
        reads = mrc.read if not mrc.described_beside(path) else None
    elif reads is None and (suffix not in microscope.suffixes() or suffix in PICTURES):
        if suffix in (*microscope.SUFFIXES, ".map"):
            raise InputError(
                f"{path} is a microscope's file; pip install 'mcnn-keras[em]' to read it"
            )
        reads = pictures.read
    if reads is None:
        return microscope.read(path, image)
    if image:
        raise InputError(f"{path} names no images; leave :{image} out, and choose with --frames")
    return reads(path)


def is_image_file(path: Path) -> bool:
    """Whether a file has an extension that can be read; hidden files (".name") are excluded."""
    known = (
        *PICTURES, ".npy", *HDF5_SUFFIXES, *zarrs.SUFFIXES, *tiff.SUFFIXES, *mrc.SUFFIXES,
        *microscope.SUFFIXES, *microscope.suffixes(),
    )  # fmt: skip
    suffix = path.suffix.lower()
    return not path.name.startswith(".") and suffix in known and suffix not in microscope.TABLES


def read_images(name: str | Path, force: bool = False) -> np.ndarray:
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
    with open_recording(name, force) as recording:
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
    if dtype.name == "float32" and other == "float64":
        say(f"{path.name} is written as {other}: the input's {dtype.name} would lose detail")
        return other
    if dtype.name in ("float32", "float64"):
        return dtype.name
    low, high, spread = np.inf, -np.inf, 0.0
    each = frames_at_once(frames.shape)
    for start in range(0, frames.shape[0], each):
        some = np.asarray(frames[start : start + each])
        if dtype.kind != "f" and not np.isfinite(some).all():  # which integers cannot hold
            say(f"{path.name} is written as {other}: pixels are NaN or infinite")
            return other
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


def widest_type(output: Path, dtype: str | None, offset: float, source: Any = "float64") -> str:
    """The type that holds results in any case; float64 where they lie far from zero.

    Parameters
    ----------
    output : Path
    dtype : str, optional
        That is asked for.
    offset : float
        What was taken out of the measurements, and is added to results.
    source : numpy.dtype
        Of the measurements. As float32, it holds results as it held these.
    """
    holds = "float64" in output_types(output)
    as_it_was = dtype == "float32" or (dtype is None and not holds)
    if not offset or (as_it_was and np.dtype(source).newbyteorder("=") == np.float32):
        return "float32"
    if dtype in ("float16", "float32") or (dtype is None and not holds):
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
    say: Callable[[str], Any] | None = None,
    mark: bool = True,
    name: str = "",
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
        Data type in the file. For integers, values are rounded and clipped, NaN becomes 0.
    labels : list of str, optional
        A name for each frame; only TIFF files store it.
    say : callable, optional
        Takes a line about pixels that do not fit the data type, and one about scales, offsets and
        units that the format cannot keep. Without it, the first is a warning.
    mark : bool
        Mark the file as a result, see `mcnn_keras.files.own`.
    name : str
        How messages call the file; by default by its name.

    Raises
    ------
    InputError
        If the format is unknown, or cannot hold the data type, or most pixels do not fit the type.
    """
    path = Path(path)
    require_type(path, dtype)
    axes = tuple(axes) or (Axis("height", frames.shape[1]), Axis("width", frames.shape[2]))
    write = WRITABLE[path.suffix.lower()][0]
    converted = Converted(frames, dtype, name or path.name)
    options = {"labels": labels} if write is tiff.write else {}
    software = SOFTWARE if mark else ""
    kept = axes
    if write in (tiff.write, mrc.write):  # which hold sizes alone
        kept = tuple(a._replace(scale=a.scale and abs(a.scale)) for a in axes)
    write(path, converted, tuple(frames.shape), dtype, kept, title, software=software, **options)
    for line in converted.lines():
        if say is None:
            warnings.warn(line.removeprefix("Warning: "), stacklevel=2)
        else:
            say(line)
    if say is not None and (lost := unkept(path, axes)):
        say(f"{name or path.name} cannot keep {', '.join(lost)}; .h5, .zarr and .hspy files can")


def unkept(path: Path, axes: Sequence[Axis]) -> list[str]:
    """What a file that was written with axes does not say of them when it is read again."""
    if path.suffix.lower() == ".npy":
        found: Sequence[Axis] = ()
    else:
        with open_recording(path, force=True) as recording:
            found = recording.axes
    found = found if len(found) == len(axes) else [Axis("", 0)] * len(axes)
    lost = []
    for a, b in zip(axes, found, strict=True):
        if a.scale is None:
            continue
        unit = a.units if a.units in LENGTHS else "m"
        other = b.scale
        if other is not None and a.units != b.units:
            size = length(b, unit)
            other = None if size is None or a.units not in LENGTHS else size * np.sign(other)
        if other is None or not np.isclose(other, a.scale, rtol=1e-4, atol=0):
            lost.append(
                f"the scale {a.scale:g} {a.units} of {a.name or 'an axis'}".replace("  ", " ")
            )
            continue
        start = b.offset * other / (b.scale or 1.0)
        if abs(start - a.offset) > 1e-3 * abs(a.scale) + 1e-4 * abs(a.offset):
            lost.append(f"the offset {a.offset:g} {a.units} of {a.name or 'an axis'}")
    return lost
