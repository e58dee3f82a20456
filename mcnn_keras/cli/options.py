"""Groups of options. Each is a dataclass: its fields define the options and hold their values.

`Options.attach` adds a group to a command; `Options.take` builds it from the command's values.
Options that were not given are None. So a contradiction, or the settings of a resumed run, can be
distinguished from a default. The help texts state the defaults.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import click

from .sections import SectionedOption
from .telling import telling
from .values import Aperture, Number

if TYPE_CHECKING:
    from ..physics.optics import Optics

T = TypeVar("T", bound="Options")
FORCE = "Treat as images what the file says is none: diffraction patterns, spectra, 4D-STEM."
AXES = (
    "A letter for each axis of a .npy, .h5 or .zarr array that states none: y and x for height and "
    "width, any others for what counts images, such as tyx or yxz.  [default: height and width are "
    "the last]"
)
METHODS = ("tie", "ctf", "mf-tie", "gp-tie", "iterative", "variational")


def option(*names: str, section: str = "", **settings: Any) -> Any:
    """A field of a group: the option's names, its heading and click's settings of it."""
    default: Any = () if settings.get("multiple") else False if settings.get("is_flag") else None
    metadata = {"names": names, "settings": settings, "section": section}
    return dataclasses.field(default=default, metadata=metadata)


# Of all commands that write.
OVERWRITE = "Replace files that are there; never those that the result is made from."
overwriting = click.option("--overwrite", is_flag=True, help=OVERWRITE)


@dataclass
class Options:
    """A group of options; `section` is their heading in the help, see `sections`."""

    section: ClassVar[str] = "Problem"

    @classmethod
    def attach(cls, command: Callable) -> Callable:
        """Decorate a command with the group's options, in the order of the fields."""
        for f in reversed(dataclasses.fields(cls)):
            settings = dict(f.metadata["settings"])
            if not settings.get("required"):  # with any default, even None, click requires nothing
                settings.setdefault("default", f.default)
            command = click.option(
                *f.metadata["names"], f.name, cls=SectionedOption,
                section=f.metadata["section"] or cls._heading(f.name), **settings,
            )(command)  # fmt: skip
        return command

    @classmethod
    def _heading(cls, name: str) -> str:
        """The heading of the group that defines a field."""
        owner = next(c for c in cls.__mro__ if name in vars(c).get("__annotations__", {}))
        return vars(owner).get("section", Options.section)

    @classmethod
    def take(cls: type[T], values: dict[str, Any]) -> T:
        """The group that a command received; takes its values out of the dictionary."""
        return cls(**{f.name: values.pop(f.name) for f in dataclasses.fields(cls)})

    def given(self) -> dict[str, Any]:
        """The values that were given, by name."""
        return {
            f.name: value
            for f in dataclasses.fields(self)
            if (value := getattr(self, f.name)) != f.default
        }


@dataclass
class OpticsOptions(Options):
    """The instrument: the arguments of `mcnn_keras.Optics`."""

    section = "Optics"

    wavelength: float | None = option(
        "--wavelength", type=float, help="Wavelength of the light, um."
    )
    pixel_size: float | None = option(
        "--pixel-size",
        type=Number("um (Angstrom with --energy)", "0.31"),
        help="Pixel size in the object, um (Angstrom with --energy).",
    )
    numerical_aperture: float | None = option(
        "--numerical-aperture", type=Aperture(), metavar="NA",
        help="Numerical aperture of the objective, or 'none'; with --energy the half-angle of its "
        "aperture, rad.",
    )  # fmt: skip
    refractive_index: float | None = option(
        "--refractive-index", type=float, help="Refractive index of the medium.  [default: 1]"
    )
    coherence_angle: float | None = option(
        "--coherence-angle", type=float,
        help="Half-angle of the illumination at 1/e of its brightness, rad.  [default: 0]",
    )  # fmt: skip
    energy: float | None = option(
        "--energy", type=Number("eV", "300e3"), metavar="EV",
        is_eager=True,  # before --defocus, whose text files are read in its unit
        help="Electrons of this energy instead of light; all lengths are then in Angstrom.",
    )  # fmt: skip
    spherical_aberration: float | None = option(
        "--spherical-aberration", type=float,
        help="Spherical aberration of the lens, um, or Angstrom with --energy (1.2 mm is 1.2e7).  "
        "[default: 0]",
    )  # fmt: skip

    def __post_init__(self) -> None:
        if self.energy is not None and self.wavelength is not None:
            raise click.UsageError(
                "--energy and --wavelength both set the wavelength; give --energy for electrons or "
                "--wavelength for light"
            )
        if self.energy is not None and self.refractive_index not in (None, 1.0):
            raise click.UsageError("electrons travel in vacuum; leave --refractive-index out")

    @property
    def unit(self) -> str:
        """The unit of all lengths."""
        return "um" if self.energy is None else "A"

    def changes(self) -> dict[str, Any]:
        """The arguments of `Optics` that were given; an energy is converted to a wavelength."""
        own = {f.name for f in dataclasses.fields(OpticsOptions)}
        found = {name: value for name, value in self.given().items() if name in own}
        if found.get("numerical_aperture") == float("inf"):
            found["numerical_aperture"] = None
        if "energy" in found:
            from ..physics.electrons import electron_wavelength

            energy = found.pop("energy")
            if not energy > 0:
                raise click.UsageError(f"--energy {energy:g} is not positive; give it in eV")
            found |= {"wavelength": electron_wavelength(energy), "unit": "A"}
            found.setdefault("numerical_aperture", None)
            if energy < 1000:
                telling().warn(
                    f"--energy {energy:g} is {energy:g} eV, and electron microscopes have 1e3 to "
                    f"1e6; for {energy:g} keV give --energy {energy:g}e3"
                )
        return found

    def for_training(self) -> Optics:
        """The optics to train for; by default light of 0.65 um and pixels of 0.31 um."""
        from ..physics.optics import Optics

        if self.energy is not None and self.pixel_size is None:
            raise click.UsageError("--energy needs --pixel-size, in Angstrom")
        return Optics(**self.changes())

    def missing(self, told: dict[str, Any]) -> str:
        """What is needed of a measurement's optics and not known, in one line; "" for nothing.

        Parameters
        ----------
        told : dict
            Values that options or files state, by the names of `mcnn_keras.Optics`.
        """
        given = {**told, **self.given()}
        ways = {"pixel_size": ("pixel size", "--pixel-size")}
        if self.energy is None:
            ways = {"wavelength": ("wavelength", "--wavelength (or --energy)"), **ways}
        lacking = [way for name, way in ways.items() if name not in given]
        if not lacking:
            return ""
        names, options = (" and ".join(words) for words in zip(*lacking, strict=True))
        return (
            f"the {names} {'is' if len(lacking) == 1 else 'are'} not known: neither in the file, "
            f"nor in a .json file next to it, nor given as an option; give {options}"
        )

    def for_measurement(
        self, told: dict[str, float], sources: dict[str, str], force: bool = False
    ) -> Optics:
        """The optics of a measurement: the given options, else values from its files; no guesses.

        Parameters
        ----------
        told : dict
            Values from the files, in the unit of length.
        sources : dict of str
            What states each of them, for messages.
        force : bool
            Take implausible values, too.
        """
        from ..physics.optics import Optics

        found = self.changes()
        for name, value in told.items():
            option_name = "--" + name.replace("_", "-")
            shown = "A" if self.unit == "A" else "um"
            unit = f" {shown}" if name in ("wavelength", "pixel_size") else ""
            if name == "wavelength" and self.energy is not None:
                continue
            if name not in found:
                found[name] = value
                telling().done(f"{name.replace('_', ' ')} {value:g}{unit} (from {sources[name]})")
            elif found[name] is not None and abs(value - found[name]) > 0.03 * abs(value):
                telling().warn(
                    f"{option_name} {found[name]:g}{unit} is used, though {sources[name]} says "
                    f"{value:g}"
                )
        missing = self.missing(found)
        if missing:
            raise click.UsageError(missing)
        with warnings.catch_warnings(record=True) as doubts:
            warnings.simplefilter("always")
            optics = Optics(**{"numerical_aperture": None, "unit": self.unit, **found})
        if doubts and not force:
            raise click.UsageError(
                f"{doubts[0].message}; a result would mean nothing. If the value is right, add "
                "--force"
            )
        return optics


class PlaneList(click.ParamType):
    """Planes: a number, numbers with commas, START:STOP:STEP, or a text file with numbers."""

    name = "planes"

    def convert(self, value: Any, param: Any, context: Any) -> tuple[float, ...]:
        """The numbers; a range includes its end."""
        if isinstance(value, tuple):
            return value
        try:
            if ":" in value:
                return _stepped(*map(float, value.split(":")))
            return tuple(float(part) for part in value.split(","))
        except (TypeError, ValueError):
            pass
        from ..errors import InputError
        from ..files.instrument import read_instrument

        if Path(value).is_file():
            unit = "um" if context is None or context.params.get("energy") is None else "A"
            try:
                found = read_instrument(Path(value), unit).defocus
            except InputError as error:
                self.fail(str(error), param, context)
            if found:
                return found
        self.fail(
            f"{value!r} is not a list of planes; give -108, or -52,52, or -4:4:0.5 (start, stop, "
            "step), or a text file with a number for each image", param, context,
        )  # fmt: skip


def _stepped(start: float, stop: float, step: float) -> tuple[float, ...]:
    count = (stop - start) / step if step else -1.0
    if not 0 <= count < 10000 or abs(count - round(count)) > 1e-6:
        raise ValueError
    return tuple(round(start + i * step, 9) for i in range(round(count) + 1))


def joined(parts: Iterable[tuple[float, ...]]) -> tuple[float, ...]:
    """All planes of a repeated option."""
    return tuple(z for part in parts for z in part)


@dataclass
class SeriesOptions(Options):
    """The images of a focal series and their planes."""

    defocus: tuple[Any, ...] = option(
        "--defocus", type=PlaneList(), multiple=True, metavar="UM",
        help="Signed distances of the images from focus, positive downstream, in the order of the "
        "images, or, with --frames, in its order: repeat the option, or give -52,52, or -4:4:0.5 "
        "(start, stop, step), or a text file.  [default: from the file, or from a text file next "
        "to it]",
    )  # fmt: skip
    focus: str | None = option(
        "--focus", metavar="INDEX|auto",
        help="Which image is in focus, counted from 0; planes are distances from it. 'auto' takes "
        "the plane of least contrast, for phase objects.  [default: the plane at 0]",
    )  # fmt: skip
    frames: str | None = option(
        "--frames", metavar="I,J,...",
        help="Which images of the input to use, counted from 0. As many values of --defocus are "
        "the planes of these images in this order; planes from files stay with their images.  "
        "[default: all]",
    )  # fmt: skip
    axes: str | None = option("--axes", metavar="LETTERS", help=AXES)
    flip_defocus: bool = option(
        "--flip-defocus", is_flag=True,
        help="Count the planes the other way: positive upstream. A phase with the wrong sign "
        "comes out negative.",
    )  # fmt: skip
    register: bool = option(
        "--register", is_flag=True,
        help="Correct the shift and magnification of the images with focus, and print them; needs "
        "at least four planes.",
    )  # fmt: skip
    flat: str | None = option(
        "--flat", type=click.Path(), help="An image without the object; images are divided by it."
    )
    background: str | None = option(
        "--background", type=click.Path(), help="An image without light; it is subtracted."
    )

    force: bool = option("--force", is_flag=True, help=FORCE)

    def __post_init__(self) -> None:
        self.defocus = joined(self.defocus)
        if self.focus not in (None, "auto") and not str(self.focus).isdigit():
            raise click.UsageError(
                f"--focus {self.focus!r} is not the number of an image; give a number, counted "
                "from 0, or auto"
            )


def frame_numbers(text: str | None) -> list[int] | None:
    """The numbers of --frames."""
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise click.UsageError(
            f"--frames {text!r} is not a list of numbers; give for example --frames 4,16"
        ) from None


@dataclass
class SampleOptions(Options):
    """The samples of a stream."""

    section = "Samples"

    image_size: int | None = option(
        "--image-size", type=int, help="Height and width in pixels; a multiple of 64, of 128 "
        "with --preset paper.",
    )  # fmt: skip
    seed: int | None = option("--seed", type=int, help="[default: 0]")


@dataclass
class PictureOptions(Options):
    """The target pictures."""

    section = "Samples"

    pictures: str | None = option(
        "--pictures", "--images", type=click.Path(), metavar="DIR",
        help="Folder of target pictures, instead of the bundled ones.",
    )  # fmt: skip
