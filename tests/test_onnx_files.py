"""Fail where an .onnx file that this package did not write is computed, or reads other files."""

import json
from pathlib import Path

import numpy as np
import pytest

from mcnn_keras import InputError, load
from mcnn_keras.models.onnx import KEY, STRIDE_KEY, export
from mcnn_keras.models.onnx_file import DIGEST

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
MODELS = Path(__file__).parent / "data" / "models"


def note(file, key, value):
    for told in file.metadata_props:
        if told.key == key:
            told.value = value


def external(file):
    tensor = file.graph.initializer[0]
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret")
    tensor.ClearField("raw_data")


def declared(file):
    file.graph.initializer[0].dims[0] = 2**40


def nan(file):
    tensor = file.graph.initializer[0]
    values = np.frombuffer(tensor.raw_data, np.float32).copy()
    values[0] = np.nan
    tensor.raw_data = values.tobytes()


def foreign(file):
    file.graph.node[0].op_type = "Loop"


def own_domain(file):
    file.graph.node[0].domain = "com.example"


def huge_pads(file):
    node = next(n for n in file.graph.node if n.op_type == "ConvTranspose")
    next(a for a in node.attribute if a.name == "pads").ints[0] = 2**31


def odd_stride(file):
    note(file, STRIDE_KEY, "__import__")


def odd_card(file):
    note(file, KEY, json.dumps({"format": 2}))


def other_channels(file):
    file.graph.input[0].type.tensor_type.shape.dim[3].dim_value = 7


DAMAGE = {
    "weights in another file": (external, "lie in another file"),
    "a size of terabytes": (declared, "not as many as declared"),
    "NaN": (nan, "NaN or infinity"),
    "another layer": (foreign, "a layer 'Loop', which this package never writes"),
    "an operator of its own": (own_domain, "never writes"),
    "huge pads": (huge_pads, "an odd 'pads'"),
    "an odd stride": (odd_stride, "its stride is '__import__'"),
    "half a card": (odd_card, "is missing"),
    "other channels": (other_channels, "."),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_what_this_package_never_writes_is_refused(kind, tmp_path):
    """Fails where another file is read, terabytes are taken or NaN becomes an answer."""
    damage, message = DAMAGE[kind]
    file = onnx.load_model(MODELS / "denoise.onnx")
    damage(file)
    (tmp_path / "model.onnx").write_bytes(file.SerializeToString())
    (tmp_path.parent / "secret").write_bytes(bytes(10**6))
    with pytest.raises(InputError, match=message) as caught:
        load(tmp_path / "model.onnx")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("what", ["weight", "card", "layer"])
def test_what_is_not_as_it_was_exported_is_refused(what, tmp_path):
    """Fails where a flipped bit changes an answer without a word."""
    export(load(MODELS / "format_2_frames.h5"), tmp_path / "model.onnx")
    file = onnx.load_model(tmp_path / "model.onnx")
    assert DIGEST in {told.key for told in file.metadata_props}
    if what == "weight":
        tensor = file.graph.initializer[0]
        values = np.frombuffer(tensor.raw_data, np.float32) * np.float32(1.001)
        tensor.raw_data = values.tobytes()
    elif what == "card":
        text = next(told.value for told in file.metadata_props if told.key == KEY)
        note(file, KEY, text.replace('"outliers": 0.001', '"outliers": 0.003'))
    else:
        node = next(n for n in file.graph.node if n.op_type == "LeakyRelu")
        node.attribute[0].f = 0.3
    (tmp_path / "model.onnx").write_bytes(file.SerializeToString())
    with pytest.raises(InputError, match="not those that were exported"):
        load(tmp_path / "model.onnx")
