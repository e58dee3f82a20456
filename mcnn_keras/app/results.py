"""Results for the page: one image of a recording, and a result in another format."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..files import open_recording, output_types
from ..files.formats import FOLDERS, WRITABLE, write_recording
from ..inference.consistency import Consistency
from ..inference.planning import plan
from ..inference.reporting import Report
from ..models.saving import read_card
from ..report import write_prediction_report
from .forms import RESULTS
from .jobs import Job


def formats() -> list[str]:
    """The extensions in which results can be written here."""
    found = []
    for suffix in WRITABLE:
        with contextlib.suppress(InputError):
            output_types(f"x{suffix}")
            found.append(suffix)
    return found


def image_page(job: Job, file: int, number: int, path: Path) -> None:
    """Write a page with one image before and after.

    Parameters
    ----------
    job : Job
        That is done, and whose order has frames.
    file : int
        Which of its files, counted from 0.
    number : int
        Which image of it, counted from 0.
    path : Path
        The .html file.

    Raises
    ------
    InputError
        If there is no such image, or a file is gone.
    """
    order = job.order
    card = read_card(order.model)
    planned = plan(
        order.model, card, order.inputs(job.inputs), order.result(job.out), order.frames,
        None, order.force,
    )  # fmt: skip
    made = next((p for p in planned if p.output == _file_of(job, file)), None)
    if made is None:
        raise InputError("there is no such result")
    report = Report(path, [made], [number], Consistency(card))
    report.show_finished(made, card, bool(order.values.get("uncertainty")))
    write_prediction_report(path, f"mcnn-keras: image {number}", report.views)


def converted(source: Path, target: Path) -> None:
    """Write a result in another format, with its axes and as far as possible its number type.

    Parameters
    ----------
    source, target : Path

    Raises
    ------
    InputError
        If the format cannot hold the values.
    """
    types = output_types(target)
    with open_recording(source, force=True) as made:
        if made.colour:
            raise InputError(f"colours are written as {source.suffix} only; choose this format")
        dtype = np.dtype(made.data.dtype).newbyteorder("=")
        name = dtype.name if dtype.name in types else "float32"
        if not np.can_cast(dtype, name, "safe"):
            offered = [s for s in WRITABLE if dtype.name in WRITABLE[s][1]]
            raise InputError(
                f"{target.suffix} files cannot hold {dtype.name} values; choose from "
                f"{', '.join(offered)}"
            )
        outer = made.axes[:-2]
        labels = ["phase", "amplitude"] if source.name.startswith("phase") else []
        fits = len(labels) == len(made.data) and len(outer) == 1
        write_recording(target, made.data, made.axes, made.title, name, labels if fits else None)


def download(job: Job, file: int, suffix: str) -> tuple[Path, str]:
    """A file of a job, made in another format if need be, and its name for the user.

    Parameters
    ----------
    job : Job
    file : int
        Which of its files.
    suffix : str
        The extension; "" for that of the file.

    Raises
    ------
    InputError
        If there is no such file, or the format is not written.
    """
    source = _file_of(job, file)
    suffix = suffix or source.suffix.lower()
    if suffix not in WRITABLE:
        raise InputError(f"{suffix} files are not written; choose from {', '.join(formats())}")
    target = source
    if suffix != source.suffix.lower():
        target = job.folder / f"{file}-{source.stem}{suffix}"
        if not target.exists():
            converted(source, target)
    name = _name(job, source, suffix)
    if suffix in FOLDERS:  # sent as one file
        packed = job.folder / f"{file}-{source.stem}{suffix}.zip"
        if not packed.exists():
            shutil.make_archive(str(packed.with_suffix("")), "zip", target.parent, target.name)
        return packed, f"{name}.zip"
    return target, name


def _file_of(job: Job, file: int) -> Path:
    if not 0 <= file < len(job.files):
        raise InputError("there is no such result")
    if not job.files[file].exists():
        raise InputError(f"the result {job.files[file].name} is not there any more")
    return job.files[file]


def _name(job: Job, source: Path, suffix: str) -> str:
    stem = source.stem
    if source.name.startswith(Path(RESULTS[job.order.task]).stem) and job.names:
        first = next(iter(job.names.values()))
        stem = f"{Path(first).stem}_{stem}"
    return f"{stem}{suffix}"


def about(model: str) -> dict[str, object]:
    """What the page needs to know of a model.

    Raises
    ------
    InputError
        If it is no model.
    """
    card = read_card(model)
    return {
        "name": model,
        "inputs": card.inputs.kind,
        "images": card.image_channels,
        "description": card.description,
        "uncertainty": bool(card.network.get("interval") and card.calibration.get("widths")),
        "planes": list(getattr(card.inputs, "defocus", ())),
        "unit": getattr(card.inputs, "unit", ""),
    }
