"""Files of microscopes, by rosettasciio (extra `em`); writers for MRC and HyperSpy files."""

from __future__ import annotations

import importlib
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from .recording import Axis, Recording, axis, frames_at_once, length, recording_of
from .sink import Sink
from .whole import replacing

# Readers that are tried after all others, since they need a package that is rarely installed.
LAST = ("MRCZ",)
# Image files of microscopes, known by name without rosettasciio, too: a file that needs it is
# named with the way to install it, not passed over.
SUFFIXES = (
    ".ali", ".app5", ".bcf", ".blo", ".de5", ".dens", ".dm3", ".dm4", ".elid", ".emd", ".emi",
    ".hspy", ".map", ".mib", ".mrc", ".mrcz", ".prz", ".pts", ".rpl", ".ser", ".spd", ".sur",
    ".tvips", ".wdf", ".zspy",
)  # fmt: skip
HYPERSPY_SUFFIXES = (".hspy", ".zspy")
MRC_SUFFIXES = (".mrc",)
MRC_TYPES = ("int8", "int16", "uint16", "float32")


def suffixes() -> dict[str, list[str]]:
    """Extensions that rosettasciio reads, with the modules that read them; empty without it."""
    try:
        import rsciio
    except ImportError:
        return {}
    found: dict[str, list[str]] = {}
    for plugin in sorted(rsciio.IO_PLUGINS, key=lambda p: p["name"] in LAST):
        for ending in plugin["file_extensions"]:
            found.setdefault(f".{ending.lower()}", []).append(plugin["api"])
    return found


def read(path: Path, signal: str = "") -> Recording:
    """A recording of an image or a stack of images in a microscope's file.

    Parameters
    ----------
    path : Path
    signal : str
        Title or number of one image, if the file holds several.

    Returns
    -------
    Recording
    """
    readers = suffixes().get(path.suffix.lower(), [])
    signals: Any = None
    failed: Exception | None = None
    for reader in readers:
        try:
            with warnings.catch_warnings(), _quiet():
                warnings.simplefilter("ignore")  # about unusual metadata, which is ignored
                signals = importlib.import_module(reader).file_reader(str(path), lazy=True)
            break
        except Exception as error:  # readers raise any error for another format
            failed = failed or error
    if signals is None:
        raise failed or InputError(f"no reader is known for {path}")
    images = [s for s in signals if _is_image(s)]
    if not images:
        raise InputError(
            f"{path} holds no image, only data of shape "
            + ", ".join(str(tuple(s["data"].shape)) for s in signals[:4])
        )
    found = _choose(path, signal, images)
    data, colour = found["data"], False
    if data.dtype.names:  # a colour picture
        import dask.array

        data, colour = dask.array.stack([data[c] for c in data.dtype.names[:3]], axis=-1), True
    axes = [
        axis(a.get("name"), size, a.get("scale"), a.get("offset"), a.get("units"))
        for a, size in zip(found["axes"], data.shape, strict=False)
    ]
    inner = [a._replace(name=n) for a, n in zip(axes[-2:], ("height", "width"), strict=True)]
    return recording_of(data, path, [*axes[:-2], *inner], _title(found), colour)


def _is_image(signal: Any) -> bool:
    navigates = [bool(a.get("navigate")) for a in signal["axes"]]
    return len(navigates) >= 2 and navigates[-2:] == [False, False] and sum(
        not n for n in navigates
    ) == 2  # fmt: skip


def _title(signal: Any) -> str:
    return str(signal["metadata"].get("General", {}).get("title") or "")


def _choose(path: Path, signal: str, images: Sequence[Any]) -> Any:
    if not signal and len(images) == 1:
        return images[0]
    names = {_title(s): s for s in images}
    if len(names) < len(images):
        names = {str(i): s for i, s in enumerate(images)}
    if signal.strip("/") in names:
        return names[signal.strip("/")]
    offered = ", ".join(f"{path.name}:{name}" for name in list(names)[:8])
    raise InputError(f"{path} holds these images: {offered}; name one of them")


def write_hyperspy(
    path: Path, frames: Any, shape: Sequence[int], dtype: Any, axes: Sequence[Axis], title: str = ""
) -> None:
    """Write frames as a HyperSpy file: .hspy (HDF5) or .zspy (Zarr).

    Parameters
    ----------
    path : Path
    frames : object
        With shape (frames, height, width), dtype and slices.
    shape, dtype, axes, title :
        Of the frames in the file.
    """
    import dask
    import dask.array

    chunks = (frames_at_once(shape), -1, -1)
    data = dask.array.from_array(frames, chunks=chunks, name=False).astype(dtype)
    outer = [a.size for a in axes[:-2]]
    axes = axes if int(np.prod(outer)) == shape[0] else axes[-2:]
    if len(axes) == 2 and shape[0] > 1:
        axes = [axis("frame", shape[0]), *axes]
    data = data.reshape([a.size for a in axes])
    described = [
        {
            "name": a.name or f"axis {i}", "size": a.size, "scale": a.scale or 1.0,
            "offset": a.offset, "units": a.units or None, "navigate": i < len(axes) - 2,
            "index_in_array": i,
        }
        for i, a in enumerate(axes)
    ]  # fmt: skip
    signal = {
        "data": data,
        "axes": described,
        "metadata": {"General": {"title": title}, "Signal": {"signal_type": ""}},
        "original_metadata": {},
        "learning_results": {},
        "tmp_parameters": {},
        "attributes": {"_lazy": True},
        "package_info": {},
        "models": {},
    }
    writer = importlib.import_module(f"rsciio.{path.suffix[1:]}").file_writer
    # One thread, so that the frames are read in order.
    with (
        replacing(path) as part,
        dask.config.set(scheduler="synchronous"),
        warnings.catch_warnings(),
        _quiet(),
    ):
        warnings.simplefilter("ignore")  # deprecations in other libraries
        if path.suffix == ".zspy":
            writer(str(part), signal, show_progressbar=False)
        else:
            with Sink(part) as sink:

                def checked(block: np.ndarray) -> np.ndarray:
                    sink.check()  # ends early where the disk is full
                    return block

                signal["data"] = data.map_blocks(checked, dtype=data.dtype)
                writer(sink, signal, show_progressbar=False)


def write_mrc(
    path: Path, frames: Any, shape: Sequence[int], dtype: Any, axes: Sequence[Axis], title: str = ""
) -> None:
    """Write frames as an MRC file. Its header stores the pixel size in Angstrom."""
    import mrcfile

    with replacing(path) as part:
        with warnings.catch_warnings(), mrcfile.new(part) as file:
            warnings.simplefilter("ignore")
            file.set_data(np.zeros((1, *shape[1:]), dtype))
            file.set_image_stack()
            y, x = (length(a, "A") or 0.0 for a in axes[-2:])
            file.voxel_size = (x, y, 0.0)
            file.header.nz = shape[0]
            file.reset_header_stats()
            if title:
                file.add_label(title[:79].encode("ascii", "replace").decode())
            header = file.header.tobytes()
        # Not mapped into memory: where a disk is full, the system would end the process.
        with open(part, "wb") as raw:
            raw.write(header)
            for frame in frames:
                raw.write(np.ascontiguousarray(frame, dtype).data)


class _quiet:
    """Silence the log messages of readers. Errors are still raised."""

    def __enter__(self) -> None:
        self.before = logging.root.manager.disable
        logging.disable(logging.CRITICAL)

    def __exit__(self, *_: object) -> None:
        logging.disable(self.before)
