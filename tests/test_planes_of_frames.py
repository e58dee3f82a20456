"""Fail where a chosen image of a focal series gets the plane of another image."""

import json

import numpy as np
import pytest
import tensorflow as tf
import tifffile
from scipy.ndimage import gaussian_filter

from mcnn_keras import InputError, Optics
from mcnn_keras.cli import main
from mcnn_keras.files import Axis, write_recording
from mcnn_keras.focal_series import read_focal_series
from mcnn_keras.inference.planes import planes_of_chosen
from mcnn_keras.inference.planning import plan
from mcnn_keras.models.saving import read_card
from mcnn_keras.physics.waves import defocus_stack

OPTICS = Optics(0.65, 0.31, 0.45)
PLANES = (-52.0, 52.0)
LIGHT = ("--wavelength", 0.65, "--pixel-size", 0.31, "--numerical-aperture", 0.45)


@pytest.fixture(scope="module")
def phase():
    rng = np.random.default_rng(4)
    phase = gaussian_filter(rng.standard_normal((64, 64)), 5) * np.outer(*[np.hanning(64)] * 2)
    return 0.5 * phase / phase.std()


@pytest.fixture(scope="module")
def images(phase):
    wave = tf.constant(np.exp(1j * phase).astype(np.complex64))
    return np.moveaxis(defocus_stack(wave, PLANES, OPTICS).numpy(), -1, 0).astype(np.float32)


@pytest.fixture
def stack(images, tmp_path):
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, images, photometric="minisblack")
    return path


def run(*arguments):
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    return stop.value.code


def write_planes(stack, kind, planes=PLANES):
    text = json.dumps({"defocus": planes}) if kind == ".json" else " ".join(map(str, planes))
    stack.with_suffix(kind).write_text(text)


@pytest.mark.parametrize("kind", [".json", ".txt"])
def test_planes_of_a_file_stay_with_their_images(stack, images, kind):
    """Fails where planes from a file belong to the chosen images in the order of `frames`."""
    write_planes(stack, kind)
    for frames in (None, [0, 1], [1, 0]):
        series = read_focal_series([str(stack)], frames=frames)
        assert series.defocus == PLANES
        np.testing.assert_array_equal(series.images, np.moveaxis(images, 0, -1))


@pytest.mark.parametrize("kind", [".json", ".txt"])
def test_the_sign_of_a_phase_does_not_depend_on_the_order(stack, phase, kind, tmp_path):
    """Fails where --frames 1,0 gives the negative phase."""
    write_planes(stack, kind)
    for frames in ("0,1", "1,0"):
        output = tmp_path / f"{frames[0]}.npy"
        assert run("reconstruct", "tie", stack, "--frames", frames, *LIGHT, "--output", output) == 0
        assert np.corrcoef(np.load(output).ravel(), phase.ravel())[0, 1] > 0.7


def test_planes_of_the_option_belong_to_the_chosen_images(stack, images, tmp_path, capfd):
    """Fails where values of --defocus do not follow --frames, or nothing says which image is where.

    With as many values as images, the number of all images decides only if fewer are chosen.
    """
    for planes, frames, first in (
        ([52, -52], [1, 0], 0), ([-52, 52], [1, 0], 1), ([-52, 52], [0, 1], 0), ([52, -52], None, 1)
    ):  # fmt: skip
        series = read_focal_series([str(stack)], planes, frames)
        assert series.defocus == PLANES
        np.testing.assert_array_equal(series.images[..., 0], images[first])
    one = read_focal_series([str(stack)], [-52, 52], [1])
    assert one.defocus == (52,)
    np.testing.assert_array_equal(one.images[..., 0], images[1])
    words = ("--frames", "1,0", "--defocus", "52,-52", "--output", tmp_path / "a.npy")
    assert run("reconstruct", "tie", stack, *LIGHT, *words) == 0
    assert "image 1 at 52 um, image 0 at -52 um" in capfd.readouterr().out


def test_a_network_for_given_planes_takes_them_by_number(stack, tmp_path):
    """Fails where `predict` gives the images to the planes in the order of --frames."""
    card = read_card("phase-52+52")

    def frames(*chosen, **options):
        return plan("phase-52+52", card, [str(stack)], tmp_path / "o.npy", list(chosen), **options)[
            0
        ].frames

    for kind in (".json", ".txt"):
        write_planes(stack, kind)
        assert frames(1, 0) == frames(0, 1) == [0, 1]
        stack.with_suffix(kind).unlink()
    assert frames(1, 0, defocus=[52, -52]) == [0, 1]
    assert frames(1, 0, defocus=[-52, 52]) == [1, 0]


def test_each_series_of_a_recording_has_the_planes_of_its_axis(images, tmp_path):
    """Fails where images of the second series get planes in the order of --frames."""
    path, card = tmp_path / "movie.h5", read_card("phase-52+52")
    axes = (Axis("time", 2), Axis("z", 2, 104.0, -52.0, "um"), Axis("y", 64, 0.31, 0, "um"),
            Axis("x", 64, 0.31, 0, "um"))  # fmt: skip
    movie = np.concatenate([images, 2 * images])
    write_recording(path, movie, axes)
    for frames in ([2, 3], [3, 2], [1, 2]):
        series = read_focal_series([str(path)], frames=frames)
        assert series.defocus == PLANES
        for place, image in enumerate(sorted(frames, key=lambda i: i % 2)):
            np.testing.assert_array_equal(series.images[..., place], movie[image])
        (job,) = plan("phase-52+52", card, [str(path)], tmp_path / "o.npy", frames)
        assert job.frames == sorted(frames, key=lambda i: i % 2)


def test_an_image_of_each_file_has_its_own_plane(images, tmp_path):
    """Fails where the planes of one file's images are taken for those of two files."""
    card = read_card("phase-52+52")
    names = []
    for name, own in (("a", (0.0, 52.0)), ("b", (0.0, -52.0))):
        path = tmp_path / f"{name}.tif"
        tifffile.imwrite(path, images, photometric="minisblack")
        write_planes(path, ".txt", own)
        names.append(str(path))
    (job,) = plan("phase-52+52", card, names, tmp_path / "o.npy", [1])
    assert job.inputs == (names[1], names[0])


@pytest.mark.parametrize(
    ("planes", "frames", "message"),
    [
        (PLANES, [0, 0], "image 0 is chosen twice"),
        (PLANES, [1, 0, 1], "image 1 is chosen twice"),
        ((-52, 0, float("nan"), 52), [0, 1], "plane nan is not a finite number"),
        (PLANES, [3, 0], "the file states 2 planes for 4 images, and --frames 3,0"),
    ],
)
def test_what_has_no_clear_plane_is_refused(planes, frames, message):
    """Fails where an image counts twice, or planes of fewer images than there are are guessed."""
    with pytest.raises(InputError, match=message):
        planes_of_chosen(planes, frames, 4)


def test_a_frame_twice_is_refused_by_all_commands(stack, tmp_path, capfd):
    """Fails where the image of one plane is used for two."""
    write_planes(stack, ".json")
    for words in (("phase", stack, *LIGHT), ("reconstruct", "tie", stack, *LIGHT),
                  ("predict", "phase-52+52", stack)):  # fmt: skip
        for more in ((), ("--defocus", "-52,52")):
            assert run(*words, *more, "--frames", "0,0", "--output", tmp_path / "o.tif") == 2
            (line,) = capfd.readouterr().err.strip().splitlines()
            assert "image 0 is chosen twice (--frames)" in line


def test_planes_of_several_files_must_fit_each(images, tmp_path):
    """Fails where only the sum of planes fits, or two files tell different planes of one image."""
    names = [str(tmp_path / f"{name}.tif") for name in "ab"]
    for name in names:
        tifffile.imwrite(name, images, photometric="minisblack")
    (tmp_path / "a.txt").write_text("-52 0 52")
    (tmp_path / "b.txt").write_text("100")
    with pytest.raises(InputError, match=r"a.tif: 2 frames, 3 planes"):
        read_focal_series(names)
    (tmp_path / "a.txt").write_text("-52 0 52 100")
    with pytest.raises(InputError, match=r"beside .*b.tif are not those beside"):
        read_focal_series(names)
    (tmp_path / "b.txt").write_text("52 100")
    assert read_focal_series(names).defocus == (-52, 0, 52, 100)
