"""Specimens of the electron microscope and their noise-free ADF images, drawn by seed.

    atoms of a crystal, cut and rotated -> projected scattering -> probe and source -> image

Specimens are made inside tf.data, and each depends only on its stateless seed, like a picture of
`pictures`. Lengths are in Angstrom.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from ..physics import stem
from ..physics.arrays import Array
from ..physics.electrons import electron_wavelength
from . import columns, scenes
from .crystals import CRYSTALS, LAYERS, atoms_within, cell_vectors
from .draws import Ranges, between
from .pictures import PicturesOfSplits

# Percentage of specimens in each family.
FAMILIES = {
    "columns": 9, "lattices": 22, "clusters": 20, "foils": 14, "lone_atoms": 8, "particles": 9,
    "islands": 8, "facets": 5, "texture": 4, "fringes": 4, "pictures": 4, "blank": 6,
}  # fmt: skip
# Ranges of the values that differ between instruments and specimens.
RANGES = {
    "pixel_size": (0.05, 0.45),
    "energy": (60e3, 300e3),  # eV
    "semi_angle": (0.018, 0.032),  # rad, of a corrected lens
    "defocus": (-60.0, 60.0),
    "spherical_aberration": (-2e4, 2e4),
    "uncorrected_aberration": (0.5e7, 1.3e7),
    "source": (0.15, 0.45),  # standard deviation; at least 0.6 pixels
    "exponent": (1.5, 1.9),  # of the atomic number
    "radius": (3.0, 28.0),  # of a cluster
    "foil": (4.0, 60.0),  # thickness
    "support": (5.0, 120.0),  # thickness
    "lone_atoms": (0.003, 0.06),  # per square Angstrom
    "displacement": (0.03, 0.12),  # of each atom from its site, standard deviation
    "vacancies": (0.0, 0.06),  # share of the atoms
    "particle": (0.03, 0.25),  # radius, as a share of the field
    **scenes.SCENES,
}
# Share of uncorrected lenses, and the pixel size up to which there are none: with finer pixels
# their wide probes would reach beyond the margin.
UNCORRECTED, FINEST_UNCORRECTED = 0.25, 0.1
# Largest random shift of a foil's lattice; its atoms must still cover the corners.
OFFSET = 3.0
# Largest radius of a crystal: fields wider than twice this show its rim.
REACH = 50.0
# Width of the margin around the field, in pixels: probes in it reach into the field.
MARGIN = 32
MOST_LONE_ATOMS = 256
MOST_PARTICLES = 16
LONE_ELEMENTS = (29, 46, 47, 57, 74, 77, 78, 79, 92)
# Viewing directions, in cell vectors.
ZONES = ((0, 0, 1), (1, 1, 0), (1, 1, 1), (1, 1, 2), (0, 1, 3), (1, 0, 0))
# Faces of a cluster: the six {100} and the eight {111} planes.
_FACES = [v for v in np.ndindex(3, 3, 3) if np.abs(np.array(v) - 1).sum() in (1, 3)]
FACES = np.array([(np.array(v) - 1) / np.linalg.norm(np.array(v) - 1) for v in _FACES], np.float32)
CARBON = (6, 0.1)  # atomic number, atoms per cubic Angstrom


class Specimens:
    """Noise-free ADF images of one split.

    Parameters
    ----------
    families : dict, optional
        Relative frequency of each family, by its name in `FAMILIES`, which is the default.
    ranges : dict of str to (float, float), optional
        Ranges of the values that differ between instruments and specimens; `RANGES` by default.
    pictures : PicturesOfSplits, optional
        Where the family `pictures` takes its photographs from; the bundled ones by default.

    Notes
    -----
    `columns` are the set of the paper's authors: Gaussian columns near a jittered grid; only they
    never have the grain of a film. `lattices` are Gaussian columns on any plane lattice, for
    crystals that are not in `CRYSTALS`.
    `clusters` are faceted crystals of a few to some thousand atoms. `foils` are crystals that fill
    the field; some have an edge or a grain boundary. `lone_atoms` are single atoms and dimers.
    These three families lie on an amorphous support in some images. `particles` are smooth grains
    at a low magnification. `blank` is empty.
    """

    def __init__(
        self,
        families: Mapping[str, float] | None = None,
        ranges: Ranges | None = None,
        pictures: PicturesOfSplits | None = None,
    ) -> None:
        self.pictures = pictures or PicturesOfSplits()
        self.families = dict(families or FAMILIES)
        self.ranges = dict(ranges or RANGES)
        tables = [atoms_within(name, REACH) for name in CRYSTALS]
        counts = [len(elements) for _, elements in tables]
        # Unit vectors of the viewing directions of each crystal, in the frame of its atoms.
        zones = [np.array(ZONES) @ cell_vectors(crystal) for crystal in CRYSTALS.values()]
        zones = [z / np.linalg.norm(z, axis=1, keepdims=True) for z in zones]
        layers = [crystal.structure in LAYERS for crystal in CRYSTALS.values()]
        with tf.init_scope():  # functions of tf.data capture these tensors, not copies
            self._positions = tf.constant(np.concatenate([p for p, _ in tables]))
            self._elements = tf.constant(np.concatenate([e for _, e in tables]))
            distances = np.concatenate([np.linalg.norm(p, axis=1) for p, _ in tables])
            self._distances = tf.constant(distances.astype(np.float32))
            self._first = tf.constant(np.cumsum([0, *counts]).astype(np.int32))
            self._zones = tf.constant(np.array(zones, np.float32))
            self._layers = tf.constant(layers)

    def draw(self, seed: Array, size: int, split: str = "train") -> Array:
        """One image.

        Parameters
        ----------
        seed : (2,) int tensor
        size : int
            Height and width in pixels.
        split : {'train', 'test'}
            Of the photographs.

        Returns
        -------
        tf.Tensor
            (size, size), float32, non-negative, with a maximum of one.
        """
        seeds = tf.unstack(tf.random.split(seed, 2))
        names = list(self.families)
        limits = np.cumsum([self.families[name] for name in names], dtype=np.float64)
        u = tf.random.stateless_uniform((), seeds[0])
        family = tf.searchsorted(np.float32(limits / limits[-1]), u[None], side="right")[0]
        family = tf.minimum(family, len(names) - 1)
        draws = [
            self.pictures[split].draw if name == "pictures" else getattr(self, f"_{name}")
            for name in names
        ]
        branches = [functools.partial(draw, seeds[1], size) for draw in draws]
        picture = tf.maximum(tf.switch_case(family, branches), 0.0)
        grainy = tf.gather([scenes.GRAINY * (name != "columns") for name in names], family)
        picture = scenes.grainy(self.ranges, tf.random.fold_in(seed, 2), picture, grainy)
        highest = tf.reduce_max(picture)
        # A specimen without any atom in the field becomes a blank one.
        return tf.where(highest > 1e-6, picture / tf.maximum(highest, 1e-6), tf.ones_like(picture))

    def _blank(self, seed: Array, size: int) -> Array:
        return tf.ones((size, size))

    def _columns(self, seed: Array, size: int) -> Array:
        return columns.jittered(seed, size)

    def _lattices(self, seed: Array, size: int) -> Array:
        return columns.lattice(seed, size)

    def _clusters(self, seed: Array, size: int) -> Array:
        """One to three faceted clusters; some have single atoms around them, or a support."""
        seeds = tf.unstack(tf.random.split(seed, 8))
        shape, pixel_size = (size + 2 * MARGIN,) * 2, _pixel_size(self.ranges, seeds[0])
        u = tf.random.stateless_uniform((2,), seeds[1])
        projected = tf.zeros(shape)
        for i in range(3):
            projected += tf.cond(
                u[0] < (1.0, 0.4, 0.15)[i],
                lambda i=i: self._cluster(seeds[2 + i], shape, pixel_size),
                lambda: tf.zeros(shape),
            )
        projected += tf.cond(
            u[1] < 0.5,
            lambda: _lone_atoms(self.ranges, seeds[5], shape, pixel_size),
            lambda: tf.zeros(shape),
        )
        projected += _support(self.ranges, seeds[6], shape, pixel_size)
        return _image(self.ranges, seeds[7], projected, pixel_size)

    def _foils(self, seed: Array, size: int) -> Array:
        """A crystal that fills the field, with an edge or a grain boundary in some."""
        seeds = tf.unstack(tf.random.split(seed, 6))
        shape, pixel_size = (size + 2 * MARGIN,) * 2, _pixel_size(self.ranges, seeds[0])
        kind, turn, thickness = tf.unstack(tf.random.stateless_uniform((3,), seeds[1]))
        thickness = between(thickness, *self.ranges["foil"], logarithmic=True)
        corner = pixel_size * shape[0] * 0.71 + OFFSET
        reach = tf.minimum(tf.sqrt(corner**2 + thickness**2 / 4), REACH)
        # The place of the border; half of the foils have none in the field.
        place = tf.where(kind < 0.5, 1e3, (kind - 0.75) * 1.2 * pixel_size * size)
        normal = tf.stack([tf.sin(2 * math.pi * turn), tf.cos(2 * math.pi * turn)])

        def grain(seed: Array, side: float) -> Array:
            positions, elements = self._crystal(seed, reach)
            away = tf.random.stateless_uniform((1, 2), tf.random.fold_in(seed, 2), -1.0)
            positions += tf.pad(OFFSET * away, ((0, 0), (0, 1)))
            across = tf.linalg.matvec(positions[:, :2], normal)
            kept = (tf.abs(positions[:, 2]) < thickness / 2) & (side * across < side * place)
            positions, weights = _disordered(self.ranges, seed, positions, elements, kept)
            return _projected(positions, weights, shape, pixel_size)

        projected = grain(seeds[2], 1.0)
        projected += tf.cond(
            (kind > 0.5) & (kind < 0.75), lambda: grain(seeds[3], -1.0), lambda: tf.zeros(shape)
        )
        projected += _support(self.ranges, seeds[4], shape, pixel_size)
        return _image(self.ranges, seeds[5], projected, pixel_size)

    def _lone_atoms(self, seed: Array, size: int) -> Array:
        """Single atoms and dimers, with or without a support."""
        seeds = tf.unstack(tf.random.split(seed, 4))
        shape, pixel_size = (size + 2 * MARGIN,) * 2, _pixel_size(self.ranges, seeds[0])
        projected = _lone_atoms(self.ranges, seeds[1], shape, pixel_size)
        projected += _support(self.ranges, seeds[2], shape, pixel_size)
        return _image(self.ranges, seeds[3], projected, pixel_size)

    def _particles(self, seed: Array, size: int) -> Array:
        """Ellipsoids on an uneven background, at a magnification that does not resolve atoms."""
        seeds = tf.unstack(tf.random.split(seed, 2))
        count, ground, slope, turn = tf.unstack(tf.random.stateless_uniform((4,), seeds[0]))
        u = tf.random.stateless_uniform((MOST_PARTICLES, 6), seeds[1])[:, :, None, None]
        y, x = np.mgrid[: 1 : size * 1j, : 1 : size * 1j].astype(np.float32)
        radius = between(u[:, 0], *self.ranges["particle"], logarithmic=True)
        angle, stretch = math.pi * u[:, 1], between(u[:, 2], 1.0, 1.8)
        dy, dx = y - (1.3 * u[:, 3] - 0.15), x - (1.3 * u[:, 4] - 0.15)
        along = dy * tf.sin(angle) + dx * tf.cos(angle)
        across = (dy * tf.cos(angle) - dx * tf.sin(angle)) * stretch
        # The projected thickness of a ball with a softened rim.
        inside = 1.0 - (along**2 + across**2) / radius**2
        height = radius * tf.sqrt(0.1 * tf.nn.softplus(10.0 * inside)) * between(u[:, 5], 0.5, 1.0)
        present = tf.range(MOST_PARTICLES, dtype=tf.float32) < 1.0 + count * MOST_PARTICLES
        picture = tf.reduce_sum(tf.where(present[:, None, None], height, 0.0), axis=0)
        tilt = y * tf.sin(2 * math.pi * turn) + x * tf.cos(2 * math.pi * turn)
        return picture + 0.1 * ground * (1.0 + slope * tilt)

    def _islands(self, seed: Array, size: int) -> Array:
        return scenes.islands(self.ranges, seed, size)

    def _facets(self, seed: Array, size: int) -> Array:
        return scenes.facets(self.ranges, seed, size)

    def _texture(self, seed: Array, size: int) -> Array:
        return scenes.texture(self.ranges, seed, size)

    def _fringes(self, seed: Array, size: int) -> Array:
        return scenes.fringes(self.ranges, seed, size)

    def _crystal(self, seed: Array, reach: Array) -> tuple[Array, Array]:
        """Rotated atoms of a random crystal within a radius of its centre, and their elements."""
        seeds = tf.unstack(tf.random.split(seed, 2))
        u = tf.random.stateless_uniform((3,), seeds[0])
        kind = tf.cast(u[0] * len(CRYSTALS), tf.int32)
        start, stop = self._first[kind], self._first[kind + 1]
        stop = start + tf.searchsorted(self._distances[start:stop], reach[None])[0]
        # Seen along a zone axis, slightly off it, or in any direction; layers nearly face-on.
        zone = self._zones[kind, tf.cast(u[1] * len(ZONES), tf.int32)]
        zone = tf.where(self._layers[kind], self._zones[kind, 0], zone)
        tilt = tf.where(u[2] < 0.5, 0.0, tf.where(u[2] < 0.75, 0.03, 10.0))
        tilt = tf.where(self._layers[kind], tf.minimum(tilt, 0.1), tilt)
        axes = tf.random.stateless_normal((2, 3), seeds[1])
        turned = tf.matmul(self._positions[start:stop], _frame(zone + tilt * axes[0], axes[1]))
        return turned, self._elements[start:stop]

    def _cluster(self, seed: Array, shape: tuple[int, int], pixel_size: Array) -> Array:
        """One crystal within random faces, cut to a random height, at a random place."""
        seeds = tf.unstack(tf.random.split(seed, 5))
        u = tf.random.stateless_uniform((6,), seeds[0])
        field = pixel_size * shape[0]
        largest = tf.clip_by_value(0.6 * field, 6.0, self.ranges["radius"][1])
        radius = self.ranges["radius"][0] * (largest / self.ranges["radius"][0]) ** u[0]
        positions, elements = self._crystal(seeds[1], 1.4 * radius)
        # The faces are not aligned with the lattice, which hardly matters here.
        frame = _frame(*tf.unstack(tf.random.stateless_normal((2, 3), seeds[2])))
        distances = radius * (1.0 + 0.2 * tf.random.stateless_uniform((len(FACES),), seeds[3], -1))
        beyond = tf.reduce_max(tf.matmul(positions, frame @ FACES.T) - distances, axis=1)
        # Some further atoms lie on the surface.
        chance = tf.random.stateless_uniform(tf.shape(elements), seeds[4])
        kept = (beyond < 0) | ((beyond < 2.5) & (chance < 0.25 * u[1]))
        kept &= tf.abs(positions[:, 2]) < radius * between(u[2], 0.15, 1.5)
        positions, weights = _disordered(self.ranges, seeds[1], positions, elements, kept)
        centre = (u[3:5] - 0.5) * 0.8 * field
        return _projected(positions + centre, weights, shape, pixel_size)


def _disordered(
    ranges: Ranges, seed: Array, positions: Array, elements: Array, kept: Array
) -> tuple[Array, Array]:
    """Displace the kept atoms and make vacancies: (atoms, 2) positions, (atoms,) scattering."""
    seeds = tf.unstack(tf.random.split(tf.random.fold_in(seed, 1), 3))
    positions, elements = tf.boolean_mask(positions[:, :2], kept), tf.boolean_mask(elements, kept)
    count = tf.shape(elements)[0]
    u = tf.random.stateless_uniform((3,), seeds[0])
    moved = tf.random.stateless_normal((count, 2), seeds[1])
    positions += between(u[0], *ranges["displacement"]) * moved
    there = tf.random.stateless_uniform((count,), seeds[2]) > between(u[1], *ranges["vacancies"])
    # One power for each atomic number, not for each atom: powers are slow.
    powers = stem.scattering(tf.range(100.0), between(u[2], *ranges["exponent"]))
    weights = tf.gather(powers, tf.cast(elements, tf.int32))
    return positions, tf.where(there, weights, 0.0)


def _image(ranges: Ranges, seed: Array, projected: Array, pixel_size: Array) -> Array:
    """The image of projected scattering by a random lens, without the margins."""
    u = tf.random.stateless_uniform((8,), seed)
    energy = between(u[0], *ranges["energy"], logarithmic=True)
    wavelength = electron_wavelength(energy)
    plain = (u[1] < UNCORRECTED) & (pixel_size > FINEST_UNCORRECTED)
    # An uncorrected lens is used near its optimum: Scherzer's rules for angle and defocus.
    strong = between(u[2], *ranges["uncorrected_aberration"])
    best_angle = 1.3 * (wavelength / strong) ** 0.25
    best_defocus = -0.87 * tf.sqrt(strong * wavelength)
    aberration = tf.where(plain, strong, between(u[2], *ranges["spherical_aberration"]))
    angle = tf.where(
        plain, best_angle * between(u[3], 0.8, 1.0), between(u[3], *ranges["semi_angle"])
    )
    defocus = tf.where(
        plain, best_defocus * between(u[4], 0.8, 1.2), between(u[4], *ranges["defocus"])
    )
    fy, fx = stem.frequencies(projected.shape, pixel_size)
    transfer = stem.probe_transfer(tf.sqrt(fy**2 + fx**2), energy, angle, defocus, aberration)
    # Vibration stretches the image of the source, differently down and across. With a source below
    # 0.6 pixels, the image would contain frequencies that its pixels cannot resolve.
    source = tf.maximum(between(u[5], *ranges["source"]), 0.6 * pixel_size) * (1.0 + 0.2 * u[6:8])
    picture = stem.image(projected, pixel_size, transfer, tf.unstack(source))
    return picture[MARGIN:-MARGIN, MARGIN:-MARGIN]


def _lone_atoms(ranges: Ranges, seed: Array, shape: tuple[int, int], pixel_size: Array) -> Array:
    """Single atoms and dimers of one or two elements, projected."""
    seeds = tf.unstack(tf.random.split(seed, 4))
    density, mixed, first, second = tf.unstack(tf.random.stateless_uniform((4,), seeds[0]))
    area = (pixel_size * shape[0]) ** 2
    count = 1.0 + area * between(density, *ranges["lone_atoms"], logarithmic=True)
    u = tf.random.stateless_uniform((MOST_LONE_ATOMS, 4), seeds[1])
    places = (u[:, :2] - 0.5) * pixel_size * shape[0]
    present = tf.range(MOST_LONE_ATOMS, dtype=tf.float32) < count
    kinds = tf.cast(tf.stack([first, second]) * len(LONE_ELEMENTS), tf.int32)
    elements = tf.gather(tf.constant(LONE_ELEMENTS, tf.float32), kinds)
    chosen = tf.where((u[:, 2] < 0.3) & (mixed < 0.3), elements[1], elements[0])
    weights = tf.where(present, stem.scattering(chosen), 0.0)
    # A quarter of the atoms have a partner at a distance of 2.3 to 3.2 A, in any direction.
    away = tf.random.stateless_normal((MOST_LONE_ATOMS, 3), seeds[2])
    away *= between(u[:, 3:], 2.3, 3.2) / tf.norm(away, axis=1, keepdims=True)
    paired = tf.random.stateless_uniform((MOST_LONE_ATOMS,), seeds[3]) < 0.25
    return _projected(
        tf.concat([places, places + away[:, :2]], axis=0),
        tf.concat([weights, tf.where(paired, weights, 0.0)], axis=0),
        shape,
        pixel_size,
    )


def _support(ranges: Ranges, seed: Array, shape: tuple[int, int], pixel_size: Array) -> Array:
    """Amorphous carbon of uneven thickness, with the edge of a hole in some; a third have none.

    The number of atoms in a pixel is Poisson distributed, as in a gas; the normal limit is used.
    """
    seeds = tf.unstack(tf.random.split(seed, 3))
    present, thickness, edge, turn = tf.unstack(tf.random.stateless_uniform((4,), seeds[0]))

    def carbon() -> Array:
        y, x = np.mgrid[: 1 : shape[0] * 1j, : 1 : shape[1] * 1j].astype(np.float32) - 0.5
        slopes = tf.random.stateless_normal((4,), seeds[1])
        relief = slopes[0] * y + slopes[1] * x + slopes[2] * x * y + slopes[3] * (x**2 + y**2)
        height = between(thickness, *ranges["support"], logarithmic=True)
        height *= tf.maximum(1.0 + 0.5 * relief, 0.0)
        # The soft edge of a hole, through a random point near the middle.
        across = y * tf.sin(2 * math.pi * turn) + x * tf.cos(2 * math.pi * turn)
        hole = tf.sigmoid((across - (edge - 0.1) * 4.0) * 20.0)
        height *= tf.where(edge < 0.2, hole, 1.0)
        element, density = CARBON
        atoms = height * density * pixel_size**2
        atoms += tf.sqrt(atoms) * tf.random.stateless_normal(shape, seeds[2])
        return atoms * stem.scattering(float(element))

    return tf.cond(present < 0.65, carbon, lambda: tf.zeros(shape))


def _projected(places: Array, weights: Array, shape: tuple[int, int], pixel_size: Array) -> Array:
    """Project points given in Angstrom from the middle of the field."""
    return stem.project(places / pixel_size + (shape[0] - 1) / 2, weights, shape)


def _pixel_size(ranges: Ranges, seed: Array) -> Array:
    return between(tf.random.stateless_uniform((), seed), *ranges["pixel_size"], logarithmic=True)


def _frame(direction: Array, helper: Array) -> Array:
    """A rotation: third column along a direction, first column in the plane of it and `helper`."""
    third = direction / tf.norm(direction)
    first = helper - tf.reduce_sum(helper * third) * third
    first /= tf.norm(first)
    return tf.stack([first, tf.linalg.cross(third, first), third], axis=1)
