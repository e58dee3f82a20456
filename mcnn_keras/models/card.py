"""The card of a model: its input, its output, and how it was made. Checked when it is read.

problem -> ModelCard -> JSON in the model's file -> ModelCard -> prediction, evaluation, reports
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from .. import checks
from ..channels import IN_PLACE
from ..errors import InputError, NewerFormat, reason
from . import normalization as normalizations
from .normalization import Normalization
from .schema import ROLES, check_card

FORMAT = 2
# Size of the tiles of a field that is normalised as a whole, in pixels, without halos.
TILE = 1024
# Overlap of neighbouring tiles that have their own scales, in pixels.
OVERLAP = 16


@dataclass(frozen=True)
class Planes:
    """Images of one object, each at its distance from focus.

    Parameters
    ----------
    defocus : tuple of float
        Defocus of each image, positive downstream, in the network's order.
    tolerance : tuple of float
        Largest distance of a measured plane from each of these: the focus error of the training.
    unit : {'um', 'A'}
        Unit of all lengths.
    """

    kind: ClassVar[str] = "planes"
    defocus: tuple[float, ...]
    tolerance: tuple[float, ...]
    unit: str = "um"

    def __post_init__(self) -> None:
        object.__setattr__(self, "defocus", tuple(float(z) for z in self.defocus))
        object.__setattr__(self, "tolerance", tuple(float(t) for t in self.tolerance))
        if len(self.defocus) != len(self.tolerance) or not self.defocus:
            raise ValueError("each plane of a card needs a tolerance")
        if self.unit not in ("um", "A"):
            raise ValueError(f"a card's unit of length is 'um' or 'A', not {self.unit!r}")

    @property
    def count(self) -> int:
        """The number of images."""
        return len(self.defocus)


@dataclass(frozen=True)
class AnyPlanes:
    """Images of one object at any planes, in any order; prediction needs the planes and optics.

    Parameters
    ----------
    most : int
        The largest number of planes in training.
    """

    kind: ClassVar[str] = "any_planes"
    most: int = 32

    @property
    def count(self) -> int:
        """The least number of images."""
        return 1


@dataclass(frozen=True)
class Channels:
    """The channels of one image: a grey one, the colours of a picture, or any others."""

    kind: ClassVar[str] = "channels"
    count: int = 1


@dataclass(frozen=True)
class Frames:
    """A frame with one channel; with a `window` above one, the network also sees its neighbours.

    The result is for the middle frame. Neighbours that do not exist are missing (NaN).
    """

    kind: ClassVar[str] = "frames"
    window: int = 1

    @property
    def count(self) -> int:
        """The number of images of a measurement; neighbours come from its series."""
        return 1


Inputs = Planes | AnyPlanes | Channels | Frames
INPUTS: dict[str, Any] = {cls.kind: cls for cls in (Planes, AnyPlanes, Channels, Frames)}
# Conditions that may be left out: without an aperture all waves pass.
OPTIONAL = ("numerical_aperture",)


@dataclass(frozen=True)
class Output:
    """One channel of the result.

    Parameters
    ----------
    name : str
    unit : str
        'rad' for a phase, '' without a unit.
    role : {'phase', 'amplitude', 'image', 'colour', 'value'}
        How the program treats it: colours are shown together, an image has the input's unit.
    """

    name: str
    unit: str = ""
    role: str = "value"

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise ValueError(f"role={self.role!r} is not known; choose from {', '.join(ROLES)}")


@dataclass(frozen=True)
class Tile:
    """The tiles of images that are larger than a network takes at once.

    Parameters
    ----------
    size : int
        Height and width of a tile, without its halo.
    overlap : int or None
        Width of the halo of each tile in pixels, or overlap of two tiles with their own scales.
        None if the network's layers do not determine it; it is then measured when needed.
    """

    size: int = TILE
    overlap: int | None = None


@dataclass
class ModelCard:
    """The description of a model, stored in its file.

    Attributes
    ----------
    problem : str
        The problem's name.
    config : dict
        The problem's arguments, including its ranges.
    inputs : Planes, AnyPlanes, Channels or Frames
        The kind of measurement.
    outputs : tuple of Output
        Description of each channel of the result.
    normalization : Normalization
        Normalisation between measurements and the network.
    network : dict
        Arguments of `mcnn_keras.MCNN`.
    training : dict
        Settings of the run; ``image_size`` is always included.
    channels : dict or None
        Name and arguments of the fixed channels in addition to the image, see
        `mcnn_keras.channels`.
    conditions : dict
        Acquisition parameters by name: the number that all samples shared, or None if it varied
        and must be given for prediction.
    tile : Tile
    pixel_size : float or None
        Pixel size of the images that the model was trained for, in um.
    calibration : dict
        The uncertainty of the results, if it is known.
    metrics : dict
        Measured quality of the model.
    versions : dict
        Versions of the packages that made it.
    created, command, description : str
        When and how it was made; a line for lists.
    """

    problem: str
    config: dict[str, Any]
    inputs: Inputs
    outputs: tuple[Output, ...]
    normalization: Normalization
    network: dict[str, Any]
    training: dict[str, Any]
    channels: dict[str, Any] | None = None
    conditions: dict[str, Any] = field(default_factory=dict)
    tile: Tile = field(default_factory=Tile)
    pixel_size: float | None = None
    calibration: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    created: str = ""
    command: str = ""
    description: str = ""

    def __post_init__(self) -> None:
        self.outputs = tuple(self.outputs)
        outputs = self.network["output_channels"]
        if len(self.outputs) != outputs:
            raise ValueError(
                f"the card names {len(self.outputs)} outputs, but the network has {outputs}"
            )
        in_place = (self.channels or {}).get("name") in IN_PLACE
        if not in_place and int(self.network["input_channels"]) < self.inputs.count:
            raise ValueError("the network takes fewer channels than a measurement has images")
        int(self.training["image_size"]), int(self.network["scale"])

    @property
    def image_channels(self) -> int:
        """Images of one measurement, without the fixed channels."""
        return self.inputs.count

    @property
    def scale(self) -> int:
        """Size of a result relative to the image."""
        return int(self.network["scale"])

    @property
    def takes_colours(self) -> bool:
        """Whether the model's channels are red, green and blue."""
        return isinstance(self.inputs, Channels) and self.inputs.count == 3

    @property
    def gives_colours(self) -> bool:
        """Whether the results are a picture in red, green and blue."""
        return [o.role for o in self.outputs] == ["colour"] * 3

    @property
    def largest_trained(self) -> int:
        """The size, in pixels, of the largest samples that the model was trained on."""
        return int(self.training["image_size"]) * (2 if self.training.get("mixed_sizes") else 1)

    @property
    def ranges(self) -> dict[str, Any]:
        """Limits of the quantities that varied between training samples."""
        return dict(self.config.get("ranges", {}))

    @property
    def usual_deviations(self) -> list[tuple[float, float]]:
        """Least and greatest standard deviation of the training's images, in their own unit.

        For each channel that has its own scale; empty if they are not known, or do not matter.
        """
        known = self.training.get("deviations")
        if known is None:
            return []
        units = list(dict.fromkeys(getattr(self.normalization, "input_deviation", [1.0])))
        return [(known[0] * unit, known[1] * unit) for unit in units]

    @property
    def error_unit(self) -> str:
        """The unit of the mean absolute error over all outputs, to print after it."""
        own = self.normalization.error_unit
        if own is not None:
            return own
        if len(self.outputs) == 1:
            return self.outputs[0].unit
        return f"(mean over {' and '.join(o.name for o in self.outputs)})"

    def measured_conditions(self, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The conditions of a measurement: those fixed in training, and the given ones.

        Raises
        ------
        InputError
            If a condition that varied in training is missing, or the model does not take a given
            one.
        """
        given = dict(given or {})
        unknown = [n for n in given if self.conditions.get(n, 0) is not None]
        if unknown:
            free = [n for n, value in self.conditions.items() if value is None]
            offered = f"give only {', '.join(free)}" if free else "leave the conditions out"
            raise InputError(f"the model takes no {unknown[0]} at prediction; {offered}")
        found = {n: given.get(n, value) for n, value in self.conditions.items()}
        for name in OPTIONAL:
            if found.get(name, 0) is None:
                del found[name]
        missing = [n for n, value in found.items() if value is None]
        if missing:
            raise InputError(
                f"the model needs the {missing[0]} of the measurement; give conditions="
                f"{{{missing[0]!r}: ...}}"
            )
        return found

    def to_json(self) -> str:
        """The card as JSON."""
        return json.dumps(self.asdict())

    def asdict(self) -> dict[str, Any]:
        """The card as JSON values."""
        told: dict[str, Any] = {"format": FORMAT}
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            if f.name == "inputs":
                value = {"kind": value.kind, **dataclasses.asdict(value)}
            elif f.name == "outputs":
                value = [dataclasses.asdict(o) for o in value]
            elif f.name == "normalization":
                value = value.config()
            elif f.name == "tile":
                value = dataclasses.asdict(value)
            told[f.name] = value
        return json.loads(json.dumps(told, default=dict))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ModelCard) and self.asdict() == other.asdict()


def card_from(told: Mapping[str, Any]) -> ModelCard:
    """The card from JSON values; cards of earlier formats are converted.

    Parameters
    ----------
    told : dict
        From `ModelCard.asdict`, also of an earlier version.

    Raises
    ------
    InputError
        If it was written by a newer version of this package.
    KeyError, TypeError, ValueError
        If it is not complete, or a field has an impossible value.
    """
    require_known(told, FORMAT)
    if told["format"] == 1:
        from .format_1 import upgraded

        told = upgraded(told)
    values = {k: v for k, v in told.items() if k != "format"}
    check_card(values)
    inputs = dict(values["inputs"])
    values["inputs"] = INPUTS[inputs.pop("kind")](**inputs)
    values["outputs"] = tuple(Output(**o) for o in values["outputs"])
    values["normalization"] = normalizations.from_config(values["normalization"])
    values["tile"] = Tile(**values.get("tile", {}))
    return ModelCard(**values)


def require_known(told: Any, newest: int) -> None:
    """Refuse what tells of a format that is newer than this package, or of none.

    Raises
    ------
    NewerFormat
        If it is newer.
    ValueError
        If it tells no format.
    """
    if not isinstance(told, Mapping) or "format" not in told:
        raise ValueError("it tells no format")
    checks.whole(1, 10**6)(told["format"], "format")
    if told["format"] > newest:
        raise NewerFormat("it was written by a newer mcnn-keras; upgrade mcnn-keras")


def parsed_card(text: Any, path: str | Path) -> ModelCard:
    """The card from the text in a file.

    Raises
    ------
    InputError
        If it is not complete, or of a newer version.
    """
    try:
        return card_from(checks.parsed(text))
    except InputError as error:
        raise InputError(f"{path} cannot be used: {error}") from None
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise InputError(
            f"{path} is damaged: its card is not complete ({reason(error)}); copy or train it again"
        ) from None
