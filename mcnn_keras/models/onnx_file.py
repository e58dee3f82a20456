"""What an exported .onnx file may hold: the layers that `onnx.export` writes, and nothing else.

ONNX Runtime would read weights from other files of the machine, and compute whatever a graph says.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from .weights import digest

DIGEST = "mcnn_keras_digest"
LAYERS = (
    "Add", "AveragePool", "BatchNormalization", "Concat", "Conv", "ConvTranspose",
    "GroupNormalization", "Identity", "LeakyRelu", "Mul", "Relu", "Sigmoid", "Softsign", "Sub",
    "Tanh", "Transpose",
)  # fmt: skip
# Of the attributes of these layers: strides, kernels and what is cut off are small; groups are as
# many as channels.
NUMBERS = {"strides": 64, "kernel_shape": 64, "pads": 64, "perm": 3, "axis": 1, "group": 2**14,
           "num_groups": 2**14}  # fmt: skip
OTHERS = ("alpha", "auto_pad", "epsilon")
LARGEST = 2**31


def require_plain(content: bytes) -> Any:
    """The parsed file, of layers that this package exports, its weights in itself.

    Parameters
    ----------
    content : bytes
        Of the file.

    Raises
    ------
    ValueError
        If it holds anything else, or is damaged.
    """
    import onnx

    if len(content) > LARGEST:
        raise ValueError(f"it has {len(content)} bytes")
    try:
        file = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's own kinds are not public
        raise ValueError(str(error)) from None
    graph = file.graph
    _require_texts(file)
    if [o.domain for o in file.opset_import] != [""] or file.functions or file.training_info:
        raise ValueError("it holds operators of its own")
    if graph.sparse_initializer or graph.quantization_annotation:
        raise ValueError("its weights are sparse or quantised")
    for tensor in graph.initializer:
        _require_whole(tensor, onnx)
    for node in graph.node:
        _require_known(node, onnx)
    ends = [[value.name for value in values] for values in (graph.input, graph.output)]
    if ends != [["input"], ["output"]]:
        raise ValueError("it does not take input and give output")
    return file


def require_channels(file: Any, network: Mapping[str, Any]) -> None:
    """Refuse a graph whose input or output has other channels than its card tells."""
    for values, name in ((file.graph.input, "input"), (file.graph.output, "output")):
        sizes = values[0].type.tensor_type.shape.dim
        if len(sizes) != 4 or sizes[3].dim_value != network[f"{name}_channels"]:
            raise ValueError(f"its {name} has other channels than its card tells")


def digest_of(file: Any, *texts: str) -> str:
    """The digest of a file's weights, its layers and further texts."""
    import onnx

    arrays = {t.name: onnx.numpy_helper.to_array(t) for t in file.graph.initializer}
    layers = hashlib.sha256()
    for node in file.graph.node:
        told = sorted((a.name, onnx.helper.get_attribute_value(a)) for a in node.attribute)
        layers.update(repr((node.op_type, list(node.input), list(node.output), told)).encode())
    return digest(arrays, layers.hexdigest(), *texts)


def _require_texts(file: Any) -> None:
    """Names that are no UTF-8 show as soon as they are read: ONNX Runtime would stumble later."""
    told = [file.producer_name, file.producer_version, file.doc_string, file.graph.name]
    told += [text for prop in file.metadata_props for text in (prop.key, prop.value)]
    told += [text for n in file.graph.node for text in (n.name, *n.input, *n.output)]
    if any(len(text) > 2**24 for text in told):
        raise ValueError("it holds a text without end")


def _require_whole(tensor: Any, onnx: Any) -> None:
    if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
        raise ValueError(f"its weights {tensor.name[:80]} lie in another file")
    if tensor.data_type != onnx.TensorProto.FLOAT or len(tensor.dims) > 4:
        raise ValueError(f"its weights {tensor.name[:80]} are not in float32")
    if any(d < 1 for d in tensor.dims) or 4 * math.prod(tensor.dims) != len(tensor.raw_data):
        raise ValueError(f"its weights {tensor.name[:80]} are not as many as declared")
    if not np.isfinite(np.frombuffer(tensor.raw_data, "<f4")).all():
        raise ValueError(f"its weights {tensor.name[:80]} hold NaN or infinity")


def _require_known(node: Any, onnx: Any) -> None:
    if node.domain or node.op_type not in LAYERS:
        raise ValueError(f"it has a layer {node.op_type[:80]!r}, which this package never writes")
    for attribute in node.attribute:
        value = onnx.helper.get_attribute_value(attribute)
        if attribute.name in NUMBERS:
            values = value if isinstance(value, (list, tuple)) else [value]
            most = NUMBERS[attribute.name]
            good = len(values) <= 8 and all(isinstance(v, int) and 0 <= v <= most for v in values)
        else:
            good = attribute.name in OTHERS and isinstance(value, (float, bytes))
            good = good and (isinstance(value, bytes) or math.isfinite(value))
        if not good:
            raise ValueError(f"a layer {node.op_type} has an odd {attribute.name[:80]!r}")
