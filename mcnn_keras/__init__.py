"""Multi-scale convolutional neural networks for inverse problems, in Keras.

Give targets and a forward model, and a network learns the inverse::

    import mcnn_keras as mcnn

    problem = mcnn.problems.Phase(defocus=[-108], optics=mcnn.Optics(wavelength=0.65))
    run = mcnn.train(problem, samples=2048)
    mcnn.save(run.model, "own.h5")
    wave = mcnn.predict(mcnn.load("own.h5"), image)  # (height, width, 2): phase and amplitude
"""

from __future__ import annotations

import importlib
import os
import platform
from typing import TYPE_CHECKING, Any

from .version import __version__ as __version__

# On x86 processors without AVX-512 VNNI, TensorFlow does not use its oneDNN kernels by default, and
# a training step takes 1.6 times as long. TensorFlow reads this variable when it is imported.
if platform.machine().lower() in ("x86_64", "amd64"):
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

if TYPE_CHECKING:
    from .calibration import calibrate
    from .errors import InputError, TrainingStopped
    from .evaluation import evaluate
    from .focal_series.comparison import compare
    from .focal_series.reconstruct import reconstruct
    from .inference.predict import predict
    from .inference.stream import predict_files
    from .models import ModelCard
    from .models.saving import load, save
    from .network import MCNN
    from .physics.optics import Optics
    from .problems.base import Problem
    from .training.loop import Run, train
    from .training.settings import Settings

# The module of each public name. They are imported when first used: importing the package, and the
# help of the command line, must not wait for TensorFlow.
_NAMES = {
    "InputError": "errors",
    "MCNN": "network",
    "ModelCard": "models",
    "Optics": "physics.optics",
    "Problem": "problems.base",
    "Run": "training.loop",
    "Settings": "training.settings",
    "TrainingStopped": "errors",
    "calibrate": "calibration",
    "compare": "focal_series.comparison",
    "evaluate": "evaluation",
    "load": "models.saving",
    "predict": "inference.predict",
    "predict_files": "inference.stream",
    "reconstruct": "focal_series.reconstruct",
    "save": "models.saving",
    "train": "training.loop",
}
_MODULES = (
    "channels", "classical", "files", "focal_series", "hyperspy", "inference", "metrics", "models",
    "network", "physics", "problems", "targets", "training",
)  # fmt: skip

__all__ = [
    "MCNN", "InputError", "ModelCard", "Optics", "Problem", "Run", "Settings",
    "TrainingStopped", "calibrate", "channels", "classical", "compare", "evaluate", "files",
    "focal_series", "hyperspy", "inference", "load", "metrics", "models", "network", "physics",
    "predict", "predict_files", "problems", "reconstruct", "save", "targets", "train",
    "training",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(f".{_NAMES[name]}", __name__), name)
    if name in _MODULES:
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
