"""Small files to try the commands on: simulated from a seed, and a cell that was measured.

frame.tif, movie.tif      atoms in a scanning transmission electron microscope
scans/scan_001.tif ...    the movie's first frames, a file each
focal_series.tif, .json   a cell's phase, measured (scikit-image), seen by simulated light
defocused.tif, .json      the same at one plane
through_focus.tif, .json  the same at seven planes, in light that falls in at an angle
pairs/blurred, clean      photographs (scikit-image)
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from .files import replacing
from .files.formats import write_recording
from .files.pictures import write_png
from .files.recording import Axis
from .physics.optics import Optics
from .physics.waves import defocus_stack

# A crystal's rows and columns of atoms, nm; the pixel; counts in a pixel of the brightest column.
SPACING, PIXEL, DOSE = (0.27, 0.24), 0.02, 4.0
DRIFT = (0.35, -0.2)  # pixels a frame
PLANES = (-52.0, 52.0)
# Of the model `phase-108`, too.
ALONE = -108.0
THROUGH = tuple(52.0 * i for i in range(-3, 4))
# Pixels that an image moves in oblique light for each um of defocus.
OBLIQUE = 0.02
SCANS = 4
PHOTOGRAPHS = ("camera", "coins", "moon", "page")


def write_example_files(folder: Path, seed: int = 0) -> list[str]:
    """Write the files, each replaced if it is there.

    Parameters
    ----------
    folder : Path
        Made if it is missing.
    seed : int
        Of the noise and the specimen.

    Returns
    -------
    list of str
        A line for each file: its name and what it holds.
    """
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    movie = rng.poisson(DOSE * crystal(128, 12, rng)).astype(np.uint16)
    frame = rng.poisson(DOSE * crystal(512, 1, rng)).astype(np.uint16)
    for name, frames in (("movie", movie), ("frame", frame)):
        outer = (Axis("t", len(frames), 0.04, 0.0, "s"),) if len(frames) > 1 else ()
        inner = (Axis(n, frames.shape[1], PIXEL, 0.0, "nm") for n in ("y", "x"))
        write_recording(
            folder / f"{name}.tif", frames, (*outer, *inner), dtype="uint16", mark=False
        )
    (folder / "scans").mkdir(exist_ok=True)
    for i in range(SCANS):
        scan = folder / "scans" / f"scan_{i + 1:03}.tif"
        inner = (Axis(n, movie.shape[1], PIXEL, 0.0, "nm") for n in ("y", "x"))
        write_recording(scan, movie[i : i + 1], tuple(inner), dtype="uint16", mark=False)
    optics = Optics()
    phase = cell()
    for name, planes, moved in (
        ("focal_series", PLANES, 0.0), ("defocused", (ALONE,), 0.0),
        ("through_focus", THROUGH, OBLIQUE),
    ):  # fmt: skip
        images = seen(phase, planes, optics, rng, moved)
        inner = (Axis(n, images.shape[1], optics.pixel_size, 0.0, "um") for n in ("y", "x"))
        outer = (Axis("", len(images)),) if len(images) > 1 else ()
        kind = "uint16" if moved else "float32"
        write_recording(folder / f"{name}.tif", images, (*outer, *inner), dtype=kind, mark=False)
        told = {
            "defocus": list(planes), "wavelength": optics.wavelength,
            "pixel_size": optics.pixel_size, "numerical_aperture": optics.numerical_aperture,
        }  # fmt: skip
        with replacing(folder / f"{name}.json") as part:
            part.write_text(json.dumps(told, indent=1))
    for name in PHOTOGRAPHS:
        clean = photograph(name)
        for kind, picture in (("blurred", blurred(clean, rng)), ("clean", clean)):
            (folder / "pairs" / kind).mkdir(parents=True, exist_ok=True)
            write_png(folder / "pairs" / kind / f"{name}.png", picture, 0, 255, mark=False)
    return [
        "frame.tif: a STEM frame of a crystal, 512x512, a few counts a pixel",
        "movie.tif: 12 frames of a crystal that drifts, 128x128",
        "scans/: the first 4 of them, a file each",
        "focal_series.tif, focal_series.json: a cell at -52 and 52 um, and its optics",
        "defocused.tif, defocused.json: the same cell at -108 um alone",
        "through_focus.tif, through_focus.json: the same cell at 7 planes, in oblique light",
        "pairs/: four blurred photographs and the clean ones",
    ]


def crystal(size: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Frames of a crystal's edge that drifts; the brightest column is about one."""
    y, x = np.mgrid[:size, :size] * PIXEL
    frames = np.empty((count, size, size))
    turn = rng.uniform(0.1, 0.4)
    heights = rng.uniform(0.5, 1.0, (64, 64))
    for i in range(count):
        down, right = (y - DRIFT[0] * i * PIXEL, x - DRIFT[1] * i * PIXEL)
        u = (down * np.cos(turn) + right * np.sin(turn)) / SPACING[0]
        v = (right * np.cos(turn) - down * np.sin(turn)) / SPACING[1]
        away = ((u - np.rint(u)) * SPACING[0]) ** 2 + ((v - np.rint(v)) * SPACING[1]) ** 2
        height = heights[np.rint(u).astype(int) % 64, np.rint(v).astype(int) % 64]
        edge = 1 / (1 + np.exp((down + 0.6 * right - 0.8 * size * PIXEL) / 0.1))
        frames[i] = 0.08 + edge * (0.12 + height * np.exp(-away / (2 * 0.055**2)))
    return frames


def cell() -> np.ndarray:
    """The phase of a cell in saline, rad, 256x256; measured by holography (scikit-image)."""
    from skimage import data
    from skimage.transform import resize

    picture = data.cell()
    side = min(picture.shape)
    top, left = ((n - side) // 2 for n in picture.shape)
    square = picture[top : top + side, left : left + side].astype(float)
    small = resize(square, (256, 256), anti_aliasing=True, preserve_range=True)
    return 2.5 * (small - np.median(small)) / np.ptp(small)


def seen(
    phase: np.ndarray,
    planes: tuple[float, ...],
    optics: Optics,
    rng: np.random.Generator,
    moved: float = 0.0,
) -> np.ndarray:
    """Images of a phase at each plane, in counts: (planes, height, width).

    In oblique light an image is `moved` by so many pixels to the right for each um of defocus.
    """
    from scipy.ndimage import shift

    margin = 64
    wave = np.exp(1j * np.pad(phase, margin, mode="symmetric")).astype(np.complex64)
    whole = np.asarray(defocus_stack(wave, np.array(planes), optics))
    if moved:
        slid = [
            shift(whole[..., i], (0, moved * z), order=3, mode="nearest")
            for i, z in enumerate(planes)
        ]
        whole = np.stack(slid, axis=-1)
    images = whole[margin:-margin, margin:-margin]
    return np.moveaxis(rng.poisson(4000 * images), -1, 0).astype(np.float32)


def photograph(name: str) -> np.ndarray:
    """A photograph that comes with scikit-image, 256x256, grey, 0 to 255."""
    from skimage import data
    from skimage.transform import resize

    picture = getattr(data, name)().astype(float)
    side = min(picture.shape[:2])
    return resize(picture[:side, :side], (256, 256), anti_aliasing=True, preserve_range=True)


def blurred(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A picture out of focus, with noise."""
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(picture, 2) + 4 * rng.standard_normal(picture.shape)
