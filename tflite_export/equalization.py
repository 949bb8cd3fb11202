"""The same network with channels of like range, which one step size serves better."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from edge_devices.inputs import Inputs
from tflite_export.compaction import packed, unpacked
from tflite_export.ranges import activations

__all__ = ["equalized"]

Array = NDArray[Any]

_OP = schema.BuiltinOperator
_OUTPUT_AXIS = {_OP.CONV_2D: 0, _OP.DEPTHWISE_CONV_2D: 3, _OP.FULLY_CONNECTED: 0}
_INPUT_AXIS = {_OP.CONV_2D: 3, _OP.DEPTHWISE_CONV_2D: 3, _OP.FULLY_CONNECTED: 1}
# What multiplies its output by what its input is multiplied by, channel for channel.
_PASSING = (_OP.MAX_POOL_2D, _OP.AVERAGE_POOL_2D, _OP.MEAN, _OP.RELU, _OP.PAD)
_LINEAR = (schema.ActivationFunctionType.NONE, schema.ActivationFunctionType.RELU)


class _Pair(NamedTuple):
    """A layer, the only one that reads it, and the name of the activation between."""

    before: Any
    after: Any
    name: str


def equalized(content: bytes, inputs: Inputs) -> bytes:
    """Scale channels so that those of one tensor have like ranges.

    Between two layers that nothing but a ReLU, pooling or padding with zeros separates, a
    channel can be divided by any positive number if the weights that read it are multiplied
    by it: the network computes the same. An activation has one step size for all channels,
    so channels that are much smaller than the largest are nearly lost in int8, and with them
    the weights that make up for it. Each channel is scaled so that its largest value and the
    largest weight that reads it are the same; where those weights have a step size of their
    own for each channel, in depthwise layers, so that all largest values are.

    Layers with a ReLU6 or another activation that bends elsewhere than at zero, and those
    that several others read, are left as they are.

    Args:
        content: The bytes of a float32 file with names.
        inputs: Inputs `(n, ...)` in the type that the file takes, of several inputs by name,
            on which the largest values are measured.

    Returns:
        The bytes of an equivalent file with the same names; `content` itself if there is
        nothing to scale.

    Reference:
        Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias
        Correction", ICCV 2019, https://arxiv.org/abs/1906.04721. They take the largest
        weights for the largest values; with data, values are measured (as do Xiao et al.,
        "SmoothQuant", ICML 2023, https://arxiv.org/abs/2211.10438).
    """
    model = unpacked(content)
    pairs = list(_pairs(model))
    if not pairs:
        return content
    wanted = {pair.name for pair in pairs}
    largest: dict[str, Array] = {}
    for name, values in activations(content, inputs):
        if name in wanted:
            channels = np.abs(values.reshape(-1, values.shape[-1])).max(axis=0)
            largest[name] = np.maximum(largest.get(name, 0.0), channels)
    for pair in pairs:
        _scale(model, pair, largest[pair.name])
    return packed(model)


def _pairs(model: Any) -> Iterator[_Pair]:
    graph = model.subgraphs[0]
    reads = Counter(index for operator in graph.operators for index in operator.inputs)
    reads.update(graph.outputs)
    readers = {index: operator for operator in graph.operators for index in operator.inputs}
    for before in graph.operators:
        if not _weighted(model, before) or before.builtinOptions is None:
            continue
        if before.builtinOptions.fusedActivationFunction not in _LINEAR:
            continue
        current, after = before, before
        while after is before or _code(model, after) in _PASSING:
            (output,) = current.outputs
            if reads[output] != 1 or output not in readers:
                break
            after = current = readers[output]
            if after.inputs[0] != output or not _linear(after, before, model):
                break
        channels = _values(model, before, 1).shape[_OUTPUT_AXIS[_code(model, before)]]
        if after is before or not _weighted(model, after):
            continue
        weights = _values(model, after, 1)
        if weights.shape[_INPUT_AXIS[_code(model, after)]] == channels:
            name = graph.tensors[before.outputs[0]].name.decode()
            yield _Pair(before, after, name)


def _linear(operator: Any, before: Any, model: Any) -> bool:
    """Whether an operator on the way is the last one, or lets factors of channels pass."""
    if _code(model, operator) not in _PASSING:
        return False
    activation = getattr(operator.builtinOptions, "fusedActivationFunction", 0)
    tensors = model.subgraphs[0].tensors
    same = tensors[operator.outputs[0]].shape[-1] == tensors[before.outputs[0]].shape[-1]
    return activation in _LINEAR and bool(same)


def _weighted(model: Any, operator: Any) -> bool:
    """Whether it is a layer whose weights, and biases if any, are constants in float."""
    if _code(model, operator) not in _OUTPUT_AXIS:
        return False
    tensors = [model.subgraphs[0].tensors[i] for i in operator.inputs[1:3] if i >= 0]
    return all(
        tensor.type == schema.TensorType.FLOAT32
        and model.buffers[tensor.buffer].data is not None
        for tensor in tensors
    )


def _scale(model: Any, pair: _Pair, largest: Array) -> None:
    kernel = _values(model, pair.before, 1)
    reading = _values(model, pair.after, 1)
    axis = _INPUT_AXIS[_code(model, pair.after)]
    others = tuple(a for a in range(reading.ndim) if a != axis)
    factors = largest.astype(np.float64)
    if _code(model, pair.after) != _OP.DEPTHWISE_CONV_2D:
        weights = np.abs(reading).max(axis=others)
        factors = np.sqrt(factors / np.where(weights > 0, weights, np.inf))
    alive = factors > 0
    if not alive.any():
        return
    # The mean magnitude stays; dead channels have none to equalize.
    factors = np.where(alive, factors / np.exp(np.log(factors[alive]).mean()), 1.0)
    output = _OUTPUT_AXIS[_code(model, pair.before)]
    _replace(model, pair.before, 1, kernel / _along(factors, output, kernel.ndim))
    if len(pair.before.inputs) > 2 and pair.before.inputs[2] >= 0:
        _replace(model, pair.before, 2, _values(model, pair.before, 2) / factors)
    _replace(model, pair.after, 1, reading * _along(factors, axis, reading.ndim))


def _along(vector: Array, axis: int, dimensions: int) -> Array:
    return vector.reshape([-1 if a == axis else 1 for a in range(dimensions)])


def _code(model: Any, operator: Any) -> int:
    return int(model.operatorCodes[operator.opcodeIndex].builtinCode)


def _values(model: Any, operator: Any, position: int) -> Array:
    tensor = model.subgraphs[0].tensors[operator.inputs[position]]
    data = np.asarray(model.buffers[tensor.buffer].data, np.uint8).tobytes()
    values: Array = np.frombuffer(data, np.float32)
    return values.reshape(tensor.shape)


def _replace(model: Any, operator: Any, position: int, values: Array) -> None:
    """Give an operator a constant of its own: others may share the old one."""
    graph = model.subgraphs[0]
    index = operator.inputs[position]
    uses = sum(list(other.inputs).count(index) for other in graph.operators)
    tensor = graph.tensors[index]
    if uses > 1:
        tensor = copy.copy(tensor)
        tensor.name = tensor.name + b"/equalized%d" % len(graph.tensors)
        graph.tensors.append(tensor)
        operator.inputs = np.array(operator.inputs)  # what was read cannot be written to
        operator.inputs[position] = len(graph.tensors) - 1
    data = values.astype(np.float32).ravel().view(np.uint8)
    if sum(other.buffer == tensor.buffer for other in graph.tensors) > 1:
        model.buffers.append(schema.BufferT(data=data))
        tensor.buffer = len(model.buffers) - 1
    else:
        model.buffers[tensor.buffer].data = data
