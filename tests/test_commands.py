"""Fail where a command of README.md or docs/ does not run as its page prints it.

Each page has a folder of its own, with the files that `mcnn-keras example` writes. There its
commands run one after the other, as printed. Trainings are made small, and iterations few.
"""

import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import warnings
from importlib.metadata import EntryPoint
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import scipy.optimize

from mcnn_keras import cli, training
from mcnn_keras.example_files import write_example_files
from mcnn_keras.files import open_recording, write_recording
from mcnn_keras.inference import watch as watching

ROOT = Path(__file__).parent.parent
FOLDERS = ("tutorials", "how-to")
README = ROOT / "README.md"
PAGES = [README, ROOT / "docs" / "index.md"]
PAGES += sorted(page for name in FOLDERS for page in (ROOT / "docs" / name).glob("*.md"))
FENCE = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)

# The commands that are not run, each with its reason.
NOT_RUN = {
    "mcnn-keras calibrate runs/cells/model.h5 --output cells.h5":
        "takes minutes: test_uncertainty.py calibrates a small model",
    "pip install .": "installs the package: continuous integration does it by this very line",
    'pip install ".[test]"': "the same, with what the tests need",
    "pytest tests/": "would run this test within itself",
    'pip install "mcnn-keras[napari]" "napari[pyqt6]"': "downloads napari and Qt",
    'pip install "mcnn-keras[app]"': "downloads a server",
    "mcnn-keras app": "runs until it is interrupted: test_app.py does so",
    "mcnn-keras app --port 8600 --no-browser": "the same",
    "ssh -L 8600:127.0.0.1:8600 THE_MACHINE": "needs another machine",
    "python data_tools/fetch_open_images.py names.txt pictures/":
        "downloads: test_fetch_pictures.py has a server of its own",
    "python data_tools/capture_reflection.py FILM_OR_FOLDER pairs/ --pairs 1024":
        "needs a camera and a screen: test_reflection_tools.py has virtual ones",
    "srun --kill-on-bad-exit=1 mcnn-keras train phase --defocus -108 --batch-size 64 "
    "--output runs/cells --distributed --resume":
        "needs Slurm: test_distributed.py has two workers",
    "mcnn-keras train phase --defocus -108 --batch-size 16 --output /shared/runs/cells "
    "--distributed --resume": "needs two machines: the same",
}  # fmt: skip

# Trainings are for a coffee break, or for a night; these are for a test.
SMALL = {"image_size": 64, "samples": 4, "epochs": 1, "batch_size": 4, "mixed_sizes": False,
         "precision": "float32"}  # fmt: skip
SMALL_NETWORK = {"filters": (4, 6)}  # but weights to start from are those of their own network
# 256 pairs of 640x360 pixels are kept apart by default.
SMALL_TOOLS = {
    "data_tools/prepare_reflection.py": ["--size", "64", "36", "--test", "2"],
    "data_tools/simulate_set.py":
        ["--samples", "8", "--test-samples", "2", "--image-size", "64", "--workers", "1"],
}  # fmt: skip

WITH_PICTURE = ("denoise", "predict", "phase", "reconstruct")


def name_of(page):
    return str(page.relative_to(ROOT))


def commands_of(page):
    """The commands of a page's shell blocks, in their order."""
    for block in FENCE.findall(page.read_text()):
        for line in block.replace("\\\n", " ").splitlines():
            if line.strip() and not line.startswith("#"):
                yield from (" ".join(part.split()) for part in line.split("&&"))


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples") / "mcnn-example"
    write_example_files(folder)
    return folder


@pytest.fixture
def small_trainings(monkeypatch):
    """Few small samples, of few kinds; the linear inverse of `evaluate` learns from few, too."""
    settings = training.Settings

    def shrunk(**given):
        network = {} if given.get("start") else SMALL_NETWORK
        return settings(**{**given, **SMALL, **network})

    monkeypatch.setattr("mcnn_keras.training.loop.Settings", shrunk)
    monkeypatch.setattr("mcnn_keras.problems.denoise.FAMILIES", {"columns": 1})
    monkeypatch.setattr("mcnn_keras.problems.reflection.RIDGE_PAIRS", 16)


@pytest.fixture
def few_iterations(monkeypatch):
    """Of the phases that are refined step by step; and engines are measured in less time."""
    minimize = scipy.optimize.minimize

    def soon(*given, options, **more):
        return minimize(*given, options={**options, "maxiter": 3}, **more)

    monkeypatch.setattr(scipy.optimize, "minimize", soon)
    monkeypatch.setattr("mcnn_keras.inference.fastest.SECONDS", 0.2)


@pytest.fixture
def watch_that_ends(monkeypatch):
    """A folder is watched until each of its images has a result, in place of for ever."""
    watch = watching.watch

    def until_done(model, card, folder, output, *rest, **options):
        def done():
            return all((output / image.name).exists() for image in folder.glob("*.tif"))

        watch(model, card, folder, output, *rest, stop=done, **options)

    monkeypatch.setattr(watching, "REST", 0.1)
    monkeypatch.setattr(watching, "PAUSE", 0.02)
    monkeypatch.setattr(watching, "watch", until_done)


@pytest.fixture
def deblur(monkeypatch):
    """The problem of the tutorial's Python code, as if a package that offers it were installed."""
    page = (ROOT / "docs" / "tutorials" / "forward-model.md").read_text()
    code = re.search(r"```python\n(.*?)^run = ", page, re.DOTALL | re.MULTILINE)[1]
    Path("my_package.py").write_text(code)
    monkeypatch.syspath_prepend(os.getcwd())
    monkeypatch.delitem(sys.modules, "my_package", raising=False)
    point = EntryPoint("deblur", "my_package:Deblur", "mcnn_keras.problems")
    monkeypatch.setattr("mcnn_keras.problems.offered", lambda: {"deblur": point})


@pytest.fixture
def workplace(examples, tmp_path, monkeypatch):
    """The folder in which a reader types: the example files, and what is the reader's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "data_tools").symlink_to(ROOT / "data_tools")
    shutil.copytree(examples, "mcnn-example")
    shutil.copytree(examples / "scans", "today")  # frames of a microscope


@pytest.fixture
def recording_of_hyperspy(workplace):
    """recording.hspy: three frames of the movie."""
    pytest.importorskip("rsciio")
    with open_recording("mcnn-example/movie.tif") as movie:
        write_recording("recording.hspy", movie.read(0, 3), movie.axes)


@pytest.fixture
def pairs_of_a_camera(workplace, rng):
    """pairs/, as data_tools/capture_reflection.py leaves it."""
    for kind, shape in (("camera", (36, 64, 3)), ("screen", (72, 128, 3))):
        Path("pairs", kind).mkdir(parents=True)
        for i in range(8):
            picture = rng.integers(0, 256, shape, dtype=np.uint8)
            iio.imwrite(f"pairs/{kind}/{i:05}.png", picture)


@pytest.fixture
def shell(tmp_path):
    """A Bash that finds the command mcnn-keras, which is this checkout's."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is not installed")
    command = tmp_path / "bin" / "mcnn-keras"
    command.parent.mkdir()
    code = "from mcnn_keras.cli import main; main()"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{code}"\n')
    command.chmod(0o755)
    path = f"{command.parent}{os.pathsep}{os.environ['PATH']}"

    def run(line):
        subprocess.run(
            [bash, "--norc", "-c", line], check=True, env={**os.environ, "PATH": path}, timeout=60
        )

    return run


# What pages need beside the example files.
NEEDS = {
    "docs/how-to/completion.md": "shell",
    "docs/how-to/hyperspy.md": "recording_of_hyperspy",
    "docs/tutorials/forward-model.md": "deblur",
    "docs/tutorials/screen-on-a-wall.md": "pairs_of_a_camera",
}
PACKAGES = {"docs/how-to/onnx.md": ("onnx", "onnxruntime")}


def run(command, shell=None):
    """Run one command; fails where it does, or leaves no output."""
    words = shlex.split(command)
    if words[0] == "mcnn-keras":
        run_here(words[1:])
    elif words[:1] == ["python"] and words[1].startswith("data_tools/"):
        small = SMALL_TOOLS.get(words[1], [])
        subprocess.run([sys.executable, *words[1:], *small], check=True, timeout=120)
    else:
        assert shell is not None, f"nothing here runs {command!r}"
        shell(command)


def run_here(words):
    """Run a command of the package in this process; text goes to a file where `>` says so."""
    target = None
    if ">" in words:
        words, target = words[: words.index(">")], words[-1]
    output = Path(words[words.index("--output") + 1]) if "--output" in words else None
    told = io.StringIO()
    if output is not None and output.suffix:
        for made in (output, output.with_suffix(".png")):  # by an earlier command
            made.unlink(missing_ok=True)
    written = contextlib.redirect_stdout(told if target else sys.stdout)
    with written, pytest.raises(SystemExit) as end:
        cli.main(words)
    assert end.value.code == 0
    if target:
        Path(target).write_text(told.getvalue())
        assert told.getvalue()
    if output is None:
        return
    assert output.exists(), f"{output} was not made"
    names = [word for word in words if not word.startswith("-")]
    if output.is_dir():
        assert any(output.iterdir()), f"{output} is empty"
    elif names[0] in WITH_PICTURE:
        assert output.with_suffix(".png").exists()
    if names[0] == "train":
        assert (output / "model.h5").exists()


@pytest.mark.parametrize("page", [p for p in PAGES if list(commands_of(p))], ids=name_of)
def test_commands_run_as_they_stand(
    page, workplace, small_trainings, few_iterations, watch_that_ends, request, monkeypatch
):
    """Fails where a reader who types a page's commands, one after the other, meets an error."""
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # the command line sets it
    for package in PACKAGES.get(name_of(page), ()):
        pytest.importorskip(package)
    need = NEEDS.get(name_of(page))
    given = None if need is None else request.getfixturevalue(need)
    commands = [command for command in commands_of(page) if command not in NOT_RUN]
    if any(command.startswith("mcnn-keras example") for command in commands):
        shutil.rmtree("mcnn-example")
    done = () if page == README else set(commands_of(README))  # index.md repeats it
    for command in commands:
        if command not in done:
            run(command, given if need == "shell" else None)


def test_what_is_not_run_is_on_a_page():
    """Fails where the table of commands that are not run, or of needs, names what is gone."""
    printed = {command for page in PAGES for command in commands_of(page)}
    assert set(NOT_RUN) <= printed
    assert {*NEEDS, *PACKAGES} <= {name_of(page) for page in PAGES}


@pytest.mark.parametrize(
    ("command", "fails"),
    [
        ("mcnn-keras denoise nothing.tif --output a.tif", "2 == 0"),
        ("mcnn-keras models --output a.tif", "2 == 0"),
        ("python data_tools/prepare_reflection.py nothing/ ready/", "status 2"),
        ("rm -r mcnn-example", "nothing here runs"),
    ],
)
def test_wrong_commands_are_noticed(command, fails, workplace):
    """Fails where this file's own check passes a command that does not run."""
    with pytest.raises((AssertionError, subprocess.CalledProcessError), match=fails):
        run(command)
