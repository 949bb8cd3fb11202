"""What a network costs, known without building it: pure functions of the description.

Parameters and multiply-accumulates are exact for the realised Keras model. Bytes of flash
and of memory are estimates for the int8 file, from the operators that the converter makes:
it folds batch normalisation into the convolution before it and clipping activations into
the operator before them, and drops dropout.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from search_spaces.network import Layer, Network
from search_spaces.operations import OPERATIONS

__all__ = [
    "Kernel",
    "costs",
    "flash_bytes",
    "kernels",
    "macs",
    "params",
    "peak_activation_bytes",
]


def params(network: Network) -> int:
    """Weights of the Keras model, trainable or not: its `count_params()`."""
    return sum(
        OPERATIONS[record.op].params(dict(record.settings), shapes)
        for record, shapes in _with_input_shapes(network)
    )


def macs(network: Network) -> int:
    """Multiply-accumulates of convolutions and dense layers for one example."""
    return sum(
        OPERATIONS[record.op].macs(dict(record.settings), shapes, record.shape)
        for record, shapes in _with_input_shapes(network)
    )


def costs(network: Network) -> dict[str, float]:
    """All costs by the names that limits use: `params`, `macs` and `flash` in bytes."""
    return {
        "params": params(network),
        "macs": macs(network),
        "flash": flash_bytes(network),
    }


class Kernel(NamedTuple):
    """An operator of the int8 file: layers that run as one.

    Attributes:
        op: Operation of the first of its layers.
        function: Activation that was not folded into an operator, for `op="activation"`.
        inputs: Positions of the kernels it reads; `-1` is the network's input.
        output: Position of the layer whose output it writes.
        weights: Int8 weights it holds.
        channels: Output channels that have a bias, or 0.
    """

    op: str
    function: str | None
    inputs: tuple[int, ...]
    output: int
    weights: int
    channels: int


# Operators whose int8 kernel has a clipping activation built in.
_CLIPS = ("relu", "relu6")
_CAN_CLIP = ("conv", "depthwise", "dense", "add", "multiply", "max_pool", "average_pool")
_HAS_WEIGHTS = ("conv", "depthwise", "dense")


def kernels(network: Network) -> list[Kernel]:
    """The operators that the converter makes of a network, in order."""
    readers = [0] * len(network.layers)
    for record in network.layers:
        for source in record.inputs:
            readers[source] += 1
    made: list[Kernel] = []
    maker = [-1] * len(network.layers)  # which kernel writes what the layer stands for
    for index, (record, shapes) in enumerate(_with_input_shapes(network)):
        op, inputs, settings = record.op, record.inputs, dict(record.settings)
        if op == "input":
            continue
        before = maker[inputs[0]]
        function = settings.get("function")
        alone = before >= 0 and readers[inputs[0]] == 1
        follows = made[before] if alone else None
        folds = follows is not None and (
            (op == "batch_norm" and follows.op in _HAS_WEIGHTS and follows.function is None)
            or (function in _CLIPS and follows.op in _CAN_CLIP and follows.function is None)
        )
        if op == "dropout":
            maker[index] = before
        elif folds and follows is not None:
            fused = function if function else follows.function
            made[before] = follows._replace(output=index, function=fused)
            maker[index] = before
        else:
            weighted = op in _HAS_WEIGHTS
            count = OPERATIONS[op].params(settings, shapes) if weighted else 0
            channels = record.shape[-1] if weighted else 0
            made.append(
                Kernel(
                    op,
                    function,
                    tuple(maker[i] for i in inputs),
                    index,
                    count - channels * bool(settings.get("bias")),
                    channels,
                )
            )
            maker[index] = len(made) - 1
    return made


# The first three follow from the format; the rest is fitted to int8 files of random members
# of the mobile space by `benchmarks/flash.py`.
_WEIGHT_BYTES = 1
_CHANNEL_BYTES = 12  # an int32 bias, a scale of the weights and a scale of the bias
_ZERO_POINT_BYTES = 8  # a channel, shared by all operators of as many channels
_FILE_BYTES = 1030
_OPERATOR_BYTES = {"global_average_pool": 205, "max_pool": 205, "average_pool": 205}
_WEIGHTED_OPERATOR_BYTES = 315
_OTHER_OPERATOR_BYTES = 14
_OFFSET_BYTES = 560


def flash_bytes(network: Network) -> int:
    """Estimated bytes of the int8 `.tflite` file that `tflite_export` writes.

    Weights and biases, the scale of each channel, and what the file says of itself and of
    each operator: small files are mostly that. Over 64 random members of the mobile space,
    4 KB to 820 KB, to which it was fitted, the estimate is 0.3 % off in the median and 4.2 %
    at most.
    """
    made = kernels(network)
    total = _FILE_BYTES + _ZERO_POINT_BYTES * sum({kernel.channels for kernel in made})
    for kernel in made:
        total += _WEIGHT_BYTES * kernel.weights + _CHANNEL_BYTES * kernel.channels
        if kernel.op in _HAS_WEIGHTS:
            total += _WEIGHTED_OPERATOR_BYTES
        else:
            total += _OPERATOR_BYTES.get(kernel.op, _OTHER_OPERATOR_BYTES)
    # A scale alone goes into the convolution that follows.
    shifts = any(
        record.op == "rescale" and np.any(dict(record.settings)["offset"])
        for record in network.layers
    )
    return total + _OFFSET_BYTES * shifts


def peak_activation_bytes(network: Network) -> int:
    """Most bytes of int8 activations alive at once, operators run in the order described.

    A tensor lives from the operator that writes it to the last one that reads it. What an
    allocator loses between tensors is not counted, nor is what an interpreter keeps.
    """
    made = kernels(network)
    sizes = [math.prod(network.layers[kernel.output].shape) for kernel in made]
    last_use = list(range(len(made)))
    input_last_use = 0
    for position, kernel in enumerate(made):
        for source in kernel.inputs:
            if source >= 0:
                last_use[source] = position
            else:
                input_last_use = position
    peak = alive = math.prod(network.input_shape)
    for position, own in enumerate(sizes):
        alive += own
        peak = max(peak, alive)
        alive -= sum(sizes[i] for i in range(position + 1) if last_use[i] == position)
        if position == input_last_use:
            alive -= math.prod(network.input_shape)
    return peak


def _with_input_shapes(network: Network) -> list[tuple[Layer, Sequence[tuple[int, ...]]]]:
    layers = network.layers
    return [(record, [layers[i].shape for i in record.inputs]) for record in layers]
