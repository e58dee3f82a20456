"""Focal series: the images of one object at several planes, from files, in order.

files + planes (an axis, a list, or a text file next to them) -> FocalSeries -> corrected
-> registered -> a network, or a method of `mcnn_keras.focal_series.reconstruct`
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import InputError
from ..files import Axis, open_recording, pixel_length, split_name
from ..files.instrument import instrument_of
from ..inference.axes import doubt_of, require_images
from ..inference.names import tell_of_order
from ..inference.planes import counted, planes_of_chosen

# Exponents k of the planes +-500^(k/24) um of the paper's networks (Fig. 3), by their number.
EXPONENTS = {2: (9,), 4: (0, 1), 8: (1, 3, 5, 7), 10: (1, 3, 5, 7, 9), 32: tuple(range(16))}
# Files, images or planes of which each is named.
SHOWN = 12


class PlanesUnknown(InputError):
    """Neither the caller nor a file states the planes of a focal series."""


class FocalSeries(NamedTuple):
    """Images of one object, ordered from the farthest upstream to the farthest downstream.

    Parameters
    ----------
    images : numpy.ndarray
        (height, width, planes), float32.
    defocus : tuple of float
        Of each plane, in the unit of length, positive downstream.
    axes : tuple of Axis
        Of height and width.
    title : str
    """

    images: np.ndarray
    defocus: tuple[float, ...]
    axes: tuple[Axis, ...]
    title: str = ""

    @property
    def pixel_size(self) -> float | None:
        """In um; None if the files do not give it."""
        return pixel_length(self.axes, "um")


def read_focal_series(
    names: Sequence[str],
    defocus: Sequence[float] | None = None,
    frames: Sequence[int] | None = None,
    unit: str = "um",
    focus: int | None = None,
    say: Callable[[str], Any] = lambda text: None,
    force: bool = False,
    letters: str | None = None,
) -> FocalSeries:
    """Read the images of a focal series from one file, or from a file for each plane.

    Parameters
    ----------
    names : sequence of str
        Files, as for `mcnn_keras.files.open_recording`.
    defocus : sequence of float, optional
        Of each chosen image, in the order of `frames`; or of each image, by its number, if these
        are not as many. By default from a text file next to each file, or from the file's axis
        (named z or defocus, with a unit of length), by number, see `mcnn_keras.files.instrument`.
    frames : sequence of int, optional
        The images to use, counted from 0, each once.
    unit : {'um', 'A'}
        Unit of the planes; those of a file's axis are converted to it.
    focus : int, optional
        The image in focus, counted from 0; planes become distances from it. By default planes are
        already distances from focus.
    say : callable
        Takes what was taken of the files, and what was not kept, a line at a time.
    force : bool
        Treat as images what the files say is none, see `mcnn_keras.files.open_recording`.
    letters : str, optional
        A letter for each axis of arrays whose files state none, such as 'yxz'.

    Raises
    ------
    PlanesUnknown
        If nothing states the planes.
    InputError
        If a file cannot be read, the images differ in size, or the planes do not fit them.
    """
    read: list[np.ndarray] = []
    axes: tuple[Axis, ...] = ()
    title, source = "", "--defocus"
    told: list[tuple[float, ...] | None] = []
    files: list[str] = []
    known: set[str] = set()
    taken: set[Path] = set()
    for name in names:
        with open_recording(name, force, letters) as recording:
            require_images(recording)
            if Path(split_name(name)[0]).resolve() in taken and len(recording.files) > 1:
                say(f"{name} holds a part of the same recording")
                continue
            taken |= recording.files
            for line in recording.told(known):
                say(line)
            if doubt := doubt_of(recording):
                say(doubt)
            axes = axes or tuple(recording.axes[-2:])
            title = title or recording.title
            if recording.size != (axes[0].size, axes[1].size):
                raise InputError(
                    f"{name} has {recording.size[0]}x{recording.size[1]} pixels, the first file "
                    f"{axes[0].size}x{axes[1].size}; crop them to one size"
                )
            read.append(recording.read())
            files.append(name)
            if not defocus:
                outer = recording.axes[:-2]
                own = instrument_of(name, unit, axes=outer)
                source = own.source
                there = own.defocus
                # Of a recording of several series, --frames chooses one; each has the same planes.
                several = frames is not None and len(outer) > 1
                if several and there and len(there) == outer[-1].size:
                    there *= len(read[-1]) // len(there)
                told.append(there)
    counts = [len(images) for images in read]
    images = np.concatenate(read)
    chosen = list(range(len(images)) if frames is None else frames)
    missing = [i for i in chosen if not 0 <= i < len(images)]
    if missing:
        raise InputError(
            f"frame {missing[0]} is not there; {names[0]} has {len(images)}, counted from 0"
        )
    stated = list(defocus or ()) or _all_planes(files, told, counts, len(chosen))
    planes = planes_of_chosen(stated, chosen, len(images), bool(defocus))
    if not planes:
        raise InputError(
            f"{counted(len(chosen), 'frame')}, {counted(len(stated), 'plane')} ({source}); give a "
            "plane for each frame"
        )
    if len(set(planes)) < len(planes):
        twice = next(z for z in planes if planes.count(z) > 1)
        raise InputError(
            f"the plane {twice:g} {unit} is given twice ({source}); give each frame its own plane"
        )
    if focus is not None:
        if focus not in chosen:
            raise InputError(
                f"the image in focus, {focus}, is not used; the images are numbered 0 to "
                f"{len(images) - 1}, and --frames must include it"
            )
        zero = planes[chosen.index(focus)]
        planes = [z - zero for z in planes]
    if defocus or (len(files) > 1 and len(told[0] or ()) > counts[0]):  # not file by file
        tell_of_order(files, say)
    for line in _places(files, counts, chosen, planes, unit):
        say(line)
    order = np.argsort(planes)
    images = np.moveaxis(images[np.array(chosen)[order]], 0, -1)
    return FocalSeries(images, tuple(float(planes[i]) for i in order), axes, title)


def _all_planes(
    names: Sequence[str],
    told: Sequence[tuple[float, ...] | None],
    counts: Sequence[int],
    used: int,
) -> list[float]:
    """The planes from all files; the first file may give the planes of all."""
    count = sum(counts)
    if told[0] is not None and len(told[0]) == count:
        start = 0
        for name, planes, own in zip(names, told, counts, strict=True):
            if planes is not None and planes not in (told[0], told[0][start : start + own]):
                raise InputError(
                    f"the planes beside {name} are not those beside {names[0]}, which are of all "
                    "files; remove or correct one of the two"
                )
            start += own
        return list(told[0])
    if any(planes is None for planes in told):
        silent = next(n for n, planes in zip(names, told, strict=True) if planes is None)
        which = "for the image" if used == 1 else f"for each of the {used} images"
        raise PlanesUnknown(
            f"the planes of {silent} are not known; give --defocus {which}, "
            f"or write them into {Path(split_name(silent)[0]).with_suffix('.txt')}"
        )
    for name, planes, own in zip(names, told, counts, strict=True):
        if len(names) > 1 and len(planes or ()) != own:
            raise InputError(
                f"{name}: {counted(own, 'frame')}, {counted(len(planes or ()), 'plane')}; give a "
                "plane for each frame"
            )
    return [z for planes in told for z in planes or ()]


def _places(
    names: Sequence[str],
    counts: Sequence[int],
    chosen: Sequence[int],
    planes: Sequence[float],
    unit: str,
) -> list[str]:
    """Lines that say which file, or which image of one file in another order, has which plane."""
    at = dict(zip(chosen, planes, strict=True))
    if len(names) == 1:
        if list(chosen) == sorted(chosen):
            return []
        parts = [f"image {i} at {z:g} {unit}" for i, z in at.items()]
        return [", ".join(_some(parts, "images"))]
    lines, start = [], 0
    for name, count in zip(names, counts, strict=True):
        own = [at[i] for i in range(start, start + count) if i in at]
        start += count
        if own:
            span = ", ".join(_some([f"{z:g}" for z in own], "planes"))
            file, image = split_name(name)
            lines.append(f"{Path(file).name}{f':{image}' * bool(image)}: {span} {unit}")
    return _some(lines, "files")


def _some(parts: list[str], what: str) -> list[str]:
    """All of a few parts; of many the first and the last ones."""
    if len(parts) <= SHOWN:
        return parts
    half = SHOWN // 2
    return [*parts[:half], f"... {len(parts) - 2 * half} more {what} ...", *parts[-half:]]


def exponential_planes(count: int) -> list[float]:
    """The planes of the paper's networks for several images.

    Parameters
    ----------
    count : {2, 4, 8, 10, 32}
        How many of the planes at +-500^(k/24) um: those within 1.30 um (4 of them), every second
        one within 6.13 (8) and 10.28 um (10), all within 48.6 um (32), or the two at 10.28 um.

    Returns
    -------
    list of float
        In um, from the farthest upstream to the farthest downstream.

    Raises
    ------
    InputError
        If the count is none of these.
    """
    if count not in EXPONENTS:
        raise InputError(
            f"there is no set of {count} planes; choose {', '.join(map(str, EXPONENTS))}"
        )
    distances = [round(500 ** (k / 24), 4) for k in EXPONENTS[count]]
    return [-z for z in reversed(distances)] + distances


def corrected(
    series: FocalSeries, flat: np.ndarray | None = None, background: np.ndarray | None = None
) -> FocalSeries:
    """A series, with its background subtracted and divided by its flat field.

    Parameters
    ----------
    series : FocalSeries
    flat, background : (height, width) array, optional
        The image without an object, and the one without light.

    Raises
    ------
    InputError
        If an image is of another size, or the flat field is dark somewhere.
    """
    images = series.images.astype(np.float64)
    for name, frame in (("flat field", flat), ("background", background)):
        if frame is not None and frame.shape != images.shape[:2]:
            raise InputError(
                f"the {name} has {frame.shape[0]}x{frame.shape[1]} pixels, the series "
                f"{images.shape[0]}x{images.shape[1]}; record it with the same camera settings"
            )
    if background is not None:
        images -= background[..., None]
    if flat is not None:
        light = flat - (0 if background is None else background)
        if light.min() <= 0.01 * light.mean():
            raise InputError(
                "the flat field is dark in places, so images cannot be divided by it; record one "
                "with the light on and no object"
            )
        images *= (light.mean() / light)[..., None]
    return series._replace(images=images.astype(np.float32))
