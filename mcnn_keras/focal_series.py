"""Focal series: the frames of one object at several planes, from files, in order.

files + planes (an axis, a list, or a text file beside them) -> FocalSeries -> corrected
-> registered -> a network, or a method of `mcnn_keras.classical`
"""

import json
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .errors import InputError
from .files import open_recording, pixel_length, split_name
from .files.recording import LENGTHS

# Names of an axis along which focus changes.
AXES = ("z", "defocus", "focus", "depth")
SIDECARS = (".defocus.txt", ".txt", ".csv", ".json")
# Which planes of the paper's series make its networks for several images (Fig. 3).
EXPONENTS = {2: (9,), 4: (0, 1), 8: (1, 3, 5, 7), 10: (1, 3, 5, 7, 9), 32: tuple(range(16))}
# A frame's plane is a network's if it lies this near: a part of the distance, and um.
NEAR = (0.03, 0.5)


class FocalSeries(NamedTuple):
    """Frames of one object, from the farthest upstream of focus to the farthest downstream.

    Parameters
    ----------
    images : numpy.ndarray
        (height, width, planes), float32.
    defocus : tuple of float
        Of each plane, in um, positive downstream.
    axes : tuple of Axis
        Of height and width.
    title : str
    """

    images: np.ndarray
    defocus: tuple
    axes: tuple
    title: str = ""

    @property
    def pixel_size(self):
        """In um, where the files tell it."""
        return pixel_length(self.axes, "um")


def read_focal_series(names, defocus=None, frames=None, unit="um"):
    """Read the frames of a focal series from one file, or from one for each plane.

    Parameters
    ----------
    names : sequence of str
        Files, as `mcnn_keras.files.open_recording` takes them.
    defocus : sequence of float, optional
        Of each frame; by default what the file's axis says (named z or defocus, with a
        unit of length), or a text file beside the first file, of its name with .txt, .csv or
        .json: a number for each frame, or {"defocus": [...]}.
    frames : sequence of int, optional
        Those to use, counted from 0.
    unit : {'um', 'A'}
        Of the planes; those of a file's axis are brought to it.

    Returns
    -------
    FocalSeries

    Raises
    ------
    InputError
        If a file cannot be read, the frames differ in size, or their planes are not known.
    """
    read, axes, title, own = [], None, "", None
    for name in names:
        with open_recording(name) as recording:
            axes = axes or recording.axes[-2:]
            title = title or recording.title
            if recording.size != (axes[0].size, axes[1].size):
                raise InputError(
                    f"{name} has {recording.size[0]}x{recording.size[1]} pixels, the first file "
                    f"{axes[0].size}x{axes[1].size}; crop them to one size"
                )
            read.append(recording.read())
            own = own or _planes_of_axis(recording.axes[:-2], unit)
    images = np.concatenate(read)
    source = "--defocus"
    if not defocus:
        defocus, source = _sidecar(names[0]) or (own, "the file's axis")
    if defocus is None:
        raise InputError(
            f"{names[0]} does not tell its planes; give --defocus for each of its {len(images)} "
            f"frames, or write them into {Path(split_name(names[0])[0]).with_suffix('.txt')}"
        )
    chosen = range(len(images)) if frames is None else frames
    missing = [i for i in chosen if not 0 <= i < len(images)]
    if missing:
        raise InputError(
            f"frame {missing[0]} is not there; {names[0]} has {len(images)}, counted from 0"
        )
    # A list of planes may be that of the chosen frames alone.
    planes = list(defocus) if len(defocus) == len(chosen) else [
        defocus[i] for i in chosen if len(defocus) == len(images)
    ]  # fmt: skip
    if len(planes) != len(chosen) or not planes:
        raise InputError(
            f"{counted(len(chosen), 'frame')}, {counted(len(defocus), 'plane')} ({source}); give a "
            "plane for each frame"
        )
    if len(set(planes)) < len(planes):
        twice = next(z for z in planes if planes.count(z) > 1)
        raise InputError(
            f"the plane {twice:g} {unit} is given twice ({source}); give each frame its own"
        )
    order = np.argsort(planes)
    images = np.moveaxis(images[np.array(chosen)[order]], 0, -1)
    return FocalSeries(images, tuple(float(planes[i]) for i in order), tuple(axes), title)


def planes_of(name, unit="um"):
    """The planes that a file, or a text file beside it, tells; see `read_focal_series`.

    Returns
    -------
    list of float or None
        In the unit, for each frame; None where nothing is told.
    """
    try:
        told = _sidecar(name)
    except InputError:  # a text of another kind
        told = None
    with open_recording(name) as recording:
        planes = told[0] if told else _planes_of_axis(recording.axes[:-2], unit)
        return planes if planes and len(planes) == len(recording) else None


def exponential_planes(count):
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
        raise InputError(f"{count} planes are no choice; choose {', '.join(map(str, EXPONENTS))}")
    distances = [round(500 ** (k / 24), 4) for k in EXPONENTS[count]]
    return [-z for z in reversed(distances)] + distances


def corrected(series, flat=None, background=None):
    """A series less its background, over its flat field.

    Parameters
    ----------
    series : FocalSeries
    flat, background : (height, width) array, optional
        The frame without an object, and the one without light.

    Raises
    ------
    InputError
        If a frame is of another size, or the flat field is dark somewhere.
    """
    images = series.images.astype(np.float64)
    for name, frame in (("flat field", flat), ("background", background)):
        if frame is not None and frame.shape != images.shape[:2]:
            raise InputError(
                f"the {name} has {frame.shape[0]}x{frame.shape[1]} pixels, the series "
                f"{images.shape[0]}x{images.shape[1]}; take it with the same camera settings"
            )
    if background is not None:
        images -= background[..., None]
    if flat is not None:
        light = flat - (0 if background is None else background)
        if light.min() <= 0.01 * light.mean():
            raise InputError(
                "the flat field is dark in places, so that nothing can be divided by it; take one "
                "with the light on and no object"
            )
        images *= (light.mean() / light)[..., None]
    return series._replace(images=images.astype(np.float32))


def is_near(there, wanted):
    """Whether a plane, in um, will do for a network that was trained for another."""
    return abs(there - wanted) <= NEAR[0] * abs(wanted) + NEAR[1]


def frames_of_planes(wanted, there, unit="um"):
    """Which frames of a series lie at the planes that a network knows.

    Parameters
    ----------
    wanted, there : sequence of float
        Planes.
    unit : {'um', 'A'}
        Of the planes, to name it.

    Returns
    -------
    list of int
        A frame for each wanted plane, in their order.

    Raises
    ------
    InputError
        If there is none near enough.
    """
    there = np.asarray(there, np.float64)
    frames = []
    for z in wanted:
        nearest = int(np.argmin(np.abs(there - z)))
        if not is_near(there[nearest], z):
            raise InputError(
                f"the model was trained for {', '.join(f'{w:g}' for w in wanted)} {unit}, and the "
                f"frame nearest to {z:g} {unit} lies at {there[nearest]:g}; train one for your "
                "planes"
            )
        frames.append(nearest)
    return frames


def counted(number, thing):
    """A number of things, in words."""
    return f"{number} {thing}{'s' * (number != 1)}"


def _planes_of_axis(outer, unit):
    """The planes in a unit of a file whose one outer axis is one of focus; None where it is not."""
    if len(outer) != 1 or outer[0].name.lower() not in AXES or outer[0].units not in LENGTHS:
        return None
    axis = outer[0]
    factor = LENGTHS[axis.units] / LENGTHS[unit]
    return [(axis.offset + i * axis.scale) * factor for i in range(axis.size)]


def _sidecar(name):
    """The planes in a text file beside a file, and the text file's name; None where none is."""
    path = Path(split_name(name)[0])
    for suffix in SIDECARS:
        beside = path.with_suffix(suffix)
        if beside.is_file() and beside != path:
            return _read_planes(beside), beside.name
    return None


def _read_planes(path):
    text = path.read_text(errors="replace")
    try:
        if path.suffix == ".json":
            return [float(z) for z in json.loads(text)["defocus"]]
        lines = [line.split("#")[0] for line in text.splitlines()]
        return [float(part) for part in re.split(r"[\s,;]+", " ".join(lines).strip())]
    except (ValueError, KeyError, TypeError):
        raise InputError(
            f"{path} holds no list of planes; write one number in um for each frame"
        ) from None
