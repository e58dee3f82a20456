"""Fail where the picture beside a result, or that of a report, does not tell what it shows."""

import io

import imageio.v3 as iio
import numpy as np
import pytest

from mcnn_keras import save
from mcnn_keras.files import Axis, write_recording
from mcnn_keras.files.figures import SPACE, TEXT
from mcnn_keras.inference import preview
from mcnn_keras.inference.stream import predict_files
from mcnn_keras.report.training import _examples

LIT = 40
PLAIN = (Axis("y", 64), Axis("x", 64))  # of unknown pixels
HEAD = SPACE + TEXT + SPACE  # above the images of the first row


@pytest.fixture
def shown(denoiser, tmp_path, monkeypatch):
    """From frames and their axes: the figure beside the result, its panels and scale bar."""
    save(denoiser, tmp_path / "model.h5")
    figures = []
    write_figure = preview.write_figure

    def kept(path, panels, *scale, **more):
        figures.append((panels, *scale))
        write_figure(path, panels, *scale, **more)

    monkeypatch.setattr(preview, "write_figure", kept)

    def denoised(frames, field=PLAIN):
        write_recording(tmp_path / "in.tif", frames, (Axis("t", len(frames)), *field))
        arguments = ([str(tmp_path / "in.tif")], tmp_path / "out.tif")
        predict_files(tmp_path / "model.h5", *arguments, engine="tensorflow", overwrite=True)
        return (iio.imread(tmp_path / "out.png"), *figures[-1])

    return denoised


def in_nm(size, pixel, high=1.0):
    return (Axis("y", size, high * pixel, 0.0, "nm"), Axis("x", size, pixel, 0.0, "nm"))


@pytest.fixture
def frames(rng):
    image = rng.poisson(LIT, (2, 64, 64)).astype(np.float32)
    image[:, :, 32:] += LIT
    return image


def test_before_and_after_stand_side_by_side(shown, frames):
    """Fails where a panel lacks its name, the two differ in scale, or are not the first frame's."""
    picture, panels, pixel, unit = shown(frames, in_nm(64, 0.02))
    assert [panel.title for panel in panels] == ["input", "restored"]
    np.testing.assert_array_equal(panels[0].image, frames[0])
    before, after = ((p.low, p.high, p.unit) for p in panels)
    assert before == after
    assert before[0] < before[1]
    assert (pixel, unit) == (pytest.approx(0.02), "nm")
    assert picture.shape[1] > 2 * 64
    assert (picture[:HEAD] < 128).any()  # the titles


def test_scale_bars_are_drawn_where_a_pixel_has_one_size(shown, frames):
    """Fails where a bar is invented, a frame of oblong pixels fails, or a wide field is in nm."""
    assert shown(frames)[2] is None
    assert shown(frames, in_nm(64, 0.02, high=1.5))[2] is None
    *_, pixel, unit = shown(frames, in_nm(64, 100.0))
    assert (pixel, unit) == (pytest.approx(0.1), "um")


def test_a_first_frame_without_a_value_has_a_picture(shown, frames):
    """Fails where nothing but NaN in the first frame ends the run."""
    frames[0] = np.nan
    picture, panels, *_ = shown(frames)
    assert np.isnan(panels[0].image).all()
    assert picture.shape[1] > 2 * 64


@pytest.mark.parametrize("colours", [1, 3])
def test_examples_of_a_report_have_headings(rng, colours):
    """Fails where a column has no heading, a sample is left out, or colours are lost."""
    images = rng.random((2, 64, 64, colours))
    targets = rng.random((2, 64, 64, colours))
    picture = iio.imread(io.BytesIO(_examples((images, targets), targets)))
    height, width = (n - SPACE for n in picture.shape[:2])
    tops = [picture[SPACE : SPACE + TEXT, i * width // 4 :][:, : width // 4] for i in range(4)]
    assert all((top < 128).any() for top in tops)
    second = picture[SPACE + height // 2 :][:TEXT]
    assert (second == 255).all()
    is_grey = (picture == picture[..., :1]).all()
    assert is_grey == (colours == 1)
