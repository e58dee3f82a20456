"""Fail where light on the wall differs from its closed form or from a double sum."""

import numpy as np
import pytest

from mcnn_keras import InputError
from mcnn_keras.physics import wall
from mcnn_keras.physics.wall import Scene, grid, irradiance_matrix, transport_matrix


def test_the_first_cell_is_left_and_up():
    """Fails where rows and columns are swapped, or up is down."""
    points = grid(0.4, 0.2, (2, 4))
    np.testing.assert_allclose(points[0], (-0.15, 0.05))
    np.testing.assert_allclose(points[-1], (0.15, -0.05))


def test_a_wide_uniform_screen_lights_the_wall_with_pi():
    """Fails where the area of a cell or a factor of pi is missing."""
    # Lambert: the irradiance by a half-space of radiance one is pi.
    screen = grid(200.0, 200.0, (1000, 1000))
    total = irradiance_matrix(np.zeros((1, 2)), screen, 0.04, 1.0, 0.0).sum()
    np.testing.assert_allclose(total, np.pi, rtol=1e-3)


@pytest.mark.parametrize("falloff", [0.0, 0.5, 2.0])
def test_a_round_screen_has_its_closed_form(falloff):
    """Fails where the fall-off is another power of the cosine."""
    # The integral of cos^(2 + m) / r^2 over a disc: 2 pi / (2 + m) (1 - cos^(2 + m) of its rim).
    radius, distance = 0.3, 0.5
    screen = grid(0.6, 0.6, (800, 800))
    inside = screen[(screen**2).sum(1) < radius**2]
    area = 0.6**2 / 800**2
    total = irradiance_matrix(np.zeros((1, 2)), inside, area, distance, falloff).sum()
    rim = distance / np.hypot(radius, distance)
    expected = 2 * np.pi / (2 + falloff) * (1 - rim ** (2 + falloff))
    np.testing.assert_allclose(total, expected, rtol=1e-3)


def test_a_single_pixel_fades_with_the_fourth_power_of_the_cosine():
    """Fails where one of the two cosines, or the inverse square, is missing."""
    wall = np.array([[0.0, 0.0], [0.3, 0.0], [0.0, 0.4]])
    lit = irradiance_matrix(wall, np.zeros((1, 2)), 1e-6, 0.4, 0.0)[:, 0]
    np.testing.assert_allclose(lit[0], 1e-6 / 0.4**2)
    np.testing.assert_allclose(lit[1:] / lit[0], [0.8**4, 0.5**2], rtol=1e-12)


def test_light_that_leaves_the_screen_falls_on_the_wall():
    """Fails where light is lost or made between screen and wall."""
    # Energy: a Lambertian cell of area A sends pi A; a wide wall gets all of it.
    side, n = 60.0, 1500
    wall = grid(side, side, (n, n))
    lit = irradiance_matrix(wall, np.zeros((1, 2)), 1e-4, 1.0, 0.0).sum() * (side / n) ** 2
    np.testing.assert_allclose(lit, np.pi * 1e-4, rtol=2e-3)


def test_light_goes_both_ways_alike():
    """Fails where rows and columns are mixed up, or more than the distance of two points counts."""
    # Reciprocity: with a Lambertian panel, screen and wall may be exchanged.
    a, b = grid(0.3, 0.2, (3, 4)), grid(0.5, 0.3, (4, 5))
    forth = irradiance_matrix(a, b, 1.0, 0.3, 0.0)
    np.testing.assert_allclose(forth, irradiance_matrix(b, a, 1.0, 0.3, 0.0).T)


def test_the_matrix_is_the_double_sum():
    """With (s + 1) / (2 pi) the lobe sends back its share: the integral of cos^s over directions.

    Fails where cells, camera or mirrored ray are misplaced, or the lobe has a wrong factor.
    """
    scene = Scene(falloff=0.7, glossy=0.3, diffuse=0.5, sharpness=12.0, camera=(0.05, 0.12))
    matrix = transport_matrix(scene, (3, 4), (2, 3))
    area = scene.width * scene.height / 12
    for i in range(6):
        for j in range(12):
            wx = ((i % 3 + 0.5) / 3 - 0.5) * scene.view * scene.width
            wy = (0.5 - (i // 3 + 0.5) / 2) * scene.view * scene.height
            sx = ((j % 4 + 0.5) / 4 - 0.5) * scene.width
            sy = (0.5 - (j // 4 + 0.5) / 3) * scene.height
            light = np.array([sx - wx, sy - wy, scene.distance])
            camera = np.array([scene.camera[0] - wx, scene.camera[1] - wy, scene.distance])
            r = np.linalg.norm(light)
            cosine = scene.distance / r
            normal = np.array([0, 0, 1.0])
            camera /= np.linalg.norm(camera)
            mirrored = 2 * (camera @ normal) * normal - camera
            lobe = max(mirrored @ light / r, 0) ** 12
            brdf = 0.5 / np.pi + 0.3 * 13 / (2 * np.pi) * lobe / cosine
            expected = brdf * area * cosine**1.7 * cosine / r**2
            np.testing.assert_allclose(matrix[i, j], expected, rtol=1e-5)


def test_a_mirror_shows_the_screen_where_it_should():
    """Fails where the mirror image is turned over or shifted."""
    # A sharp lobe: wall point p shows the screen's point 2 p - camera.
    scene = Scene(diffuse=0, glossy=1, sharpness=4000, camera=(0.0, 0.0), view=1.0)
    matrix = transport_matrix(scene, (17, 31))
    seen = matrix.argmax(1).reshape(17, 31)
    assert seen[8, 15] == 8 * 31 + 15
    assert seen[10, 18] == 12 * 31 + 21
    assert seen[5, 10] == 2 * 31 + 5


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"distance": 0}, "distance 0 must be positive"),
        ({"falloff": -1}, "falloff -1 is negative"),
        ({"diffuse": 0.9, "glossy": 0.2}, "have a sum above 1"),
    ],
)
def test_impossible_scenes_are_refused(wrong, message):
    """Fails where an impossible scene gives a matrix."""
    with pytest.raises(InputError, match=message):
        transport_matrix(Scene(**wrong), (2, 2))


def test_the_filter_inverts_a_scene_without_noise(monkeypatch, rng):
    """Fails where the filter has another scale than the view, or a wrong offset."""
    monkeypatch.setattr(wall, "NOISE", 1e-7)
    scene, shape = Scene(distance=0.1), (3, 5)
    matrix, offset = wall.screen_filter(scene, shape, 1.0)
    screen, light = rng.random(15), transport_matrix(scene, shape)
    seen = light @ screen / (light @ np.ones(15)).mean()
    np.testing.assert_allclose(matrix @ seen + offset, screen, atol=2e-3)


def test_the_filter_leaves_the_mean_where_it_sees_nothing(monkeypatch):
    """Fails where the answer to noise alone is not the mean screen."""
    monkeypatch.setattr(wall, "NOISE", 1e4)
    matrix, offset = wall.screen_filter(Scene(), (3, 5), 0.7)
    np.testing.assert_allclose(matrix @ np.ones(15) + offset, wall.MEAN, atol=1e-4)


def test_no_other_linear_filter_errs_less(rng):
    """Against least squares on 40,000 screens of the stated statistics.

    Fails where a covariance or the vignetting is left out of the filter.
    """
    scene, shape = Scene(), (4, 7)
    matrix, offset = wall.screen_filter(scene, shape, 0.7)
    cells = grid(7 / 4, 1.0, shape)
    apart = np.linalg.norm(cells[:, None] - cells[None], axis=-1)
    covariance = wall.VARIANCE * np.exp(-apart / wall.REACH)
    screens = wall.MEAN + rng.multivariate_normal(np.zeros(28), covariance, 40000)
    y, x = np.mgrid[-0.75:0.75:4j, -6 / 7 : 6 / 7 : 7j]
    light = transport_matrix(scene, shape)
    light = (1 - 0.15 * (x**2 + y**2)).reshape(-1, 1) * light / light.sum(1).mean()
    seen = screens @ light.T + wall.NOISE * rng.standard_normal(screens.shape)
    known = np.column_stack([seen, np.ones(len(seen))])
    best = known @ np.linalg.lstsq(known, screens, rcond=None)[0]
    ours = seen @ matrix.T + offset
    errors = [((answer - screens) ** 2).mean() for answer in (ours, best)]
    assert errors[0] < 1.005 * errors[1]
    assert errors[0] < 0.2 * wall.VARIANCE
