"""PNG, JPEG and other pictures: reading them, and writing images as PNG for viewing."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np

from .own import NOTE, SOFTWARE
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
    deep = _deep(path)
    if deep is not None:
        return deep, deep.ndim == 3
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


def _deep(path: Path) -> np.ndarray | None:
    """The pixels of pictures whose values Pillow would change: 16-bit colours, and Netpbm's."""
    with open(path, "rb") as file:
        head = file.read(26)
    # Byte 24 of a PNG has the bits of a sample, byte 25 the kind: 2, 4 and 6 have several samples.
    if head.startswith(b"\x89PNG") and len(head) == 26 and head[24] == 16 and head[25] in (2, 4, 6):
        import imagecodecs

        array = imagecodecs.png_decode(path.read_bytes())
        return array[..., 0] if array.shape[-1] == 2 else array  # grey and transparency
    if head[:2] in (b"P2", b"P3", b"P5", b"P6"):
        return _netpbm(path.read_bytes())
    return None


def _netpbm(data: bytes) -> np.ndarray:
    """The values of a .pgm or .ppm as they are stored; Pillow stretches them to 8 or 16 bits."""
    found = re.match(rb"P([2356])" + 3 * rb"(?:\s|#[^\n]*\n)+(\d+)" + rb"(?:\s)", data)
    if not found:
        raise OSError("its header is damaged")
    kind, width, height, most = (int(n) for n in found.groups())
    shape = (height, width) if kind in (2, 5) else (height, width, 3)
    count = int(np.prod(shape))
    dtype = np.dtype(np.uint8 if most < 256 else ">u2")
    if kind > 3:
        values = np.frombuffer(data[found.end() :][: count * dtype.itemsize], dtype)
    else:
        values = np.array(re.sub(rb"#[^\n]*", b"", data[found.end() :]).split()[:count], np.int64)
    if values.size < count:
        raise OSError(f"it announces {count} values and holds {values.size}")
    return values.astype(dtype.newbyteorder("=")).reshape(shape)


def write_png(
    path: str | Path,
    image: np.ndarray,
    low: float | None = None,
    high: float | None = None,
    note: str = "",
    mark: bool = True,
) -> None:
    """Write an image as an 8-bit grey PNG for viewing.

    Parameters
    ----------
    path : Path
        The file, replaced if it exists.
    image : (height, width) array
    low, high : float, optional
        The values that become black and white; percentiles 0.2 and 99.8 by default.
    note : str
        Text to keep in the file; see `read_note`.
    mark : bool
        Mark it as a picture to look at; without the mark it may be read again, see
        `mcnn_keras.files.own`.
    """
    save_png(path, to_grey(image, low, high), note, mark)


def save_png(path: str | Path, pixels: np.ndarray, note: str = "", mark: bool = True) -> None:
    """Write the pixels of a picture as a PNG, with the mark and a note in its texts."""
    import imageio.v3 as iio
    from PIL.PngImagePlugin import PngInfo

    texts = PngInfo()
    if mark:
        texts.add_text("Software", SOFTWARE)
    if note:
        texts.add_text(NOTE, note)
    with replacing(path) as part:
        iio.imwrite(part, pixels, plugin="pillow", pnginfo=texts)


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
    scaled = (np.asarray(image, np.float64) - low) / max(high - low, 1e-45)
    return np.round(255 * np.clip(scaled, 0, 1)).astype(np.uint8)


__all__ = ["grey", "read", "read_picture", "save_png", "to_grey", "write_png"]
