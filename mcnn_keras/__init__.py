"""Multi-scale convolutional neural networks for inverse problems, in Keras.

Give targets and a forward model, and a network learns the inverse::

    import mcnn_keras as mcnn

    problem = mcnn.problems.Phase(defocus=[-108], optics=mcnn.Optics(wavelength=0.65))
    run = mcnn.train(problem, epochs=32, samples=2048)
    mcnn.save(run.model, "phase.h5")
    phase = mcnn.predict(mcnn.load("phase.h5"), image)
"""

import importlib

# Where each public name lives. They are imported when first used: importing the package, or
# asking the command line for help, must not wait for TensorFlow.
_NAMES = {
    "InputError": "errors",
    "TrainingStopped": "errors",
    "MCNN": "network",
    "Optics": "optics",
    "Problem": "problems",
    "Run": "training",
    "Settings": "training",
    "evaluate": "evaluation",
    "load": "saving",
    "predict": "inference.predict",
    "save": "saving",
    "train": "training",
}
_MODULES = (
    "classical", "files", "focal_series", "images", "inference", "metrics", "network", "noise",
    "optics", "problems", "saving", "scenes", "training",
)  # fmt: skip

__all__ = sorted([*_NAMES, *_MODULES])  # noqa: PLE0605 - a list, though sorted makes it


def __getattr__(name):
    if name == "__version__":
        from importlib.metadata import version

        return version("mcnn-keras")
    if name in _NAMES:
        return getattr(importlib.import_module(f".{_NAMES[name]}", __name__), name)
    if name in _MODULES:
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return __all__
