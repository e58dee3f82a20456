"""Fail where the image is not the Laplacian, or its exact inverse misses the picture."""

import numpy as np
import pytest
import scipy.ndimage

from mcnn_keras import InputError, evaluate, train
from mcnn_keras.classical.laplacian import inverse_laplacian
from mcnn_keras.cli import main
from mcnn_keras.problems import Laplacian, from_card
from mcnn_keras.problems.laplacian import KERNEL
from mcnn_keras.training.pipeline import fixed_set

TINY = {"image_size": 32, "samples": 64, "epochs": 2, "filters": (8, 8), "branches": 2}


@pytest.mark.parametrize("boundary", ["zero", "open"])
def test_the_image_is_the_pictures_laplacian(boundary):
    """Fails where the kernel, or what lies beyond the borders, is wrong."""
    images, targets = fixed_set(Laplacian(noise=0, boundary=boundary), "train", 4, 40, 0)
    assert targets.min() >= 0
    assert targets.max() <= 1
    known = slice(None) if boundary == "zero" else slice(1, -1)
    for image, target in zip(images[..., 0], targets[..., 0], strict=True):
        expected = scipy.ndimage.convolve(target, np.array(KERNEL), mode="constant")
        np.testing.assert_allclose(image[known, known], expected[known, known], atol=1e-5)


def test_noise_is_as_strong_as_stated():
    """Fails where the noise is a variance, or is scaled by the image."""
    clean, noisy = (fixed_set(Laplacian(noise=n), "train", 8, 64, 0)[0] for n in (0, 0.05))
    np.testing.assert_allclose((noisy - clean).std(), 0.05, rtol=0.02)


@pytest.mark.parametrize(("boundary", "mode"), [("zero", "constant"), ("open", "reflect")])
def test_the_inverse_is_exact(rng, boundary, mode):
    """Fails where the inverse belongs to another boundary, or the damping has no effect."""
    picture = rng.random((31, 44))
    image = scipy.ndimage.convolve(picture, np.array(KERNEL), mode=mode)
    known = picture if boundary == "zero" else picture - picture.mean()
    np.testing.assert_allclose(inverse_laplacian(image, 0, boundary), known, atol=1e-9)
    damped = inverse_laplacian(image, 5.0, boundary)
    assert 0 < damped.std() < picture.std()


def test_evaluation_sets_the_inverse_beside_the_network():
    """Fails where the inverse is in another scale than the targets."""
    run = train(Laplacian(), precision="float32", **TINY)
    assert from_card(run.model.card).config() == Laplacian().config()
    answers = evaluate(run.model, samples=8)
    exact = answers["Fourier inverse"]
    assert exact["mae"]["picture"] < answers["constant"]["mae"]["picture"]
    assert exact["correlation"] > 0.5
    assert exact["with"]["regularization"] > 0


def test_the_command_trains_it(tmp_path, small_preset):
    """Fails where the command does not know the problem."""
    words = "train laplacian --image-size 64 --samples 8 --epochs 1 --preset fast --output".split()
    with pytest.raises(SystemExit) as end:
        main([*words, str(tmp_path / "run")])
    assert end.value.code == 0
    assert (tmp_path / "run" / "model.h5").exists()


def test_wrong_arguments_are_told():
    """Fails where negative noise or an unknown boundary is taken."""
    with pytest.raises(InputError, match="negative"):
        Laplacian(noise=-1)
    with pytest.raises(InputError, match="choose from zero, open"):
        Laplacian(boundary="dark")
    with pytest.raises(ValueError, match="'zero' or 'open'"):
        inverse_laplacian(np.ones((8, 8)), 0.1, "dark")
