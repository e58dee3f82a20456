"""Fail where fewer frames than a TIFF announces, or some of them twice, are taken in silence."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from mcnn_keras import InputError
from mcnn_keras.files import Axis, open_recording, write_recording
from mcnn_keras.focal_series.series import read_focal_series
from mcnn_keras.inference.planning import plan
from mcnn_keras.models.saving import read_card

FIELD = (Axis("time", 6), Axis("height", 20), Axis("width", 25))


@pytest.fixture
def frames(rng):
    return rng.integers(0, 999, (6, 20, 25), np.uint16)


def by_pillow(path, frames):
    first, *others = (Image.fromarray(frame) for frame in frames)
    first.save(path, save_all=True, append_images=others, compression="tiff_lzw")


def one_by_one(path, frames, **options):
    with tifffile.TiffWriter(path) as file:
        for frame in frames:
            file.write(frame, **options)


def by_tifffile(**options):
    options = {"photometric": "minisblack", **options}
    return lambda path, frames: tifffile.imwrite(path, frames, **options)


WRITERS = {
    "imagej": by_tifffile(imagej=True, metadata={"axes": "TYX"}),
    "imagej_zlib": by_tifffile(imagej=True, compression="zlib", metadata={"axes": "ZYX"}),
    "ome": by_tifffile(ome=True, metadata={"axes": "TYX"}),
    "ome_lzw": by_tifffile(ome=True, compression="lzw", metadata={"axes": "ZYX"}),
    "shaped": by_tifffile(),
    "shaped_zlib": by_tifffile(compression="zlib"),
    "bare": by_tifffile(metadata=None),
    "bigtiff": by_tifffile(metadata=None, bigtiff=True),
    "tiled": by_tifffile(tile=(16, 16)),
    "big_endian": by_tifffile(byteorder=">", metadata=None),
    "appended": lambda path, frames: one_by_one(path, frames, contiguous=False, metadata=None),
    "contiguous": lambda path, frames: one_by_one(path, frames, contiguous=True),
    "pillow": by_pillow,
    "own": lambda path, frames: write_recording(path, frames, FIELD, dtype="uint16"),
    "own_float64": lambda path, frames: write_recording(path, frames, FIELD, dtype="float64"),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_file_that_is_cut_is_whole_or_refused(writer, frames, tmp_path):
    """Fails where a file that was cut anywhere gives fewer frames, or other values."""
    suffix = ".ome.tif" if "ome" in writer else ".tif"
    path, cut = tmp_path / f"a{suffix}", tmp_path / f"cut{suffix}"
    WRITERS[writer](path, frames)
    with open_recording(path) as recording:
        np.testing.assert_array_equal(recording.read(), frames)
    data = path.read_bytes()
    refused = []
    for length in {
        *np.linspace(1, len(data) - 1, 40).astype(int),
        *range(len(data) - 9, len(data)),
    }:
        cut.write_bytes(data[:length])
        try:
            with open_recording(cut) as recording:
                found = recording.read()
        except InputError as error:
            refused.append(str(error))
            continue
        np.testing.assert_array_equal(found, frames)
    assert len(refused) > 30
    # Where the file's own words are there, both numbers are stated.
    if writer in ("imagej", "shaped", "own", "contiguous"):
        assert any("announces 6 frames and holds 4" in line for line in refused)


def test_more_frames_announced_than_pages(frames, tmp_path):
    """Fails where ImageJ's or tifffile's own number of images is not looked at."""
    tifffile.imwrite(tmp_path / "a.tif", frames[:3], photometric="minisblack", metadata=None,
                     description="ImageJ=1.53t\nimages=6\nframes=6\n")  # fmt: skip
    with pytest.raises(InputError, match="announces 6 frames and holds 3"):
        open_recording(tmp_path / "a.tif")


IDS = [f"urn:uuid:00000000-0000-0000-0000-00000000000{k}" for k in (1, 2)]
OME = '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="{}">{}</OME>'


def write_set(folder, frames):
    """An OME-TIFF in two files, each with three of six frames and the description of all."""
    blocks = "".join(
        f'<TiffData FirstT="{t}" FirstC="0" FirstZ="0" IFD="{t % 3}" PlaneCount="1">'
        f'<UUID FileName="{"ab"[t // 3]}.ome.tif">{IDS[t // 3]}</UUID></TiffData>'
        for t in range(6)
    )
    height, width = frames.shape[1:]
    image = (
        '<Image ID="Image:0" Name="set"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" '
        f'Type="uint16" SizeX="{width}" SizeY="{height}" SizeZ="1" SizeC="1" SizeT="6">'
        f'<Channel ID="Channel:0:0" SamplesPerPixel="1"/>{blocks}</Pixels></Image>'
    )
    names = [folder / f"{c}.ome.tif" for c in "ab"]
    for k, name in enumerate(names):
        tifffile.imwrite(name, frames[3 * k : 3 * k + 3], photometric="minisblack", metadata=None,
                         description=OME.format(IDS[k], image))  # fmt: skip
    return names


def test_an_ome_recording_in_two_files_is_one(tmp_path, frames):
    """Fails where a half gives half of the frames, or both halves give all of them twice."""
    names = write_set(tmp_path, frames)
    for name in names:
        with open_recording(name) as recording:
            np.testing.assert_array_equal(recording.read(), frames)
    given = [str(name) for name in names]
    (job,) = plan("denoise", read_card("denoise"), given, tmp_path / "out")
    assert job.inputs == (given[0],)
    assert "b.ome.tif holds a part of the same recording" in job.note
    told = []
    series = read_focal_series(given, [1.0, 2, 3, 4, 5, 6], say=told.append)
    assert series.images.shape == (20, 25, 6)
    assert any("b.ome.tif holds a part" in line for line in told)
    names[1].unlink()
    with pytest.raises(InputError, match=r"announces 6 frames and holds 3; .* the other files"):
        open_recording(names[0])
    only = f'<BinaryOnly MetadataFile="a.ome.tif" UUID="{IDS[0]}"/>'
    tifffile.imwrite(names[1], frames[3:], photometric="minisblack", metadata=None,
                     description=OME.format(IDS[1], only))  # fmt: skip
    with pytest.raises(InputError, match=r"a part of a set that a\.ome\.tif describes"):
        open_recording(names[1])
