"""The rooms of the package: imports run one way, in no circle, and files stay short."""

import ast
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

import mcnn_keras

ROOT = Path(mcnn_keras.__file__).parent
# What each room may import of the package; `checks`, `errors`, `metrics` and `version` serve all. A
# file that stands outside the rooms is a room of its own.
MAY_IMPORT = {
    "physics": (),
    "files": (),
    "channels": ("physics",),
    "network": (),
    "targets": ("physics", "files"),
    "models": ("physics", "files", "channels", "network"),
    "classical": ("physics",),
    "inference": ("physics", "files", "channels", "models", "network", "progress", "report"),
    "focal_series": ("physics", "files", "models", "inference", "report"),
    "problems": ("physics", "files", "channels", "models", "targets", "classical", "focal_series"),
    "training": ("physics", "files", "models", "network", "problems", "progress", "report"),
    "report": ("files", "models"),
    "progress": (),
    "evaluation": ("models", "inference", "problems", "training", "classical"),
    "calibration": (
        "physics",
        "files",
        "focal_series",
        "models",
        "network",
        "inference",
        "problems",
        "training",
    ),
    "hyperspy": ("physics", "files", "models", "inference", "focal_series"),
    "napari": ("physics", "files", "models", "inference", "focal_series"),
    "app": ("files", "models", "inference", "progress", "report"),
    "example_files": ("physics", "files"),
    "checks": (),
    "errors": (),
    "metrics": (),
    "version": (),
}
SHARED = ("checks", "errors", "metrics", "version")
FILES = sorted(ROOT.rglob("*.py"))
LONGEST = 400


def module_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in FILES}


def imported(path):
    """The package's own modules that a file imports, also in functions; foreign packages."""
    package = path.relative_to(ROOT).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            for inner in ast.walk(node):
                inner.level = 0  # for type checkers alone: nothing is imported
        if isinstance(node, ast.Import):
            yield from (("foreign", alias.name.split(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level:
            above = package[: len(package) - (node.level - 1)]
            module = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{module}.{alias.name}" if module else alias.name
                yield "own", inner if inner in MODULES else module
        elif isinstance(node, ast.ImportFrom):
            yield "foreign", (node.module or "").split(".")[0]


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_run_one_way(module):
    """Fails where a room imports one that stands above it, at the top or inside a function."""
    room = module.split(".")[0]
    found = list(imported(MODULES[module]))
    foreign = {name for kind, name in found if kind == "foreign"}
    assert not foreign & {"data_tools", "experiments", "tests", "mcnn_keras"}
    if room in ("", "cli", "__main__"):
        return  # the doors: they may open every room
    allowed = {room, *MAY_IMPORT[room], *SHARED}
    own = {name.split(".")[0] for kind, name in found if kind == "own"}
    assert own <= allowed, own - allowed
    if room in ("network", "channels", "files", "models", "inference", "classical"):
        tensorflow = {"inference.engines", "models.keras_layers"}
        assert "tensorflow" not in foreign or module in tensorflow


def test_no_files_import_one_another_in_a_circle():
    """Fails where two files, or more, need each other, also by imports inside functions."""
    edges = {
        module: {name for kind, name in imported(path) if kind == "own" and name in MODULES}
        - {module}
        for module, path in MODULES.items()
    }
    # A package's __init__ stands for what it gathers; a file of it may import its neighbours.
    edges = {m: {n for n in names if not m.startswith(f"{n}.")} for m, names in edges.items()}
    done, under_way = set(), []

    def visit(module):
        assert module not in under_way, [*under_way[under_way.index(module) :], module]
        if module in done:
            return
        under_way.append(module)
        for name in sorted(edges[module]):
            visit(name)
        under_way.pop()
        done.add(module)

    for module in MODULES:
        visit(module)


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_files_stay_short(path):
    """Fails where a file wants splitting."""
    assert len(path.read_text().splitlines()) <= LONGEST


def test_the_public_names_are_there():
    """Fails where a name of the public interface cannot be imported, or a wrong one can."""
    for name in mcnn_keras.__all__:
        assert getattr(mcnn_keras, name) is not None
    assert sorted({*mcnn_keras._NAMES, *mcnn_keras._MODULES}) == sorted(mcnn_keras.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        _ = mcnn_keras.nothing
    assert (ROOT / "py.typed").exists()


@pytest.mark.parametrize(
    "module", ["", "cli", "files", "models.saving", "channels", "inference.planning",
               "focal_series.reconstruct", "problems", "training.settings"],
)  # fmt: skip
def test_importing_does_not_wait_for_tensorflow(module):
    """Fails where a light module imports TensorFlow or Keras, which take seconds."""
    name = f"mcnn_keras.{module}".rstrip(".")
    code = f"import sys, {name}; sys.exit(bool({{'tensorflow', 'keras'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_importing_turns_onednn_on_and_leaves_a_users_choice():
    code = "import os, mcnn_keras; print(os.environ.get('TF_ENABLE_ONEDNN_OPTS'))"
    on = "1" if platform.machine().lower() in ("x86_64", "amd64") else None
    unset = {k: v for k, v in os.environ.items() if k != "TF_ENABLE_ONEDNN_OPTS"}
    for environment, expected in ((unset, on), ({**unset, "TF_ENABLE_ONEDNN_OPTS": "0"}, "0")):
        told = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)
        assert told.strip() == str(expected)
