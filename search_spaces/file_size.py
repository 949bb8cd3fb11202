"""The size of an int8 `.tflite` file from its operators, by the layout of a FlatBuffer.

A FlatBuffer holds tables, and vectors with a length before their values; equal vectors are
written once (`tflite_export.compact`). What a weight, a bias, a scale, a zero point or a shape
takes follows from the format. How tables happen to be aligned does not: what they take on
average, an operator with the activation that it writes, is fitted to files.
"""

from __future__ import annotations

from typing import NamedTuple

from edge_devices.program import Constant, Program
from search_spaces.operations import Shape

__all__ = ["FITTED", "Parts", "file_bytes", "parts"]

# Bytes.
_LENGTH = 4
_SCALE = 4
_DIMENSION = 4
_ZERO_POINT = 8
_BUFFER = 12  # table of a buffer, and the length of its values
_ALIGNMENT = 16  # of the values in a buffer
_INPUT = 140  # of an input after the first: its tensor, and name and place in the signature
_TENSOR = 54  # tables of a constant, of its quantization and its buffer, and links to them

_UNSCALED = 40  # of an activation that has no scale, less than of one that has

# Operators that pass values on, so that their output has the scale of their input.
_MOVING = (
    *("CONCATENATION", "GATHER", "PACK", "PAD", "RESHAPE", "RESIZE_BILINEAR"),
    *("RESIZE_NEAREST_NEIGHBOR", "SELECT_V2", "SPLIT", "STRIDED_SLICE", "TRANSPOSE", "UNPACK"),
)
_KINDS = {
    **dict.fromkeys(
        ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"), "weighted"
    ),
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D"), "pool"),
    **dict.fromkeys(_MOVING, "moving"),
    # Their output has a scale that is prescribed.
    **dict.fromkeys(("LOGISTIC", "SOFTMAX", "TANH"), "prescribed"),
    # These have few options or none.
    **dict.fromkeys(
        ("BATCH_MATMUL", "QUANTIZE", "RELU", "RELU6", "RSQRT", "SQUARED_DIFFERENCE"), "plain"
    ),
}

FITTED = {
    "file": 708.3,
    "code": 36.1,
    "weighted": 113.2,
    "pool": 69.9,
    "moving": 98.9,
    "prescribed": 92.4,
    "plain": 63.2,
    "output": 22.0,
    "other": 95.0,
}
"""Bytes of what the format leaves open, fitted by `benchmarks/device_costs.py`."""


class Parts(NamedTuple):
    """What a file consists of.

    Attributes:
        settled: Bytes that the format settles.
        counts: How often occurs what `FITTED` has bytes for: the `file` itself, a kind of
            operator (`code`), operators by kind (`weighted`, a `pool`, `moving` values only,
            with a `prescribed` range, `plain` or `other`), and outputs of operators after the
            first (`output`).
    """

    settled: int
    counts: dict[str, int]


def file_bytes(program: Program) -> int:
    """Bytes of the compact int8 file of a program."""
    settled, counts = parts(program)
    return round(settled + sum(FITTED[name] * count for name, count in counts.items()))


def parts(program: Program) -> Parts:
    """Count what a file consists of."""
    counts = dict.fromkeys(FITTED, 0)
    counts["file"] = 1
    counts["code"] = len({operator.op for operator in program.operators})
    for operator in program.operators:
        counts[_KINDS.get(operator.op, "other")] += 1
        counts["output"] += len(operator.outputs) - 1
    constants = program.constants or ()
    settled = sum(map(_constant_bytes, constants))
    shapes: set[Shape] = {tensor.shape for tensor in program.tensors}
    shapes |= {constant.shape for constant in constants}
    settled += sum(_LENGTH + _DIMENSION * len(shape) for shape in shapes)
    floating = [one for one in program.tensors if one.dtype.startswith(("float", "complex"))]
    settled -= _UNSCALED * len(floating)
    # The zero points of all weights and biases with as many channels are the same zeros.
    zeros = {constant.scales for constant in constants if constant.scales > 1}
    settled += sum(_LENGTH + _ZERO_POINT * count + _LENGTH // 2 for count in zeros)
    # So are as many weights or biases that are zero.
    voids = {constant.bytes for constant in constants if constant.zero}
    settled += sum(_LENGTH + size for size in voids)
    settled += _INPUT * (len(program.inputs) - 1)
    return Parts(settled, counts)


def _constant_bytes(constant: Constant) -> int:
    """A constant's tables, values and scales."""
    total = _TENSOR + _buffer(0 if constant.zero else constant.bytes)
    if constant.scales:
        total += _LENGTH + _SCALE * constant.scales
    if constant.scales == 1:
        total += _LENGTH + _ZERO_POINT
    return total


def _buffer(size: int) -> int:
    return -(-(size + _BUFFER) // _ALIGNMENT) * _ALIGNMENT
