"""The space of NAS-Bench-101: a cell of up to seven vertices that nine modules repeat."""

from __future__ import annotations

import collections
import functools
import hashlib
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import keras_tuner

from search_spaces.blocks import add, concatenate, conv, max_pool, narrow
from search_spaces.decisions import Decisions
from search_spaces.network import Node
from search_spaces.space import SearchSpace, check_images
from search_spaces.task import Task

__all__ = [
    "EDGES",
    "INCEPTION_LIKE",
    "MAX_EDGES",
    "MAX_VERTICES",
    "OPERATIONS",
    "Cell",
    "NASBench101Cells",
    "from_cell",
    "graph_hash",
    "pruned",
    "representative",
    "to_cell",
    "vertex_channels",
]

MAX_VERTICES = 7
MAX_EDGES = 9
EDGES = tuple(itertools.combinations(range(MAX_VERTICES), 2))
"""From vertex to vertex, in the order of the rows of a matrix."""

OPERATIONS: Mapping[str, Callable[[Node, int], Node]] = {
    "conv3x3-bn-relu": lambda x, channels: conv(x, channels, 3, activation="relu"),
    "conv1x1-bn-relu": lambda x, channels: conv(x, channels, 1, activation="relu"),
    "maxpool3x3": lambda x, channels: max_pool(x, 3, stride=1),
}
"""What a vertex may do to a node, by the published name; the first is the default."""

_PLAIN = ((0, 1), (1, 2), (0, 6), (2, 6))  # two operations and a shortcut: the default

Edges = Sequence[tuple[int, int]]


class Cell(NamedTuple):
    """A cell in the notation of the benchmark.

    Attributes:
        matrix: Which vertex (row) feeds which (column): rows of 0 and 1, upper triangular.
        operations: Of each vertex, with `"input"` first and `"output"` last.
    """

    matrix: Sequence[Sequence[int]]
    operations: Sequence[str]


INCEPTION_LIKE = Cell(
    (
        (0, 1, 1, 1, 0, 1, 0),
        (0, 0, 0, 0, 0, 0, 1),
        (0, 0, 0, 0, 0, 0, 1),
        (0, 0, 0, 0, 1, 0, 0),
        (0, 0, 0, 0, 0, 0, 1),
        (0, 0, 0, 0, 0, 0, 1),
        (0, 0, 0, 0, 0, 0, 0),
    ),
    (
        "input",
        "conv1x1-bn-relu",
        "conv3x3-bn-relu",
        "conv3x3-bn-relu",
        "conv3x3-bn-relu",
        "maxpool3x3",
        "output",
    ),
)
"""The example of the benchmark's own documentation: 2,694,282 trainable parameters."""


class NASBench101Cells(SearchSpace):
    """The 423,624 cells of NAS-Bench-101, on their published skeleton.

    A cell is a graph of at most 7 vertices and 9 edges from an input to an output. A vertex
    adds up what it reads, then applies its operation. The output concatenates what it reads,
    of which each part has about the same number of channels, and adds the input if that is
    read too. Whoever reads the input does so through a 1x1 convolution of its own. The
    skeleton is a stem and three stacks of `modules` copies of the cell with `channels`, twice
    and four times as many channels, and a max pooling of stride 2 between stacks.

    | decision         | values                                       | what it sets         |
    |------------------|----------------------------------------------|----------------------|
    | `cell/edge{i}`   | False, True                                  | whether there is one |
    | `cell/vertex{i}` | conv3x3-bn-relu, conv1x1-bn-relu, maxpool3x3 | its operation        |

    The edges 0 to 20 lead from vertex 0 to 1, 0 to 2, ..., 0 to 6, 1 to 2, ..., 5 to 6;
    vertex 0 is the input, 6 the output. That is `2**21 * 3**5` = 509,607,936 sets of
    decisions, each of which is a member:

    * Vertices that lie on no path from input to output go, with their edges.
    * Without any path, the input is read by the output alone.
    * Above nine edges, the last edge goes that can without cutting off a vertex; if there is
      none, the last edge. Again until there are nine.

    Isomorphic cells are one network, that of the `representative`.

    Args:
        input_shape: `(height, width, channels)` of one image, at least 8x8 pixels: on fewer,
            kernels of the last stack would read padding only.
        num_classes: Number of classes; the model returns this many logits.
        task: Any other task, instead of `num_classes`.
        rescaling: As in `SearchSpace`.
        channels: Channels of the stem and of the first stack, at least 5: one for each vertex
            whose output may be concatenated.
        modules: Copies of the cell in each stack.

    Raises:
        ValueError: If the input is no image, or smaller than 8x8, or the skeleton has fewer
            than 5 channels or no modules.

    Example:

    ```python
    space = NASBench101Cells((32, 32, 3), 10)
    network = space.network(from_cell(INCEPTION_LIKE))
    ```

    Reference:
        Ying et al., "NAS-Bench-101: Towards Reproducible Neural Architecture Search", ICML
        2019, https://arxiv.org/abs/1902.09635. The defaults are its skeleton on CIFAR-10. It
        refuses cells of more than nine edges or without a path, which are repaired here.
    """

    layouts: ClassVar[tuple[str, ...]] = ("images", "audio")

    def __init__(
        self,
        input_shape: Sequence[int],
        num_classes: int | None = None,
        *,
        task: Task | None = None,
        rescaling: tuple[Any, Any] | None = None,
        channels: int = 128,
        modules: int = 3,
    ) -> None:
        super().__init__(input_shape, num_classes, task=task, rescaling=rescaling)
        check_images("NASBench101Cells", self.input_shape, 8)
        if channels < MAX_VERTICES - 2 or modules < 1:
            raise ValueError(
                f"The skeleton needs at least {MAX_VERTICES - 2} channels and 1 module a "
                f"stack. Received: channels={channels}, modules={modules}. The published one "
                "has 128 and 3."
            )
        self.channels = channels
        self.modules = modules

    def body(self, hp: keras_tuner.HyperParameters, x: Node) -> Node:
        cell = _decided(hp)
        x = conv(x, self.channels, 3, activation="relu")
        for stack in range(3):
            if stack:
                x = max_pool(x, 2)
            for _ in range(self.modules):
                x = _module(x, cell, self.channels << stack)
        return x


def _module(x: Node, cell: Cell, channels: int) -> Node:
    matrix, operations = cell
    output = len(matrix) - 1
    widths = vertex_channels(channels, matrix)
    made = [x]
    for vertex in range(1, output):
        width = widths[vertex]
        read = [narrow(made[u], width) for u in range(1, vertex) if matrix[u][vertex]]
        if matrix[0][vertex]:
            read.append(_projected(x, width))
        summed = add(*read) if len(read) > 1 else read[0]
        made.append(OPERATIONS[operations[vertex]](summed, width))
    parts = [made[u] for u in range(1, output) if matrix[u][output]]
    if not parts:
        return _projected(x, channels)
    joined = concatenate(*parts)
    return add(joined, _projected(x, channels)) if matrix[0][output] else joined


def _projected(x: Node, channels: int) -> Node:
    return conv(x, channels, 1, activation="relu")


def vertex_channels(channels: int, matrix: Sequence[Sequence[int]]) -> list[int]:
    """Output channels of each vertex between the input and the output of a cell.

    The vertices that the output concatenates share its `channels` evenly; of what is left
    over the first ones get one more each. Any other vertex has as many as the widest one that
    reads it, which then drops the last of those it has too many.

    Args:
        channels: Channels of the cell's output.
        matrix: Of a cell in which every vertex is on a path to the output.

    Returns:
        Channels by vertex; what stands for the input and the output is their own `channels`.
    """
    output = len(matrix) - 1
    widths = [channels] * len(matrix)
    joined = [v for v in range(1, output) if matrix[v][output]]
    for place, vertex in enumerate(joined):
        widths[vertex] = channels // len(joined) + (place < channels % len(joined))
    for vertex in reversed(range(1, output)):
        if not matrix[vertex][output]:
            readers = [v for v in range(vertex + 1, output) if matrix[vertex][v]]
            widths[vertex] = max(widths[v] for v in readers)
    return widths


def to_cell(values: Mapping[str, Any]) -> Cell:
    """The cell that decisions stand for, repaired: the representative of its kind.

    Args:
        values: Decisions by name; those left out take their defaults.

    Raises:
        ValueError: If a decision does not offer its value.
    """
    return _decided(Decisions(values, strict=True))


def _decided(hp: Any) -> Cell:
    edges = [
        edge
        for i, edge in enumerate(EDGES)
        if hp.Boolean(f"cell/edge{i}", default=edge in _PLAIN)
    ]
    names = list(OPERATIONS)
    operations = [hp.Choice(f"cell/vertex{i}", names) for i in range(1, MAX_VERTICES - 1)]
    return _described(tuple(edges), tuple(operations))


def from_cell(cell: Cell) -> dict[str, Any]:
    """The decisions of a published cell; those of vertices that it lacks have their default.

    Raises:
        ValueError: If it is no cell of the benchmark: too many vertices or edges, an edge back
            or a loop, no path from input to output, or an unknown operation.
    """
    matrix, operations = pruned(cell)
    output = len(matrix) - 1
    values: dict[str, Any] = {f"cell/edge{i}": False for i in range(len(EDGES))}
    for u, v in _edges(matrix):
        edge = (u, MAX_VERTICES - 1 if v == output else v)
        values[f"cell/edge{EDGES.index(edge)}"] = True
    default = next(iter(OPERATIONS))
    for vertex in range(1, MAX_VERTICES - 1):
        inside = vertex < output
        values[f"cell/vertex{vertex}"] = operations[vertex] if inside else default
    return values


def pruned(cell: Cell) -> Cell:
    """The cell without the vertices that are on no path from input to output.

    Raises:
        ValueError: As `from_cell`.
    """
    matrix = tuple(tuple(int(bool(entry)) for entry in row) for row in cell.matrix)
    operations = tuple(cell.operations)
    size = len(matrix)
    if size < 2 or len(operations) != size or any(len(row) != size for row in matrix):
        raise ValueError(
            "A cell has a square matrix and one operation a vertex, from input to output. "
            f"Received: {size} rows of {[len(row) for row in matrix]} entries and "
            f"{len(operations)} operations. Give `Cell(matrix, operations)`."
        )
    if any(matrix[u][v] for u in range(size) for v in range(u + 1)):
        raise ValueError(
            "Edges of a cell lead to later vertices, so that there is no cycle. Received: "
            f"matrix={matrix}. Order the vertices so that it is upper triangular."
        )
    unknown = sorted(set(operations[1:-1]) - OPERATIONS.keys())
    if unknown or operations[0] != "input" or operations[-1] != "output":
        raise ValueError(
            f"A cell's vertices are input, then any of {', '.join(OPERATIONS)}, then output. "
            f"Received: operations={operations}. Name them so."
        )
    kept = _on_paths(_edges(matrix), size - 1)
    vertices = sorted({vertex for edge in kept for vertex in edge})
    if not kept or len(kept) > MAX_EDGES or len(vertices) > MAX_VERTICES:
        raise ValueError(
            "A cell has a path from input to output, and on such paths at most "
            f"{MAX_VERTICES} vertices and {MAX_EDGES} edges. Received: {len(vertices)} "
            f"vertices and {len(kept)} edges on paths in matrix={matrix}. Remove some, or add "
            "the edge from input to output."
        )
    return _compact(kept, operations)


def graph_hash(cell: Cell) -> str:
    """The same for isomorphic cells, and for no others: 16 hex digits.

    Cells are isomorphic when their vertices can be renamed, input and output aside, so that
    edges and operations agree. Unlike the benchmark's own hash, which refines the labels of
    vertices by those of their neighbours, this is one of the cell's `representative`, and
    cannot mistake two cells for one.

    Raises:
        ValueError: As `from_cell`.
    """
    return hashlib.sha256(repr(representative(cell)).encode()).hexdigest()[:16]


def representative(cell: Cell) -> Cell:
    """Of all cells isomorphic to the pruned `cell` the one that the benchmark trained.

    It is the first in the benchmark's order: by the edges as a binary number in which those
    to early vertices count least, then by the operations in their order.

    Raises:
        ValueError: As `from_cell`.
    """
    matrix, operations = pruned(cell)
    return _first(tuple(_edges(matrix)), tuple(operations))


@functools.lru_cache(maxsize=4096)
def _described(edges: tuple[tuple[int, int], ...], operations: tuple[str, ...]) -> Cell:
    """The representative of the decisions' cell, which is repaired if need be."""
    matrix, names = _compact(_repaired(edges), ("input", *operations, "output"))
    return _first(tuple(_edges(matrix)), tuple(names))


def _repaired(edges: Edges) -> Edges:
    """At most nine edges, all of them on paths from input to output."""
    output = MAX_VERTICES - 1
    edges = _on_paths(edges, output) or [(0, output)]
    while len(edges) > MAX_EDGES:
        leaving = collections.Counter(u for u, _ in edges)
        arriving = collections.Counter(v for _, v in edges)
        spare = [(u, v) for u, v in edges if leaving[u] > 1 and arriving[v] > 1]
        last = (spare or edges)[-1]
        edges = _on_paths([edge for edge in edges if edge != last], output)
    return edges


def _on_paths(edges: Edges, output: int) -> Edges:
    """The edges on paths from vertex 0 to `output`, in the order given, which is by rows."""
    reached, leading = {0}, {output}
    for u, v in edges:
        if u in reached:
            reached.add(v)
    for u, v in reversed(edges):
        if v in leading:
            leading.add(u)
    on = reached & leading
    return [(u, v) for u, v in edges if u in on and v in on]


def _edges(matrix: Sequence[Sequence[int]]) -> Edges:
    return [(u, v) for u, v in itertools.combinations(range(len(matrix)), 2) if matrix[u][v]]


def _compact(edges: Edges, operations: Sequence[str]) -> Cell:
    """The cell of the vertices that `edges` connect, renumbered without gaps."""
    vertices = sorted({vertex for edge in edges for vertex in edge})
    place = {vertex: number for number, vertex in enumerate(vertices)}
    return _cell([(place[u], place[v]) for u, v in edges], [operations[v] for v in vertices])


def _cell(edges: Iterable[tuple[int, int]], operations: Sequence[str]) -> Cell:
    size, there = len(operations), set(edges)
    matrix = tuple(tuple(int((u, v) in there) for v in range(size)) for u in range(size))
    return Cell(matrix, tuple(operations))


@functools.lru_cache(maxsize=4096)
def _first(edges: tuple[tuple[int, int], ...], operations: tuple[str, ...]) -> Cell:
    """The representative of a pruned cell."""
    rank = {name: number for number, name in enumerate(OPERATIONS)}
    inner = range(1, len(operations) - 1)
    best: tuple[int, list[int], tuple[int, ...]] | None = None
    for order in itertools.permutations(inner):
        place = (0, *order, len(operations) - 1)  # by vertex, its new number
        bits = 0
        for u, v in edges:
            low, high = place[u], place[v]
            if low > high:
                break
            bits |= 1 << (high * (high - 1) // 2 + low)
        else:
            if best is None or bits <= best[0]:
                labels = [0] * len(operations)
                for vertex in inner:
                    labels[place[vertex]] = rank[operations[vertex]]
                candidate = bits, labels, place
                best = candidate if best is None else min(best, candidate)
    assert best is not None  # the order given is one of them
    place = best[2]
    renamed = [""] * len(operations)
    for vertex, name in enumerate(operations):
        renamed[place[vertex]] = name
    return _cell([(place[u], place[v]) for u, v in edges], renamed)
