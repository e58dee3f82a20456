"""Plan which files make which results, before a network is loaded.

names -> files -> groups, one for each measurement or recording -> matched planes -> Job
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import open_recording, output_types, split_name
from ..files.formats import FOLDERS, WRITABLE, is_image_file
from ..files.instrument import instrument_of
from ..files.places import require_not_source
from ..models import AnyPlanes, ModelCard, Planes
from ..models.saving import model_path
from .axes import require_images
from .measurements import Measurements
from .names import expanded, tell_of_order, tell_of_own
from .planes import counted, match_planes, planes_of_chosen


@dataclass
class Job:
    """One result to make.

    Attributes
    ----------
    inputs : tuple of str
        Names of its files; if there are several, each holds one image of a measurement.
    output : Path
    frames : list of int or None
        Which images of each file, in the model's order; None for all of them.
    failed : str
        The reason why it cannot be made, or empty.
    note : str
        A line for the user about the chosen images.
    force : bool
        Whether what is no image is treated as one.
    axes : str or None
        A letter for each axis of files that state none.
    """

    inputs: tuple[str, ...]
    output: Path
    frames: list[int] | None = None
    failed: str = ""
    note: str = ""
    force: bool = False
    axes: str | None = None

    @property
    def source(self) -> Path:
        """The file that gives the result its name."""
        return Path(split_name(self.inputs[0])[0])

    @property
    def names(self) -> list[str]:
        """The names of its files, without folders."""
        return [Path(split_name(name)[0]).name for name in self.inputs]


def open_measurements(job: Job, card: ModelCard) -> Measurements:
    """The measurements of a job; close them after use."""
    recordings: list[Any] = []
    try:
        for name in job.inputs:
            recording = open_recording(name, job.force, job.axes)
            recordings.append(recording)
            require_images(recording)
            if job.frames is not None:
                recordings[-1] = recording.chosen(job.frames)
        return Measurements(recordings, card)
    except BaseException:
        for recording in recordings:
            recording.__exit__()
        raise


def plan(
    model: str | Path,
    card: ModelCard,
    inputs: Sequence[str],
    output: str | Path,
    frames: list[int] | None = None,
    defocus: Sequence[float] | None = None,
    force: bool = False,
    say: Callable[[str], Any] = lambda text: None,
    axes: str | None = None,
) -> list[Job]:
    """Group the inputs into results, and choose the file of each result.

    Parameters
    ----------
    model : str or Path
        The model's file, which no result may replace.
    card : ModelCard
        Card of the model.
    inputs : sequence of str
        Files, folders and patterns.
    output : str or Path
        A file, or a folder for several results.
    frames : list of int, optional
        Which images of each file to use.
    defocus : sequence of float, optional
        The plane of each image of a focal series, or of each of `frames`, for a phase model; by
        default from each file, or from a text file next to it.
    force : bool
        Treat as images what a file says is none.
    say : callable
        Takes what the user should know of the choice of files, a line at a time.
    axes : str, optional
        A letter for each axis of the arrays, if their files state none, as for
        `mcnn_keras.predict`; by default height and width are the last.

    Returns
    -------
    list of Job
        Jobs that cannot be done have the reason in `failed`.

    Raises
    ------
    InputError
        If no job can be done.
    """
    if isinstance(card.inputs, AnyPlanes):
        raise InputError(
            f"the model {model} takes any planes and needs the planes and optics of the images; "
            f"use mcnn-keras phase INPUT --model {model}"
        )
    if defocus and not isinstance(card.inputs, Planes):
        raise InputError("--defocus is for phase models only; leave it out")
    names = [name for given in inputs for name in expanded(given, say)]
    tell_of_own(inputs, say)
    found, failed = _measured(names, card, frames, list(defocus or ()), force, axes)
    groups = [group for group, *_ in found]
    if defocus and any(len(group) > 1 for group in groups):  # files in the order of the planes
        tell_of_order(names, say)
    output = Path(output)
    is_file = bool(WRITABLE.get(output.suffix.lower())) and (
        not output.is_dir() or output.suffix.lower() in FOLDERS
    )
    into_folder = output.is_dir() and output.suffix.lower() not in WRITABLE
    # Several files may be parts of one recording.
    into_folder |= not is_file and len(groups) == 1 and len(names) > len(groups[0])
    if len(groups) == 1 and not (into_folder or _folder_given(inputs)):
        if not is_file:
            output_types(output)
        outputs = [output]
    elif is_file or output.is_file():
        raise InputError(
            f"there are {len(groups)} results, but {output} is one file; name a folder"
        )
    else:
        if any(Path(name).is_dir() and output.resolve() == Path(name).resolve() for name in inputs):
            raise InputError(
                f"the output folder is the folder of the images, {output}; name another output"
            )
        outputs = [output / name for name in _result_names(groups)]
    if len(set(outputs)) < len(outputs):
        raise InputError(
            "two inputs have the same name, and so would their results; rename one, or use two runs"
        )
    jobs = [
        Job(group, out, chosen, failed.get(group, ""), note, force, axes)
        for (group, chosen, note), out in zip(found, outputs, strict=True)
    ]
    sources = [split_name(name)[0] for job in jobs for name in job.inputs]
    places = [p for out in outputs for p in (out, out.with_suffix(".png"))]
    require_not_source(places, [model_path(model), *sources])
    for job in jobs:
        try:
            output_types(job.output)
            if job.output.is_dir() and job.output.suffix.lower() not in FOLDERS:
                raise InputError(f"the output {job.output} is a folder; name another")
        except InputError as error:
            if len(jobs) == 1:
                raise
            job.failed = job.failed or str(error)
    return jobs


def _folder_given(inputs: Sequence[str]) -> bool:
    return any(
        (Path(name).is_dir() and not is_image_file(Path(name))) or expanded(name) != [str(name)]
        for name in inputs
    )


def _measured(
    names: list[str],
    card: ModelCard,
    frames: list[int] | None,
    defocus: list[float],
    force: bool,
    letters: str | None,
) -> tuple[list[tuple[tuple[str, ...], list[int] | None, str]], dict[tuple[str, ...], str]]:
    """The files and images of each result, with a note; and the reasons of those that fail."""
    groups = _groups(names, card, frames, bool(defocus), force, letters)
    taken: dict[Path, int] = {}
    found: list[tuple[tuple[str, ...], list[int] | None, str]] = []
    failed: dict[tuple[str, ...], str] = {}
    for group in groups:
        chosen, note = frames, ""
        try:
            if isinstance(card.inputs, Planes):
                group, chosen = _in_order(group, card.inputs, frames, defocus, force, letters)
                planes = ", ".join(f"{z:g}" for z in card.inputs.defocus)
                if len(group) > 1:
                    files = ", ".join(Path(split_name(name)[0]).name for name in group)
                    note = f"for {planes} {card.inputs.unit}: {files}"
                elif chosen is not None and chosen != frames and len(chosen) == card.inputs.count:
                    numbers = ", ".join(map(str, chosen))
                    note = (
                        f"for {planes} {card.inputs.unit}: image {numbers} of {group[0]}, counted "
                        "from 0"
                    )
            job = Job(group, Path(), chosen, force=force, axes=letters)
            with open_measurements(job, card) as measurements:
                whole = frozenset().union(*(r.files for r in measurements.recordings))
            before = taken.get(Path(split_name(group[0])[0]).resolve())
            if before is not None and len(whole) > 1:  # its frames are there already
                part = f"{group[0]} holds a part of the same recording"
                given, images, told = found[before]
                found[before] = given, images, "; ".join(filter(None, (told, part)))
                continue
            taken.update(dict.fromkeys(whole, len(found)))
        except InputError as error:
            if len(groups) == 1:
                raise
            failed[group] = str(error)
        found.append((group, chosen, note))
    if len(failed) == len(groups):
        raise InputError(f"none of {len(groups)} inputs can be used; {next(iter(failed.values()))}")
    return found, failed


def _groups(
    names: list[str],
    card: ModelCard,
    frames: list[int] | None,
    planes_given: bool,
    force: bool,
    letters: str | None,
) -> list[tuple[str, ...]]:
    """The names for each result: one recording, or a file for each image of one object."""
    images = card.image_channels
    several = images > 1 or (planes_given and isinstance(card.inputs, Planes))
    if several and len(names) > 1:
        counts = []
        for name in names:
            try:
                with open_recording(name, force, letters) as recording:
                    whole = recording.colour and card.takes_colours
                    count = len(recording) if frames is None else len(frames)
                    counts.append(images if whole and images > 1 else count)
            except InputError:  # reported later, with this input
                counts.append(images)
        if max(counts) == 1:
            if not isinstance(card.inputs, Planes) and len(names) != images:
                raise InputError(
                    f"{len(names)} images given, but the model was trained on {images}; give "
                    f"{images}, in the order of the training"
                )
            return [tuple(names)]
    return [(name,) for name in names]


def _in_order(
    group: tuple[str, ...],
    planes: Planes,
    frames: list[int] | None,
    defocus: list[float],
    force: bool,
    letters: str | None,
) -> tuple[tuple[str, ...], list[int] | None]:
    """The files and images of a focal series at the model's planes, in the model's order."""
    if len(group) > 1:  # one image each
        each = defocus or _told_by_each(group, planes.unit, frames, force, letters)
        if len(each) != len(group):
            raise InputError(_not_told(group[0], planes, len(group), len(each)))
        return tuple(group[i] for i in match_planes(planes, each, group[0])), frames
    name = group[0]
    with open_recording(name, force, letters) as recording:
        images, axes = len(recording), recording.axes[:-2]
    outer = [a.size for a in axes]
    chosen = list(range(images)) if frames is None else frames
    if any(not 0 <= i < images for i in chosen):
        return group, frames  # missing images are reported when they are read
    own = instrument_of(name, planes.unit, strict=False, axes=axes)
    stated = defocus or list(own.defocus or ())
    # A recording of focal series in time: the planes are those of each series.
    if len(outer) > 1 and len(stated) == outer[-1] != images:
        if frames is None:
            order = match_planes(planes, stated, name)
            return group, [start + i for start in range(0, images, outer[-1]) for i in order]
        if not defocus:
            stated *= images // outer[-1]
    told = planes_of_chosen(stated, chosen, images, bool(defocus)) if stated else None
    if defocus and told is None:
        raise InputError(
            f"{name} has {counted(len(chosen), 'image')}, and {counted(len(defocus), 'plane')} "
            "were given; give one for each image"
        )
    if told:
        if planes.count == 1 and len(set(told)) == 1 < len(told):  # a movie at one plane
            match_planes(planes, told, name)
            return group, frames
        return group, [chosen[i] for i in match_planes(planes, told, name)]
    if planes.count == 1:  # each image is taken to be at the model's plane; a line says so
        return group, frames
    raise InputError("; ".join(own.faults) or _not_told(name, planes, len(chosen), len(stated)))


def _told_by_each(
    group: tuple[str, ...],
    unit: str,
    frames: list[int] | None,
    force: bool,
    letters: str | None,
) -> list[float]:
    """The planes of the images of several files, or those of all in the text next to the first."""
    found: list[float] = []
    number = 0 if frames is None else frames[0]
    for place, name in enumerate(group):
        with open_recording(name, force, letters) as recording:
            images, axes = len(recording), recording.axes[:-2]
        told = instrument_of(name, unit, strict=False, axes=axes)
        own = told.defocus
        if own is None and told.faults:
            raise InputError("; ".join(told.faults))
        if not place and images == 1 and own is not None and len(own) == len(group):
            return list(own)
        if own is not None and (len(own) == 1 or len(own) == images > number >= 0):
            found.append(own[0] if len(own) == 1 else own[number])
    return found


def _not_told(name: str, planes: Planes, images: int, told: int) -> str:
    wanted = ", ".join(f"{z:g}" for z in planes.defocus)
    return (
        f"the planes of {name} are not known ({counted(images, 'image')}, "
        f"{counted(told, 'plane')}), and the model needs the images at {wanted} {planes.unit}; "
        "give --defocus for each image, or write a number for each into "
        f"{Path(split_name(name)[0]).with_suffix('.txt').name}"
    )


def _result_names(groups: Sequence[tuple[str, ...]]) -> list[str]:
    """Names for results in a folder; inputs that differ only in extension keep it in the name."""
    names = [result_name(group) for group in groups]
    stems = [Path(name).stem for name in names]
    return [
        result_name(group, whole=stems.count(stem) > 1)
        for group, stem in zip(groups, stems, strict=True)
    ]


def result_name(group: tuple[str, ...], whole: bool = False) -> str:
    """The name of the input, with the extension .tif if the input's format cannot be written.

    Parameters
    ----------
    group : tuple of str
        The inputs of the result.
    whole : bool
        Keep the extension of the first input before that of the result.
    """
    name, image = split_name(group[0])
    path = Path(name)
    suffix = path.suffix if WRITABLE.get(path.suffix.lower()) else ".tif"
    stem = path.name if whole else path.stem
    if suffix == ".tif" and path.stem.endswith(".ome"):
        suffix, stem = ".ome.tif", stem.removesuffix(".tif").removesuffix(".ome")
    tail = "".join(c if c.isalnum() or c in "-_." else "_" for c in image.strip("/"))
    return f"{stem}_{tail}{suffix}" if tail else f"{stem}{suffix}"
