"""Layers that become many nodes of the graph that the converter reads."""

from __future__ import annotations

from collections.abc import Callable

from search_spaces.file_graph import FileGraph
from search_spaces.operations import Settings, Shape
from search_spaces.unrolling import unrolled

__all__ = ["PARTS"]

_EPSILON = 1e-6  # of layer normalisation


def _layer_norm(graph: FileGraph, x: int, shape: Shape, name: str, s: Settings) -> int:
    """`x * scale + (shift - mean * scale)`, the scale over the root of the variance."""
    narrow, channels = (*shape[:-1], 1), (*(1,) * (len(shape) - 1), shape[-1])
    mean = graph.reduce(x, narrow, f"{name}moments/mean")
    negative = graph.number("MUL", mean, -1.0, narrow, f"{name}Neg")
    square = graph.plain(
        "SQUARED_DIFFERENCE", [x, mean], shape, f"{name}moments/SquaredDifference"
    )
    variance = graph.reduce(square, narrow, f"{name}moments/variance")
    variance = graph.number("ADD", variance, _EPSILON, narrow, f"{name}add")
    scale = graph.plain("RSQRT", [variance], narrow, f"{name}Rsqrt")
    scale = graph.weights("MUL", scale, channels, shape, f"{name}mul")
    shift = graph.plain("MUL", [negative, scale], shape, f"{name}mul_1")
    shift = graph.weights("ADD", shift, channels, shape, f"{name}add_1")
    scaled = graph.plain("MUL", [x, scale], shape, f"{name}mul_2")
    return graph.plain("ADD", [scaled, shift], shape, f"{name}add_2")


def _attention(graph: FileGraph, x: int, shape: Shape, name: str, s: Settings) -> int:
    _, length, channels = shape
    heads, width = s["heads"], s["width"]
    split, square = (1, length, heads, width), (1, heads, length, length)

    def projected(part: str) -> int:
        y = graph.dense(x, heads * width, f"{name}{part}_1/MatMul")
        return graph.add("reshaped", [y], split, f"{name}{part}_1/Reshape_1")

    query, key, value = projected("query"), projected("key"), projected("value")
    scores = graph.add("scores", [query, key], square, f"{name}einsum")
    if width > 1:
        scores = graph.number("MUL", scores, width**-0.5, square, f"{name}Mul")
    if s["causal"]:
        scores = graph.add("masked", [scores], square, f"{name}SelectV2")
    weights = graph.plain("SOFTMAX", [scores], square, f"{name}Softmax")
    mixed = graph.add("mixture", [weights, value], split, f"{name}einsum_1")
    joined = (1, length, heads * width)
    mixed = graph.add("reshaped", [mixed], joined, f"{name}attention_output_1/Reshape")
    return graph.dense(mixed, channels, f"{name}attention_output_1/MatMul")


PARTS: dict[str, Callable[[FileGraph, int, Shape, str, Settings], int]] = {
    "attention": _attention,
    "layer_norm": _layer_norm,
    "recurrent": unrolled,
}
"""By operation: `(graph, input, output shape, name, settings) -> output`."""
