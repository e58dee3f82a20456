"""From the fields of the page to the words of a command, and its messages back to the fields.

The command line reads and checks all values: the page has its rules and its messages.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files.formats import FOLDERS

ALL, FRAMES, PHASE = ("denoise", "phase", "predict"), ("denoise",), ("phase",)
# What a result is called that the page itself names. This format keeps axes, units and types.
RESULTS = {"denoise": "denoised.h5", "phase": "phase.h5", "predict": "predicted.h5"}
LONGEST = 4000  # characters of a value
# Texts with the planes and optics of the image file whose name they share.
BESIDE = (".txt", ".json")


@dataclass(frozen=True)
class Field:
    """A field of the page.

    Parameters
    ----------
    option : str
        Its option on the command line.
    label : str
        What the page calls it.
    tasks : tuple of str
        The tasks that have it.
    flag : bool
        Whether it is a box to tick.
    """

    option: str
    label: str
    tasks: tuple[str, ...] = ALL
    flag: bool = False


FIELDS = {
    "model": Field("--model", "Model", ("denoise", "phase")),
    "quality": Field("--quality", "Quality", FRAMES),
    "temporal": Field("--temporal", "Neighbours in time", FRAMES),
    "faults": Field("--faults", "Faulty pixels", FRAMES),
    "defocus": Field("--defocus", "Planes", ("phase", "predict")),
    "wavelength": Field("--wavelength", "Wavelength", PHASE),
    "energy": Field("--energy", "Electron energy", PHASE),
    "pixel_size": Field("--pixel-size", "Pixel size", PHASE),
    "numerical_aperture": Field("--numerical-aperture", "Aperture", PHASE),
    "refractive_index": Field("--refractive-index", "Refractive index", PHASE),
    "coherence_angle": Field("--coherence-angle", "Angle of illumination", PHASE),
    "spherical_aberration": Field("--spherical-aberration", "Spherical aberration", PHASE),
    "focus": Field("--focus", "Image in focus", PHASE),
    "flat": Field("--flat", "Flat image", PHASE),
    "background": Field("--background", "Dark image", PHASE),
    "flip_defocus": Field("--flip-defocus", "Count the planes the other way", PHASE, True),
    "register": Field("--register", "Correct shift and growth with focus", PHASE, True),
    "frames": Field("--frames", "Images to use"),
    "dtype": Field("--dtype", "Number type of the result", ("denoise", "predict")),
    "uncertainty": Field("--uncertainty", "Uncertainty", ALL, True),
    "force": Field("--force", "Take what is no image as images", ALL, True),
    "overwrite": Field("--overwrite", "Replace files that are there", ALL, True),
    "resume": Field("--resume", "Continue an earlier run", ("denoise", "predict"), True),
}
REFINE = {"": (), "yes": ("--refine",), "no": ("--no-refine",)}
# Fields of the page that are no options of the same name.
OTHERS = ("refine", "image")


@dataclass(frozen=True)
class Order:
    """What is to be computed.

    Parameters
    ----------
    task : {'denoise', 'phase', 'predict'}
    values : dict
        Of the fields that were filled in, by name; True for a box that was ticked.
    path : str
        A file, folder or pattern of the machine; "" for uploaded files.
    output : str
        A file or folder of the machine for the results; "" to keep them for download.
    uploads : tuple of str
        The names that the server gave to uploaded files.
    """

    task: str
    values: Mapping[str, Any] = field(default_factory=dict)
    path: str = ""
    output: str = ""
    uploads: tuple[str, ...] = ()

    @classmethod
    def of(cls, told: Any) -> Order:
        """The order that a page has sent.

        Raises
        ------
        InputError
            If it has unknown fields, or lacks images or a model.
        """
        if not isinstance(told, dict) or told.get("task") not in ALL:
            raise InputError("choose a task: denoise, phase or predict")
        task, values = told["task"], told.get("values", {})
        uploads = told.get("uploads", [])
        path, output = (_text(told.get(name, ""), name) for name in ("path", "output"))
        if not isinstance(values, dict) or not isinstance(uploads, list):
            raise InputError("the form of the page is not understood; reload the page")
        kept: dict[str, Any] = {}
        for name, value in values.items():
            known = FIELDS.get(name)
            of_task = name in OTHERS or (name == "model" or (known and task in known.tasks))
            if not of_task:
                raise InputError(f"the task {task} has no field {str(name)[:40]!r}")
            if known and known.flag:
                if not isinstance(value, bool):
                    raise InputError(f"{known.label} is a box to tick, not {value!r}")
                kept.update({name: True} if value else {})
            elif text := _text(value, known.label if known else name):
                kept[name] = text
        if kept.get("refine", "") not in REFINE:
            raise InputError(f"refine {kept['refine']!r} is not known; choose yes or no")
        if task == "predict" and "model" not in kept:
            raise InputError("choose a model: one in the list, or a file of this machine")
        if bool(uploads) == bool(path):
            raise InputError(
                "choose files, or name a file or folder of this machine" + ", not both" * bool(path)
            )
        if not output and ("overwrite" in kept or "resume" in kept):
            raise InputError(
                "to replace files or to continue a run, name the place for the results"
            )
        for text in (path, output):
            if text and not Path(text).expanduser().is_absolute():
                raise InputError(
                    f"{text} is not a whole path; start with / or ~, for example ~/scans/today"
                )
        return cls(task, kept, path, output, tuple(map(str, uploads)))

    @property
    def model(self) -> str:
        """The model's name or file."""
        fast = self.values.get("quality") == "fast"
        default = "phase" if self.task == "phase" else "denoise-fast" if fast else "denoise"
        return str(self.values.get("model", default))

    @property
    def force(self) -> bool:
        """Whether what is no image is treated as one."""
        return bool(self.values.get("force"))

    @property
    def frames(self) -> list[int] | None:
        """The images to use, of an order that was computed; None for all."""
        told = self.values.get("frames")
        return [int(part) for part in told.split(",")] if told else None

    @property
    def has_frames(self) -> bool:
        """Whether each image is a measurement, so that any of them can be shown by itself."""
        return self.task == "denoise" or (self.task == "predict" and "defocus" not in self.values)

    def inputs(self, folder: Path) -> list[str]:
        """The names of the inputs, of which uploaded files are in a folder."""
        image = self.values.get("image", "")
        names = [str(Path(self.path).expanduser())] if self.path else []
        names += [str(folder / name) for name in self.uploads if not name.endswith(BESIDE)]
        return [f"{name}:{image}" if image else name for name in names]

    def result(self, folder: Path) -> str:
        """Where the results go: to the given place, or into a folder of the server."""
        if self.output:
            return str(Path(self.output).expanduser())
        path = Path(self.path).expanduser()
        several = bool(self.path) and (
            (path.is_dir() and path.suffix.lower() not in FOLDERS)
            or (not path.exists() and any(c in self.path for c in "*?["))
        )
        return str(folder) if several else str(folder / RESULTS[self.task])

    def words(self, inputs: Sequence[str], output: str, report: str) -> list[str]:
        """The command with its options; no value can be taken for another option."""
        given = [f"--output={output}", f"--report={report}"]
        for name, known in FIELDS.items():
            if name in self.values and self.task in known.tasks:
                value = self.values[name]
                given.append(known.option if known.flag else f"{known.option}={value}")
        if self.task == "phase":
            given += REFINE[self.values.get("refine", "")]
        model = [self.model] if self.task == "predict" else []
        return [self.task, *given, "--", *model, *inputs]


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str) or len(value) > LONGEST or not value.isprintable():
        raise InputError(f"{name}: a line of at most {LONGEST} characters is expected")
    return value.strip()


# The longest first: --flat is no part of another.
_LABELS = {f.option: f.label for f in FIELDS.values()}
_LABELS |= {"--refine": "Refine", "--no-refine": "Refine", "--report": "the report"}
_OPTIONS = "|".join(sorted(map(re.escape, _LABELS), key=len, reverse=True))
# A command that a message advises stays as it is, up to the end of its clause.
_OPTION = re.compile(rf"(mcnn-keras (?:(?!, |; ).)*)|'?({_OPTIONS})(?![\w-])'?")


def in_labels(text: str) -> str:
    """A message of the command line, with the labels of the page in place of options."""
    return _OPTION.sub(lambda found: found[1] or f"“{_LABELS[found[2]]}”", text)
