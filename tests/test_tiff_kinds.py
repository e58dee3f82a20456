"""Fail where a kind of TIFF is read with other values, or in another type, than it was written."""

import struct

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from mcnn_keras import InputError
from mcnn_keras.files import open_recording, read_images, tiff

INTEGERS = ("uint8", "int8", "uint16", "int16", "uint32", "int32")
TYPES = (*INTEGERS, "float32", "float64")
CODECS = ("none", "lzw", "zlib", "zstd", "packbits", "lzma", "jpeg2000")


def values(dtype, rng, shape=(2, 40, 48)):
    if dtype.startswith("float"):
        return (1e3 * rng.standard_normal(shape)).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)


def as_stored(path):
    with open_recording(path) as recording:
        return np.asarray(recording.data[0 : len(recording)])


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("codec", CODECS)
def test_values_and_types_are_those_that_were_written(codec, dtype, tmp_path, rng):
    """Fails where a codec, a predictor, tiles, the byte order or BigTIFF changes type or values."""
    if codec == "jpeg2000" and np.dtype(dtype).itemsize > 2:
        return
    array = values(dtype, rng)
    for number, options in enumerate(
        ({}, {"tile": (16, 16)}, {"predictor": True}, {"byteorder": ">"}, {"bigtiff": True})
    ):
        if codec in ("none", "packbits", "jpeg2000") and "predictor" in options:
            continue
        if codec == "jpeg2000" and "byteorder" in options:  # tifffile swaps bytes before it encodes
            continue
        path = tmp_path / f"{number}.tif"
        tifffile.imwrite(path, array, compression=codec, photometric="minisblack", **options)
        found = as_stored(path)
        assert found.dtype.newbyteorder("=") == dtype
        np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float32"])
@pytest.mark.parametrize("codec", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "raw"])
def test_files_of_another_writer_read_the_same(codec, dtype, tmp_path, rng):
    """Fails where what libtiff wrote comes back otherwise."""
    array = values(dtype, rng, (30, 41))
    Image.fromarray(array).save(tmp_path / "a.tif", compression=codec)
    found = as_stored(tmp_path / "a.tif")
    assert found.dtype == dtype
    np.testing.assert_array_equal(found[0], array)


def bare_tiff(path, tags, data, byteorder="<"):
    """A TIFF of one page, written by hand: short and long tags, and one strip."""
    entries = {**tags, 273: 8 + 2 + 12 * (len(tags) + 2) + 4, 279: len(data)}
    body = b"".join(
        struct.pack(byteorder + "HHII", tag, 4, 1, v) for tag, v in sorted(entries.items())
    )
    head = b"II*\0" if byteorder == "<" else b"MM\0*"
    count = struct.pack(byteorder + "H", len(entries))
    path.write_bytes(head + struct.pack(byteorder + "I", 8) + count + body + b"\0" * 4 + data)


def tags_of(width, height, bits, photometric=1):
    return {256: width, 257: height, 258: bits, 259: 1, 262: photometric, 277: 1, 278: height}


def retagged(path, array, tag, value=None, **options):
    """Write a TIFF, then give a tag of its page another short value, or take it away."""
    tifffile.imwrite(path, array, **options)
    data = bytearray(path.read_bytes())
    (first,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, first)
    (place,) = [
        at for at in range(first + 2, first + 2 + 12 * count, 12)
        if struct.unpack_from("<H", data, at) == (tag,)
    ]  # fmt: skip
    struct.pack_into("<H", data, *((place, 60000) if value is None else (place + 8, value)))
    path.write_bytes(data)


@pytest.mark.parametrize("tag", [259, 262, 277, 278, 279, 282, 283, 284, 296, 305, 339])
def test_optional_tags_may_be_missing(tag, tmp_path, rng):
    """Fails where a file of ImageJ's or another program without a tag is refused or misread."""
    image = values("uint16", rng, (30, 41))
    if tag in (284, 339):
        image = np.stack([image] * 3, -1).astype(np.uint8)
    options = {"photometric": "rgb" if image.ndim == 3 else "minisblack"}
    options |= {"resolution": (1e7, 1e7), "resolutionunit": "CENTIMETER", "metadata": None}
    if tag == 339:  # unsigned by default, and told of other types alone
        image = image.astype(np.int8)
    retagged(tmp_path / "a.tif", image, tag, **options)
    with open_recording(tmp_path / "a.tif") as recording:
        expected = image.view(np.uint8) if tag == 339 else image
        np.testing.assert_array_equal(np.asarray(recording.data[0:1])[0], expected)
        assert not any("MinIsWhite" in note for note in recording.notes)


@pytest.mark.parametrize(
    ("tag", "value", "said"),
    [(259, 9999, "not known .number 9999"), (262, 9999, ""), (296, 9, ""), (339, 9, "not known")],
)
def test_unknown_numbers_of_tags_are_read_or_named(tag, value, said, tmp_path, rng):
    """Fails where a number that no table of tags holds ends in another library's error."""
    image = values("float32", rng, (30, 41))
    retagged(tmp_path / "a.tif", image, tag, value, photometric="minisblack", resolution=(2, 2),
             metadata=None)  # fmt: skip
    if said:
        with pytest.raises(InputError, match=said):
            open_recording(tmp_path / "a.tif")
    else:
        np.testing.assert_array_equal(as_stored(tmp_path / "a.tif")[0], image)


def test_colours_of_a_camera_need_a_codec_that_gives_red_green_and_blue(tmp_path, rng):
    """Fails where YCbCr without a tag of its compression, so uncompressed, is taken for RGB."""
    tags = {k: v for k, v in {**tags_of(16, 12, 8, 6), 277: 3}.items() if k != 259}
    bare_tiff(tmp_path / "a.tif", tags, values("uint8", rng, (12, 16, 3)).tobytes())
    with pytest.raises(InputError, match="YCBCR colours"):
        open_recording(tmp_path / "a.tif")


def test_packed_bits_are_read(tmp_path, rng):
    """Fails where 12 bits or 1 bit a pixel are read as bytes."""
    deep = rng.integers(0, 4096, (12, 16), np.uint16)
    bits = ((deep[..., None] >> np.arange(11, -1, -1)) & 1).astype(np.uint8)
    bare_tiff(tmp_path / "12.tif", tags_of(16, 12, 12), np.packbits(bits).tobytes())
    np.testing.assert_array_equal(read_images(tmp_path / "12.tif")[0], deep)
    mask = rng.integers(0, 2, (12, 16)).astype(np.uint8)
    bare_tiff(tmp_path / "1.tif", tags_of(16, 12, 1), np.packbits(mask).tobytes())
    np.testing.assert_array_equal(read_images(tmp_path / "1.tif")[0], mask)


@pytest.mark.parametrize("layout", ["contig", "separate"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_colours_keep_their_depth(layout, dtype, tmp_path, rng):
    """Fails where 16-bit colours become 8-bit ones, or separate colours become frames."""
    colours = values(dtype, rng, (30, 41, 3))
    written = colours if layout == "contig" else np.moveaxis(colours, -1, 0)
    tifffile.imwrite(
        tmp_path / "a.tif", written, photometric="rgb", planarconfig=layout, compression="lzw"
    )
    with open_recording(tmp_path / "a.tif") as recording:
        assert recording.dtype == dtype
        np.testing.assert_array_equal(recording.read(colours=True)[0], colours)
        np.testing.assert_allclose(recording.read()[0], colours.mean(-1), rtol=1e-5)


def test_what_is_no_intensity_is_refused_or_told(tmp_path, rng):
    """Fails where inks or colour numbers are taken for intensities, or white as zero untold."""
    grey = values("uint8", rng, (30, 41))
    tifffile.imwrite(tmp_path / "white.tif", grey, photometric="miniswhite")
    with open_recording(tmp_path / "white.tif") as recording:
        np.testing.assert_array_equal(recording.read()[0], grey)
        assert "MinIsWhite" in recording.notes[0]
    inks = values("uint8", rng, (30, 41, 4))
    tifffile.imwrite(tmp_path / "inks.tif", inks, photometric="separated")
    with pytest.raises(InputError, match="no intensities"):
        open_recording(tmp_path / "inks.tif")
    ramp = np.tile(np.linspace(0, 65535, 256).astype(np.uint16), (3, 1))
    for name, palette in (("ramp", ramp), ("any", rng.permuted(ramp, axis=1))):
        tifffile.imwrite(
            tmp_path / f"{name}.tif", grey, photometric="palette", colormap=palette, metadata=None
        )
    np.testing.assert_array_equal(read_images(tmp_path / "ramp.tif")[0], grey)
    with pytest.raises(InputError, match="palette"):
        open_recording(tmp_path / "any.tif")


def test_digits_that_a_codec_loses_are_refused(tmp_path, rng):
    """Fails where JPEG 2000 of 32 bits gives values that are near those that were written."""
    tifffile.imwrite(
        tmp_path / "a.tif", values("uint32", rng)[0], compression="jpeg2000",
        photometric="minisblack",
    )  # fmt: skip
    with pytest.raises(InputError, match="lose digits"):
        open_recording(tmp_path / "a.tif")


@pytest.mark.parametrize("error", [
    ValueError("<COMPRESSION.LZW: 5> requires the 'imagecodecs' package"),
    ImportError("could not import name 'zstd_decode' from 'imagecodecs'"),
    ModuleNotFoundError("No module", name="imagecodecs"),
])  # fmt: skip
def test_a_missing_codec_is_named(error, tmp_path):
    """Fails where another reader is tried, or the package that is missing is not named."""

    class Data:
        def __getitem__(self, frames):
            raise error

    with pytest.raises(InputError, match="needs the package imagecodecs"):
        tiff._require_codec(Data(), tmp_path / "a.tif")


def test_the_measurement_is_taken_beside_views(tmp_path, rng):
    """Fails where a view, a thumbnail or a smaller copy is taken, or that is not told."""
    frame = values("uint16", rng, (48, 40))
    view = values("uint8", rng, (56, 40, 3))
    small = frame[::8, ::8].astype(np.uint8)
    for order in ((view, frame, small), (small, frame, view), (frame, view)):
        with tifffile.TiffWriter(tmp_path / "a.tif") as file:
            for page in order:
                kind = "rgb" if page.ndim == 3 else "minisblack"
                file.write(page, photometric=kind, metadata=None)
        with open_recording(tmp_path / "a.tif") as recording:
            np.testing.assert_array_equal(np.asarray(recording.data[:]), frame[None])
            (note,) = recording.notes
            assert "48x40 uint16" in note
            assert "56x40x3 uint8" in note
    # A grey one of 8 bits beside 16; but not one that is a thumbnail of a film.
    with tifffile.TiffWriter(tmp_path / "b.tif") as file:
        for page in (view[..., 0], frame):
            file.write(page, metadata=None)
    np.testing.assert_array_equal(read_images(tmp_path / "b.tif"), frame[None])
    with tifffile.TiffWriter(tmp_path / "c.tif") as file:
        for page in (frame[:12, :10], *[view[..., 0]] * 4):
            file.write(page, metadata=None)
    assert read_images(tmp_path / "c.tif").shape == (4, 56, 40)


def test_smaller_copies_are_left_out(tmp_path, rng):
    """Fails where the levels of a pyramid are taken for images."""
    frames = values("uint16", rng, (64, 64))
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(frames, subifds=1, tile=(16, 16))
        file.write(frames[::2, ::2], subfiletype=1, tile=(16, 16))
    np.testing.assert_array_equal(read_images(tmp_path / "a.tif"), frames[None])
    with tifffile.TiffWriter(tmp_path / "b.tif") as file:
        file.write(frames, metadata=None)
        file.write(np.tile(frames, (1, 2)), subfiletype=1, metadata=None)
    np.testing.assert_array_equal(read_images(tmp_path / "b.tif"), frames[None])


@pytest.mark.parametrize("samples", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_png_keeps_its_depth(samples, dtype, tmp_path, rng):
    """Fails where 16-bit colours, or grey beside transparency, come back with 8 bits."""
    array = values(dtype, rng, (30, 41, samples))
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(array.squeeze()))
    expected = array[..., 0] if samples < 3 else array[..., :3].mean(-1)
    np.testing.assert_allclose(read_images(tmp_path / "a.png")[0], expected, rtol=1e-5)


@pytest.mark.parametrize("most", [100, 255, 4095, 65535])
@pytest.mark.parametrize("kind", [2, 3, 5, 6])
def test_netpbm_keeps_its_values(kind, most, tmp_path, rng):
    """Fails where values are stretched to 8 or 16 bits, or colours lose theirs."""
    array = rng.integers(0, most, (7, 9, 3) if kind in (3, 6) else (7, 9))
    head = f"P{kind}\n# a comment\n9 7\n{most}\n".encode()
    raw = array.astype(np.uint8 if most < 256 else ">u2").tobytes()
    data = raw if kind > 3 else " ".join(map(str, array.ravel())).encode()
    path = tmp_path / ("a.ppm" if kind in (3, 6) else "a.pgm")
    path.write_bytes(head + data)
    np.testing.assert_array_equal(as_stored(path)[0], array)
    path.write_bytes((head + data)[:-20])
    with pytest.raises(InputError, match="announces"):
        as_stored(path)
