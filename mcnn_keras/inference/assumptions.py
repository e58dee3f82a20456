"""What a model takes for granted of the images that it is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..files.instrument import told_beside
from ..files.recording import LENGTHS, Axis, pixel_length
from ..models import ModelCard, Planes
from ..physics.electrons import electron_energy
from ..physics.optics import Optics

# Numbers that differ by less than this part are the same.
TOLERANCE = 0.03
# Images so many times wider than the samples of training may show objects that none of these did.
WIDER = 1.5
COMPARED = ("wavelength", "pixel_size", "refractive_index", "spherical_aberration")


def compare_pixels(
    card: ModelCard, axes: Sequence[Axis], source: str | Path, say: Callable[[str], Any]
) -> None:
    """Tell what pixels, planes and light a model was trained for, where images may have others.

    Parameters
    ----------
    card : ModelCard
        Of the model.
    axes : sequence of Axis
        Of the images' height and width.
    source : str or Path
        Of the images.
    say : callable
        Takes a line.

    Raises
    ------
    InputError
        If the model knows its pixels, and those of the images are not square.
    """
    wanted = card.pixel_size
    if wanted is None:
        return
    found = pixel_length(axes, "um")
    if found is None:
        say(f"{source} is taken for an image {_terms(card)}; for others: {training_command(card)}")
    elif abs(found / wanted - 1) > TOLERANCE:
        optics = card.config.get("optics")
        unit = optics["unit"] if optics else "um"
        found *= LENGTHS["um"] / LENGTHS[unit]
        command = training_command(card, {"pixel_size": found})
        say(
            f"Warning: the pixels of {source} are {found:g} {unit}, but the model was trained for "
            f"images {_terms(card)}; train one for yours: {command}"
        )


def compare_sizes(
    card: ModelCard, axes: Sequence[Axis], source: str | Path, say: Callable[[str], Any]
) -> None:
    """Tell where objects may be larger than any that a model of phases was trained on.

    Slow changes of phase hardly show in an image, and a network adds what it has learned of them:
    of changes over more pixels than its samples had it has learned nothing.

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
    """Tell where a text file beside the images names other optics than those of the training.

    Parameters
    ----------
    card : ModelCard
        Of the model.
    name : str
        Of the images.
    say : callable
        Takes a line.
    """
    if isinstance(card.inputs, Planes):
        told = told_beside(name, card.inputs.unit, strict=False)
        _compare(card, told.optics, told.source, say)


def compare_optics(
    card: ModelCard, optics: Optics, source: str | Path, say: Callable[[str], Any]
) -> None:
    """Tell where a model was trained for other optics than those of a series.

    Parameters
    ----------
    card : ModelCard
        Of a model for phases.
    optics : Optics
        Of the series.
    source, say :
        As for `compare_pixels`.
    """
    given = optics.asdict()
    if (card.config.get("optics") or {}).get("unit") == given[
        "unit"
    ]:  # others are refused elsewhere
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
            f"train one for yours: {training_command(card, given)}"
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
    # Without a word the command line takes an aperture of its own for light.
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
    # Of six scales and less, a multiple of 64 is one of what they need.
    size = card.training["image_size"] if image_size is None else -(-image_size // 64) * 64
    parts.append(f"--image-size {size}")
    return " ".join(parts)


def _terms(card: ModelCard) -> str:
    """The pixels of a card's images, and the planes and light where it knows them."""
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
