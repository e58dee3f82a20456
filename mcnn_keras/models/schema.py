"""What each field of a card may be, checked when a card is read; see `checks`.

The limits are far beyond what is of use, and below what a machine cannot compute.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from ..channels import CHANNELS
from ..channels.wave import COUNT
from ..checks import (
    Check,
    anything,
    either,
    fields,
    flag,
    number,
    one_of,
    optional,
    several,
    table,
    text,
    whole,
)

# Quantiles of a reference, see `mcnn_keras.models.reference`.
LEVELS = 13
ROLES = ("phase", "amplitude", "image", "colour", "value")
PRESETS = ("light", "fast", "paper", "paper-bottleneck")
CELLS = ("plain", "resnext", "xception")
SIZES = whole(1, 2**16)
CHANNEL_COUNT = whole(1, 2**14)
POSITIVE = number(1e-12, 1e12)
LENGTH = number(-1e15, 1e15)
NUMBERS = either(several(number()), number())
# In float32 and back: beyond these, a product is no number.
SCALES = either(several(number(-1e30, 1e30)), number(-1e30, 1e30))
DEVIATIONS = either(several(number(1e-30, 1e30)), number(1e-30, 1e30))

NETWORK = fields(
    {
        "input_channels": CHANNEL_COUNT,
        "output_channels": CHANNEL_COUNT,
        "preset": one_of(*PRESETS),
        "filters": optional(several(whole(1, 2**14), most=14)),
        "branches": optional(whole(0, 16)),
        "cell": optional(one_of(*CELLS)),
        "normalization": optional(one_of("none", "batch", "group")),
        "scale": one_of(1, 2),
        "depth": optional(whole(0, 64)),
        "full_size_filters": optional(whole(0, 2**14)),
        "head_kernel": one_of(2, 4),
        "gated": flag,
        "interval": flag,
        "scaled_by": optional(several(optional(whole(0, 2**14 - 1)))),
    },
    needed=("input_channels", "output_channels", "scale"),
)
DEFOCI = several(LENGTH, most=2**12)
INPUTS = {
    "planes": {
        "defocus": DEFOCI,
        "tolerance": several(number(0, 1e15), most=2**12),
        "unit": one_of("um", "A"),
    },
    "any_planes": {"most": whole(1, 2**12)},
    "channels": {"count": CHANNEL_COUNT},
    "frames": {"window": whole(1, 999)},
}
# A limit may be infinite: 0 to infinity is that of an intensity.
LIMITS = optional(several(number(-float("inf"), float("inf")), 2, 2))
WAVE_ROLES = several(one_of("phase", "amplitude"), most=2**14)
NORMALIZATIONS = {
    "none": {"limits": LIMITS},
    "contrast": {"roles": WAVE_ROLES},
    "scaled_contrast": {"roles": WAVE_ROLES},
    "frame": {"outliers": number(0, 0.49), "missing": flag},
    "fixed": {
        "limits": LIMITS,
        "input_mean": SCALES,
        "input_deviation": DEVIATIONS,
        "output_mean": SCALES,
        "output_deviation": DEVIATIONS,
    },
}
# Those of the instrument; what others say is told to a problem of the user's own alone.
CONDITIONS = {
    "defocus": optional(either(DEFOCI, LENGTH)),
    "wavelength": optional(POSITIVE),
    "pixel_size": optional(POSITIVE),
    "numerical_aperture": optional(number(0, 100)),
    "refractive_index": optional(number(1e-3, 100)),
    "coherence_angle": optional(number(0, 100)),
    "spherical_aberration": optional(LENGTH),
}
TEXTS = text(100_000)
KNOTS = several(several(number(-1e6, 1e6), most=1000), most=2**14)
INTERVAL = {"widths": KNOTS, "corrections": KNOTS}
REFERENCE = fields(
    {
        "names": several(text(1000), most=1000),
        "quantiles": several(several(number(-1e6, 1e6), most=1000), most=1000),
        "limit": POSITIVE,
    },
    needed=("names", "quantiles", "limit"),
)
VALUES = several(number(-1e6, 1e6), most=1000)


def _layer(told: Any, place: str) -> None:
    several(anything, 2, 2)(told, place)
    several(VALUES, most=1000)(told[0], f"{place}[0]")
    VALUES(told[1], f"{place}[1]")


FAILURE = {
    "names": several(text(1000), most=1000),
    "middle": VALUES,
    "deviation": several(POSITIVE, most=1000),
    "usual": VALUES,
    "members": several(several(_layer, 2, 2), most=100),
    "limit": number(-1e6, 1e6),
    "error": POSITIVE,
}
CALIBRATION = fields(
    {
        **INTERVAL,
        "coverage": number(0, 1),
        "refined": fields(INTERVAL, ("widths", "corrections"), others=anything),
        "failure": fields(FAILURE, tuple(FAILURE)),
        "reference": REFERENCE,
        "greatest mean uncertainty": number(-1e6, 1e6),
        "least agreement": number(-1, 1),
    },
    others=anything,
)
CARD = fields(
    {
        "problem": text(1000),
        "config": fields(
            {"ranges": table(anything), "optics": optional(fields({}, (), anything))},
            others=anything,
        ),
        "inputs": anything,
        "outputs": several(
            fields({"name": text(1000), "unit": text(1000), "role": one_of(*ROLES)}, ("name",)),
            most=2**14,
        ),
        "normalization": anything,
        "network": NETWORK,
        "training": fields(
            {
                "image_size": SIZES, "mixed_sizes": flag,
                "deviations": several(number(0.0), 2, 2), "learned": table(text(1000)),
            },
            ("image_size",), others=anything,
        ),
        "channels": anything,
        "conditions": fields(CONDITIONS, others=anything),
        "tile": fields({"size": whole(8, 2**16), "overlap": optional(whole(0, 2**13))}),
        "pixel_size": optional(POSITIVE),
        "calibration": CALIBRATION,
        "metrics": table(anything),
        "versions": table(optional(text(1000))),
        "created": TEXTS,
        "command": TEXTS,
        "description": TEXTS,
    },
    needed=(
        "problem", "config", "inputs", "outputs", "normalization", "network", "training",
    ),
)  # fmt: skip
# Of the arguments of fixed channels, those that are no numbers, or that sizes are made of.
ARGUMENTS: dict[str, Check] = {
    "margin": whole(0, 2**12),
    "scene": table(either(NUMBERS, anything)),
}


def check_card(told: Mapping[str, Any]) -> None:
    """Check a card of the present format, as JSON tells it.

    Raises
    ------
    ValueError
        If a field is missing, not known, of another type or out of its limits, or if two of them
        exclude each other.
    """
    CARD(told, "")
    inputs = _kind(told["inputs"], "inputs", INPUTS)
    normalization = _kind(told["normalization"], "normalization", NORMALIZATIONS)
    channels, network = told.get("channels"), told["network"]
    if channels is not None:
        _check_channels(channels, told.get("conditions", {}), told["inputs"])
    _check_fit(told, inputs, normalization)
    _check_calibration(told.get("calibration", {}), len(told["outputs"]))
    scaled_by = network.get("scaled_by")
    if scaled_by is not None:
        if len(scaled_by) != network["output_channels"]:
            raise ValueError("network.scaled_by does not name a channel of each output")
        if any(k is not None and k >= network["input_channels"] for k in scaled_by):
            raise ValueError("network.scaled_by names a channel that the input does not have")


def _kind(told: Any, place: str, kinds: Mapping[str, Mapping[str, Check]]) -> str:
    fields({"kind": one_of(*kinds)}, ("kind",), others=anything)(told, place)
    kind = told["kind"]
    fields({"kind": anything, **kinds[kind]})(told, place)
    return kind


def _check_channels(told: Any, conditions: Mapping[str, Any], inputs: Mapping[str, Any]) -> None:
    place = "channels"
    fields({"name": one_of(*CHANNELS)}, ("name",), others=anything)(told, place)
    name = told["name"]
    parameters = list(inspect.signature(CHANNELS[name]).parameters.values())[2:]
    needed = [p.name for p in parameters if p.default is p.empty]
    known = {p.name: ARGUMENTS.get(p.name, NUMBERS) for p in parameters}
    fields({"name": anything, **known}, needed)(told, place)
    if name not in ("focus_estimates", "wave_estimates"):
        return
    for condition in ("defocus", "wavelength", "pixel_size"):
        if condition not in conditions:
            raise ValueError(f"conditions.{condition} is missing, which {name} needs")
    planes = conditions["defocus"]
    if inputs["kind"] == "planes" and planes is not None:
        count = len(planes) if isinstance(planes, (list, tuple)) else 1
        if count != len(inputs["defocus"]):
            raise ValueError(f"conditions.defocus has {count} planes, and inputs another number")


def _check_calibration(told: Mapping[str, Any], outputs: int) -> None:
    """Whether the numbers of an interval and of a reference belong together."""
    for interval in (told, told.get("refined", {})):
        at, added = interval.get("widths"), interval.get("corrections")
        if (at is None) != (added is None):
            raise ValueError("calibration needs both widths and corrections")
        if at is None or added is None:
            continue
        if [len(a) for a in at] != [len(a) for a in added] or len(at) != outputs:
            raise ValueError(f"calibration has no widths and corrections for {outputs} outputs")
    reference = told.get("reference")
    if reference is not None:
        lengths = {len(quantiles) for quantiles in reference["quantiles"]}
        if lengths != {LEVELS} or len(reference["quantiles"]) != len(reference["names"]):
            raise ValueError(f"calibration.reference needs {LEVELS} quantiles for each name")
    failure = told.get("failure")
    if failure is not None:
        count = len(failure["names"])
        if any(len(failure[name]) != count for name in ("middle", "deviation", "usual")):
            raise ValueError(f"calibration.failure needs {count} values, one for each name")
        if reference is None or not set(failure["names"]) <= set(reference["names"]):
            raise ValueError("calibration.failure has names that calibration.reference lacks")
        for member in failure["members"]:
            inputs = count
            for weights, biases in member:
                if len(weights) != inputs or any(len(row) != len(biases) for row in weights):
                    raise ValueError("the layers of calibration.failure do not fit together")
                inputs = len(biases)
            if inputs != 1:
                raise ValueError("a member of calibration.failure has more than one score")


def _check_fit(told: Mapping[str, Any], inputs: str, normalization: str) -> None:
    """Whether images, fixed channels, network and outputs have the same numbers of channels."""
    kind, network, scaling = told["inputs"], told["network"], told["normalization"]
    outputs = len(told["outputs"])
    limits = scaling.get("limits")
    if limits is not None and limits[0] > limits[1]:
        raise ValueError("normalization.limits are not from low to high")
    if "roles" in scaling and len(scaling["roles"]) not in (1, outputs):
        raise ValueError(f"normalization.roles has {len(scaling['roles'])} of {outputs} outputs")
    images = {
        "planes": len(kind.get("defocus", ())), "any_planes": None,
        "channels": kind.get("count", 1), "frames": kind.get("window", 1),
    }[inputs]  # fmt: skip
    for name, count in (("input", images), ("output", outputs)):
        for part in ("mean", "deviation"):
            values = scaling.get(f"{name}_{part}")
            if isinstance(values, (list, tuple)) and count and len(values) not in (1, count):
                raise ValueError(
                    f"normalization.{name}_{part} has {len(values)} values for {count} channels"
                )
    channels = (told.get("channels") or {}).get("name")
    if normalization == "frame" and images is not None:
        images += bool(scaling.get("missing"))
    further = {
        None: 0, "low_pass": 4, "screen_estimate": 3, "spectral_series": 4,
        "spectral_wiener": 1,
        "focus_estimates": 2 * (images or 0) + 1,
    }.get(channels)  # fmt: skip
    expected = None
    if channels == "wave_estimates":
        expected = COUNT
    elif images is not None and further is not None:
        expected = images + further
    if expected is not None and network["input_channels"] != expected:
        raise ValueError(
            f"network.input_channels is {network['input_channels']}; {expected} is expected of "
            "these images and channels"
        )
