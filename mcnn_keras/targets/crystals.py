"""Crystal structures as lists of atoms, to cut specimens from. NumPy; lengths in Angstrom."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from ..errors import InputError

# Fractional coordinates of an atom in a cell.
Site = tuple[float, float, float]
_FACES: tuple[Site, ...] = ((0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0))
_QUARTERS: tuple[Site, ...] = tuple((x + 0.25, y + 0.25, z + 0.25) for x, y, z in _FACES)
_HALVES: tuple[Site, ...] = tuple((x + 0.5, y, z) for x, y, z in _FACES)
_THREE_QUARTERS: tuple[Site, ...] = tuple((x + 0.75, y + 0.75, z + 0.75) for x, y, z in _FACES)
_THIRD = 1 / 3
# The sites of each structure, by the index of their element in `Crystal.elements`.
STRUCTURES: dict[str, dict[int, tuple[Site, ...]]] = {
    "fcc": {0: _FACES},
    "bcc": {0: ((0, 0, 0), (0.5, 0.5, 0.5))},
    "hcp": {0: ((0, 0, 0), (_THIRD, 2 * _THIRD, 0.5))},
    "diamond": {0: _FACES + _QUARTERS},
    "zincblende": {0: _FACES, 1: _QUARTERS},
    "rocksalt": {0: _FACES, 1: _HALVES},
    "fluorite": {0: _FACES, 1: _QUARTERS + _THREE_QUARTERS},
    "perovskite": {
        0: ((0, 0, 0),),
        1: ((0.5, 0.5, 0.5),),
        2: ((0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)),
    },
    "graphene": {0: ((0, 0, 0), (_THIRD, 2 * _THIRD, 0))},
    # A layer of metal between two of chalcogen, 1.6 A above and below, in a cell of 25 A height.
    "dichalcogenide": {
        0: ((0, 0, 0),),
        1: ((_THIRD, 2 * _THIRD, 0.064), (_THIRD, 2 * _THIRD, -0.064)),
    },
}
HEXAGONAL = ("hcp", "graphene", "dichalcogenide")
# These have one layer, whatever the size of the specimen.
LAYERS = ("graphene", "dichalcogenide")


class Crystal(NamedTuple):
    """A crystal: its structure, lattice constants a and c in Angstrom, and atomic numbers."""

    structure: str
    a: float
    c: float
    elements: tuple[int, ...]


CRYSTALS = {
    "Pt": Crystal("fcc", 3.92, 3.92, (78,)),
    "Au": Crystal("fcc", 4.08, 4.08, (79,)),
    "Pd": Crystal("fcc", 3.89, 3.89, (46,)),
    "Cu": Crystal("fcc", 3.61, 3.61, (29,)),
    "Al": Crystal("fcc", 4.05, 4.05, (13,)),
    "W": Crystal("bcc", 3.16, 3.16, (74,)),
    "Fe": Crystal("bcc", 2.87, 2.87, (26,)),
    "Ru": Crystal("hcp", 2.71, 4.28, (44,)),
    "Ti": Crystal("hcp", 2.95, 4.68, (22,)),
    "Si": Crystal("diamond", 5.43, 5.43, (14,)),
    "Ge": Crystal("diamond", 5.66, 5.66, (32,)),
    "GaAs": Crystal("zincblende", 5.65, 5.65, (31, 33)),
    "CdTe": Crystal("zincblende", 6.48, 6.48, (48, 52)),
    "MgO": Crystal("rocksalt", 4.21, 4.21, (12, 8)),
    "PbTe": Crystal("rocksalt", 6.46, 6.46, (82, 52)),
    "CeO2": Crystal("fluorite", 5.41, 5.41, (58, 8)),
    "SrTiO3": Crystal("perovskite", 3.905, 3.905, (38, 22, 8)),
    "BaTiO3": Crystal("perovskite", 4.01, 4.01, (56, 22, 8)),
    "graphene": Crystal("graphene", 2.46, 25.0, (6,)),
    "MoS2": Crystal("dichalcogenide", 3.16, 25.0, (42, 16)),
    "WSe2": Crystal("dichalcogenide", 3.29, 25.0, (74, 34)),
}


def cell_vectors(crystal: Crystal) -> np.ndarray:
    """The rows a, b and c of a crystal's unit cell.

    Parameters
    ----------
    crystal : Crystal

    Returns
    -------
    numpy.ndarray
        (3, 3), float64, in Angstrom.
    """
    if crystal.structure in HEXAGONAL:
        half, height = 0.5 * crystal.a, np.sqrt(0.75) * crystal.a
        return np.array([[crystal.a, 0, 0], [-half, height, 0], [0, 0, crystal.c]])
    return np.diag([crystal.a, crystal.a, crystal.c])


@functools.cache
def atoms_within(name: str, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """All atoms of a crystal within a radius of an atom, the nearest first.

    Parameters
    ----------
    name : str
        One of `CRYSTALS`.
    radius : float
        In Angstrom.

    Returns
    -------
    positions : numpy.ndarray
        (atoms, 3), float32, in Angstrom.
    elements : numpy.ndarray
        (atoms,), float32, atomic numbers.

    Raises
    ------
    InputError
        If the crystal is not known.
    """
    if name not in CRYSTALS:
        raise InputError(f"the crystal {name!r} is not known; choose one of {', '.join(CRYSTALS)}")
    crystal = CRYSTALS[name]
    cell = cell_vectors(crystal)
    # The planes of a lattice direction lie 1 / |reciprocal vector| apart.
    most = np.ceil(radius * np.linalg.norm(np.linalg.inv(cell), axis=0)).astype(int) + 1
    if crystal.structure in LAYERS:
        most[2] = 0
    axes = [np.arange(-n, n + 1) for n in most]
    cells = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    found, kinds = [], []
    for place, sites in STRUCTURES[crystal.structure].items():
        for site in sites:
            atoms = (cells + np.array(site)) @ cell
            atoms = atoms[np.linalg.norm(atoms, axis=1) <= radius]
            found.append(atoms)
            kinds.append(np.full(len(atoms), crystal.elements[place]))
    positions, elements = np.concatenate(found), np.concatenate(kinds)
    order = np.argsort(np.linalg.norm(positions, axis=1), kind="stable")
    return positions[order].astype(np.float32), elements[order].astype(np.float32)
