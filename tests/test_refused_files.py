"""Fail where a file makes the program wait, take memory, read other files, or show a traceback."""

import json
import os
import socket

import h5py
import numpy as np
import pytest

from mcnn_keras import InputError
from mcnn_keras.cli import main
from mcnn_keras.cli.telling import visible
from mcnn_keras.files import Axis, open_recording, read_images, write_recording
from mcnn_keras.files.own import made_here

pytestmark = pytest.mark.filterwarnings("ignore:The NestedDirectoryStore:FutureWarning")
ENDINGS = (".tif", ".png", ".npy", ".h5", ".mrc", ".zarr", ".dm4", ".ser", ".emd", ".hspy", ".mib")


@pytest.mark.parametrize("ending", ENDINGS)
def test_pipes_and_sockets_are_not_waited_for(ending, tmp_path):
    """Fails (by waiting for ever) where a pipe is opened."""
    os.mkfifo(tmp_path / f"pipe{ending}")
    with pytest.raises(InputError, match="is a pipe"):
        open_recording(tmp_path / f"pipe{ending}")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / f"s{ending}"))
        with pytest.raises(InputError, match="is a socket"):
            open_recording(tmp_path / f"s{ending}")
    os.symlink("/dev/zero", tmp_path / f"zero{ending}")
    with pytest.raises(InputError, match="is a device"):
        open_recording(tmp_path / f"zero{ending}")


@pytest.mark.parametrize("ending", [e for e in ENDINGS if e != ".zarr"])
def test_damaged_files_exit_with_2_and_one_line(ending, tmp_path, capsys):
    """Fails where a reader's own error, EOFError say, is told as an interruption or a bug."""
    for content in (b"", b"\x93NUMPY\x01\x00", b"\x89HDF\r\n\x1a\n", b"II*\0" * 3, b"x" * 2000):
        (tmp_path / f"a{ending}").write_bytes(content)
        with pytest.raises(SystemExit) as caught:
            main(["denoise", str(tmp_path / f"a{ending}"), "--output", str(tmp_path / "b.tif")])
        told = capsys.readouterr().err
        assert caught.value.code == 2, told
        assert told.startswith("Error: ")
        assert told.count("\n") == 1


def test_an_early_end_is_no_interruption(tmp_path, monkeypatch, capsys):
    """Fails where click turns the EOFError of a reader into its Abort."""

    def ends(*_, **__):
        raise EOFError("nothing more")

    monkeypatch.setattr("mcnn_keras.models.saving.read_card", ends)
    with pytest.raises(SystemExit) as caught:
        main(["denoise", "a.tif", "--output", "b.tif"])
    assert caught.value.code == 2
    assert (
        capsys.readouterr().err == "Error: a file ends early (nothing more); is it still written?\n"
    )


@pytest.mark.parametrize("ending", [".h5", ".hspy", ".emd"])
@pytest.mark.parametrize("kind", ["external storage", "external link", "virtual"])
def test_hdf5_files_do_not_read_other_files(kind, ending, tmp_path):
    """Fails where values of another file come into the result."""
    if ending != ".h5":
        pytest.importorskip("rsciio")
    secret = tmp_path / "secret.bin"
    secret.write_bytes(b"secret" * 1000)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = np.ones((40, 50))
    with h5py.File(tmp_path / f"a{ending}", "w") as file:
        if kind == "external storage":
            file.create_dataset("x", (40, 50), "u1", external=[(str(secret), 0, 2000)])
        elif kind == "external link":
            file["x"] = h5py.ExternalLink("other.h5", "x")
            file["soft"] = h5py.SoftLink("/x")
        else:
            layout = h5py.VirtualLayout((40, 50), "f8")
            layout[:] = h5py.VirtualSource("other.h5", "x", (40, 50))
            file.create_virtual_dataset("x", layout)
    names = ["", ":/x", ":/soft"] if ending == ".h5" else [""]
    for name in names:
        with pytest.raises(InputError) as caught:
            open_recording(f"{tmp_path}/a{ending}{name}")
        if not (kind == "external link" and not name and ending == ".h5") and name != ":/soft":
            assert "not opened" in str(caught.value)


def test_links_within_a_file_are_followed(tmp_path):
    """Fails where a soft link to the file's own data, or its own virtual dataset, is refused."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.arange(2000.0).reshape(40, 50)
        file["soft"] = h5py.SoftLink("/x")
        layout = h5py.VirtualLayout((40, 50), "f8")
        layout[:] = h5py.VirtualSource(file["x"])
        file.create_virtual_dataset("v", layout)
    for name in ("x", "soft", "v"):
        assert read_images(f"{tmp_path}/a.h5:/{name}").max() == 1999


def test_zarr_links_out_of_the_folder_are_refused(tmp_path):
    """Fails where a chunk that is a link to another file is read, or a name is taken for a URL."""
    zarr = pytest.importorskip("zarr")
    old = {} if int(zarr.__version__.split(".")[0]) < 3 else {"zarr_format": 2}
    array = zarr.open(str(tmp_path / "a.zarr"), mode="w", shape=(40, 50), chunks=(40, 50),
                      dtype="u1", compressor=None, **old)  # fmt: skip
    array[:] = 5
    assert read_images(tmp_path / "a.zarr").max() == 5
    (tmp_path / "secret").write_bytes(b"s" * 2000)
    (tmp_path / "a.zarr" / "0.0").unlink()
    os.symlink(tmp_path / "secret", tmp_path / "a.zarr" / "0.0")
    with pytest.raises(InputError, match="outside of it"):
        open_recording(tmp_path / "a.zarr")
    for name in ("http://localhost/a.zarr", "s3://bucket/a.zarr", "simplecache::file:///a.zarr"):
        with pytest.raises(InputError, match="is not there"):
            open_recording(name)


def test_sizes_that_cannot_be_are_refused(tmp_path):
    """Fails (by memory) where a header of some bytes announces 10^12 pixels and is believed."""
    with h5py.File(tmp_path / "frames.h5", "w") as file:
        file.create_dataset("x", (10**6, 1000, 1000), "u2", chunks=(1, 1000, 1000), compression=1)
    with h5py.File(tmp_path / "frame.h5", "w") as file:
        file.create_dataset("x", (10**6, 10**6), "u2", chunks=(1000, 1000), compression=1)
    with h5py.File(tmp_path / "small.h5", "w") as file:  # below the bound of a frame
        file.create_dataset("x", (40000, 40000), "f8", chunks=(1000, 1000), compression=1)
    with open(tmp_path / "a.npy", "wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (10**6, 1000, 1000)}
        np.lib.format.write_array_header_1_0(file, header)
        file.write(b"\0" * 8000000)
    with open(tmp_path / "b.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(file, {**header, "shape": (10**6, 10**6)})
    folder = tmp_path / "a.zarr"
    folder.mkdir()
    (folder / ".zarray").write_text(json.dumps({
        "shape": [10**6, 10**6], "chunks": [1000, 1000], "dtype": "<u2", "fill_value": 0,
        "order": "C", "filters": None, "compressor": None, "zarr_format": 2,
    }))  # fmt: skip
    told = {"frames.h5": "stores 0 bytes", "frame.h5": "stores 0", "small.h5": "stores 0",
            "a.npy": "announces 1000000 images and holds 2", "b.npy": "holds 0"}  # fmt: skip
    for name, message in told.items():
        with pytest.raises(InputError, match=message):
            open_recording(tmp_path / name)
    pytest.importorskip("zarr")
    with pytest.raises(InputError, match="announces"):
        open_recording(folder)


def test_large_frames_of_full_files_are_bounded(tmp_path):
    """Fails where a frame beyond the documented bound is asked into memory."""
    from mcnn_keras.files.recording import recording_of

    huge = np.broadcast_to(np.zeros((), np.uint8), (2**16, 2**16))
    with pytest.raises(InputError, match="65536 x 65536 pixels; at most"):
        recording_of(huge, tmp_path / "a.h5")


def test_control_characters_do_not_reach_the_terminal(tmp_path, capsys):
    """Fails where a file's name or title clears the screen or hides what was said."""
    assert visible("Pt\x1b[2J \u202eb\x07 µm Å\n") == "Pt\\x1b[2J \\u202eb\\x07 µm Å\n"
    name = tmp_path / "a\x1b[2J\r.tif"
    name.write_bytes(b"no image")
    for given in (name, tmp_path / "missing\x1b[31m.tif"):
        with pytest.raises(SystemExit):
            main(["denoise", str(given), "--output", str(tmp_path / "b.tif")])
        told = capsys.readouterr()
        assert "\x1b" not in told.out + told.err
        assert "\\x1b" in told.err


def test_a_file_without_the_right_to_read_is_told(tmp_path, monkeypatch):
    """Fails where it is called damaged."""
    np.save(tmp_path / "a.npy", np.ones((40, 50)))

    def refused(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("mcnn_keras.files.arrays.read_npy", refused)
    with pytest.raises(InputError, match="may not be read"):
        open_recording(tmp_path / "a.npy")


@pytest.mark.parametrize("look", [open_recording, made_here])
def test_a_text_that_hdf5_never_ends_reading_is_refused(look, tmp_path, rng):
    """Fails where a heap of texts with an empty object keeps HDF5 busy for ever."""
    path = tmp_path / "a.h5"
    axes = tuple(Axis(name, size) for name, size in (("t", 2), ("y", 16), ("x", 16)))
    write_recording(path, rng.random((2, 16, 16)).astype(np.float32), axes)
    content = bytearray(path.read_bytes())
    start = content.index(b"GCOL")
    content[start + 16 : start + 32] = bytes(16)
    path.write_bytes(content)
    if look is made_here:
        assert not look(path)
    else:
        with pytest.raises(InputError, match="a text in it is damaged"):
            look(path)
