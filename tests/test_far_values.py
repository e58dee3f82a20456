"""Fail where values far from zero lose digits, NaN go unnamed, or narrow strips are refused."""

import numpy as np
import pytest
import tifffile

from mcnn_keras import InputError, predict, save
from mcnn_keras.files import open_recording
from mcnn_keras.focal_series.series import read_focal_series
from mcnn_keras.inference import stream
from mcnn_keras.inference.engines import engine_of
from mcnn_keras.inference.missing import look_for_missing
from mcnn_keras.inference.planning import plan
from mcnn_keras.models.saving import card_of


@pytest.fixture(scope="module")
def denoised(tmp_path_factory, denoiser):
    """From the name of a file to its result, with lines for the user."""
    folder = tmp_path_factory.mktemp("far")
    save(denoiser, folder / "model.h5")

    def result(path, output="out.tif", **options):
        told, output = [], path.parent / output
        jobs = plan(folder / "model.h5", denoiser.card, [str(path)], output)
        stream.execute(
            folder / "model.h5",
            jobs,
            told.append,
            engine=engine_of(denoiser),
            overwrite=True,
            **options,
        )
        return tifffile.imread(output), told

    return result


@pytest.fixture
def movie(rng):
    y, x = np.mgrid[:40, :48]
    lattice = np.cos(2 * np.pi * x / 8) + np.cos(2 * np.pi * y / 9)
    return lattice + 0.3 * rng.standard_normal((3, 40, 48))


@pytest.mark.parametrize("offset", [1e6, 1e9, -1e9])
def test_an_offset_changes_no_answer(offset, movie, denoised, tmp_path):
    """Fails where an offset costs more than a thousandth of the signal's deviation."""
    tifffile.imwrite(tmp_path / "a.tif", movie, photometric="minisblack")
    expected = denoised(tmp_path / "a.tif")[0]
    # What float32 gives of values near zero is as it ever was.
    tifffile.imwrite(tmp_path / "f.tif", movie.astype(np.float32), photometric="minisblack")
    np.testing.assert_array_equal(expected.astype(np.float32), denoised(tmp_path / "f.tif")[0])
    tifffile.imwrite(tmp_path / "far.tif", movie + offset, photometric="minisblack")
    found = denoised(tmp_path / "far.tif")[0]
    assert found.dtype == np.float64
    assert np.abs(found - offset - expected).max() < 1e-3 * movie.std()
    with pytest.raises(InputError, match="only float64 keeps the digits"):
        denoised(tmp_path / "far.tif", dtype="float32")


def test_integers_far_from_zero_keep_their_digits(movie, denoised, tmp_path):
    """Fails where 32-bit integers are cut to float32 on their way in or out."""
    counts = np.round(1000 * movie).astype(np.int64) + 10_000
    tifffile.imwrite(tmp_path / "a.tif", counts.astype(np.uint32), photometric="minisblack")
    expected = denoised(tmp_path / "a.tif")[0].astype(np.float64)
    far = (counts + 3_000_000_000).astype(np.uint32)
    tifffile.imwrite(tmp_path / "far.tif", far, photometric="minisblack")
    found = denoised(tmp_path / "far.tif")[0]
    assert found.dtype == np.uint32
    # Of integers, rounding is one of them.
    assert np.abs(found.astype(np.float64) - 3e9 - expected).max() <= 1.0


@pytest.mark.parametrize("offset", [1e6, 1e9])
def test_phases_refuse_what_float32_loses(offset, movie, tmp_path):
    """Fails where a series is read whose contrast float32 does not hold."""
    tifffile.imwrite(tmp_path / "far.tif", movie + offset, photometric="minisblack")
    with pytest.raises(InputError, match="lose their digits in float32; subtract"):
        read_focal_series([str(tmp_path / "far.tif")], [-1.0, 1, 2])
    np.save(tmp_path / "in_focus.npy", np.full((3, 40, 48), offset) * (1 + 1e-16 * movie))
    with open_recording(tmp_path / "in_focus.npy") as recording:
        assert np.ptp(recording.read()) == 0


def test_arrays_in_memory_are_not_cut_either(movie, denoiser):
    """Fails where `predict`, which answers in float32, takes what that cannot hold."""
    with pytest.raises(InputError, match="the array: values about 1e"):
        predict(denoiser, movie + 1e9, axes="tyx")


def test_frames_with_nan_are_named_first(movie, denoiser, denoised, trained, tmp_path):
    """Fails where the frame is not named, or only after the network is loaded."""
    movie = movie.astype(np.float32)
    tifffile.imwrite(tmp_path / "whole.tif", movie, photometric="minisblack")
    expected = denoised(tmp_path / "whole.tif", temporal="off")[0]
    movie[1, 5, 6] = np.nan
    tifffile.imwrite(tmp_path / "a.tif", movie, photometric="minisblack")
    found, told = denoised(tmp_path / "a.tif", temporal="off")
    assert told[0] == f"{tmp_path / 'a.tif'}: frame 1 has 1 pixel that is NaN or infinite"
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found[[0, 2]], expected[[0, 2]])
    # Of a model that cannot do without the pixel, before anything is loaded.
    jobs = plan(trained.folder / "model.h5", trained.model.card, [str(tmp_path / "a.tif")],
                tmp_path / "out.tif")  # fmt: skip
    with pytest.raises(InputError, match="frame 1 has 1 pixel that is NaN or infinite; fill"):
        look_for_missing(jobs, card_of(trained.model))
    with pytest.raises(InputError, match=r"1 pixels that are NaN .* \(frame 1 is the first"):
        read_focal_series([str(tmp_path / "a.tif")], [-1.0, 1, 2])


def test_narrow_strips_are_done(denoised, trained, denoiser, rng, tmp_path):
    """Fails where a strip narrower than the network's smallest field is refused or misplaced."""
    strip = rng.integers(100, 900, (20, 128), np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", strip)
    found = denoised(tmp_path / "a.tif")[0]
    assert found.shape == strip.shape
    # As the network answers for the same strip, mirrored by hand.
    mirrored = np.pad(strip, ((6, 6), (0, 0)), mode="symmetric")
    answer = predict(denoiser, mirrored.astype(np.float32))[6:-6]
    alike = [np.corrcoef(found.ravel(), np.roll(answer, k, 1).ravel())[0, 1] for k in (0, 1)]
    assert alike[0] > max(0.8, alike[1] + 0.1)
    phase = predict(trained.model, strip.astype(np.float32), axes="yx")
    assert phase.shape == strip.shape
    assert np.isfinite(phase).all()
    with pytest.raises(InputError, match="at least 16x16"):
        predict(denoiser, strip[:8].astype(np.float32), axes="yx")
