"""Hostile words on the command line end in one line: never a traceback, never a file."""

import shlex

import click
import pytest

from mcnn_keras import InputError
from mcnn_keras.cli import cli, main

VALUES = ["", "nan", "-1", "1e400", "9" * 400, "\x1b[31m", "a" * 5000, "1:0:0", "{}"]
# Of these, each word may start long work.
LEFT_OUT = ("example", "doctor", "models")


def leaves(command, words=()):
    """Each command that does something, with the words that name it."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from leaves(command.get_command(context, name), (*words, name))
    elif words[0] not in LEFT_OUT:
        yield words, command


COMMANDS = dict(leaves(cli))
# The geometry of a wall takes a second for each word.
SLOW = {("train", "reflection"): pytest.mark.slow}


@pytest.fixture
def nothing_is_computed(monkeypatch):
    """What would train or simulate refuses, so that only the words are tried."""

    def refuse(*_, **__):
        raise InputError("the words were right")

    monkeypatch.setattr("mcnn_keras.training.loop._train", refuse)
    monkeypatch.setattr("mcnn_keras.training.pipeline.measurements", refuse)
    monkeypatch.setattr("mcnn_keras.training.pipeline.stream", refuse)
    monkeypatch.setattr("mcnn_keras.evaluation.evaluate", refuse)
    monkeypatch.setattr("mcnn_keras.app.server.serve", refuse)


@pytest.mark.parametrize(
    "words", [pytest.param(w, marks=SLOW.get(w, ()), id=" ".join(w)) for w in COMMANDS]
)
def test_hostile_values_end_in_one_line(words, nothing_is_computed, tmp_path, monkeypatch, capfd):
    """Fails where a value of an option or an argument ends in anything but a refusal."""
    monkeypatch.chdir(tmp_path)
    command = COMMANDS[words]
    given, options = [], []
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            choice = isinstance(parameter.type, click.Choice)
            given.append(parameter.type.choices[0] if choice else "absent.tif")
        elif not parameter.is_flag:
            options.append(parameter)
    needed = {p.name: [p.opts[0], "out.tif"] for p in options if p.required}
    for parameter in options:
        for value in VALUES:
            own = [parameter.opts[0], *[value] * parameter.nargs]
            rest = [w for name, pair in needed.items() if name != parameter.name for w in pair]
            line = [*words, *given, *rest, *own]
            with pytest.raises(SystemExit) as stopped:
                main(line)
            told = capfd.readouterr().err
            assert stopped.value.code == 2, shlex.join(line)[:300]
            assert told.count("Error: ") == 1, shlex.join(line)[:300] + told[:300]
            assert "Traceback" not in told
            assert "\x1b" not in told
    assert not list(tmp_path.iterdir())
