"""Files in, files out: which images belong together, and what their results are called."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..files import read_images, split_dataset, write_png, write_tiff
from ..saving import load, model_path, read_card

TIFF_SUFFIXES = (".tif", ".tiff")


@dataclass
class Job:
    """One result to make: its measurements, (results, height, width, planes), and its files."""

    images: np.ndarray
    source: Path
    output: Path


def predict_files(model, inputs, output, frames=None):
    """Invert measured images and write the results: `plan` and `execute` in one."""
    return execute(model, plan(model, inputs, output, frames))


def plan(model, inputs, output, frames=None):
    """Read the measurements and sort them into results, before any network is loaded.

    Parameters
    ----------
    model : str or Path
        A model file, or the name of a shipped one.
    inputs : sequence of str
        Image files; see `mcnn_keras.files.read_images`.
    output : str or Path
        A .tif file, or a folder where there are several results.
    frames : list of int, optional
        Which images of each stack to use.

    Returns
    -------
    list of Job

    Raises
    ------
    InputError
        If an input cannot be read or is not what the model takes.
    """
    planes = read_card(model)["network"]["input_channels"]
    stacks = [
        (Path(split_dataset(name)[0]), _chosen(read_images(name), frames, name)) for name in inputs
    ]
    measurements = _measurements(stacks, planes)
    output = Path(output)
    if len(measurements) == 1:
        if output.suffix.lower() not in TIFF_SUFFIXES:
            raise InputError(f"the output {output} is not a .tif file; name it like phase.tif")
        outputs = [output]
    else:
        if output.suffix.lower() in TIFF_SUFFIXES or output.is_file():
            raise InputError(
                f"{len(measurements)} results are to be written and {output} is one file; "
                "name a folder"
            )
        outputs = [output / f"{path.stem}.tif" for path, _ in measurements]
    if len(set(outputs)) < len(outputs):
        raise InputError("two inputs have the same name; their results would have, too")
    sources = {path.resolve() for path in (model_path(model), *(path for path, _ in stacks))}
    for path in (file for out in outputs for file in (out, out.with_suffix(".png"))):
        if path.resolve() in sources:
            raise InputError(f"the result {path} would replace an input; name another output")
        if path.suffix == ".png" and path.exists() and not path.with_suffix(".tif").exists():
            raise InputError(
                f"{path} is there already, and the picture beside the result would replace it; "
                "name another output"
            )
    return [
        Job(images, path, out) for (path, images), out in zip(measurements, outputs, strict=True)
    ]


def execute(model, jobs):
    """Predict, and only when all is predicted, write.

    Parameters
    ----------
    model : str or Path
        A model file.
    jobs : list of Job

    Returns
    -------
    list of Path
        The files written, a .tif and a .png for each result.

    Raises
    ------
    InputError
        If a measurement is not what the model takes, or a file cannot be written.
    """
    from .predict import predict_stack

    loaded = load(model)
    answers = []
    for job in jobs:
        try:
            answers.append(predict_stack(loaded, job.images))
        except InputError as error:
            raise InputError(f"{job.source}: {error}") from None
    return [
        path
        for job, answer in zip(jobs, answers, strict=True)
        for path in _write(job.output, answer, loaded.card)
    ]


def _chosen(stack, frames, name):
    if frames is None:
        return stack
    wrong = [i for i in frames if not 0 <= i < len(stack)]
    if wrong:
        raise InputError(f"{name} has images 0 to {len(stack) - 1}, not {wrong[0]}; see --frames")
    return stack[frames]


def _measurements(stacks, planes):
    """Sort images into measurements: (name of the result, (results, height, width, planes))."""
    if planes == 1:
        return [(path, stack[..., None]) for path, stack in stacks]
    if all(len(stack) == 1 for _, stack in stacks):
        if len(stacks) != planes:
            raise InputError(
                f"{len(stacks)} image{'s' * (len(stacks) > 1)} given, but the model was trained on "
                f"{planes} planes; give {planes}, in the order of its defocus"
            )
        shapes = {stack.shape[1:] for _, stack in stacks}
        if len(shapes) > 1:
            raise InputError(f"the planes differ in size: {sorted(shapes)}; crop them to one size")
        image = np.concatenate([stack for _, stack in stacks])
        return [(stacks[0][0], np.moveaxis(image, 0, -1)[None])]
    for path, stack in stacks:
        if len(stack) != planes:
            raise InputError(
                f"{path} holds {len(stack)} image{'s' * (len(stack) > 1)}, but the model was "
                f"trained on {planes} planes; choose {planes} with --frames"
            )
    return [(path, np.moveaxis(stack, 0, -1)[None]) for path, stack in stacks]


def _write(target, answer, card):
    """Write one result, (results, height, width[, channels]); returns its files."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        images, names = answer, [""]
        if answer.ndim == 4:
            names = card["output_names"]
            images = np.moveaxis(answer, -1, 1).reshape(-1, *answer.shape[1:3])
        labels = [name for _ in range(len(answer)) for name in names] if names != [""] else None
        picture = target.with_suffix(".png")
        images = images[0] if len(images) == 1 else images
        pixel_size = card["pixel_size"]
        if pixel_size is not None:
            pixel_size /= card["network"]["scale"]
        write_tiff(target, images, pixel_size, labels=labels)
        first = (
            answer[0] if answer.ndim == 3 else np.concatenate([*np.moveaxis(answer[0], -1, 0)], 1)
        )
        write_png(picture, first)
    except OSError as error:
        raise InputError(f"{target} cannot be written: {error.strerror}") from None
    return [target, picture]
