"""Fail where contrast transfer differs from simulated images, or least squares from brute force."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.ndimage import gaussian_filter

from mcnn_keras import InputError, Optics
from mcnn_keras.focal_series import ctf_phase, tie
from mcnn_keras.physics import contrast_transfer as transfer
from mcnn_keras.physics.waves import coherence_envelope, defocus_stack, imaging_kernels

OPTICS = {
    "light": Optics(0.65, 0.5, None),
    "aperture": Optics(0.65, 0.31, 0.45, 1.33),
    "electrons": Optics.electron(300e3, 0.8, 1.2e7, 0.012, 2e-4),
}
PLANES = {"light": [-40.0, 0.0, 25.0], "aperture": [-30.0, 55.0], "electrons": [-900.0, 700.0]}


def images_of(phase, planes, optics, amplitude=1.0):
    wave = (amplitude * np.exp(1j * phase)).astype(np.complex64)
    return defocus_stack(wave, np.array(planes), optics).astype(np.float64)


def natural(rng, deviation, size=128, fall=1.5):
    """A random phase of power 1 / f^(2 fall) in a periodic field."""
    f = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None])
    f[0, 0] = np.inf
    phase = np.fft.ifft2(np.fft.fft2(rng.standard_normal((size, size))) / f**fall).real
    return deviation * phase / phase.std()


def relative(answer, phase):
    return np.sqrt(np.mean((answer - phase) ** 2)) / phase.std()


def halves(shape, planes, optics):
    kernels = imaging_kernels(shape, np.array(planes), optics, half=True)
    return kernels, coherence_envelope(shape, np.array(planes), optics)


@pytest.mark.parametrize("name", OPTICS)
def test_a_weak_grating_shows_as_the_transfer_says(name):
    """Fails where a sign, a factor, the aperture, the aberration or the source is left out."""
    optics, planes, shape = OPTICS[name], PLANES[name], (48, 64)
    phases, absorptions = transfer.transfers(*halves(shape, planes, optics))
    y, x = np.mgrid[: shape[0], : shape[1]]
    for row, column in ((3, 5), (0, 9), (10, 14)):
        wave = 1e-3 * np.cos(2 * np.pi * (row * y / shape[0] + column * x / shape[1]))
        unit = np.fft.rfft2(wave)[row, column]
        kinds = ((wave, 1.0, phases), (0.0, 1.0 + wave, absorptions))
        for phase, amplitude, expected in kinds:
            field = (amplitude * np.exp(1j * phase) * np.ones(shape)).astype(np.complex128)
            kernels = imaging_kernels(shape, np.array(planes), optics).astype(np.complex128)
            intensity = np.abs(np.fft.ifft2(np.fft.fft2(field) * kernels)) ** 2
            seen = np.fft.rfft2(intensity, axes=(1, 2))[:, row, column] / unit
            angle, f = optics.coherence_angle, np.hypot(row / shape[0], column / shape[1])
            f = f / optics.pixel_size
            slope = np.array(planes) * f + (
                optics.spherical_aberration * optics.wavelength**2 * f**3
            )
            seen = seen * np.exp(-((np.pi * angle * slope) ** 2))
            np.testing.assert_allclose(seen.real, expected[:, row, column], atol=3e-3)


def test_half_a_kernel_is_half_of_the_whole():
    """Fails where the kernels of real images' transforms are others than those of complex ones."""
    for name, optics in OPTICS.items():
        whole = imaging_kernels((20, 26), np.array(PLANES[name]), optics)
        half = imaging_kernels((20, 26), np.array(PLANES[name]), optics, half=True)
        np.testing.assert_array_equal(half, whole[..., :14])


@pytest.mark.parametrize("absorption", [0.0, 0.3])
@pytest.mark.parametrize("count", [1, 3])
def test_least_squares_solves_the_normal_equations(absorption, count, rng):
    """Against brute force in float64, one frequency at a time.

    Fails where the damping, a weight, or what phase and absorption share is wrong.
    """
    s, a = rng.standard_normal((2, count, 4, 5)).astype(np.float32)
    data = (rng.standard_normal((count, 4, 5)) + 1j * rng.standard_normal((count, 4, 5))).astype(
        np.complex64
    )
    noise = rng.uniform(0.1, 2, (count, 1, 1)).astype(np.float32)
    prior = rng.uniform(0.1, 3, (4, 5)).astype(np.float32)
    found = transfer.LeastSquares(s, a, noise, prior).solve(data, absorption)
    for i, j in np.ndindex(4, 5):
        matrix = np.stack([s[:, i, j], a[:, i, j]], axis=1).astype(float)
        if absorption == 0:
            matrix = matrix[:, :1]
        powers = np.array([prior[i, j], absorption * prior[i, j]], float)[: matrix.shape[1]]
        weights = np.diag(1 / noise[:, 0, 0].astype(float))
        normal = matrix.T @ weights @ matrix + np.diag(1 / powers)
        expected = np.linalg.solve(normal, matrix.T @ weights @ data[:, i, j])
        for value, own in zip(expected, found, strict=False):
            assert own[i, j] == pytest.approx(value, rel=2e-4, abs=1e-5)


def test_one_plane_and_hardly_any_noise_stay_finite(rng):
    """Fails where the two unknowns of one equation are found from differences of large numbers."""
    optics, phase = OPTICS["light"], natural(rng, 0.05)
    images = images_of(phase, [30.0], optics)
    images += 1e-5 * rng.standard_normal(images.shape)
    answer, _ = ctf_phase(images, [30.0], optics, boundary="periodic")
    assert relative(answer, phase) < 1


def test_noise_and_strength_are_measured(rng):
    """Fails where the deviation of white noise, or the power of the object, is misjudged."""
    optics, shape = OPTICS["aperture"], (128, 128)
    phase = natural(rng, 0.05)
    images = images_of(phase, [-40.0, 25.0], optics)
    images += 0.02 * rng.standard_normal(images.shape)
    spectra = np.fft.rfft2(np.moveaxis(images - 1, -1, 0)).astype(np.complex64)
    noise = transfer.noise_power(spectra, shape)[:, 0, 0] / np.prod(shape)
    np.testing.assert_allclose(np.sqrt(noise), 0.02, rtol=0.05)
    by_phase, _ = transfer.transfers(*halves(shape, [-40.0, 25.0], optics))
    law = transfer.power_law(shape)
    strength = transfer.object_power(spectra, by_phase, noise[:, None, None] * 128**2, law)
    true = (np.abs(np.fft.rfft2(phase)) ** 2).sum() / law.sum()
    assert 0.5 < strength.item() / true < 2


# Around focus the second order of the phase cancels; on one side it does not.
@pytest.mark.parametrize(
    ("planes", "most"),
    [([-20.0, 20.0], 0.01), ([0.0, 20.0], 0.05), ([-40.0, -15.0, 10.0, 55.0], 0.01)],
)
def test_a_weak_phase_is_found(planes, most, rng):
    """Fails where the sign, the factor or the planes' weights are wrong."""
    optics = OPTICS["light"]
    phase = gaussian_filter(rng.standard_normal((128, 128)), 3, mode="wrap")
    phase *= 0.003 / phase.std()
    phase -= phase.mean()
    images = images_of(phase, planes, optics)
    answer, amplitude = ctf_phase(images, planes, optics, noise=1e-6, boundary="periodic")
    assert relative(answer, phase) < most
    assert amplitude.std() < 1e-3


def test_absorption_is_told_from_phase(rng):
    """Fails where an amplitude is taken for a phase, or the other way round."""
    optics, planes = OPTICS["light"], [-40.0, 5.0, 60.0]
    phase, absorbed = natural(rng, 0.03), natural(rng, 0.03)
    images = images_of(phase, planes, optics, 1 + absorbed)
    answer, amplitude = ctf_phase(images, planes, optics, 1.0, noise=1e-4, boundary="periodic")
    assert relative(answer, phase) < 0.1
    assert relative(amplitude - amplitude.mean(), absorbed - absorbed.mean()) < 0.1


@pytest.mark.parametrize("planes", [[30.0], [-30.0, 30.0], [-60.0, -20.0, 20.0, 60.0]])
def test_noise_is_damped_as_well_as_by_hand(planes, rng):
    """Fails where the noise is misjudged so far that another one would halve the error."""
    optics, phase = OPTICS["light"], natural(rng, 0.3)
    images = images_of(phase, planes, optics)
    images += 0.01 * rng.standard_normal(images.shape)
    found = relative(ctf_phase(images, planes, optics, boundary="periodic")[0], phase)
    others = [
        relative(ctf_phase(images, planes, optics, noise=n, boundary="periodic")[0], phase)
        for n in np.geomspace(1e-3, 1, 13)
    ]
    assert found < 1.25 * min(others)
    assert found < 0.9


def test_detail_is_finer_than_by_transport_of_intensity(rng):
    """Fails where all planes together show no more detail than their slope, at its best cutoff.

    Changes over more than some 40 pixels are left out: neither shows much of them.
    """
    optics, planes = OPTICS["aperture"], [-100.0, -20.0, 20.0, 100.0]
    phase = natural(rng, 0.5, 256, 1.0)
    images = images_of(phase, planes, optics)[:160, :160]  # open borders
    images += 0.01 * rng.standard_normal(images.shape)

    def detail(phase):
        return phase - gaussian_filter(phase, 8)

    true = detail(phase[:160, :160])
    best = min(
        relative(detail(tie(images, planes, optics, c)), true) for c in np.geomspace(1e-3, 1, 15)
    )
    assert relative(detail(ctf_phase(images, planes, optics)[0]), true) < 0.8 * best


def test_the_order_of_the_planes_does_not_matter(rng):
    """Fails where an answer differs in a single bit."""
    optics, planes = OPTICS["light"], [-40.0, 10.0, 25.0, 60.0]
    images = images_of(natural(rng, 0.3, 64), planes, optics)
    first = ctf_phase(images, planes, optics)[0]
    order = [2, 0, 3, 1]
    again = ctf_phase(images[..., order], [planes[i] for i in order], optics)[0]
    np.testing.assert_array_equal(first, again)


def test_wrong_numbers_are_refused():
    """Fails where planes in focus or a negative number give an answer."""
    images = np.ones((32, 32, 1)) + 0.01 * np.eye(32)[..., None]
    with pytest.raises(InputError, match="all planes are in focus"):
        ctf_phase(images, [0.0], OPTICS["light"])
    with pytest.raises(InputError, match="absorption is -1"):
        ctf_phase(images, [5.0], OPTICS["light"], absorption=-1)


def test_simulated_intensities_are_those_of_the_wave(rng):
    """Fails where the simulation within the channels differs from that of the samples."""
    optics = OPTICS["electrons"]
    for shape in ((32, 40), (30, 41)):
        phase, absorbed = 0.5 * rng.standard_normal((2, *shape)).astype(np.float32)
        absorbed *= 0.1
        kernels = halves(shape, PLANES["electrons"], optics)
        found = transfer.simulated(phase, absorbed, *kernels)
        expected = images_of(phase, PLANES["electrons"], optics, 1 + absorbed)
        np.testing.assert_allclose(np.moveaxis(found, 0, -1), expected, atol=2e-4)
        tensors = transfer.simulated(tf.constant(phase), tf.constant(absorbed), *kernels)
        np.testing.assert_allclose(tensors, found, atol=2e-4)


def test_dimensionless_defocus_is_fresnels(rng):
    """Fails where the number that tells how far an image is from focus is in other units."""
    found = transfer.dimensionless([108.0], Optics(0.65, 0.31, None, 1.33))
    assert found == pytest.approx([0.65 * 108 / (1.33 * 0.31**2)])
    assert transfer.aperture_radius(Optics(0.65, 0.31, 0.45)) == pytest.approx(0.45 * 0.31 / 0.65)
    assert transfer.aperture_radius(Optics(0.65, 0.31, None)) == 0.75
