"""Which operators of a network suffer from being quantized."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_devices.inputs import Inputs, taken
from tflite_export.inspection import operators_in
from tflite_export.interpreter import TFLiteModel
from tflite_export.quantization import INTEGER, check_quantization, quantize
from tflite_export.ranges import Ranges, measure
from tflite_export.rewriting import named

__all__ = ["OperatorError", "relative_error", "sensitivities"]

Array = NDArray[Any]

_COMPARED = 32


class OperatorError(NamedTuple):
    """What quantizing one operator costs.

    Attributes:
        name: The operator's, as `quantize` takes it in `mixed`.
        op: Its kind, e.g. `"CONV_2D"`.
        error: The error it alone causes in the network's output: root mean square over the
            output's standard deviation. 0 is none, 1 as bad as an output that is always the
            mean.
    """

    name: str
    op: str
    error: float


def sensitivities(
    content: bytes,
    inputs: Inputs,
    quantization: str = "int8",
    *,
    ranges: Ranges | None = None,
) -> list[OperatorError]:
    """Quantize one operator at a time, the rest in float, and see what the output loses.

    An operator that is quantized rounds its input, its weights and its output. A tensor that
    cannot bear it therefore shows in the operators before and behind it. Takes one
    quantization and 32 runs an operator, about 30 ms for those of a small MobileNet.

    Args:
        content: The bytes of a float32 file with the names of inner tensors.
        inputs: Inputs `(n, ...)` as the model takes them, of several inputs by name, for
            ranges; outputs are compared on the first 32.
        quantization: `"int8"`, `"int16x8"` or `"int4"`.
        ranges: Ranges of activations, instead of those of `inputs`.

    Returns:
        The operators, the most sensitive first.

    Raises:
        ValueError: If `quantization` is not one of integers.
    """
    check_quantization(quantization, INTEGER)
    content = named(content)
    if ranges is None:
        ranges = measure(content, inputs)
    compared = taken(inputs, slice(_COMPARED))
    expected = TFLiteModel(content).predict(compared)
    found = []
    for operator in operators_in(content):
        alone = quantize(
            content, "float32", mixed={operator.name: quantization}, ranges=ranges
        )
        actual = TFLiteModel(alone).predict(compared)
        found.append(
            OperatorError(operator.name, operator.op, relative_error(expected, actual))
        )
    return sorted(found, key=lambda entry: -entry.error)


def relative_error(expected: Array, actual: Array) -> float:
    """Root mean square of the difference, over the standard deviation of what is expected."""
    difference = float(np.sqrt(np.mean((np.asarray(actual, np.float64) - expected) ** 2)))
    deviation = float(np.std(expected))
    if deviation == 0:
        return 0.0 if difference == 0 else float("inf")
    return difference / deviation
