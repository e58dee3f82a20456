"""Fail where the version differs from place to place, or a distribution lacks or has too much."""

import configparser
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import mcnn_keras
from mcnn_keras import cli
from mcnn_keras.cli.doctor import EXTRAS
from mcnn_keras.models import saving
from mcnn_keras.version import BUILDS, version_of

ROOT = Path(__file__).parent.parent
# What builds both distributions as pip and build do, in this environment.
BUILD = "from setuptools import build_meta as b; b.build_sdist('dist'); b.build_wheel('dist')"


@pytest.fixture(scope="module")
def distributions(tmp_path_factory):
    """The names in a source distribution and in a wheel, and the wheel's metadata."""
    pytest.importorskip("setuptools")
    pytest.importorskip("wheel")
    copy = tmp_path_factory.mktemp("release") / "copy"
    left_out = shutil.ignore_patterns(".git", ".venv", ".*_cache", "*.egg-info", "build", "runs")
    shutil.copytree(ROOT, copy, ignore=left_out, symlinks=True)
    result = subprocess.run([sys.executable, "-c", BUILD], cwd=copy, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    (sdist,), (wheel,) = copy.glob("dist/*.tar.gz"), copy.glob("dist/*.whl")
    with tarfile.open(sdist) as file:
        source = {name.partition("/")[2] for name in file.getnames()}
    with zipfile.ZipFile(wheel) as file:
        built = set(file.namelist())
        (told,) = (n for n in built if n.endswith(".dist-info/METADATA"))
        return source, built, file.read(told).decode()


def test_the_version_is_told_the_same_everywhere(distributions, capfd):
    """Fails where one of the places that tell the version has one of its own."""
    version = mcnn_keras.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", version)
    with pytest.raises(SystemExit) as stop:
        cli.main(["--version"])
    assert stop.value.code == 0
    assert capfd.readouterr().out.startswith(f"mcnn-keras {version}, tensorflow ")
    assert saving.versions()["mcnn-keras"] == version
    citation = (ROOT / "CITATION.cff").read_text()
    assert re.findall(r"^version: (.*)$", citation, re.MULTILINE) == [version]
    assert re.search(rf"^Version: {re.escape(version)}$", distributions[2], re.MULTILINE)
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text()


def test_packages_have_versions_under_any_name(monkeypatch):
    """Fails where a package that is missing ends a report, or another build of one is missed."""
    assert version_of("no-such-package") == "unknown"
    monkeypatch.setitem(BUILDS, "no-such-package", ("numpy",))
    assert version_of("no-such-package") == version_of("numpy") != "unknown"


def test_the_wheel_holds_the_package_alone(distributions):
    """Fails where the wheel lacks a model or the types' mark, or brings tests or experiments."""
    _, built, metadata = distributions
    models = {f"mcnn_keras/weights/{path.name}" for path in saving.shipped().values()}
    assert models
    assert built >= {*models, "mcnn_keras/py.typed", "mcnn_keras/cli/__init__.py"}
    assert built >= {"mcnn_keras/report/page.css", "mcnn_keras/report/page.js"}
    tops = {name.split("/")[0] for name in built}
    assert tops == {"mcnn_keras", f"mcnn_keras-{mcnn_keras.__version__}.dist-info"}
    assert "Requires-Python: >=3.10" in metadata


def test_the_source_distribution_can_be_built_and_tested(distributions):
    """Fails where a file that the build, the tests or the documentation read is left out."""
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("git tells which files there are")
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout
    tracked = set(names.split())
    # A link's files are in the archive in its place.
    missing = {name for name in tracked - distributions[0] if not (ROOT / name).is_symlink()}
    assert missing <= {".gitignore"}
    assert any(name.startswith("docs/pictures/") for name in distributions[0])


def test_the_citation_names_the_paper():
    """Fails where CITATION.cff is no YAML, lacks what the format requires, or the paper's DOI."""
    yaml = pytest.importorskip("yaml")
    told = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "title", "message", "authors"} <= set(told)
    (paper,) = told["references"]
    assert paper["doi"] == "10.1038/s41598-020-62484-z"
    assert [author["family-names"] for author in paper["authors"]][::5] == ["Wang", "Koch"]


def test_the_workflow_runs_the_checks_on_supported_pythons(distributions):
    """Fails where the workflow does not call .ci/run, or on a Python that is not declared."""
    yaml = pytest.importorskip("yaml")
    told = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    job = told["jobs"]["test"]
    assert {"run": ".ci/run"} in job["steps"]
    for python in job["strategy"]["matrix"]["python"]:
        assert f"Classifier: Programming Language :: Python :: {python}\n" in distributions[2]


def test_a_report_of_a_fault_asks_for_what_is_needed():
    """Fails where the form for faults leaves out the command, message, doctor or file."""
    yaml = pytest.importorskip("yaml")
    folder = ROOT / ".github" / "ISSUE_TEMPLATE"
    form = yaml.safe_load((folder / "bug_report.yml").read_text())
    asked = {field["id"]: field["validations"]["required"] for field in form["body"]}
    assert asked == dict.fromkeys(["command", "message", "doctor", "file"], True)
    assert "doctor" in cli.cli.commands
    assert yaml.safe_load((folder / "feature_request.yml").read_text())["body"]


def test_the_doctor_knows_the_extras():
    """Fails where the doctor looks for other packages than an extra of the installation brings."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    offered = config["options.extras_require"]
    for name, packages in EXTRAS.items():
        assert all(package in offered[name] for package in packages)
