"""Which files make which results: inputs -> measurements -> jobs, before any network is loaded."""

from dataclasses import dataclass
from glob import glob
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..files import Axis, open_recording, output_types, split_name
from ..files.formats import FOLDERS, WRITABLE, is_image_file
from ..saving import model_path


@dataclass
class Job:
    """One result to make: the names of its inputs, and its file."""

    inputs: tuple
    output: Path
    frames: list | None = None
    failed: str = ""

    @property
    def source(self):
        """The file that gives the result its name."""
        return Path(split_name(self.inputs[0])[0])


class Measurements:
    """What a network inverts, read from one or more recordings as it is needed.

    Parameters
    ----------
    recordings : list of Recording
        One; or one for each plane, of one image each.
    card : dict
        Of the model.

    Raises
    ------
    InputError
        If the images do not make whole measurements.
    """

    def __init__(self, recordings, card):
        self.recordings, self.planes = recordings, card["network"]["input_channels"]
        planes = self.planes
        first = recordings[0]
        outer, self.field = list(first.axes[:-2]), tuple(first.axes[-2:])
        # The colours of a picture are its channels, if the model takes three.
        self.colours = len(recordings) == 1 and first.colour and takes_colours(card)
        if planes > 1 and len(recordings) == 1 and not self.colours:
            if len(first) == planes:
                outer = []
            elif outer and outer[-1].size == planes:
                outer = outer[:-1]
            else:
                raise InputError(
                    f"{first.path} holds {len(first)} image{'s' * (len(first) > 1)}, but the model "
                    f"was trained on {planes} planes; choose {planes} with --frames"
                )
        self.outer = tuple(outer)
        frames = 1 if self.colours else planes
        self.count = len(first) // frames if len(recordings) == 1 else 1
        sizes = {recording.size for recording in recordings}
        if len(sizes) > 1:
            raise InputError(f"the planes differ in size: {sorted(sizes)}; crop them to one size")
        self.size = first.size

    def __len__(self):
        return self.count

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for recording in self.recordings:
            recording.__exit__()

    @property
    def dtype(self):
        """Of the values in the first file."""
        return self.recordings[0].dtype

    @property
    def title(self):
        """Of the first file."""
        return self.recordings[0].title

    def read(self, start, stop):
        """(measurements, height, width, planes), float32."""
        if len(self.recordings) > 1:
            return np.stack([r.read(0, 1)[0] for r in self.recordings], axis=-1)[None]
        if self.colours:
            return self.recordings[0].read(start, stop, colours=True)
        frames = self.recordings[0].read(start * self.planes, stop * self.planes)
        return np.moveaxis(frames.reshape(-1, self.planes, *self.size), 1, -1)

    def result_axes(self, card):
        """The axes of the result: those of the measurements, and one for several outputs.

        The model's own pixel size, in um, stands in where the files tell none.
        """
        scale, outputs = card["network"]["scale"], card["network"]["output_channels"]
        field = []
        for a in self.field:
            if a.scale is None and card["pixel_size"] is not None:
                a = a._replace(scale=card["pixel_size"], units="um")
            size = a.scale if a.scale is None else a.scale / scale
            field.append(a._replace(size=a.size * scale, scale=size))
        between = (Axis("output", outputs),) if outputs > 1 else ()
        return (*self.outer, *between, *field)


def takes_colours(card):
    """Whether a model's three channels are red, green and blue; never those of planes of focus."""
    return card["network"]["input_channels"] == 3 and card["normalization"]["input"] != "contrast"


def open_measurements(job, card):
    """The measurements of a job; close them after use."""
    recordings = []
    try:
        for name in job.inputs:
            recording = open_recording(name)
            recordings.append(recording)
            if job.frames is not None:
                recordings[-1] = recording.chosen(job.frames)
        return Measurements(recordings, card)
    except BaseException:
        for recording in recordings:
            recording.__exit__()
        raise


def plan(model, card, inputs, output, frames=None):
    """Sort inputs into results, and give each its file.

    Parameters
    ----------
    model : str or Path
        The model's file, which no result may replace.
    card : dict
        Of the model.
    inputs : sequence of str
        Files, folders and patterns.
    output : str or Path
        A file, or a folder where there are several results.
    frames : list of int, optional
        Which images of each file to use.

    Returns
    -------
    list of Job
        Those that cannot be done have `failed` set to the reason.

    Raises
    ------
    InputError
        If nothing can be done.
    """
    names = [name for given in inputs for name in expanded(given)]
    groups, failed = _groups(names, card, frames)
    output = Path(output)
    is_file = bool(WRITABLE.get(output.suffix.lower())) and (
        not output.is_dir() or output.suffix.lower() in FOLDERS
    )
    into_folder = output.is_dir() and output.suffix.lower() not in WRITABLE
    if len(groups) == 1 and not (into_folder or _folder_given(inputs)):
        if not is_file:
            output_types(output)
        outputs = [output]
    elif is_file or output.is_file():
        raise InputError(
            f"{len(groups)} results are to be written and {output} is one file; name a folder"
        )
    else:
        outputs = [output / name for name in _result_names(groups)]
    if len(set(outputs)) < len(outputs):
        raise InputError("two inputs have the same name; their results would have, too")
    jobs = [
        Job(group, out, frames, failed.get(group, ""))
        for group, out in zip(groups, outputs, strict=True)
    ]
    _keep_what_is_there(jobs, model)
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


def expanded(name):
    """The files that a folder, a pattern or a name stands for, in order."""
    path = Path(name)
    if path.is_dir() and path.suffix.lower() not in FOLDERS:
        found = sorted(str(p) for p in path.iterdir() if is_image_file(p))
        if not found:
            raise InputError(f"the folder {path} holds no image file")
        return found
    if path.exists() or not any(c in str(name) for c in "*?["):
        return [str(name)]
    found = sorted(glob(str(name)))
    if not found:
        raise InputError(f"no file is called {name}")
    return found


def _folder_given(inputs):
    return any(
        (Path(name).is_dir() and not is_image_file(Path(name))) or expanded(name) != [str(name)]
        for name in inputs
    )


def _groups(names, card, frames):
    """The names that make each result, and why those that cannot do so cannot."""
    planes = card["network"]["input_channels"]
    if planes > 1 and len(names) > 1:
        counts = []
        for name in names:
            try:
                with open_recording(name) as recording:
                    whole = recording.colour and takes_colours(card)
                    count = len(recording) if frames is None else len(frames)
                    counts.append(planes if whole else count)
            except InputError:  # reported below
                counts.append(planes)
        if max(counts) == 1:
            if len(names) != planes:
                raise InputError(
                    f"{len(names)} images given, but the model was trained on {planes} planes; "
                    f"give {planes}, in the order of its defocus"
                )
            names = [tuple(names)]
    groups = [name if isinstance(name, tuple) else (name,) for name in names]
    failed = {}
    for group in groups:
        try:
            open_measurements(Job(group, Path(), frames), card).__exit__()
        except InputError as error:
            if len(groups) == 1:
                raise
            failed[group] = str(error)
    if len(failed) == len(groups):
        raise InputError(f"none of {len(groups)} inputs can be used; {next(iter(failed.values()))}")
    return groups, failed


def _result_names(groups):
    """Names for results in a folder; inputs that differ in their endings alone keep these."""
    names = [result_name(group) for group in groups]
    stems = [Path(name).stem for name in names]
    return [
        result_name(group, whole=stems.count(stem) > 1)
        for group, stem in zip(groups, stems, strict=True)
    ]


def result_name(group, whole=False):
    """The input's own name where such files can be written, a TIFF's else.

    Parameters
    ----------
    group : tuple of str
        The inputs of the result.
    whole : bool
        Keep the ending of the first input before the result's own.
    """
    path, image = split_name(group[0])
    path = Path(path)
    suffix = path.suffix if WRITABLE.get(path.suffix.lower()) else ".tif"
    stem = path.name if whole else path.stem
    if suffix == ".tif" and path.stem.endswith(".ome"):
        suffix, stem = ".ome.tif", stem.removesuffix(".tif").removesuffix(".ome")
    tail = "".join(c if c.isalnum() or c in "-_." else "_" for c in image.strip("/"))
    return f"{stem}_{tail}{suffix}" if tail else f"{stem}{suffix}"


def _keep_what_is_there(jobs, model):
    """No result may replace an input, nor its picture one of the user's."""
    inputs = [split_name(name)[0] for job in jobs for name in job.inputs]
    require_free([job.output for job in jobs], [model_path(model), *inputs])


def require_free(outputs, inputs):
    """Refuse results that would replace what they are made from, or a picture of the user's.

    Parameters
    ----------
    outputs : sequence of Path
        A picture of the same name is written beside each.
    inputs : sequence of str or Path
    """
    sources = {Path(name).resolve() for name in inputs}
    for output in outputs:
        picture = output.with_suffix(".png")
        for path in (output, picture):
            if path.resolve() in sources:
                raise InputError(f"the result {path} would replace an input; name another output")
        if picture.exists() and not output.exists():
            raise InputError(
                f"{picture} is there already, and the picture beside the result would replace it; "
                "name another output"
            )
