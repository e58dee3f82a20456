"""Light of a screen that falls on a wall facing it, as a camera beside the screen sees the wall.

    screen's radiance -> [Lambert, inverse squares, fall-off] -> wall -> [diffuse, glossy] -> camera

Screen and wall are parallel planes; lengths are in metres. Everything is linear in the screen's
radiance, so that a scene is one matrix, the double sum over screen and wall written out.
"""

from typing import NamedTuple

import numpy as np

from ..errors import InputError

# What `screen_filter` takes for granted of screens, white being one and their height the unit of
# length, and of the noise.
MEAN, VARIANCE, REACH, NOISE = 0.3, 0.06, 2.5, 0.02
# Rows and columns over which networks' first layer seeks the screen; a wall shows less.
SCREEN_CELLS = (18, 32)


class Scene(NamedTuple):
    """Where screen, wall and camera are, and how they send light on.

    Parameters
    ----------
    width, height : float
        Of the screen, in m.
    distance : float
        Of the wall from the screen, in m.
    falloff : float
        Of the panel: its radiance goes as cos^falloff of the angle to its normal; 0 is Lambert's.
    diffuse, glossy : float
        Shares of the light that the wall sends back in each lobe, 0..1 together.
    sharpness : float
        Exponent of the glossy lobe (Phong): 0 is as broad as can be.
    camera : (float, float)
        Where the camera is in the screen's plane: right of and above the screen's middle, in m.
    view : float
        Width of what the camera sees of the wall, in screen widths; its middle is opposite the
        screen's, its aspect is the screen's.
    """

    width: float = 0.33
    height: float = 0.186
    distance: float = 0.30
    falloff: float = 0.5
    diffuse: float = 0.6
    glossy: float = 0.2
    sharpness: float = 20.0
    camera: tuple = (0.0, 0.11)
    view: float = 1.6

    def check(self):
        """Refuse what cannot be.

        Raises
        ------
        InputError
            If a length is not positive, or the wall sends back more light than it gets.
        """
        for name in ("width", "height", "distance", "view"):
            if not getattr(self, name) > 0:
                raise InputError(f"the scene's {name} {getattr(self, name)} must be positive")
        for name in ("falloff", "sharpness", "diffuse", "glossy"):
            if not getattr(self, name) >= 0:
                raise InputError(f"the scene's {name} {getattr(self, name)} is negative")
        if self.diffuse + self.glossy > 1:
            raise InputError(
                f"the wall sends back {self.diffuse} and {self.glossy} of its light, more than it "
                "gets; give shares whose sum is at most 1"
            )
        return self


def grid(width, height, shape):
    """Middles of the cells of a rectangle around the origin.

    Parameters
    ----------
    width, height : float
        In m.
    shape : (int, int)
        Rows and columns.

    Returns
    -------
    numpy.ndarray
        (rows * columns, 2): right and up, the first row uppermost.
    """
    rows, columns = shape
    y = (0.5 - (np.arange(rows) + 0.5) / rows) * height
    x = ((np.arange(columns) + 0.5) / columns - 0.5) * width
    return np.stack(np.broadcast_arrays(x[None], y[:, None]), axis=-1).reshape(-1, 2)


def irradiance_matrix(wall, screen, area, distance, falloff):
    """Irradiance of points of the wall by cells of the screen of radiance one.

    Parameters
    ----------
    wall, screen : (points, 2) array
        Right and up, in m.
    area : float
        Of a screen's cell, in m^2.
    distance, falloff : float
        See `Scene`.

    Returns
    -------
    numpy.ndarray
        (wall points, screen points): area cos^(1 + falloff) cos / r^2, both cosines d / r.
    """
    apart = ((wall[:, None] - screen[None]) ** 2).sum(-1) + distance**2
    return area * distance ** (2 + falloff) * apart ** (-2 - falloff / 2)


def transport_matrix(scene, shape, view_shape=None):
    """What the camera sees of the wall, of each cell of the screen.

    Parameters
    ----------
    scene : Scene
    shape : (int, int)
        Rows and columns of the screen's cells.
    view_shape : (int, int), optional
        Of the camera's pixels; the screen's by default.

    Returns
    -------
    numpy.ndarray
        (camera pixels, screen cells), float32. The wall's radiance towards the camera where the
        screen's radiance is one; as the camera sees the wall, unmirrored.

    Notes
    -----
    Radiance = sum over the screen of brdf * irradiance, brdf = diffuse / pi + glossy
    (sharpness + 1) / (2 pi) cos^sharpness(a) / cos(b), a the angle between the light and the mirror
    image of the way to the camera, b that between the light and the wall's normal: a lobe that
    sends back the share `glossy` of light that falls on the wall at right angles.
    """
    scene.check()
    view_shape = view_shape or shape
    screen = grid(scene.width, scene.height, shape)
    wall = grid(scene.view * scene.width, scene.view * scene.height, view_shape)
    area = scene.width * scene.height / (shape[0] * shape[1])
    irradiance = irradiance_matrix(wall, screen, area, scene.distance, scene.falloff)
    brdf = np.full_like(irradiance, scene.diffuse / np.pi)
    if scene.glossy > 0:
        # The way to the camera, mirrored at the wall, meets the screen's plane here.
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


def vignetting(y, x, corner):
    """The share of the light that passes at y, x, each -1..1 over the view; 1 in its middle."""
    return 1 - (1 - corner) / 2 * (y**2 + x**2)


def screen_filter(scene, shape, corner):
    """Wiener's filter from what a camera sees of the wall to the screen.

    Parameters
    ----------
    scene : Scene
    shape : (int, int)
        Rows and columns of the screen's cells, and of the camera's pixels.
    corner : float
        Light at the corner of the view, that in its middle being one.

    Returns
    -------
    matrix : numpy.ndarray
        (screen cells, camera pixels), float32.
    offset : numpy.ndarray
        (screen cells,), float32: the screen is matrix @ seen + offset, where a white screen is
        one, and is seen as one in the mean over a view without vignetting.

    Notes
    -----
    The linear estimate of least mean squared error (Kay, Estimation Theory, 12.5) of screens whose
    brightness is MEAN and varies as VARIANCE exp(-distance / REACH), seen with noise of deviation
    NOISE. More noise than a sensor has stands for a camera that is not quite where it is said.
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


def _middles(n):
    return (np.arange(n) + 0.5) * 2 / n - 1
