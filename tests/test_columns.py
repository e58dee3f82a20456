"""Fail where columns of atoms are found where none are, lost, or put in the wrong place.

The truth is known in closed form: sums of Gaussians at given sub-pixel positions.
"""

import itertools

import numpy as np
import pytest

from mcnn_keras import InputError
from mcnn_keras.metrics import find_columns, match_columns
from mcnn_keras.metrics.columns import ColumnCounts, column_maxima, column_shape, total

SIZE = 128


def lattice(pitch, turn=0.2, angle=np.pi / 2, size=SIZE):
    """All sites of a plane lattice that are a pitch away from the border."""
    a, b = ([np.cos(t) * pitch, np.sin(t) * pitch] for t in (turn, turn + angle))
    steps = np.arange(-40, 41)
    sites = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2) @ np.array([a, b])
    sites += size / 2 + 0.3
    return sites[np.all((sites > pitch) & (sites < size - 1 - pitch), axis=1)]


def gaussians(sites, width, heights=1.0, size=SIZE):
    heights = np.broadcast_to(heights, len(sites))
    t = np.arange(size)
    y, x = (np.exp(-((t - sites[:, i, None]) ** 2) / (2 * width**2)) for i in (0, 1))
    return (y * heights[:, None]).T @ x


def slope(size=SIZE):
    y, x = np.mgrid[:size, :size] / size
    return y, x


@pytest.mark.parametrize("angle", [np.pi / 2, np.pi / 3])
@pytest.mark.parametrize(
    ("pitch", "width"), [(7, 0.8), (7, 1.6), (10, 1.2), (12, 2.9), (16, 2.0), (24, 5.0), (30, 2.0)]
)
def test_lattices_with_gaps_are_found_to_a_tenth_of_a_pixel(pitch, width, angle, rng):
    """Fails where a column next to a gap is lost or moves, or a gap is filled."""
    sites = lattice(pitch, angle=angle)
    kept = rng.random(len(sites)) > 0.1
    image = gaussians(sites[kept], width)
    for arguments in ({}, {"spacing": pitch, "width": width}):
        counts = match_columns(find_columns(image, **arguments), sites[kept], pitch / 2)
        assert (counts.true, counts.invented, counts.missed) == (kept.sum(), 0, 0)
        assert counts.position_error < 0.1
        assert counts.precision == counts.recall == counts.f1 == 1


def test_the_shape_of_columns_is_measured():
    """Fails where a width is not that of the Gaussians, or a spacing not their distance."""
    for pitch, width in ((12, 2.5), (16, 3.0), (8, 1.8)):
        found, spacing = column_shape(gaussians(lattice(pitch), width) + 5)
        assert found == pytest.approx(width, rel=0.25)
        assert spacing == pytest.approx(pitch, rel=0.1)


def test_backgrounds_and_dark_columns_change_nothing(rng):
    """Fails where a gradient moves or hides columns, or a bright field is read as a dark one."""
    sites = lattice(12)
    image, (y, x) = gaussians(sites, 2.0), slope()
    plain = find_columns(image, 12, width=2.0)
    steep = find_columns(image + 1000 + 20 * y - 30 * x, 12, width=2.0, least=0.5)
    assert np.allclose(np.sort(plain, 0), np.sort(steep, 0), atol=0.02)
    curved = find_columns(image + 4 * np.exp(-(y**2 + x**2)), 12, width=2.0, least=0.5)
    counts = match_columns(curved, sites, 4)
    assert (counts.true, counts.invented, counts.missed) == (len(sites), 0, 0)
    assert counts.position_error < 0.1
    turned = find_columns(7 - 0.3 * image, 12, width=2.0, dark=True)
    assert np.allclose(plain, turned, atol=1e-6)


def test_faint_columns_beside_bright_ones():
    """Fails where a column of a third of its neighbours' height is lost, or told to be as high."""
    sites = lattice(12)
    heights = np.where(np.arange(len(sites)) % 2, 1.0, 0.33)
    image = gaussians(sites, 2.0, heights)
    counts = match_columns(find_columns(image, 12, width=2.0), sites, 4)
    assert (counts.true, counts.invented, counts.missed) == (len(sites), 0, 0)
    positions, found = column_maxima(image, 12, width=2.0)
    nearest = np.argmin(np.linalg.norm(positions[:, None] - sites[None], axis=2), axis=1)
    real = found > 0.1
    assert np.allclose(found[real], heights[nearest[real]], rtol=0.2, atol=0.05)
    # What is left out by the default is there for a lower limit.
    faint = gaussians(sites, 2.0, np.where(np.arange(len(sites)) % 2, 1.0, 0.2))
    assert len(find_columns(faint, 12, width=2.0)) == (np.arange(len(sites)) % 2).sum()
    assert len(find_columns(faint, 12, width=2.0, least=0.12)) == len(sites)


def test_extra_and_missing_columns_are_counted_exactly(rng):
    """Fails where an atom in a gap of the truth is not invented, or a lost one not missed."""
    sites = lattice(14)
    chosen = rng.permutation(len(sites))
    lost, new = chosen[:5], sites[chosen[5:8]] + 7  # between four others
    answer = gaussians(np.concatenate([np.delete(sites, lost, 0), new]), 2.0)
    counts = match_columns(find_columns(answer, 9, width=2.0), find_columns(gaussians(sites, 2)), 4)
    assert (counts.true, counts.invented, counts.missed) == (len(sites) - 5, 3, 5)
    assert counts.precision == pytest.approx((len(sites) - 5) / (len(sites) - 2))
    assert counts.recall == pytest.approx(1 - 5 / len(sites))


def test_noise_adds_to_the_position_error_as_theory_says(rng):
    """Fails where noise invents columns that a limit excludes, or the error is not near its bound.

    No unbiased estimate of a Gaussian's place, of known width, is better per axis than
    noise / (height sqrt(pi)), in pixels (Cramer and Rao).
    """
    sites, noise = lattice(16), 0.1
    image = gaussians(sites, 2.0) + rng.normal(0, noise, (SIZE, SIZE))
    counts = match_columns(find_columns(image, 16, width=2.0, least=0.5), sites, 4)
    assert (counts.true, counts.invented, counts.missed) == (len(sites), 0, 0)
    bound = noise / np.sqrt(np.pi) * np.sqrt(2)
    assert 0.8 * bound < counts.position_error < 2 * bound


def test_nothing_is_found_in_nothing(rng):
    """Fails where rounding errors of a flat image, or noise below a limit, are columns."""
    y, x = slope()
    for flat in (np.zeros((64, 64)), np.full((64, 64), 1e6), np.full((5, 5), -3.0)):
        assert find_columns(flat, 8).shape == (0, 2)
        assert find_columns(flat).shape == (0, 2)
    for ramp in (1e5 + y + x, np.float32(1e5 + y + x), np.uint16(3 * (y + x) * SIZE)):
        assert len(find_columns(ramp, 8)) == 0
    assert len(find_columns(rng.normal(0, 0.1, (64, 64)), 10, least=0.5)) == 0


def brute_force(found, true, within):
    """The most pairs, and then the least sum of distances, of all possible pairings."""
    best = (0, 0.0)
    for count in range(1, min(len(found), len(true)) + 1):
        for some in itertools.combinations(range(len(found)), count):
            for others in itertools.permutations(range(len(true)), count):
                distances = np.linalg.norm(found[list(some)] - true[list(others)], axis=1)
                if (distances <= within).all():
                    best = max(best, (count, -distances.sum()))
    return best


def test_pairs_are_the_best_of_all(rng):
    """Fails where the nearest is taken first and another column goes without a partner."""
    chain = match_columns([[0, 1.0], [0, 2.1]], [[0, 0.0], [0, 1.4]], 1.0)
    assert (chain.true, chain.invented, chain.missed) == (2, 0, 0)
    for _ in range(20):
        found, true = rng.uniform(0, 3, (4, 2)), rng.uniform(0, 3, (3, 2))
        counts = match_columns(found, true, 1.0)
        assert counts.true == brute_force(found, true, 1.0)[0]
        assert (counts.invented, counts.missed) == (4 - counts.true, 3 - counts.true)


def test_what_is_ignored_is_neither_invented_nor_missed():
    """Fails where one ignored place excuses two columns, or a true pair is lost to it."""
    true, unsure = [[5.0, 5.0]], [[9.0, 9.0], [5.0, 5.5]]
    counts = match_columns([[5, 5.2], [9, 9.5], [9, 8.6], [30, 30]], true, 1, unsure)
    assert (counts.true, counts.invented, counts.missed) == (1, 2, 0)
    assert counts.position_error == pytest.approx(0.2)


def test_no_columns_are_numbers_too():
    """Fails where an empty list divides by zero."""
    counts = match_columns([], [[1, 1]], 2)
    assert (counts.true, counts.invented, counts.missed, counts.recall) == (0, 0, 1, 0)
    assert np.isnan(counts.position_error)
    assert np.isnan(counts.precision)
    assert np.isnan(match_columns([], [], 2).f1)


def test_totals_add_up():
    """Fails where the error of all is not that of all distances, or an empty image spoils it."""
    parts = [ColumnCounts(1, 2, 3, 0.3), ColumnCounts(0, 1, 0, float("nan")),
             ColumnCounts(3, 0, 1, 0.1)]  # fmt: skip
    counts = total(parts)
    assert (counts.true, counts.invented, counts.missed) == (4, 3, 4)
    assert counts.position_error == pytest.approx(np.sqrt((0.09 + 3 * 0.01) / 4))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: find_columns(np.zeros((3, 4, 5))), "shape"),
        (lambda: find_columns(np.full((8, 8), np.nan)), "NaN"),
        (lambda: find_columns(np.eye(8), 0), "spacing 0"),
        (lambda: find_columns(np.eye(8), 5, width=-1), "width -1"),
        (lambda: match_columns([[1, 2, 3]], [[1, 2]], 1), "positions"),
        (lambda: match_columns([[1, 2]], [[1, 2]], 0), "within 0"),
    ],
)
def test_wrong_input_is_told(call, message):
    """Fails where nonsense gives numbers."""
    with pytest.raises(InputError, match=message):
        call()
