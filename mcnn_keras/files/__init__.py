"""Reading and writing of recordings: frames with their axes, in many file formats.

open_recording(name) -> Recording       tiff, pictures, arrays, microscope: by the file extension
write_recording(path, frames, ...)      the same formats, if they can be written
"""

from .arrays import HDF5_SUFFIXES
from .figures import Panel, figure, write_figure
from .formats import (
    open_recording,
    output_types,
    read_images,
    split_name,
    write_recording,
)
from .own import read_note
from .pictures import to_grey, write_png
from .places import require_free
from .recording import Axis, RawFrames, Recording, grey, pixel_length
from .whole import replacing

__all__ = [
    "HDF5_SUFFIXES", "Axis", "Panel", "RawFrames", "Recording", "figure", "grey", "open_recording",
    "output_types", "pixel_length", "read_images", "read_note", "replacing", "require_free",
    "split_name", "to_grey", "write_figure", "write_png", "write_recording",
]  # fmt: skip
