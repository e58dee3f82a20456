"""Fail where a probe or a crystal differs from its closed form, or from tabulated values."""

import math
from pathlib import Path

import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from mcnn_keras import InputError
from mcnn_keras.physics import stem
from mcnn_keras.physics.electrons import electron_energy, electron_wavelength
from mcnn_keras.targets.crystals import CRYSTALS, atoms_within


def test_wavelengths_are_the_tabulated_ones():
    """Fails where the relativistic correction is left out, or the energy does not lead back."""
    # Kirkland, Advanced Computing in Electron Microscopy, table 2.1 (Angstrom).
    for energy, expected in ((100e3, 0.037014), (200e3, 0.025079), (300e3, 0.019687)):
        assert electron_wavelength(energy) == pytest.approx(expected, rel=2e-4)
        assert electron_energy(electron_wavelength(energy)) == pytest.approx(energy, rel=1e-9)


def test_an_unaberrated_probe_is_an_airy_disc():
    """Fails where the probe has another radius or is not of unit power."""
    # Its transfer function is the overlap of two discs.
    wavelength, angle = electron_wavelength(200e3), 0.02
    u = np.linspace(0, 2.5, 200)
    overlap = (
        2
        / np.pi
        * (np.arccos(np.minimum(u / 2, 1)) - u / 2 * np.sqrt(1 - np.minimum(u / 2, 1) ** 2))
    )
    transfer = stem.probe_transfer(np.float32(u * angle / wavelength), 200e3, angle).numpy()
    np.testing.assert_allclose(transfer, overlap, atol=1e-3)

    # And back in space, by a slow Hankel transform, it is (2 J1(v) / v)^2.
    r = np.linspace(0.01, 1.5, 60)
    f = np.linspace(0, 2 * angle / wavelength, 2000)
    values = stem.probe_transfer(np.float32(f), 200e3, angle).numpy()
    kernel = scipy.special.j0(2 * np.pi * f[None] * r[:, None]) * f
    profile = 2 * np.pi * np.trapezoid(kernel * values, f, axis=1)
    v = 2 * np.pi * angle / wavelength * r
    airy = np.pi * (angle / wavelength) ** 2 * (2 * scipy.special.j1(v) / v) ** 2
    np.testing.assert_allclose(profile, airy, atol=2e-3 * airy.max())


@pytest.mark.parametrize(
    ("energy", "angle", "defocus", "aberration"),
    [(300e3, 0.021, -40.0, 0.0), (80e3, 0.030, 60.0, 2e4), (200e3, 0.0098, -480.0, 1e7)],
)
def test_an_aberrated_probe_agrees_with_a_fourier_transform(energy, angle, defocus, aberration):
    """Fails where defocus or aberration has a wrong factor, or their signs do not fit."""
    wavelength = electron_wavelength(energy)
    n, pixel = 1024, wavelength / angle / 6
    f = np.fft.fftfreq(n, pixel)
    theta = wavelength * np.hypot(f[:, None], f[None])
    chi = 2 * np.pi / wavelength * (defocus * theta**2 / 2 + aberration * theta**4 / 4)
    # Pixels across the pupil's edge count by the part of them inside.
    step = wavelength / (n * pixel)
    pupil = np.clip((angle - theta) / step + 0.5, 0, 1) * np.exp(-1j * chi)
    probe = np.abs(np.fft.ifft2(pupil)) ** 2
    expected = np.fft.fft2(probe / probe.sum()).real[0, : n // 2]
    ours = stem.probe_transfer(np.float32(f[: n // 2]), energy, angle, defocus, aberration)
    np.testing.assert_allclose(ours, expected, atol=5e-3)


def test_projection_and_image_keep_the_scattering_power():
    """Fails where weight is lost between pixels, or rows and columns are swapped."""
    rng = np.random.default_rng(0)
    positions = rng.uniform(5, 55, (40, 2)).astype(np.float32)
    weights = rng.uniform(0.1, 1, 40).astype(np.float32)
    projected = stem.project(positions, weights, (60, 64)).numpy()
    assert projected.sum() == pytest.approx(weights.sum(), rel=1e-5)
    y, x = np.mgrid[:60, :64]
    np.testing.assert_allclose((projected * y).sum(), weights @ positions[:, 0], rtol=1e-4)
    np.testing.assert_allclose((projected * x).sum(), weights @ positions[:, 1], rtol=1e-4)
    fy, fx = stem.frequencies((60, 64), 0.15)
    transfer = stem.probe_transfer(tf.sqrt(fy**2 + fx**2), 300e3, 0.025)
    image = stem.image(tf.constant(projected), 0.15, transfer, (0.3, 0.4)).numpy()
    assert image.sum() == pytest.approx(weights.sum(), rel=1e-4)


def test_points_outside_are_left_out():
    """Fails where atoms beyond the borders are wrapped around or drawn in."""
    positions = np.array([[-0.5, 3], [3, 99], [9.5, 3], [3, 3]], np.float32)
    projected = stem.project(positions, np.ones(4, np.float32), (10, 10)).numpy()
    assert projected.sum() == projected[3, 3] == 1


def test_an_image_is_the_sum_of_its_atoms_probes():
    """Against a sum in real space of Gaussians, at places between pixels.

    Fails where the source has its width in pixels, or its two axes are swapped.
    """
    rng = np.random.default_rng(1)
    positions = rng.uniform(10, 54, (12, 2)).astype(np.float32)
    weights = rng.uniform(0.2, 1, 12).astype(np.float32)
    projected = stem.project(positions, weights, (64, 64))
    pixel, source = 0.2, (0.5, 0.7)
    image = stem.image(projected, pixel, tf.ones((64, 33)), source).numpy()
    y, x = np.mgrid[:64, :64]
    expected = sum(
        w * np.exp(-(((y - r) * pixel / source[0]) ** 2 + ((x - c) * pixel / source[1]) ** 2) / 2)
        for (r, c), w in zip(positions, weights, strict=True)
    ) * (pixel**2 / (2 * math.pi * source[0] * source[1]))
    np.testing.assert_allclose(image, expected, atol=0.01 * expected.max())


def test_heavier_atoms_are_brighter_by_the_stated_power():
    """Fails where the power of the atomic number, or the element of unit power, is another one."""
    gold, carbon = stem.scattering(tf.constant([79.0, 6.0])).numpy()
    assert gold / carbon == pytest.approx((79 / 6) ** 1.7, rel=1e-4)
    assert stem.scattering(78.0) == 1


# Nearest neighbours and atoms in a cubic Angstrom, from the lattice constants by hand.
@pytest.mark.parametrize(
    ("name", "distance", "density"),
    [
        ("Pt", 3.92 / math.sqrt(2), 4 / 3.92**3),
        ("W", 3.16 * math.sqrt(3) / 2, 2 / 3.16**3),
        ("Si", 5.43 * math.sqrt(3) / 4, 8 / 5.43**3),
        ("MgO", 4.21 / 2, 8 / 4.21**3),
        ("CeO2", 5.41 * math.sqrt(3) / 4, 12 / 5.41**3),
        ("SrTiO3", 3.905 / 2, 5 / 3.905**3),
        ("Ru", 2.6508, 2 / (2.71**2 * math.sqrt(0.75) * 4.28)),
    ],
)
def test_crystals_have_their_distances_and_densities(name, distance, density):
    """Fails where a lattice constant or a place in the cell is wrong, or atoms are left out."""
    positions, elements = atoms_within(name, 20.0)
    assert np.linalg.norm(positions, axis=1).max() <= 20
    assert np.all(np.diff(np.linalg.norm(positions, axis=1)) >= -1e-5)
    apart = np.linalg.norm(positions[:60, None] - positions[None], axis=-1)
    assert apart[apart > 1e-3].min() == pytest.approx(distance, rel=1e-3)
    assert len(positions) / (4 / 3 * math.pi * 20**3) == pytest.approx(density, rel=0.03)
    assert set(elements) == set(CRYSTALS[name].elements)


@pytest.mark.parametrize(
    ("name", "centre", "neighbour", "distance"),
    [
        ("SrTiO3", 38, 8, 3.905 / math.sqrt(2)),
        ("SrTiO3", 38, 22, 3.905 * math.sqrt(3) / 2),
        ("SrTiO3", 22, 8, 3.905 / 2),
        ("MgO", 12, 8, 4.21 / 2),
        ("CeO2", 58, 8, 5.41 * math.sqrt(3) / 4),
        ("GaAs", 31, 33, 5.65 * math.sqrt(3) / 4),
    ],
)
def test_each_element_has_its_own_neighbours(name, centre, neighbour, distance):
    """Fails where two elements of a crystal are exchanged."""
    positions, elements = atoms_within(name, 12.0)
    middle = positions[elements == centre][0]
    apart = np.linalg.norm(positions[elements == neighbour] - middle, axis=1)
    assert apart.min() == pytest.approx(distance, rel=1e-3)


def test_layers_stay_one_layer():
    """Fails where the layer is repeated along z, or sulphur lies at another height."""
    positions, elements = atoms_within("MoS2", 15.0)
    assert sorted(set(positions[:, 2].round(2))) == pytest.approx([-1.6, 0, 1.6])
    assert (elements == 16).sum() / (elements == 42).sum() == pytest.approx(
        2, rel=0.12
    )  # the rim cuts some off
    near = np.linalg.norm(positions[elements == 16] - positions[0], axis=1).min()
    assert near == pytest.approx(2.41, abs=0.05)  # the Mo-S bond


def test_an_unknown_crystal_is_refused():
    """Fails where an unknown name gives another exception, or the message does not say it."""
    with pytest.raises(InputError, match="kryptonite"):
        atoms_within("kryptonite", 5.0)


def test_a_thin_cluster_looks_as_multislice_has_it():
    """Against abTEM (data_tools/adf_reference.py): platinum, four layers, and two lone atoms.

    Fails where the probe's width, the places or the contrast of the elements differ from it.
    """
    reference = np.load(Path(__file__).parent / "data" / "pt_cluster_adf.npz")
    image, pixel = reference["image"], float(reference["pixel_size"])
    positions, elements = reference["positions"] / pixel, reference["elements"].astype(np.float32)
    projected = stem.project(positions, stem.scattering(tf.constant(elements)), image.shape)
    fy, fx = stem.frequencies(image.shape, pixel)
    energy, angle = float(reference["energy"]), float(reference["semi_angle"])
    transfer = stem.probe_transfer(tf.sqrt(fy**2 + fx**2), energy, angle)
    ours = stem.image(projected, pixel, transfer).numpy()
    assert np.corrcoef(ours.ravel(), image.ravel())[0, 1] > 0.98
    # The last two atoms stand alone: a power of the atomic number near 1.7 tells their ratio.
    platinum, palladium = (
        image[r - 3 : r + 4, c - 3 : c + 4].sum() for r, c in positions[-2:].round().astype(int)
    )
    assert 1.5 < math.log(palladium / platinum) / math.log(46 / 78) < 2.1
