"""Fail where a format changes values, axes or pixel size, or a failed write loses a file."""

import h5py
import imageio.v3 as iio
import numpy as np
import pytest
import tifffile

from mcnn_keras import InputError
from mcnn_keras.files import (
    Axis,
    microscope,
    read_images,
    replacing,
    to_grey,
    write_png,
    write_recording,
)
from mcnn_keras.files.converted import Part
from mcnn_keras.files.formats import is_image_file


@pytest.fixture
def stack(rng):
    return rng.integers(0, 1000, (3, 20, 25), np.uint16)


def test_inks_are_read_as_light(tmp_path):
    """Fails where CMYK is read as light, so that dark becomes bright."""
    from PIL import Image

    dark = np.full((16, 16, 3), 30, np.uint8)
    Image.fromarray(dark).convert("CMYK").save(tmp_path / "ink.jpg")
    assert np.abs(read_images(tmp_path / "ink.jpg") - 30).max() < 3


def test_every_format_gives_the_same_images(tmp_path, stack):
    """Fails where a format changes values or type, or the named dataset is not the one read."""
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack")
    np.save(tmp_path / "a.npy", stack)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["entry/data"] = stack
        file["entry/time"] = np.arange(3)
    with h5py.File(tmp_path / "two.h5", "w") as file:
        file["a"], file["b"] = stack, stack + 1
    iio.imwrite(tmp_path / "a.png", stack[0].astype(np.uint16))
    for name in ("a.tif", "a.npy", "a.h5", "a.h5:/entry/data", "two.h5:/a"):
        images = read_images(str(tmp_path / name))
        assert images.dtype == np.float32
        np.testing.assert_array_equal(images, stack)
    np.testing.assert_array_equal(read_images(tmp_path / "a.png"), stack[:1])


def test_colours_become_grey(tmp_path, rng):
    """Fails where one channel, or another weighting, stands for the mean of the colours."""
    colour = rng.integers(0, 255, (20, 25, 3), np.uint8)
    iio.imwrite(tmp_path / "a.png", colour)
    tifffile.imwrite(tmp_path / "a.tif", colour, photometric="rgb")
    for name in ("a.png", "a.tif"):
        np.testing.assert_allclose(read_images(tmp_path / name)[0], colour.mean(-1), rtol=1e-5)


def test_frames_appended_one_by_one_are_a_stack(tmp_path, stack):
    """Fails where only the first page of a TIFF is read."""
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for image in stack:
            file.write(image)
    np.testing.assert_array_equal(read_images(tmp_path / "a.tif"), stack)


def test_compressed_tiffs_are_read(tmp_path, stack):
    """Fails where compressed pages are left out or decoded wrongly."""
    from PIL import Image

    pages = [Image.fromarray(image) for image in stack]
    pages[0].save(
        tmp_path / "a.tif", save_all=True, append_images=pages[1:], compression="tiff_lzw"
    )
    np.testing.assert_array_equal(read_images(tmp_path / "a.tif"), stack)


def test_three_frames_wide_is_not_colour(tmp_path, rng):
    """Fails where three frames are averaged as the colours of one image."""
    planes = rng.random((3, 20, 25)).astype(np.float32)
    tifffile.imwrite(tmp_path / "a.tif", planes, photometric="minisblack")
    np.testing.assert_array_equal(read_images(tmp_path / "a.tif"), planes)


def broken_files(folder):
    (folder / "text.tif").write_text("no image\n")
    (folder / "empty.png").write_bytes(b"")
    np.save(folder / "words.npy", np.array(["a", "b"]))
    np.save(folder / "object.npy", np.array([{"run": "me"}]), allow_pickle=True)
    np.save(folder / "nan.npy", np.array([[1.0, np.nan], [2, 3]]))
    np.save(folder / "line.npy", np.arange(4.0))
    np.save(folder / "none.npy", np.zeros((0, 4)))
    tifffile.imwrite(folder / "whole.tif", np.zeros((64, 64), np.float32))
    data = (folder / "whole.tif").read_bytes()
    (folder / "cut.tif").write_bytes(data[: len(data) // 2])
    (folder / "cut.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + b"\0" * 20)
    with h5py.File(folder / "two.h5", "w") as file:
        file["a"], file["b"] = np.ones((4, 4)), np.ones((4, 4))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent.tif", "not there"),
        ("text.tif", "cannot be read"),
        ("empty.png", "cannot be read"),
        ("words.npy", "real numbers"),
        ("object.npy", "cannot be read"),
        ("nan.npy", "1 pixels that are NaN"),
        ("line.npy", "shape"),
        ("none.npy", "shape"),
        ("cut.tif", "announces 1 frame and holds 0"),
        ("cut.h5", "cannot be read"),
        ("two.h5", "two.h5:/a, two.h5:/b"),
        ("two.h5:/c", "two.h5:/a"),
    ],
)
def test_what_is_no_image_is_refused_in_one_line(tmp_path, name, message):
    """Fails where such a file gives an array, another exception, or a message of several lines."""
    broken_files(tmp_path)
    with pytest.raises(InputError, match=message) as caught:
        read_images(str(tmp_path / name))
    assert "\n" not in str(caught.value)


def test_microscope_files_are_named_without_their_reader(tmp_path, monkeypatch):
    """Fails where they are passed over in a folder, or called damaged, without the extra."""
    monkeypatch.setattr(microscope, "suffixes", dict)
    (tmp_path / "scan.ser").write_bytes(b"II\x97\x01")
    assert is_image_file(tmp_path / "scan.ser")
    with pytest.raises(InputError, match=r"pip install 'mcnn-keras\[em\]' to read it"):
        read_images(tmp_path / "scan.ser")


def test_tiffs_carry_their_pixel_size(tmp_path, rng):
    """Fails where the pixel size is turned over or in another unit, or one image is a stack."""
    images = rng.standard_normal((4, 12, 17)).astype(np.float32)
    axes = (Axis("frame", 4), Axis("height", 12, 0.31, 0, "um"), Axis("width", 17, 0.31, 0, "um"))
    write_recording(tmp_path / "a.tif", images, axes, labels=list("abcd"))
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        np.testing.assert_array_equal(file.asarray(), images)
        assert file.imagej_metadata["unit"] == "um"
        numerator, denominator = file.pages[0].tags["XResolution"].value
        np.testing.assert_allclose(denominator / numerator, 0.31, rtol=1e-6)
    write_recording(tmp_path / "b.tif", images[:1])
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "b.tif"), images[0])


def test_pngs_show_the_range(tmp_path):
    """Fails where the limits are not black and white."""
    image = np.linspace(-2, 3, 100).reshape(10, 10)
    write_png(tmp_path / "a.png", image, -2, 3)
    picture = iio.imread(tmp_path / "a.png")
    assert (picture.min(), picture.max()) == (0, 255)
    assert to_grey(np.ones((3, 3))).dtype == np.uint8


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    """Fails where half a file replaces the old one, or a temporary file stays."""
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as part:
        part.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_some_frames_of_each_group_are_as_those_of_an_array(rng):
    """Fails where a library that asks for a part of the field, too, gets another one."""
    frames = rng.random((12, 5, 6))
    part = Part(frames, 4, 1, 2)
    wanted = frames.reshape(3, 4, 5, 6)[:, 1:3].reshape(6, 5, 6)
    for place in (slice(1, 4), slice(5, 5), (slice(0, 6), slice(1, 3), slice(None)),
                  (slice(2, 2), slice(0, 2))):  # fmt: skip
        np.testing.assert_array_equal(part[place], wanted[place])
