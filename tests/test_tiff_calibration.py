"""Fail where a TIFF's pixel size is lost without a word, or what was taken of a file is not told."""

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
