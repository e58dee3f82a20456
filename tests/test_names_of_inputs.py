"""Fail where a name is read as something else, or a run takes its own results for measurements."""

import json
import struct

import numpy as np
import pytest
import tifffile

from mcnn_keras import InputError
from mcnn_keras.files import (
    Axis,
    Panel,
    open_recording,
    require_free,
    split_name,
    write_figure,
    write_png,
    write_recording,
)
from mcnn_keras.files.fingerprint import fingerprint
from mcnn_keras.files.own import PICTURE, RESULT, made_here
from mcnn_keras.files.places import spool_folder
from mcnn_keras.inference.names import expanded
from mcnn_keras.inference.planning import plan
from mcnn_keras.inference.stream import THERE
from mcnn_keras.inference.watch import _images_in, _name, _Telling
from mcnn_keras.models.saving import read_card

pytestmark = pytest.mark.filterwarnings("ignore:The NestedDirectoryStore:FutureWarning")
FRAME = np.ones((40, 50), np.float32)


def note_of(name, **more):
    """The note in the picture beside a result."""
    return json.dumps({"result": name, **more})


@pytest.mark.parametrize(
    "folder", ["run[1]", "50% done", "Proben Ä ö", "a b", "12:30", "x?y", "s*r"]
)
def test_folders_of_any_name_are_found(folder, tmp_path):
    """Fails where a bracket, a blank, a colon or a wildcard in a folder's name is a pattern."""
    place = tmp_path / folder
    place.mkdir()
    for name in ("b.tif", "a.tif", "a[1].tif", "c*.tif"):
        tifffile.imwrite(place / name, FRAME)
    everything = sorted(str(place / n) for n in ("a.tif", "b.tif", "a[1].tif", "c*.tif"))
    assert expanded(place) == everything
    assert expanded(f"{place}/*.tif") == everything
    assert expanded(f"{place}/[ab].tif") == [str(place / "a.tif"), str(place / "b.tif")]
    for name in ("a[1].tif", "c*.tif"):  # as it is, before it is a pattern
        assert expanded(place / name) == [str(place / name)]
        with open_recording(place / name) as recording:
            assert recording.size == (40, 50)
    with pytest.raises(InputError, match="no file matches"):
        expanded(f"{place}/*.png")


def test_colons_name_images_only_behind_files(tmp_path, monkeypatch):
    """Fails where a file or folder whose name holds a colon is split, or an image's is not."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scan.h5:1").mkdir()
    for name in ("scan.h5:1/a.npy", "a.dm4:b.npy"):
        np.save(tmp_path / name, FRAME)
        assert split_name(name) == (name, "")
        assert open_recording(name).size == (40, 50)
    assert split_name("two.h5:/a/b") == ("two.h5", "/a/b")
    assert split_name("x/scan.emd:HAADF: 2") == ("x/scan.emd", "HAADF: 2")
    assert split_name("12:30.tif") == ("12:30.tif", "")
    np.save(tmp_path / "c.npy", FRAME)
    with pytest.raises(InputError, match=r"is not there|names no images"):
        open_recording("c.npy:1")


def test_images_are_named_in_patterns(tmp_path):
    """Fails where the name of an image behind a pattern is lost."""
    for name in ("a.h5", "b.h5"):
        write_recording(tmp_path / name, FRAME[None], mark=False)
    found = expanded(f"{tmp_path}/*.h5:/data")
    assert found == [f"{tmp_path}/a.h5:/data", f"{tmp_path}/b.h5:/data"]


NAMES = ("a.tif", "a.ome.tif", "a.h5", "a.zarr", "a.hspy", "a.mrc", "a.npy")


@pytest.mark.parametrize("name", NAMES)
def test_results_are_known_again(name, tmp_path):
    """Fails where a result bears no mark, or a measurement is taken for one."""
    if name.endswith(("zarr", "hspy", "mrc")):
        pytest.importorskip("rsciio")
    axes = (Axis("height", 40, 0.2, 0, "nm"), Axis("width", 50, 0.2, 0, "nm"))
    write_recording(tmp_path / name, FRAME[None], axes, "Ptµ")
    write_png((tmp_path / name).with_suffix(".png"), FRAME, note=note_of(name))
    assert made_here(tmp_path / name) == RESULT
    write_recording(tmp_path / f"b{name}", FRAME[None], axes, "Pt", mark=False)
    write_png((tmp_path / f"b{name}").with_suffix(".png"), FRAME, mark=False)
    assert made_here(tmp_path / f"b{name}") == ""
    assert made_here((tmp_path / f"b{name}").with_suffix(".png")) == ""


def test_pictures_are_known_again(tmp_path):
    """Fails where a picture beside a result is taken for an image, or a user's for one of ours."""
    from PIL import Image

    from mcnn_keras.inference.video import write_video

    write_png(tmp_path / "a.png", FRAME)
    write_figure(
        tmp_path / "b.png", [Panel(FRAME * [[1, 2] * 25], "phase", "rad")], note=note_of("b.tif")
    )
    write_video(tmp_path / "c.gif", np.stack([FRAME] * 2), np.stack([FRAME, 2 * FRAME]))
    for name in ("a.png", "b.png", "c.gif"):
        assert made_here(tmp_path / name) == PICTURE
    Image.fromarray(np.ones((40, 50), np.uint8)).save(tmp_path / "d.png")
    (tmp_path / "e.png").write_bytes(b"\x89PNG\r\n\x1a\n\xff\xff\xff\xfftEXt")
    for name in ("d.png", "e.png", "missing.png"):
        assert made_here(tmp_path / name) == ""


def test_earlier_results_are_left_out_of_a_folder(tmp_path, monkeypatch):
    """Fails where a second run over a folder restores its results once more, or drops all."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.tif", "b.npy"):
        (tifffile.imwrite if name.endswith("tif") else np.save)(tmp_path / name, FRAME)
    for name in ("a_denoised.tif", "b_denoised.npy"):
        write_recording(tmp_path / name, FRAME[None])
        write_png((tmp_path / name).with_suffix(".png"), FRAME, note=note_of(name))
    told = []
    assert expanded(".", told.append) == ["a.tif", "b.npy"]
    assert "a_denoised.tif" in told[0]
    assert expanded("a*", told.append) == ["a.tif"]
    # Results among themselves are inputs of a next step; pictures never are.
    assert expanded("*_denoised*") == ["a_denoised.tif", "b_denoised.npy"]
    assert expanded("a_denoised.tif") == ["a_denoised.tif"]
    with pytest.raises(InputError, match="no file matches"):
        expanded("*.png")
    jobs = plan("denoise", read_card("denoise"), ["."], "clean", say=told.append)
    assert [str(job.output) for job in jobs] == ["clean/a.tif", "clean/b.npy"]
    told.clear()
    plan("denoise", read_card("denoise"), ["a.tif", "a_denoised.tif"], "clean", say=told.append)
    assert told[0].startswith("Warning: mcnn-keras itself wrote a_denoised.tif")


def test_a_picture_is_replaced_where_its_result_is_gone(tmp_path):
    """Fails where the picture of no result stops the next one, or another picture is replaced."""
    picture = tmp_path / "a.png"
    write_png(picture, FRAME, note=note_of("a.tif"))
    require_free([tmp_path / "a.npy", picture])
    write_recording(tmp_path / "a.tif", FRAME[None])  # which it shows
    with pytest.raises(InputError, match=r"a\.png is there already"):
        require_free([tmp_path / "a.npy", picture])
    for more in ({"mark": False, "note": note_of("b.tif")}, {}):  # another's; one of no result
        write_png(tmp_path / "b.png", FRAME, **more)
        with pytest.raises(InputError, match="is there already"):
            require_free([tmp_path / "b.npy", tmp_path / "b.png"])


def test_a_twin_that_appears_later_is_watched_too(tmp_path):
    """Fails where the second of x.tif and x.npy is never done, or replaces the first's result."""
    first, output = tmp_path / "x.tif", tmp_path / "clean"
    output.mkdir()
    tifffile.imwrite(first, FRAME)
    assert _name(first, _images_in(tmp_path, {}, tmp_path / "clean"), output) == "x.tif"
    write_recording(output / "x.tif", FRAME[None])
    write_png(output / "x.png", FRAME, note=note_of("x.tif", files={}, inputs=["x.tif"]))
    np.save(tmp_path / "x.npy", FRAME)
    images = _images_in(tmp_path, {}, output)
    assert _name(first, images, output) == "x.tif"  # as it was
    assert _name(tmp_path / "x.npy", images, output) == "x.npy.npy"
    plan("denoise", read_card("denoise"), [str(tmp_path / "x.npy")], output / "x.npy.npy")
    write_recording(tmp_path / "x_denoised.tif", FRAME[None])
    assert _images_in(tmp_path, {}, tmp_path / "clean") == images
    # A result of another image, which is gone, keeps its place.
    write_png(output / "x.png", FRAME, note=note_of("x.tif", files={}, inputs=["x.dm4"]))
    assert _name(first, [first], output) == "x.tif.tif"


def test_what_was_begun_before_a_twin_came_is_gone_on_with(tmp_path):
    """Fails where the unfinished frames of x.tif are left since x.npy appeared before the rest."""
    first, output = tmp_path / "x.tif", tmp_path / "clean"
    tifffile.imwrite(first, FRAME)
    spool = spool_folder(output / "x.tif")
    spool.mkdir(parents=True)
    (spool / "identity.json").write_text(json.dumps({"files": [fingerprint(first)]}))
    np.save(tmp_path / "x.npy", FRAME)
    images = _images_in(tmp_path, {}, output)
    assert _name(first, images, output) == "x.tif"
    assert _name(tmp_path / "x.npy", images, output) == "x.npy.npy"
    tifffile.imwrite(first, FRAME + 1)  # another image: what was begun is of no use to it
    assert _name(first, images, output) == "x.tif.tif"


def test_an_image_of_tia_that_was_taken_before_its_emi_came_is_not_taken_again(tmp_path):
    """Fails where a .ser that rests before its .emi is there gives two results of one image."""
    pytest.importorskip("rsciio")
    day, output, told = tmp_path / "day", tmp_path / "clean", []
    day.mkdir()
    output.mkdir()
    tia(day / "a.emi", 1)
    tia(day / "b.emi", 1)
    tia(day / "d.emi", 1, "Diffraction")
    for name in "ad":  # their .ser files had results before
        image = output / f"{name}_1.png"
        write_png(image, FRAME, note=note_of(f"{name}_1.tif", files={}, inputs=[f"{name}_1.ser"]))
    found = _images_in(day, {}, output, told.append)
    assert [p.name for p in found] == ["a_1.ser", "b.emi", "d_1.ser"]
    assert [p.name for p in told] == ["a.emi", "d.emi"]
    lines = []
    tell = _Telling(lines.append)
    for emi in told * 2:
        tell.of_left_out(emi)
    assert len(lines) == 3
    assert lines[0] == f"left out: {told[0]}; its images are taken from its .ser files"
    assert "d.emi holds diffraction patterns" in lines[2]


def test_many_results_that_are_there_are_counted():
    """Fails where a watched folder of a day tells each finished file on its own line."""
    lines = []
    tell = _Telling(lines.append)
    for name in ("a.tif", "b.tif"):
        tell(f"{name} {THERE}")
    assert not lines
    tell("wrote c.tif")
    tell(f"d.tif {THERE}")
    tell.rest()
    tell.rest()
    assert lines == ["2 results are there already", "wrote c.tif", "d.tif is there already"]


def tia(path, number, mode="TEM"):
    """A .emi, and a .ser file with an image of ones for each number."""
    description = f"<Data><Label>Mode</Label><Value>{mode}</Value><Unit></Unit></Data>"
    path.write_text(
        "\x01<ObjectInfo><AcquireInfo><A>1</A></AcquireInfo><ExperimentalDescription><Root>"
        f"{description}</Root></ExperimentalDescription></ObjectInfo>\x02"
    )
    for i in range(1, number + 1):
        dimension = struct.pack("<IddIII", 1, 0, 1, 0, 0, 0)
        head = struct.pack("<HHHIIIIII", 0x4949, 0x197, 528, 0x4122, 0x4152, 1, 1, 62, 1)
        image = struct.pack("<ddIddIHII", 0, 1e-9, 0, 0, 1e-9, 0, 2, 50, 40)
        values = np.ones((40, 50), "<u2").tobytes() + struct.pack("<HHI", 0x4152, 0, 0)
        places = struct.pack("<II", 70, 70 + len(image) + len(values))
        path.with_name(f"{path.stem}_{i}.ser").write_bytes(
            head + dimension + places + image + values
        )


def test_an_image_of_tia_is_taken_once(tmp_path):
    """Fails where a .emi and its .ser file give two results, or one of several is lost."""
    pytest.importorskip("rsciio")
    tia(tmp_path / "a.emi", 1)
    tia(tmp_path / "b.emi", 2)
    tia(tmp_path / "d.emi", 1, "Diffraction")
    tifffile.imwrite(tmp_path / "a_2.tif", FRAME)
    wanted = [str(tmp_path / n) for n in ("a.emi", "a_2.tif", "b_1.ser", "b_2.ser", "d.emi")]
    told = []
    assert expanded(tmp_path, told.append) == wanted
    assert told == [
        "left out: a_1.ser; the images are taken from a.emi",
        "left out: b.emi; the images are taken from b_1.ser, b_2.ser",
        "left out: d_1.ser; the images are taken from d.emi",
    ]
    assert [str(p) for p in _images_in(tmp_path, {}, tmp_path / "clean")] == wanted
    with open_recording(wanted[0]) as recording:
        assert recording.size == (40, 50)
    with pytest.raises(InputError, match="holds diffraction patterns"):  # which its .ser hides
        open_recording(wanted[-1])
    (tmp_path / "a.emi").unlink()
    assert expanded(f"{tmp_path}/a*") == [str(tmp_path / n) for n in ("a_1.ser", "a_2.tif")]
