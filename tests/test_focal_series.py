"""Fail where a series gets wrong planes, optics or shifts, or is used without any."""

import json

import numpy as np
import pytest
import tensorflow as tf
import tifffile
from scipy.ndimage import gaussian_filter

from mcnn_keras import InputError, Optics
from mcnn_keras.cli import main
from mcnn_keras.files import Axis, open_recording, write_recording
from mcnn_keras.focal_series import (
    FocalSeries,
    corrected,
    exponential_planes,
    read_focal_series,
)
from mcnn_keras.focal_series.reconstruct import METHODS, reconstruct
from mcnn_keras.focal_series.registration import Drift, _straightened, registered
from mcnn_keras.physics.waves import defocus_stack

OPTICS = Optics(0.65, 0.5, 0.4)
PLANES = [-30.0, -15.0, 15.0, 30.0]


@pytest.fixture(scope="module")
def phase():
    rng = np.random.default_rng(3)
    phase = gaussian_filter(rng.standard_normal((128, 128)), 4) * np.outer(*[np.hanning(128)] * 2)
    phase *= 0.5 / phase.std()
    return phase - phase.mean()


def frames_of(phase, planes=PLANES):
    wave = tf.constant(np.exp(1j * phase).astype(np.complex64))
    return defocus_stack(wave, planes, OPTICS).numpy()


@pytest.fixture
def stack(phase, tmp_path):
    path = tmp_path / "stack.tif"
    frames = np.moveaxis(frames_of(phase), -1, 0).astype(np.float32)
    tifffile.imwrite(path, frames, photometric="minisblack")
    return path


def relative(answer, phase):
    return np.sqrt(np.mean((answer - phase) ** 2)) / phase.std()


def run(*arguments):
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    return stop.value.code


class TestPlanes:
    def test_of_a_list_are_put_in_order(self, stack, phase):
        """Fails where the planes are sorted and the images are not."""
        series = read_focal_series([str(stack)], [30, -30, 15, -15])
        assert series.defocus == (-30, -15, 15, 30)
        np.testing.assert_allclose(series.images, frames_of(phase)[..., [1, 3, 2, 0]], rtol=1e-6)

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("stack.txt", "-30 -15  # upstream\n15, 30\n"),
            ("stack.csv", "-30;-15;15;30"),
            ("stack.json", json.dumps({"defocus": PLANES})),
        ],
    )
    def test_of_a_text_file_beside_it(self, stack, name, text):
        """Fails where a separator or a comment is read wrongly, or frames lose their planes."""
        (stack.parent / name).write_text(text)
        assert read_focal_series([str(stack)]).defocus == tuple(PLANES)
        assert read_focal_series([str(stack)], frames=[3, 0]).defocus == (-30, 30)

    def test_of_its_own_axis(self, phase, tmp_path):
        """Fails where nm are taken for um, or the offset of the axis is left out."""
        path = tmp_path / "stack.h5"
        axes = (Axis("defocus", 4, 15e3, -30e3, "nm"), Axis("y", 128, 0.5, 0, "um"),
                Axis("x", 128, 0.5, 0, "um"))  # fmt: skip
        write_recording(path, np.moveaxis(frames_of(phase), -1, 0), axes)
        series = read_focal_series([str(path)])
        np.testing.assert_allclose(series.defocus, [-30, -15, 0, 15])
        assert series.pixel_size == pytest.approx(0.5)

    def test_pixels_that_are_not_square_are_refused(self, phase, tmp_path):
        """Fails where one of two pixel sizes is used for both axes."""
        path = tmp_path / "stack.h5"
        axes = (Axis("z", 4, 15, -30, "um"), Axis("y", 128, 1.0, 0, "um"),
                Axis("x", 128, 0.5, 0, "um"))  # fmt: skip
        write_recording(path, np.moveaxis(frames_of(phase), -1, 0), axes)
        with pytest.raises(InputError, match="1 um high and"):
            assert read_focal_series([str(path)]).pixel_size

    def test_of_one_file_each(self, stack, tmp_path):
        """Fails where the planes are sorted and the files are not."""
        with open_recording(stack) as recording:
            frames = recording.read()
        for i, frame in enumerate(frames):
            tifffile.imwrite(tmp_path / f"{i}.tif", frame)
        names = [str(tmp_path / f"{i}.tif") for i in (2, 0)]
        series = read_focal_series(names, [15, -30])
        np.testing.assert_array_equal(series.images, np.moveaxis(frames[[0, 2]], 0, -1))

    @pytest.mark.parametrize(
        ("defocus", "frames", "message"),
        [
            (None, None, "the planes of .* are not known; give --defocus"),
            ([1, 2, 3], None, "4 frames, 3 planes"),
            ([1, 2, 2, 3], None, "2 um is given twice"),
            ([1, 2], [0, 7], "frame 7 is not there"),
        ],
    )
    def test_that_do_not_fit_are_told_of(self, stack, defocus, frames, message):
        """Fails where missing, too few or repeated planes make a series all the same."""
        with pytest.raises(InputError, match=message):
            read_focal_series([str(stack)], defocus, frames)

    def test_of_a_file_that_holds_none(self, stack):
        """Fails where a text without numbers gives another exception."""
        stack.with_suffix(".txt").write_text("far and near")
        with pytest.raises(InputError, match="holds no list of planes"):
            read_focal_series([str(stack)])

    def test_of_the_paper(self):
        """Fails where the exponents or the signs of the paper's planes are others."""
        assert exponential_planes(4) == [-1.2956, -1.0, 1.0, 1.2956]
        for count, reach in ((4, 1.30), (8, 6.13), (10, 10.28), (32, 48.6)):
            planes = exponential_planes(count)
            assert len(planes) == count
            assert planes == sorted(planes)
            assert max(planes) == pytest.approx(reach, rel=0.005)
        with pytest.raises(InputError, match="choose 2, 4, 8, 10, 32"):
            exponential_planes(6)


def test_flat_field_and_background_are_taken_out(phase, rng):
    """Fails where the background stays in the flat field, or a dark one is divided by."""
    images = frames_of(phase)
    flat = 100 + 20 * np.hanning(128)[:, None] * np.ones(128)
    background = 5 * rng.random((128, 128))
    raw = FocalSeries(
        (images * flat[..., None] + background[..., None]).astype(np.float32), tuple(PLANES), ()
    )
    clean = corrected(raw, flat + background, background)
    np.testing.assert_allclose(clean.images, images * flat.mean(), rtol=1e-4)
    with pytest.raises(InputError, match="dark in places"):
        corrected(raw, background, background)
    with pytest.raises(InputError, match="64x64"):
        corrected(raw, flat[:64, :64])


@pytest.fixture(scope="module")
def moving():
    """Eight planes of a cell-like object that move 0.09 and -0.06 pixels per um and grow."""
    rng = np.random.default_rng(8)
    shape = gaussian_filter(rng.standard_normal((192, 192)), 4)
    window = np.outer(*[np.hanning(192) ** 2] * 2)
    phase = 1.5 * window * (1 + shape / shape.std() / 2)
    planes = [-60.0, -45.0, -30.0, -15.0, 15.0, 30.0, 45.0, 60.0]
    still = FocalSeries(frames_of(phase, planes).astype(np.float32), tuple(planes), ())
    drift = Drift(0.09, -0.06, 4e-4)
    inverse = drift._replace(down=-0.09, right=0.06, growth=-4e-4)
    moved = _straightened(still.images, planes, inverse, 3).astype(np.float32)
    return still, still._replace(images=moved), drift


class TestRegistration:
    def test_it_finds_shift_and_growth(self, moving):
        """Fails where shift or growth has a wrong sign or size."""
        still, series, drift = moving
        mended, found = registered(series, OPTICS)
        # At the outermost plane: half a pixel, and as much at the rim by growth.
        assert abs(found.down - drift.down) * 60 < 0.5
        assert abs(found.right - drift.right) * 60 < 0.5
        assert abs(found.growth - drift.growth) * 60 * 96 < 0.6
        inner = (slice(16, -16), slice(16, -16))
        before, after = (
            np.abs(s.images[inner] - still.images[inner]).mean() for s in (series, mended)
        )
        assert after < 0.25 * before

    def test_a_still_series_stays(self, moving):
        """Fails where diffraction is taken for a drift."""
        found = registered(moving[0], OPTICS)[1]
        assert np.abs(found).max() * 60 < 0.3
        assert abs(found.growth) * 60 * 96 < 0.4

    def test_too_few_planes_are_refused(self, moving):
        """Fails where three planes are moved by a shift that no other plane checks."""
        series = moving[1]
        few = series._replace(images=series.images[..., [3, 4, 5]], defocus=(-15.0, 15.0, 30.0))
        with pytest.raises(InputError, match="3 planes out of focus"):
            registered(few, OPTICS)

    def test_frames_without_anything_in_common_are_refused(self, rng):
        """Fails where a shift by a third of the field is believed."""
        noise = rng.random((64, 64, 4)).astype(np.float32)
        noise[..., 2:] = np.roll(noise[..., 1::-1], 20, axis=0)
        with pytest.raises(InputError, match="no shift between frames"):
            registered(FocalSeries(noise, (-9.0, -5.0, 5.0, 9.0), ()), OPTICS)


class TestReconstruct:
    @pytest.mark.parametrize("method", METHODS)
    def test_every_method_retrieves_the_phase(self, method, phase):
        """Fails where a method has a wrong sign or unit, or the amplitude is lost."""
        planes = [-8.0, -4.0, -2.0, 2.0, 4.0, 8.0]
        series = FocalSeries(frames_of(phase, planes), tuple(planes), ())
        answer, amplitude = reconstruct(method, series, OPTICS)
        # By default ctf damps for what borders and strong objects add, which this one has not.
        assert relative(answer, phase) < (0.25 if method == "ctf" else 0.1)
        assert (amplitude is not None) == (method in ("iterative", "ctf"))

    def test_a_plane_in_focus_does_no_harm(self, phase):
        """Fails where a plane at zero makes a method divide by zero."""
        planes = [-8.0, 0.0, 8.0]
        series = FocalSeries(frames_of(phase, planes), tuple(planes), ())
        for method in METHODS:
            most = 0.35 if method == "ctf" else 0.15
            assert relative(reconstruct(method, series, OPTICS)[0], phase) < most
        noise_free, _ = reconstruct("ctf", series, OPTICS, noise=1e-3)
        assert relative(noise_free, phase) < 0.2
        focus = series._replace(images=series.images[..., 1:2], defocus=(0.0,))
        with pytest.raises(InputError, match="all planes are in focus"):
            reconstruct("tie", focus, OPTICS)

    def test_the_command_writes_phase_and_amplitude(self, stack, phase, tmp_path, capfd):
        """Fails where the amplitude, the pixel size or the picture is missing."""
        stack.with_suffix(".txt").write_text(" ".join(map(str, PLANES)))
        output = tmp_path / "phase.tif"
        optics = ("--wavelength", 0.65, "--pixel-size", 0.5, "--numerical-aperture", 0.4)
        assert run("reconstruct", "iterative", stack, "--output", output, *optics) == 0
        with open_recording(output) as recording:
            assert recording.axes[-1].scale == pytest.approx(0.5)
            answer, amplitude = recording.read()
        assert relative(answer, phase) < 0.2
        assert abs(amplitude.mean() - 1) < 0.02
        assert output.with_suffix(".png").exists()
        assert "from 4 planes (-30 to 30 um)" in capfd.readouterr().out

    def test_one_plane_is_enough_for_the_variational_method(self, phase):
        """Fails where the variational method does not improve on its start."""
        series = FocalSeries(frames_of(phase, [-30.0]), (-30.0,), ())
        first, answer = (reconstruct(m, series, OPTICS)[0] for m in ("tie", "variational"))
        assert relative(answer, phase) < 0.5 * relative(first, phase)

    def test_a_networks_answer_is_made_to_agree(self, stack, phase, tmp_path, trained, capfd):
        """Fails where a network's phase is not refined, or the plane it knows is not told."""
        planes = (-20.0, 30.0)
        frames = np.moveaxis(frames_of(phase, planes), -1, 0).astype(np.float32)
        tifffile.imwrite(stack, frames, photometric="minisblack")
        code = run(
            "reconstruct", "variational", stack, "--start", trained.folder / "model.h5",
            "--wavelength", 0.65, "--pixel-size", 0.5, "--numerical-aperture", 0.4,
            "--output", tmp_path / "phase.npy",
            "--defocus", planes[0], "--defocus", planes[1], "--smoothness", 0.1,
        )  # fmt: skip
        assert code == 0
        # A network of eight samples, for other pixels, knows next to nothing of this phase.
        assert "the model was trained for images at -20 um" in capfd.readouterr().err
        assert relative(np.load(tmp_path / "phase.npy"), phase) < 0.3

    def test_nothing_of_the_users_is_replaced(self, stack, trained, tmp_path, capfd):
        """Fails where the command writes over its model, or over a picture beside the output."""
        model = trained.folder / "model.h5"
        before = model.read_bytes()
        planes = (x for z in PLANES for x in ("--defocus", z))
        options = [stack, *planes, "--start", model]
        assert run("reconstruct", "variational", *options, "--output", model) == 2
        assert model.read_bytes() == before
        (tmp_path / "mine.png").write_bytes(b"a picture")
        output = tmp_path / "mine.tif"
        assert run("reconstruct", "variational", *options, "--output", output) == 2
        assert (tmp_path / "mine.png").read_bytes() == b"a picture"
        first, second = capfd.readouterr().err.splitlines()
        assert "would replace an input" in first
        assert "mine.png is there already" in second

    def test_other_light_than_the_networks_is_told_of(self, stack, trained, tmp_path, capfd):
        """Fails where another wavelength is not told of, or a model for light takes electrons."""
        options = ["--defocus", -20, "--defocus", 30, "--frames", "0,1", "--wavelength", 1.3,
                   "--pixel-size", 0.31, "--iterations", 1]  # fmt: skip
        options += ["--start", trained.folder / "model.h5"]
        output = tmp_path / "new" / "phase.npy"
        code = run("reconstruct", "variational", stack, *options, "--output", output)
        assert code == 0
        assert "Warning: the series has wavelength 1.3, but" in capfd.readouterr().err
        del options[options.index("--wavelength") : options.index("--wavelength") + 2]
        options += ["--energy", 300e3]
        output = tmp_path / "other.npy"
        assert run("reconstruct", "variational", stack, *options, "--output", output) == 2
        assert "a model for light, and the series is of electrons" in capfd.readouterr().err

    def test_the_command_registers_and_divides(self, stack, tmp_path, capfd):
        """Fails where the command does not take --flat, or passes over --register."""
        flat = tmp_path / "flat.npy"
        np.save(flat, np.full((128, 128), 2.0))
        code = run(
            "reconstruct", "mf-tie", stack, "--flat", flat, "--register", "--pixel-size", 0.5,
            "--wavelength", 0.65,
            "--output", tmp_path / "out.npy", *(x for z in PLANES for x in ("--defocus", z)),
        )  # fmt: skip
        assert code == 0
        assert "registered: per um of defocus" in capfd.readouterr().out
        assert np.load(tmp_path / "out.npy").shape == (128, 128)

    def test_electrons_have_their_lengths_in_angstrom(self, tmp_path, phase, capfd):
        """Fails where nm of a file are not brought to Angstrom."""
        optics = Optics.electron(300e3, 0.5, 1.2e7)
        wave = tf.constant(np.exp(0.2j * phase).astype(np.complex64))
        planes = [-3000.0, -1500.0, 1500.0, 3000.0]
        frames = np.moveaxis(defocus_stack(wave, planes, optics).numpy(), -1, 0)
        axes = (Axis("z", 4, 150, -300, "nm"), Axis("y", 128, 0.05, 0, "nm"),
                Axis("x", 128, 0.05, 0, "nm"))  # fmt: skip
        write_recording(tmp_path / "tem.h5", frames, axes)
        code = run(
            "reconstruct", "tie", tmp_path / "tem.h5", "--energy", 300e3, "--frames", "0,1,2,3",
            "--spherical-aberration", 1.2e7, "--output", tmp_path / "phase.h5",
        )  # fmt: skip
        assert code == 0
        told = capfd.readouterr().out
        assert "pixel size 0.5 A" in told
        assert "(-3000 to 1500 A)" in told

    def test_planes_may_be_counted_the_other_way(self, stack, tmp_path, phase):
        """Fails where --flip-defocus does not turn the sign of the phase, and nothing else."""
        words = ("reconstruct", "ctf", stack, "--wavelength", 0.65, "--pixel-size", 0.5,
                 "--numerical-aperture", 0.4)  # fmt: skip
        other = [x for z in PLANES for x in ("--defocus", -z)]
        assert run(*words, *other, "--output", tmp_path / "a.npy") == 0
        assert run(*words, *other, "--flip-defocus", "--output", tmp_path / "b.npy") == 0
        wrong, right = (np.load(tmp_path / name)[0] for name in ("a.npy", "b.npy"))
        assert np.corrcoef(right.ravel(), phase.ravel())[0, 1] > 0.7
        assert np.corrcoef(wrong.ravel(), phase.ravel())[0, 1] < -0.7

    def test_optics_that_cannot_be_are_refused(self, stack, tmp_path, capfd):
        """Fails where a pixel size or a wavelength in nm, or with a unit, gets a result."""
        words = ("reconstruct", "ctf", stack, "--output", tmp_path / "a.npy",
                 *(x for z in PLANES for x in ("--defocus", z)))  # fmt: skip
        for optics, what in (
            (("--wavelength", 650, "--pixel-size", 0.5), "wavelength 650 is implausible"),
            (("--wavelength", 0.65, "--pixel-size", 500), "pixel_size 500 is implausible"),
            (("--wavelength", 0.65, "--pixel-size", "310nm"), "give it in um"),
        ):
            assert run(*words, *optics) == 2
            assert what in capfd.readouterr().err
        optics = ("--wavelength", 0.65, "--pixel-size", 120)
        assert run(*words, *optics) == 2
        assert "add --force" in capfd.readouterr().err
        assert run(*words, *optics, "--force") == 0

    def test_all_that_is_missing_is_named_at_once(self, stack, tmp_path, capfd):
        """Fails where planes, wavelength and pixel size are asked for one after the other."""
        words = ("reconstruct", "tie", stack, "--output", tmp_path / "x.tif")
        assert run(*words, "--frames", "2") == 2
        told = capfd.readouterr().err
        assert "give --defocus for the image," in told
        assert "the wavelength and pixel size are not known" in told
        assert "give --wavelength (or --energy) and --pixel-size" in told
        assert run(*words, "--energy", 300e3) == 2
        told = capfd.readouterr().err
        assert "give --defocus for each of the 4 images" in told
        assert "the pixel size is not known" in told

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("tie",), "are not known; give --defocus"),
            (("tie", "--defocus", "3"), "4 frames, 1 plane ("),
            (("tie", "--frames", "-1", "--defocus", "3"), "frame -1 is not there"),
            (("tie", "--frames", "0,1", "--defocus", -3, "--defocus", 3, "--iterations", 5),
             "takes no iterations"),
            (("mf-tie", "--frames", "0,1", "--defocus", 1, "--defocus", 3), "no pair"),
            (("gp-tie", "--frames", "0", "--defocus", 1), "two or more"),
        ],
    )  # fmt: skip
    def test_wrong_input_is_told_in_a_line(self, stack, tmp_path, capfd, arguments, message):
        """Fails where wrong input ends in a traceback or leaves a file behind."""
        optics = ("--wavelength", 0.65, "--pixel-size", 0.5)
        assert run("reconstruct", arguments[0], stack, "--output", tmp_path / "x.tif",
                   *arguments[1:], *optics) == 2  # fmt: skip
        told = capfd.readouterr().err
        assert message in told
        assert told.count("Error") == 1
        assert not (tmp_path / "x.tif").exists()
