"""The operators the int8 quantizer lacks, in terms of those it has."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

__all__ = ["quantizable"]

_REWRITTEN = {"Neg", "Square"}


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
