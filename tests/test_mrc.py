"""Fail where mrcfile, an independent reader, sees other values or sizes in an MRC file."""

import numpy as np
import pytest

from mcnn_keras import InputError
from mcnn_keras.files import Axis, open_recording, write_recording

mrcfile = pytest.importorskip("mrcfile")
FIELD = (Axis("height", 20, 0.25, 1.5, "nm"), Axis("width", 25, 0.5, -2.0, "nm"))


def make(path, values, order="<", change=None, voxel=(5.0, 2.5, 0.0), extended=b"", kind=b""):
    """An MRC file by mrcfile, in either byte order; `change` edits the header."""
    with mrcfile.new(path, overwrite=True) as file:
        file.set_data(values)
        file.voxel_size = voxel
        if extended:
            file.set_extended_header(np.frombuffer(extended, "V1"))
            file.header.exttyp = kind
        if change:
            change(file.header)
    if order == ">":
        data = path.read_bytes()
        with mrcfile.open(path, permissive=True) as file:
            header = file.header.astype(file.header.dtype.newbyteorder(">"))
        header["machst"] = [0x11, 0x11, 0, 0]
        path.write_bytes(
            header.tobytes() + data[1024 : 1024 + len(extended)]
            + values.astype(values.dtype.newbyteorder(">")).tobytes()
        )  # fmt: skip


@pytest.mark.parametrize("ending", [".mrc", ".mrcs", ".st", ".rec", ".ali", ".map"])
@pytest.mark.parametrize("dtype", ["int8", "int16", "uint16", "float16", "float32"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_values_are_those_that_mrcfile_reads(ending, dtype, order, tmp_path, rng):
    """Fails where a mode, byte order or ending gives other values, or the pixel size is lost."""
    values = (rng.normal(0, 30, (3, 20, 25))).astype(dtype)
    path = tmp_path / f"a{ending}"
    make(path, values, order)
    with mrcfile.open(path, permissive=True) as file:
        np.testing.assert_array_equal(file.data, values)
    with open_recording(path) as recording:
        np.testing.assert_array_equal(recording.read(), values.astype(np.float32))
        np.testing.assert_array_equal(recording.read(1, 2), values[1:2].astype(np.float32))
        assert recording.dtype.newbyteorder("=").name == dtype
        assert [a.scale for a in recording.axes[-2:]] == pytest.approx([0.25, 0.5])


@pytest.mark.parametrize("ending", [".mrc", ".mrcs", ".st", ".rec", ".ali"])
@pytest.mark.parametrize("dtype", ["int8", "int16", "uint16", "float16", "float32"])
def test_what_is_written_reads_equal_in_mrcfile(ending, dtype, tmp_path, rng):
    """Fails where negative bytes become bright ones, or size and origin are lost on the way out."""
    values = np.round(rng.normal(0, 30, (3, 20, 25))).astype(dtype).astype(np.float32)
    write_recording(tmp_path / f"a{ending}", values, (Axis("", 3), *FIELD), "Pt", dtype)
    with mrcfile.open(tmp_path / f"a{ending}") as file:
        np.testing.assert_array_equal(file.data, values)
        assert file.data.dtype.name == dtype
        assert (file.voxel_size.y, file.voxel_size.x) == pytest.approx((2.5, 5.0))
        assert (file.header.origin.y, file.header.origin.x) == pytest.approx((15.0, -20.0))
        assert file.is_image_stack()
    with open_recording(tmp_path / f"a{ending}") as recording:
        assert recording.title == "Pt"


def test_bytes_without_a_sign_are_imods(tmp_path):
    """Fails where IMOD's unsigned bytes become negative, or its signed ones bright."""
    values = np.full((20, 25), -10, np.int8)
    for flags, expected in ((0, 246), (1, -10)):

        def mark(header, flags=flags):
            header.view("V1024")
            told = np.frombuffer(header.tobytes(), "u1").copy()
            told[152:160] = np.array([1146047817, flags], "<i4").view("u1")
            header.extra2 = told[112:196].view(header.extra2.dtype)[0]

        make(tmp_path / "a.mrc", values, change=mark)
        with open_recording(tmp_path / "a.mrc") as recording:
            assert recording.read().min() == expected


def test_stacks_are_movies_and_volumes_are_not(tmp_path, rng):
    """Fails where slices of a volume are taken for frames in time, or their distance for focus."""
    values = rng.random((4, 20, 25)).astype(np.float32)
    for space_group, mz, names in ((0, 4, ["frame"]), (1, 4, ["z"]), (401, 2, ["volume", "z"])):

        def group(header, space_group=space_group, mz=mz):
            header.ispg, header.mz = space_group, mz

        make(tmp_path / "a.mrc", values, change=group, voxel=(5, 5, 7))
        with open_recording(tmp_path / "a.mrc") as recording:
            assert [a.name for a in recording.axes[:-2]] == names
            assert recording.axes[-3].scale is None
            assert any("0.7 nm" in note for note in recording.notes) == (space_group == 1)


def test_no_pixel_size_is_no_pixel_size(tmp_path):
    """Fails where a size of zero is divided by, or believed."""
    for change in (lambda h: None, lambda h: h.__setattr__("mx", 0)):
        make(tmp_path / "a.mrc", np.ones((20, 25), np.float32), voxel=(0, 0, 0), change=change)
        with open_recording(tmp_path / "a.mrc") as recording:
            assert [a.scale for a in recording.axes] == [None, None]


@pytest.mark.parametrize(("size", "kind"), [(131072, b""), (768, b"FEI1"), (52, b"SERI")])
@pytest.mark.parametrize("order", ["<", ">"])
def test_extended_headers_are_stepped_over(size, kind, order, tmp_path, rng):
    """Fails where frames begin in the extended header, or FEI's pixel size in it is not found."""
    values = rng.random((2, 20, 25)).astype(np.float32)
    extended = np.full(size, 7, "u1")
    expected = 0.5
    if not kind:
        extended[44:48] = np.array([3e-10], f"{order}f4").view("u1")
        expected = 0.3
    if kind == b"FEI1":
        from mrcfile.dtypes import get_ext_header_dtype

        fields = np.zeros(len(values), get_ext_header_dtype(b"FEI1", order))
        fields["Metadata size"], fields["Pixel size X"] = 768, 4e-10
        extended, expected = fields.view("u1"), 0.4
    make(tmp_path / "a.mrc", values, order, voxel=(5, 5, 0), extended=extended.tobytes(), kind=kind)
    with open_recording(tmp_path / "a.mrc") as recording:
        np.testing.assert_array_equal(recording.read(), values)
        assert recording.axes[-1].scale == pytest.approx(expected)


def test_a_file_that_is_cut_off_tells_both_numbers(tmp_path):
    """Fails where missing frames are read, or are found only when their turn comes."""
    make(tmp_path / "a.mrc", np.ones((7, 20, 25), np.int16))
    data = (tmp_path / "a.mrc").read_bytes()
    (tmp_path / "a.mrc").write_bytes(data[: 1024 + 3 * 1000 + 10])
    with pytest.raises(InputError, match="announces 7 images and holds 3"):
        open_recording(tmp_path / "a.mrc")


@pytest.mark.parametrize(
    ("mode", "what"), [(3, "complex"), (4, "complex"), (101, "4 bits"), (77, "mode 77")]
)
def test_modes_that_are_no_real_numbers_are_named(mode, what, tmp_path):
    """Fails where complex or packed values are read as something else."""
    make(tmp_path / "a.mrc", np.ones((2, 20, 26), np.float32))
    data = bytearray((tmp_path / "a.mrc").read_bytes())
    data[12:16] = np.array([mode], "<i4").tobytes()
    (tmp_path / "a.mrc").write_bytes(data)
    with pytest.raises(InputError, match=what) as caught:
        open_recording(tmp_path / "a.mrc")
    assert "\n" not in str(caught.value)


def test_text_is_no_mrc(tmp_path):
    """Fails where any bytes are taken for a header, or end in a reader's traceback."""
    for text in (b"", b"x" * 500, b"no image " * 400):
        (tmp_path / "a.mrcs").write_bytes(text)
        with pytest.raises(InputError, match=r"a\.mrcs"):
            open_recording(tmp_path / "a.mrcs")
