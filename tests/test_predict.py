"""Fail where size, order, brightness or planes change an answer that they should not."""

import numpy as np
import pytest
import tensorflow as tf
import tifffile
from test_training import Blur

from mcnn_keras import InputError, Optics, predict, save, train
from mcnn_keras.cli import main
from mcnn_keras.files import open_recording, write_png
from mcnn_keras.inference.stream import predict_files
from mcnn_keras.models import Fixed, Normalization
from mcnn_keras.problems import Phase


@pytest.fixture(scope="session")
def two_planes(tmp_path_factory):
    from conftest import TINY

    run = train(Phase([-20.0, 20.0], Optics(), amplitude=True, input="physical"), **TINY)
    path = tmp_path_factory.mktemp("models") / "two.h5"
    save(run.model, path)
    return path


@pytest.fixture
def one_plane(trained):
    return trained.folder / "model.h5"


@pytest.fixture
def image(rng):
    return rng.random((50, 61)).astype(np.float32) + 1


@pytest.mark.parametrize("shape", [(32, 32), (33, 47), (50, 61), (128, 40)])
def test_any_size_comes_back_whole(trained, rng, shape):
    """Fails where an answer keeps its padding or is cut, or a phase keeps its mean."""
    answer = predict(trained.model, rng.random(shape) + 1)
    assert answer.shape == shape
    assert answer.dtype == np.float32
    np.testing.assert_allclose(answer.mean(), 0, atol=1e-5)


def test_any_number_of_images_comes_back(trained, two_planes, rng):
    """Fails where answers come in another order than the images, or planes count as images."""
    frames = rng.random((2, 3, 40, 64)) + 1
    each = [[predict(trained.model, f) for f in row] for row in frames]
    np.testing.assert_allclose(predict(trained.model, frames), each, atol=1e-5)
    np.testing.assert_allclose(predict(trained.model, frames[..., None]), each, atol=1e-5)
    planes = rng.random((3, 40, 64, 2)) + 1
    each = [predict(two_planes, p) for p in planes]
    np.testing.assert_allclose(predict(two_planes, planes), each, atol=1e-5)


def test_padding_is_mirrored_and_cut_off_again(trained):
    """Fails where an answer is cut out off centre, or the padding changes pixels far inside."""
    # What lies far from the border does not know how large the picture is.
    rng = np.random.default_rng(3)
    image = rng.random((160, 160)).astype(np.float32) + 1
    image /= image.mean()
    whole = predict(trained.model, image)
    again = predict(trained.model, np.pad(image, 8, mode="symmetric"))[8:-8, 8:-8]
    difference = (whole - whole.mean()) - (again - again.mean())
    assert np.abs(difference[40:-40, 40:-40]).max() < 0.05 * np.abs(whole).max()


def test_brightness_does_not_matter(trained, image):
    """Fails where the answer depends on the exposure of the image."""
    np.testing.assert_allclose(
        predict(trained.model, image), predict(trained.model, 1000 * image), atol=1e-4
    )


def test_training_and_inference_normalise_alike(phase_problem, rng):
    """Fails where training and prediction scale an image, or a phase, in two ways."""
    image = rng.random((24, 24, 1)).astype(np.float32) + 0.5
    target = rng.random((24, 24, 2)).astype(np.float32)
    scaling = phase_problem.normalization
    in_training, scale = scaling.apply(tf.constant(image))
    target_in_training = scaling.target(tf.constant(target[..., :1]), scale)
    normalized, own = scaling.apply(image)
    np.testing.assert_allclose(normalized, in_training, atol=1e-5)
    np.testing.assert_allclose(scaling.restore(target[..., :1], own), target_in_training, atol=1e-5)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.ones((40, 40)), "constant"),
        (np.zeros((40, 40)), "positive mean"),
        (np.full((40, 40), np.nan), "NaN"),
        (np.ones((40, 40, 2)), "1 plane"),
        (np.ones((8, 40)), "at least 16x16"),
        (np.ones(5), "shape"),
    ],
)
def test_impossible_images_are_refused(trained, image, message):
    """Fails where such an image gets an answer, or the message does not name its fault."""
    with pytest.raises(InputError, match=message):
        predict(trained.model, image)


class TestFiles:
    def test_one_image_makes_a_tiff_and_a_png(self, one_plane, image, tmp_path, trained):
        """Fails where the TIFF differs from `predict`, or claims the model's pixel size."""
        tifffile.imwrite(tmp_path / "in.tif", image)
        written = predict_files(one_plane, [str(tmp_path / "in.tif")], tmp_path / "sub" / "out.tif")
        assert [p.name for p in written] == ["out.tif", "out.png"]
        with open_recording(written[0]) as result:
            np.testing.assert_allclose(result.read()[0], predict(trained.model, image), atol=1e-6)
            # The input told no pixel size: the model's own is not that of the image.
            assert [a.scale for a in result.axes] == [None, None]

    def test_a_stack_makes_a_stack(self, one_plane, image, tmp_path):
        """Fails where the first frame of a stack alone is inverted."""
        tifffile.imwrite(tmp_path / "in.tif", np.stack([image, image * 2 + image[::-1]]))
        out, _ = predict_files(one_plane, [str(tmp_path / "in.tif")], tmp_path / "out.tif")
        assert tifffile.imread(out).shape == (2, 50, 61)

    def test_several_files_go_to_a_folder(self, one_plane, image, tmp_path):
        """Fails where results of several files lose their names, or all go into one file."""
        names = [str(tmp_path / f"{i}.npy") for i in range(2)]
        for name in names:
            np.save(name, image)
        written = predict_files(one_plane, names, tmp_path / "out")
        assert sorted(p.name for p in written) == ["0.npy", "0.png", "1.npy", "1.png"]
        with pytest.raises(InputError, match="folder"):
            predict_files(one_plane, names, tmp_path / "one.tif")

    def test_planes_as_files_or_as_one_stack(self, two_planes, image, tmp_path):
        """Fails where two files and one stack of the same planes give different answers."""
        planes = np.stack([image, image[::-1]])
        tifffile.imwrite(tmp_path / "stack.tif", planes, photometric="minisblack")
        for i in range(2):
            np.save(tmp_path / f"{i}.npy", planes[i])
        apart, _ = predict_files(
            two_planes, [str(tmp_path / "0.npy"), str(tmp_path / "1.npy")], tmp_path / "a.tif",
            defocus=[-20, 20],
        )  # fmt: skip
        together, _ = predict_files(
            two_planes, [str(tmp_path / "stack.tif")], tmp_path / "b.tif", defocus=[-20, 20]
        )
        phase_and_amplitude = tifffile.imread(apart)
        assert phase_and_amplitude.shape == (2, 50, 61)
        np.testing.assert_array_equal(phase_and_amplitude, tifffile.imread(together))
        np.testing.assert_allclose(phase_and_amplitude[0].mean(), 0, atol=1e-4)

    def test_frames_chooses_planes(self, two_planes, image, tmp_path):
        """Fails where other images than the named ones are used, or one that is not there."""
        planes = np.stack([image * 0 + 1, image, image[::-1], image])
        tifffile.imwrite(tmp_path / "four.tif", planes, photometric="minisblack")
        tifffile.imwrite(tmp_path / "two.tif", planes[[1, 2]], photometric="minisblack")
        chosen, _ = predict_files(
            two_planes, [str(tmp_path / "four.tif")], tmp_path / "a.tif", frames=[1, 2],
            defocus=[-20, 20],
        )  # fmt: skip
        same, _ = predict_files(
            two_planes, [str(tmp_path / "two.tif")], tmp_path / "b.tif", defocus=[-20, 20]
        )
        np.testing.assert_array_equal(tifffile.imread(chosen), tifffile.imread(same))
        with pytest.raises(InputError, match="0 to 3"):
            predict_files(two_planes, [str(tmp_path / "four.tif")], tmp_path / "c.tif", [1, 9])

    def test_planes_are_put_in_order_by_their_defocus(self, two_planes, image, tmp_path, capfd):
        """Fails where planes from a text or --defocus are passed over, or wrong ones taken."""

        def command(*arguments):
            with pytest.raises(SystemExit) as stop:
                main(["predict", str(two_planes), *map(str, arguments)])
            assert stop.value.code == (2 if "bad.tif" in str(arguments) else 0)

        planes = np.stack([image * 0 + 1, image[::-1], image])
        tifffile.imwrite(tmp_path / "series.tif", planes, photometric="minisblack")
        tifffile.imwrite(tmp_path / "two.tif", planes[[2, 1]], photometric="minisblack")
        wanted, _ = predict_files(
            two_planes, [str(tmp_path / "two.tif")], tmp_path / "a.tif", defocus=[-20, 20]
        )
        (tmp_path / "series.txt").write_text("0, 20.3, -20")
        command(tmp_path / "series.tif", "--output", tmp_path / "b.tif")
        command(tmp_path / "series.tif", "--output", tmp_path / "c.tif",
                "--defocus", 0, "--defocus", 20.3, "--defocus", -20)  # fmt: skip
        for i in (1, 2):
            np.save(tmp_path / f"{i}.npy", planes[i])
        command(tmp_path / "1.npy", tmp_path / "2.npy", "--output", tmp_path / "d.tif",
                "--defocus", 20, "--defocus", -20)  # fmt: skip
        for name in "bcd":
            np.testing.assert_array_equal(
                tifffile.imread(tmp_path / f"{name}.tif"), tifffile.imread(wanted)
            )
        command(tmp_path / "series.tif", "--output", tmp_path / "e.tif", "--frames", "1,2")
        np.testing.assert_array_equal(tifffile.imread(tmp_path / "e.tif"), tifffile.imread(wanted))
        (tmp_path / "series.txt").write_text("0, 40, -40")
        command(tmp_path / "series.tif", "--output", tmp_path / "bad.tif")
        assert "trained for -20, 20 um" in capfd.readouterr().err
        command(tmp_path / "series.tif", "--output", tmp_path / "bad.tif", "--defocus", 20)
        assert "3 images, and 1 plane were" in capfd.readouterr().err

    def test_of_a_series_the_image_at_the_models_plane_is_inverted(
        self, one_plane, image, tmp_path, capfd
    ):
        """Fails where each image of a series is inverted, or one too far from the plane."""
        planes = np.stack([image, image[::-1]])
        tifffile.imwrite(tmp_path / "series.tif", planes, photometric="minisblack")
        (tmp_path / "series.txt").write_text("-20.2, 40")
        command = ["predict", str(one_plane), str(tmp_path / "series.tif")]
        with pytest.raises(SystemExit) as stop:
            main([*command, "--output", str(tmp_path / "a.tif")])
        assert not stop.value.code
        assert tifffile.imread(tmp_path / "a.tif").shape == image.shape
        np.testing.assert_allclose(
            tifffile.imread(tmp_path / "a.tif"), predict(one_plane, image), atol=1e-6
        )
        (tmp_path / "series.txt").write_text("-22.2, 40")
        with pytest.raises(SystemExit) as stop:
            main([*command, "--output", str(tmp_path / "b.tif")])
        assert stop.value.code == 2
        assert "nearest to -20 um lies at -22.2" in capfd.readouterr().err
        assert not (tmp_path / "b.tif").exists()

    def test_wrong_counts_and_sizes_write_nothing(self, two_planes, image, tmp_path):
        """Fails where too few planes, or unequal ones, are taken, or a folder is left."""
        np.save(tmp_path / "a.npy", image)
        np.save(tmp_path / "b.npy", image[:40])
        np.save(tmp_path / "three.npy", np.stack([image] * 3))
        np.save(tmp_path / "flat.npy", image * 0 + 1)
        a, b, three, flat = (str(tmp_path / f"{n}.npy") for n in ("a", "b", "three", "flat"))
        before = set(tmp_path.rglob("*"))
        for inputs, message in [
            ([a], "1 image of .*, and the model was trained on 2 planes"),
            ([a, b], "differ in size"),
            ([three], "3 images, 0 planes"),
            ([a, flat], "constant"),
        ]:
            planes = [-20, 20][: len(inputs)] if inputs != [three] else None
            with pytest.raises(InputError, match=message):
                predict_files(two_planes, inputs, tmp_path / "new" / "out.tif", defocus=planes)
        assert set(tmp_path.rglob("*")) == before

    def test_an_input_is_never_written_over(self, one_plane, image, tmp_path):
        """Fails where a result, or the PNG beside it, replaces an input."""
        tifffile.imwrite(tmp_path / "a.tif", image)
        write_png(tmp_path / "b.png", image)
        for name, out in [("a.tif", "a.tif"), ("b.png", "b.tif")]:
            before = (tmp_path / name).read_bytes()
            with pytest.raises(InputError, match="would replace an input"):
                predict_files(one_plane, [str(tmp_path / name)], tmp_path / out)
            assert (tmp_path / name).read_bytes() == before

    def test_the_output_must_be_a_tiff(self, one_plane, image, tmp_path):
        """Fails where a result is written in a format that cannot hold it."""
        np.save(tmp_path / "a.npy", image)
        with pytest.raises(InputError, match=r"\.tif"):
            predict_files(one_plane, [str(tmp_path / "a.npy")], tmp_path / "out.jpg")

    def test_a_picture_of_the_users_is_never_written_over(self, one_plane, image, tmp_path):
        """Fails where a user's PNG is replaced, or one's own cannot be made anew."""
        np.save(tmp_path / "a.npy", image)
        (tmp_path / "mine.png").write_text("a photograph")
        with pytest.raises(InputError, match=r"mine\.png is there already"):
            predict_files(one_plane, [str(tmp_path / "a.npy")], tmp_path / "mine.tif")
        assert (tmp_path / "mine.png").read_text() == "a photograph"
        for _ in range(2):
            predict_files(
                one_plane, [str(tmp_path / "a.npy")], tmp_path / "new.tif", overwrite=True
            )

    def test_an_error_names_its_file(self, one_plane, image, tmp_path):
        """Fails where the message does not say which file, and which image in it, is wrong."""
        np.save(tmp_path / "good.npy", image)
        np.save(tmp_path / "dark.npy", -image)
        inputs = [str(tmp_path / name) for name in ("good.npy", "dark.npy")]
        with pytest.raises(InputError, match=r"dark\.npy: image 1 has a mean"):
            predict_files(one_plane, inputs, tmp_path / "out")


def test_only_models_and_numbers_are_taken(trained, image):
    """Fails where a wrong model or array ends in an error of TensorFlow or NumPy."""
    for model, array in [(5, image), (trained.model, "a.png"), (trained.model, image * 1j)]:
        with pytest.raises(InputError, match=r"mcnn_keras\.load"):
            predict(model, array)


def test_progress_counts_images_and_tiles(trained, rng):
    """Fails where not all of the work is told, or what `progress` raises is swallowed."""
    told = []
    frames = rng.random((3, 64, 64)).astype(np.float32) + 1
    predict(trained.model, frames, axes="tyx", batch_size=2,
            progress=lambda *numbers: told.append(numbers))  # fmt: skip
    assert told == [(2, 3), (3, 3)]
    told.clear()
    predict(trained.model, frames[0], tile_size=32, progress=lambda *n: told.append(n))
    assert told[-1][0] == told[-1][1] > 3
    assert [done for done, _ in told] == sorted(done for done, _ in told)

    def stop(done, count):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        predict(trained.model, frames, axes="tyx", batch_size=1, progress=stop)


@pytest.mark.parametrize("normalization", [Normalization(), Fixed(0.5, 0.3)])
def test_an_image_in_another_unit_is_refused(normalization, tiny, rng, monkeypatch):
    """Fails where a network that was trained on 0..1 takes other units, or refuses its own."""
    monkeypatch.setattr(Blur, "normalization", normalization)
    model = train(Blur(), **tiny).model
    low, high = model.card.training["deviations"]
    assert 0 < low <= high
    image = Blur().sample(tf.constant([0, 5]), 32).image.numpy()
    for factor in (0.5, 1.0, 2.0):
        assert predict(model, factor * image[..., 0]).shape == image.shape[:2]
    for factor in (1000.0, 1e-3):
        with pytest.raises(InputError, match="times as much as those of the training"):
            predict(model, factor * image[..., 0])
