"""The operators the quantizers lack, in terms of those they have."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Collection
from typing import Any

import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

from tflite_export.compaction import packed, unpacked
from tflite_export.inspection import tensor_names

__all__ = ["named", "quantizable", "widened"]

Range = tuple[float, float]

_REWRITTEN = {"Neg", "Square"}
_SUMS = (schema.BuiltinOperator.ADD, schema.BuiltinOperator.SUB)


def quantizable(function: Any) -> Any:
    """Rewrite `-x` and `x**2` as products, which have an int8 form.

    Left alone they would stay in float between a DEQUANTIZE and a QUANTIZE. With this,
    `LayerNormalization` and `RMSNormalization` become integer throughout.

    Args:
        function: A concrete function of one input that captures no variables.

    Returns:
        An equivalent concrete function; `function` itself when there is nothing to do.
    """
    graph = function.graph.as_graph_def()
    found = [
        node
        for node in graph.node
        if node.op in _REWRITTEN and node.attr["T"].type == tf.float32.as_datatype_enum
    ]
    if not found:
        return function
    for node in found:
        node.input.append(_minus_one(graph, node) if node.op == "Neg" else node.input[0])
        node.op = "Mul"
    source = function.inputs[0]
    signature = tf.TensorSpec.from_tensor(source, name=source.op.name)
    structure = function.structured_outputs
    outputs = [tensor.name for tensor in function.outputs]

    def rewritten(value: Any) -> Any:
        tensors = tf.graph_util.import_graph_def(graph, {source.name: value}, outputs, name="")
        return tf.nest.pack_sequence_as(structure, tensors)

    return tf.function(
        rewritten, input_signature=[signature], autograph=False
    ).get_concrete_function()


def _minus_one(graph: Any, node: Any) -> str:
    constant = graph.node.add(op="Const", name=f"{node.name}/minus_one")
    constant.attr["dtype"].CopyFrom(node.attr["T"])
    constant.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(-1.0))
    return str(constant.name)


def named(content: bytes) -> bytes:
    """Give every tensor of a file a name of its own, by which it can be addressed.

    Args:
        content: The bytes of a `.tflite` file.

    Returns:
        The same bytes if all have one. Else those of a file in which missing and repeated
        names are replaced by `"tensor"` and the tensor's number.
    """
    counts = Counter(tensor_names(content))
    if "" not in counts and max(counts.values()) == 1:
        return content
    model = unpacked(content)
    tensors = [tensor for graph in model.subgraphs for tensor in graph.tensors]
    for number, tensor in enumerate(tensors):
        if not tensor.name or counts[tensor.name.decode()] > 1:
            tensor.name = f"tensor{number}".encode()
    return packed(model)


def widened(
    content: bytes, names: Collection[str]
) -> tuple[bytes, dict[str, tuple[str, Range]]]:
    """Prepare operators for activations of 16 bits.

    TensorFlow Lite has a kernel of `hard_swish` for 8 bits and for floats, none for 16 bits:
    it becomes `x * (relu6(x + 3) * (1 / 6))`. Sums are told that their scales need not be
    powers of two, which they would otherwise take for granted.

    Args:
        content: The bytes of a float32 file with names.
        names: Which operators, by name; others are left as they are.

    Returns:
        The bytes of an equivalent file; and for each activation that came in, the name of
        the hard swish it came from and the range of its values.
    """
    if not names:
        return content, {}
    model = unpacked(content)
    graph = model.subgraphs[0]
    added: dict[str, tuple[str, Range]] = {}
    operators = []
    for operator in graph.operators:
        name = graph.tensors[operator.outputs[0]].name.decode()
        code = model.operatorCodes[operator.opcodeIndex].builtinCode
        if name in names and code in _SUMS:
            operator.builtinOptions.potScaleInt16 = False
        if name not in names or code != schema.BuiltinOperator.HARD_SWISH:
            operators.append(operator)
            continue
        (x,), (output,) = operator.inputs, operator.outputs
        relu6 = schema.ActivationFunctionType.RELU6
        shifted = _tensor(model, graph.tensors[x], f"{name}/shifted")
        gate = _tensor(model, graph.tensors[x], f"{name}/gate")
        three, sixth = (
            _number(model, f"{name}/three", 3),
            _number(model, f"{name}/sixth", 1 / 6),
        )
        operators += [
            _operator(
                model,
                "ADD",
                schema.AddOptionsT(relu6, potScaleInt16=False),
                [x, three],
                shifted,
            ),
            _operator(model, "MUL", schema.MulOptionsT(), [shifted, sixth], gate),
            _operator(model, "MUL", schema.MulOptionsT(), [x, gate], output),
        ]
        added[f"{name}/shifted"] = name, (0.0, 6.0)
        added[f"{name}/gate"] = name, (0.0, 1.0)
    graph.operators = operators
    return packed(model), added


def _tensor(model: Any, like: Any, name: str) -> int:
    """A new activation of the main graph: its position."""
    tensor = copy.copy(like)
    tensor.name, tensor.buffer = name.encode(), _buffer(model, None)
    model.subgraphs[0].tensors.append(tensor)
    return len(model.subgraphs[0].tensors) - 1


def _number(model: Any, name: str, value: float) -> int:
    """A new scalar constant of the main graph: its position."""
    data = np.array([value], np.float32).view(np.uint8)
    tensor = schema.TensorT(
        shape=[],
        type=schema.TensorType.FLOAT32,
        buffer=_buffer(model, data),
        name=name.encode(),
    )
    model.subgraphs[0].tensors.append(tensor)
    return len(model.subgraphs[0].tensors) - 1


def _buffer(model: Any, data: Any) -> int:
    model.buffers.append(schema.BufferT(data=data))
    return len(model.buffers) - 1


def _operator(model: Any, name: str, options: Any, inputs: list[int], output: int) -> Any:
    code = getattr(schema.BuiltinOperator, name)
    codes = [entry.builtinCode for entry in model.operatorCodes]
    if code not in codes:
        entry = schema.OperatorCodeT(deprecatedBuiltinCode=code, version=1, builtinCode=code)
        model.operatorCodes.append(entry)
        codes.append(code)
    return schema.OperatorT(
        opcodeIndex=codes.index(code),
        inputs=inputs,
        outputs=[output],
        builtinOptionsType=getattr(schema.BuiltinOptions, f"{name.capitalize()}Options"),
        builtinOptions=options,
    )
