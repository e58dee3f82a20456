"""Pictures to look at: panels with a title, a scale bar and a colour bar in their own unit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .pictures import save_png, to_grey

# In pixels: the panels' least and largest side, the text, the space around, the colour bar.
LEAST, LARGEST = 320, 640
TEXT, SPACE, BAR = 15, 12, 14


@dataclass(frozen=True)
class Panel:
    """One image of a figure.

    Parameters
    ----------
    image : (height, width) or (height, width, 3) array
        Grey, or red, green and blue.
    title : str
    unit : str
        Of the values, beside the colour bar; "rad", say.
    low, high : float, optional
        The values that become black and white; percentiles 0.2 and 99.8 by default.
    """

    image: np.ndarray
    title: str
    unit: str = ""
    low: float | None = None
    high: float | None = None


def write_figure(
    path: str | Path,
    panels: Sequence[Panel],
    pixel_size: float | None = None,
    unit: str = "um",
    columns: int | None = None,
    largest: int = LARGEST,
    note: str = "",
) -> None:
    """Write panels as a PNG, in rows.

    Parameters
    ----------
    path : Path
        The file, replaced if it exists.
    panels, pixel_size, unit, columns, largest :
        As for `figure`.
    note : str
        Text to keep in the file; see `read_note`.
    """
    save_png(path, figure(panels, pixel_size, unit, columns, largest), note)


def figure(
    panels: Sequence[Panel],
    pixel_size: float | None = None,
    unit: str = "um",
    columns: int | None = None,
    largest: int = LARGEST,
) -> np.ndarray:
    """Panels in rows, as one picture.

    Parameters
    ----------
    panels : sequence of Panel
        Of one height and width.
    pixel_size : float, optional
        For the scale bars; without it there are none.
    unit : str
        Of the pixel size.
    columns : int, optional
        Panels in a row; all of them by default, at most four.
    largest : int
        Pixels along the longer side of a panel, at most; of a larger image some are left out.

    Returns
    -------
    numpy.ndarray
        (height, width, 3), uint8.
    """
    drawn = [_drawn(panel, pixel_size, unit, largest) for panel in panels]
    columns = columns or min(len(drawn), 4)
    height = max(p.shape[0] for p in drawn)
    width = max(p.shape[1] for p in drawn)
    rows = -(-len(drawn) // columns)
    sheet = np.full((rows * height + SPACE, columns * width + SPACE, 3), 255, np.uint8)
    for i, picture in enumerate(drawn):
        y, x = SPACE + i // columns * height, SPACE + i % columns * width
        sheet[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
    return sheet


def _drawn(panel: Panel, pixel_size: float | None, unit: str, most: int) -> np.ndarray:
    """A panel with its title above, its scale bar within and its colour bar beside it."""
    from PIL import Image, ImageDraw, ImageFont

    image = np.asarray(panel.image, np.float64)
    seen = image[np.isfinite(image)]
    seen = seen if seen.size else np.zeros(1)
    low = float(np.percentile(seen, 0.2)) if panel.low is None else panel.low
    high = float(np.percentile(seen, 99.8)) if panel.high is None else panel.high
    # Whole pixels are repeated, so that nothing is blurred; what is larger is shown at less.
    largest = max(image.shape[:2])
    times = max(1, LEAST // largest) if largest < LEAST else 1
    skip = -(-largest // most)
    grey = to_grey(np.nan_to_num(image[::skip, ::skip], nan=low), low, high)
    grey = np.repeat(np.repeat(grey, times, 0), times, 1)
    per_pixel = skip / times

    font = ImageFont.load_default(TEXT)
    height, width = grey.shape[:2]
    left, top = width + SPACE, TEXT + SPACE
    labels = [f"{high:.3g}", f"{low:.3g}"] if high > low else ["", f"{low:.3g}"]
    side = max(font.getlength(text) for text in [*labels, panel.unit]) if panel.unit else 0
    beside = math.ceil(SPACE + BAR + 4 + side) if panel.unit else 0
    sheet = Image.new("RGB", (width + beside + SPACE, height + top + SPACE), "white")
    sheet.paste(Image.fromarray(grey), (0, top))
    draw = ImageDraw.Draw(sheet)
    draw.text((0, 0), _fitted(panel.title, font, width + beside), "black", font)
    if panel.unit:
        ramp = np.repeat(np.linspace(255, 0, height).astype(np.uint8)[:, None], BAR, 1)
        sheet.paste(Image.fromarray(ramp), (left, top))
        draw.rectangle((left, top, left + BAR - 1, top + height - 1), outline="black")
        x = left + BAR + 4
        draw.text((x, top - 2), labels[0], "black", font)
        draw.text((x, top + height - TEXT - 3), labels[1], "black", font)
        if panel.unit != "1":
            draw.text((x, top + height // 2 - TEXT // 2), panel.unit, "black", font)
    if pixel_size:
        _scale_bar(draw, font, width, top + height, pixel_size * per_pixel, unit)
    return np.asarray(sheet)


def _fitted(text: str, font: object, width: int) -> str:
    """The text, cut where it would be wider than its panel."""
    while len(text) > 4 and font.getlength(text) > width:  # type: ignore[attr-defined]
        text = text[:-4] + "..."
    return text


def _scale_bar(
    draw: object, font: object, width: int, bottom: int, pixel: float, unit: str
) -> None:
    """A bar of a round length, at most a third of the width, at the lower left."""
    length = round_length(width * pixel / 3)
    bar = max(1, round(length / pixel))
    label = f"{length:g} {unit}"
    across = max(bar, font.getlength(label))  # type: ignore[attr-defined]
    y = bottom - SPACE
    draw.rectangle(  # type: ignore[attr-defined]
        (4, y - TEXT - 10, 4 + across + 8, bottom - 4), fill="black"
    )
    draw.rectangle((8, y - 2, 8 + bar, y + 1), fill="white")  # type: ignore[attr-defined]
    draw.text((8, y - TEXT - 8), label, "white", font)  # type: ignore[attr-defined]


def round_length(most: float) -> float:
    """The largest of 1, 2 and 5 times a power of ten that is not above a length."""
    power = 10.0 ** math.floor(math.log10(most))
    return power * max(digit for digit in (1, 2, 5) if digit * power <= most * (1 + 1e-9))
