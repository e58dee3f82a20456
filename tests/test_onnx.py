"""Fail where an exported network answers otherwise, or needs TensorFlow."""

import subprocess
import sys

import numpy as np
import pytest

from mcnn_keras import InputError, load, predict
from mcnn_keras.models import Channels, ModelCard, Normalization, Output
from mcnn_keras.models.onnx import OnnxModel, export, serialized
from mcnn_keras.network import build

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def test_onnx_answers_as_tensorflow_does(exported, trained, rng):
    """Fails where the card, or the padding to the network's stride, is lost in the file."""
    model = load(exported)
    assert model.card == trained.model.card
    for shape in ((64, 64), (50, 61)):
        image = rng.random(shape).astype(np.float32) + 1
        ours, theirs = predict(model, image), predict(trained.model, image)
        np.testing.assert_allclose(ours, theirs, atol=1e-4 * np.abs(theirs).max())


@pytest.mark.parametrize("cell", ["plain", "resnext", "xception"])
@pytest.mark.parametrize("normalization", ["none", "batch", "group"])
def test_every_cell_is_exported(cell, normalization, tmp_path, rng):
    """Fails where the weights, padding or statistics of one kind of layer are exported wrongly."""
    arguments = {"filters": (4, 8), "cell": cell, "normalization": normalization, "branches": 1}
    arguments = {"input_channels": 2, "output_channels": 3, "scale": 2, **arguments}
    model = build(arguments)
    model.set_weights([rng.standard_normal(w.shape) ** 2 * 0.3 for w in model.get_weights()])
    outputs = tuple(Output(n) for n in "abc")
    model.card = ModelCard(
        "mine", {}, Channels(2), outputs, Normalization(), arguments, {"image_size": 16}
    )
    export(model, tmp_path / "m.onnx")
    image = rng.standard_normal((2, 16, 24, 2)).astype(np.float32)
    theirs = model(image, training=False)[0].numpy()
    ours = OnnxModel(tmp_path / "m.onnx").compute(image)
    np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max())


def test_a_gate_is_exported(tmp_path, rng):
    """Fails where the gate of a network that `MCNN` built is exported wrongly."""
    arguments = {"input_channels": 3, "filters": (4, 8), "branches": 1, "gated": True}
    model = build(arguments)
    model.set_weights([w + 0.1 * rng.standard_normal(w.shape) for w in model.get_weights()])
    network = {**arguments, "output_channels": 1, "scale": 1}
    model.card = ModelCard(
        "mine", {}, Channels(3), (Output("a"),), Normalization(), network, {"image_size": 16}
    )
    export(model, tmp_path / "m.onnx")
    image = rng.standard_normal((2, 24, 32, 3)).astype(np.float32)
    theirs = model(image, training=False)[0].numpy()
    ours = OnnxModel(tmp_path / "m.onnx").compute(image)
    np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max())


def test_tensorflow_is_never_imported(exported, tmp_path, rng):
    """Fails where prediction with an ONNX file imports TensorFlow or Keras."""
    np.save(tmp_path / "a.npy", rng.random((40, 40)) + 1)
    code = (
        "import sys\n"
        "from mcnn_keras.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as e: assert not e.code, e.code\n"
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules\n"
    )
    arguments = ["predict", exported, tmp_path / "a.npy", "--output", tmp_path / "b.npy"]
    subprocess.run([sys.executable, "-c", code, *map(str, arguments)], check=True)
    np.testing.assert_allclose(
        np.load(tmp_path / "b.npy"), predict(load(exported), np.load(tmp_path / "a.npy")), atol=1e-6
    )


def test_what_is_no_exported_model_is_refused(tmp_path, trained):
    """Fails where a missing or damaged file gives another exception, or a .h5 is exported to."""
    (tmp_path / "text.onnx").write_text("no model")
    for name, message in (("none.onnx", "not there"), ("text.onnx", "damaged or not an ONNX file")):
        with pytest.raises(InputError, match=message):
            load(tmp_path / name)
    with pytest.raises(InputError, match=r"\.onnx"):
        export(trained.model, tmp_path / "model.h5")


def gated(policy="float32"):
    """A network of layers that meet in pairs: a + gate * (y - a), from an input of two channels."""
    import keras
    from keras import layers

    image = keras.Input((None, None, 2), name="input")
    settings = {"padding": "same", "dtype": policy}
    x = layers.Conv2D(4, 4, strides=2, name="encoder_1_conv", **settings)(image)
    x = layers.LeakyReLU(0.2, dtype=policy)(x)
    up = {"strides": 2, **settings}
    gate = layers.Conv2DTranspose(1, 4, **up)(x)
    gate = layers.Activation("sigmoid", dtype=policy)(gate)
    own = layers.Conv2DTranspose(2, 4, activation="sigmoid", **up)(x)  # within the layer
    difference = layers.Subtract(dtype=policy)([image, own])
    answer = layers.Add(dtype="float32", name="output_1")(
        [own, layers.Multiply(dtype=policy)([gate, difference])]
    )
    model = keras.Model(image, [answer])
    network = {"input_channels": 2, "output_channels": 2, "scale": 1}
    outputs = (Output("a"), Output("b"))
    model.card = ModelCard(
        "mine", {}, Channels(2), outputs, Normalization(), network, {"image_size": 16}
    )
    return model


def test_a_gated_skip_is_exported(tmp_path, rng):
    """Fails where a difference is exported the wrong way round, or an activation is left out."""
    model = gated()
    model.set_weights([rng.standard_normal(w.shape) for w in model.get_weights()])
    export(model, tmp_path / "m.onnx")
    image = rng.standard_normal((2, 16, 24, 2)).astype(np.float32)
    theirs = model(image, training=False).numpy()
    ours = OnnxModel(tmp_path / "m.onnx").compute(image)
    np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max())
    # One that computes in bfloat16 is exported with the same weights.
    for policy in ("mixed_bfloat16", "bfloat16"):
        rounded = gated(policy)
        rounded.set_weights(model.get_weights())
        again = OnnxModel(serialized(rounded)).compute(image)
        np.testing.assert_allclose(again, ours, atol=1e-5 if policy[0] == "m" else 0.1)


def test_a_layer_that_cannot_be_exported_is_named(tmp_path):
    """Fails where an unknown layer ends in a traceback, or an activation is passed over."""
    import keras

    model = gated()
    for odd, message in (
        (keras.layers.MaxPooling2D(1, name="odd"), r"layer odd \(MaxPooling2D\) has no ONNX"),
        (keras.layers.Conv2D(2, 1, activation="selu", name="odd"), "activation selu of .* odd"),
    ):
        changed = keras.Model(model.inputs, [odd(model.outputs[0])])
        changed.card = model.card
        with pytest.raises(InputError, match=message):
            export(changed, tmp_path / "m.onnx")
    changed = keras.Model(model.inputs, [model.outputs[0] + 1])  # no layer at all
    changed.card = model.card
    with pytest.raises(InputError, match="no ONNX counterpart"):
        export(changed, tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())
