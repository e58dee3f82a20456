"""Fail where fixed channels differ from closed forms, slow references, or between engines."""

import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf
from reference import transfer_function as reference_transfer_function

from mcnn_keras import Optics
from mcnn_keras.channels import CHANNELS, network_input
from mcnn_keras.channels.focus import focus_estimates
from mcnn_keras.channels.low_pass import low_pass
from mcnn_keras.channels.spectral import _surroundings, spectral_series, spectral_wiener
from mcnn_keras.focal_series import tie
from mcnn_keras.metrics import snr_db
from mcnn_keras.physics.waves import transfer_function
from mcnn_keras.problems import Reflection


def conditions(defocus, optics):
    return {"defocus": defocus, **optics.conditions()}


def test_low_pass_copies_are_those_of_the_paper(rng):
    """Fails where a filter has another width, or zeros lie beyond the borders."""
    image = rng.random((20, 23)).astype(np.float32)
    channels = low_pass(image[None, ..., None], {})[0]
    assert channels.shape == (20, 23, 4)
    for c, size in ((0, 5), (1, 7)):
        expected = scipy.ndimage.uniform_filter(image, size, mode="reflect")
        np.testing.assert_allclose(channels[..., c], expected, atol=1e-5)
    y, x = np.mgrid[-7:8, -7:8]
    for c, width in ((2, np.sqrt(20)), (3, np.sqrt(30))):
        kernel = np.exp(-(y**2 + x**2) / width)
        expected = scipy.ndimage.convolve(image, kernel / kernel.sum(), mode="reflect")
        np.testing.assert_allclose(channels[..., c], expected, atol=1e-5)


class TestSpectralWiener:
    def test_of_white_noise_it_keeps_little(self, rng):
        """Fails where chance peaks of the noise's spectrum are kept."""
        noise = rng.normal(0, 1, (4, 64, 96, 1)).astype(np.float32)
        assert np.var(spectral_wiener(noise, {})) < 0.15

    def test_it_finds_a_lattice_far_below_the_noise(self, rng):
        """Fails where weak peaks are removed, damped or shifted."""
        y, x = np.mgrid[:128, :192]
        lattice = np.sqrt(0.2) * (np.cos(2 * np.pi * x / 12) + np.cos(2 * np.pi * y / 8)) / 2
        frame = lattice + rng.normal(0, 1, lattice.shape)
        answer = spectral_wiener(frame[None, ..., None].astype(np.float32), {})[0, ..., 0]
        # The noise alone is 13 dB above the lattice; each of its waves stands in two frequencies.
        assert snr_db(answer, lattice) > 0
        spectra = [np.fft.fft2(a)[[0, 16], [16, 0]] for a in (answer, lattice)]
        np.testing.assert_allclose(*spectra, rtol=0.1)

    def test_an_empty_frame_stays_empty(self):
        """Fails where an empty spectrum is divided by zero."""
        assert not np.any(spectral_wiener(np.zeros((1, 32, 64, 1), np.float32), {}))


class TestSpectralSeries:
    def frames(self, rng, count, sigma=0.0, lattice=0.0):
        """(1, 128, 128, 6): `count` of five frames of one lattice, in noise of deviation one."""
        noise = scipy.ndimage.gaussian_filter(rng.normal(size=(5, 128, 128)), (0, sigma, sigma))
        frames = lattice + noise / noise.std()
        frames[count:] = 0
        mask = np.zeros((1, 128, 128))
        return np.concatenate([frames, mask]).transpose(1, 2, 0)[None].astype(np.float32)

    def lattice(self):
        y, x = np.mgrid[:128, :128]
        return 0.4 * (np.cos(2 * np.pi * x / 16) + np.cos(2 * np.pi * y / 8))

    @pytest.mark.parametrize("shape", [(32, 48), (33, 45)])
    def test_surroundings_are_boxes_of_the_whole_plane(self, shape, rng):
        """Fails where a spectrum's halves are put together wrongly."""
        power = np.abs(np.fft.fft2(rng.normal(size=shape))) ** 2
        half = power[:, : shape[1] // 2 + 1]
        expected = scipy.ndimage.uniform_filter(power, (7, 5), mode="wrap")[:, : half.shape[1]]
        np.testing.assert_allclose(_surroundings(half, [3, 2], shape[1]), expected, rtol=1e-9)

    def test_frames_are_averaged_where_they_are(self, rng):
        """Fails where missing frames or pixels count, or the mean is not one over what is seen."""
        frames = self.frames(rng, 3)
        frames[0, 10:14, 20, 0], frames[0, 10:14, 20, 5] = 0, 1
        mean = spectral_series(frames, {})[0, ..., 1]
        np.testing.assert_allclose(mean[30], frames[0, 30, :, :3].mean(-1), atol=1e-6)
        np.testing.assert_allclose(mean[11, 20], frames[0, 11, 20, 1:3].mean(), atol=1e-6)
        alone = spectral_series(self.frames(rng, 1), {})[0]
        np.testing.assert_array_equal(alone[..., 0], alone[..., 2])

    def test_peaks_stand_out_of_correlated_noise(self, rng):
        """Fails where noise of a smooth spectrum passes, or a lattice does not."""
        noise = spectral_series(self.frames(rng, 1, 0.8), {})[0]
        assert noise[..., 3].var() < 0.15
        assert noise[..., 0].var() > 0.7  # it is not white, and passes the filter for white noise
        frames = self.frames(rng, 1, 0.8, self.lattice())
        assert snr_db(frames[0, ..., 0], self.lattice()) < -7
        assert snr_db(spectral_series(frames, {})[0, ..., 3], self.lattice()) > 3

    def test_neighbours_lower_the_noise(self, rng):
        """Fails where the filters see one frame alone."""
        frames = self.frames(rng, 5, 0.0, 0.3 * self.lattice())
        own, mean, filtered, peaks = np.moveaxis(spectral_series(frames, {})[0], -1, 0)
        truth = 0.3 * self.lattice()
        assert snr_db(mean, truth) > snr_db(frames[0, ..., 0], truth) + 6
        assert snr_db(filtered, truth) > snr_db(own, truth) + 3
        assert snr_db(peaks, truth) > snr_db(own, truth) + 3


class TestFocusEstimates:
    def test_it_refocuses_a_weak_absorber(self):
        """Fails where the wave is propagated further out of focus."""
        # Without a phase, the wave's imaginary part is empty in focus and full out of it.
        x = np.arange(128) - 64
        object_ = 1 - 0.02 * np.exp(-(x[:, None] ** 2 + x[None] ** 2) / 50)
        optics = Optics(0.65, 0.5, None)
        spectrum = np.fft.fft2(object_)
        kernel = transfer_function((128, 128), [30.0], optics)[0]
        measured = np.abs(np.fft.ifft2(spectrum * kernel)) ** 2
        contrast = (measured / measured.mean() - 1).astype(np.float32)[None, :, :, None]
        channels = focus_estimates(contrast, conditions([30.0], optics))[0]
        refocused = channels[..., 0] - channels[..., 0].mean()
        assert np.corrcoef(refocused.ravel(), object_.ravel())[0, 1] > 0.8
        middle = refocused[64, 64] / (object_[64, 64] - object_.mean())
        # Half is the object, the twin image adds little at this distance.
        assert 0.4 < middle < 0.8

    @pytest.mark.parametrize("defocus", [[20.0], [-20.0, 30.0], [5.0, -9.0, 20.0]])
    def test_its_slow_phase_is_that_of_transport_of_intensity(self, defocus, rng):
        """Fails where the slope, the sign or the damping is not that of `tie`."""
        # Periodic, with no margin, the damping is that of tie() at one period in 256 pixels.
        optics = Optics(0.65, 0.31, None, 1.33)
        contrast = 0.1 * rng.standard_normal((48, 64, len(defocus)))
        contrast -= contrast.mean((0, 1))
        expected = tie(contrast, defocus, optics, 1 / (256 * 0.31), boundary="periodic")
        contrast = contrast.astype(np.float32)
        phase = focus_estimates(contrast, conditions(defocus, optics), margin=0)[..., -1]
        np.testing.assert_allclose(phase, expected, atol=1e-4 * np.abs(expected).max())

    def test_a_plane_adds_two_channels_and_any_size_passes(self):
        """Fails where a plane has another number of channels, or an odd size is cut."""
        told = conditions([-5.0, 5.0, 9.0], Optics(0.65, 0.31, None))
        assert focus_estimates(np.zeros((2, 17, 30, 3), np.float32), told, margin=4).shape == (
            2, 17, 30, 7,
        )  # fmt: skip

    def test_no_contrast_gives_no_wave(self):
        """Fails where a flat image gets a wave from its mean or its margin."""
        empty = np.zeros((1, 64, 64, 1), np.float32)
        told = conditions([-50.0], Optics(0.65, 0.31, None))
        np.testing.assert_array_equal(focus_estimates(empty, told), 0)

    @pytest.mark.parametrize("aperture", [None, 0.45])
    @pytest.mark.parametrize("aberration", [0.0, 40.0])
    def test_it_brings_a_wave_back_to_focus(self, aperture, aberration, rng):
        """Against a slow loop in float64: the amplitude's spectrum times the conjugate kernel.

        Fails where aberration or aperture is left out or has a wrong sign.
        """
        optics = Optics(0.65, 0.31, aperture, 1.33, spherical_aberration=aberration)
        contrast = (0.2 * rng.standard_normal((24, 20, 1))).astype(np.float32)
        contrast -= contrast.mean()
        found = focus_estimates(contrast, conditions([40.0], optics), margin=0)
        kernel = reference_transfer_function((24, 20), -40.0, 0.65, 0.31, 1.33)
        f = np.hypot(np.fft.fftfreq(24, 0.31)[:, None], np.fft.fftfreq(20, 0.31)[None])
        kernel = kernel * np.exp(2j * np.pi * aberration * 0.65**3 / 4 * f**4)
        if aperture:
            kernel[f >= aperture / 0.65] = 0
        amplitude = np.sqrt(np.maximum(1 + contrast[..., 0].astype(float), 0)) - 1
        expected = np.fft.ifft2(np.fft.fft2(amplitude) * kernel)
        np.testing.assert_allclose(found[..., 0], expected.real, atol=2e-5)
        np.testing.assert_allclose(found[..., 1], expected.imag, atol=2e-5)


ARGUMENTS = {
    "focus_estimates": ({}, conditions([-20.0, 30.0, 500.0], Optics(0.65, 0.31, 0.45, 1.33)), 3),
    "low_pass": ({}, {}, 1),
    "spectral_series": ({}, {}, 6),
    "spectral_wiener": ({}, {}, 1),
    "screen_estimate": (None, {}, 3),
    "wave_estimates": ({}, conditions([-20.0, 30.0, 500.0], Optics(0.65, 0.31, 0.45, 1.33)), 3),
}


@pytest.mark.parametrize("name", CHANNELS)
def test_training_and_prediction_see_the_same_channels(name, rng):
    """Inside tf.data, with tensors, as on NumPy arrays, one at a time as in a batch.

    Fails where a step is written for one of the engines, or mixes the images of a batch.
    """
    arguments, told, count = ARGUMENTS[name]
    if arguments is None:
        arguments = {k: v for k, v in Reflection().channels.items() if k != "name"}
    images = (0.5 + 0.2 * rng.random((2, 48, 64, count))).astype(np.float32)
    images -= images.mean((1, 2), keepdims=True) if name != "screen_estimate" else 0
    batch = CHANNELS[name](images, told, **arguments)
    for image, expected in zip(images, batch, strict=True):
        found = CHANNELS[name](image, told, **arguments)
        np.testing.assert_allclose(found, expected, atol=1e-5 * max(1, np.abs(expected).max()))
    in_data = tf.data.Dataset.from_tensor_slices(images).map(
        lambda image: CHANNELS[name](image, told, **arguments)
    )
    for found, expected in zip(in_data, batch, strict=True):
        np.testing.assert_allclose(found, expected, atol=2e-5 * max(1, np.abs(expected).max()))


def test_the_instrument_may_differ_from_sample_to_sample(rng):
    """Every condition as a tensor gives what the number gives, in float32.

    Fails where a condition must be a number, or a tensor of it is used otherwise.
    """
    optics = Optics(0.532, 0.16, 0.5, 1.33, 0.002, 20.0)
    told = conditions([-20.0, 30.0], optics)
    contrast = (0.2 * rng.standard_normal((40, 48, 2))).astype(np.float32)
    expected = focus_estimates(contrast, told)
    tensors = {name: tf.constant(value, tf.float32) for name, value in told.items()}
    found = tf.function(focus_estimates)(tf.constant(contrast), tensors)
    np.testing.assert_allclose(found, expected, atol=2e-4 * np.abs(expected).max())


def test_unknown_channels_are_refused():
    """Fails where an unknown name is passed over, or the message does not say it."""
    with pytest.raises(ValueError, match="'magic' are not known"):
        network_input(np.zeros((8, 8, 1)), {"name": "magic"}, {})


def test_the_image_comes_first():
    """Fails where channels stand before the image, or the image is changed."""
    image = np.arange(64.0, dtype=np.float32).reshape(8, 8, 1)
    assert network_input(image, None, {}) is image
    found = network_input(image, {"name": "low_pass"}, {})
    assert found.shape == (8, 8, 5)
    np.testing.assert_array_equal(found[..., :1], image)
