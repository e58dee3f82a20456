"""The physics of the instruments: waves, probes, light on walls, and noise of detectors."""

from __future__ import annotations

import importlib
from typing import Any

_MODULES = (
    "arrays",
    "electrons",
    "intensity_transport",
    "noise",
    "optics",
    "stem",
    "wall",
    "waves",
)


def __getattr__(name: str) -> Any:
    if name in _MODULES:  # imported when first used, as some import TensorFlow
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
