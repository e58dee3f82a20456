"""Light from a screen on a wall that faces it, as seen by a camera next to the screen.

    screen's radiance -> [Lambert, inverse squares, fall-off] -> wall -> [diffuse, glossy] -> camera

Screen and wall are parallel planes; lengths are in metres. The camera's image is linear in the
screen's radiance, so that one matrix describes a scene.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..errors import InputError
from .arrays import Array

# What `screen_filter` assumes: mean and variance of screens (white is one), the length over which
# they are correlated (in screen heights), and the standard deviation of the noise.
MEAN, VARIANCE, REACH, NOISE = 0.3, 0.06, 2.5, 0.02
# Rows and columns of the first estimate of the screen; a wall shows no finer detail.
SCREEN_CELLS = (18, 32)


class Scene(NamedTuple):
    """Positions of screen, wall and camera, and how screen and wall emit light.

    Parameters
    ----------
    width, height : float
        Of the screen, in m.
    distance : float
        Between wall and screen, in m.
    falloff : float
        Of the panel: its radiance is proportional to cos^falloff of the angle to its normal; 0 is
        a Lambertian panel.
    diffuse, glossy : float
        Shares of the light that the wall reflects in each lobe; their sum is 0..1.
    sharpness : float
        Exponent of the glossy lobe (Phong); 0 is the broadest lobe.
    camera : (float, float)
        Position in the plane of the screen: right of and above the middle of the screen, in m.
    view : float
        Width of the part of the wall that the camera sees, in screen widths. Its middle is
        opposite the middle of the screen, and its aspect ratio is that of the screen.
    """

    width: float = 0.33
    height: float = 0.186
    distance: float = 0.30
    falloff: float = 0.5
    diffuse: float = 0.6
    glossy: float = 0.2
    sharpness: float = 20.0
    camera: tuple[float, float] = (0.0, 0.11)
    view: float = 1.6

    def check(self) -> Scene:
        """Check that the scene is possible, and return it.

        Raises
        ------
        InputError
            If a length is not positive, another value is negative, or the wall reflects more light
            than it receives.
        """
        for name in ("width", "height", "distance", "view"):
            if not getattr(self, name) > 0:
                raise InputError(f"the scene's {name} {getattr(self, name)} must be positive")
        for name in ("falloff", "sharpness", "diffuse", "glossy"):
            if not getattr(self, name) >= 0:
                raise InputError(f"the scene's {name} {getattr(self, name)} is negative")
        if self.diffuse + self.glossy > 1:
            raise InputError(
                f"the shares of reflected light, diffuse {self.diffuse} and glossy {self.glossy}, "
                "have a sum above 1; give shares whose sum is at most 1"
            )
        return self


def grid(width: float, height: float, shape: Sequence[int]) -> np.ndarray:
    """Centres of the cells of a rectangle around the origin.

    Parameters
    ----------
    width, height : float
        In m.
    shape : (int, int)
        Rows and columns.

    Returns
    -------
    numpy.ndarray
        (rows * columns, 2): right and up, in m, from the top row to the bottom row.
    """
    rows, columns = shape
    y = (0.5 - (np.arange(rows) + 0.5) / rows) * height
    x = ((np.arange(columns) + 0.5) / columns - 0.5) * width
    return np.stack(np.broadcast_arrays(x[None], y[:, None]), axis=-1).reshape(-1, 2)


def irradiance_matrix(
    wall: np.ndarray, screen: np.ndarray, area: float, distance: float, falloff: float
) -> np.ndarray:
    """Irradiance of points of the wall by each cell of the screen at a radiance of one.

    Parameters
    ----------
    wall, screen : (points, 2) array
        Right and up, in m.
    area : float
        Of a cell of the screen, in m^2.
    distance, falloff : float
        See `Scene`.

    Returns
    -------
    numpy.ndarray
        (wall points, screen points): area cos^(1 + falloff) cos / r^2, where both cosines are
        distance / r.
    """
    apart = ((wall[:, None] - screen[None]) ** 2).sum(-1) + distance**2
    return area * distance ** (2 + falloff) * apart ** (-2 - falloff / 2)


def transport_matrix(
    scene: Scene, shape: Sequence[int], view_shape: Sequence[int] | None = None
) -> np.ndarray:
    """Light that the camera sees on the wall from each cell of the screen.

    Parameters
    ----------
    scene : Scene
    shape : (int, int)
        Rows and columns of cells of the screen.
    view_shape : (int, int), optional
        Rows and columns of pixels of the camera; `shape` by default.

    Returns
    -------
    numpy.ndarray
        (camera pixels, screen cells), float32. Radiance of the wall towards the camera for a
        screen of radiance one. Pixels are ordered as the camera sees the wall, not mirrored.

    Notes
    -----
    The radiance is the sum over the screen of brdf * irradiance, with brdf = diffuse / pi + glossy
    (sharpness + 1) / (2 pi) cos^sharpness(a) / cos(b). Here a is the angle between the incident
    light and the mirrored direction to the camera, and b the angle between the incident light and
    the normal of the wall. At normal incidence, the glossy lobe reflects the share `glossy`.
    """
    scene.check()
    view_shape = view_shape or shape
    screen = grid(scene.width, scene.height, shape)
    wall = grid(scene.view * scene.width, scene.view * scene.height, view_shape)
    area = scene.width * scene.height / (shape[0] * shape[1])
    irradiance = irradiance_matrix(wall, screen, area, scene.distance, scene.falloff)
    brdf = np.full_like(irradiance, scene.diffuse / np.pi)
    if scene.glossy > 0:
        # Here the mirrored ray to the camera meets the plane of the screen.
        mirrored = 2 * wall - np.asarray(scene.camera)
        to_mirror, to_screen = mirrored - wall, screen[None] - wall[:, None]
        d2 = scene.distance**2
        dot = (to_screen * to_mirror[:, None]).sum(-1) + d2
        lengths = (to_screen**2).sum(-1) + d2
        cosine = dot / np.sqrt(lengths * ((to_mirror**2).sum(-1) + d2)[:, None])
        lobe = np.maximum(cosine, 0.0) ** scene.sharpness
        normal = scene.distance / np.sqrt(lengths)
        brdf += scene.glossy * (scene.sharpness + 1) / (2 * np.pi) * lobe / normal
    return (brdf * irradiance).astype(np.float32)


def vignetting(y: Array, x: Array, corner: Array) -> Array:
    """Brightness at y, x, each -1..1 over the view: 1 in the middle, `corner` at corners."""
    return 1 - (1 - corner) / 2 * (y**2 + x**2)


def screen_filter(
    scene: Scene, shape: Sequence[int], corner: float
) -> tuple[np.ndarray, np.ndarray]:
    """Wiener filter from the camera's view of the wall to the screen.

    Parameters
    ----------
    scene : Scene
    shape : (int, int)
        Rows and columns, both of cells of the screen and of pixels of the camera.
    corner : float
        Brightness at the corners of the view, relative to its middle; see `vignetting`.

    Returns
    -------
    matrix : numpy.ndarray
        (screen cells, camera pixels), float32.
    offset : numpy.ndarray
        (screen cells,), float32. The screen is matrix @ seen + offset, where a white screen is
        one. Its view without vignetting has a mean of one.

    Notes
    -----
    The linear estimate of least mean squared error (Kay, Estimation Theory, 12.5) of screens with
    mean MEAN and covariance VARIANCE exp(-distance / REACH), seen with noise of standard deviation
    NOISE. The noise is stronger than that of a sensor, to allow for errors of the camera position.
    """
    transport = transport_matrix(scene, shape)
    rows, columns = shape
    y, x = (_middles(n) for n in shape)
    seen = vignetting(y[:, None], x, corner).reshape(-1, 1) * transport
    seen /= transport.sum(1).mean()
    cells = grid(columns / rows, 1.0, shape)
    apart = np.sqrt(((cells[:, None] - cells[None]) ** 2).sum(-1))
    covariance = VARIANCE * np.exp(-apart / REACH)
    measured = seen @ covariance @ seen.T + NOISE**2 * np.eye(len(seen))
    matrix = np.linalg.solve(measured, seen @ covariance).T
    offset = MEAN - matrix @ seen.sum(1) * MEAN
    return matrix.astype(np.float32), offset.astype(np.float32)


def _middles(n: int) -> np.ndarray:
    return (np.arange(n) + 0.5) * 2 / n - 1
