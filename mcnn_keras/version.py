"""The version of this package, in one place, and those of the packages that it computes with."""

from __future__ import annotations

# setup.cfg reads this line without importing the package.
__version__ = "0.1.0"


def version_of(*packages: str) -> str:
    """The version of the first of these packages that is installed, or 'unknown'.

    That of this package is the one of the code that runs, whatever is installed.
    """
    # Not at the top: the package is imported more often than it is asked for versions.
    from importlib.metadata import PackageNotFoundError, version

    for package in packages:
        if package == "mcnn-keras":
            return __version__
        try:
            return version(package)
        except PackageNotFoundError:  # a build under another name, perhaps one of the others
            continue
    return "unknown"
