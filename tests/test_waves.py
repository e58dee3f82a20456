"""Fail where a kernel of wave optics differs from its closed form."""

import numpy as np
import pytest
import tensorflow as tf
from reference import transfer_function as reference_transfer_function

from mcnn_keras import Optics
from mcnn_keras.physics import waves

SHAPE, PIXEL, WAVELENGTH = (18, 25), 0.4, 0.7
PLANES = [-30.0, 45.0]
ELECTRONS = Optics.electron(200e3, 0.4, 1.2e7, coherence_angle=3e-4)


def frequencies(shape=SHAPE, pixel=PIXEL):
    """Of the whole transform, in cycles per unit of length."""
    return np.hypot(np.fft.fftfreq(shape[0], pixel)[:, None], np.fft.fftfreq(shape[1], pixel))


def left(values):
    """What the transform of a real image keeps."""
    return values[..., : SHAPE[1] // 2 + 1]


@pytest.fixture(params=["numbers", "tensors"])
def kind(request):
    """What makes a value of the optics a number, or a tensor."""
    return (lambda value: value) if request.param == "numbers" else tf.constant


def test_squared_frequencies_are_those_of_numpy(kind):
    """Fails where an axis has the other's length, or a unit of length is missing."""
    for half, cut in ((False, lambda f: f), (True, left)):
        found = waves.squared_frequencies(SHAPE, kind(np.float64(PIXEL)), half)
        np.testing.assert_allclose(found, cut(frequencies() ** 2), rtol=1e-6)
    assert waves.squared_frequencies(SHAPE, PIXEL).shape == SHAPE


def test_waves_that_do_not_travel_are_cut():
    """Fails where a wave that just travels is lost, or one along the plane passes."""
    # The finest wave that pixels of 0.5 hold runs along the plane if its length is 1.
    found = waves.transfer_function((1, 10), [0.0], Optics(1.0, 0.5, None))[0, 0]
    np.testing.assert_array_equal(np.abs(found), np.abs(np.fft.fftfreq(10, 0.5)) < 1)
    assert (np.abs(found) == 0).sum() == 1
    finer = waves.transfer_function((1, 10), [0.0], Optics(0.999, 0.5, None))[0, 0]
    np.testing.assert_array_equal(np.abs(finer), 1)


@pytest.mark.parametrize("edge", [0.2, 0.45])
def test_the_pupil_falls_like_a_cosine(edge, kind):
    """Fails where the edge is not half open at the aperture, or is wider than a tenth of it."""
    optics = Optics(WAVELENGTH, PIXEL, kind(np.float32(edge)))
    share = np.clip((frequencies() * WAVELENGTH / edge - 0.95) / 0.1, 0, 1)
    wanted = (1 + np.cos(np.pi * share)) / 2
    assert ((wanted > 0.02) & (wanted < 0.98)).any()
    found = waves.pupil(SHAPE, optics)
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    np.testing.assert_allclose(waves.pupil(SHAPE, optics, half=True), left(wanted), atol=1e-4)
    assert np.asarray(found).dtype == np.float32


def test_without_an_aperture_all_passes():
    """Fails where a missing aperture cuts, or has the shape of the other transform."""
    optics = Optics(numerical_aperture=None)
    for half, shape in ((False, SHAPE), (True, (18, 13))):
        found = waves.pupil(SHAPE, optics, half)
        assert found.shape == shape
        np.testing.assert_array_equal(found, 1)


@pytest.mark.parametrize("aberration", [1.2e7, -3e6])
def test_the_lens_turns_by_the_fourth_power(aberration, kind):
    """Fails where the aberration has another sign, factor or power, or its turns get lost."""
    f, wavelength = frequencies(pixel=0.4), 0.0250793  # at 200 keV
    lens = kind(np.float64(aberration))
    optics = Optics(wavelength, 0.4, None, spherical_aberration=lens, unit="A")
    wanted = np.exp(-0.5j * np.pi * aberration * wavelength**3 * f**4)
    np.testing.assert_allclose(waves.lens_kernel(SHAPE, optics), wanted, atol=1e-3)
    found = waves.lens_kernel(SHAPE, optics, half=True)
    np.testing.assert_allclose(found, left(wanted), atol=1e-3)
    assert waves.has_aberration(optics)
    assert not waves.has_aberration(Optics())


def test_imaging_is_aperture_lens_and_free_space():
    """Fails where one of the three is left out, or comes twice."""
    optics, planes = Optics.electron(200e3, 0.4, 1.2e7, 0.02), [-800.0, 300.0]
    f, wavelength = frequencies(pixel=0.4), optics.wavelength
    share = np.clip((f * wavelength / 0.02 - 0.95) / 0.1, 0, 1)
    lens = (1 + np.cos(np.pi * share)) / 2 * np.exp(-0.5j * np.pi * 1.2e7 * wavelength**3 * f**4)
    wanted = [lens * reference_transfer_function(SHAPE, z, wavelength, 0.4) for z in planes]
    found = waves.imaging_kernels(SHAPE, planes, optics)
    np.testing.assert_allclose(found, wanted, atol=5e-4)
    half = waves.imaging_kernels(SHAPE, planes, optics, half=True)
    np.testing.assert_allclose(half, left(np.array(wanted)), atol=5e-4)


@pytest.mark.parametrize("optics", [Optics(0.7, 0.4, None, coherence_angle=0.01), ELECTRONS])
def test_a_source_damps_as_its_angle_and_the_slope_say(optics):
    """Fails where the angle, the defocus or the aberration enters with another factor."""
    f = left(frequencies(pixel=0.4))
    for z in (-900.0, 20.0):
        slope = z * f + optics.spherical_aberration * optics.wavelength**2 * f**3
        wanted = np.exp(-((np.pi * optics.coherence_angle * slope) ** 2))
        found = waves.coherence_envelope(SHAPE, [z], optics)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found[0], wanted, atol=1e-4)


@pytest.mark.parametrize("shape", [(18, 25), (25, 18)])
def test_a_stack_is_the_squared_wave_of_each_plane(shape, rng):
    """Against the definition in float64, without a source and with one.

    Fails where planes or axes change places, or an odd width is made even.
    """
    wave = np.exp(1j * rng.random(shape)).astype(np.complex64)
    optics = Optics(WAVELENGTH, PIXEL, None)
    spectrum = np.fft.fft2(wave)
    free = [reference_transfer_function(shape, z, WAVELENGTH, PIXEL) for z in PLANES]
    there = np.fft.ifft2(spectrum * free)
    wanted = np.moveaxis(np.abs(there) ** 2, 0, -1)
    for given in (wave, tf.constant(wave)):
        np.testing.assert_allclose(waves.defocus_stack(given, PLANES, optics), wanted, atol=1e-4)
        np.testing.assert_allclose(waves.propagate(given, PLANES, optics), there, atol=1e-4)
    square = np.add.outer(
        np.fft.fftfreq(shape[0], PIXEL) ** 2, np.fft.fftfreq(shape[1], PIXEL) ** 2
    )
    damped = [np.exp(-((np.pi * 0.02 * z) ** 2) * square) for z in PLANES]
    blurred = np.fft.ifft2(np.fft.fft2(np.moveaxis(wanted, -1, 0)) * damped).real
    for angle in (0.02, tf.constant(0.02)):
        found = waves.defocus_stack(wave, PLANES, Optics(WAVELENGTH, PIXEL, None, 1.0, angle))
        np.testing.assert_allclose(found, np.moveaxis(blurred, 0, -1), atol=1e-4)


@pytest.mark.parametrize(("optics", "angle"), [
    (Optics(0.65, 0.5, 0.45), np.arcsin(0.45)),
    (Optics(0.65, 0.5, 0.45, 1.33), np.arcsin(0.45 / 1.33)),
    (Optics(0.65, 0.5, None), np.arcsin(0.65)),  # two pixels hold the finest wave
    (Optics(0.65, 0.5, 1.2, 1.5), np.arcsin(0.65 / 1.5)),
    (Optics(0.65, 0.2, None), np.arcsin(0.99)),
])  # fmt: skip
def test_light_spreads_by_its_steepest_angle(optics, angle):
    """Fails where the medium, the pixels or the aperture is left out, or it is rounded down."""
    for planes, far in (([-60.0, 20.0], 60.0), ([10.3], 10.3)):
        wanted = np.ceil(far * np.tan(angle) / optics.pixel_size)
        assert waves.spread(planes, optics) == wanted


@pytest.mark.parametrize("shape", [(12, 17), (3, 12, 17), (2, 3, 12, 17)])
@pytest.mark.parametrize("margin", [1, 5, 12, 40])
def test_a_margin_is_mirrored_and_fades_to_zero(shape, margin, rng):
    """Fails where the field itself changes, or the margin is not a mirror with a smooth end."""
    fields = rng.random(shape).astype(np.float32) + 1
    found, inner = waves.extended(fields, margin)
    margin = min(margin, 12)
    np.testing.assert_array_equal(found[(..., *inner)], fields)
    assert found.shape == (*shape[:-2], 12 + 2 * margin, 17 + 2 * margin)
    rise = np.sin(np.pi / 2 * (np.arange(margin) + 0.5) / margin) ** 2
    rows, columns = (np.concatenate([rise, np.ones(n), rise[::-1]]) for n in (12, 17))
    widths = [(0, 0)] * (len(shape) - 2) + [(margin, margin)] * 2
    wanted = np.pad(fields, widths, "symmetric") * rows[:, None] * columns
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert found.dtype == np.float32


def test_without_a_margin_fields_stay(rng):
    """Fails where no margin is one pixel, or gives NaN."""
    fields = rng.random((3, 8, 9)).astype(np.float32)
    found, inner = waves.extended(fields, 0)
    np.testing.assert_array_equal(found[(..., *inner)], fields)
    assert found.shape == fields.shape
