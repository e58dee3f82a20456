"""Convert cards of format 1 to the present format, so that old model files can still be read.

Values that such a card does not contain were the same for all models of its time. They are listed
here, and do not follow later changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PHASE_RANGES = {
    "absorption": [0.0, 0.1], "amplitude_span": [0.05, 0.5], "focus_error": [-0.02, 0.02],
    "focus_offset": [-1.0, 1.0], "aperture": [0.8, 1.1], "coherence_angle": [0.0, 0.004],
    "illumination": [0.0, 0.04], "dose": [1000.0, 20000.0], "white_noise": [0.0, 0.01],
}  # fmt: skip
ELECTRON_RANGES = {"focus_offset": [-20.0, 20.0], "coherence_angle": [0.0, 0.0003]}
DENOISE_RANGES = {
    "contrast_snr": [-16.0, 9.0], "counting": [0.3, 1.0], "background": [0.0, 1.0],
    "jitter": [0.0, 0.6], "decay": [0.0, 0.6], "spill": [0.0, 1.0], "line_offsets": [0.0, 0.4],
    "hot_share": [1e-5, 5e-4], "hot_height": [5.0, 40.0], "pixel_size": [0.05, 0.45],
    "energy": [60e3, 300e3], "semi_angle": [0.018, 0.032], "defocus": [-60.0, 60.0],
    "spherical_aberration": [-2e4, 2e4], "uncorrected_aberration": [0.5e7, 1.3e7],
    "source": [0.15, 0.45], "exponent": [1.5, 1.9], "radius": [3.0, 28.0], "foil": [4.0, 60.0],
    "support": [5.0, 120.0], "lone_atoms": [0.003, 0.06], "displacement": [0.03, 0.12],
    "vacancies": [0.0, 0.06], "particle": [0.03, 0.25],
}  # fmt: skip
REFLECTION_RANGES = {
    "exposure": [0.9, 1.1], "counts": [2e3, 1e4], "read_out": [0.001, 0.005],
    "vibration": [0.0, 1.0], "delay": [0.0, 0.02],
}  # fmt: skip
RANGES = {"phase": PHASE_RANGES, "denoise": DENOISE_RANGES, "reflection": REFLECTION_RANGES}
# Arguments of a problem with an old name.
RENAMED = {"images": "pictures"}
# Arguments of the fixed first layer of a phase network that are conditions now.
INSTRUMENT = (
    "defocus", "wavelength", "pixel_size", "numerical_aperture", "refractive_index",
    "spherical_aberration",
)  # fmt: skip
FIRST_LAYER_CHANNELS = {"low_pass": 4, "spectral_wiener": 1, "screen_estimate": 3}


def upgraded(told: Mapping[str, Any]) -> dict[str, Any]:
    """A card of format 1 as one of format 2.

    Raises
    ------
    KeyError, TypeError, ValueError
        If it is not complete.
    """
    name, config = told["problem"]["name"], problem_config(told["problem"])
    network = dict(told["network"])
    # A card without this entry is older than the second kind of last layer.
    network.setdefault("head_kernel", 2)
    first, images = network.pop("first_layer", None), network["input_channels"]
    channels, conditions = _channels(first)
    if first is not None:
        further = FIRST_LAYER_CHANNELS.get(first["name"], 2 * images + 1)
        network["input_channels"] = images + further
    normalization = told["normalization"]
    names, units = told["output_names"], told["units"]
    roles = _roles(names, normalization)
    training = told["training"]
    own_scale = normalization["input"] == "frame"
    size = training["image_size"] * (2 if training.get("mixed_sizes") else 1)
    return {
        "format": 2,
        "problem": name,
        "config": config,
        "inputs": _inputs(name, config, images, own_scale),
        "outputs": [
            {"name": n, "unit": u, "role": r} for n, u, r in zip(names, units, roles, strict=True)
        ],
        "normalization": _normalization(normalization, roles),
        "network": network,
        "training": training,
        "channels": channels,
        "conditions": conditions,
        "tile": {"size": size, "overlap": 16} if own_scale else {},
        "pixel_size": told["pixel_size"],
        **{k: told[k] for k in ("metrics", "versions", "created", "command", "description")
           if k in told},
    }  # fmt: skip


def problem_config(problem: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a problem, {'name', 'config'}, with their present names and its ranges."""
    name = problem["name"]
    config = {RENAMED.get(k, k): v for k, v in problem["config"].items()}
    if name in RANGES and "ranges" not in config:
        config["ranges"] = dict(RANGES[name])
        if name == "phase" and config["optics"]["unit"] == "A":
            config["ranges"].update(ELECTRON_RANGES)
    if name == "denoise" and "channels" not in config:
        config["channels"] = config.pop("first_layer", "spectral_wiener")
    return config


def _channels(first: Mapping[str, Any] | None) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """Name and arguments of the fixed channels, and the conditions of a measurement."""
    if first is None:
        return None, {}
    arguments = dict(first)
    conditions = {
        n: v for n in INSTRUMENT if n in arguments and (v := arguments.pop(n)) is not None
    }
    return arguments, conditions


def _inputs(name: str, config: Mapping[str, Any], images: int, own_scale: bool) -> dict[str, Any]:
    if name == "phase":
        planes, error = config["defocus"], config["ranges"]["focus_error"][1]
        offset = min(config["ranges"]["focus_offset"][1], min(abs(z) for z in planes) / 4)
        return {
            "kind": "planes", "defocus": planes, "unit": config["optics"]["unit"],
            "tolerance": [error * abs(z) + offset for z in planes],
        }  # fmt: skip
    if own_scale:
        return {"kind": "frames", "window": images}
    return {"kind": "channels", "count": images}


def _roles(names: list[str], normalization: Mapping[str, Any]) -> list[str]:
    if names == ["red", "green", "blue"]:
        return ["colour"] * 3
    if normalization["output"] == "frame":
        return ["image"] * len(names)
    return [n if n in ("phase", "amplitude") else "value" for n in names]


def _normalization(told: Mapping[str, Any], roles: list[str]) -> dict[str, Any]:
    limits = {"limits": told["output_limits"]} if "output_limits" in told else {}
    if told["input"] == "contrast":
        return {"kind": "contrast", "roles": roles}
    if told["input"] == "frame":
        return {"kind": "frame"}
    if told["input"] == "fixed":
        names = ("input_mean", "input_deviation", "output_mean", "output_deviation")
        return {"kind": "fixed", **{n: told[n] for n in names}, **limits}
    return {"kind": "none", **limits}
