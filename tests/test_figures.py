"""Fail where a figure hides its values, its scale or a part of its images."""

import imageio.v3 as iio
import numpy as np
import pytest

from mcnn_keras.files import Panel, write_figure
from mcnn_keras.files.figures import LEAST, round_length


def test_panels_have_a_bar_of_their_values_and_a_scale(tmp_path, rng):
    """Fails where a colour bar, a scale bar or a title is missing, or covers the image."""
    image = rng.random((64, 96))
    plain = {"pixel_size": None}
    shapes = {}
    for name, panel, more in (
        ("bare", Panel(image, ""), plain),
        ("barred", Panel(image, "", "rad"), plain),
        ("scaled", Panel(image, "", "rad"), {"pixel_size": 0.31}),
        ("titled", Panel(image, "phase", "rad"), plain),
    ):
        write_figure(tmp_path / f"{name}.png", [panel], **more)
        shapes[name] = iio.imread(tmp_path / f"{name}.png")
    assert shapes["barred"].shape[1] > shapes["bare"].shape[1]
    assert (shapes["scaled"] != shapes["barred"]).any()
    assert (shapes["titled"] != shapes["barred"]).any()
    # The image itself, each pixel repeated.
    times = LEAST // 96
    assert shapes["bare"].shape[0] >= 64 * times
    assert shapes["bare"].shape[1] >= 96 * times


def test_rows_hold_every_panel(tmp_path):
    """Fails where a panel is left out, or a value that is missing makes the picture fail."""
    hole = np.ones((40, 40))
    hole[:5] = np.nan
    hole[20:] = 3
    panels = [Panel(hole, f"answer {i}", "rad") for i in range(6)]
    write_figure(tmp_path / "six.png", panels, 0.5, columns=3)
    one = tmp_path / "one.png"
    write_figure(one, panels[:1], 0.5)
    whole, single = iio.imread(tmp_path / "six.png"), iio.imread(one)
    assert whole.shape[0] > 1.8 * single.shape[0]
    assert whole.shape[1] > 2.7 * single.shape[1]


@pytest.mark.parametrize(("most", "length"), [(17, 10), (2, 2), (0.06, 0.05), (999, 500)])
def test_bars_have_round_lengths(most, length):
    """Fails where a bar is longer than its place, or is not 1, 2 or 5 of a power of ten."""
    assert round_length(most) == pytest.approx(length)
