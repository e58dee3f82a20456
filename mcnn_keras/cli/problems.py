"""Options of each problem, and the problem that they describe.

`ProblemOptions.arguments` returns the arguments of the problem's constructor that were given. A
resumed run takes the others from its configuration, a new one from the problem's own defaults.
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
    RangeOptions,
    joined,
    option,
)

# The model of any planes, from which the training for given ones starts; and options that ask for
# another network than its.
GENERAL = RECIPES["given_planes"]["start"]
NETWORK = ("preset", "branches", "cell", "normalization", "growing")


@dataclass
class ProblemOptions(Options):
    """Options of a problem; `name` is the problem's."""

    name = ""

    def begin(self, settings: dict[str, Any]) -> list[str]:
        """Choose what a new run's settings leave open; lines that tell it."""
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
class PhaseOptions(RangeOptions, PictureOptions, OpticsOptions, ProblemOptions):
    """Phase retrieval."""

    name = "phase"
    defocus: tuple[Any, ...] = option(
        "--defocus", type=PlaneList(), multiple=True, metavar="UM",
        help="Signed distance of a plane from focus, um, positive downstream; once per plane, or "
        "-52,52, or -4:4:0.5 (start, stop, step).",
    )  # fmt: skip
    planes: str | None = option(
        "--planes", type=click.Choice(["2", "4", "8", "10", "32"]),
        help="Instead of --defocus: so many of the paper's exponentially spaced planes for light, "
        "whose networks have --cell resnext --branches 3.",
    )  # fmt: skip
    amplitude: bool = option("--amplitude", is_flag=True, help="Retrieve the amplitude, too.")
    input: str | None = option(
        "--input", type=click.Choice(["estimates", "physical", "intensity"]),
        help="Give the network what the model of any planes is given; or the intensities and "
        "classical estimates of the wave at focus; or the intensities alone.  [default: estimates "
        "where the training starts from that model, else physical]",
    )  # fmt: skip
    phase_span: tuple[float, float] | None = option(
        "--phase-span", type=float, nargs=2, metavar="LOW HIGH",
        help="Size of the phases to train on, lowest to highest, rad.  [default: 0.2 3]",
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        self.defocus = joined(self.defocus)
        if self.planes is not None and self.defocus:
            raise click.UsageError("--planes and --defocus name the planes twice; give one of them")
        if self.planes is not None and self.energy is not None:
            raise click.UsageError(
                "--planes are distances in um, of light; give --defocus in Angstrom with --energy"
            )

    def begin(self, settings: dict[str, Any]) -> list[str]:
        """Whether to start from the model of any planes, with its input."""
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
            f"the training starts from the model {GENERAL}, which knows any planes; --start none "
            "starts from random weights"
        ]

    def arguments(self, started: dict[str, Any] | None = None) -> dict[str, Any]:
        """Planes, optics and the rest, as far as they were given."""
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
        help="Of the first N samples every second one is a photograph.  [default: a quarter of "
        "all samples]",
    )  # fmt: skip
    first_layer: str | None = option(
        "--first-layer",
        type=click.Choice(["spectral-series", "spectral-wiener", "low-pass", "none"]),
        help="What the network is given beside the frame: the mean over the frames of a movie, and "
        "both filtered by their own spectra; the frame alone, filtered; four blurred copies; or "
        "nothing.  [default: spectral-series; with --window 1 spectral-wiener]",
    )  # fmt: skip
    window: int | None = option(
        "--window", type=int, metavar="N",
        help="Frames of a movie that the network sees, odd: two before and two after the one that "
        "it answers; 1 for single frames.  [default: 5]",
    )  # fmt: skip

    def arguments(self, started: dict[str, Any] | None = None) -> dict[str, Any]:
        """Photographs, window and channels, as far as they were given."""
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
        help="Standard deviation of the noise on the Laplacian of a picture of 0..1.  "
        "[default: 0.01]",
    )  # fmt: skip
    boundary: str | None = option(
        "--boundary", type=click.Choice(["zero", "open"]),
        help="Beyond the picture: nothing, or more of it, so that its mean is lost.  "
        "[default: zero]",
    )  # fmt: skip


@dataclass
class ReflectionOptions(RangeOptions, PictureOptions, ProblemOptions):
    """Light of a screen on a wall."""

    name = "reflection"
    distance: float | None = option(
        "--distance", type=float, help="Of the wall, m.  [default: 0.3]"
    )
    screen_width: float | None = option(
        "--screen-width", type=float, help="Of a 16:9 screen, m.  [default: 0.33]"
    )

    def arguments(self, started: dict[str, Any] | None = None) -> dict[str, Any]:
        """The scene, as far as it was given."""
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
        help="Folder of images, or file.h5:/dataset of them.",
    )  # fmt: skip
    targets: str | None = option(
        "--targets", type=click.Path(), metavar="DIR",
        help="Folder of their targets, by the same names, or file.h5:/dataset.",
    )  # fmt: skip
    whole: bool = option(
        "--whole", is_flag=True,
        help="Learn from whole images, all of one size, rather than from windows of --image-size.",
    )  # fmt: skip

    def arguments(self, started: dict[str, Any] | None = None) -> dict[str, Any]:
        """Where the pairs are; both folders must be named for a new run."""
        if started is None and (self.inputs is None or self.targets is None):
            missing = "--inputs" if self.inputs is None else "--targets"
            raise click.UsageError(
                f"{missing} is missing; name the folder of images and of targets"
            )
        return self.given()


@dataclass
class AnyOptions(ProblemOptions):
    """A problem that brings no options of its own."""

    settings: tuple[str, ...] = option(
        "--set", multiple=True, metavar="NAME=VALUE",
        help="An argument of the problem, its value as JSON or plain text; once for each.",
    )  # fmt: skip

    def arguments(self, started: dict[str, Any] | None = None) -> dict[str, Any]:
        """The arguments by name."""
        found: dict[str, Any] = {}
        for text in self.settings:
            key, mark, value = text.partition("=")
            if not mark:
                raise click.UsageError(
                    f"--set {text!r} is not NAME=VALUE; write for example --set blur=3"
                )
            try:
                found[key] = json.loads(value)
            except ValueError:
                found[key] = value
        return found


# Those that have options of their own; all others are made with --set.
OPTIONS: dict[str, type[ProblemOptions]] = {
    cls.name: cls
    for cls in (PhaseOptions, DenoiseOptions, LaplacianOptions, ReflectionOptions, PairedOptions)
}


def others() -> dict[str, str]:
    """Problems without options of their own, and where they come from."""
    from ..problems import names, offered

    found = {name: "this package" for name in names() if name not in OPTIONS}
    return {**found, **{name: point.value for name, point in offered().items()}}


class Problems(click.Group):
    """The commands of this package's problems, and one for each other problem that is found."""

    make: Callable[[str], click.Command]

    def any_problem(self, make: Callable[[str], click.Command]) -> Callable[[str], click.Command]:
        """Decorate the function that makes the command of a problem without options of its own."""
        self.make = make
        return make

    def list_commands(self, context: click.Context) -> list[str]:
        """Their names."""
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
        Of the problem, the command's.
    options : ProblemOptions
    started : dict, optional
        The configuration of a run that is resumed, where options leave something out.
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
