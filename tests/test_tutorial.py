"""Fails where the tutorial does not run from top to bottom."""

import json
from pathlib import Path

import pytest

TUTORIAL = Path(__file__).parent.parent / "experiments" / "tutorial.ipynb"


@pytest.mark.slow
def test_the_tutorial_runs():
    """Fails where a cell raises an error, or the tutorial's network learns next to nothing."""
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    names = {}
    for cell in json.loads(TUTORIAL.read_text())["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), "tutorial.ipynb", "exec"), names)
    errors = {name: run.history[-1]["test_mae"] for name, run in names["runs"].items()}
    assert errors["MCNN"] < 0.9 * abs(names["targets"] - names["targets"].mean()).mean()
