"""Fail where a network has other sizes, names or outputs than promised, or never learns."""

import keras
import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf

from mcnn_keras import MCNN
from mcnn_keras.network import build, discriminator, stride

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
    """Fails where a preset has another size or another number of outputs."""
    model = MCNN(preset=preset)
    assert low <= model.count_params() <= high
    assert len(model.outputs) == branches + 1
    if preset == "paper-bottleneck":
        assert len(model.layers) >= 200


@pytest.mark.parametrize("cell", ["plain", "resnext", "xception"])
@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("branches", [0, 1, 3])
def test_outputs_halve_from_the_full_size(cell, scale, branches):
    """Fails where an output has the wrong size, channels or place, or the stride is wrong."""
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
    """Fails where a layer does not lead to an output, or the normalisation is left out."""
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
    """Fails where layers that other code refers to are renamed."""
    names = [layer.name for layer in MCNN(1, 1, branches=1, **SMALL).layers]
    for name in ("encoder_3_conv", "decoder_2_up", "output_1", "output_2"):
        assert name in names
    assert "output_3" not in names


def test_the_coarse_outputs_share_the_way_to_the_full_one():
    """Fails where a coarse output has more weights of its own than one layer."""
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
    ],
)
def test_unknown_choices_are_refused(arguments):
    """Fails where an unknown choice is taken, or the message does not name the argument."""
    with pytest.raises(ValueError, match=next(iter(arguments))):
        MCNN(**{**SMALL, **arguments})


def test_heads_stay_in_float32_under_mixed_precision():
    """Fails where outputs are in bfloat16, other layers are not, or the policy stays set."""
    model = build({"branches": 1, **SMALL}, "bfloat16")
    assert keras.config.dtype_policy().name == "float32"
    outputs = model(np.zeros((1, 8, 8, 1), np.float32))
    assert {o.dtype for o in outputs} == {tf.float32}
    assert model.get_layer("encoder_1_conv").compute_dtype == "bfloat16"


def test_a_new_network_interpolates_without_a_checkerboard(rng):
    """Fails where the first weights of the upsampling are not those of bilinear interpolation."""
    model = MCNN(2, 3, preset="fast")
    head = model.get_layer("output_1")
    half = rng.normal(size=(1, 16, 16, 24)).astype("float32")
    answer = head(half).numpy()[0]
    at_half = np.einsum("hwi,oi->hwo", half[0], head.kernel.numpy()[1, 1] / 0.75**2)
    expected = scipy.ndimage.zoom(at_half, (2, 2, 1), order=1, mode="nearest", grid_mode=True)
    assert answer.std() > 0
    np.testing.assert_allclose(answer[1:-1, 1:-1], expected[1:-1, 1:-1], atol=1e-5)


@pytest.mark.parametrize("full_size_filters", [0, 4])
def test_a_gate_lets_good_pixels_through(full_size_filters, rng):
    """Fails where what the answer hardly changes is not let through, or what it changes much is."""
    model = MCNN(2, 1, gated=True, full_size_filters=full_size_filters, **SMALL)
    smooth = scipy.ndimage.gaussian_filter(rng.normal(size=(64, 64)), 4)
    image = np.zeros((1, 64, 64, 2), np.float32)
    image[0, ..., 0] = 5 * smooth
    ungated = keras.Model(model.input, model.get_layer("output_1").output)
    gate = keras.Model(model.input, model.get_layer("gate_1_act").output)
    head = model.get_layer("output_1")
    head.set_weights([0 * w for w in head.get_weights()])
    # The answer is zero: a faint image passes, a strong one does not.
    assert not np.any(ungated(image))
    faint = 0.02 * image / image.std()
    np.testing.assert_allclose(model(faint)[0][..., 0], faint[..., 0], atol=0.05 * faint.max())
    strong = 10 * image / image[..., 0].std()
    assert np.median(gate(strong)) < 0.05
    with pytest.raises(ValueError, match="gated"):
        MCNN(2, 1, gated=True, scale=2, **SMALL)


def test_a_gate_begins_with_half_of_an_estimate_in_the_answers_units(rng):
    """Fails where an estimate is shut out, or a channel passes as an output of another unit."""
    model = MCNN(3, 2, gated=True, scaled_by=(2, None), **SMALL)
    head = model.get_layer("output_1")
    head.set_weights([0 * w for w in head.get_weights()])
    image = rng.normal(size=(1, 32, 32, 3)).astype(np.float32)
    image[..., 2] = 0.1
    phase, amplitude = np.moveaxis(np.asarray(model(image)[0]), -1, 0)
    share = phase / (0.1 * image[..., 0])
    assert share.min() > 0.45
    assert share.max() < 1
    assert not amplitude.any()


def test_answers_are_multiplied_by_channels_of_the_input(rng):
    """Fails where an output is not in the units of its channel, or another one is."""
    keras.utils.set_random_seed(0)
    model = MCNN(3, 2, scaled_by=(2, None), **SMALL)
    keras.utils.set_random_seed(0)
    plain = MCNN(3, 2, **SMALL)
    image = rng.random((2, 32, 32, 3)).astype(np.float32)
    image[..., 2] = np.array([0.5, 3.0])[:, None, None]
    for found, expected in zip(model(image), plain(image), strict=True):
        factors = np.stack([[0.5, 3.0], [1.0, 1.0]], axis=-1)[:, None, None]
        np.testing.assert_allclose(found, expected * factors, rtol=1e-4, atol=1e-6)
    trained = {v.path for v in model.trainable_variables}
    assert not any("scales" in path for path in trained)


def test_the_discriminator_judges_each_scale():
    """Fails where a scale is not judged, or its map has another size."""
    judge = discriminator(2, scales=3)
    images = [np.zeros((4, 64 >> k, 64 >> k, 2), np.float32) for k in range(3)]
    assert [tuple(j.shape) for j in judge(images)] == [(4, n, n, 1) for n in (8, 4, 2)]
