"""Models as ONNX files: to export them, and to run them without TensorFlow.

A .onnx file holds the network, to the full-size output alone, and the model's card in its metadata.
Normalisation and fixed channels are computed outside, as for every engine.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, reason
from .card import parsed_card

KEY, STRIDE_KEY = "mcnn_keras", "mcnn_keras_stride"
OPSET = 21


class OnnxModel:
    """An exported model, computed by ONNX Runtime; an engine of `mcnn_keras.predict`.

    Parameters
    ----------
    path : str or Path

    Raises
    ------
    InputError
        If the file is missing, damaged or not exported by this package, or ONNX Runtime is not
        installed.
    """

    def __init__(self, path: str | Path) -> None:
        path = Path(path)
        if not path.is_file():
            raise InputError(f"the model {path} is not there; give the name of a .onnx file")
        try:
            import onnxruntime
        except ImportError:
            raise InputError(f"{path} needs ONNX Runtime; pip install 'mcnn-keras[onnx]'") from None
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), providers=onnxruntime.get_available_providers()
            )
            told = self._session.get_modelmeta().custom_metadata_map
        except Exception as error:  # ONNX Runtime's own kinds are not public
            raise InputError(f"{path} is damaged or no ONNX file ({reason(error)})") from None
        if KEY not in told:
            raise InputError(
                f"{path} was not written by mcnn-keras (it has no card); give a .onnx that "
                "`mcnn-keras export` made"
            )
        self.card, self.stride = parsed_card(told[KEY], path), int(told[STRIDE_KEY])

    def compute(self, batch: np.ndarray) -> np.ndarray:
        """(batch, height, width, channels), float32, to the same of the network's output."""
        return self._session.run(None, {"input": np.asarray(batch, np.float32)})[0]


def export(model: Any, path: str | Path) -> None:
    """Write a model as an ONNX file with its card.

    Parameters
    ----------
    model : keras.Model
        From `mcnn_keras.load` or a training run, in float32.
    path : str or Path
        A name ending in .onnx; the file appears whole or not at all.

    Raises
    ------
    InputError
        If the name is wrong or the package onnx is not installed.
    """
    path = Path(path)
    if path.suffix != ".onnx":
        raise InputError(f"{path} does not end in .onnx; name the file like denoise.onnx")
    try:
        import onnx
    except ImportError:
        raise InputError(
            "exporting needs the package onnx; pip install 'mcnn-keras[onnx]'"
        ) from None
    from ..files import replacing
    from ..network import stride

    file = onnx.helper.make_model(
        _Graph(model, onnx).graph,
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=10,
        producer_name="mcnn-keras",
    )
    onnx.helper.set_model_props(file, {KEY: model.card.to_json(), STRIDE_KEY: str(stride(model))})
    onnx.checker.check_model(file, full_check=True)
    with replacing(path) as part:
        onnx.save(file, part)


class _Graph:
    """The nodes of the full-size output, made from a Keras model's layers, channels first."""

    def __init__(self, model: Any, onnx: Any) -> None:
        self.onnx = onnx
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self.names: dict[int, str] = {}
        makers = {
            "Conv2D": self._conv, "Conv2DTranspose": self._transposed, "Concatenate": self._join,
            "LeakyReLU": self._leaky, "Add": self._add, "BatchNormalization": self._batch_norm,
            "GroupNormalization": self._group_norm, "SeparableConv2D": self._separable,
        }  # fmt: skip
        first = model.layers[0]
        self.names[id(first.output)] = "channels_first"
        self._node("Transpose", ["input"], "channels_first", perm=[0, 3, 1, 2])
        needed = _needed(model.outputs[0], stop=first)
        for layer in model.layers:
            if layer in needed:
                inputs = layer.input if isinstance(layer.input, list) else [layer.input]
                self.names[id(layer.output)] = layer.name
                makers[type(layer).__name__](layer, [self.names[id(t)] for t in inputs])
        self._node("Transpose", [self.names[id(model.outputs[0])]], "output", perm=[0, 2, 3, 1])
        channels = first.output.shape[-1]
        self.graph = onnx.helper.make_graph(
            self.nodes,
            model.name,
            [self._value("input", channels)],
            [self._value("output", model.outputs[0].shape[-1])],
            self.weights,
        )

    def _value(self, name: str, channels: int) -> Any:
        kind = self.onnx.TensorProto.FLOAT
        shape = ["batch", f"{name}_height", f"{name}_width", channels]
        return self.onnx.helper.make_tensor_value_info(name, kind, shape)

    def _node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> None:
        node = self.onnx.helper.make_node(kind, inputs, [output], name=output, **attributes)
        self.nodes.append(node)

    def _weight(self, name: str, array: np.ndarray) -> str:
        array = np.ascontiguousarray(array, np.float32)
        self.weights.append(self.onnx.numpy_helper.from_array(array, name))
        return name

    def _conv(self, layer: Any, inputs: list[str]) -> None:
        kernel, bias = layer.get_weights()
        inputs = [*inputs, self._weight(f"{layer.name}_kernel", kernel.transpose(3, 2, 0, 1)),
                  self._weight(f"{layer.name}_bias", bias)]  # fmt: skip
        self._node("Conv", inputs, layer.name, strides=list(layer.strides), auto_pad="SAME_UPPER")

    def _transposed(self, layer: Any, inputs: list[str]) -> None:
        kernel, bias = layer.get_weights()
        cut = (kernel.shape[0] - layer.strides[0]) // 2  # what 'same' padding cuts off
        inputs = [*inputs, self._weight(f"{layer.name}_kernel", kernel.transpose(3, 2, 0, 1)),
                  self._weight(f"{layer.name}_bias", bias)]  # fmt: skip
        self._node("ConvTranspose", inputs, layer.name, strides=list(layer.strides), pads=[cut] * 4)

    def _separable(self, layer: Any, inputs: list[str]) -> None:
        depthwise, pointwise, bias = layer.get_weights()
        each = self._weight(f"{layer.name}_depthwise", depthwise.transpose(2, 3, 0, 1))
        self._node("Conv", [*inputs, each], f"{layer.name}_apart", group=depthwise.shape[2],
                   auto_pad="SAME_UPPER")  # fmt: skip
        inputs = [f"{layer.name}_apart",
                  self._weight(f"{layer.name}_pointwise", pointwise.transpose(3, 2, 0, 1)),
                  self._weight(f"{layer.name}_bias", bias)]  # fmt: skip
        self._node("Conv", inputs, layer.name)

    def _join(self, layer: Any, inputs: list[str]) -> None:
        self._node("Concat", inputs, layer.name, axis=1)

    def _add(self, layer: Any, inputs: list[str]) -> None:
        self._node("Add", inputs, layer.name)

    def _leaky(self, layer: Any, inputs: list[str]) -> None:
        self._node("LeakyRelu", inputs, layer.name, alpha=float(layer.negative_slope))

    def _batch_norm(self, layer: Any, inputs: list[str]) -> None:
        names = ("gamma", "beta", "mean", "variance")
        arrays = zip(names, layer.get_weights(), strict=True)
        inputs = [*inputs, *(self._weight(f"{layer.name}_{n}", a) for n, a in arrays)]
        self._node("BatchNormalization", inputs, layer.name, epsilon=layer.epsilon)

    def _group_norm(self, layer: Any, inputs: list[str]) -> None:
        gamma, beta = layer.get_weights()
        inputs = [*inputs, self._weight(f"{layer.name}_gamma", gamma),
                  self._weight(f"{layer.name}_beta", beta)]  # fmt: skip
        self._node("GroupNormalization", inputs, layer.name, num_groups=layer.groups,
                   epsilon=layer.epsilon)  # fmt: skip


def _needed(output: Any, stop: Any) -> set[Any]:
    """The layers that a tensor is made of, back to one that is not counted."""
    found, waiting = set(), [output]
    while waiting:
        layer = waiting.pop()._keras_history.operation
        if layer is stop or layer in found:
            continue
        found.add(layer)
        waiting += layer.input if isinstance(layer.input, list) else [layer.input]
    return found
