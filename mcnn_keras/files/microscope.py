"""Files of microscopes, by rosettasciio (extra `em`); a writer for HyperSpy files."""

from __future__ import annotations

import contextlib
import importlib
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from . import checks
from .kinds import kind_of
from .recording import Axis, Recording, axis, frames_at_once, recording_of
from .sink import Sink
from .whole import replacing

# Readers that are tried after all others, since they need a package that is rarely installed.
LAST = ("MRCZ",)
# Image files of microscopes, known by name without rosettasciio, too: a file that needs it is
# named with the way to install it, not passed over.
SUFFIXES = (
    ".app5", ".bcf", ".blo", ".de5", ".dens", ".dm3", ".dm4", ".elid", ".emd", ".emi",
    ".hspy", ".mib", ".mrcz", ".prz", ".pts", ".rpl", ".ser", ".spd", ".sur",
    ".tvips", ".wdf", ".zspy",
)  # fmt: skip
# Tables and spectra that rosettasciio reads as well: no images, so that none is looked for in them.
TABLES = (".csv", ".xml", ".msa", ".emsa", ".ems", ".mas", ".spc", ".eds", ".spx", ".lsd")
# Files that a reader can only read whole are read if they are no larger, in bytes.
MOST_AT_ONCE = 2**30


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


def read(path: Path, signal: str = "", readers: Sequence[str] = ()) -> Recording:
    """A recording of an image or a stack of images in a microscope's file.

    Parameters
    ----------
    path : Path
    signal : str
        Title or number of one image, if the file holds several.
    readers : sequence of str
        Modules of rosettasciio; by default those for the file's ending.

    Returns
    -------
    Recording
        What is no image, such as a spectrum image, has a `kind`; it is taken where the file holds
        no image, or where it is named.
    """
    checks.require_own_links(path)
    signals = _signals(path, readers or suffixes().get(path.suffix.lower(), []))
    found = [(s, _kind(s)) for s in signals if _has_frames(s)]
    images = [s for s, kind in found if not kind]
    others = [s for s, kind in found if kind]
    if not found:
        raise InputError(
            f"{path} holds no image, only data of shape "
            + ", ".join(str(tuple(s["data"].shape)) for s in signals[:4])
        )
    chosen = _choose(path, signal, images or others, [s for s, _ in found])
    recording = _recording(path, chosen)
    recording.kind = _kind(chosen)
    left = [f"{_title(s) or 'without a title'} ({_kind(s)})" for s in others if s is not chosen]
    if left and not signal:
        recording.notes = (*recording.notes, f"left out, as no images: {', '.join(left[:4])}")
    return recording


def _signals(path: Path, readers: Sequence[str]) -> list[Any]:
    """All that a file holds, by the first reader that can; not into memory, where that is offered.

    Raises
    ------
    Exception
        Of any type: what the first reader that is installed says.
    """
    failed: Exception | None = None
    for name in readers:
        for lazy in (True, False):
            if not lazy and path.stat().st_size > MOST_AT_ONCE:
                continue
            try:
                with warnings.catch_warnings(), _quiet():
                    warnings.simplefilter("ignore")  # about unusual metadata, which is ignored
                    return _read_by(name, path, lazy)
            except Exception as error:  # readers raise any error for another format
                last = error
        if failed is None or (
            isinstance(failed, ImportError) and not isinstance(last, ImportError)
        ):
            failed = last
    raise failed or InputError(f"no reader is known for {path}")


def _read_by(name: str, path: Path, lazy: bool) -> list[Any]:
    if name == "rsciio.emd":
        found: list[Any] = []
        with contextlib.suppress(Exception):  # it leans on the reader's own parts, which may change
            found = _velox_images(path, lazy)
        if found:
            return found
    return list(importlib.import_module(name).file_reader(str(path), lazy=lazy))


def _velox_images(path: Path, lazy: bool) -> list[Any]:
    """The images of a Velox file, all of their frames; none for other files.

    rosettasciio offers them together with the spectra beside them alone: these need a package more
    and much memory, and of the images it keeps the first frame.
    """
    import h5py
    from rsciio.emd._api import is_EMD_Velox

    file = h5py.File(path, "r")
    try:
        if not is_EMD_Velox(file) or "Data/Image" not in file:
            file.close()
            return []
        from rsciio.emd._emd_velox import FeiEMDReader

        class Images(FeiEMDReader):
            def _read_data(self, select_type: Any) -> None:
                self.load_images, self.load_SI, self.load_single_spectrum = True, False, False
                self._read_images()

        reader = Images(lazy=lazy, select_type="images", load_SI_image_stack=True)
        reader.read_file(file)
    except BaseException:
        file.close()
        raise
    if not lazy:
        file.close()
    return list(reader.dictionaries)


def _recording(path: Path, found: Any) -> Recording:
    data, colour = found["data"], False
    own = list(found["axes"])
    if data.dtype.names:  # a colour picture
        import dask.array

        data, colour = dask.array.stack([data[c] for c in data.dtype.names[:3]], axis=-1), True
    elif _signal_axes(found) == 1 and data.ndim > 2:  # a map at each energy
        data, own = np.moveaxis(data, -1, 0), [own[-1], *own[:-1]]
    axes = [
        axis(_name(a), size, a.get("scale"), a.get("offset"), a.get("units"))
        for a, size in zip(own, data.shape, strict=False)
    ]
    inner = [a._replace(name=n) for a, n in zip(axes[-2:], ("height", "width"), strict=True)]
    if hasattr(data, "compute") and data.ndim == 2 + colour:  # one image
        data = data.compute(scheduler="threads")
    recording = recording_of(data, path, [*axes[:-2], *inner], _title(found), colour)
    if hasattr(recording.data, "compute"):
        recording.data = _Here(recording.data)
    return recording


class _Here:
    """Frames of a dask array, computed in this process even if dask knows a cluster.

    A worker of the cluster would wait for a thread that waits for it.
    """

    def __init__(self, array: Any) -> None:
        self.array, self.shape, self.dtype = array, array.shape, array.dtype

    def __getitem__(self, frames: Any) -> np.ndarray:
        return np.asarray(self.array[frames].compute(scheduler="threads"))


def _name(described: Any) -> str:
    """An axis's name, Time and Z as this package writes them."""
    name = str(described.get("name") or "")
    return name.lower() if name.lower() in ("time", "z", "channel") else name


def _signal_axes(signal: Any) -> int:
    return sum(not a.get("navigate") for a in signal["axes"])


def _has_frames(signal: Any) -> bool:
    """Whether it has frames of real numbers; some readers call all axes of an image outer."""
    data, navigates = signal["data"], [bool(a.get("navigate")) for a in signal["axes"]]
    colours = data.dtype.names and set("RGB") <= set(data.dtype.names)
    return (
        len(navigates) >= 2
        and (bool(colours) or data.dtype.kind in "uifb")
        and navigates == sorted(navigates, reverse=True)
        and _signal_axes(signal) <= 2
    )


def _kind(signal: Any) -> str:
    """What it is where it is no image."""
    if _signal_axes(signal) == 1:
        return "a spectrum image" if len(signal["axes"]) > 2 else "a line of spectra"
    axes = [axis(a.get("name"), 1, a.get("scale"), 0.0, a.get("units")) for a in signal["axes"]]
    return kind_of(axes, str(signal["metadata"].get("Signal", {}).get("signal_type") or ""))


def _title(signal: Any) -> str:
    return str(signal["metadata"].get("General", {}).get("title") or "")


def _choose(path: Path, signal: str, offered: Sequence[Any], known: Sequence[Any]) -> Any:
    """The only one that is offered, or the one of all that are known by a title or number."""
    if not signal and len(offered) == 1:
        return offered[0]
    titles = [_title(s) for s in known]
    names = {
        title if title and titles.count(title) == 1 else str(i): s
        for i, (title, s) in enumerate(zip(titles, known, strict=True))
    }
    if signal.strip("/") in names:
        return names[signal.strip("/")]
    told = [name for name, s in names.items() if any(s is o for o in offered)]
    listed = ", ".join(f"{path.name}:{name}" for name in told[:8])
    kinds = "images" if not _kind(offered[0]) else "no images, but"
    raise InputError(f"{path} holds these {kinds}: {listed}; name one of them")


def write_hyperspy(
    path: Path,
    frames: Any,
    shape: Sequence[int],
    dtype: Any,
    axes: Sequence[Axis],
    title: str = "",
    software: str = "",
) -> None:
    """Write frames as a HyperSpy file: .hspy (HDF5) or .zspy (Zarr).

    Parameters
    ----------
    path : Path
    frames : object
        With shape (frames, height, width), dtype and slices.
    shape, dtype, axes, title, software :
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
        "metadata": {
            "General": {"title": title, **({"software": software} if software else {})},
            "Signal": {"signal_type": ""},
        },
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


class _quiet:
    """Silence the log messages of readers. Errors are still raised."""

    def __enter__(self) -> None:
        self.before = logging.root.manager.disable
        logging.disable(logging.CRITICAL)

    def __exit__(self, *_: object) -> None:
        logging.disable(self.before)
