"""The size of an int8 `.tflite` file from its operators, by the layout of a FlatBuffer.

A FlatBuffer holds tables, and vectors with a length before their values; equal vectors are
written once (`tflite_export.compact`). What a weight, a bias, a scale, a zero point or a shape
takes follows from the format. How tables happen to be aligned does not: what they take on
average, an operator with the activation that it writes, is fitted to files.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from edge_devices.program import Operator, Program
from search_spaces.operations import Shape

__all__ = ["FITTED", "Parts", "file_bytes", "parts"]

# Bytes.
_LENGTH = 4
_SCALE = 4
_BIAS = 4
_DIMENSION = 4
_ZERO_POINT = 8
_BUFFER = 12  # table of a buffer, and the length of its values
_ALIGNMENT = 16  # of the values in a buffer
_TENSOR = 54  # tables of a constant, of its quantization and its buffer, and links to them

_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")

FITTED = {"file": 697.0, "code": 37.1, "weighted": 113.9, "pool": 116.5, "other": 97.1}
"""Bytes of what the format leaves open, fitted by `benchmarks/device_costs.py`."""


class Parts(NamedTuple):
    """What a file consists of.

    Attributes:
        settled: Bytes that the format settles.
        counts: How often occurs what `FITTED` has bytes for: the `file` itself, a kind of
            operator (`code`), and operators that are `weighted`, a `pool` or any `other`.
    """

    settled: int
    counts: dict[str, int]


def file_bytes(program: Program) -> int:
    """Bytes of the compact int8 file of a program."""
    settled, counts = parts(program)
    return round(settled + sum(FITTED[name] * count for name, count in counts.items()))


def parts(program: Program) -> Parts:
    """Count what a file consists of."""
    operators = program.operators
    shapes: set[Shape] = {tensor.shape for tensor in program.tensors}
    channels: set[int] = set()
    shared: set[tuple[Shape, str]] = set()
    counts = dict.fromkeys(FITTED, 0)
    counts["file"] = 1
    counts["code"] = len({operator.op for operator in operators})
    settled = _TENSOR * (program.constants or 0)
    for operator in operators:
        if operator.op in _WEIGHTED:
            counts["weighted"] += 1
            settled += _weighted_bytes(operator)
            count = _channels(operator)
            channels.add(count)
            shapes.add(operator.weights)
            if operator.bias:
                shapes.add((count,))
        else:
            counts["pool" if operator.op.endswith("POOL_2D") else "other"] += 1
            if operator.weights:
                shared.add((operator.weights, operator.weight_dtype))
    for weights, dtype in shared:
        shapes.add(weights)
        settled += _buffer(math.prod(weights) * (1 if dtype == "int8" else 4))
    settled += sum(_LENGTH + _DIMENSION * len(shape) for shape in shapes)
    # The zero points of all weights and biases with as many channels are the same zeros.
    settled += sum(_LENGTH + _ZERO_POINT * count + _LENGTH // 2 for count in channels)
    return Parts(settled, counts)


def _weighted_bytes(operator: Operator) -> int:
    """Values and scales of weights and biases."""
    scales = _LENGTH + _SCALE * _scales(operator)
    total = _buffer(operator.weight_bytes) + scales
    if operator.bias:
        total += _buffer(_BIAS * _channels(operator)) + scales
    return total


def _channels(operator: Operator) -> int:
    return operator.weights[-1 if operator.op == "DEPTHWISE_CONV_2D" else 0]


def _scales(operator: Operator) -> int:
    # Dense layers with weights of 4 bits have one scale in all.
    narrow = operator.op == "FULLY_CONNECTED" and operator.weight_dtype == "int4"
    return 1 if narrow else _channels(operator)


def _buffer(size: int) -> int:
    return -(-(size + _BUFFER) // _ALIGNMENT) * _ALIGNMENT
