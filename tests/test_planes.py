"""The images of a focal series find the planes that a model was trained for, one to one."""

import numpy as np
import pytest
import tifffile

from mcnn_keras import InputError, Optics, predict, predict_files, save, train
from mcnn_keras.cli import main
from mcnn_keras.files import Axis, write_recording
from mcnn_keras.focal_series.series import exponential_planes
from mcnn_keras.inference.planes import match_planes
from mcnn_keras.models.saving import load
from mcnn_keras.physics.waves import defocus_stack
from mcnn_keras.problems import Phase

OPTICS = Optics(0.65, 0.31, 0.45)
TWO = (-52.0, 52.0)


class TestMatching:
    def test_images_in_any_order_and_among_others(self):
        """Fails where the order of the images, or further ones, change what is taken."""
        planes = Phase(TWO).inputs
        assert match_planes(planes, [51, 100, -52.8, 0]) == [2, 0]
        assert match_planes(planes, [52.5, 51.9, -52]) == [2, 1]

    def test_a_plane_takes_no_image_twice(self):
        """Fails where two images stand for the four planes of --planes 4."""
        planes = Phase(exponential_planes(4)).inputs
        with pytest.raises(InputError, match="2 images, and the model was trained on 4 planes"):
            match_planes(planes, [-1.1, 1.1])
        with pytest.raises(InputError, match="belongs to another plane"):
            match_planes(planes, [-1.1, 1.1, -30, 30])
        assert match_planes(planes, [1.3, -1.3, 1.0, -1.0]) == [1, 3, 2, 0]

    def test_the_tolerance_is_the_focus_error_of_the_training(self):
        """Fails where half a um passes for a plane at one um."""
        with pytest.raises(
            InputError, match=r"nearest to -1 um lies at -0.5; the allowed error is 0.27"
        ):
            match_planes(Phase([-1.0]).inputs, [-0.5])
        strict = Phase([-108.0], ranges={"focus_error": (0, 0), "focus_offset": (0, 0.5)})
        assert match_planes(strict.inputs, [-108.4]) == [0]
        with pytest.raises(InputError, match=r"-107; the allowed error is 0\.5 um"):
            match_planes(strict.inputs, [-107.0])

    def test_lengths_of_electrons_are_in_angstrom(self):
        """Fails where a tolerance in um is used for Angstrom."""
        planes = Phase([-2000.0, 2000.0], Optics.electron(300e3, 0.3)).inputs
        assert match_planes(planes, [1950, -2050]) == [1, 0]
        with pytest.raises(
            InputError, match=r"to -2000 A lies at -2100; the allowed error is 60 A"
        ):
            match_planes(planes, [-2100, 2000])


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    from conftest import TINY

    path = tmp_path_factory.mktemp("models") / "two.h5"
    save(train(Phase(TWO, OPTICS, input="intensity"), **TINY).model, path)
    return path


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(5)
    phase = np.cumsum(np.cumsum(rng.standard_normal((48, 64)), 0), 1)
    wave = np.exp(1j * phase / phase.std()).astype(np.complex64)
    return np.moveaxis(defocus_stack(wave, [*TWO, 0.0], OPTICS), -1, 0).astype(np.float32)


@pytest.fixture
def expected(model, images):
    return predict(load(model), np.moveaxis(images[:2], 0, -1))


def answers(model, inputs, tmp_path, **options):
    written = predict_files(model, [str(i) for i in inputs], tmp_path / "out", **options)
    return [tifffile.imread(p) for p in written if p.suffix == ".tif"]


class TestFiles:
    """Upside down in the file, and told so by a text beside it: each way of giving it counts."""

    @pytest.fixture
    def series(self, images, tmp_path):
        folder = tmp_path / "series"
        folder.mkdir()
        for name in "ab":
            tifffile.imwrite(folder / f"{name}.tif", images[[1, 0]], photometric="minisblack")
            (folder / f"{name}.txt").write_text("52 -52")
        return folder

    def test_inside_a_folder(self, model, series, expected, tmp_path):
        """Fails where only a file that is given alone is put in order: the phase's sign turns."""
        for found in answers(model, [series], tmp_path):
            np.testing.assert_allclose(found, expected, atol=1e-6)

    def test_as_one_of_several_files(self, model, series, expected, tmp_path):
        """Fails as above."""
        found = answers(model, [series / "a.tif", series / "b.tif"], tmp_path)
        assert len(found) == 2
        for answer in found:
            np.testing.assert_allclose(answer, expected, atol=1e-6)

    def test_a_file_for_each_plane_with_its_own_text(self, model, images, expected, tmp_path):
        """Fails where files of one image are taken in the order of their names."""
        for name, i, z in (("a", 1, 52), ("b", 2, 0), ("c", 0, -52)):
            np.save(tmp_path / f"{name}.npy", images[i])
            (tmp_path / f"{name}.txt").write_text(f"{z}  # um")
        names = [tmp_path / f"{n}.npy" for n in "abc"]
        (found,) = predict_files(model, [str(n) for n in names], tmp_path / "o.npy")[:1]
        np.testing.assert_allclose(np.load(found), expected, atol=1e-6)

    def test_a_movie_of_focal_series(self, model, images, expected, tmp_path):
        """Fails where the planes of the first measurement alone are put in order."""
        frames = np.concatenate([images[[0, 2, 1]], 2 * images[[0, 2, 1]]])
        axes = (Axis("time", 2), Axis("z", 3, 52.0, -52.0, "um"), Axis("height", 48),
                Axis("width", 64))  # fmt: skip
        write_recording(tmp_path / "movie.h5", frames, axes)
        result = predict_files(model, [str(tmp_path / "movie.h5")], tmp_path / "out.npy")[0]
        for found in np.load(result):
            np.testing.assert_allclose(found, expected, atol=1e-6)

    @pytest.mark.parametrize("way", ["stack", "files"])
    def test_an_unknown_order_is_refused(self, way, model, images, tmp_path):
        """Fails where images are taken to be in the order of the training."""
        np.save(tmp_path / "stack.npy", images[:2])
        for i in range(2):
            np.save(tmp_path / f"{i}.npy", images[i])
        inputs = ["stack.npy"] if way == "stack" else ["0.npy", "1.npy"]
        with pytest.raises(
            InputError, match=r"the planes of .* are not known \(2 images, 0 planes"
        ):
            predict_files(model, [str(tmp_path / i) for i in inputs], tmp_path / "out.npy")

    def test_option_and_frames_together(self, model, images, expected, tmp_path, capfd):
        """Fails where --defocus cannot say the planes of the chosen images."""
        np.save(tmp_path / "stack.npy", images)
        (tmp_path / "stack.txt").write_text("52 -52 0")  # another sign than the model's
        words = ["predict", model, tmp_path / "stack.npy", "--frames", "1,0", "--defocus", 52,
                 "--defocus", -52, "--output", tmp_path / "out.npy"]  # fmt: skip
        with pytest.raises(SystemExit) as end:
            main([str(w) for w in words])
        assert end.value.code == 0, capfd.readouterr().err
        np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, atol=1e-6)


def test_python_puts_planes_in_order_too(model, images, expected):
    """Fails where `defocus` is passed over, or another axis than that of the planes is ordered."""
    loaded = load(model)
    found = predict(loaded, images[[2, 1, 0]], axes="zyx", defocus=[0, 52, -52])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    last = np.moveaxis(images[[1, 0]], 0, -1)
    np.testing.assert_allclose(predict(loaded, last, defocus=[52, -52]), expected, atol=1e-6)
    with pytest.raises(InputError, match="2 planes were given for an array"):
        predict(loaded, images, axes="zyx", defocus=[52, -52])
    with pytest.raises(InputError, match="leave it out"):
        predict("denoise", images[0], defocus=[1])
