"""Training targets drawn by seed: photographs, procedural pictures and specimens."""

from __future__ import annotations

import importlib
from typing import Any

_NAMES = {"Pictures": "pictures", "Specimens": "specimens"}


def __getattr__(name: str) -> Any:
    if name in _NAMES:  # imported when first used, as they import TensorFlow
        return getattr(importlib.import_module(f".{_NAMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
