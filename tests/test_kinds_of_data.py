"""Fail where calibration is lost without a word, or what is no image is taken for one."""

import json

import h5py
import numpy as np
import pytest

from mcnn_keras import InputError
from mcnn_keras.files import Axis, open_recording, write_recording
from mcnn_keras.files.instrument import planes_of_axis
from mcnn_keras.focal_series.series import read_focal_series

pytestmark = pytest.mark.filterwarnings("ignore:The NestedDirectoryStore:FutureWarning")
AXES = (
    Axis("time", 3, 0.5, 2.0, "s"), Axis("height", 20, -0.25, 4.0, "1/nm"),
    Axis("width", 25, 0.5, -2.0, "1/nm"),
)  # fmt: skip


def hyperspy_signal(path, shape, axes, signal_type=""):
    """A file as HyperSpy writes it; axes: (name, scale, offset, units, navigate)."""
    hs = pytest.importorskip("hyperspy.api")
    data = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    inner = sum(not a[-1] for a in axes)
    signal = {0: hs.signals.BaseSignal, 1: hs.signals.Signal1D, 2: hs.signals.Signal2D}[inner](data)
    own = [*signal.axes_manager.navigation_axes[::-1], *signal.axes_manager.signal_axes[::-1]]
    for a, (name, scale, offset, units, _) in zip(own, axes, strict=True):
        a.name, a.scale, a.offset, a.units = name, scale, offset, units
    signal.metadata.Signal.signal_type = signal_type
    signal.save(path, overwrite=True)
    return data


@pytest.mark.parametrize("name", ["a.h5", "a.hdf5", "a.zarr", "a.hspy"])
def test_formats_with_axes_keep_all_of_them(name, tmp_path, rng):
    """Fails where another reader sees another scale, sign, offset or unit; or a note is given."""
    frames, told = rng.random((3, 20, 25)).astype(np.float32), []
    write_recording(tmp_path / name, frames, AXES, say=told.append)
    assert told == []
    with open_recording(tmp_path / name, force=True) as recording:
        assert recording.axes == AXES
    if name.endswith("hspy"):
        signal = pytest.importorskip("hyperspy.api").load(tmp_path / name)
        manager = signal.axes_manager
        found = [*manager.navigation_axes, *manager.signal_axes[::-1]]
        assert [(a.scale, a.offset, a.units) for a in found] == [tuple(a[2:]) for a in AXES]
        return
    if name.endswith("zarr"):
        attributes = dict(pytest.importorskip("zarr").open(str(tmp_path / name), mode="r").attrs)
    else:
        with h5py.File(tmp_path / name) as file:
            attributes = dict(file["data"].attrs)
    assert list(attributes["scales"]) == [0.5, -0.25, 0.5]
    assert list(attributes["offsets"]) == [2.0, 4.0, -2.0]
    assert list(attributes["units"]) == ["s", "1/nm", "1/nm"]


@pytest.mark.parametrize(("name", "lost"), [
    ("a.mrc", ["0.5 s of time", "-0.25 1/nm of height", "0.5 1/nm of width"]),
    ("a.npy", ["0.5 s of time", "-0.25 1/nm of height", "0.5 1/nm of width"]),
    ("a.ome.tif", ["-0.25 1/nm of height", "0.5 1/nm of width"]),
    ("a.tif", ["-0.25 1/nm of height"]),
])  # fmt: skip
def test_what_a_format_cannot_keep_is_told_with_its_value(name, lost, tmp_path, rng):
    """Fails where a scale is lost without a word, or a wrong one is written in its place."""
    told = []
    write_recording(tmp_path / name, rng.random((3, 20, 25), np.float32), AXES, say=told.append)
    assert len(told) == 1
    for part in lost:
        assert part in told[0]


def test_a_negative_scale_is_read(tmp_path):
    """Fails where an axis that runs the other way loses its pixel size."""
    pytest.importorskip("rsciio")
    axes = [("y", -0.05, 4.0, "nm", False), ("x", 0.05, 1.0, "nm", False)]
    hyperspy_signal(tmp_path / "a.hspy", (20, 25), axes)
    with open_recording(tmp_path / "a.hspy") as recording:
        assert [tuple(a[2:]) for a in recording.axes] == [(-0.05, 4.0, "nm"), (0.05, 1.0, "nm")]


def test_a_falling_focus_is_used(tmp_path, rng):
    """Fails where planes of a falling axis are ignored, or their images are in the wrong order."""
    frames = rng.random((4, 40, 50)).astype(np.float32)
    field = [Axis("height", 40, 0.25, 0, "um"), Axis("width", 50, 0.25, 0, "um")]
    write_recording(tmp_path / "a.h5", frames, (Axis("z", 4, -2000.0, 5000.0, "nm"), *field))
    series = read_focal_series([str(tmp_path / "a.h5")])
    assert series.defocus == pytest.approx((-1.0, 1.0, 3.0, 5.0))
    np.testing.assert_array_equal(np.moveaxis(series.images, -1, 0), frames[::-1])
    assert planes_of_axis([Axis("z", 2, -1.0, 0.0, "um")], "um") == [0.0, -1.0]


def test_hyperspys_old_files_keep_their_axes(tmp_path):
    """Fails where the axes of a .hdf5 file of HyperSpy, which are groups, are not read."""
    pytest.importorskip("rsciio")
    axes = [("time", 0.5, 2.0, "s", True), ("y", 0.05, 4.0, "nm", False),
            ("x", 0.05, 1.0, "nm", False)]  # fmt: skip
    data = hyperspy_signal(tmp_path / "a.hspy", (3, 20, 25), axes)
    (tmp_path / "a.hspy").rename(tmp_path / "a.hdf5")
    with open_recording(tmp_path / "a.hdf5") as recording:
        np.testing.assert_array_equal(recording.read(), data)
        assert recording.axes[0] == ("time", 3, 0.5, 2.0, "s")
        assert recording.axes[-1][2:] == (0.05, 1.0, "nm")


def ome_zarr(folder, version, channels=2):
    """An OME-Zarr image of three sizes, written by hand from the specification."""
    zarr = pytest.importorskip("zarr")
    newest = version == "0.5"
    if newest and int(zarr.__version__.split(".")[0]) < 3:
        pytest.skip("zarr 2 writes no arrays of format 3")
    frames = np.arange(3 * channels * 40 * 50, dtype=np.uint16).reshape(3, channels, 40, 50)
    group = zarr.open_group(str(folder), mode="w", **({"zarr_format": 3} if newest else {}))
    levels = []
    for level in range(3):
        part = frames[..., :: 2**level, :: 2**level]
        array = zarr.open(
            str(folder / str(level)), mode="w", shape=part.shape, dtype=part.dtype,
            chunks=(1, 1, *part.shape[-2:]), **({"zarr_format": 3} if newest else {}),
        )  # fmt: skip
        array[...] = part
        pixel = 0.05 * 2**level
        levels.append({"path": str(level), "coordinateTransformations": [
            {"type": "scale", "scale": [1, 1, pixel, pixel]},
            {"type": "translation", "translation": [0, 0, 3.0, 0]}]})  # fmt: skip
    told = {
        "multiscales": [{
            "name": "HAADF", "datasets": levels, "version": version,
            "axes": [{"name": "t", "type": "time", "unit": "millisecond"},
                     {"name": "c", "type": "channel"},
                     *({"name": n, "type": "space", "unit": "nanometer"} for n in "yx")],
            "coordinateTransformations": [{"type": "scale", "scale": [40, 1, 1, 1]}],
        }],
        "omero": {"channels": [{"label": "BF"}, {"label": "DF"}]},
    }  # fmt: skip
    group.attrs.update({"ome": told} if newest else told)
    return frames


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr_images_are_read_at_full_size(version, tmp_path):
    """Fails where the levels are asked for, or scales, units, time or channels are lost."""
    frames = ome_zarr(tmp_path / "a.zarr", version)
    with open_recording(tmp_path / "a.zarr") as recording:
        np.testing.assert_array_equal(recording.read(), frames.reshape(-1, 40, 50))
        assert recording.title == "HAADF"
        assert recording.axes[0] == ("time", 3, 40.0, 0.0, "ms")
        assert recording.axes[1][:2] == ("channel", 2)
        assert recording.axes[2] == ("height", 40, 0.05, 3.0, "nm")
        assert recording.notes == ("the channels' names are not kept: BF, DF",)
    with open_recording(f"{tmp_path}/a.zarr:/1") as recording:
        assert recording.size == (20, 25)
        assert recording.axes[-1][2:] == (0.1, 0.0, "nm")


def test_newer_zarr_is_named(tmp_path):
    """Fails where a store that the installed zarr cannot read is called empty or damaged."""
    zarr = pytest.importorskip("zarr")
    if int(zarr.__version__.split(".")[0]) > 2:
        pytest.skip("zarr 3 reads both formats")
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group"}')
    with pytest.raises(InputError, match=r"format 3.*pip install 'zarr>=3'"):
        open_recording(tmp_path / "a.zarr")


PATTERNS = [("ky", 0.1, 0, "1/nm", False), ("kx", 0.1, 0, "nm^-1", False)]
SCAN = [("y", 1.0, 0, "nm", True), ("x", 1.0, 0, "nm", True)]
ENERGY = [("Energy", 10.0, 0, "eV", False)]


@pytest.mark.parametrize(("shape", "axes", "signal_type", "what", "read"), [
    ((40, 50), PATTERNS, "", "diffraction patterns", (1, 40, 50)),
    ((40, 50), [("y", 0.1, 0, "mrad", False), ("x", 0.1, 0, "mrad", False)], "", "diffraction",
     (1, 40, 50)),
    ((40, 50), [("y", 0.1, 0, "nm", False), ("x", 0.1, 0, "nm", False)], "electron_diffraction",
     "diffraction", (1, 40, 50)),
    ((2, 3, 40, 50), [*SCAN, ("dy", 1, 0, "cm", False), ("dx", 1, 0, "cm", False)], "",
     "a scan of patterns", (6, 40, 50)),
    ((40, 50, 8), [*SCAN, *ENERGY], "EELS", "a spectrum image", (8, 40, 50)),
    ((40, 50), [SCAN[1], *ENERGY], "EELS", "a line of spectra", (1, 40, 50)),
])  # fmt: skip
def test_what_is_no_image_needs_force(shape, axes, signal_type, what, read, tmp_path):
    """Fails where it is denoised without a word, or cannot be treated as images when asked to."""
    pytest.importorskip("rsciio")
    data = hyperspy_signal(tmp_path / "a.hspy", shape, axes, signal_type)
    with pytest.raises(InputError, match=rf"holds {what}.*--force") as caught:
        open_recording(tmp_path / "a.hspy")
    assert "\n" not in str(caught.value)
    with open_recording(tmp_path / "a.hspy", force=True) as recording:
        assert recording.data.shape == read
        assert any("treated as images" in note for note in recording.notes)
        first = data[..., 0] if what == "a spectrum image" else data.reshape(-1, *read[1:])[0]
        np.testing.assert_array_equal(recording.read(0, 1)[0], first)


def test_images_beside_spectra_are_offered_by_name(tmp_path):
    """Fails where a Velox file's spectra hide its images, or frames of the HAADF are left out."""
    pytest.importorskip("rsciio")
    frames = np.arange(3 * 40 * 50, dtype=np.uint16).reshape(3, 40, 50)
    told = {
        "BinaryResult": {"Detector": "HAADF", "DetectorIndex": "0", "PixelUnitX": "m",
                         "PixelSize": {"height": "2e-10", "width": "2e-10"},
                         "Offset": {"x": "0", "y": "0"}},
        "Scan": {"FrameTime": "0.5"}, "Detectors": {"Detector-0": {"DetectorName": "HAADF"}},
        "Core": {}, "CustomProperties": {},
        "Instrument": {}, "Acquisition": {}, "Optics": {}, "Sample": {}, "Stage": {},
    }  # fmt: skip
    text = np.frombuffer(json.dumps(told).encode().ljust(3000, b"\0"), "u1")[:, None]
    with h5py.File(tmp_path / "a.emd", "w") as file:
        file["Version"] = [json.dumps({"format": "Velox", "version": "11"}).encode()]
        shown = {"id": "HAADF", "data": "/Shown"}
        file["Displays/ImageDisplay/0"] = [json.dumps(shown).encode()]
        file["Shown"] = [json.dumps({"dataPath": "/Data/Image/0abc"}).encode()]
        file.create_dataset(
            "Data/Image/0abc/Data", data=np.moveaxis(frames, 0, -1), chunks=(40, 50, 1)
        )
        file["Data/Image/0abc/Metadata"] = text
        file["Data/SpectrumImage/1abc/Data"] = np.zeros(3)
        file["Data/SpectrumImage/1abc/Metadata"] = text
    from mcnn_keras.files.microscope import _velox_images

    found = _velox_images(tmp_path / "a.emd", True)
    np.testing.assert_array_equal(np.asarray(found[0]["data"]), frames)
    with open_recording(f"{tmp_path}/a.emd:HAADF") as recording:
        np.testing.assert_array_equal(recording.read(), frames)
        assert recording.axes[-1].scale == pytest.approx(0.2)
        assert recording.axes[0].name == "time"


def test_a_reader_without_lazy_mode_is_read_at_once(tmp_path, monkeypatch):
    """Fails where such a file is called damaged, or one beyond the bound is taken into memory."""
    from mcnn_keras.files import microscope

    pytest.importorskip("rsciio")
    asked = []

    def reader(path, lazy):
        asked.append(lazy)
        if lazy:
            raise NotImplementedError("Lazy loading is not supported.")
        axes = [
            {"name": n, "scale": 0.2, "offset": 0, "units": "nm", "navigate": True} for n in "yx"
        ]
        return [{"data": np.ones((40, 50)), "axes": axes, "metadata": {}}]

    module = type("module", (), {"file_reader": staticmethod(reader)})
    real = microscope.importlib.import_module
    monkeypatch.setattr(
        microscope.importlib, "import_module",
        lambda name, *more: module if name == "rsciio.phenom" else real(name, *more),
    )  # fmt: skip
    (tmp_path / "a.elid").write_bytes(b"x" * 100)
    with open_recording(tmp_path / "a.elid") as recording:
        assert recording.axes[-1].scale == 0.2
    assert asked == [True, False]
    monkeypatch.setattr(microscope, "MOST_AT_ONCE", 50)
    with pytest.raises(InputError, match="Lazy loading"):
        open_recording(tmp_path / "a.elid")
