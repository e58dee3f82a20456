"""Options of each problem, and the problem that they describe.

`ProblemOptions.arguments` returns the given arguments of the problem's constructor. A resumed run
takes the others from its configuration, a new run from the problem's defaults.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from ..problems.recipes import RECIPES
from .options import (
    OpticsOptions,
    Options,
    PictureOptions,
    PlaneList,
    joined,
    option,
)
from .sections import SectionedCommand

# The model for any planes, from which the training for given planes starts; and the options that
# select a different network.
GENERAL = RECIPES["given_planes"]["start"]
NETWORK = ("preset", "branches", "cell", "normalization", "growing")


@dataclass
class ProblemOptions(Options):
    """Options of a problem; `name` is the problem's name."""

    name = ""

    def begin(self, settings: dict[str, Any]) -> list[str]:
        """Choose what the settings of a new run leave open; returns lines that report it."""
        return []

    def arguments(self, started: dict[str, Any] | None = None) -> dict[str, Any]:
        """Arguments of the constructor that were given.

        Parameters
        ----------
        started : dict, optional
            The configuration of a run that is resumed.
        """
        return self.given()


@dataclass
class RangeOptions(Options):
    """The quantities that vary between samples."""

    section = "Samples"

    ranges: tuple[tuple[str, float, float], ...] = option(
        "--range", type=(str, float, float), multiple=True, metavar="NAME LOW HIGH",
        help="Limits of a quantity that varies between samples; `mcnn-keras info MODEL` lists the "
        "names and limits of a model.",
    )  # fmt: skip

    def changes_of_ranges(self) -> dict[str, list[float]]:
        """The ranges that were given, by name."""
        return {name: [low, high] for name, low, high in self.ranges}


@dataclass
class PhaseOptions(RangeOptions, PictureOptions, OpticsOptions, ProblemOptions):
    """Phase retrieval."""

    name = "phase"
    defocus: tuple[Any, ...] = option(
        "--defocus", type=PlaneList(), multiple=True, metavar="UM",
        help="Signed distance of a plane from focus, um, positive downstream; repeat for each "
        "plane, or give -52,52, or -4:4:0.5 (start, stop, step).",
    )  # fmt: skip
    planes: str | None = option(
        "--planes", type=click.Choice(["2", "4", "8", "10", "32"]),
        help="Instead of --defocus: this number of the paper's exponentially spaced planes, for "
        "light. The paper's networks for them have --cell resnext --branches 3.",
    )  # fmt: skip
    amplitude: bool = option("--amplitude", is_flag=True, help="Also retrieve the amplitude.")
    input: str | None = option(
        "--input", type=click.Choice(["estimates", "physical", "intensity"]),
        help="Input channels of the network. estimates: as for the model for any planes; physical: "
        "intensities and classical estimates of the wave at focus; intensity: intensities only.  "
        "[default: estimates if the training starts from that model, else physical]",
    )  # fmt: skip
    phase_span: tuple[float, float] | None = option(
        "--phase-span", type=float, nargs=2, metavar="LOW HIGH",
        help="Range of the phase spans to train on, rad.  [default: 0.2 3]",
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        self.defocus = joined(self.defocus)
        if self.planes is not None and self.defocus:
            raise click.UsageError("--planes and --defocus both set the planes; give one of them")
        if self.planes is not None and self.energy is not None:
            raise click.UsageError(
                "--planes is for light (um) and --energy for electrons; give --defocus in Angstrom"
            )

    def begin(self, settings: dict[str, Any]) -> list[str]:
        """Choose whether to start from the model for any planes, with its input channels."""
        if self.input is not None:
            return []
        from ..inference.any_planes import outside
        from ..models.saving import read_card

        if "start" in settings:
            known = settings["start"] and read_card(settings["start"]).channels
            if not known or known["name"] != "wave_estimates":
                self.input = "physical"
            return []
        own = [f"--{n} is given" for n in NETWORK if settings.get(n) is not None]
        own += ["--planes is given"] if self.planes else []
        given = self.arguments()
        if given["defocus"]:
            own += outside(read_card(GENERAL), given["defocus"], given["optics"])
        if own:
            self.input = "physical"
            return [f"{own[0]}: the training starts from random weights"]
        return [
            f"the training starts from the model {GENERAL}, which takes any planes; --start none "
            "starts from random weights"
        ]

    def arguments(self, started: dict[str, Any] | None = None) -> dict[str, Any]:
        """The given planes, optics and other options."""
        from ..focal_series.series import exponential_planes

        found: dict[str, Any] = {"defocus": list(self.defocus)} if self.defocus else {}
        if self.planes is not None:
            found["defocus"] = exponential_planes(int(self.planes))
        if started is None:
            found["optics"] = self.for_training()
            found.setdefault("defocus", [])
        elif self.changes():
            found["optics"] = {**started["optics"], **self.changes()}
        for name in ("amplitude", "input", "phase_span", "pictures"):
            if name in self.given():
                found[name] = getattr(self, name)
        return found


@dataclass
class DenoiseOptions(RangeOptions, PictureOptions, ProblemOptions):
    """Denoising."""

    name = "denoise"
    photographs: int | None = option(
        "--photographs", type=int, metavar="N",
        help="Every second one of the first N samples is a photograph.  [default: a quarter of all "
        "samples]",
    )  # fmt: skip
    first_layer: str | None = option(
        "--first-layer",
        type=click.Choice(["spectral-series", "spectral-wiener", "low-pass", "none"]),
        help="Input channels in addition to the frame. spectral-series: the mean of the movie's "
        "frames, and frame and mean filtered by their own spectra; spectral-wiener: the filtered "
        "frame; low-pass: four blurred copies.  [default: spectral-series; with --window 1 "
        "spectral-wiener]",
    )  # fmt: skip
    window: int | None = option(
        "--window", type=int, metavar="N",
        help="Number of movie frames that the network sees, odd; 5: the frame to denoise, two "
        "before and two after it; 1: single frames.  [default: 5]",
    )  # fmt: skip

    def arguments(self, started: dict[str, Any] | None = None) -> dict[str, Any]:
        """The given photographs, window and channels."""
        own = ("photographs", "pictures", "window")
        found = {n: v for n, v in self.given().items() if n in own}
        if self.first_layer is not None:
            none = self.first_layer == "none"
            found["channels"] = None if none else self.first_layer.replace("-", "_")
        return found


@dataclass
class LaplacianOptions(PictureOptions, ProblemOptions):
    """The tutorial problem."""

    name = "laplacian"
    noise: float | None = option(
        "--noise", type=float,
        help="Standard deviation of the noise on the Laplacian of a picture with values in 0..1.  "
        "[default: 0.01]",
    )  # fmt: skip
    boundary: str | None = option(
        "--boundary", type=click.Choice(["zero", "open"]),
        help="Outside the picture: zero, or more of the picture (open), which loses its mean.  "
        "[default: zero]",
    )  # fmt: skip


@dataclass
class ReflectionOptions(RangeOptions, PictureOptions, ProblemOptions):
    """The light of a screen on a wall."""

    name = "reflection"
    distance: float | None = option(
        "--distance", type=float, help="Distance of the wall, m.  [default: 0.3]"
    )
    screen_width: float | None = option(
        "--screen-width", type=float, help="Width of a 16:9 screen, m.  [default: 0.33]"
    )

    def arguments(self, started: dict[str, Any] | None = None) -> dict[str, Any]:
        """The given parameters of the scene."""
        scene: dict[str, Any] = {}
        if self.distance is not None:
            scene["distance"] = self.distance
        if self.screen_width is not None:
            scene |= {"width": self.screen_width, "height": self.screen_width * 9 / 16}
        found: dict[str, Any] = {} if self.pictures is None else {"pictures": self.pictures}
        if scene:
            found["scene"] = {**(started or {}).get("scene", {}), **scene}
        return found


@dataclass
class PairedOptions(ProblemOptions):
    """Measured pairs."""

    name = "paired"
    inputs: str | None = option(
        "--inputs", type=click.Path(), metavar="DIR",
        help="Folder of images, or file.h5:/dataset.",
    )  # fmt: skip
    targets: str | None = option(
        "--targets", type=click.Path(), metavar="DIR",
        help="Folder of their targets, with the same names, or file.h5:/dataset.",
    )  # fmt: skip
    whole: bool = option(
        "--whole", is_flag=True,
        help="Train on whole images, all of one size, instead of windows of --image-size.",
    )  # fmt: skip

    def arguments(self, started: dict[str, Any] | None = None) -> dict[str, Any]:
        """The given options; a new run needs both folders."""
        if started is None and (self.inputs is None or self.targets is None):
            missing = "--inputs" if self.inputs is None else "--targets"
            raise click.UsageError(f"{missing} is missing; give the folders of images and targets")
        return self.given()


@dataclass
class AnyOptions(ProblemOptions):
    """A problem without options of its own."""

    settings: tuple[str, ...] = option(
        "--set", multiple=True, metavar="NAME=VALUE",
        help="An argument of the problem, its value as JSON or plain text; repeat for several.",
    )  # fmt: skip

    def arguments(self, started: dict[str, Any] | None = None) -> dict[str, Any]:
        """The arguments by name."""
        found: dict[str, Any] = {}
        for text in self.settings:
            key, mark, value = text.partition("=")
            if not mark:
                raise click.UsageError(
                    f"--set {text!r} is not NAME=VALUE; give for example --set blur=3"
                )
            try:
                found[key] = json.loads(value)
            except ValueError:
                found[key] = value
        return found


# Problems with options of their own; all others take --set.
OPTIONS: dict[str, type[ProblemOptions]] = {
    cls.name: cls
    for cls in (PhaseOptions, DenoiseOptions, LaplacianOptions, ReflectionOptions, PairedOptions)
}


def others() -> dict[str, str]:
    """Problems without options of their own, and the package of each."""
    from ..problems import names, offered

    found = {name: "this package" for name in names() if name not in OPTIONS}
    return {**found, **{name: point.value for name, point in offered().items()}}


class Problems(click.Group):
    """The commands of this package's problems, and one for each problem of other packages."""

    command_class = SectionedCommand
    make: Callable[[str], click.Command]

    def any_problem(self, make: Callable[[str], click.Command]) -> Callable[[str], click.Command]:
        """Decorate the function that makes the command of a problem without its own options."""
        self.make = make
        return make

    def list_commands(self, context: click.Context) -> list[str]:
        """The names of the commands."""
        return [*super().list_commands(context), *sorted(others())]

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """The command of one problem."""
        own = super().get_command(context, name)
        return own or (self.make(name) if name in others() else None)


def described(name: str, options: ProblemOptions, started: dict[str, Any] | None = None) -> Any:
    """The problem that options describe.

    Parameters
    ----------
    name : str
        Name of the problem.
    options : ProblemOptions
    started : dict, optional
        The configuration of a run that is resumed, for options that were not given.
    """
    from ..problems import from_config, make

    arguments = options.arguments(started)
    ranges = options.changes_of_ranges() if isinstance(options, RangeOptions) else {}
    if started is None:
        if ranges:
            arguments["ranges"] = ranges
        return make(name, **arguments)
    config = {**started, **arguments}
    if ranges:
        config["ranges"] = {**started.get("ranges", {}), **ranges}
    return from_config(name, config)
