"""What a `.tflite` file contains, read from its FlatBuffer without running it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from ai_edge_litert import schema_py_generated as schema

from edge_devices.source import Source, content_of

__all__ = [
    "FloatingOperator",
    "NamedOperator",
    "floating_operators",
    "operators",
    "operators_in",
    "parse",
    "precisions",
    "tensor_dtypes",
    "tensor_names",
]


class FloatingOperator(NamedTuple):
    """An operator that computes in floating point, and the name of its first output."""

    name: str
    output: str


class NamedOperator(NamedTuple):
    """An operator of a file's main graph, and the names around it.

    Attributes:
        op: Its name in the TensorFlow Lite schema, e.g. `"CONV_2D"`.
        outputs: Names of the tensors it writes.
        constants: Names of its weights, biases and other constants.
        inputs: Names of the activations it reads.
    """

    op: str
    outputs: tuple[str, ...]
    constants: tuple[str, ...]
    inputs: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name of its first output, which tells it from all others."""
        return self.outputs[0]


def operators(source: Source) -> dict[str, int]:
    """Count a file's operators by name, the most frequent first.

    Args:
        source: Path or bytes of a `.tflite` file.

    Returns:
        Operator names as in the TensorFlow Lite schema (`"CONV_2D"`), custom operators by
        their own name. Bodies of loops and conditionals count once.
    """
    model = parse(source)
    counts = Counter(name for _, _, name in _operators(model))
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def tensor_dtypes(source: Source) -> dict[str, int]:
    """Count a file's tensors by type (`"int8"`), weights included, the most frequent first.

    Args:
        source: Path or bytes of a `.tflite` file.

    Returns:
        Number of tensors of each type.
    """
    counts = Counter(
        _TYPES[graph.Tensors(index).Type()]
        for graph in _subgraphs(parse(source))
        for index in range(graph.TensorsLength())
    )
    return dict(counts.most_common())


def tensor_names(content: bytes) -> list[str]:
    """The names of all tensors in the order of the file; empty where there is none."""
    return [
        (graph.Tensors(index).Name() or b"").decode()
        for graph in _subgraphs(parse(content))
        for index in range(graph.TensorsLength())
    ]


def floating_operators(content: bytes) -> list[FloatingOperator]:
    """The operators with a floating-point input or output.

    QUANTIZE and DEQUANTIZE are listed only where nothing else accounts for them.
    """
    found = [
        FloatingOperator(name, graph.Tensors(operator.Outputs(0)).Name().decode())
        for graph, operator, name in _operators(parse(content))
        if any("float" in _TYPES[graph.Tensors(index).Type()] for index in _tensors(operator))
    ]
    return [operator for operator in found if operator.name not in _CONVERSIONS] or found


def operators_in(content: bytes) -> list[NamedOperator]:
    """The operators of the main graph in the order in which they run.

    Args:
        content: The bytes of a `.tflite` file, not compacted: without names there is nothing
            to tell them by.
    """
    model = parse(content)
    graph = model.Subgraphs(0)

    def named(indices: Iterable[int]) -> tuple[str, ...]:
        return tuple(graph.Tensors(index).Name().decode() for index in indices)

    def constant(index: int) -> bool:
        buffer = model.Buffers(graph.Tensors(index).Buffer())
        return bool(buffer.DataLength() or buffer.Size())

    return [
        NamedOperator(
            name,
            named(operator.Outputs(index) for index in range(operator.OutputsLength())),
            named(filter(constant, _operands(operator))),
            named(index for index in _operands(operator) if not constant(index)),
        )
        for operator, name in _operators_of(model, graph)
    ]


def precisions(content: bytes) -> dict[str, str]:
    """In which precision each operator of the main graph computes, by its name.

    Args:
        content: The bytes of a `.tflite` file, not compacted.

    Returns:
        From the names of operators to `"float32"`, `"int16x8"`, `"int8"` or `"int4"`.
        QUANTIZE and DEQUANTIZE are left out, and so are operators on other types.
    """
    model = parse(content)
    graph = model.Subgraphs(0)
    found = {}
    for operator, name in _operators_of(model, graph):
        if name in _CONVERSIONS:
            continue
        types = {_TYPES[graph.Tensors(index).Type()] for index in _tensors(operator)}
        output = graph.Tensors(operator.Outputs(0))
        precision = _PRECISIONS.get(_TYPES[output.Type()])
        if precision == "int8" and "int4" in types:
            precision = "int4"
        if precision is not None:
            found[output.Name().decode()] = precision
    return found


_CONVERSIONS = {"QUANTIZE", "DEQUANTIZE"}
_PRECISIONS = {"float32": "float32", "int16": "int16x8", "int8": "int8"}


def _names(enumeration: type) -> dict[int, str]:
    return {code: name for name, code in vars(enumeration).items() if isinstance(code, int)}


_OPERATORS = _names(schema.BuiltinOperator)
_TYPES = {code: name.lower() for code, name in _names(schema.TensorType).items()}


def parse(source: Source) -> Any:
    """The schema's model of a file.

    Raises:
        ValueError: If it is not a `.tflite` file.
    """
    return schema.Model.GetRootAs(content_of(source))


def _subgraphs(model: Any) -> Iterator[Any]:
    return (model.Subgraphs(index) for index in range(model.SubgraphsLength()))


def _operators(model: Any) -> Iterator[tuple[Any, Any, str]]:
    for graph in _subgraphs(model):
        for operator, name in _operators_of(model, graph):
            yield graph, operator, name


def _operators_of(model: Any, graph: Any) -> Iterator[tuple[Any, str]]:
    for index in range(graph.OperatorsLength()):
        operator = graph.Operators(index)
        code = model.OperatorCodes(operator.OpcodeIndex())
        custom = code.CustomCode()
        # Files of schema version 3 keep small codes in the older, one-byte field too.
        builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        yield operator, custom.decode() if custom else _OPERATORS[builtin]


def _operands(operator: Any) -> Iterator[int]:
    for index in range(operator.InputsLength()):
        if operator.Inputs(index) >= 0:  # -1 marks an optional input left out
            yield operator.Inputs(index)


def _tensors(operator: Any) -> Iterator[int]:
    yield from _operands(operator)
    for index in range(operator.OutputsLength()):
        yield operator.Outputs(index)
