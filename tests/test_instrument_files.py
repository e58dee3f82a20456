"""Fail where texts beside images, or the images' files, tell optics that are lost or mistaken."""

import json

import numpy as np
import pytest

from mcnn_keras import InputError
from mcnn_keras.cli import main
from mcnn_keras.files import Axis, write_recording
from mcnn_keras.files.instrument import NotMeant, read_instrument, told_beside
from mcnn_keras.inference.planes import match_planes
from mcnn_keras.models.saving import read_card

TOLD = {"defocus": [-52, 52], "wavelength": 0.65, "pixel_size": 0.31, "numerical_aperture": 0.45}


def write(path, pixel=None, planes=2, told=None):
    images = 1 + 0.01 * np.random.default_rng(planes).random((planes, 32, 32))
    inner = (Axis(n, 32, pixel, 0.0, "um" if pixel else "") for n in "yx")
    write_recording(path, images.astype(np.float32), (Axis("", planes), *inner), mark=False)
    if told is not None:
        text = told if isinstance(told, str) else json.dumps(told)
        path.with_suffix(".json").write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def run(tmp_path, capfd):
    def run(*arguments, output="phase.tif"):
        words = [*arguments, "--output", tmp_path / output, "--overwrite"]
        with pytest.raises(SystemExit) as stop:
            main([str(word) for word in words])
        return stop.value.code, *capfd.readouterr()

    return run


def refused(result):
    """The only line of a refusal."""
    code, _, errors = result
    assert code == 2, errors
    assert "Traceback" not in errors
    (line,) = [text for text in errors.splitlines() if not text.startswith("Warning: ")]
    return line


class TestFilesThatDisagree:
    def test_the_pixel_size_of_file_and_text(self, run, tmp_path):
        """Fails where one of two pixel sizes is taken without a word, or named by another file."""
        stack = write(tmp_path / "a.h5", 0.29, told=TOLD)
        line = refused(run("reconstruct", "tie", stack))
        assert f"the pixel size is 0.29 um in {stack}, and 0.31 um in" in line
        assert "a.json; give the right one with --pixel-size" in line
        code, told, _ = run("reconstruct", "tie", stack, "--pixel-size", 0.3)
        assert code == 0
        assert "wavelength 0.65 um (from a.json)" in told
        assert "pixel size" not in told

    @pytest.mark.parametrize(("pixel", "source"), [(0.311, "the file"), (None, "a.json")])
    def test_the_source_of_a_value_is_its_own(self, pixel, source, run, tmp_path):
        """Fails where the file's pixel size is said to come from the text."""
        code, told, errors = run("reconstruct", "tie", write(tmp_path / "a.h5", pixel, told=TOLD))
        assert code == 0, errors
        assert f"pixel size {pixel or 0.31} um (from {source})" in told

    @pytest.mark.parametrize(
        ("key", "other", "option"),
        [("wavelength", 0.532, "--wavelength"), ("pixel_size", 0.35, "--pixel-size"),
         ("numerical_aperture", 0.6, "--numerical-aperture")],
    )  # fmt: skip
    def test_the_optics_of_several_files(self, key, other, option, run, tmp_path):
        """Fails where only the first file is asked for its optics."""
        names = []
        for name, told in (("a", TOLD), ("b", {**TOLD, key: other})):
            told = {**told, "defocus": [-52 if name == "a" else 52]}
            names.append(write(tmp_path / f"{name}.h5", planes=1, told=told))
        line = refused(run("reconstruct", "tie", *names))
        assert f"the {key.replace('_', ' ')} is {TOLD[key]}" in line
        assert f"b.json; give the right one with {option}" in line
        assert run("reconstruct", "tie", *names, option, other)[0] == 0

    def test_what_only_a_later_file_tells(self, run, tmp_path):
        """Fails where the optics beside the second file are passed over."""
        names = [write(tmp_path / "a.h5", 0.31, 1), write(tmp_path / "b.h5", 0.31, 1, TOLD)]
        (tmp_path / "b.json").write_text(json.dumps({"wavelength": 0.65}))
        words = ("reconstruct", "tie", *names, "--defocus", "-52,52")
        code, told, errors = run(*words)
        assert code == 0, errors
        assert "wavelength 0.65 um (from b.json)" in told

    def test_pixels_of_the_second_file(self, run, tmp_path):
        """Fails where the pixel size of the second of two image files is passed over."""
        names = [write(tmp_path / "a.h5", 0.31, 1), write(tmp_path / "b.h5", 0.62, 1)]
        words = ("reconstruct", "tie", *names, "--defocus", "-52,52", "--wavelength", 0.65)
        assert "0.31 um in" in refused(run(*words))
        assert run(*words, "--pixel-size", 0.31)[0] == 0
        code, _, errors = run("predict", "phase-52+52", *names, "--defocus", "-52,52")
        assert code == 0
        assert f"the pixels of {names[1]} are 0.62 um" in errors


class TestSeveralTexts:
    def test_planes_in_one_and_optics_in_the_other(self, run, tmp_path):
        """Fails where only the first text beside a stack is read."""
        optics = {key: TOLD[key] for key in ("wavelength", "pixel_size", "numerical_aperture")}
        stack = write(tmp_path / "a.h5", told=optics)
        (tmp_path / "a.txt").write_text("52 -52")
        told = told_beside(stack)
        assert (told.defocus, told.source) == ((52, -52), "a.txt")
        assert (told.optics, told.optics_source) == (optics, "a.json")
        assert run("reconstruct", "tie", stack)[0] == 0

    def test_a_text_of_something_else_is_passed_over(self, tmp_path):
        """Fails where notes beside a stack hide the planes in its .json, or the other way round."""
        stack = write(tmp_path / "a.h5", told=TOLD)
        (tmp_path / "a.txt").write_text("far and near")
        assert told_beside(stack).defocus == (-52, 52)
        (tmp_path / "a.txt").write_text("-52 52")
        (tmp_path / "a.json").write_text('{"shapes": [], "version": 5}')
        told = told_beside(stack)
        assert (told.defocus, told.faults, told.notes) == ((-52, 52), (), ())

    def test_different_planes_are_refused(self, run, tmp_path):
        """Fails where one of two lists of planes is taken without a word."""
        stack = write(tmp_path / "a.h5", told=TOLD)
        (tmp_path / "a.txt").write_text("52 -52")
        for words in (("reconstruct", "tie", stack), ("predict", "phase-52+52", stack)):
            assert "a.txt and a.json next to" in refused(run(*words))
        (tmp_path / "a.txt").write_text("-52.0 52.1")
        assert told_beside(stack).defocus == (-52, 52.1)
        (tmp_path / "a.defocus.txt").write_text("-52 52")
        (tmp_path / "a.csv").write_text("1 2 3")  # a table of something else
        assert told_beside(stack).source == "a.defocus.txt"


class TestJson:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("[1, 2]", "holds [1, 2], and planes and optics by their names are expected"),
            ('"x"', 'holds "x", and planes'),
            ("5", "holds 5, and planes"),
            ("null", "holds null, and planes"),
            ('{"defocus": [-52, 52]', "is not valid JSON (Expecting ',' delimiter, line 1, column"),
            ("[" * 100000, "is not valid JSON"),
            ('{"defocus": [-52, 52], "unit": "furlong"}', "names the unit 'furlong'; choose"),
            ('{"defocus": [-52, 52], "unit": 1e-6}', "names the unit 1e-06; choose from m"),
            ('{"wavelength": [0.65]}', '"wavelength" is [0.65]; write a number'),
            ('{"pixel_size": true}', '"pixel_size" is true; write a number'),
            ('{"pixel_size": 1e999}', '"pixel_size" is Infinity, no finite number'),
            ('{"numerical_aperture": "all"}', '"numerical_aperture" is "all"; write a number'),
            ('{"defocus": [-52, NaN]}', "a plane in defocus is NaN, no finite number"),
            ('{"defocus": [true, false]}', "a plane in defocus is true; write a number"),
            ('{"defocus": "52"}', '"defocus" is "52"; write a list with a number for each image'),
            ('{"defocus": {"0": -52}}', '"defocus" is {"0": -52}; write a list'),
            ('{"defocus": []}', '"defocus" is []; write a list'),
            ('{"defocus": [-52, 52], "NA": 0.45}', "'NA', which is not known; write 'numerical"),
            ('{"defocus": [1], "waveLength": 1}', "key 'waveLength', which is not known; write 'w"),
            ('{"defocus": [1], "pixel_size_nm": 310}', "which is not known; write 'pixel_size'"),
            ('{"defocus": [1], "units": "nm"}', "key 'units', which is not known; write 'unit'"),
        ],
    )  # fmt: skip
    def test_each_fault_has_its_own_message(self, text, message, run, tmp_path):
        """Fails where a fault ends in a traceback, or is called a missing list of planes."""
        stack = write(tmp_path / "a.h5", told=text)
        line = refused(run("reconstruct", "tie", stack))
        assert message in line
        assert "a.json" in line
        assert message in refused(run("predict", "phase-52+52", stack))
        # Not needed, and still told.
        given = ("--defocus", "-52,52", "--wavelength", 0.65, "--pixel-size", 0.31)
        code, _, errors = run("reconstruct", "tie", stack, *given)
        assert code == 0, errors
        assert message in errors

    def test_optics_that_are_needed_are_not_said_to_be_missing_alone(self, run, tmp_path):
        """Fails where the message does not say why the .json was not taken."""
        stack = write(tmp_path / "a.h5", told='{"wavelength": 0,65}')
        line = refused(run("reconstruct", "tie", stack, "--defocus", "-52,52"))
        assert "is not valid JSON" in line
        assert "the wavelength and pixel size are not known" in line

    def test_units(self, tmp_path):
        """Fails where a micro sign is not understood, or a unit of planes scales the optics."""
        path = tmp_path / "a.json"
        for unit in ("um", "\u00b5m", "\u03bcm", "micron"):
            path.write_text(json.dumps({**TOLD, "unit": unit}, ensure_ascii=False), "utf-8-sig")
            told = read_instrument(path, "A")
            assert told.defocus == pytest.approx((-52e4, 52e4))
            assert told.optics["pixel_size"] == pytest.approx(3100)
            assert told.optics["numerical_aperture"] == 0.45
        path.write_text(json.dumps({**TOLD, "defocus": [-52e3, 52e3], "defocus_unit": "nm"}))
        told = read_instrument(path, "um")
        assert told.defocus == pytest.approx((-52, 52))
        assert (told.optics["wavelength"], told.optics["pixel_size"]) == (0.65, 0.31)
        path.write_text(json.dumps({"defocus": [1], "defocus_unit": "um", "unit": "nm",
                                    "wavelength": 650}))  # fmt: skip
        told = read_instrument(path, "um")
        assert told.defocus == (1,)
        assert told.optics["wavelength"] == pytest.approx(0.65)

    def test_values_that_the_options_take(self, tmp_path):
        """Fails where an aperture of none, a plane alone or a null are refused."""
        path = tmp_path / "a.json"
        path.write_text('{"defocus": -108, "numerical_aperture": "none", "wavelength": null}')
        told = read_instrument(path, "um")
        assert (told.defocus, told.optics) == ((-108,), {})
        path.write_text('{"description": "cells", "size": 3}')
        with pytest.raises(NotMeant, match="holds no list of planes and no optics; known are"):
            read_instrument(path, "um")

    def test_unknown_keys_are_told(self, run, tmp_path):
        """Fails where a key is passed over without a word."""
        stack = write(tmp_path / "a.h5", told={**TOLD, "voltage": 300, "operator": "N. N."})
        code, _, errors = run("reconstruct", "tie", stack)
        assert code == 0
        assert "ignored, as not known: voltage, operator; known are defocus, wavelength" in errors
        assert "ignored, as not known" in run("predict", "phase-52+52", stack)[2]


def test_planes_that_are_no_numbers(run, tmp_path):
    """Fails where a plane of NaN makes a warning or a traceback before it is refused."""
    stack = write(tmp_path / "a.h5")
    light = ("--wavelength", 0.65, "--pixel-size", 0.31)
    for words in (("reconstruct", "tie", stack, *light), ("predict", "phase-52+52", stack)):
        code, _, errors = run(*words, "--defocus", "nan,52")
        assert code == 2
        (line,) = errors.strip().splitlines()
        assert "the plane nan is not a finite number; correct it" in line
    with pytest.raises(InputError, match="not a finite number"):
        match_planes(read_card("phase-52+52").inputs, [-52, float("inf")])


def test_a_model_for_one_plane_is_told_of_a_fault(run, tmp_path):
    """Fails where a .json that cannot be read changes nothing and nobody knows."""
    stack = write(tmp_path / "a.h5", planes=1, told="[1]")
    code, _, errors = run("predict", "phase-108", stack)
    assert code == 0
    assert f"Warning: {tmp_path / 'a.json'} holds [1], and planes and optics" in errors


def test_planes_of_a_text_are_in_the_unit_of_electrons(run, tmp_path):
    """Fails where the unit of a text depends on which option comes first."""
    stack = write(tmp_path / "a.h5", planes=2)
    planes = tmp_path / "planes.json"
    planes.write_text('{"defocus": [-300, 300], "unit": "nm"}')
    options = ("--defocus", planes), ("--energy", 300e3), ("--pixel-size", 0.5)
    for order in (options, options[::-1]):
        given = [word for option in order for word in option]
        code, told, errors = run("reconstruct", "tie", stack, *given)
        assert code == 0, errors
        assert "(-3000 to 3000 A)" in told
