"""Reading and writing images: PNG, JPEG, TIFF, NPY and HDF5. Results appear by rename, whole."""

import os
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from .errors import InputError, reason

HDF5_SUFFIXES = (".h5", ".hdf5")


@contextmanager
def replacing(path):
    """Write a file as a whole or not at all.

    Parameters
    ----------
    path : Path
        The file to make or to replace.

    Yields
    ------
    Path
        A temporary name beside it, which becomes `path` if no exception leaves the block.
    """
    path = Path(path)
    part = path.with_name(f".{path.stem}.part{os.getpid()}{path.suffix}")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def read_images(name):
    """Read one image or a stack of images.

    Parameters
    ----------
    name : str or Path
        A PNG, JPEG, TIFF or other image file, a .npy file, or an HDF5 file, with the dataset in
        it where there are several: ``file.h5:/entry/data``.

    Returns
    -------
    numpy.ndarray
        (images, height, width), float32, finite. Colours are averaged to grey.

    Raises
    ------
    InputError
        If the file is missing, damaged or no image, or a value is not finite.
    """
    name, dataset = split_dataset(name)
    path = Path(name)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "is not there"
        raise InputError(f"{path} {what}; give the name of an image file")
    try:
        if path.suffix.lower() == ".npy":
            array, colour = np.load(path, allow_pickle=False), False
        elif path.suffix.lower() in HDF5_SUFFIXES:
            array, colour = _read_hdf5(path, dataset), False
        else:
            array, colour = read_picture(path)
    except InputError:
        raise
    except Exception as error:  # whatever a damaged file makes a reader raise
        raise InputError(
            f"{path} cannot be read as an image ({reason(error)}); is it damaged, or neither PNG, "
            "JPEG, TIFF, NPY nor HDF5?"
        ) from None
    return _checked_stack(array, colour, path)


def split_dataset(name):
    """The file and the dataset of ``file.h5:/dataset``; no dataset for other names."""
    for suffix in HDF5_SUFFIXES:
        head, mark, tail = str(name).partition(f"{suffix}:")
        if mark:
            return head + suffix, tail
    return str(name), ""


def _read_hdf5(path, dataset):
    import h5py

    with h5py.File(path, "r") as file:
        found = []
        file.visititems(
            lambda key, item: (
                found.append(key) if isinstance(item, h5py.Dataset) and item.ndim > 1 else None
            )
        )
        if dataset and dataset.strip("/") in found:
            return file[dataset][()]
        if dataset or len(found) != 1:
            offered = ", ".join(f"{path.name}:/{key}" for key in found[:8]) or "none"
            raise InputError(f"{path} holds these images: {offered}; name one of them")
        return file[found[0]][()]


def read_picture(path):
    """The pixels of a picture file as they are stored.

    Parameters
    ----------
    path : Path
        TIFF (all its pages), or whatever else Pillow reads (the first picture).

    Returns
    -------
    array : numpy.ndarray
    colour : bool
        Whether the last axis is colour.
    """
    import imageio.v3 as iio

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # readers warn of odd tags; what counts is the pixels
        if path.suffix.lower() in (".tif", ".tiff"):
            try:
                return _read_tiff(path)
            except ValueError as error:
                # Compressed in a way that Pillow knows without a further package.
                if "imagecodecs" not in str(error):
                    raise
            array = np.stack(list(iio.imiter(path, plugin="pillow")))
            array = array[0] if len(array) == 1 else array
            return array, array.ndim > 2 and array.shape[-1] in (3, 4) and array.dtype == np.uint8
        with iio.imopen(path, "r", plugin="pillow") as file:
            # Printers' inks are the inverse of light.
            inks = file.metadata(index=0)["mode"] == "CMYK"
            array = file.read(index=0, mode="RGB" if inks else None)
    return array, array.ndim == 3


def _read_tiff(path):
    import tifffile

    with tifffile.TiffFile(path) as file:
        # Frames that were appended one by one are series of their own.
        alike = [s for s in file.series if s.shape == file.series[0].shape]
        arrays = [series.asarray() for series in alike]
        colour = file.pages[0].photometric == tifffile.PHOTOMETRIC.RGB and (
            arrays[0].shape[-1] in (3, 4)
        )
    return arrays[0] if len(arrays) == 1 else np.stack(arrays), colour


def grey(array, colour):
    """Average the colours of a picture, transparency left out.

    Parameters
    ----------
    array : array
    colour : bool
        Whether the last axis is colour; other arrays come back as they are.
    """
    if not colour:
        return array
    return array[..., :3].mean(-1) if array.shape[-1] >= 3 else array[..., 0]


def _checked_stack(array, colour, path):
    if array.dtype.kind not in "uifb":
        raise InputError(f"{path} holds {array.dtype} values; real numbers are expected")
    array = grey(np.asarray(array, np.float32), colour)
    if array.ndim == 2:
        array = array[None]
    if array.ndim != 3 or 0 in array.shape:
        raise InputError(
            f"{path} has shape {array.shape}; one image (height, width) or a stack "
            "(images, height, width) is expected"
        )
    bad = np.count_nonzero(~np.isfinite(array))
    if bad:
        raise InputError(
            f"{path} has {bad} pixels that are NaN or infinite; fill or cut them first"
        )
    return array


def write_tiff(path, images, pixel_size=None, unit="um", labels=None):
    """Write one image or a stack as a float32 TIFF that ImageJ opens with its pixel size.

    Parameters
    ----------
    path : Path
        The file, replaced if it is there.
    images : (height, width) or (images, height, width) array
    pixel_size : float, optional
        In `unit`.
    unit : str
        Of the pixel size.
    labels : list of str, optional
        A name for each image of a stack.
    """
    import tifffile

    images = np.asarray(images, np.float32)
    metadata = {"axes": "YX" if images.ndim == 2 else "TYX"}
    options = {}
    if pixel_size is not None:
        metadata["unit"] = unit
        options["resolution"] = (1 / pixel_size, 1 / pixel_size)
    if labels is not None:
        metadata["Labels"] = labels
    with replacing(path) as part:
        tifffile.imwrite(part, images, imagej=True, metadata=metadata, **options)


def write_png(path, image, low=None, high=None):
    """Write a picture to look at.

    Parameters
    ----------
    path : Path
        The file, replaced if it is there.
    image : (height, width) array
    low, high : float, optional
        The values that become black and white; the image's own extremes, hot pixels aside.
    """
    import imageio.v3 as iio

    with replacing(path) as part:
        iio.imwrite(part, to_grey(image, low, high))


def to_grey(image, low=None, high=None):
    """An image as 8-bit grey levels.

    Parameters
    ----------
    image : (height, width) array
    low, high : float, optional
        The values that become black and white; percentiles 0.2 and 99.8 by default.

    Returns
    -------
    numpy.ndarray
        (height, width), uint8.
    """
    low = np.percentile(image, 0.2) if low is None else low
    high = np.percentile(image, 99.8) if high is None else high
    scaled = (np.asarray(image, np.float64) - low) / max(high - low, 1e-12)
    return np.round(255 * np.clip(scaled, 0, 1)).astype(np.uint8)
