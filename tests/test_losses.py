"""Fail where coarse targets, errors or the weights of scales differ from closed forms."""

import numpy as np
import pytest
from reference import area_average

from mcnn_keras.training.losses import (
    UNSCALED,
    answer_sizes,
    coarse_targets,
    growth,
    multiscale_errors,
    scale_weights,
)


def test_coarse_targets_are_area_averages(rng):
    """Fails where targets are subsampled, or blurred, instead of averaged."""
    target = rng.standard_normal((1, 16, 24, 1)).astype(np.float32)
    for level, coarse in enumerate(coarse_targets(target, 3)):
        expected = area_average(target[0, :, :, 0], 2**level)
        np.testing.assert_allclose(coarse[0, :, :, 0], expected, atol=1e-6)


def test_errors_are_mean_absolute_errors_of_each_scale(rng):
    """Fails where errors are squared, summed, or not kept for each scale and sample."""
    targets = [rng.standard_normal((2, 8 >> m, 8 >> m, 1)).astype(np.float32) for m in range(3)]
    outputs = [t + (m + 1) * 0.5 for m, t in enumerate(targets)]
    errors = multiscale_errors(outputs, targets).numpy()
    np.testing.assert_allclose(errors, [[0.5, 0.5], [1.0, 1.0], [1.5, 1.5]], rtol=1e-5)


def test_logarithmic_errors_are_decibels(rng):
    """Fails where halving an error counts more for a noisy sample than for a good one."""
    targets = [rng.standard_normal((2, 8, 8, 1)).astype(np.float32)]
    away = np.array([4.0, 1.0], np.float32)[:, None, None, None]
    errors = [
        multiscale_errors([targets[0] + share * away], targets, kind="logarithmic").numpy()[0]
        for share in (1.0, 0.5)
    ]
    np.testing.assert_allclose(errors[0], np.log([4.0, 1.0]), atol=1e-3)
    np.testing.assert_allclose(errors[0] - errors[1], np.log(2), atol=2e-3)
    assert np.isfinite(multiscale_errors(targets, targets, kind="logarithmic")).all()


def test_a_faded_out_scale_counts_as_its_coarser_neighbour(rng):
    """Fails where a scale that is faded out adds an error of its own."""
    coarse = rng.standard_normal((1, 4, 4, 1)).astype(np.float32)
    enlarged = np.kron(coarse[0, :, :, 0], np.ones((2, 2)))[None, :, :, None]
    garbage = np.full((1, 8, 8, 1), 1e3, np.float32)
    errors = multiscale_errors([garbage, coarse], [enlarged, coarse], fade=0.0).numpy()
    np.testing.assert_allclose(errors, 0, atol=1e-6)
    assert multiscale_errors([garbage, coarse], [enlarged, coarse], fade=0.1).numpy()[0] > 50


def test_constant_weights_are_one():
    """Fails where a weight depends on the scale or the step."""
    np.testing.assert_array_equal(scale_weights("constant", 3, 5, 10), [1, 1, 1, 1])


@pytest.mark.parametrize(
    ("step", "expected"), [(0, [1, 2, 4, 8]), (50, [1, 1, 1, 1]), (100, [1, 0, 0, 0])]
)
def test_annealed_weights_end_as_a_unet(step, expected):
    """Fails where coarse scales keep a weight to the end, or fine and coarse are swapped."""
    np.testing.assert_allclose(scale_weights("annealed", 3, step, 101), expected)


@pytest.mark.parametrize(
    ("step", "expected"), [(0, [1, 1, 1, 1]), (50, [1, 0.5, 0.25, 0.125]), (100, [1, 0, 0, 0])]
)
def test_closing_weights_begin_equal(step, expected):
    """Fails where they begin as the annealed ones, or coarse scales keep a weight to the end."""
    np.testing.assert_allclose(scale_weights("closing", 3, step, 101), expected)


def test_growth_starts_coarse_and_ends_whole():
    """Fails where an output comes before the coarser one is whole, or after half of the run."""
    stages = [growth(3, step, 800) for step in range(800)]
    finest = [s for s, _ in stages]
    fades = [f for _, f in stages]
    assert finest[0] == 3
    assert finest == sorted(finest, reverse=True)
    assert finest[400:] == [0] * 400
    assert fades[400:] == [1.0] * 400
    # Each finer output enters unseen and is whole before the next one comes.
    for step in range(1, 800):
        if finest[step] < finest[step - 1]:
            assert fades[step] < 0.05
            assert fades[step - 1] == 1.0
    assert growth(0, 0, 800) == (0, 1.0)


def test_answers_in_units_of_a_channel_are_judged_in_them(rng):
    """Fails where a sample weighs by the size of what its answer is multiplied by."""
    inputs = rng.uniform(1, 2, (2, 8, 8, 3)).astype(np.float32)
    inputs[..., 1] = np.array([0.1, 10.0])[:, None, None]
    sizes = answer_sizes(inputs, (1, None))
    np.testing.assert_allclose(sizes[:, 0, 0, 0], [0.1, 10.0])
    np.testing.assert_allclose(sizes[:, 0, 0, 1], UNSCALED)
    assert answer_sizes(inputs, None) is None
    target = rng.standard_normal((2, 8, 8, 2)).astype(np.float32)
    errors = multiscale_errors([target + sizes], [target], sizes=sizes)
    np.testing.assert_allclose(errors, 1, rtol=1e-4)
