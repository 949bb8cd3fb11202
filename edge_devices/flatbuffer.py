"""A program read from the bytes of a `.tflite` file, without running it."""

from __future__ import annotations

from typing import Any

from edge_devices.program import Constant, Operator, Program, Tensor
from edge_devices.source import content_of

__all__ = ["read"]

# Operators whose weights are the second operand and whose biases are the operand named here.
_WEIGHTED = {"CONV_2D": 2, "DEPTHWISE_CONV_2D": 2, "FULLY_CONNECTED": 2, "TRANSPOSE_CONV": 3}
_POOLS = ("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D")


def read(content: bytes) -> Program:
    """Read what a file's first subgraph computes.

    Constants are those tensors that the file holds the values of, whether inside the
    FlatBuffer or behind it; the rest are activations, in the order of the file. Unknown and
    custom operators are read like any other, under their own names.

    Args:
        content: The bytes of a `.tflite` file.

    Returns:
        Its operators, and the activations between them.

    Raises:
        ValueError: If the bytes are no TensorFlow Lite file.
    """
    from ai_edge_litert import schema_py_generated as schema

    return _Reader(schema, content_of(content)).program()


class _Reader:
    """One pass over a file."""

    def __init__(self, schema: Any, content: bytes) -> None:
        self._schema = schema
        self._model = schema.Model.GetRootAs(content)
        self._graph = self._model.Subgraphs(0)
        self._tensors = [
            self._graph.Tensors(index) for index in range(self._graph.TensorsLength())
        ]
        self._codes = _codes(schema, self._model)
        self._types = _names(schema.TensorType)
        self._activations = _names(schema.ActivationFunctionType)
        self._paddings = _names(schema.Padding)
        kept = [index for index in range(len(self._tensors)) if not self._is_constant(index)]
        self._position = {index: position for position, index in enumerate(kept)}

    def program(self) -> Program:
        graph = self._graph
        operators = [graph.Operators(index) for index in range(graph.OperatorsLength())]
        return Program(
            tuple(Tensor(self._shape(i), self._dtype(i)) for i in self._position),
            tuple(map(self._operator, operators)),
            self._positions([graph.Inputs(i) for i in range(graph.InputsLength())]),
            self._positions([graph.Outputs(i) for i in range(graph.OutputsLength())]),
            tuple(
                sorted(
                    self._constant(index)
                    for index in range(len(self._tensors))
                    if index not in self._position
                )
            ),
        )

    def _operator(self, operator: Any) -> Operator:
        name = self._codes[operator.OpcodeIndex()]
        operands = [operator.Inputs(i) for i in range(operator.InputsLength())]
        outputs = [operator.Outputs(i) for i in range(operator.OutputsLength())]
        constants = [i for i in operands if i >= 0 and i not in self._position]
        if name in _WEIGHTED:
            constants = [i for i in constants if i in operands[1:2]]
        first = constants[0] if constants else None
        weights = () if first is None else self._shape(first) or (1,)
        biases = operands[_WEIGHTED[name] :] if name in _WEIGHTED else []
        options = self._options(operator)
        window = (1, 1)
        if name in _POOLS:
            window = (options.FilterHeight(), options.FilterWidth())
        elif name in _WEIGHTED and len(weights) == 4:
            window = (weights[1], weights[2])
        stride, padding = (1, 1), "SAME"
        if hasattr(options, "StrideH"):
            stride = (options.StrideH(), options.StrideW())
            padding = self._paddings[options.Padding()]
        dilation = (1, 1)
        if hasattr(options, "DilationHFactor"):
            dilation = (options.DilationHFactor(), options.DilationWFactor())
        activation = "NONE"
        if hasattr(options, "FusedActivationFunction"):
            activation = self._activations[options.FusedActivationFunction()]
        return Operator(
            name,
            self._positions(operands),
            self._positions(outputs),
            weights,
            any(i >= 0 for i in biases),
            window,
            stride,
            padding,
            None if activation == "NONE" else activation,
            "int8" if first is None else self._dtype(first),
            dilation,
        )

    def _options(self, operator: Any) -> Any:
        """The options of an operator as the schema's class for them, or `None`."""
        name = _names(self._schema.BuiltinOptions).get(operator.BuiltinOptionsType())
        table = operator.BuiltinOptions()
        if not name or name == "NONE" or table is None:
            return None
        options = getattr(self._schema, name)()
        options.Init(table.Bytes, table.Pos)
        return options

    def _constant(self, index: int) -> Constant:
        quantization = self._tensors[index].Quantization()
        scales = 0 if quantization is None else quantization.ScaleLength()
        dtype = self._dtype(index)
        zero = scales > (dtype != "int32") and self._is_zero(index)
        return Constant(dtype, self._shape(index) or (1,), scales, zero)

    def _is_zero(self, index: int) -> bool:
        buffer = self._model.Buffers(self._tensors[index].Buffer())
        return bool(buffer.DataLength()) and not buffer.DataAsNumpy().any()

    def _is_constant(self, index: int) -> bool:
        buffer = self._model.Buffers(self._tensors[index].Buffer())
        # Files of more than 2 GB, and some quantizers, keep values behind the FlatBuffer.
        return bool(buffer.DataLength() or buffer.Size())

    def _shape(self, index: int) -> tuple[int, ...]:
        tensor = self._tensors[index]
        return tuple(tensor.Shape(axis) for axis in range(tensor.ShapeLength()))

    def _dtype(self, index: int) -> str:
        return self._types[self._tensors[index].Type()].lower()

    def _positions(self, indices: list[int]) -> tuple[int, ...]:
        return tuple(self._position[i] for i in indices if i in self._position)


def _codes(schema: Any, model: Any) -> list[str]:
    names = _names(schema.BuiltinOperator)
    codes = [model.OperatorCodes(index) for index in range(model.OperatorCodesLength())]
    # Files of schema version 3 keep small codes in the older, one-byte field too.
    return [
        code.CustomCode().decode()
        if code.CustomCode()
        else names[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
        for code in codes
    ]


_KNOWN: dict[type, dict[int, str]] = {}


def _names(enumeration: type) -> dict[int, str]:
    """Names of an enumeration of the schema by value."""
    if enumeration not in _KNOWN:
        _KNOWN[enumeration] = {
            value: name for name, value in vars(enumeration).items() if isinstance(value, int)
        }
    return _KNOWN[enumeration]
