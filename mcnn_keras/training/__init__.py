"""Training: one tf.data pipeline, one loop."""

from __future__ import annotations

import importlib
from typing import Any

_NAMES = {
    "Run": "loop", "Settings": "settings", "distributed_strategy": "workers", "train": "loop",
}  # fmt: skip

__all__ = ["Run", "Settings", "distributed_strategy", "train"]


def __getattr__(name: str) -> Any:
    if name in _NAMES:  # imported when first used, as the loop imports TensorFlow
        return getattr(importlib.import_module(f".{_NAMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
