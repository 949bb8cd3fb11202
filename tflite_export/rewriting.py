"""The operators the quantizers lack, in terms of those they have."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

from tflite_export.compaction import packed, unpacked
from tflite_export.inspection import tensor_names

__all__ = ["named", "quantizable", "settled", "widened"]

Range = tuple[float, float]

_REWRITTEN = {"Neg", "Square"}
_PASSING = {"Identity", "Cast"}
_INTEGERS = {tf.int32.as_datatype_enum, tf.int64.as_datatype_enum}
_SPLITS = {schema.BuiltinOperator.SPLIT: 1, schema.BuiltinOperator.SPLIT_V: 0}  # what is split
_DILATABLE = ("Conv2D", "DepthwiseConv2dNative")
_SUMS = (schema.BuiltinOperator.ADD, schema.BuiltinOperator.SUB)


def quantizable(function: Any) -> Any:
    """Rewrite what the quantizer knows no int8 form of.

    Left alone, `-x`, `x**2` and an axis turned around would stay in float between a DEQUANTIZE
    and a QUANTIZE: they become products and a gathering. With this, `LayerNormalization`,
    `RMSNormalization` and `Bidirectional` become integer throughout. Tokens that `Embedding`
    looks up are taken to count from the start of the vocabulary, as all tokenizers have it.

    Args:
        function: A concrete function that captures no variables.

    Returns:
        An equivalent concrete function; `function` itself when there is nothing to do.
    """
    graph = function.graph.as_graph_def()
    found = [
        node
        for node in graph.node
        if node.op in _REWRITTEN and node.attr["T"].type == tf.float32.as_datatype_enum
    ]
    lookups, reversals = _lookups(function, graph), _reversals(function)
    if not (_dilated(graph) or found or lookups or reversals):
        return function
    for node in list(graph.node):
        if node.name in reversals:
            _gather(graph, node, *reversals[node.name])
    for node in lookups:
        node.op, indices = "Identity", node.input[2]
        del node.input[:]
        node.input.append(indices)
    for node in found:
        node.input.append(_minus_one(graph, node) if node.op == "Neg" else node.input[0])
        node.op = "Mul"
    sources = [source.name for source in function.inputs]
    signature = [
        tf.TensorSpec.from_tensor(source, name=source.op.name) for source in function.inputs
    ]
    structure = function.structured_outputs
    outputs = [tensor.name for tensor in function.outputs]

    def rewritten(*values: Any) -> Any:
        given = dict(zip(sources, values, strict=True))
        tensors = tf.graph_util.import_graph_def(graph, given, outputs, name="")
        return tf.nest.pack_sequence_as(structure, tensors)

    return tf.function(
        rewritten, input_signature=signature, autograph=False
    ).get_concrete_function()


def _dilated(graph: Any) -> bool:
    """Dilate convolutions themselves, where Keras spreads their input over a batch.

    The converter does so as well, but only where a single convolution reads what was spread.

    Returns:
        Whether there was any.
    """
    nodes = {node.name: node for node in graph.node}
    found = False
    for node in graph.node:
        convolution: Any = nodes.get(node.input[0]) if node.op == "BatchToSpaceND" else None
        if convolution is None or convolution.op not in _DILATABLE:
            continue
        spread: Any = nodes.get(convolution.input[0])
        if spread is None or spread.op != "SpaceToBatchND":
            continue
        block, paddings = (
            tf.make_ndarray(nodes[name].attr["value"].tensor) for name in spread.input[1:]
        )
        # The node becomes the convolution under its own name: those who read it stay.
        node.op = convolution.op
        node.ClearField("attr")
        for name, value in convolution.attr.items():
            node.attr[name].CopyFrom(value)
        node.attr["dilations"].list.i[:] = [1, *block.tolist(), 1]
        # Without padding by the layer only the end is filled up to a multiple of the block.
        node.attr["padding"].s = b"SAME" if paddings[:, 0].any() else b"VALID"
        del node.input[:]
        node.input.extend([spread.input[0], convolution.input[1]])
        found = True
    return found


def _lookups(function: Any, graph: Any) -> list[Any]:
    """Where `Embedding` counts negative tokens from the end of the vocabulary.

    `SelectV2(tokens < 0, tokens + vocabulary, tokens)`: three operators, one of which has no
    kernel on microcontrollers, for tokens that there are none of. Other selections look like
    it: that is one only if rows of a constant table, as many as it adds, are all it is for.
    """
    nodes = {node.name: node for node in graph.node}

    def source(name: str) -> Any:
        return nodes.get(name.split(":")[0])

    found = []
    for node in graph.node:
        if node.op != "SelectV2" or node.attr["T"].type not in _INTEGERS:
            continue
        below, moved = source(node.input[0]), source(node.input[1])
        if (
            below is not None
            and moved is not None
            and (below.op, moved.op) == ("Less", "AddV2")
            and below.input[0] == moved.input[0] == node.input[2]
            and _constant(graph, node.input[2]) is None
            and _constant(graph, below.input[1]) == 0
            and (rows := _rows(function, nodes, node.name))
            and rows == {_constant(graph, moved.input[1])}
        ):
            found.append(node)
    return found


def _rows(function: Any, nodes: Mapping[str, Any], name: str) -> set[Any]:
    """How many rows the constant tables have that a node's output is looked up in.

    `None` is among them if it is read by anything but such a lookup.
    """
    output = function.graph.get_operation_by_name(name).outputs[0]
    if any(tensor is output for tensor in function.outputs):
        return {None}
    found: set[Any] = set()
    for reader in output.consumers():
        if reader.type in _PASSING:
            found |= _rows(function, nodes, reader.name)
        elif reader.type == "GatherV2" and reader.inputs[1] is output:
            table, _, axis = reader.inputs
            weights = nodes[table.op.name]
            while weights.op in _PASSING:
                weights = nodes[weights.input[0].split(":")[0]]
            looked_up = weights.op == "Const" and tf.get_static_value(axis) == 0
            found.add(table.shape[0] if looked_up else None)
        else:
            found.add(None)
    return found


def _constant(graph: Any, name: str) -> Any:
    """The value of a tensor that does not depend on the input; `None` if it does."""
    nodes = {node.name: node for node in graph.node}
    needed, left = set(), [name]
    while left:
        node = nodes[left.pop().split(":")[0].lstrip("^")]
        if node.op == "Placeholder":
            return None
        if node.name not in needed:
            needed.add(node.name)
            left += node.input
    part = tf.compat.v1.GraphDef(library=graph.library, versions=graph.versions)
    part.node.extend(node for node in graph.node if node.name in needed)
    tensor = name if ":" in name else f"{name}:0"

    def value() -> Any:
        return tf.graph_util.import_graph_def(part, return_elements=[tensor], name="")[0]

    return tf.function(value, autograph=False)().numpy()


def _reversals(function: Any) -> dict[str, tuple[int, int]]:
    """Nodes that turn around a single axis of a known size: the axis and the size."""
    found = {}
    for node in function.graph.get_operations():
        if node.type == "ReverseV2":
            axes, shape = tf.get_static_value(node.inputs[1]), node.inputs[0].shape
            if axes is not None and len(axes) == 1 and shape[int(axes[0])] is not None:
                found[node.name] = int(axes[0]), int(shape[int(axes[0])])
    return found


def _gather(graph: Any, node: Any, axis: int, size: int) -> None:
    """Turn an axis around by gathering, which the quantizer knows."""
    order = graph.node.add(op="Const", name=f"{node.name}/order")
    place = graph.node.add(op="Const", name=f"{node.name}/place")
    values = np.arange(size - 1, -1, -1, dtype=np.int32), np.array(axis, np.int32)
    for constant, value in zip((order, place), values, strict=True):
        constant.attr["dtype"].type = tf.int32.as_datatype_enum
        constant.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
    node.op = "GatherV2"
    node.attr["Tparams"].CopyFrom(node.attr["T"])
    node.attr["Tindices"].type = node.attr["Taxis"].type = tf.int32.as_datatype_enum
    for name in ("T", "Tidx"):
        del node.attr[name]
    source = node.input[0]
    del node.input[:]
    node.input.extend([source, order.name, place.name])


def _minus_one(graph: Any, node: Any) -> str:
    constant = graph.node.add(op="Const", name=f"{node.name}/minus_one")
    constant.attr["dtype"].CopyFrom(node.attr["T"])
    constant.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(-1.0))
    return str(constant.name)


def settled(content: bytes) -> bytes:
    """Give outputs of a split that nothing reads the type of the others.

    The quantizer looks at what is read only; what is left of a split, as in the first step of
    an LSTM whose state is zero, would stay in float and no kernel has both.

    Args:
        content: The bytes of a quantized file.

    Returns:
        The same bytes if there is nothing to do, else those of the file with such outputs
        quantized like their neighbours.
    """
    model = unpacked(content)
    tensors = model.subgraphs[0].tensors
    done = False
    for operator in model.subgraphs[0].operators:
        code = model.operatorCodes[operator.opcodeIndex].builtinCode
        if code not in _SPLITS:
            continue
        source = tensors[operator.inputs[_SPLITS[code]]]
        for output in (tensors[index] for index in operator.outputs):
            if output.type != source.type and output.type == schema.TensorType.FLOAT32:
                output.type, output.quantization = source.type, copy.copy(source.quantization)
                done = True
    return packed(model) if done else content


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
