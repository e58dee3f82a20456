"""PNG, JPEG and other pictures: reading them, and writing images as PNG for viewing."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from .own import write_marked_png
from .recording import Recording, grey, recording_of
from .whole import replacing


def read(path: str | Path) -> Recording:
    """A recording of one picture."""
    array, colour = read_picture(path)
    return recording_of(array, path, colour=colour)


def read_picture(path: str | Path) -> tuple[np.ndarray, bool]:
    """The pixels of a picture file as they are stored.

    Parameters
    ----------
    path : Path
        PNG, JPEG or another format that Pillow reads. Only its first picture is read.

    Returns
    -------
    array : numpy.ndarray
    colour : bool
        Whether the last axis is colour.
    """
    import imageio.v3 as iio

    path = Path(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about unusual tags; the pixels are unaffected
        try:
            file = iio.imopen(path, "r", plugin="pillow")
        except OSError as error:
            if isinstance(error, (FileNotFoundError, PermissionError)):
                raise
            raise OSError("it contains no picture") from None
        with file:
            # CMYK is converted to RGB: inks are dark where light is bright.
            inks = file.metadata(index=0)["mode"] == "CMYK"
            array = file.read(index=0, mode="RGB" if inks else None)
    return array, array.ndim == 3


def write_png(
    path: str | Path,
    image: np.ndarray,
    low: float | None = None,
    high: float | None = None,
    of: str | None = "",
) -> None:
    """Write an image as an 8-bit grey PNG for viewing.

    Parameters
    ----------
    path : Path
        The file, replaced if it exists.
    image : (height, width) array
    low, high : float, optional
        The values that become black and white; percentiles 0.2 and 99.8 by default.
    of : str or None
        The name of the result that is shown. None for a picture that is to be read again, which
        bears no mark (see `mcnn_keras.files.own`).
    """
    import imageio.v3 as iio

    pixels = to_grey(image, low, high)
    with replacing(path) as part:
        if of is None:
            iio.imwrite(part, pixels)
        else:
            write_marked_png(part, pixels, of)


def to_grey(image: np.ndarray, low: float | None = None, high: float | None = None) -> np.ndarray:
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


__all__ = ["grey", "read", "read_picture", "to_grey", "write_png"]
