"""The version of this package, in one place, and those of the packages that it computes with."""

from __future__ import annotations

# setup.cfg reads this line without importing the package.
__version__ = "0.1.0"


# The same packages under other names.
BUILDS = {"tensorflow": ("tensorflow-cpu",), "onnxruntime": ("onnxruntime-gpu",)}


def version_of(package: str) -> str:
    """The version of a package that is installed, or of another build of it, or 'unknown'.

    That of this package is the one of the code that runs, whatever is installed.
    """
    # Not at the top: the package is imported more often than it is asked for versions.
    from importlib.metadata import PackageNotFoundError, version

    if package == "mcnn-keras":
        return __version__
    for name in (package, *BUILDS.get(package, ())):
        try:
            return version(name)
        except PackageNotFoundError:  # perhaps another build is there
            continue
    return "unknown"
