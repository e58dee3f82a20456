"""Fail where a TIFF's pixel size is lost, or what was taken of a file is not told."""

import numpy as np
import pytest
import tifffile

from mcnn_keras.files import Axis, open_recording, write_recording


def test_what_was_taken_is_told_once(tmp_path):
    """Fails where the line misses number, size, type, pixel or axes, or stands there twice."""
    field = (Axis("height", 8, 0.02, 0.0, "nm"), Axis("width", 9, 0.02, 0.0, "nm"))
    for name in ("a.tif", "b.tif"):
        write_recording(
            tmp_path / name, np.ones((12, 8, 9)), (Axis("time", 12), *field), dtype="uint16"
        )
    write_recording(tmp_path / "c.tif", np.ones((1, 8, 9)))
    known, lines = set(), []
    for name in ("a.tif", "b.tif", "c.tif"):
        with open_recording(tmp_path / name) as recording:
            recording.notes = ("a note",)
            lines += recording.told(known)
    assert lines == [
        f"{tmp_path}/a.tif: 12 frames of 8x9, uint16, pixel 0.02 nm, axes t y x",
        f"{tmp_path}/a.tif: a note",
        f"{tmp_path}/c.tif: 1 frame of 8x9, float32, pixel size unknown, axes y x",
    ]


def scale_of(path):
    """Height and width of a pixel with their unit, and the notes."""
    with open_recording(path, force=True) as recording:
        height, width = recording.axes[-2:]
        return (height.scale, width.scale, width.units), recording.notes


@pytest.mark.parametrize(("unit", "metres"), [("CENTIMETER", 1e-2), ("INCH", 0.0254)])
def test_plain_resolutions_are_pixel_sizes_where_they_can_be(unit, metres, tmp_path):
    """Fails where cm or inch are lost, or the resolution of a printer is believed or untold."""
    image = np.ones((8, 9), np.uint16)
    for size, expected in ((5e-11, (0.05, "nm")), (6.5e-7, (650, "nm")), (2e-6, (2, "um"))):
        tifffile.imwrite(
            tmp_path / "a.tif", image, resolution=((round(metres / size), 1),) * 2,
            resolutionunit=unit, metadata=None,
        )  # fmt: skip
        (height, width, units), notes = scale_of(tmp_path / "a.tif")
        assert (height, width, units) == (*[pytest.approx(expected[0], rel=1e-4)] * 2, expected[1])
        assert notes == ()
    for dots in (72, 96, 300, 4800):
        tifffile.imwrite(
            tmp_path / "a.tif", image, resolution=(dots * metres / 0.0254,) * 2,
            resolutionunit=unit, metadata=None,
        )  # fmt: skip
        said, (note,) = scale_of(tmp_path / "a.tif")
        assert said[:2] == (None, None)
        assert f"{dots} pixels an inch" in note


def test_a_resolution_without_a_unit_is_told(tmp_path):
    """Fails where it is taken for a size, or dropped in silence; one of 1 says nothing."""
    tifffile.imwrite(tmp_path / "a.tif", np.ones((8, 9), np.uint8), resolution=(4, 4),
                     resolutionunit="NONE", metadata=None)  # fmt: skip
    said, (note,) = scale_of(tmp_path / "a.tif")
    assert said[0] is None
    assert "resolution of 4 pixels without a unit" in note
    tifffile.imwrite(tmp_path / "a.tif", np.ones((8, 9), np.uint8), metadata=None)
    assert scale_of(tmp_path / "a.tif") == ((None, None, ""), ())


@pytest.mark.parametrize(
    ("unit", "expected"),
    [("micron", "um"), ("\\u00b5m", "um"), ("um", "um"), ("nm", "nm"), ("1/nm", "1/nm"),
     ("nm^-1", "1/nm"), ("angstrom", "A"), ("Angstroms", "A"), ("mm", "mm")],
)  # fmt: skip
def test_imagejs_units_are_understood(unit, expected, tmp_path):
    """Fails where a spelling, or a reciprocal unit, is lost."""
    tifffile.imwrite(
        tmp_path / "a.tif", np.ones((3, 8, 9), np.uint16), imagej=True, resolution=(4, 2),
        metadata={"axes": "ZYX", "unit": unit, "spacing": 1.5},
    )  # fmt: skip
    assert scale_of(tmp_path / "a.tif")[0] == (0.5, 0.25, expected)
    with open_recording(tmp_path / "a.tif", force=True) as recording:
        assert recording.axes[0] == Axis("z", 3, 1.5, 0.0, expected)


def test_what_imagej_says_and_cannot_be_kept_is_told(tmp_path):
    """Fails where a negative spacing is lost, or an infinite one, or a print's inches, untold."""
    tifffile.imwrite(
        tmp_path / "a.tif", np.ones((3, 8, 9), np.uint16), imagej=True, resolution=(4, 4),
        metadata={"axes": "ZYX", "unit": "um", "spacing": -1.5},
    )  # fmt: skip
    assert scale_of(tmp_path / "a.tif") == ((0.25, 0.25, "um"), ())
    with open_recording(tmp_path / "a.tif") as recording:
        assert recording.axes[0] == Axis("z", 3, -1.5, 0.0, "um")
    data = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(data.replace(b"spacing=-1.5", b"spacing=+inf"))
    said, (note,) = scale_of(tmp_path / "a.tif")
    assert said == (0.25, 0.25, "um")
    assert note == "the scale inf um of z is not kept: it is not finite"
    tifffile.imwrite(tmp_path / "a.tif", np.ones((8, 9), np.uint16), imagej=True,
                     resolution=(72, 72), metadata={"unit": "inch"})  # fmt: skip
    said, (note,) = scale_of(tmp_path / "a.tif")
    assert said[0] is None
    assert "72 pixels an inch" in note


@pytest.mark.parametrize("unit", ["pixel", "pixels", "px", ""])
@pytest.mark.parametrize(("across", "scale"), [(1, None), (4, 0.25)])
def test_a_scale_of_one_pixel_is_no_calibration(unit, across, scale, tmp_path):
    """Fails where ImageJ's plain image is said to lose a scale, for a reason that is not true."""
    tifffile.imwrite(tmp_path / "a.tif", np.ones((8, 9), np.uint16), imagej=True,
                     resolution=(across, across), metadata={"unit": unit})  # fmt: skip
    said, notes = scale_of(tmp_path / "a.tif")
    assert not [note for note in notes if "finite" in note]
    assert said == ((scale if unit else None,) * 2 + ("",))


JEOL = """<?xml version="1.0"?><TemReporter><Eos><EosMode>{eos}</EosMode></Eos><ElectronGun>
<AccelerationVoltage>200000</AccelerationVoltage></ElectronGun><ImageFormingSystem>
<ModeString>{mode}</ModeString><SelectorValue>{value}</SelectorValue>
<SelectorUnitString>{unit}</SelectorUnitString></ImageFormingSystem></TemReporter>"""


def jeol(path, **said):
    make = (271, "s", 0, "JEOL Ltd.", True)
    tifffile.imwrite(
        path, np.ones((8, 9), np.uint16), resolution=(100, 100), resolutionunit="INCH",
        description=JEOL.format(**said), metadata=None, extratags=[make],
    )  # fmt: skip


def test_jeols_magnification_gives_the_pixel_size(tmp_path):
    """Fails where the magnification, the camera length or an unknown mode is taken wrongly."""
    jeol(tmp_path / "a.tif", eos="eosTEM", mode="MAG", value=100000, unit="X")
    said, notes = scale_of(tmp_path / "a.tif")
    assert (said, notes) == ((*[pytest.approx(2.54)] * 2, "nm"), ())
    jeol(tmp_path / "a.tif", eos="eosTEM", mode="DIFF", value=50, unit="cm")
    # 0.254 mm at 0.5 m, over 2.508 pm; diffraction patterns, which are refused unless forced.
    assert scale_of(tmp_path / "a.tif")[0][1:] == (pytest.approx(0.2026, rel=1e-3), "1/nm")
    jeol(tmp_path / "a.tif", eos="modeASID", mode="MAG", value=100000, unit="X")
    said, notes = scale_of(tmp_path / "a.tif")
    assert said[0] is None
    assert "JEOL's mode modeASID" in notes[0]


FEI = b"[Scan]\r\nPixelWidth=1.5e-09\r\nPixelHeight=1.5e-09\r\n"
FIELD = (
    b"[EBeam]\r\nHFW=1.8e-06\r\nVFW=1.6e-06\r\n[Image]\r\nResolutionX=900\r\nResolutionY=800\r\n"
)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ([(34682, "s", 0, FEI, True)], (1.5, 1.5, "nm")),
        ([(34680, "s", 0, FEI, True)], (1.5, 1.5, "nm")),
        ([(34682, "s", 0, FIELD, True)], (2.0, 2.0, "nm")),
        ([(65003, "s", 0, "nm", True), (65004, "s", 0, "nm", True), (65009, "d", 1, 0.2, True),
          (65010, "d", 1, 0.3, True)], (0.3, 0.2, "nm")),
        ([(65003, "s", 0, "1/nm", True), (65009, "d", 1, 0.2, True),
          (65010, "d", 1, 0.2, True)], (None, 0.2, "1/nm")),
    ],
)  # fmt: skip
def test_vendors_tags_give_the_pixel_size(tags, expected, tmp_path):
    """Fails where the tags of a microscope's program are not read, or width and height change."""
    tifffile.imwrite(tmp_path / "a.tif", np.ones((8, 9), np.uint16), metadata=None, extratags=tags)
    said, _ = scale_of(tmp_path / "a.tif")
    assert said[1:] == (pytest.approx(expected[1], rel=1e-6), expected[2])
    if expected[0]:
        assert said[0] == pytest.approx(expected[0], rel=1e-6)


@pytest.mark.parametrize(
    ("name", "said", "expected"),
    [
        ("sem_metadata", {"ap_image_pixel_size": ("Image Pixel Size", 5.5, "nm")}, (5.5, "nm")),
        ("sem_metadata", {"": (0, 0, 0, 1e-9)}, (2.0, "nm")),
        ("sis_metadata", {"pixelsizex": 3e-9, "pixelsizey": 3e-9}, (3.0, "nm")),
        ("tvips_metadata", {"PixelSizeX": 0.4, "PixelSizeY": 0.4, "TemMode": 1}, (0.4, "nm")),
        ("tvips_metadata", {"PixelSizeX": 0.4, "PixelSizeY": 0.4, "TemMode": 3}, (None, "")),
        ("lsm_metadata", {"VoxelSizeX": 2e-6, "VoxelSizeY": 2e-6, "VoxelSizeZ": 3e-6}, (2.0, "um")),
        ("stk_metadata", {"XCalibration": 0.5, "CalibrationUnits": "um"}, (0.5, "um")),
        ("metaseries_metadata", {"PlaneInfo": {"spatial-calibration-state": True,
         "spatial-calibration-x": 0.5, "spatial-calibration-y": 0.5,
         "spatial-calibration-units": "um"}}, (0.5, "um")),
    ],
)  # fmt: skip
def test_what_tifffile_tells_of_vendors_is_used(name, said, expected, tmp_path, monkeypatch):
    """Fails where metadata that tifffile parses are left out, or read in another unit."""
    tifffile.imwrite(tmp_path / "a.tif", np.ones((8, 512), np.uint16), metadata=None)
    monkeypatch.setattr(tifffile.TiffFile, name, property(lambda file: said))
    (height, width, units), notes = scale_of(tmp_path / "a.tif")
    assert (width, units) == (expected[0] and pytest.approx(expected[0]), expected[1])
    assert height == width
    assert bool(notes) == (expected[0] is None)
