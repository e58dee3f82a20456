"""Fail where a wave differs from a closed form, a slow reference or another package."""

import numpy as np
import pytest
import tensorflow as tf
from reference import transfer_function as reference_transfer_function

from mcnn_keras import InputError, Optics
from mcnn_keras.physics.waves import (
    coherence_envelope,
    defocus_stack,
    propagate,
    pupil,
    spread,
    transfer_function,
)


def smooth_wave(rng, size=64, spread=3.0):
    """A random wave without high frequencies."""
    from scipy.ndimage import gaussian_filter

    phase = gaussian_filter(rng.standard_normal((size, size)), spread, mode="wrap")
    return np.exp(1j * phase / phase.std()).astype(np.complex64)


@pytest.mark.parametrize("z", [-500.0, 7.0, 500.0])
@pytest.mark.parametrize(("pixel_size", "index"), [(0.31, 1.0), (0.1625, 1.518)])
def test_transfer_function_agrees_with_float64(z, pixel_size, index):
    """Fails where float32 loses the phase of far planes, or an axis or the index is wrong."""
    optics = Optics(0.65, pixel_size, None, index)
    ours = transfer_function((24, 33), [z], optics)[0]
    reference = reference_transfer_function((24, 33), z, 0.65, pixel_size, index)
    assert np.abs(ours - reference).max() < 1e-4


def test_evanescent_waves_are_removed_and_leave_no_nan():
    """Fails where evanescent waves pass, or the root of a negative number gives NaN."""
    # 0.2 um pixels sample frequencies far beyond 1 / 0.65 um.
    kernel = transfer_function((64, 64), [1e-3, 100.0], Optics(0.65, 0.2, None))
    assert np.isfinite(kernel).all()
    f = np.fft.fftfreq(64, 0.2)
    evanescent = f[:, None] ** 2 + f[None] ** 2 > 1 / 0.65**2
    assert evanescent.any()
    assert (kernel[:, evanescent] == 0).all()
    np.testing.assert_allclose(np.abs(kernel[:, ~evanescent]), 1, rtol=1e-6)


def test_there_and_back_gives_the_wave(rng):
    """Fails where propagation by -z does not undo that by z."""
    optics = Optics(0.65, 0.5, None)
    wave = smooth_wave(rng)
    there = propagate(tf.constant(wave), [80.0], optics)[0]
    back = propagate(there, [-80.0], optics)[0].numpy()
    assert np.abs(there.numpy() - wave).max() > 0.1
    np.testing.assert_allclose(back, wave, atol=1e-5)


def test_energy_is_kept(rng):
    """Fails where the factor of a transform, or the blur of the source, changes the energy."""
    optics = Optics(0.65, 0.5, None, coherence_angle=0.01)
    wave = smooth_wave(rng)
    stack = defocus_stack(tf.constant(wave), [-200.0, 30.0], optics).numpy()
    np.testing.assert_allclose(stack.sum((0, 1)), (np.abs(wave) ** 2).sum(), rtol=1e-5)


def test_gaussian_beam_widens_as_the_closed_form_says():
    """Fails where the wavelength, the pixel size or the distance has a wrong factor."""
    optics = Optics(0.65, 0.5, None)
    waist, n = 6.0, 256
    x = (np.arange(n) - n / 2) * optics.pixel_size
    square = x[:, None] ** 2 + x[None] ** 2
    wave = tf.constant(np.exp(-square / waist**2).astype(np.complex64))
    planes = np.array([50.0, 150.0, 300.0])
    stack = defocus_stack(wave, planes, optics).numpy()
    # Intensity exp(-2 r^2 / w^2) has the second moment w^2 / 2.
    width = np.sqrt(2 * (stack * square[..., None]).sum((0, 1)) / stack.sum((0, 1)))
    expected = waist * np.sqrt(1 + (planes * optics.wavelength / (np.pi * waist**2)) ** 2)
    np.testing.assert_allclose(width, expected, rtol=3e-3)


def test_square_aperture_gives_the_fresnel_integrals():
    """Fails where the phase of high frequencies is wrong, so that the fringes move."""
    from scipy.special import fresnel

    wavelength, pixel_size, side, z, n = 0.5, 1.0, 160.0, 2000.0, 1024
    x = (np.arange(n) - n / 2 + 0.5) * pixel_size
    slit = (np.abs(x) < side / 2).astype(np.complex64)
    wave = tf.constant(slit[:, None] * slit[None])
    ours = defocus_stack(wave, [z], Optics(wavelength, pixel_size, None)).numpy()[..., 0]

    def edge(position):
        s, c = fresnel(position * np.sqrt(2 / (wavelength * z)))
        return c + 1j * s

    amplitude = (edge(side / 2 - x) + edge(side / 2 + x)) / np.sqrt(2)
    expected = np.abs(amplitude[:, None] * amplitude[None]) ** 2
    inner = np.abs(x) < 0.8 * side
    error = (ours - expected)[np.ix_(inner, inner)]
    assert np.sqrt(np.mean(error**2)) < 0.01
    assert np.corrcoef(ours[np.ix_(inner, inner)].ravel(),
                       expected[np.ix_(inner, inner)].ravel())[0, 1] > 0.9999  # fmt: skip


@pytest.mark.filterwarnings("ignore:Interface:UserWarning")  # of nrefocus's optional back ends
@pytest.mark.parametrize("z", [-108.0, 52.0, 500.0])
def test_an_independent_package_agrees(rng, z):
    """Fails where the index or the sign of the defocus enters wrongly."""
    nrefocus = pytest.importorskip("nrefocus")
    optics = Optics(0.65, 0.31, None, 1.33)
    wave = smooth_wave(rng, 96)
    theirs = nrefocus.refocus(
        wave.astype(complex), z / 0.31, 1.33, 0.65 / 0.31, method="helmholtz", padding=False
    )
    ours = propagate(tf.constant(wave), [z], optics)[0].numpy()
    np.testing.assert_allclose(ours, theirs, atol=2e-5)


def test_a_denser_weak_object_is_bright_downstream_as_the_transfer_says():
    """Fails where the sign of the defocus or of the phase is wrong, so that contrast turns over."""
    # I - 1 = 2 phase sin(pi lambda z f^2 / n) for a weak sinusoidal phase in the paraxial limit.
    optics, n, periods, z = Optics(0.65, 0.5, None), 128, 4, 40.0
    f = periods / (n * optics.pixel_size)
    phase = 0.01 * np.cos(2 * np.pi * f * np.arange(n) * optics.pixel_size)
    wave = tf.constant(np.exp(1j * np.tile(phase, (n, 1))).astype(np.complex64))
    contrast = defocus_stack(wave, [z], optics).numpy()[0, :, 0] - 1
    expected = 2 * phase * np.sin(np.pi * optics.wavelength * z * f**2)
    np.testing.assert_allclose(contrast, expected, atol=0.01 * np.abs(expected).max())


def test_extended_source_is_the_average_of_tilted_ones(rng):
    """Fails where the angle of the source is taken for another width, or in another unit."""
    angle, z, n = 0.02, 60.0, 64
    optics = Optics(0.65, 0.5, None, coherence_angle=angle)
    wave = smooth_wave(rng, n, 4.0)
    ours = defocus_stack(tf.constant(wave), [z], optics).numpy()[..., 0]
    coherent = defocus_stack(tf.constant(wave), [z], Optics(0.65, 0.5, None)).numpy()[..., 0]
    # Source points of brightness exp(-theta^2 / angle^2) shift the image by theta z.
    thetas = np.linspace(-3 * angle, 3 * angle, 41)
    weights = np.exp(-((thetas / angle) ** 2))
    f = np.fft.fftfreq(n, optics.pixel_size)
    shifts = [np.exp(-2j * np.pi * f * t * z) for t in thetas]
    kernel = np.tensordot(weights / weights.sum(), shifts, 1)
    average = np.fft.ifft2(np.fft.fft2(coherent) * kernel[:, None] * kernel[None]).real
    assert np.abs(ours - coherent).max() > 0.05
    np.testing.assert_allclose(ours, average, atol=2e-3)


def test_pupil_passes_up_to_the_aperture():
    """Fails where the cut-off is at another frequency, or its edge is hard."""
    optics = Optics(0.65, 0.31, 0.3)
    f = np.fft.fftfreq(128, 0.31)
    sine = 0.65 * np.sqrt(f[:, None] ** 2 + f[None] ** 2)
    values = pupil((128, 128), optics)
    np.testing.assert_allclose(values[sine < 0.28], 1)
    np.testing.assert_allclose(values[sine > 0.32], 0, atol=1e-6)
    edge = (sine > 0.29) & (sine < 0.31)
    assert ((values[edge] > 0) & (values[edge] < 1)).all()


def test_eager_equals_graph(rng):
    """Fails where an optics' value cannot be a tensor, or tf.data computes something else."""
    wave = tf.constant(smooth_wave(rng))

    def forward(_):
        return defocus_stack(wave, [-108.0, 52.0], Optics(0.65, 0.31, 0.4, 1.0, tf.constant(0.003)))

    in_graph = next(iter(tf.data.Dataset.range(1).map(forward)))
    np.testing.assert_allclose(in_graph, forward(0), atol=1e-5)


def test_coherence_envelope_is_one_in_focus():
    """Fails where a source blurs a plane in focus, or the half spectrum has another shape."""
    values = coherence_envelope((8, 8), [0.0], Optics(coherence_angle=0.01))
    assert values.shape == (1, 8, 5)
    np.testing.assert_array_equal(values, 1)


def test_spread_grows_with_defocus_and_aperture():
    """Fails where the sine is taken for the tangent, or the farthest plane does not count."""
    optics = Optics(0.65, 0.31, 0.45)
    # 108 um times tan(asin(0.45)) in 0.31 um pixels.
    assert spread([-108.0], optics) == 176
    assert spread([50.0, -108.0], optics) == 176
    assert spread([-108.0], Optics(0.65, 0.31, 0.2)) < 80


@pytest.mark.parametrize(
    "values",
    [
        {"wavelength": 0},
        {"wavelength": float("nan")},
        {"pixel_size": -1},
        {"pixel_size": float("inf")},
        {"numerical_aperture": 1.2},
        {"numerical_aperture": 0},
        {"refractive_index": "1"},
        {"coherence_angle": -0.1},
        {"coherence_angle": float("nan")},
        {"coherence_angle": float("inf")},
        {"spherical_aberration": float("nan")},
    ],
)
def test_impossible_optics_are_refused(values):
    """Fails where an impossible value is taken, or the message does not name it."""
    with pytest.raises(InputError, match=next(iter(values))):
        Optics(**values)


@pytest.mark.parametrize(
    "values", [{"wavelength": 650.0}, {"pixel_size": 3.1e-7}, {"coherence_angle": 2.0}]
)
def test_units_that_look_wrong_are_warned_of(values):
    """Fails where nm, m or degrees pass in silence."""
    with pytest.warns(UserWarning, match="implausible"):
        Optics(**values)


# Beyond these no microscope is known of.
BOUNDS = [
    ("um", "wavelength", 0.01, 20.0),  # extreme ultraviolet to thermal infrared
    ("um", "pixel_size", 0.005, 100.0),
    ("um", "refractive_index", 1.0, 4.0),  # germanium
    ("um", "coherence_angle", 0.0, 0.3),
    ("A", "wavelength", 0.003, 0.2),  # 10 MeV to 4 keV
    ("A", "pixel_size", 0.01, 100.0),
    ("A", "coherence_angle", 0.0, 0.02),
    ("A", "spherical_aberration", -1e9, 1e9),  # 10 cm, of a Lorentz lens
]


@pytest.mark.parametrize(("unit", "name", "low", "high"), BOUNDS)
def test_what_instruments_have_passes_in_silence(unit, name, low, high):
    """Fails where a bound moves, so that a wrong unit passes or a right one is warned of."""
    others = {"wavelength": 0.02, "pixel_size": 0.2} if unit == "A" else {}
    values = {**others, "numerical_aperture": None, "unit": unit}
    for bound, away in ((low, -np.inf), (high, np.inf)):
        Optics(**{**values, name: bound})  # a warning is an error in these tests
        if (name, bound) != ("coherence_angle", 0.0):  # a negative one is refused
            with pytest.warns(UserWarning, match=f"{name} .* is implausible; it is read as"):
                Optics(**{**values, name: float(np.nextafter(bound, away))})


def test_a_warning_names_the_users_line():
    """Fails where the warning points into the package."""
    with pytest.warns(UserWarning, match="wavelength 650 is implausible") as told:
        Optics(wavelength=650.0)
    assert [w.filename for w in told] == [__file__]


def test_what_is_left_out_is_what_it_always_was():
    """Fails where a script or a model file that leaves a value out means another instrument."""
    assert Optics() == Optics(0.65, 0.31, 0.45, 1.0, 0.0, 0.0, "um")
    electrons = Optics.electron(300e3, 0.2)
    assert electrons == Optics(electrons.wavelength, 0.2, None, 1.0, 0.0, 0.0, "A")
    everything = Optics.electron(300e3, 0.2, 1.2e7, 0.02, 1e-4)
    assert everything == Optics(electrons.wavelength, 0.2, 0.02, 1.0, 1e-4, 1.2e7, "A")
    with pytest.raises(AttributeError):
        electrons.pixel_size = 0.3


@pytest.mark.parametrize("aperture", [None, 1.2, 1.33])
def test_conditions_tell_the_optics(aperture):
    """Fails where a value gets lost between the optics and the conditions of a measurement."""
    optics = Optics(0.5, 0.2, aperture, 1.33, 0.01, 5.0)
    told = optics.conditions()
    assert ("numerical_aperture" in told) == (aperture is not None)
    assert {"unit", "defocus"}.isdisjoint(told)
    assert Optics.from_conditions({**told, "defocus": [3.0]}) == optics
    assert Optics.from_conditions({}) == Optics(numerical_aperture=None)
    assert Optics.from_conditions({"wavelength": 0.02}, "A").unit == "A"
    assert Optics(**optics.asdict()) == optics


@pytest.mark.parametrize("name", [
    "wavelength", "pixel_size", "numerical_aperture", "refractive_index", "coherence_angle",
    "spherical_aberration",
])  # fmt: skip
def test_any_value_may_be_a_tensor(name):
    """Fails where the value of a tensor, which a graph does not know, is checked."""
    told = tf.function(lambda value: Optics(**{name: value}).conditions()[name])
    for value in (np.float32(-1), np.float32(9)):
        assert told(tf.constant(value)).numpy() == value


class TestElectrons:
    """Against the contrast transfer function of textbooks (Kirkland, 3.1; Williams and Carter)."""

    ENERGY, WAVELENGTH, ABERRATION = 300e3, 0.0196875, 1.2e7

    def contrast(self, defocus, optics, size=256, strength=1e-3):
        """What becomes of each cosine of a weak phase, by its frequency."""
        rng = np.random.default_rng(0)
        spectrum = np.fft.fft2(rng.standard_normal((size, size)))
        phase = strength * np.fft.ifft2(spectrum).real
        wave = tf.constant(np.exp(1j * phase).astype(np.complex64))
        image = defocus_stack(wave, [defocus], optics).numpy()[..., 0].astype(np.float64)
        measured = np.fft.fft2(image - image.mean()) / np.fft.fft2(phase)
        f = np.fft.fftfreq(size, optics.pixel_size)
        return np.hypot(f[:, None], f), measured.real

    def test_the_wavelength_is_the_tabulated_one(self):
        """Fails where the relativistic correction is left out, or the unit is not Angstrom."""
        assert Optics.electron(self.ENERGY, 0.2).wavelength == pytest.approx(0.019687, rel=1e-4)

    @pytest.mark.parametrize("defocus", [-583.0, -1200.0, 300.0])
    def test_a_weak_phase_shows_by_the_contrast_transfer_function(self, defocus):
        """Fails where defocus or aberration has a wrong sign or factor."""
        optics = Optics.electron(self.ENERGY, 0.5, self.ABERRATION)
        f, measured = self.contrast(defocus, optics)
        chi = np.pi * self.WAVELENGTH * defocus * f**2
        chi += np.pi / 2 * self.ABERRATION * self.WAVELENGTH**3 * f**4
        inside = (f > 0) & (f < 0.6)
        assert np.abs(measured - 2 * np.sin(chi))[inside].mean() < 0.02

    def test_scherzer_defocus_shows_atoms_dark_to_its_resolution(self):
        """At -1.2 sqrt(C wavelength) one sign up to 0.66 C^(1/4) wavelength^(3/4).

        Fails where the signs of defocus and aberration do not oppose each other.
        """
        defocus = -1.2 * np.sqrt(self.ABERRATION * self.WAVELENGTH)
        f, measured = self.contrast(defocus, Optics.electron(self.ENERGY, 0.5, self.ABERRATION))
        resolution = 0.66 * self.ABERRATION**0.25 * self.WAVELENGTH**0.75
        band = (f > 0.1) & (f < 0.97 / resolution)
        assert (measured[band] < 0).mean() > 0.99
        beyond = (f > 1.03 / resolution) & (f < 1.15 / resolution)
        assert (measured[beyond] > 0).mean() > 0.9

    def test_a_source_damps_by_the_slope_of_the_phase_shift(self):
        """Fails where the damping leaves out the aberration, or has another width."""
        angle, defocus = 2e-4, -583.0
        f, coherent = self.contrast(defocus, Optics.electron(self.ENERGY, 0.5, self.ABERRATION))
        _, damped = self.contrast(
            defocus, Optics.electron(self.ENERGY, 0.5, self.ABERRATION, coherence_angle=angle)
        )
        slope = defocus * f + self.ABERRATION * self.WAVELENGTH**2 * f**3
        strong = (f > 0) & (f < 0.7) & (np.abs(coherent) > 0.5)
        ratio = (damped / np.where(strong, coherent, 1))[strong]
        np.testing.assert_allclose(
            ratio, np.exp(-((np.pi * angle * slope) ** 2))[strong], atol=0.02
        )

    def test_units_that_do_not_fit_are_told_of(self):
        """Fails where keV pass for eV, or a negative energy or an unknown unit is taken."""
        with pytest.warns(UserWarning, match="energies are in eV"):
            Optics.electron(300, 0.2)
        with pytest.raises(InputError, match="energy"):
            Optics.electron(-1.0, 0.2)
        with pytest.raises(InputError, match="'um' or 'A'"):
            Optics(unit="nm")

    def test_amplitude_projections_take_the_aberration_out(self):
        """Fails where the projections leave out the aberration."""
        from mcnn_keras.focal_series import iterative_phase

        rng = np.random.default_rng(4)
        optics = Optics.electron(self.ENERGY, 0.5, self.ABERRATION, aperture_angle=0.012)
        phase = np.angle(smooth_wave(rng, 128, 3.0)) * 0.1
        wave = tf.constant(np.exp(1j * phase).astype(np.complex64))
        planes = [-4000.0, -2000.0, -600.0, 1000.0, 3000.0]
        images = defocus_stack(wave, planes, optics).numpy()
        found, _ = iterative_phase(images, planes, optics, 100, boundary="periodic")
        perfect = Optics.electron(self.ENERGY, 0.5, aperture_angle=0.012)
        wrong, _ = iterative_phase(images, planes, perfect, 100, boundary="periodic")
        errors = [np.std(p - phase) / phase.std() for p in (found, wrong)]
        assert errors[0] < 0.1
        assert errors[0] < 0.7 * errors[1]
