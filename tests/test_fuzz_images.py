"""Damaged images are refused in a line, or read; what they declare takes neither time nor memory.

Each seed makes one damage to a small file of one format; see `fuzzing`.
"""

import os
import sys

import h5py
import numpy as np
import pytest
import tifffile
from fuzzing import damaged_bytes, try_seeds, work

IN_CI, ALL = 400, 10000


def small_files(folder):
    """A file of each format, of three frames of 24x20 where it holds several."""
    from PIL import Image

    from mcnn_keras.files import Axis, write_recording

    rng = np.random.default_rng(0)
    frames = rng.integers(0, 4000, (3, 24, 20), np.uint16)
    axes = (
        Axis("t", 3, 0.5, 0.0, "s"),
        Axis("y", 24, 0.1, 0.0, "nm"),
        Axis("x", 20, 0.1, 0.0, "nm"),
    )
    for name in ("own.tif", "own.ome.tif", "own.h5", "own.npy", "own.mrc", "own.hspy"):
        write_recording(folder / name, frames, axes, "title", dtype="uint16")
    write_recording(folder / "signed.mrc", frames, axes, dtype="int16")
    for codec in ("lzw", "zlib", "zstd", "packbits", "lzma", "jpeg2000"):
        tifffile.imwrite(folder / f"{codec}.tif", frames, compression=codec)
    tifffile.imwrite(folder / "tiles.tif", frames, tile=(16, 16), compression="lzw", predictor=True)
    tifffile.imwrite(folder / "big.btf", frames, bigtiff=True, byteorder=">")
    tifffile.imwrite(folder / "colours.tif", rng.integers(0, 255, (24, 20, 3), np.uint8))
    colours = Image.fromarray(rng.integers(0, 255, (24, 20, 3), np.uint8))
    for ending in ("png", "jpg", "bmp", "gif", "ppm"):
        colours.save(folder / f"colours.{ending}")
    Image.fromarray(frames[0]).save(folder / "grey.png")
    np.save(folder / "columns.npy", np.asfortranarray(frames))
    with h5py.File(folder / "chunks.h5", "w") as file:
        file.create_dataset("a/b", data=frames, compression="gzip", shuffle=True, fletcher32=True)
    return sorted(folder.iterdir())


def reader(folder):
    """What reads a damaged copy of a file of the folder as a whole, its text beside it, too."""
    from mcnn_keras.files import open_recording
    from mcnn_keras.files.instrument import instrument_of

    contents = {path.name: path.read_bytes() for path in small_files(folder)}
    text = b'{"defocus": [-1, 0, 2.5], "wavelength": 0.65, "pixel_size": 0.31}'

    def one(rng):
        name = rng.choice(sorted(contents))
        path = folder / f"damaged{''.join(os.path.splitext(name)[1:])}"
        content, beside = contents[name], text
        if rng.random() < 0.1:
            beside = damaged_bytes(text, rng)
        else:
            for _ in range(rng.choice([1, 1, 2, 5])):
                content = damaged_bytes(content, rng) if content else content
        path.write_bytes(content)
        path.with_suffix(".json").write_bytes(beside)
        instrument_of(str(path), strict=True)
        with open_recording(path) as recording:
            recording.described()
            recording.read(0, min(len(recording), 64))
            return "is read"

    return one


def test_damaged_images_are_refused_or_read():
    """Fails where damage ends in another exception, a crash, a wait or much memory."""
    pytest.importorskip("rsciio")
    counts, failed = try_seeds(__file__, 0, IN_CI)
    assert not failed, "\n".join(failed)
    assert sum(counts.values()) == IN_CI
    assert min(counts.values()) > IN_CI / 10


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
def test_many_damaged_images_are_refused_or_read(part):
    """Fails as above, of many more."""
    each = ALL // 10
    counts, failed = try_seeds(__file__, 1000 + part * each, 1000 + (part + 1) * each)
    print(dict(counts))
    assert not failed, "\n".join(failed)


if __name__ == "__main__":
    work(reader, int(sys.argv[1]), int(sys.argv[2]))
