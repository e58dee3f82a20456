"""Default training settings of the problems of this package.

The command line and `mcnn_keras.train` both use them. They are separate from the problems, so that
help texts can state them without importing TensorFlow.
"""

from __future__ import annotations

from typing import Any

# Values of `mcnn_keras.Settings` that differ from its own defaults.
RECIPES: dict[str, dict[str, Any]] = {
    "denoise": {
        "image_size": 128, "samples": 8192, "epochs": 64, "batch_size": 16, "loss": "logarithmic",
        "learning_rate": 1e-3, "mixed_sizes": True, "gated": True,
    },
    "laplacian": {"image_size": 128, "samples": 768},
    "paired": {"image_size": 128, "epochs": 16},
    "any_phase": {
        "image_size": 128, "samples": 8192, "epochs": 20, "batch_size": 16, "learning_rate": 1e-3,
        "mixed_sizes": True, "gated": True,
    },
    # Of the problem phase, if it starts from the weights of the model for any planes.
    "given_planes": {
        "start": "phase", "gated": True, "loss": "logarithmic", "learning_rate": 3e-4, "epochs": 8,
        "mixed_sizes": True,
    },
    "phase": {},
    "reflection": {"image_size": 192},
}  # fmt: skip
