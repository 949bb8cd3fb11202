"""Cells of DARTS, and the genotypes in which they are published."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Sequence
from numbers import Integral
from typing import Any, ClassVar, NamedTuple

import keras_tuner

from search_spaces.blocks import activation, add, concatenate, conv
from search_spaces.cells import (
    alternatives,
    check_operations,
    chosen_stem,
    counts,
    fit,
    pick,
)
from search_spaces.decisions import Decisions
from search_spaces.network import Node
from search_spaces.space import SearchSpace, Values, choose
from search_spaces.task import Task

__all__ = ["DARTS_V1", "DARTS_V2", "DARTSCells", "Genotype", "parse_genotype"]

_OPERATIONS = (
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
)

DARTS_V1 = (
    "Genotype(normal=[('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('skip_connect', 0), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), "
    "('skip_connect', 2)], normal_concat=[2, 3, 4, 5], reduce=[('max_pool_3x3', 0), "
    "('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 0), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('avg_pool_3x3', 0)], "
    "reduce_concat=[2, 3, 4, 5])"
)
"""What the first-order method of Liu et al. (2019) found on CIFAR-10."""

DARTS_V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), "
    "('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), "
    "('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], reduce=[('max_pool_3x3', 0), "
    "('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], "
    "reduce_concat=[2, 3, 4, 5])"
)
"""What the second-order method of Liu et al. (2019) found on CIFAR-10."""

_KINDS = ("normal", "reduce")
_NODES = range(2, 6)  # intermediate nodes; 0 and 1 are the inputs of the cell

Edge = tuple[str, int]


class Genotype(NamedTuple):
    """The two cells of a network, as DARTS and its successors publish them.

    Two edges in a row belong to one node, from node 2 on. Its `repr` is the published text.

    Attributes:
        normal: `(operation, node that is read)` of each edge of the cell that keeps images.
        normal_concat: Nodes whose outputs are concatenated.
        reduce: Edges of the cell that halves images.
        reduce_concat: Nodes whose outputs are concatenated.
    """

    normal: Sequence[Edge]
    normal_concat: Sequence[int]
    reduce: Sequence[Edge]
    reduce_concat: Sequence[int]


def parse_genotype(text: str) -> Genotype:
    """Read a genotype as it is published; nothing in the text is run.

    Args:
        text: `Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=range(2, 6),
            reduce=[...], reduce_concat=[2, 3, 4, 5])`, with or without a name and `=` before.

    Raises:
        ValueError: If it is anything else.
    """
    try:
        (statement,) = ast.parse(text.strip()).body
        call: Any = statement.value  # type: ignore[attr-defined]
        if call.func.id != "Genotype":
            raise ValueError(call.func.id)
        given = [_literal(argument) for argument in call.args]
        named = {str(keyword.arg): _literal(keyword.value) for keyword in call.keywords}
        genotype = Genotype(*given, **named)
        _check_types(genotype)
    except (AttributeError, RecursionError, SyntaxError, TypeError, ValueError) as error:
        raise ValueError(
            "A genotype reads Genotype(normal=[(operation, node), ...], normal_concat=[...], "
            f"reduce=[...], reduce_concat=[...]). Received: {text[:80]!r}. Copy the text as "
            "it was printed."
        ) from error
    return genotype


class DARTSCells(SearchSpace):
    """Cells of DARTS: a graph of 4 nodes, of which each reads two earlier ones.

    A stem, `cells` cells one after the other, and the task's head. Each cell reads the two
    before it, brought to its size and number of channels. Its nodes add up what two edges
    make of two different nodes, and its output concatenates all four. Cells at one third and
    at two thirds of the depth halve images and double channels: they are `reduce`, all others
    `normal`, and all cells of a kind are alike. Every operation has an int8 kernel in TFLite.

    | decision              | values                       | what it sets                     |
    |-----------------------|------------------------------|----------------------------------|
    | `{cell}/node3/inputs` | 0+1, 0+2, 1+2                | the nodes that node 3 reads      |
    | `{cell}/node4/inputs` | 0+1, 0+2, 0+3, 1+2, 1+3, 2+3 | the nodes that node 4 reads      |
    | `{cell}/node5/inputs` | 0+1, 0+2, 0+3, 0+4, 1+2,     | the nodes that node 5 reads      |
    |                       | 1+3, 1+4, 2+3, 2+4, 3+4      |                                  |
    | `{cell}/edge{i}`      | sep_conv_3x3, sep_conv_5x5,  | operation of edge i: edges 0 and |
    |                       | dil_conv_3x3, dil_conv_5x5,  | 1 lead to node 2, 2 and 3 to     |
    |                       | max_pool_3x3, avg_pool_3x3,  | node 3, ...; even ones from the  |
    |                       | skip_connect                 | lower of the two nodes           |
    | `cells`               | (if several are given)       | number of cells                  |
    | `filters`             | (if several are given)       | channels of a node at first      |

    `{cell}` is `normal` or `reduce`. Nodes 0 and 1 are the cell before the last one and the
    last one; node 2 always reads both, so that each set of decisions is a network without an
    idle part. That is `(180 * 7**8)**2` = 1.1e18 sets of decisions.

    `values` and `genotype` translate from and to published texts:

    ```python
    space = DARTSCells((32, 32, 3), 10, cells=20, filters=36)
    network = space.network(space.values(DARTS_V2))  # 3.3 M weights, as published
    ```

    Args:
        input_shape: `(height, width, channels)` of one image: at least 8x8 pixels, with the
            stem for ImageNet 64x64.
        num_classes: Number of classes; the model returns this many logits.
        task: Any other task, instead of `num_classes`.
        rescaling: As in `SearchSpace`.
        cells: Number of cells, at least 3, or several to choose from, the first by default;
            20 (CIFAR-10) and 14 (ImageNet) as published, 8 while searching.
        filters: Channels of a node in the first cells, at least 2, or several to choose from;
            36 and 48 as published, 16 while searching.
        stem: `"cifar"`, one convolution at full resolution; `"imagenet"`, three that halve
            images; by default the second from 96 pixels on.
        operations: Operations to choose from, of `cells.OPERATIONS`; the first by default.

    Raises:
        ValueError: If the input is no image or too small, or an argument is none of the above.

    References:
        Liu et al., "DARTS: Differentiable Architecture Search", ICLR 2019,
        https://arxiv.org/abs/1806.09055. Unlike there, padding is TensorFlow's "same", images
        of odd sides can be halved, and there is no auxiliary head.
    """

    layouts: ClassVar[tuple[str, ...]] = ("images", "audio")

    def __init__(
        self,
        input_shape: Sequence[int],
        num_classes: int | None = None,
        *,
        task: Task | None = None,
        rescaling: tuple[Any, Any] | None = None,
        cells: int | Sequence[int] = 8,
        filters: int | Sequence[int] = 16,
        stem: str | None = None,
        operations: Sequence[str] = _OPERATIONS,
    ) -> None:
        super().__init__(input_shape, num_classes, task=task, rescaling=rescaling)
        self.stem = chosen_stem("DARTSCells", stem, self.input_shape)
        self.cells = counts("cells", cells, 3)
        self.filters = counts("filters", filters, 2)
        self.operations = check_operations(operations)

    def body(self, hp: keras_tuner.HyperParameters, x: Node) -> Node:
        filters = pick(hp, "filters", self.filters)
        cells = pick(hp, "cells", self.cells)
        inputs = {kind: _inputs(hp, kind) for kind in _KINDS}
        before, last = self._stem(x, filters)
        for i in range(cells):
            kind = _KINDS[i in (cells // 3, 2 * cells // 3)]
            if kind == "reduce":
                filters *= 2
            output = self._cell(hp, kind, inputs[kind], before, last, filters)
            before, last = last, output
        return last

    def values(self, genotype: str | Genotype) -> dict[str, Any]:
        """The decisions that a genotype stands for.

        Args:
            genotype: A genotype or its text.

        Raises:
            ValueError: If the text is no genotype, or the genotype none of this space.
        """
        if isinstance(genotype, str):
            genotype = parse_genotype(genotype)
        else:
            try:
                _check_types(genotype)
            except (AttributeError, TypeError, ValueError) as error:
                raise ValueError(
                    "A genotype has lists of (operation, node) and lists of nodes, which are "
                    f"whole numbers. Received: {genotype!r:.200}. Write it so, or pass the "
                    "published text."
                ) from error
        values: dict[str, Any] = {}
        for kind in _KINDS:
            edges, concat = getattr(genotype, kind), getattr(genotype, f"{kind}_concat")
            self._check(kind, edges, concat)
            for node, place in zip(_NODES, range(0, 8, 2), strict=True):
                first, second = sorted(edges[place : place + 2], key=lambda edge: edge[1])
                if node > 2:
                    values[f"{kind}/node{node}/inputs"] = f"{first[1]}+{second[1]}"
                values[f"{kind}/edge{place}"] = first[0]
                values[f"{kind}/edge{place + 1}"] = second[0]
        return values

    def genotype(self, values: Values) -> Genotype:
        """The genotype of plain decisions; those left out take their defaults."""
        hp: Any = Decisions(values, strict=True)
        cells: list[Any] = []
        for kind in _KINDS:
            names = [hp.Choice(f"{kind}/edge{i}", list(self.operations)) for i in range(8)]
            sources = itertools.chain.from_iterable(_inputs(hp, kind))
            cells += list(zip(names, sources, strict=True)), range(2, 6)
        return Genotype(*cells)

    def _stem(self, x: Node, filters: int) -> tuple[Node, Node]:
        if self.stem == "cifar":
            x = conv(x, 3 * filters, 3, activation="linear")
            return x, x
        x = conv(x, filters // 2, 3, 2, activation="relu")
        x = conv(x, filters, 3, 2, activation="linear")
        return x, conv(activation(x, "relu"), filters, 3, 2, activation="linear")

    def _cell(
        self,
        hp: keras_tuner.HyperParameters,
        kind: str,
        inputs: Sequence[tuple[int, int]],
        before: Node,
        last: Node,
        filters: int,
    ) -> Node:
        nodes = [fit(before, last.shape, filters), fit(last, last.shape, filters)]
        keeping = alternatives(self.operations, filters, 1)
        halving = keeping
        if kind == "reduce":
            halving = alternatives(self.operations, filters, 2)
        for i, pair in enumerate(inputs):
            first, second = [
                choose(
                    hp,
                    f"{kind}/edge{2 * i + side}",
                    nodes[source],
                    halving if source < 2 else keeping,
                )
                for side, source in enumerate(pair)
            ]
            nodes.append(add(first, second))
        return concatenate(*nodes[2:])

    def _check(self, kind: str, edges: Sequence[Edge], concat: Sequence[int]) -> None:
        """Refuse the half of a genotype that is no cell of the space."""
        if len(edges) != 2 * len(_NODES):
            raise ValueError(
                f"A cell has 4 nodes of two edges each. Received: {kind} with {len(edges)} "
                "edges. Give 8 pairs of an operation and a node."
            )
        if sorted(concat) != list(_NODES):
            raise ValueError(
                "The output of a cell concatenates its nodes 2, 3, 4 and 5. Received: "
                f"{kind}_concat={concat}. Write {kind}_concat=range(2, 6)."
            )
        for place, (operation, source) in enumerate(edges):
            node = _NODES[place // 2]
            if operation not in self.operations:
                raise ValueError(
                    f"The operations of this space are {', '.join(self.operations)}. "
                    f"Received: {operation!r} at edge {place} of {kind}. Use one of them, or "
                    "list it in `operations`."
                )
            if not 0 <= source < node:
                raise ValueError(
                    f"A node reads earlier ones, or the cell would be a cycle. Received: node "
                    f"{node} of {kind} with an edge from node {source}. Let it read one of "
                    f"nodes 0 to {node - 1}."
                )
            if place % 2 and source == edges[place - 1][1]:
                raise ValueError(
                    f"A node reads two different nodes. Received: node {node} of {kind} with "
                    f"two edges from node {source}. Let it read another one of nodes 0 to "
                    f"{node - 1}."
                )


def _inputs(hp: keras_tuner.HyperParameters, kind: str) -> list[tuple[int, int]]:
    """The nodes that each node of a cell reads."""
    return [(0, 1), *(_pair(hp, kind, node) for node in _NODES[1:])]


def _pair(hp: keras_tuner.HyperParameters, kind: str, node: int) -> tuple[int, int]:
    pairs = [f"{first}+{second}" for first, second in itertools.combinations(range(node), 2)]
    first, second = hp.Choice(f"{kind}/node{node}/inputs", pairs).split("+")
    return int(first), int(second)


def _check_types(genotype: Any) -> None:
    """Raise if the fields of a genotype are not what they should be."""
    for kind in _KINDS:
        edges, concat = getattr(genotype, kind), getattr(genotype, f"{kind}_concat")
        nodes = [*concat, *(node for _, node in edges)]
        if not nodes or not all(isinstance(name, str) for name, _ in edges):
            raise TypeError(edges)
        if any(isinstance(node, bool) or not isinstance(node, Integral) for node in nodes):
            raise TypeError(nodes)


def _literal(node: ast.expr) -> Any:
    """The value of a literal, or of a `range` of literals."""
    if isinstance(node, ast.Call):
        if not isinstance(node.func, ast.Name) or node.func.id != "range" or node.keywords:
            raise ValueError(ast.dump(node))
        numbers = range(*(ast.literal_eval(argument) for argument in node.args))
        if numbers[: len(_NODES) + 1] != numbers:
            raise ValueError(numbers)  # more than a cell has nodes
        return numbers
    return ast.literal_eval(node)
