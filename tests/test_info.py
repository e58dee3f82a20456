"""Fail where the card of a model leaves a reader without a fact, or tells a wrong one."""

import dataclasses
import json
import re
import shlex
from pathlib import Path

import pytest
from test_docs import leaf, require_options

from mcnn_keras import cli
from mcnn_keras.cli import card_words
from mcnn_keras.cli.info import card_text
from mcnn_keras.models.saving import read_card, shipped
from mcnn_keras.problems import any_phase, denoise, names, phase, reflection
from mcnn_keras.targets import sequences, specimens

OLD = sorted((Path(__file__).parent / "data" / "models").glob("*.h5"))
HEADINGS = ("How to use it", "Input and output", "Training", "Quality", "Uncertainty")


def sections(text):
    """The text of each section, by its heading."""
    parts = re.split(r"^## (.*)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def table(section):
    """The cells of a section's first table, without the line below the heads."""
    lines = [line for line in section.splitlines() if line.startswith("|")]
    assert len({len(line) for line in lines[:3]}) == 1  # even columns
    return [[c.strip() for c in line.strip("|").split("|")] for line in (lines[0], *lines[2:])]


@pytest.mark.parametrize("name", [*shipped(), *map(str, OLD)], ids=lambda n: Path(n).stem)
def test_cards_are_told_in_words(name):
    """Fails where a section lacks, Python's or JSON's words are left, or a command is refused."""
    text = card_text(read_card(name), name)
    assert text.startswith(f"# {name}\n")
    found = sections(text)
    assert set(HEADINGS) <= set(found)
    assert not re.search(r"\bNone\b|\bTrue\b|\bFalse\b|nan|[{}\[\]]|  -|\n\n\n", text)
    (command,) = (line for line in found["How to use it"].splitlines() if line.startswith("    "))
    words = shlex.split(command)
    assert words[0] == "mcnn-keras"
    require_options(words[1:])
    reader, _, rest = leaf(words[1:])
    reader.make_context(reader.name, rest)
    assert name in words or name in ("denoise", "denoise-fast", "phase")


def test_every_range_has_a_meaning():
    """Fails where a range of a problem is told without its unit and meaning, or one is gone."""
    ranges = {
        "denoise": {**denoise.RANGES, **specimens.RANGES, **sequences.SEQUENCES},
        "phase": {"phase_span": (), **phase.RANGES},
        "any_phase": any_phase.RANGES,
        "reflection": reflection.RANGES,
    }
    for name, own in ranges.items():
        assert set(own) == set(card_words.MEANINGS[name])
    assert set(card_words.PURPOSES) == set(names())
    assert set(card_words.FAILURES) <= set(names())
    assert set(card_words.OF_SHIPPED) <= set(shipped())


def test_units_are_those_of_the_card():
    """Fails where a length of electrons is told in um, or a limit is another than the card's."""
    card = read_card("phase-108")
    rows = {row[0]: row[1:] for row in table(sections(card_text(card, "x"))["Optics"])}
    assert rows["defocus"] == ["-108", "um"]
    assert rows["wavelength"] == ["0.65", "um"]
    rows = {row[0]: row[1:4] for row in table(sections(card_text(card, "x"))[
        "Ranges of the training"])}  # fmt: skip
    assert rows["focus_offset"] == ["-1", "1", "um"]
    assert rows["dose"] == ["1000", "20000", "1/pixel"]
    assert rows["phase_span"] == ["0.2", "3", "rad"]
    electrons = dataclasses.replace(card, inputs=dataclasses.replace(card.inputs, unit="A"))
    rows = {row[0]: row[1:] for row in table(sections(card_text(electrons, "x"))["Optics"])}
    assert rows["defocus"] == ["-108", "A"]


def test_the_quality_stands_beside_what_it_must_beat():
    """Fails where an error is told without the constant's, or measured sets are left out."""
    card = read_card("phase-108")
    quality = sections(card_text(card, "x"))["Quality"]
    assert table(quality)[1:3] == [
        ["this model", f"{card.metrics['test_mae']:.4g} rad",
         f"{card.metrics['test_correlation']:.4g}"],
        ["to beat: the best constant", f"{card.metrics['constant_answer_mae']:.4g} rad", "0"],
    ]  # fmt: skip
    own = card.metrics["measured"]["24 of 512x512"]["network"]
    after = quality[quality.index("24 of 512x512:") :]
    assert ["network", str(own["error"]), str(own["correlation"])] in table(after)
    assert "Not measured." in card_text(dataclasses.replace(card, metrics={}), "x")


def test_columns_of_atoms_are_told():
    """Fails where the counts of a card's metrics are not in its table, or hide other numbers."""
    row = {"true": 40, "invented": 3, "missed": 10, "position_error": 0.25}
    told = {"frames": 2, "groups": [
        {"snr_db": [0.0, None], "frames": 2, "columns": 50, "answers": {"network": row}},
    ]}  # fmt: skip
    card = dataclasses.replace(
        read_card("denoise"), metrics={"columns": told, "lists": {"a": [1, 2]}, "mean margin": 3.5}
    )
    quality = sections(card_text(card, "x"))["Quality"]
    assert table(quality)[1] == ["above 0 dB (50 columns in 2 frames)", "network", "3 (6.0%)",
                                 "10 (20.0%)", "0.25 pixels"]  # fmt: skip
    assert "- mean margin: 3.5" in quality
    assert "Only in the JSON: lists." in quality


def test_the_calibration_is_told():
    """Fails where an uncertainty that was not calibrated sounds as if it were, or the other way."""
    card = read_card("denoise")
    bare = dataclasses.replace(card, calibration={})
    assert "Not calibrated" in sections(card_text(bare, "x"))["Uncertainty"]
    told = {"coverage": 0.9, "widths": [[0.1, 0.2]], "corrections": [[0, 0]], "samples": 10,
            "calibration_samples": 77, "measured": {
                "coverage": 0.888, "coverage by width": [0.7, 0.95],
                "coverage of samples": [0.61, 0.99]}}  # fmt: skip
    own = dataclasses.replace(card, calibration=told)
    text = " ".join(sections(card_text(own, "x"))["Uncertainty"].split())
    assert "Not calibrated" not in text
    assert "stated to hold the truth in 90 % of the pixels. Measured on 77 further" in text
    assert "all pixels: 88.8 %" in text
    assert "widest: 70, 95 %" in text
    assert "61 to 99 %" in text
    other = dataclasses.replace(card, calibration={"factor": 1.5})
    assert "- factor: 1.5" in sections(card_text(other, "x"))["Uncertainty"]


def test_strange_values_are_told_as_they_stand(monkeypatch, capfd):
    """Fails where a card that another program changed ends in a traceback."""
    card = read_card("denoise")
    strange = dataclasses.replace(card, metrics={"test_mae": "good"}, calibration={"coverage": []})
    monkeypatch.setattr("mcnn_keras.models.saving.read_card", lambda _: strange)
    with pytest.raises(SystemExit) as stop:
        cli.main(["info", "denoise"])
    assert stop.value.code == 0
    assert json.loads(capfd.readouterr().out)["metrics"] == {"test_mae": "good"}


def test_programs_get_all_facts(capfd):
    """Fails where the JSON lacks a fact of the card, or people get JSON."""
    for words in (["--json", "info", "phase"], ["info", "phase"]):
        with pytest.raises(SystemExit) as stop:
            cli.main(words)
        assert stop.value.code == 0
        out = capfd.readouterr().out
        if "--json" in words:
            assert json.loads(out)["result"] == read_card("phase").asdict()
        else:
            assert out.startswith("# phase\n")
