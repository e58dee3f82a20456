"""Fail where the unit or the offset of a file's values changes what its frames show."""

import numpy as np
import pytest

from mcnn_keras import InputError, predict, save
from mcnn_keras.classical.denoisers import total_variation
from mcnn_keras.classical.pgure_svt import pgure_svt
from mcnn_keras.files import open_recording
from mcnn_keras.files.formats import default_type, widest_type
from mcnn_keras.files.pictures import to_grey
from mcnn_keras.files.precision import narrowed, offset_of
from mcnn_keras.inference import stream
from mcnn_keras.inference.engines import engine_of
from mcnn_keras.inference.planning import plan
from mcnn_keras.inference.statistics import statistics
from mcnn_keras.models import FrameScale
from mcnn_keras.problems.pairs import statistics as channel_statistics


@pytest.fixture
def counts(rng):
    """A movie of counts about 9, of deviation 5 or so."""
    y, x = np.mgrid[:40, :48]
    bumps = np.exp(-((x % 9 - 4.5) ** 2 + (y % 9 - 4.5) ** 2) / 6.5)
    return rng.poisson(20 * (0.2 + bumps), (3, 40, 48)).astype(float)


@pytest.fixture(scope="module")
def denoised(tmp_path_factory, denoiser):
    """From an array to the result of its file, in the file that was written."""
    folder = tmp_path_factory.mktemp("scale")
    save(denoiser, folder / "model.h5")

    def result(array, output="out.npy", **options):
        np.save(folder / "a.npy", array)
        jobs = plan(folder / "model.h5", denoiser.card, [str(folder / "a.npy")], folder / output)
        told = []
        stream.execute(
            folder / "model.h5", jobs, told.append, engine=engine_of(denoiser), overwrite=True,
            **options,
        )  # fmt: skip
        with open_recording(folder / output) as recording:
            return np.asarray(recording.data[:]), told

    return result


# The greatest offsets at which a type holds the counts.
OFFSETS = [
    ("f4", 5e6), ("f4", 1.6e7), ("f4", -1e7), ("u4", 1e7), ("u4", 4e9), ("i4", -2e9),
    ("i8", 2**40), ("u8", 2**52), ("f8", 1e12), ("f8", 2**46),
]  # fmt: skip


@pytest.mark.parametrize(("dtype", "offset"), OFFSETS)
def test_an_offset_is_added_to_the_result(dtype, offset, counts, denoised):
    """Fails where counts on an offset that their type holds come back constant or coarse."""
    expected = denoised(counts.astype(np.float32))[0]
    found, _ = denoised((counts + offset).astype(dtype))
    away = found.astype(float) - float(offset)
    # The numbers of float64 are 1 apart at 2**52.
    assert np.abs(away - expected).max() < max(1e-3, 0.51 * np.spacing(float(abs(offset))))
    assert expected.std() > 0.2


def test_a_hot_pixel_hides_no_offset(counts, denoised):
    """Fails where one pixel makes the frame's deviation so large that its digits seem safe."""
    counts[:, 20, 20] += 1e9
    expected = denoised(counts, temporal="off")[0]
    for dtype, offset in (("f4", 1e7), ("f8", 1e9)):
        found, _ = denoised((counts + offset).astype(dtype), temporal="off")
        far = np.abs(found - offset - expected)
        far[:, 20, 20] = 0
        assert far.max() < 1e-3


def test_offsets_beyond_all_types_are_refused(counts, denoised):
    """Fails where float64, in which results are put together, loses the counts without a word."""
    far = counts.astype(np.uint64) + np.uint64(2**63)
    with pytest.raises(InputError, match=r"deviation of .* lose their digits in float64; subtract"):
        denoised(far)
    assert offset_of(np.full((3, 8, 8), 2**63, np.uint64)) == 0


def test_a_type_that_holds_the_result_is_chosen(tmp_path):
    """Fails where a result far from zero is rounded as float32 though the format has float64."""
    far, told = np.zeros((1, 8, 8)), []
    assert widest_type(tmp_path / "a.npy", None, 1e7, ">f4") == "float64"
    assert default_type(tmp_path / "a.npy", far, ">f4", told.append, "float64") == "float64"
    assert told == ["a.npy is written as float64: the input's float32 would lose detail"]
    # What the input's type or the user decides stays.
    assert widest_type(tmp_path / "a.mrc", None, 1e7, "f4") == "float32"
    assert widest_type(tmp_path / "a.npy", "float32", 1e7, "f4") == "float32"
    for dtype, source in (("float16", "f4"), ("float32", "u4")):
        with pytest.raises(InputError, match="only float64 keeps the digits"):
            widest_type(tmp_path / "a.npy", dtype, 1e7, source)


def test_arrays_in_memory_keep_their_offset(counts, denoiser):
    """Fails where `predict` answers with a constant, or with more than float32's rounding off."""
    import dask.array as da

    expected = predict(denoiser, counts.astype(np.float32), axes="tyx", temporal="off")
    for dtype in ("f4", "u4"):
        far = (counts + 1e7).astype(dtype)
        found = predict(denoiser, far, axes="tyx", temporal="off")
        assert np.abs(found - 1e7 - expected).max() <= 0.51
        lazy = predict(denoiser, da.from_array(far), axes="tyx").compute()
        assert np.abs(lazy - 1e7 - expected).max() <= 0.51
    with pytest.raises(InputError, match="the array: values about 1e"):
        predict(denoiser, counts + 1e14, axes="tyx")


def test_a_constant_stays_one():
    """Fails where the rounding of a constant is taken for a picture far from zero."""
    for value in (7.5, 1e7, -3e5, 1e-20):
        frame = np.full((32, 32, 1), value, np.float32)
        frame[3, 5] = np.nan
        found, scale = FrameScale().apply(frame)
        np.testing.assert_array_equal(found, 0)
        assert float(scale["mean"]) == pytest.approx(value)
    assert offset_of(np.full((3, 8, 8), 1e7, np.float32)) == 0


@pytest.mark.parametrize("unit", [1e-30, 1e-14, 1e-13, 1e-9, 1e13, 1e30])
def test_the_unit_of_the_values_is_that_of_the_result(unit, counts, denoised):
    """Fails where small values lose contrast, or the squares of any vanish or overflow."""
    expected = denoised(counts.astype(np.float32))[0].astype(float)
    found = denoised((counts * unit).astype(np.float32))[0].astype(float)
    np.testing.assert_allclose(found / unit, expected, atol=1e-4)
    found = denoised(counts * unit)[0]
    np.testing.assert_allclose(found / unit, expected, atol=1e-4)


def test_powers_of_two_change_no_bit(counts):
    """Fails where a factor that rounds nothing changes the network's input or the scale."""
    frames = np.moveaxis(counts, 0, -1).astype(np.float32)
    frames[3, 5] = np.nan
    wanted, scale = FrameScale(missing=True).apply(frames)
    for power in (-100, -41, -30, 50, 100):
        found, own = FrameScale(missing=True).apply(np.ldexp(frames, power))
        np.testing.assert_array_equal(found, wanted)
        for name in ("mean", "deviation"):
            assert float(own[name]) == np.ldexp(float(scale[name]), power)
        assert float(own["factor"]) == np.ldexp(float(scale["factor"]), -power)


@pytest.mark.parametrize(("unit", "told"), [
    (1e200, "up to .*e.201 are larger than float32 can hold; divide them by 1e.201 first"),
    (1e-200, "are smaller than float32 can hold; multiply them by 1e.199 first"),
])  # fmt: skip
def test_units_beyond_float32_are_refused(unit, told, counts, denoised, denoiser):
    """Fails where such values become infinite or zero, and the result with them."""
    with pytest.raises(InputError, match=told):
        denoised(counts * unit)
    with pytest.raises(InputError, match="the array: .*" + told):
        predict(denoiser, counts * unit, axes="tyx")
    # A few pixels are no reason.
    counts[0, 5, 5] = 1e200
    assert np.isinf(narrowed(counts, "a")).sum() == 1


@pytest.mark.parametrize("unit", [1e-30, 1e-13, 1e30])
def test_other_methods_take_any_unit(unit, counts):
    """Fails where a least deviation of a fixed size stands in a method's way."""
    for method in (lambda c: total_variation(c[0], 0.3), lambda c: pgure_svt(c, strengths=3)):
        np.testing.assert_allclose(method(counts * unit) / unit, method(counts), rtol=1e-3)
    np.testing.assert_array_equal(to_grey(counts[0] * unit), to_grey(counts[0]))
    assert channel_statistics([counts[0, ..., None] * unit])[1][0] / unit == pytest.approx(
        counts[0].std()
    )
    answer = (counts.mean(0) * unit).astype(np.float32)
    image = (counts[0] * unit).astype(np.float32)
    own = statistics(image, answer, answer / 9, residual=True)
    wanted = statistics(counts[0], counts.mean(0), counts.mean(0) / 9, residual=True)
    np.testing.assert_allclose(list(own.values()), list(wanted.values()), atol=1e-3)


def test_frames_without_pixels_are_told_as_such(counts, denoised):
    """Fails where a frame that stays empty is said to be filled in, with others or alone."""
    empty = "has no pixel that can be read"
    found, told = denoised(np.full((40, 48), np.nan, np.float32))
    assert np.isnan(found).all()
    assert f"frame 0 {empty}: left out, results are empty" in told
    counts[0, 5, 6] = np.nan
    movie = np.concatenate([counts, np.full((2, 40, 48), np.nan)]).astype(np.float32)
    found, told = denoised(movie)
    assert np.isfinite(found[:3]).all() and np.isnan(found[3:]).all()  # noqa: PT018
    more = "; frames without pixels: 2 in all (3, 4): left out, results are empty"
    assert f"frame 3 {empty}{more}" in told
    assert any(t.startswith("frame 0 has 1") and t.endswith("filled in") for t in told)
