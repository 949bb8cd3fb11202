"""A file as C++ source, for microcontrollers that have no file system."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

from edge_devices.flatbuffer import read
from edge_devices.inputs import input_names
from edge_devices.memory import memory
from edge_devices.program import Operator, Program
from edge_devices.tflm import OPERATORS

__all__ = ["CArray", "c_array", "resolver_methods"]

_ARENA_MARGIN = 0.1
_ALIGNMENT = 16
_BYTES_A_LINE = 12
_COLUMNS = 90

Details = tuple[str, tuple[int, ...], float, int]

_SPELT_OTHERWISE = {
    "BATCH_MATMUL": "BatchMatMul",
    "CUMSUM": "CumSum",
    "PADV2": "PadV2",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTM",
}


class CArray(NamedTuple):
    """A network as two source files.

    Attributes:
        header: What `model.h` holds: sizes, quantization, and the operators to register.
        source: What `model.cc` holds: the bytes.
        arena: Bytes of the tensor arena, with a margin.
        methods: Methods of the resolver that are called, in alphabetical order.
    """

    header: str
    source: str
    arena: int
    methods: tuple[str, ...]


def c_array(
    content: bytes,
    name: str = "model",
    *,
    labels: Sequence[str] = (),
    output: str = "",
    margin: float = _ARENA_MARGIN,
) -> CArray:
    """Write a file as C++ for TensorFlow Lite Micro.

    The header declares the array, its length, the size of the tensor arena, scales and zero
    points of inputs and output, and `Register{Name}Ops`, which adds exactly the operators of
    this file to a `MicroMutableOpResolver<N>` of that size, so that no other kernel is
    linked. The source defines the array, constant, in flash, and aligned to 16 bytes.

    Args:
        content: The bytes of a `.tflite` file. A zip archive behind it, as `with_metadata`
            leaves, becomes part of the array: pass the file as it was before.
        name: Name of the array, `g_{name}`, and of `{name}.h`, which the source includes:
            lower case words with underscores.
        labels: Names of the classes, to be written as an array too; none are needed.
        output: What comes out, for people: a comment.
        margin: Share that is added to the computed size of the arena, beside what the
            kernels of CMSIS-NN take more than the portable ones. Too small an arena fails
            when the interpreter allocates its tensors, too large a one wastes RAM.

    Returns:
        The two texts.

    Raises:
        ValueError: If `content` is no `.tflite` file, uses operators or types that the
            runtime lacks, or if `name` is no C identifier in lower case.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name):
        raise ValueError(
            "The name of the array must be lower case words joined by underscores. "
            f"Received: name={name!r}. Use e.g. 'model' or 'flower_model'."
        )
    program = read(content)
    methods = resolver_methods(program)
    arena = _rounded_up(memory(program, kernels="cmsis_nn").total * (1 + margin))
    header = _header(content, name, program, methods, arena, labels, output)
    return CArray(header, _source(content, name, labels), arena, methods)


def resolver_methods(program: Program) -> tuple[str, ...]:
    """The methods of `MicroMutableOpResolver` that register a network's operators.

    Args:
        program: The network.

    Returns:
        Names such as `"AddConv2D"`, each once, in alphabetical order.

    Raises:
        ValueError: If the runtime has no kernel for an operator, or none for weights of
            8 or 16 bits with floating-point activations.
    """
    missing = sorted({operator.op for operator in program.operators} - OPERATORS)
    if missing:
        raise ValueError(
            "TensorFlow Lite Micro has no kernel for some operators. Received: "
            f"{', '.join(missing)}. Use other layers there, or a runtime with more operators."
        )
    mixed = sorted({o.op for o in program.operators if _is_mixed(program, o)})
    if mixed:
        raise ValueError(
            "TensorFlow Lite Micro computes in integers or in float32, not with small "
            f"weights in float. Received: {', '.join(mixed)} with such weights. "
            'Export with quantization="int8" or "float32".'
        )
    return tuple(sorted({_method(operator.op) for operator in program.operators}))


def _is_mixed(program: Program, operator: Operator) -> bool:
    if operator.weight_dtype == "float16":
        return True
    floats = any(program.tensors[i].dtype == "float32" for i in operator.inputs)
    return bool(operator.weights) and floats and operator.weight_dtype in ("int8", "int4")


def _method(op: str) -> str:
    parts = (part if part[0].isdigit() else part.capitalize() for part in op.split("_"))
    return "Add" + _SPELT_OTHERWISE.get(op, "".join(parts))


def _rounded_up(size: float) -> int:
    return -int(-size // _ALIGNMENT) * _ALIGNMENT


def _header(
    content: bytes,
    name: str,
    program: Program,
    methods: Sequence[str],
    arena: int,
    labels: Sequence[str],
    output: str,
) -> str:
    camel = _camel(name)
    guard = f"{name.upper()}_H_"
    registered = "\n".join(f"  TF_LITE_ENSURE_STATUS(resolver.{each}());" for each in methods)
    inputs, result = _quantization(content)
    several = len(inputs) > 1
    tensors = "".join(
        _tensor(f"k{camel}Input", "Input", details)
        if not several
        else _numbered(f"k{camel}Input{_camel(called)}", called, index, details)
        for index, (called, details) in enumerate(inputs.items())
    )
    tensors += _tensor(f"k{camel}Output", "Output", result)
    tensors += "".join(f"// {line}\n" for line in textwrap.wrap(output, _COLUMNS))
    named = (
        f"\n// Names of the outputs, in their order.\n"
        f"extern const char* const k{camel}Labels[{len(labels)}];\n"
        if labels
        else ""
    )
    return f"""\
// Generated by kerasnas. A network for TensorFlow Lite Micro.
#ifndef {guard}
#define {guard}

#include <cstddef>

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"

// The .tflite file: {len(content):,} bytes of flash.
constexpr std::size_t k{camel}Size = {len(content)};
extern const unsigned char g_{name}[k{camel}Size];

// Bytes of the tensor arena, estimated, with a margin. Align it:
//   alignas(16) static uint8_t arena[k{camel}ArenaSize];
constexpr std::size_t k{camel}ArenaSize = {arena};
{tensors}{named}
// The {len(methods)} kinds of operators of this network, and no others.
using {camel}OpResolver = tflite::MicroMutableOpResolver<{len(methods)}>;

inline TfLiteStatus Register{camel}Ops({camel}OpResolver& resolver) {{
{registered}
  return kTfLiteOk;
}}

#endif  // {guard}
"""


def _source(content: bytes, name: str, labels: Sequence[str]) -> str:
    camel = _camel(name)
    lines = (
        ", ".join(f"0x{byte:02x}" for byte in content[start : start + _BYTES_A_LINE])
        for start in range(0, len(content), _BYTES_A_LINE)
    )
    text = (
        f'// Generated by kerasnas.\n#include "{name}.h"\n\n'
        f"alignas({_ALIGNMENT}) const unsigned char g_{name}[k{camel}Size] = {{\n"
    )
    text += "".join(f"    {line},\n" for line in lines) + "};\n"
    if labels:
        text += f"\nconst char* const k{camel}Labels[{len(labels)}] = {{\n"
        text += "".join(f'    "{_escaped(label)}",\n' for label in labels) + "};\n"
    return text


def _escaped(label: str) -> str:
    """Text for between quotes in C++; three octal digits end an escape whatever follows."""
    return "".join(
        chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\?' else f"\\{byte:03o}"
        for byte in label.encode()
    )


def _quantization(content: bytes) -> tuple[dict[str, Details], Details]:
    """Type, shape, scale and zero point of all inputs by name, and of the first output."""
    from ai_edge_litert import schema_py_generated as schema

    graph = schema.Model.GetRootAs(content).Subgraphs(0)
    types = {value: name for name, value in vars(schema.TensorType).items()}
    found: list[Details] = []
    names = input_names(content)
    for index in (*(graph.Inputs(i) for i in range(len(names))), graph.Outputs(0)):
        tensor = graph.Tensors(index)
        parameters: Any = tensor.Quantization()
        quantized = parameters is not None and parameters.ScaleLength() > 0
        found.append(
            (
                types[tensor.Type()].lower(),
                tuple(tensor.Shape(axis) for axis in range(tensor.ShapeLength())),
                parameters.Scale(0) if quantized else 0.0,
                parameters.ZeroPoint(0) if quantized else 0,
            )
        )
    return dict(zip(names, found, strict=False)), found[-1]


def _camel(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def _numbered(prefix: str, name: str, index: int, details: Details) -> str:
    """One of several inputs, which the interpreter knows by their numbers."""
    text = _tensor(prefix, f"Input {index}, {name}", details)
    return f"{text}constexpr int {prefix}Index = {index};\n"


def _tensor(prefix: str, side: str, details: Details) -> str:
    dtype, shape, scale, zero_point = details
    text = f"\n// {side}: {dtype} of shape {shape}"
    if not scale:
        return f"{text}.\n"
    return (
        f"{text}; q stands for (q - {prefix}ZeroPoint) * {prefix}Scale.\n"
        f"constexpr float {prefix}Scale = {_float(scale)};\n"
        f"constexpr int {prefix}ZeroPoint = {zero_point};\n"
    )


def _float(number: float) -> str:
    """A float literal that reads back as the same float32."""
    digits = f"{number:.9g}"
    return digits + ("f" if "." in digits or "e" in digits else ".0f")
