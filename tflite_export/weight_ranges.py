"""Ranges of weights that are wide enough for the biases that come with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from tflite_export.ranges import Range, Ranges

__all__ = ["weight_ranges"]

Array = NDArray[Any]

_OUTPUT_AXIS = {
    schema.BuiltinOperator.CONV_2D: 0,
    schema.BuiltinOperator.DEPTHWISE_CONV_2D: 3,
    schema.BuiltinOperator.FULLY_CONNECTED: 0,
}
_LARGEST_BIAS = 2**30  # half of what 32 bits hold: the products are added to it


def weight_ranges(
    content: bytes, ranges: Ranges, precision: Callable[[str], str]
) -> dict[str, tuple[Array, Array]]:
    """Find weights whose range must be wider than their values for the bias to be exact.

    A bias is stored as a 32-bit number of steps, each the step of the input times that of its
    channel's weights. Behind an input that is nearly always zero, or in a channel whose
    weights are, these steps are so small that the number would overflow. Coarser steps of the
    weights prevent that, at an error of the products that is below 0.01 % of the bias.

    Args:
        content: The bytes of a float32 file with names.
        ranges: The ranges of its activations.
        precision: From the name of an operator to its precision, as in `quantize`.

    Returns:
        For weights that need it, by name: lower and upper ends of their ranges, one a channel
        and in as many dimensions as the weights.
    """
    model = schema.Model.GetRootAs(content)
    graph = model.Subgraphs(0)
    found: dict[str, tuple[Array, Array]] = {}
    for number in range(graph.OperatorsLength()):
        operator = graph.Operators(number)
        code = model.OperatorCodes(operator.OpcodeIndex()).BuiltinCode()
        if code not in _OUTPUT_AXIS or operator.InputsLength() < 3 or operator.Inputs(2) < 0:
            continue
        x, kernel, offset = (graph.Tensors(operator.Inputs(i)) for i in range(3))
        weights, bias = _values(model, kernel), _values(model, offset)
        chosen = precision(graph.Tensors(operator.Outputs(0)).Name().decode())
        range_ = ranges.get(x.Name().decode())
        if chosen == "float32" or weights is None or bias is None or range_ is None:
            continue
        axis = _OUTPUT_AXIS[code]
        others = tuple(a for a in range(weights.ndim) if a != axis)
        narrow = chosen == "int4" and code != schema.BuiltinOperator.DEPTHWISE_CONV_2D
        levels = 7 if narrow else 127
        step = np.abs(weights).max(axis=others, keepdims=True) / levels
        needed = np.abs(bias).reshape(step.shape) / (_LARGEST_BIAS * _step(range_, chosen))
        if narrow and code == schema.BuiltinOperator.FULLY_CONNECTED:
            # One step for all channels.
            step, needed = step.max(keepdims=True), needed.max(keepdims=True)
        if (needed > step).any():
            ends = (np.maximum(step, needed) * levels).astype(np.float32)
            found[kernel.Name().decode()] = -ends, ends
    return found


def _step(range_: Range, precision: str) -> float:
    """The step of an activation with this range."""
    low, high = range_
    if precision == "int16x8":
        return max(abs(low), abs(high)) / 32767
    return (max(high, 0.0) - min(low, 0.0)) / 255


def _values(model: Any, tensor: Any) -> Array | None:
    """The values of a constant of floats, or `None`."""
    buffer = model.Buffers(tensor.Buffer())
    if not buffer.DataLength() or tensor.Type() != schema.TensorType.FLOAT32:
        return None
    values: Array = np.frombuffer(buffer.DataAsNumpy().tobytes(), np.float32)
    return values.reshape(tensor.ShapeAsNumpy())
