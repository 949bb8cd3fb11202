"""What a `.tflite` file contains, read from its FlatBuffer without running it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ai_edge_litert import schema_py_generated as schema

__all__ = ["FloatingOperator", "floating_operators", "operators", "read", "tensor_dtypes"]

Source = str | os.PathLike[str] | bytes


class FloatingOperator(NamedTuple):
    """An operator that computes in floating point, and the name of its first output."""

    name: str
    output: str


def read(source: Source) -> bytes:
    """The bytes of a file given by path, or given already."""
    return (
        bytes(source) if isinstance(source, bytes | bytearray) else Path(source).read_bytes()
    )


def operators(source: Source) -> dict[str, int]:
    """Count a file's operators by name, the most frequent first.

    Args:
        source: Path or bytes of a `.tflite` file.

    Returns:
        Operator names as in the TensorFlow Lite schema (`"CONV_2D"`), custom operators by
        their own name. Bodies of loops and conditionals count once.
    """
    model = _parse(source)
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
        for graph in _subgraphs(_parse(source))
        for index in range(graph.TensorsLength())
    )
    return dict(counts.most_common())


def floating_operators(content: bytes) -> list[FloatingOperator]:
    """The operators with a floating-point input or output.

    QUANTIZE and DEQUANTIZE are listed only where nothing else accounts for them.
    """
    found = [
        FloatingOperator(name, graph.Tensors(operator.Outputs(0)).Name().decode())
        for graph, operator, name in _operators(_parse(content))
        if any("float" in _TYPES[graph.Tensors(index).Type()] for index in _tensors(operator))
    ]
    return [operator for operator in found if operator.name not in _CONVERSIONS] or found


_CONVERSIONS = {"QUANTIZE", "DEQUANTIZE"}


def _names(enumeration: type) -> dict[int, str]:
    return {code: name for name, code in vars(enumeration).items() if isinstance(code, int)}


_OPERATORS = _names(schema.BuiltinOperator)
_TYPES = {code: name.lower() for code, name in _names(schema.TensorType).items()}


def _parse(source: Source) -> Any:
    content = read(source)
    if not schema.Model.ModelBufferHasIdentifier(content, 0):
        raise ValueError(
            f"This is not a .tflite file. Received: {len(content):,} bytes that begin with "
            f"{content[:8]!r}. Pass the path or the bytes of a TensorFlow Lite model."
        )
    return schema.Model.GetRootAs(content)


def _subgraphs(model: Any) -> Iterator[Any]:
    return (model.Subgraphs(index) for index in range(model.SubgraphsLength()))


def _operators(model: Any) -> Iterator[tuple[Any, Any, str]]:
    for graph in _subgraphs(model):
        for index in range(graph.OperatorsLength()):
            operator = graph.Operators(index)
            code = model.OperatorCodes(operator.OpcodeIndex())
            custom = code.CustomCode()
            # Files of schema version 3 keep small codes in the older, one-byte field too.
            builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
            yield graph, operator, custom.decode() if custom else _OPERATORS[builtin]


def _tensors(operator: Any) -> Iterator[int]:
    for index in range(operator.InputsLength()):
        if operator.Inputs(index) >= 0:  # -1 marks an optional input left out
            yield operator.Inputs(index)
    for index in range(operator.OutputsLength()):
        yield operator.Outputs(index)
