"""Fail where a frame gets neighbours of another field, or faults count for its answer."""

import importlib

import numpy as np
import pytest
import tifffile

from mcnn_keras import InputError, predict
from mcnn_keras.inference.frames import FrameWindows, Series, series_of
from mcnn_keras.inference.stack import predict_stack
from mcnn_keras.inference.stream import predict_files
from mcnn_keras.models import Frames, ModelCard, Output


class Middle:
    """An engine whose answer is the middle frame; it keeps what it was given."""

    stride, name, precision = 1, "test", "float32"

    def __init__(self, window=5):
        from mcnn_keras.models import FrameScale

        network = {"input_channels": window + 1, "output_channels": 1, "scale": 1}
        outputs, scale = (Output("image", "", "image"),), FrameScale(missing=True)
        size = {"image_size": 64}
        self.card = ModelCard("denoise", {}, Frames(window), outputs, scale, network, size)
        self.seen = []

    def compute(self, batch):
        self.seen.append(batch)
        return batch[..., :1]


def lattice(y=0.0, x=0.0, turn=0.3, size=64, pitch=11.0):
    rows, columns = np.mgrid[:size, :size].astype(float)
    rows, columns = rows - y, columns - x
    u = rows * np.cos(turn) + columns * np.sin(turn)
    v = columns * np.cos(turn) - rows * np.sin(turn)
    bright = np.cos(2 * np.pi * u / pitch) + np.cos(2 * np.pi * v / pitch)
    return np.exp(bright) / 7


def noisy(clean, rng, dose=6.0):
    return rng.poisson(dose * np.asarray(clean)).astype(np.float32)


def windows(frames, temporal="auto", window=5):
    made = FrameWindows(
        lambda i: frames[i], Middle(window).card, Series(len(frames)), temporal, "mend"
    )
    stack, _ = made.batch(0, len(frames))
    return made, stack


def test_a_drifting_movie_has_neighbours(rng):
    """Fails where neighbours are left out, in the wrong place, or beyond the ends."""
    clean = np.stack([lattice(0.6 * i, -0.4 * i) for i in range(7)])
    frames = noisy(clean, rng, 20.0)
    made, stack = windows(frames)
    assert made.with_neighbours == 7
    inside = (slice(6, -6),) * 2
    for i, window in enumerate(stack):
        for k in range(5):
            j = i + k - 2
            if j == i:
                np.testing.assert_array_equal(window[..., k], frames[i])
            elif 0 <= j < 7:
                # Moved onto the middle frame, within two tenths of a pixel.
                truth = noisy(clean[i], rng, 20.0)[inside]
                there, moved = frames[j][inside], window[inside][..., k]
                errors = [np.mean((image - 20 * clean[i][inside]) ** 2)
                          for image in (moved, there, truth)]  # fmt: skip
                assert errors[0] < 1.1 * errors[2]
                assert errors[0] < 0.8 * errors[1]
            else:
                assert np.isnan(window[..., k]).all()


@pytest.mark.parametrize("away", [(0.0, 0.0), (0.4, -0.3), (1.6, 2.3)])
def test_a_drift_is_found_to_a_part_of_a_pixel(away, rng):
    """Fails where a drift is rounded, or biased by what comes in over the rims."""
    frames = np.stack([noisy(lattice(*(k * np.array(away))), rng) for k in range(2)])
    made, _ = windows(frames)
    np.testing.assert_allclose(made._drift(0, 1), away, atol=0.15)


def test_neighbours_lie_on_the_frame():
    """Fails where a fast drift is not taken out, or taken out the wrong way round."""
    frames = np.stack([lattice(1.9 * i, -2.1 * i) for i in range(7)]).astype(np.float32)
    _, stack = windows(frames)
    for k in (0, 1, 3, 4):
        inside = slice(10, -10)
        ours, theirs = stack[3][inside, inside, k], frames[3][inside, inside]
        assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.99
        assert np.isnan(stack[3][..., k]).any()


def test_frames_of_nothing_in_common_stand_alone(rng):
    """Fails where frames of other fields, or of noise alone, are taken for neighbours."""
    fields = [noisy(lattice(turn=0.25 * i, pitch=8 + 2 * i), rng) for i in range(6)]
    noise = list(rng.poisson(3.0, (6, 64, 64)).astype(np.float32))
    for frames in (fields, noise):
        made, stack = windows(np.stack(frames))
        assert made.with_neighbours == 0
        assert np.isnan(stack[..., [0, 1, 3, 4]]).all()
        assert "by itself" in " ".join(made.summary())


def test_neighbours_stop_at_a_cut(rng):
    """Fails where frames beyond a cut are used, or the cut is not told."""
    frames = [lattice(0.3 * i) for i in range(4)] + [lattice(0.3 * i, turn=1.0) for i in range(4)]
    made, stack = windows(np.stack([noisy(f, rng) for f in frames]))
    assert made.cuts == {4}
    assert np.isfinite(stack[3][1:-1, :, :3]).all()
    assert np.isnan(stack[3][..., 3:]).all()
    assert "before frame 4" in " ".join(made.summary())


@pytest.mark.parametrize("offset", [0, 300])
@pytest.mark.parametrize("factor", [1.2, 10])
def test_neighbours_are_of_like_brightness(factor, offset, rng):
    """Fails where a frame of another beam current counts, or one of this current is not found."""
    counts = [noisy(lattice(0.4 * i), rng, 20.0) for i in range(8)]
    bright = [1, factor, 1, factor, factor, factor, 1, factor]
    made, stack = windows(np.stack([n * f + offset for n, f in zip(counts, bright, strict=True)]))
    places = {0: [3], 2: [1, 3], 3: [1, 3, 4], 6: [1], 7: [1, 0]}
    assert sorted(made.unlike) == list(range(8))
    ratio = max(made.unlike.values())
    assert factor / 1.1 < ratio < factor * 1.1
    for frame, wanted in places.items():
        found = [k for k in (0, 1, 3, 4) if np.isfinite(stack[frame][..., k]).any()]
        assert found == sorted(wanted)
        for k in wanted:  # their level is that of the frame
            level = np.nanmean(stack[frame][..., k] - offset) / np.mean(
                stack[frame][..., 2] - offset
            )
            assert 0.9 < level < 1.1
    assert f"by a factor of up to {ratio:.3g}: frames of other" in " ".join(made.summary())


def test_frames_that_fade_stand_alone(rng):
    """Fails where the reason why no neighbour is used is another one."""
    made, stack = windows(np.stack([noisy(lattice(), rng, 20.0) * 1.5**i for i in range(5)]))
    assert made.with_neighbours == 0
    assert np.isnan(stack[..., [0, 1, 3, 4]]).all()
    assert "unlike brightness: each is denoised by itself" in made.summary()[0]


@pytest.mark.parametrize("dose", [0.02, 1.0, 20.0])
def test_chance_is_no_change_of_brightness(dose, rng):
    """Fails where frames of a steady beam are left out, for their noise, drift or faults."""
    frames = np.stack([noisy(lattice(1.3 * i, 0.7 * i), rng, dose) for i in range(60)])
    frames[7, 3, 5] = frames[9, 8] = 4000  # a hot pixel and a saturated line
    made, _ = windows(frames)
    assert made.unlike == {}
    from mcnn_keras.inference.neighbours import brightness_ratio

    steady = [brightness_ratio(frames[i], frames[i + 10], np.zeros(2)) for i in range(20, 50)]
    assert steady == [1.0] * 30
    assert brightness_ratio(0 * frames[0], 0 * frames[0], np.zeros(2)) == 1
    assert brightness_ratio(frames[0], np.nan * frames[0], np.zeros(2)) == 1


def test_correlated_noise_is_no_common_field(rng):
    """Fails where noise that is correlated with itself passes for a field."""
    from scipy.ndimage import gaussian_filter

    frames = gaussian_filter(rng.normal(size=(20, 64, 64)), (0, 1.5, 1.5)).astype(np.float32)
    assert windows(frames)[0].with_neighbours <= 1


def test_neighbours_can_be_left_out(rng):
    """Fails where temporal='off' still uses neighbours, or another word is taken."""
    frames = np.stack([noisy(lattice(), rng) for _ in range(4)])
    assert windows(frames, "off")[0].with_neighbours == 0
    with pytest.raises(InputError, match="temporal"):
        windows(frames, "always")


def test_the_command_offers_what_there_is():
    """Fails where the command line, which does not import them, has other choices."""
    from mcnn_keras.inference import fastest, frames

    command = importlib.import_module("mcnn_keras.cli.predict")
    assert (command.TEMPORAL, command.FAULTS) == (frames.TEMPORAL, frames.FAULTS)
    offered = command.DenoisingOptions.__dataclass_fields__
    assert {"engine", "temporal", "faults", "quality"} <= set(offered)
    assert fastest.ENGINES == command.ENGINES


def test_time_is_known_by_its_name():
    """Fails where planes of focus or channels are taken for frames in time."""
    assert series_of([], []) == Series()
    assert series_of(["frame"], [9]) == Series(9)
    assert series_of([""], [5]) == Series(5)
    assert series_of(["z"], [9]) == Series()
    assert series_of(["time", "channel"], [8, 3]) == Series(8, 3)
    assert series_of(["z", "t"], [4, 8]) == Series(8)
    assert Series(8, 3).neighbour(4, 1) == 7
    assert Series(8, 3).neighbour(4, -2) is None
    assert Series(8).neighbour(8, -1) is None  # the first of the next series


def test_a_saturated_column_changes_nothing_beside_it(rng):
    """Fails where the frame's scale hangs on a column that is not the specimen."""
    clean = noisy(lattice(), rng, 40.0)
    faulty = clean.copy()
    faulty[:, :3] = 65535
    engine = Middle()
    answers = predict_stack(engine, np.stack([clean, faulty])[..., None], temporal="off")
    np.testing.assert_allclose(answers[0][:, 4:], answers[1][:, 4:], rtol=0.05, atol=0.5)
    assert engine.seen[0][1, :, :3, 5].all()
    assert not engine.seen[0][1, :, 3:, 5].any()
    assert answers[1].max() < 1000
    kept = predict_stack(engine, faulty[None, ..., None], faults="keep")
    np.testing.assert_array_equal(kept[0][:, :3], 65535)


def test_deep_rims_come_back_as_they_came(rng):
    """Fails where the network draws into a rim that holds nothing."""
    frame = noisy(lattice(), rng, 40.0) + 5
    frame[:30] = 0
    answer = predict_stack(Middle(), frame[None, ..., None])[0]
    np.testing.assert_array_equal(answer[:16], 0)


def test_a_frame_of_nothing_comes_back_and_is_told(rng):
    """Fails where one frame without numbers stops a movie, or is not named."""
    frames = np.stack([noisy(lattice(), rng) for _ in range(4)])
    frames[2] = np.nan
    frames[1, 5, 7] = np.nan
    told = []
    answers = predict_stack(Middle(), frames[..., None], series=Series(4), say=told.append)
    assert np.isnan(answers[2]).all()
    assert np.isfinite(answers[[0, 1, 3]]).all()
    assert "frame 1 has" in told[0]
    assert told[1] == "frame 2 has no pixel that can be read: left out, results are empty"


def test_files_are_denoised_with_their_faults_told(denoiser, rng, tmp_path):
    """Fails where a file with a NaN is refused, or nothing is said of it."""
    from mcnn_keras import save

    model = denoiser
    save(model, tmp_path / "m.h5")
    frames = np.stack([noisy(lattice(0.2 * i), rng) for i in range(3)])
    frames[0, 10, 10] = np.nan
    tifffile.imwrite(tmp_path / "movie.tif", frames, photometric="minisblack")
    told = []
    from mcnn_keras.inference.planning import plan
    from mcnn_keras.inference.stream import execute

    jobs = plan(tmp_path / "m.h5", model.card, [str(tmp_path / "movie.tif")], tmp_path / "out.tif")
    execute(tmp_path / "m.h5", jobs, say=told.append, engine="tensorflow")
    answers = tifffile.imread(tmp_path / "out.tif")
    assert np.isfinite(answers).all()
    lines = "\n".join(told)
    assert "frame 0 has 1 missing value (NaN or infinite)" in lines
    assert "3 of 3 frames are denoised with their neighbours" in lines
    same = predict(model, frames, axes="tyx")
    np.testing.assert_allclose(answers, same, atol=1e-4)
    alone = predict(model, frames, axes="zyx")
    assert np.abs(alone - same).max() > 1e-6
    assert predict_files(tmp_path / "m.h5", [str(tmp_path / "movie.tif")], tmp_path / "a.tif",
                         average=True, engine="tensorflow")  # fmt: skip


def test_a_movie_in_files_of_its_own_is_one(rng, tmp_path):
    """Fails where numbered files stand alone, are put in the order of their text, or mix fields.

    Other files of the folder, one of several frames among them, stand alone, and a broken one
    costs its neighbours nothing but itself.
    """
    from mcnn_keras.inference.planning import plan
    from mcnn_keras.inference.stream import execute

    frames = np.stack([noisy(lattice(0.5 * i), rng, 20.0) for i in range(7)])
    frames[2, 20, 20] = 1e4  # a hot pixel
    folder = tmp_path / "frames"
    folder.mkdir()
    # 8 to 14: in the order of their text, 10 would come before 8.
    for i, frame in enumerate(frames):
        tifffile.imwrite(folder / f"run 2 frame{i + 8}.tif", frame)
    tifffile.imwrite(folder / "run 2 frame15.tif", frames[:2], photometric="minisblack")
    tifffile.imwrite(folder / "other.tif", frames[0])
    engine, told = Middle(), []
    (tmp_path / "m.h5").write_bytes(b"a model")

    def run(output, **options):
        jobs = plan(tmp_path / "m.h5", engine.card, [str(folder)], tmp_path / output)
        engine.seen.clear()
        execute(tmp_path / "m.h5", jobs, say=told.append, engine=engine, **options)
        return dict(zip([job.source.name for job in jobs], engine.seen, strict=True))

    seen = run("out")
    _, expected = windows(frames)
    scaled = np.stack([engine.card.normalization.apply(w)[0] for w in expected])
    for i in range(7):
        np.testing.assert_allclose(seen[f"run 2 frame{i + 8}.tif"][0], scaled[i], atol=1e-5)
    assert not seen["other.tif"][..., 1:5].any()
    assert seen["run 2 frame15.tif"].shape[0] == 2
    lines = "\n".join(told)
    assert "frame10.tif has 1 hot or dead pixel" in lines
    assert "frame8.tif to run 2 frame15.tif: 7 of 7 frames" in lines
    assert not any(s[..., 1:5].any() for s in run("alone", temporal="off").values()
                   if len(s) == 1)  # fmt: skip
    (folder / "run 2 frame11.tif").write_bytes(b"broken")
    with pytest.raises(InputError, match="1 of 9 inputs failed"):
        run("broken")
