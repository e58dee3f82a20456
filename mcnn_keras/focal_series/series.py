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
from ..inference.planes import counted

# Exponents k of the planes +-500^(k/24) um of the paper's networks (Fig. 3), by their number.
EXPONENTS = {2: (9,), 4: (0, 1), 8: (1, 3, 5, 7), 10: (1, 3, 5, 7, 9), 32: tuple(range(16))}


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
        Of each image, or of each chosen image; by default from a text file next to each file, or
        from the file's axis (named z or defocus, with a unit of length), see
        `mcnn_keras.files.instrument`.
    frames : sequence of int, optional
        The images to use, counted from 0.
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
    title, told, source = "", [], "--defocus"
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
            if not defocus:
                own = instrument_of(name, unit, axes=recording.axes[:-2])
                told.append(own.defocus)
                source = own.source
    images = np.concatenate(read)
    chosen = range(len(images)) if frames is None else frames
    planes = list(defocus or ()) or _all_planes(names, told, len(images), len(chosen))
    missing = [i for i in chosen if not 0 <= i < len(images)]
    if missing:
        raise InputError(
            f"frame {missing[0]} is not there; {names[0]} has {len(images)}, counted from 0"
        )
    # The list of planes may be for the chosen images only.
    if len(planes) != len(chosen):
        planes = [planes[i] for i in chosen] if len(planes) == len(images) else planes
    if len(planes) != len(chosen) or not planes:
        raise InputError(
            f"{counted(len(chosen), 'frame')}, {counted(len(planes), 'plane')} ({source}); give a "
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
        zero = planes[list(chosen).index(focus)]
        planes = [z - zero for z in planes]
    order = np.argsort(planes)
    images = np.moveaxis(images[np.array(chosen)[order]], 0, -1)
    return FocalSeries(images, tuple(float(planes[i]) for i in order), axes, title)


def _all_planes(
    names: Sequence[str], told: Sequence[tuple[float, ...] | None], count: int, used: int
) -> list[float]:
    """The planes from all files; the first file may give the planes of all."""
    if told and told[0] is not None and len(told[0]) == count:
        return list(told[0])
    if not told or any(planes is None for planes in told):
        silent = next((n for n, p in zip(names, told, strict=False) if p is None), names[0])
        which = "for the image" if used == 1 else f"for each of the {used} images"
        raise PlanesUnknown(
            f"the planes of {silent} are not known; give --defocus {which}, "
            f"or write them into {Path(split_name(silent)[0]).with_suffix('.txt')}"
        )
    return [z for planes in told for z in planes or ()]


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
