"""Models as ONNX files: export them, and run them without TensorFlow.

A .onnx file contains the network up to the full-size output, and the model's card in its metadata.
Normalisation and fixed channels are computed outside, as for every engine.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, reason
from . import onnx_file
from .card import parsed_card
from .finite import finite

KEY, STRIDE_KEY = "mcnn_keras", "mcnn_keras_stride"
OPSET = 21
STRIDES = tuple(str(2**k) for k in range(17))
# Keras activations, and their names in ONNX.
ACTIVATIONS = {"sigmoid": "Sigmoid", "relu": "Relu", "tanh": "Tanh", "softsign": "Softsign"}


def usable_cores() -> int:
    """The processor cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class OnnxModel:
    """An exported model, computed by ONNX Runtime; an engine of `mcnn_keras.predict`.

    Parameters
    ----------
    source : str, Path or bytes
        A file, or the result of `serialized`.
    own : bool
        Whether this program made it, so that its layers need no check.

    Attributes
    ----------
    notes : dict
        The file's metadata, including the card.

    Raises
    ------
    InputError
        If the file is missing, damaged or not exported by this package, or ONNX Runtime is not
        installed.
    """

    name, precision = "onnxruntime", "float32"

    def __init__(self, source: str | Path | bytes, own: bool = False) -> None:
        path = Path("the exported network" if isinstance(source, bytes) else source)
        if not isinstance(source, bytes) and not path.is_file():
            raise InputError(f"the model {path} is not there; give the name of a .onnx file")
        try:
            import onnxruntime
        except ImportError:
            raise InputError(f"{path} needs ONNX Runtime; run pip install onnxruntime") from None
        content = source if isinstance(source, bytes) else path.read_bytes()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = usable_cores()
        try:
            file = None if own else onnx_file.require_plain(content)
            self._session = onnxruntime.InferenceSession(
                content, options, providers=onnxruntime.get_available_providers()
            )
            self.notes = dict(self._session.get_modelmeta().custom_metadata_map)
        except Exception as error:  # ONNX Runtime's exception classes are not public
            raise InputError(f"{path} is damaged or not an ONNX file ({reason(error)})") from None
        if KEY not in self.notes:
            raise InputError(
                f"{path} was not written by mcnn-keras (it has no card); give a .onnx that "
                "`mcnn-keras export` made"
            )
        self.card = parsed_card(self.notes[KEY], path)
        self._path = path
        self.stride = self._checked(file)

    def _checked(self, file: Any) -> int:
        """The stride that the file tells, once all of it fits together."""
        told = self.notes.get(STRIDE_KEY, "")
        try:
            if told not in STRIDES:
                raise ValueError(f"its stride is {told[:40]!r}")
            if file is not None:
                onnx_file.require_channels(file, self.card.network)
                expected = self.notes.get(onnx_file.DIGEST)
                parts = (self.notes[KEY], told)
                if expected is not None and expected != onnx_file.digest_of(file, *parts):
                    raise ValueError("its card or its weights are not those that were exported")
        except ValueError as error:
            raise InputError(
                f"{self._path} is damaged ({reason(error)}); export it again"
            ) from None
        return int(told)

    def compute(self, batch: np.ndarray) -> np.ndarray:
        """The network's output for a batch; both (batch, height, width, channels), float32."""
        try:
            answer = self._session.run(None, {"input": np.asarray(batch, np.float32)})[0]
        except Exception as error:  # ONNX Runtime's own kinds are not public
            raise InputError(
                f"{self._path} cannot compute images of {np.shape(batch)} ({reason(error)})"
            ) from None
        return finite(answer)


def export(model: Any, path: str | Path) -> None:
    """Write a model as an ONNX file with its card.

    Parameters
    ----------
    model : keras.Model
        From `mcnn_keras.load` or a training run, in float32.
    path : str or Path
        A name ending in .onnx; the file is written completely or not at all.

    Raises
    ------
    InputError
        If the name is wrong, or as `serialized`.
    """
    path = Path(path)
    if path.suffix != ".onnx":
        raise InputError(f"{path} does not end in .onnx; give a name like denoise.onnx")
    from ..files import replacing

    content = serialized(model)
    with replacing(path) as part:
        part.write_bytes(content)


def serialized(model: Any, **notes: str) -> bytes:
    """The content of the file that `export` writes.

    Parameters
    ----------
    model : keras.Model
        As for `export`.
    **notes
        Further metadata.

    Raises
    ------
    InputError
        If the network has a layer that cannot be exported, or the package onnx is not installed.
    """
    try:
        import onnx
    except ImportError:
        raise InputError("exporting needs the package onnx; run pip install onnx") from None
    from ..network import stride

    file = onnx.helper.make_model(
        _Graph(model, onnx).graph,
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=10,
        producer_name="mcnn-keras",
    )
    told = {KEY: model.card.to_json(), STRIDE_KEY: str(stride(model)), **notes}
    told[onnx_file.DIGEST] = onnx_file.digest_of(file, told[KEY], told[STRIDE_KEY])
    onnx.helper.set_model_props(file, told)
    onnx.checker.check_model(file, full_check=True)
    return file.SerializeToString()


class _Graph:
    """The nodes of the full-size output, made from a Keras model's layers, channels first."""

    def __init__(self, model: Any, onnx: Any) -> None:
        self.onnx = onnx
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self.names: dict[int, str] = {}
        makers = {
            "Conv2D": self._conv, "Conv2DTranspose": self._transposed, "Concatenate": self._join,
            "LeakyReLU": self._leaky, "BatchNormalization": self._batch_norm,
            "GroupNormalization": self._group_norm, "SeparableConv2D": self._separable,
            "Add": self._pairwise("Add"), "Subtract": self._pairwise("Sub"),
            "Multiply": self._pairwise("Mul"), "Activation": self._activation,
            "AveragePooling2D": self._average, "Rescaling": self._rescaled,
        }  # fmt: skip
        first = model.layers[0]
        self.names[id(first.output)] = "channels_first"
        self._node("Transpose", ["input"], "channels_first", perm=[0, 3, 1, 2])
        needed = _needed(model.outputs[0], stop=first)
        for layer in needed:
            if type(layer).__name__ not in makers or layer not in model.layers:
                raise InputError(
                    f"the layer {layer.name} ({type(layer).__name__}) has no ONNX counterpart "
                    "here; use the model's .h5 file"
                )
        for layer in model.layers:
            if layer in needed:
                kind = type(layer).__name__
                inputs = layer.input if isinstance(layer.input, list) else [layer.input]
                self.names[id(layer.output)] = layer.name
                makers[kind](layer, [self.names[id(t)] for t in inputs])
                if kind != "Activation" and hasattr(layer, "activation"):
                    self._activated(layer)
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
        kernel, *bias = layer.get_weights()
        inputs = [*inputs, self._weight(f"{layer.name}_kernel", kernel.transpose(3, 2, 0, 1)),
                  *(self._weight(f"{layer.name}_bias", b) for b in bias)]  # fmt: skip
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

    def _pairwise(self, kind: str) -> Callable[[Any, list[str]], None]:
        return lambda layer, inputs: self._node(kind, inputs, layer.name)

    def _activation(self, layer: Any, inputs: list[str]) -> None:
        self._node(_activation_kind(layer), inputs, layer.name)

    def _activated(self, layer: Any) -> None:
        """Add the activation at the end of a layer of another kind."""
        kind = _activation_kind(layer)
        if kind != "Identity":
            self.names[id(layer.output)] = f"{layer.name}_activated"
            self._node(kind, [layer.name], f"{layer.name}_activated")

    def _average(self, layer: Any, inputs: list[str]) -> None:
        padding = {"same": "SAME_UPPER", "valid": "VALID"}[layer.padding]
        self._node("AveragePool", inputs, layer.name, kernel_shape=list(layer.pool_size),
                   strides=list(layer.strides), auto_pad=padding)  # fmt: skip

    def _rescaled(self, layer: Any, inputs: list[str]) -> None:
        scale, offset = (
            self._weight(f"{layer.name}_{name}", np.asarray(value, np.float32))
            for name, value in (("scale", layer.scale), ("offset", layer.offset))
        )
        self._node("Mul", [*inputs, scale], f"{layer.name}_scaled")
        self._node("Add", [f"{layer.name}_scaled", offset], layer.name)

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


def _activation_kind(layer: Any) -> str:
    name = layer.activation.__name__
    kind = {"linear": "Identity", **ACTIVATIONS}.get(name)
    if kind is None:
        raise InputError(
            f"the activation {name} of the layer {layer.name} has no ONNX counterpart here; use "
            "the model's .h5 file"
        )
    return kind


def _needed(output: Any, stop: Any) -> set[Any]:
    """The layers that compute a tensor, back to `stop`, which is not included."""
    found, waiting = set(), [output]
    while waiting:
        layer = waiting.pop()._keras_history.operation
        if layer is stop or layer in found:
            continue
        found.add(layer)
        waiting += layer.input if isinstance(layer.input, list) else [layer.input]
    return found
