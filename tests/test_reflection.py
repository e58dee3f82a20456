"""Fail where the wall shows another screen, or an estimate misses a known linear map."""

import numpy as np
import pytest

from mcnn_keras import InputError, evaluate
from mcnn_keras.channels import network_input
from mcnn_keras.classical.ridge import Ridge
from mcnn_keras.cli import main
from mcnn_keras.problems import Reflection, from_card, reflection
from mcnn_keras.problems.paired import filled
from mcnn_keras.problems.reflection import GAMMA
from mcnn_keras.training.pipeline import fixed_set


@pytest.fixture(scope="module")
def problem():
    return Reflection()


def test_a_sample_is_a_photograph_and_a_picture_twice_as_large(problem):
    """Fails where 16:9 is not mirrored up to a multiple of 64, or a sample is not its seed's."""
    images, targets = fixed_set(problem, "train", 3, 128, 0)
    assert images.shape == (3, 128, 128, 6)  # the estimate of the screen behind the photograph
    assert targets.shape == (3, 256, 256, 3)
    for array in (images, targets):
        assert array.min() >= 0
        assert array.max() <= 1
    # 144 rows make 16:9; what lies above and below is their mirror image.
    np.testing.assert_array_equal(targets[:, 200:], targets[:, 199:143:-1])
    np.testing.assert_array_equal(targets[:, :56], targets[:, 111:55:-1])
    again = fixed_set(problem, "train", 3, 128, 0)
    np.testing.assert_array_equal(images, again[0])
    assert not np.array_equal(images, fixed_set(problem, "test", 3, 128, 0)[0])


def test_a_width_that_would_be_filled_up_is_refused(problem):
    """Fails where a width that is no multiple of 64 is accepted."""
    with pytest.raises(InputError, match="multiple of 64"):
        problem.sample((0, 1), 100)


def test_the_wall_shows_the_screens_colours_and_side(problem):
    """Fails where the wall mixes colours, or shows the screen's left on its right."""
    red_left = np.zeros((36, 64, 3), np.float32)
    red_left[:, :32, 0] = 1.0
    red_left[:, 32:, 2] = 1.0
    wall = problem.observe(red_left, (0, 1)).numpy()
    assert wall.shape == (18, 32, 3)
    assert np.abs(wall[..., 1]).max() < 1e-6
    assert wall[:, :10, 0].mean() > 1.2 * wall[:, -10:, 0].mean()
    assert wall[:, -10:, 2].mean() > 1.2 * wall[:, :10, 2].mean()


def test_exposure_brings_dark_and_bright_screens_together(problem):
    """Fails where the exposure leaves a dark screen ten times darker, or makes it as bright."""
    bright = np.full((18, 32, 3), 0.6, np.float32)
    taken = [problem.detect(level * bright, (0, 1)).numpy().mean() ** GAMMA for level in (1, 0.1)]
    np.testing.assert_allclose(taken[0] / taken[1], 10**0.3, rtol=0.1)


def test_the_fixed_channels_find_a_smooth_screen():
    """Fails where the estimate of the screen is shifted, of another brightness, or a mere mean."""
    calm = {"exposure": (1.0, 1.0), "counts": (1e6, 1e7), "read_out": (0.0, 1e-6),
            "vibration": (0.0, 0.0), "delay": (0.0, 0.0)}  # fmt: skip
    problem = Reflection(ranges=calm)
    y, x = np.mgrid[0:1:144j, 0:1:256j]
    screen = np.stack([0.3 + 0.3 * x, 0.7 - 0.3 * y, 0.4 + 0.2 * x * y], -1).astype(np.float32)
    photograph = filled(problem.detect(problem.observe(screen, (0, 1)), (2, 3)))
    found = network_input(photograph.numpy(), problem.channels, {})[..., 3:]
    expected = filled(screen, 2).numpy()[::2, ::2]
    assert found.shape == expected.shape
    assert np.abs(found - expected).mean() < 0.02  # a guess of each colour's mean: 0.06


def test_ridge_finds_a_linear_map(rng):
    """Fails where ridge regression misses a map without noise, or its limit is not the mean."""
    images, weights = rng.standard_normal((60, 4, 3)), rng.standard_normal((12, 5))
    targets = images.reshape(60, 12) @ weights + 7
    fitted = Ridge(images, targets)
    new = rng.standard_normal((8, 4, 3))
    expected = new.reshape(8, 12) @ weights + 7
    np.testing.assert_allclose(fitted.predict(new, 1e-9), expected, atol=1e-3)
    # As strong a regularisation as can be leaves the mean.
    np.testing.assert_allclose(
        fitted.predict(new, 1e9), targets.mean(0)[None].repeat(8, 0), atol=1e-3
    )


def test_ridge_is_the_textbooks(rng):
    """Fails where a strength means another penalty than in the textbook's equation."""
    images, targets = rng.standard_normal((20, 6)), rng.standard_normal((20, 3))
    fitted = Ridge(images, targets)
    x, y = (images - images.mean(0)) / fitted.scale, targets - targets.mean(0)
    strength = 0.05
    weights = np.linalg.solve(x.T @ x + strength * 20 * np.eye(6), x.T @ y)
    np.testing.assert_allclose(
        fitted.predict(images, strength) - targets.mean(0), x @ weights, atol=1e-4
    )


def test_it_trains_and_is_evaluated(tmp_path, monkeypatch, small_preset):
    """Fails where the scene does not reach the card, or the linear inverse is not set beside."""
    monkeypatch.setattr(reflection, "RIDGE_PAIRS", 16)
    words = "train reflection --image-size 64 --samples 8 --batch-size 4 --epochs 1 --preset fast"
    with pytest.raises(SystemExit) as end:
        main([*words.split(), "--distance", "0.2", "--output", str(tmp_path / "run")])
    assert end.value.code == 0
    from mcnn_keras import load

    model = load(tmp_path / "run" / "model.h5")
    assert from_card(model.card).scene.distance == 0.2
    answers = evaluate(model, samples=4)
    assert set(answers) == {"network", "constant", "linear inverse"}
    assert set(answers["network"]["mae"]) == {"red", "green", "blue"}


def test_wrong_scenes_are_told():
    """Fails where an unknown field or a negative length of a scene is accepted."""
    with pytest.raises(InputError, match="no 'colour'"):
        Reflection(scene={"colour": 1})
    with pytest.raises(InputError, match="distance -1 must be positive"):
        Reflection(scene={"distance": -1})
