"""Fail where the shell completes nothing or the wrong thing, or waits for TensorFlow."""

import os
import shutil
import subprocess
import sys

import pytest

MAIN = "from mcnn_keras.cli import main; main()"


def asked(instruction, code=MAIN, **environment):
    """What the command writes where click's variables ask for completion."""
    environment = {**os.environ, "_MCNN_KERAS_COMPLETE": instruction, **environment}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert result.stderr == ""
    return result.stdout


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("mcnn-keras ph", {"plain,phase"}),
        ("mcnn-keras --qu", {"plain,--quiet"}),
        ("mcnn-keras --quiet mod", {"plain,models"}),
        ("mcnn-keras train lap", {"plain,laplacian"}),
        ("mcnn-keras denoise --tem", {"plain,--temporal"}),
        ("mcnn-keras denoise --quality be", {"plain,best"}),
        ("mcnn-keras denoise fra", {"file,fra"}),
    ],
)
def test_words_are_completed(words, offered):
    """Fails where a command, an option, a choice or a file is not offered."""
    cursor = str(len(words.split()) - 1)
    found = asked("bash_complete", COMP_WORDS=words, COMP_CWORD=cursor)
    assert set(found.split()) == offered


def test_completion_leaves_heavy_packages_alone():
    """Fails where each Tab waits for packages that only computing needs."""
    heavy = "{'tensorflow', 'keras', 'onnxruntime', 'skimage', 'h5py', 'numpy'}"
    code = f"import sys\ntry:\n {MAIN}\nfinally:\n print(*{heavy} & set(sys.modules))"
    found = asked("bash_complete", code, COMP_WORDS="mcnn-keras phase --refi", COMP_CWORD="2")
    assert found.split() == ["plain,--refine"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell_is_written(shell):
    """Fails where a line of the documentation loads no script."""
    if not shutil.which("bash"):  # click asks it for its version
        pytest.skip("bash is not installed")
    assert "mcnn-keras" in asked(f"{shell}_source")


def test_bash_completes_by_the_script(tmp_path):
    """Fails where Bash refuses the script, or the script does not find the command."""
    if not shutil.which("bash"):
        pytest.skip("bash is not installed")
    command = tmp_path / "mcnn-keras"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{MAIN}"\n')
    command.chmod(0o755)
    lines = (
        'eval "$(_MCNN_KERAS_COMPLETE=bash_source mcnn-keras)"\n'
        "COMP_WORDS=(mcnn-keras doc) COMP_CWORD=1\n"
        '_mcnn_keras_completion mcnn-keras\necho "${COMPREPLY[@]}"\n'
    )
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    result = subprocess.run(
        ["bash", "--norc", "-c", lines],
        capture_output=True, text=True, env={**os.environ, "PATH": path},
    )  # fmt: skip
    assert result.stdout.split() == ["doctor"], result.stderr
