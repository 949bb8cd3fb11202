"""Ranges that are wide enough for the kernels: of weights for their biases, and of outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from tflite_export.ranges import Range, Ranges

__all__ = ["output_ranges", "weight_ranges"]

Array = NDArray[Any]

_OUTPUT_AXIS = {
    schema.BuiltinOperator.CONV_2D: 0,
    schema.BuiltinOperator.DEPTHWISE_CONV_2D: 3,
    schema.BuiltinOperator.FULLY_CONNECTED: 0,
}
_LARGEST_BIAS = 2**30  # half of what 32 bits hold: the products are added to it
_FINEST_OUTPUT = 128  # steps of an output in one of a product; XNNPACK refuses 256


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
    found: dict[str, tuple[Array, Array]] = {}
    for one in _weighted(content, ranges, precision):
        step, needed = one.step, np.abs(one.bias) / (_LARGEST_BIAS * one.input_step)
        if step.size == 1:
            needed = needed.max(keepdims=True)
        if (needed > step).any():
            ends = (np.maximum(step, needed) * one.levels).astype(np.float32)
            found[one.kernel] = -ends, ends
    return found


def output_ranges(
    content: bytes, ranges: Ranges, precision: Callable[[str], str]
) -> dict[str, Range]:
    """Find outputs of weighted operators whose range must be wider than their values.

    An output that hardly leaves zero, as behind an input that is nearly always zero, would
    have steps hundreds of times finer than the products that are added up for it: nothing is
    gained by them, and XNNPACK does not run such a file.

    Args:
        content: The bytes of a float32 file with names.
        ranges: The ranges of its activations.
        precision: From the name of an operator to its precision, as in `quantize`.

    Returns:
        The ranges of the outputs that need it, by name.
    """
    found: dict[str, Range] = {}
    for one in _weighted(content, ranges, precision):
        low, high = ranges.get(one.output, (0.0, 0.0))
        low, high = min(low, 0.0), max(high, 0.0)  # as every quantized range
        step = float(one.input_step * one.step.max()) / _FINEST_OUTPUT
        if high > low and step > _step((low, high), one.precision):
            widening = step / _step((low, high), one.precision)
            found[one.output] = (low * widening, high * widening)
    return found


class _Weighted(NamedTuple):
    """An integer operator with weights and biases, and the steps of what it multiplies.

    `step` and `bias` have one value a channel, in as many dimensions as the weights, or `step`
    a single one.
    """

    kernel: str
    output: str
    precision: str
    bias: Array
    step: Array
    levels: int
    input_step: float


def _weighted(
    content: bytes, ranges: Ranges, precision: Callable[[str], str]
) -> Iterator[_Weighted]:
    model = schema.Model.GetRootAs(content)
    graph = model.Subgraphs(0)
    for number in range(graph.OperatorsLength()):
        operator = graph.Operators(number)
        code = model.OperatorCodes(operator.OpcodeIndex()).BuiltinCode()
        if code not in _OUTPUT_AXIS or operator.InputsLength() < 3 or operator.Inputs(2) < 0:
            continue
        x, kernel, offset = (graph.Tensors(operator.Inputs(i)) for i in range(3))
        weights, bias = _values(model, kernel), _values(model, offset)
        output = graph.Tensors(operator.Outputs(0)).Name().decode()
        chosen = precision(output)
        range_ = ranges.get(x.Name().decode())
        if chosen == "float32" or weights is None or bias is None or range_ is None:
            continue
        axis = _OUTPUT_AXIS[code]
        others = tuple(a for a in range(weights.ndim) if a != axis)
        narrow = chosen == "int4" and code != schema.BuiltinOperator.DEPTHWISE_CONV_2D
        levels = 7 if narrow else 127
        step = np.abs(weights).max(axis=others, keepdims=True) / levels
        bias = bias.reshape(step.shape)
        if narrow and code == schema.BuiltinOperator.FULLY_CONNECTED:
            step = step.max(keepdims=True)  # one for all channels
        name = kernel.Name().decode()
        yield _Weighted(name, output, chosen, bias, step, levels, _step(range_, chosen))


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
