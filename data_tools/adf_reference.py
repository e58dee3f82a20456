"""A multislice ADF image of a thin platinum cluster by abTEM, for the tests to compare with.

    pip install abtem && python data_tools/adf_reference.py tests/data/pt_cluster_adf.npz

Writes the atoms (positions and atomic numbers, Angstrom), the scanned image and its settings.
"""

import sys

import abtem
import ase
import ase.cluster
import numpy as np

ENERGY, SEMI_ANGLE, PIXEL, SIDE = 300e3, 0.021, 0.25, 20.0

cluster = ase.cluster.Octahedron("Pt", 5, cutoff=1)
cluster.rotate(18, "z")
cluster.rotate(3, "x")
cluster.set_cell([SIDE, SIDE, 16.0])
cluster.center()
# Two single atoms next to it: a separate test of their brightness relative to the columns.
cluster += ase.Atoms("PtPd", positions=[[2.5, 3.0, 8.0], [17.5, 16.5, 8.0]])

potential = abtem.Potential(cluster, sampling=0.04, slice_thickness=1.0)
probe = abtem.Probe(energy=ENERGY, semiangle_cutoff=1e3 * SEMI_ANGLE)
scan = abtem.GridScan((0, 0), (SIDE, SIDE), sampling=PIXEL, endpoint=False)
detector = abtem.AnnularDetector(inner=70, outer=200)
image = probe.scan(potential, scan=scan, detectors=detector).compute()
np.savez_compressed(
    sys.argv[1],
    positions=cluster.positions[:, :2].astype(np.float32),
    elements=cluster.numbers,
    image=np.asarray(image.array, np.float32),
    energy=ENERGY,
    semi_angle=SEMI_ANGLE,
    pixel_size=PIXEL,
)
print(image.array.shape, len(cluster))
