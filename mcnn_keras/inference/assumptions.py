"""Compare images with what a model assumes about them: pixels, planes, light and size."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..files.instrument import told_beside
from ..files.recording import Axis, pixel_length
from ..files.units import LENGTHS
from ..models import ModelCard, Planes
from ..physics.electrons import electron_energy
from ..physics.optics import Optics

# Numbers with a smaller relative difference are taken as equal.
TOLERANCE = 0.03
# Images this many times wider than the training samples may show objects wider than any of them.
WIDER = 1.5
COMPARED = ("wavelength", "pixel_size", "refractive_index", "spherical_aberration")


def compare_pixels(
    card: ModelCard, axes: Sequence[Axis], source: str | Path, say: Callable[[str], Any]
) -> None:
    """Warn if the pixel size differs from the training's; report the training's if it is unknown.

    Parameters
    ----------
    card : ModelCard
        Card of the model.
    axes : sequence of Axis
        Axes of height and width of the images.
    source : str or Path
        File of the images.
    say : callable
        Called with each line.

    Raises
    ------
    InputError
        If the card has a pixel size and the pixels of the images are not square.
    """
    wanted = card.pixel_size
    if wanted is None:
        return
    found = pixel_length(axes, "um")
    if found is None:
        say(f"{source} is taken as an image {_terms(card)}; for others: {training_command(card)}")
    elif abs(found / wanted - 1) > TOLERANCE:
        optics = card.config.get("optics")
        unit = optics["unit"] if optics else "um"
        found *= LENGTHS["um"] / LENGTHS[unit]
        command = training_command(card, {"pixel_size": found})
        say(
            f"Warning: the pixels of {source} are {found:g} {unit}, but the model was trained for "
            f"images {_terms(card)}; train a model for your images: {command}"
        )


def compare_sizes(
    card: ModelCard, axes: Sequence[Axis], source: str | Path, say: Callable[[str], Any]
) -> None:
    """Warn if objects may be larger than any that a phase model was trained on.

    Slow changes of phase hardly show in an image. The network adds them from its training, which
    contains no changes over more pixels than its samples have.

    Parameters
    ----------
    card, axes, source, say :
        As for `compare_pixels`.
    """
    size, largest = max(axis.size for axis in axes), card.largest_trained
    if isinstance(card.inputs, Planes) and size > WIDER * largest:
        say(
            f"Warning: {source} has {size} pixels, and the model was trained on {largest}: wider "
            f"objects come out too flat; for these: {training_command(card, image_size=size)}"
        )


def compare_text(card: ModelCard, name: str, say: Callable[[str], Any]) -> None:
    """Warn if a text file next to the images has other optics than the training, or faults.

    Parameters
    ----------
    card : ModelCard
        Card of the model.
    name : str
        File of the images.
    say : callable
        Called with each line.
    """
    if isinstance(card.inputs, Planes):
        told = told_beside(name, card.inputs.unit, strict=False)
        for line in (*told.faults, *told.notes):
            say(f"Warning: {line}")
        _compare(card, told.optics, told.optics_source, say)


def compare_optics(
    card: ModelCard, optics: Optics, source: str | Path, say: Callable[[str], Any]
) -> None:
    """Warn if a model was trained for other optics than those of a series.

    Parameters
    ----------
    card : ModelCard
        Card of a phase model.
    optics : Optics
        Optics of the series.
    source, say :
        As for `compare_pixels`.
    """
    given = optics.asdict()
    # Another unit raises an error elsewhere.
    if (card.config.get("optics") or {}).get("unit") == given["unit"]:
        _compare(card, given, source, say)


def _compare(
    card: ModelCard, given: Mapping[str, Any], source: str | Path, say: Callable[[str], Any]
) -> None:
    own = card.config.get("optics") or {}
    others = [
        n
        for n in COMPARED
        if n in given and n in own and abs(given[n] - own[n]) > TOLERANCE * abs(own[n])
    ]
    if others:
        told = ", ".join(f"{n.replace('_', ' ')} {given[n]:g}" for n in others)
        say(
            f"Warning: {source} has {told}, but the model was trained for images {_terms(card)}; "
            f"train a model for your images: {training_command(card, given)}"
        )


def training_command(
    card: ModelCard, others: Mapping[str, Any] | None = None, image_size: int | None = None
) -> str:
    """The command that trains a model like a card's, for other optics or larger images."""
    name, config = card.problem, card.config
    parts = [f"mcnn-keras train {name}"]
    if not config.get("optics"):
        return parts[0]
    optics = {**config["optics"], **(others or {})}
    parts += [f"--defocus {z:g}" for z in config["defocus"]]
    parts += ["--amplitude"] if config["amplitude"] else []
    parts += [f"--input {config['input']}"] if config["input"] != "physical" else []
    if optics["unit"] == "A":
        parts.append(f"--energy {electron_energy(optics['wavelength']):.6g}")
    else:
        parts.append(f"--wavelength {optics['wavelength']:g}")
    parts.append(f"--pixel-size {optics['pixel_size']:g}")
    # If no aperture is given, the command line has a default for light.
    aperture = optics["numerical_aperture"]
    if aperture is not None or optics["unit"] == "um":
        parts.append(f"--numerical-aperture {'none' if aperture is None else f'{aperture:g}'}")
    usual = {"refractive_index": 1.0, "coherence_angle": 0.0, "spherical_aberration": 0.0}
    parts += [
        f"--{option.replace('_', '-')} {optics[option]:g}"
        for option, value in usual.items()
        if optics[option] != value
    ]
    parts.append("--phase-span {:g} {:g}".format(*config["phase_span"]))
    # Networks with up to six scales need a multiple of 64 at most.
    size = card.training["image_size"] if image_size is None else -(-image_size // 64) * 64
    parts.append(f"--image-size {size}")
    return " ".join(parts)


def _terms(card: ModelCard) -> str:
    """The pixel size of a card's images, and the planes and wavelength if it has them."""
    config = card.config
    optics = config.get("optics")
    if optics is None:
        return f"of pixels of {card.pixel_size:g} um"
    unit = {"um": "um", "A": "Angstrom"}[optics["unit"]]
    planes = ", ".join(f"{z:g}" for z in config["defocus"])
    return (
        f"at {planes} {unit} from focus, of pixels of {optics['pixel_size']:g} {unit}, at a "
        f"wavelength of {optics['wavelength']:g} {unit}"
    )
