"""The layers of the package: imports run one way."""

import ast
from pathlib import Path

import pytest

import mcnn_keras

ROOT = Path(mcnn_keras.__file__).parent
PHYSICS = ("optics", "noise", "images", "scenes")
# What a part of the package must not import, directly, at the top or inside a function.
FORBIDDEN = {
    "network": ("problems", "training", "inference", "classical", "cli", "saving", *PHYSICS),
    "problems": ("training", "inference", "cli", "network", "saving"),
    "inference": ("problems", "training", "cli", "classical", *PHYSICS),
    "training": ("inference", "cli", "classical"),
    **dict.fromkeys(PHYSICS, ("problems", "training", "inference", "cli", "network", "saving")),
}
FILES = sorted(ROOT.rglob("*.py"))


def imported(path):
    """The package's own modules that a file imports, and the names of foreign ones."""
    package = path.relative_to(ROOT).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level:
            above = package[: len(package) - (node.level - 1)]
            module = [*above, *(node.module or "").split(".")] if node.module else list(above)
            for alias in node.names:
                yield ".".join(["mcnn_keras", *module, *([] if node.module else [alias.name])])
        elif isinstance(node, ast.ImportFrom):
            yield node.module


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_one_way(path):
    part = path.relative_to(ROOT).parts[0].removesuffix(".py")
    names = set(imported(path))
    for forbidden in FORBIDDEN.get(part, ()):
        assert not any(f"{n}.".startswith(f"mcnn_keras.{forbidden}.") for n in names), names
    assert not any(n.split(".")[0] in ("data_tools", "experiments") for n in names)
    if part == "network":
        assert not any(n.split(".")[0] == "tensorflow" for n in names)


def test_the_public_names_are_there():
    for name in mcnn_keras.__all__:
        assert getattr(mcnn_keras, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        _ = mcnn_keras.nothing
