"""Videos of input and result, side by side."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..files import open_recording, replacing, to_grey
from ..files.own import SOFTWARE

SUFFIXES = (".gif", ".mp4")
# Most frames of a video; of a longer recording, frames are left out.
MOST = 500
# Largest width of each image in it, in pixels.
MOST_PIXELS = 640


def check_video(path: str | Path) -> None:
    """Raise InputError for a video that cannot be written.

    Raises
    ------
    InputError
        If its name does not end in .gif or .mp4, or the package for .mp4 files is not installed.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(
            f"the video {path} has the extension {suffix or 'none'}; choose .gif or .mp4"
        )
    if suffix == ".mp4" and not any(map(importlib.util.find_spec, ("imageio_ffmpeg", "av"))):
        raise InputError(
            "a package for .mp4 is missing; run pip install imageio-ffmpeg, or name a .gif"
        )


def write_video(
    path: str | Path, images: Any, results: Any, truth: Any = None, fps: float = 2.0
) -> None:
    """Write input and result side by side, and also truth and difference if the truth is given.

    Parameters
    ----------
    path : Path
        A .gif or .mp4, replaced if it is there.
    images, results, truth : array, or object with shape and slices
        (frames, height, width) each; images may be smaller than the results by a whole factor.
    fps : float
        Frames per second.
    """
    check_video(path)
    numbers = np.unique(np.linspace(0, len(results) - 1, min(len(results), MOST)).astype(int))

    def scale(frames: Any) -> tuple[float, float]:
        # One grey scale for all frames, from a few of them.
        some = np.stack([frames[i : i + 1][0] for i in numbers[:: max(1, len(numbers) // 8)]])
        return tuple(np.percentile(some, (0.2, 99.8)))

    ours = scale(results) if truth is None else scale(truth)
    columns = [(images, scale(images)), (results, ours)]
    if truth is not None:
        columns.append((truth, ours))
    thin = -(-max(results.shape[1:]) // MOST_PIXELS)
    video = []
    for i in numbers:
        tiles = [to_grey(_as_large(f[i : i + 1][0], results), *limits) for f, limits in columns]
        if truth is not None:
            difference = np.abs(results[i : i + 1][0] - truth[i : i + 1][0])
            tiles.append(to_grey(difference, 0, ours[1] - ours[0]))
        video.append(np.concatenate([tile[::thin, ::thin] for tile in tiles], axis=1))
    _write(Path(path), video, fps)


def write_columns(
    path: str | Path, measurements: Any, results: Any, outputs: int, truth: str | None, fps: float
) -> None:
    """Write a video of the first plane and the first output of each measurement.

    Parameters
    ----------
    path : Path
        As for `write_video`.
    measurements : Measurements
    results : array
        (frames, height, width), all outputs of each measurement one after another.
    outputs : int
    truth : str or None
        The file of the true result, for two more columns.
    fps : float
    """
    images = _Column(len(measurements), measurements.shown)
    answers = _Column(len(measurements), lambda i: results[outputs * i : outputs * i + 1][0])
    if truth is None:
        write_video(path, images, answers, fps=fps)
        return
    with open_recording(truth, force=True) as recording:
        column = _Column(len(recording), lambda i: recording.read(i, i + 1)[0])
        write_video(path, images, answers, column, fps)


class _Column:
    """Images that are made when they are needed, one at a time."""

    def __init__(self, count: int, get: Callable[[int], np.ndarray]) -> None:
        self.get, self.shape = get, (count, *get(0).shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, frames: slice) -> np.ndarray:
        return np.stack([self.get(i) for i in range(self.shape[0])[frames]])


def _as_large(frame: np.ndarray, results: Any) -> np.ndarray:
    factor = results.shape[1] // frame.shape[0]
    return frame.repeat(factor, axis=0).repeat(factor, axis=1)


def _write(path: Path, video: list[np.ndarray], fps: float) -> None:
    import imageio.v3 as iio

    # In colour: some readers fail on grey GIFs whose frames leave out unchanged parts.
    shown = np.repeat(np.stack(video)[..., None], 3, axis=3)
    with replacing(path) as part:
        if path.suffix.lower() == ".gif":
            iio.imwrite(part, shown, duration=1000 / fps, loop=0, comment=SOFTWARE.encode())
        else:
            plugin = "FFMPEG" if importlib.util.find_spec("imageio_ffmpeg") else "pyav"
            codec = {"codec": "libx264", "macro_block_size": 1} if plugin == "FFMPEG" else {
                "codec": "libx264"}  # fmt: skip
            # The codec needs even numbers of pixels.
            height, width = (n // 2 * 2 for n in shown.shape[1:3])
            shown = np.ascontiguousarray(shown[:, :height, :width])
            iio.imwrite(part, shown, plugin=plugin, fps=fps, **codec)
