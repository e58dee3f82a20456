import keras
import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf

from mcnn_keras import MCNN, Optics
from mcnn_keras.classical import tie
from mcnn_keras.metrics import snr_db
from mcnn_keras.network import build, discriminator, stride
from mcnn_keras.network.low_pass import LowPass
from mcnn_keras.network.physical import FocusEstimates
from mcnn_keras.network.spectral import SpectralWiener
from mcnn_keras.optics import transfer_function

SMALL = {"filters": (4, 6, 8)}


@pytest.mark.parametrize(
    ("preset", "low", "high", "branches"),
    [
        ("fast", 5e5, 2e6, 6),
        ("light", 2e6, 5e6, 6),
        ("paper", 47.5e6, 52.5e6, 7),
        ("paper-bottleneck", 19e6, 21e6, 3),
    ],
)
def test_presets_are_as_large_as_they_claim(preset, low, high, branches):
    model = MCNN(preset=preset)
    assert low <= model.count_params() <= high
    assert len(model.outputs) == branches + 1
    if preset == "paper-bottleneck":
        assert len(model.layers) >= 200


@pytest.mark.parametrize("cell", ["plain", "resnext", "xception"])
@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("branches", [0, 1, 3])
def test_outputs_halve_from_the_full_size(cell, scale, branches):
    model = MCNN(2, 3, cell=cell, scale=scale, branches=branches, **SMALL)
    outputs = keras.tree.flatten(model(np.zeros((1, 16, 24, 2), np.float32)))
    assert [layer.name for layer in model.layers if layer.name.startswith("output_")]
    assert [tuple(o.shape) for o in outputs] == [
        (1, scale * 16 // 2**m, scale * 24 // 2**m, 3) for m in range(branches + 1)
    ]
    assert stride(model) == 8


@pytest.mark.parametrize("cell", ["plain", "resnext", "xception"])
@pytest.mark.parametrize("normalization", ["none", "batch", "group"])
def test_every_weight_gets_a_gradient(cell, normalization, rng):
    model = MCNN(1, 1, cell=cell, normalization=normalization, branches=3, **SMALL)
    image = rng.standard_normal((2, 16, 16, 1)).astype(np.float32)
    with tf.GradientTape() as tape:
        outputs = model(image, training=True)
        loss = sum(tf.reduce_mean(tf.abs(o - 1.0)) for o in outputs)
    gradients = tape.gradient(loss, model.trainable_variables)
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert gradient is not None, variable.path
    names = " ".join(layer.name for layer in model.layers)
    assert ("_norm" in names) == (normalization != "none")


def test_layer_names_are_stable():
    names = [layer.name for layer in MCNN(1, 1, branches=1, **SMALL).layers]
    for name in ("encoder_3_conv", "decoder_2_up", "output_1", "output_2"):
        assert name in names
    assert "output_3" not in names


def test_the_coarse_outputs_share_the_way_to_the_full_one():
    model = MCNN(1, 1, branches=3, **SMALL)
    unet = MCNN(1, 1, branches=0, **SMALL)
    extra = model.count_params() - unet.count_params()
    heads = sum(model.get_layer(f"output_{m}").count_params() for m in (2, 3, 4))
    assert extra == heads


@pytest.mark.parametrize(
    "arguments",
    [
        {"preset": "huge"},
        {"cell": "dense"},
        {"normalization": "layer"},
        {"scale": 3},
        {"branches": 4},
        {"branches": -1},
        {"first_layer": {"name": "magic"}},
    ],
)
def test_unknown_choices_are_refused(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        MCNN(**{**SMALL, **arguments})


def test_heads_stay_in_float32_under_mixed_precision():
    model = build({"branches": 1, **SMALL}, "bfloat16")
    assert keras.config.dtype_policy().name == "float32"
    outputs = model(np.zeros((1, 8, 8, 1), np.float32))
    assert {o.dtype for o in outputs} == {tf.float32}
    assert model.get_layer("encoder_1_conv").compute_dtype == "bfloat16"


def test_a_new_network_interpolates_without_a_checkerboard(rng):
    model = MCNN(2, 3, preset="fast")
    head = model.get_layer("output_1")
    half = rng.normal(size=(1, 16, 16, 24)).astype("float32")
    answer = head(half).numpy()[0]
    at_half = np.einsum("hwi,oi->hwo", half[0], head.kernel.numpy()[1, 1] / 0.75**2)
    expected = scipy.ndimage.zoom(at_half, (2, 2, 1), order=1, mode="nearest", grid_mode=True)
    assert answer.std() > 0
    np.testing.assert_allclose(answer[1:-1, 1:-1], expected[1:-1, 1:-1], atol=1e-5)


def test_the_discriminator_judges_each_scale():
    judge = discriminator(2, scales=3)
    images = [np.zeros((4, 64 >> k, 64 >> k, 2), np.float32) for k in range(3)]
    assert [tuple(j.shape) for j in judge(images)] == [(4, n, n, 1) for n in (8, 4, 2)]


def test_the_low_pass_layer_blurs_as_the_paper_says(rng):
    image = rng.random((20, 23)).astype(np.float32)
    channels = np.asarray(LowPass()(image[None, ..., None]))[0]
    assert channels.shape == (20, 23, 4)
    for c, size in ((0, 5), (1, 7)):
        expected = scipy.ndimage.uniform_filter(image, size, mode="reflect")
        np.testing.assert_allclose(channels[..., c], expected, atol=1e-5)
    y, x = np.mgrid[-7:8, -7:8]
    for c, width in ((2, np.sqrt(20)), (3, np.sqrt(30))):
        kernel = np.exp(-(y**2 + x**2) / width)
        expected = scipy.ndimage.convolve(image, kernel / kernel.sum(), mode="reflect")
        np.testing.assert_allclose(channels[..., c], expected, atol=1e-5)
    assert not LowPass().trainable_weights


class TestSpectralWiener:
    def test_of_white_noise_it_keeps_little(self, rng):
        noise = rng.normal(0, 1, (4, 64, 96, 1)).astype(np.float32)
        assert np.var(SpectralWiener()(noise)) < 0.15

    def test_it_finds_a_lattice_far_below_the_noise(self, rng):
        y, x = np.mgrid[:128, :192]
        lattice = np.sqrt(0.2) * (np.cos(2 * np.pi * x / 12) + np.cos(2 * np.pi * y / 8)) / 2
        frame = lattice + rng.normal(0, 1, lattice.shape)
        answer = np.asarray(SpectralWiener()(frame[None, ..., None].astype(np.float32)))[0, ..., 0]
        # The noise alone is 13 dB above the lattice; each of its waves stands in two frequencies.
        assert snr_db(answer, lattice) > 0
        spectra = [np.fft.fft2(a)[[0, 16], [16, 0]] for a in (answer, lattice)]
        np.testing.assert_allclose(*spectra, rtol=0.1)

    def test_an_empty_frame_stays_empty(self):
        assert not np.any(SpectralWiener()(np.zeros((1, 32, 64, 1), np.float32)))


class TestFocusEstimates:
    @pytest.mark.parametrize("aperture", [None, 0.45])
    def test_its_transfer_function_is_that_of_the_optics(self, aperture):
        layer = FocusEstimates([-108.0, 500.0], 0.65, 0.31, aperture, 1.33)
        real, imag = layer.transfer_function(40, 52)
        optics = Optics(0.65, 0.31, aperture, 1.33)
        backwards = transfer_function((40, 52), [108.0, -500.0], optics).numpy()
        f = np.hypot(np.fft.fftfreq(40, 0.31)[:, None], np.fft.fftfreq(52, 0.31)[None])
        if aperture:
            backwards[:, f >= aperture / 0.65] = 0
        ours = np.asarray(real) + 1j * np.asarray(imag)
        # Float32 is off by some milliradians only where light travels nearly sideways.
        np.testing.assert_allclose(ours, backwards, atol=1e-3 if aperture else 5e-3)

    def test_it_refocuses_a_weak_absorber(self):
        # Without a phase, the wave's imaginary part is empty in focus and full out of it.
        x = np.arange(128) - 64
        object_ = 1 - 0.02 * np.exp(-(x[:, None] ** 2 + x[None] ** 2) / 50)
        optics = Optics(0.65, 0.5, None)
        spectrum = np.fft.fft2(object_)
        kernel = transfer_function((128, 128), [30.0], optics).numpy()[0]
        measured = np.abs(np.fft.ifft2(spectrum * kernel)) ** 2
        contrast = (measured / measured.mean() - 1).astype(np.float32)[None, :, :, None]
        channels = np.asarray(FocusEstimates([30.0], 0.65, 0.5)(contrast))[0]
        refocused = channels[..., 0] - channels[..., 0].mean()
        assert np.corrcoef(refocused.ravel(), object_.ravel())[0, 1] > 0.8
        middle = refocused[64, 64] / (object_[64, 64] - object_.mean())
        # Half is the object, the twin image adds little at this distance.
        assert 0.4 < middle < 0.8

    @pytest.mark.parametrize("defocus", [[20.0], [-20.0, 30.0], [5.0, -9.0, 20.0]])
    def test_its_slow_phase_is_that_of_transport_of_intensity(self, defocus, rng):
        # Periodic, with no margin, the damping is that of tie() at one period in 256 pixels.
        optics = Optics(0.65, 0.31, None, 1.33)
        contrast = 0.1 * rng.standard_normal((48, 64, len(defocus)))
        contrast -= contrast.mean((0, 1))
        expected = tie(contrast, defocus, optics, 1 / (256 * 0.31), boundary="periodic")
        layer = FocusEstimates(defocus, 0.65, 0.31, None, 1.33, margin=0)
        phase = np.asarray(layer(contrast[None].astype(np.float32)))[0, ..., -1]
        np.testing.assert_allclose(phase, expected, atol=1e-4 * np.abs(expected).max())

    def test_a_plane_adds_two_channels_and_any_size_passes(self):
        layer = FocusEstimates([-5.0, 5.0, 9.0], 0.65, 0.31, margin=4)
        assert layer(np.zeros((2, 17, 30, 3), np.float32)).shape == (2, 17, 30, 7)
        assert layer.compute_output_shape((None, None, None, 3)) == (None, None, None, 7)

    def test_no_contrast_gives_no_wave(self):
        layer = FocusEstimates([-50.0], 0.65, 0.31)
        np.testing.assert_array_equal(layer(np.zeros((1, 64, 64, 1), np.float32)), 0)
