"""Fail where the help or an error leaves a newcomer without the next step."""

import re
import shlex
from types import SimpleNamespace

import click
import pytest
from test_docs import leaf, require_options

from mcnn_keras import InputError, cli
from mcnn_keras.cli.sections import ORDER
from mcnn_keras.files.formats import is_image_file
from mcnn_keras.inference.names import expanded
from mcnn_keras.progress import Progress, hidden

NEEDY = ["denoise", "predict", "predict denoise x.tif", "info", "evaluate", "export denoise",
         "phase", "reconstruct", "reconstruct tie", "compare phase", "simulate phase",
         "simulate denoise", "calibrate"]  # fmt: skip
WITH_HEADINGS = [
    "train phase", "train denoise", "train laplacian", "train reflection", "train paired",
    "train any_phase", "simulate phase", "simulate denoise",
]  # fmt: skip


def run(*words):
    with pytest.raises(SystemExit) as stop:
        cli.main(list(words))
    return stop.value.code


@pytest.mark.parametrize("words", NEEDY)
def test_a_missing_word_is_told_with_an_example(words, capfd):
    """Fails where the error names no example, one of another command, or one that is refused."""
    assert run(*words.split()) == 2
    out, err = capfd.readouterr()
    assert out == ""
    message, example = err.strip().split(". For example: ")
    assert message.startswith("Error: Missing ")
    assert "\n" not in example
    given = shlex.split(example)
    command, _, _ = leaf(words.split())
    own, _, rest = leaf(given[1:])
    assert own is command
    require_options(given[1:])
    own.make_context(own.name, rest)


@pytest.mark.parametrize("words", WITH_HEADINGS)
def test_options_stand_under_headings(words, capfd):
    """Fails where an option is left out of the help, is there twice, or stands under no heading."""
    group, name = words.split()
    assert run(group, name, "--help") == 0
    text = capfd.readouterr().out
    parts = re.split(r"^(\w+):\n(?=  -)", text, flags=re.MULTILINE)
    headings, bodies = parts[1::2], parts[2::2]
    assert headings == [h for h in (*ORDER, "Help") if h in headings]
    shown = re.findall(r"^  (-[^\s,]+)", "".join(bodies), flags=re.MULTILINE)
    command, context, _ = leaf([group, name])
    parameters = [p for p in command.get_params(context) if isinstance(p, click.Option)]
    # The names of --help depend on where a command is first used.
    own = [p.opts[0] for p in parameters if hasattr(p, "section")]
    assert sorted(set(shown) - {"-h", "--help"}) == sorted(own)
    assert len(shown) == len(own) + 1
    under = dict(zip(headings, bodies, strict=True))
    assert "--seed" in under["Samples"]
    if group == "train":
        assert "--preset" in under["Network"]
        assert "--epochs" in under["Training"]
        assert "--resume" in under["Run"]
    if name == "phase":
        assert "--wavelength" in under["Optics"]
        assert "--defocus" in under["Problem"]


def test_a_folder_without_images_lists_the_formats(tmp_path):
    """Fails where the error names no format, or one that is not read."""
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(InputError, match="holds no image file") as told:
        expanded(tmp_path)
    endings = re.findall(r"\.[a-z]+[0-9]?\b", str(told.value).split("these are read:")[1])
    assert len(endings) > 8
    assert all(is_image_file(tmp_path / f"x{ending}") for ending in endings)


@pytest.mark.parametrize(
    ("step", "text"),
    [
        (0, "continues at epoch 1 of 3"),
        (10, "continues at epoch 2 of 3"),
        (14, "continues at epoch 2 of 3, step 5 of 10"),
        (30, "all 3 epochs are done already"),
    ],
)
def test_a_resumed_training_tells_where_it_goes_on(step, text, capfd):
    """Fails where the epoch or the step is another than that of the checkpoint."""
    settings = SimpleNamespace(steps_per_epoch=10, epochs=3, steps=30)
    Progress(settings).going_on(step)
    assert capfd.readouterr().err == text + "\n"
    with hidden():
        Progress(settings).going_on(step)
    assert capfd.readouterr().err == ""
