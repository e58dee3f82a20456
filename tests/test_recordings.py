"""Fail where an independent reader sees other values, axes or pixel sizes."""

import importlib

import h5py
import numpy as np
import pytest
import tifffile

from mcnn_keras import InputError
from mcnn_keras.files import Axis, open_recording, output_types, write_recording
from mcnn_keras.files.formats import default_type
from mcnn_keras.files.recording import axis, length

# zarr 2, which rosettasciio needs, speaks of zarr 3.
pytestmark = pytest.mark.filterwarnings("ignore:The NestedDirectoryStore:FutureWarning")
FIELD = (Axis("height", 20, 0.25, 1.5, "nm"), Axis("width", 25, 0.5, -2.0, "nm"))
NAMES = ("a.tif", "a.ome.tif", "a.h5", "a.zarr", "a.hspy", "a.zspy", "a.mrc", "a.npy")


@pytest.fixture
def frames(rng):
    return rng.integers(0, 1000, (6, 20, 25)).astype(np.float32)


def available(name):
    try:
        output_types(name)
    except InputError as error:
        pytest.skip(str(error))


def by_another_reader(path):
    """Values, (height, width) scales and their unit as other programs read them."""
    if path.suffix == ".tif":
        with tifffile.TiffFile(path) as file:
            array = file.asarray()
            if file.is_ome:
                root = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]["Pixels"]
                assert root["PhysicalSizeXUnit"] == "nm"
                return array, (root["PhysicalSizeY"], root["PhysicalSizeX"])
            assert file.imagej_metadata["unit"] == "nm"
            tags = [file.pages[0].tags[f"{c}Resolution"].value for c in "YX"]
            return array, tuple(d / n for n, d in tags)
    if path.suffix == ".mrc":
        with importlib.import_module("mrcfile").open(path) as file:
            size = file.voxel_size
            return file.data.copy(), (size.y / 10, size.x / 10)
    if path.suffix in (".hspy", ".zspy"):
        signal = importlib.import_module("hyperspy.api").load(path)
        assert {a.units for a in signal.axes_manager.signal_axes} == {"nm"}
        x, y = (a.scale for a in signal.axes_manager.signal_axes)
        return np.asarray(signal.data), (y, x)
    if path.suffix == ".zarr":
        array = importlib.import_module("zarr").open(str(path), mode="r")
        return array[...], tuple(array.attrs["scales"][-2:])
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            return file["data"][()], tuple(file["data"].attrs["scales"][-2:])
    return np.load(path), (0.25, 0.5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_values_and_pixel_sizes_reach_other_programs(name, dtype, frames, tmp_path):
    """Fails where another program reads other values, another type or other pixel sizes."""
    available(name)
    if name.endswith("spy"):
        pytest.importorskip("hyperspy")
    axes = (Axis("time", 6, 0.5, 0.0, "s"), *FIELD)
    write_recording(tmp_path / name, frames, axes, "Pt on C", dtype)
    values, scales = by_another_reader(tmp_path / name)
    assert values.dtype.name == dtype
    np.testing.assert_array_equal(values, frames)
    np.testing.assert_allclose(scales, (0.25, 0.5), rtol=1e-6)
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", NAMES)
def test_what_was_written_is_read_again(name, frames, tmp_path):
    """Fails where values, axes or the title are lost between writing and reading."""
    available(name)
    if name.endswith("mrc"):
        pytest.importorskip("rsciio")
    axes = (Axis("time", 6, 0.5, 0.0, "s"), *FIELD)
    write_recording(tmp_path / name, frames, axes, "Pt on C")
    with open_recording(tmp_path / name) as recording:
        np.testing.assert_array_equal(recording.read(), frames)
        np.testing.assert_array_equal(recording.read(2, 4), frames[2:4])
        found = recording.axes
        assert [a.size for a in found] == [6, 20, 25]
        if not name.endswith("npy"):
            for a, b in zip(found[-2:], FIELD, strict=True):
                assert a.units == "nm"
                np.testing.assert_allclose(a.scale, b.scale, rtol=1e-6)
        if not name.endswith(("npy", "ome.tif")):
            np.testing.assert_allclose([a.offset for a in found[-2:]], (1.5, -2.0), rtol=1e-5)
        if not name.endswith(("npy", "mrc")):
            assert found[0][:3] == ("time", 6, 0.5)
        if not name.endswith("npy"):
            assert recording.title == "Pt on C"


@pytest.mark.parametrize("name", [n for n in NAMES if not n.endswith("mrc")])
def test_two_axes_between_the_frames_stay_apart(name, frames, tmp_path):
    """Fails where time and depth are merged into one axis of frames."""
    available(name)
    axes = (Axis("time", 2), Axis("z", 3, 4.0, 0.0, "nm"), *FIELD)
    write_recording(tmp_path / name, frames, axes)
    with open_recording(tmp_path / name) as recording:
        assert [a.size for a in recording.axes] == [2, 3, 20, 25]
        np.testing.assert_array_equal(recording.read(), frames)


def test_planes_that_come_last_are_read_as_planes(tmp_path, rng):
    """Fails where a last axis of channels is taken for the width of the images."""
    samples = rng.random((3, 8, 9, 2)).astype(np.float32)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        array = file.create_dataset("images", data=samples)
        array.attrs.update(
            axes=["sample", "height", "width", "channel"], scales=[np.nan] * 4, offsets=[0.0] * 4,
            units=[""] * 4,
        )  # fmt: skip
    with open_recording(tmp_path / "a.h5") as recording:
        assert [a.size for a in recording.axes] == [3, 2, 8, 9]
        np.testing.assert_array_equal(recording.read()[3], samples[1, :, :, 1])


def test_frames_are_chosen_by_number(frames, tmp_path):
    """Fails where chosen frames come in the file's order, or a number beyond the end is taken."""
    np.save(tmp_path / "a.npy", frames)
    with open_recording(tmp_path / "a.npy") as recording:
        np.testing.assert_array_equal(recording.chosen([4, 0]).read(), frames[[4, 0]])
        with pytest.raises(InputError, match="0 to 5, not 6"):
            recording.chosen([6])


def test_impossible_scales_are_not_believed():
    """Fails where no scale, or one without a unit, is believed, or a unit is misread."""
    for scale in (0.0, np.nan, np.inf, None):
        assert axis("x", 3, scale, 5, "nm")[2:] == (None, 0.0, "")
    assert axis("x", 3, -1.0, 5, "nanometer")[2:] == (-1.0, 5.0, "nm")
    assert axis("x", 3, 1.0, 5, None)[2:] == (None, 0.0, "")
    assert axis("x", 3, 2.0, 5, "µm")[2:] == (2.0, 5.0, "um")
    assert length(axis("x", 3, 2.0, 0, "Å"), "nm") == pytest.approx(0.2)
    assert length(axis("x", 3, -2.0, 0, "A"), "nm") == pytest.approx(0.2)
    for unit in ("1/nm", "nm^-1", "nm-1", "1 / nm", "nm⁻¹", "1/nanometer"):
        assert axis("x", 3, 2.0, 0, unit).units == "1/nm"
    assert length(axis("x", 3, 2.0, 0, "1/nm"), "nm") is None


def test_the_inputs_type_is_kept_where_it_holds_the_result(tmp_path, rng):
    """Fails where the input's type loses values of the result, or another is taken untold."""
    told = []
    bright = 1000 * rng.random((2, 20, 25)).astype(np.float32)
    assert default_type(tmp_path / "a.tif", bright, np.uint16, told.append) == "uint16"
    assert default_type(tmp_path / "a.tif", bright / 500, np.uint16, told.append) == "float32"
    assert default_type(tmp_path / "a.tif", bright - 500, np.uint16, told.append) == "float32"
    assert default_type(tmp_path / "a.mrc", bright, np.int32, told.append) == "float32"
    assert default_type(tmp_path / "a.tif", bright, np.float64, told.append) == "float64"
    assert ["would lose" in t for t in told] == [False, True, True, False]


def test_integers_are_rounded_and_clipped(tmp_path):
    """Fails where values are cut off instead of rounded, or wrap around at the type's limits."""
    values = np.array([[[-3.0, 0.6, 254.6, 300.0]]], np.float32)
    write_recording(tmp_path / "a.npy", values, dtype="uint8", say=print)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), [[0, 1, 255, 255]])
    for dtype in ("uint16", "int32", "uint32", "int64", "uint64"):
        values = np.array([[[0, 3e19]]], np.float32)
        write_recording(tmp_path / "a.npy", values, dtype=dtype, say=print)
        largest = int(np.load(tmp_path / "a.npy")[0, 1])
        assert np.iinfo(dtype).max * (1 - 1e-15) < largest <= np.iinfo(dtype).max


def test_what_cannot_be_written_is_told(frames, tmp_path):
    """Fails where an ending or a type that cannot be written leaves a file behind."""
    with pytest.raises(InputError, match=r"\.jpg; choose"):
        write_recording(tmp_path / "a.jpg", frames)
    with pytest.raises(InputError, match="cannot hold int64"):
        write_recording(tmp_path / "a.tif", frames, dtype="int64")
    assert not list(tmp_path.iterdir())


def test_a_microscopes_file_of_several_images_asks_which(tmp_path, rng):
    """Fails where one of several images is taken unasked, or the named one loses its pixel size."""
    pytest.importorskip("rsciio")
    images = {"HAADF": rng.random((8, 9)), "BF": rng.random((8, 9))}
    with h5py.File(tmp_path / "scan.emd", "w") as file:
        file.attrs.update(version_major=0, version_minor=2)
        for name, image in images.items():
            group = file.create_group(f"signals/{name}")
            group.attrs["emd_group_type"] = 1
            group["data"] = image
            for i, n in enumerate(image.shape, 1):
                dim = group.create_dataset(f"dim{i}", data=0.2 * np.arange(n))
                dim.attrs.update(name="yx"[i - 1], units="[n_m]")
    with pytest.raises(InputError, match=r"scan\.emd:BF, scan\.emd:HAADF; name one"):
        open_recording(tmp_path / "scan.emd")
    with open_recording(f"{tmp_path}/scan.emd:HAADF") as recording:
        np.testing.assert_allclose(recording.read()[0].T, images["HAADF"], rtol=1e-6)
        assert recording.axes[-1].units == "nm"
        assert recording.axes[-1].scale == pytest.approx(0.2)


@pytest.mark.parametrize("names", ["zt", "tcz", "cz", "zo", "tzco", "o"])
def test_axes_keep_their_meaning_in_tiffs(names, tmp_path, rng):
    """Fails where time, depth or channels come back under another name or in another order."""
    sizes = dict(zip("tzco", (2, 3, 4, 5), strict=True))
    whole = {"t": "time", "z": "z", "c": "channel", "o": "output"}
    outer = [
        Axis(whole[n], sizes[n], 0.5, 0.0, "um") if n == "z" else Axis(whole[n], sizes[n])
        for n in names
    ]
    frames = rng.random((int(np.prod([a.size for a in outer])), 8, 9)).astype(np.float32)
    field = (Axis("height", 8, 0.2, 0.0, "um"), Axis("width", 9, 0.2, 0.0, "um"))
    write_recording(tmp_path / "a.tif", frames, (*outer, *field))
    with open_recording(tmp_path / "a.tif") as recording:
        np.testing.assert_array_equal(recording.read(), frames)
        if len(names) < 4:
            expected = ["channel" if a.name == "output" else a.name for a in outer]
            assert [a.name for a in recording.axes[:-2]] == expected
            for a in recording.axes[:-2]:
                if a.name == "z":
                    assert a.scale == pytest.approx(0.5)
                    assert a.units == "um"


@pytest.mark.parametrize(
    ("scale", "units"), [(0.5, "1/Å"), (0.5, "°"), (2e-10, "m"), (2e10, "pm"), (0.2, "A")]
)
def test_any_unit_comes_back_from_a_tiff(scale, units, tmp_path):
    """Fails where the scale of a unit that TIFF does not know is lost or changed."""
    field = (Axis("height", 8, scale, 0.0, units), Axis("width", 9, scale, 0.0, units))
    write_recording(tmp_path / "a.tif", np.ones((1, 8, 9), np.float32), field)
    with open_recording(tmp_path / "a.tif", force=units == "1/Å") as recording:
        found = recording.axes[-1]
        if length(field[0], "m"):
            assert length(found, "m") == pytest.approx(length(field[0], "m"), rel=1e-5)
        else:
            assert (found.units, found.scale) == (units.replace("Å", "A"), pytest.approx(scale))


def test_compressed_tiffs_keep_their_axes(tmp_path, rng):
    """Fails where compressed frames are read from a wrong place, or lose their axes."""
    frames = rng.integers(0, 99, (3, 20, 24), np.uint16)
    tifffile.imwrite(
        tmp_path / "a.ome.tif", frames, compression="zlib", ome=True,
        metadata={"axes": "ZYX", "PhysicalSizeX": 0.2, "PhysicalSizeXUnit": "nm"},
    )  # fmt: skip
    with open_recording(tmp_path / "a.ome.tif") as recording:
        np.testing.assert_array_equal(recording.read(1, 3), frames[1:])
        assert recording.axes[0].name == "z"
        assert (recording.axes[-1].scale, recording.axes[-1].units) == (0.2, "nm")


def test_thumbnails_and_odd_samples_are_not_taken_for_frames(tmp_path, rng):
    """Fails where a thumbnail is read as a frame, or the five samples of a pixel as its width."""
    frames = rng.random((4, 30, 40)).astype(np.float32)
    with tifffile.TiffWriter(tmp_path / "thumb.tif") as file:
        file.write(frames[0, ::4, ::4])
        for frame in frames:
            file.write(frame)
    with open_recording(tmp_path / "thumb.tif") as recording:
        np.testing.assert_array_equal(recording.read(), frames)
    samples = rng.random((30, 40, 5)).astype(np.float32)
    tifffile.imwrite(
        tmp_path / "five.tif", samples, photometric="minisblack", planarconfig="contig"
    )
    with open_recording(tmp_path / "five.tif") as recording:
        np.testing.assert_array_equal(recording.read(), np.moveaxis(samples, -1, 0))


def test_damaged_data_in_the_middle_are_told(tmp_path, rng):
    """Fails where damaged data end in a decoder's error that names no file."""
    frames = rng.random((4, 30, 40)).astype(np.float32)
    tifffile.imwrite(tmp_path / "a.tif", frames, compression="zlib", photometric="minisblack")
    data = bytearray((tmp_path / "a.tif").read_bytes())
    middle = len(data) * 3 // 5
    data[middle : middle + 400] = b"\0" * 400
    (tmp_path / "a.tif").write_bytes(data)
    with (
        open_recording(tmp_path / "a.tif") as recording,
        pytest.raises(InputError, match=r"a\.tif: frames .* cannot be read"),
    ):
        recording.read()
