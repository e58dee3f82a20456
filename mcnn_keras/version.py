"""The version of this package, and those of the packages that it uses."""

from __future__ import annotations

# setup.cfg reads this line without importing the package.
__version__ = "0.1.0"


# The same packages under other names.
BUILDS = {"tensorflow": ("tensorflow-cpu",), "onnxruntime": ("onnxruntime-gpu",)}


def version_of(package: str) -> str:
    """The version of an installed package, or of another build of it, or 'unknown'.

    For this package it is the version of the running code, even if another one is installed.
    """
    # Not at the top, as versions are needed rarely.
    from importlib.metadata import PackageNotFoundError, version

    if package == "mcnn-keras":
        return __version__
    for name in (package, *BUILDS.get(package, ())):
        try:
            return version(name)
        except PackageNotFoundError:  # perhaps another build is installed
            continue
    return "unknown"
