"""Multislice ADF images of platinum clusters on amorphous carbon by abTEM, to test denoising.

    pip install abtem && python data_tools/multislice_set.py experiments/data/pt_on_carbon.npz

Takes about a quarter of an hour on two cores. The images are independent of this package's
simulator: they contain channelling, the structure of the carbon, and a detector with its real
angles. Size and rotation of the clusters, thickness of the carbon, energy, angle and focus vary.
"""

import sys

import abtem
import ase
import ase.cluster
import numpy as np
from scipy.ndimage import zoom
from scipy.spatial import cKDTree

SIDE, PIXELS, IMAGES = 22.0, 128, 6  # field in Angstrom
CARBON = 0.1  # atoms in a cubic Angstrom

rng = np.random.default_rng(2020)


def carbon(thickness):
    """Random places at least 1.3 Angstrom apart, periodic across the field."""
    count = int(CARBON * SIDE**2 * thickness)
    box = np.array([SIDE, SIDE, thickness])
    places = rng.uniform(0, 1, (1, 3)) * box
    while len(places) < count:
        new = rng.uniform(0, 1, (count, 3)) * box
        for place in new:
            if len(places) == count:
                break
            apart = np.abs(places - place)
            apart[:, :2] = np.minimum(apart[:, :2], SIDE - apart[:, :2])
            if (apart**2).sum(1).min() > 1.3**2:
                places = np.vstack([places, place])
    return places


def clusters():
    """One to three octahedra, cubes and truncated ones, randomly rotated, without overlap."""
    atoms = ase.Atoms()
    for _ in range(rng.integers(1, 4)):
        length = int(rng.integers(3, 6))
        cluster = ase.cluster.Octahedron(
            "Pt", length, cutoff=int(rng.integers(0, (length + 1) // 2))
        )
        if rng.random() < 0.5:
            cluster.rotate(45, "x")  # along a <110> axis
        cluster.rotate(rng.uniform(0, 360), "z")
        cluster.rotate(rng.normal(0, 3), "x")
        cluster.positions -= cluster.positions.mean(0)
        cluster.positions[:, :2] += rng.uniform(4, SIDE - 4, 2)
        cluster.positions[:, 2] -= cluster.positions[:, 2].min()
        if len(atoms) and cKDTree(atoms.positions).query(cluster.positions)[0].min() < 2.7:
            continue
        atoms += cluster
    lone = rng.uniform(1, SIDE - 1, (rng.integers(2, 8), 3)) * (1, 1, 1 / SIDE)
    far = [p for p in lone if cKDTree(atoms.positions).query(p)[0] > 2.7]
    return atoms + ase.Atoms("Pt" * len(far), positions=far)


images = []
for i in range(IMAGES):
    thickness = rng.uniform(10, 40)
    support = carbon(thickness)
    atoms = clusters()
    atoms.positions[:, 2] += thickness + 2.0
    atoms += ase.Atoms("C" * len(support), positions=support)
    atoms.set_cell([SIDE, SIDE, atoms.positions[:, 2].max() + 2.0])
    atoms.wrap()
    energy, angle = (200e3, 24.0) if i % 2 else (300e3, 21.0)
    potential = abtem.Potential(atoms, sampling=0.06, slice_thickness=2.0)
    waves = abtem.SMatrix(
        potential=potential, energy=energy, semiangle_cutoff=angle, interpolation=2
    )
    # The image has no detail finer than the probe's limit: scan at it, and interpolate.
    wavelength = abtem.core.energy.energy2wavelength(energy)
    step = 0.9 * wavelength / (4e-3 * angle)
    points = int(np.ceil(SIDE / step))
    scan = abtem.GridScan((0, 0), (SIDE, SIDE), gpts=points, endpoint=False)
    ctf = abtem.CTF(defocus=rng.uniform(-30, 30))
    detector = abtem.AnnularDetector(inner=50, outer=100)
    image = np.asarray(waves.scan(scan=scan, detectors=detector, ctf=ctf).compute().array, float)
    image = zoom(image, PIXELS / points, order=3, mode="grid-wrap", grid_mode=True)
    images.append(image.clip(0) / image.max())
    print(i, len(atoms), points, flush=True)
np.savez_compressed(sys.argv[1], images=np.float16(images), pixel_size=SIDE / PIXELS)
