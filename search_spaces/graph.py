"""Networks as free graphs: operations at nodes, and edges wherever the search wants them."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

import keras_tuner
import numpy as np

from search_spaces.blocks import add, average_pool, concatenate, conv, max_pool, separable
from search_spaces.decisions import Decisions
from search_spaces.network import Node
from search_spaces.operations import Shape
from search_spaces.space import SearchSpace, check_images, choose
from search_spaces.task import Task

__all__ = [
    "ADD",
    "CONCATENATE",
    "MAIN",
    "STRIDES",
    "Edge",
    "Graph",
    "GraphNetwork",
    "Rules",
    "Vertex",
]

MAIN, ADD, CONCATENATE = "main", "add", "concatenate"
_NONE = "none"  # what the decision on an edge says where there is none
_SMALLEST = 8  # pixels a side of an image
_HALVED = 5  # pixels a side from which on halving leaves a kernel of 5 something to see
STRIDES = (1, 2)

Values = Mapping[str, Any]


class _Operation(Protocol):
    """From what a node reads to its output: of `width` channels, halved by a stride of 2."""

    def __call__(self, x: Node, width: int, stride: int) -> Node: ...


def _skip(x: Node, width: int, stride: int) -> Node:
    return _projected(max_pool(x, stride) if stride > 1 else x, width)


def _projected(x: Node, width: int) -> Node:
    """The same images in `width` channels; a 1x1 convolution only where that is needed."""
    return x if x.channels == width else conv(x, width, 1, activation="linear")


_OPERATIONS: dict[str, _Operation] = {
    "conv3": lambda x, width, stride: conv(x, width, 3, stride),
    "conv1": lambda x, width, stride: conv(x, width, 1, stride),
    "conv5": lambda x, width, stride: conv(x, width, 5, stride),
    "separable3": lambda x, width, stride: separable(x, width, 3, stride),
    "separable5": lambda x, width, stride: separable(x, width, 5, stride),
    "max_pool3": lambda x, width, stride: _projected(max_pool(x, 3, stride), width),
    "average_pool3": lambda x, width, stride: _projected(average_pool(x, 3, stride), width),
    "skip": _skip,
}


# --- the graph ----------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Rules:
    """What graphs a space allows.

    Args:
        operations: What a node may do: names in the table of `GraphNetwork`; the first is the
            default.
        widths: The channels that a node may have, ascending.
        max_nodes: How many nodes a graph may have.

    Raises:
        ValueError: If an operation is unknown, a list is empty or holds something twice, a
            width is not positive, or there may be no node.
    """

    operations: tuple[str, ...] = tuple(_OPERATIONS)
    widths: tuple[int, ...] = (8, 16, 32, 64, 128)
    max_nodes: int = 8

    def __post_init__(self) -> None:
        unknown = [name for name in self.operations if name not in _OPERATIONS]
        if unknown or not self.operations or len(set(self.operations)) < len(self.operations):
            raise ValueError(
                f"Operations of a graph are {', '.join(_OPERATIONS)}. Received: operations="
                f"{self.operations}. List one or more of them once."
            )
        if (
            not self.widths
            or min(self.widths) < 1
            or list(self.widths) != sorted(set(self.widths))
        ):
            raise ValueError(
                "Widths of nodes must be ascending numbers of channels. Received: widths="
                f"{self.widths}. List one or more of them once."
            )
        if self.max_nodes < 1:
            raise ValueError(
                "A graph has at least 1 node. Received: max_nodes="
                f"{self.max_nodes}. Allow one or more."
            )


class Vertex(NamedTuple):
    """What a node does.

    Attributes:
        operation: Its operation: a name in the table of `GraphNetwork`.
        width: Channels of its output.
        stride: 2 if it halves the resolution, otherwise 1.
    """

    operation: str
    width: int
    stride: int = 1


class Edge(NamedTuple):
    """That one node reads another.

    Attributes:
        source: Number of the node that is read; 0 is the input.
        target: Number of the node that reads it.
        merge: How it joins the other inputs of `target`: `"main"` for the latest, `"add"` or
            `"concatenate"` for an earlier one.
    """

    source: int
    target: int
    merge: str = MAIN


@dataclasses.dataclass(frozen=True)
class Graph:
    """A network as nodes and edges.

    Nodes are numbered from 1 in an order in which they can be computed; 0 is the input. So an
    edge leads to a higher number, and there can be no cycle. What no other node reads leads to
    the output: there are no dead branches. The latest node that another one reads is its
    *main* input; earlier ones are added to it or concatenated with it.

    Graphs are values: equal if nodes, edges and rules are. Two numberings of the same network
    are different graphs (and equal `Network`s).

    Args:
        nodes: The nodes in the order of their numbers.
        edges: The edges, in any order; kept sorted by target, then source.
        rules: What the space allows.

    Raises:
        ValueError: If there are too few or too many nodes, a node is not as the rules allow,
            an edge leads nowhere or back or is there twice, or a node has no input, or not
            the latest as the main one.
    """

    nodes: tuple[Vertex, ...]
    edges: tuple[Edge, ...]
    rules: Rules = Rules()

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.edges, key=lambda edge: (edge.target, edge.source)))
        object.__setattr__(self, "edges", ordered)
        _check_nodes(self.nodes, self.rules)
        _check_edges(self.edges, len(self.nodes))

    @property
    def outputs(self) -> tuple[int, ...]:
        """Numbers of the nodes that lead to the output: those that no node reads."""
        read = {edge.source for edge in self.edges}
        return tuple(i for i in range(1, len(self.nodes) + 1) if i not in read)

    def node(self, number: int) -> Vertex:
        """What the node of this number does; of nodes, not of the input.

        Raises:
            ValueError: If there is none.
        """
        if not 1 <= number <= len(self.nodes):
            raise ValueError(
                f"The graph has nodes 1 to {len(self.nodes)}. Received: node {number}. Give "
                "one of them; 0 is the input, which does nothing."
            )
        return self.nodes[number - 1]

    def inputs(self, number: int) -> dict[int, str]:
        """What a node reads: how it is merged, by the number of the source."""
        return {edge.source: edge.merge for edge in self.edges if edge.target == number}

    def readers(self, number: int) -> tuple[int, ...]:
        """Numbers of the nodes that read this one."""
        return tuple(edge.target for edge in self.edges if edge.source == number)

    def __str__(self) -> str:
        lines = []
        for number, (operation, width, stride) in enumerate(self.nodes, start=1):
            read = ", ".join(
                str(source) if merge == MAIN else f"{merge} {source}"
                for source, merge in sorted(self.inputs(number).items(), reverse=True)
            )
            halved = ", halved" if stride > 1 else ""
            lines.append(f"{number:2d} {operation}({read}) {width} channels{halved}")
        return "\n".join([*lines, f"output({', '.join(map(str, self.outputs))})"])


def _check_nodes(nodes: Sequence[Vertex], rules: Rules) -> None:
    if not 1 <= len(nodes) <= rules.max_nodes:
        raise ValueError(
            f"A graph of this space has 1 to {rules.max_nodes} nodes. Received: {len(nodes)} "
            "nodes. Remove some, or make the space with a larger `max_nodes`."
        )
    for number, (operation, width, stride) in enumerate(nodes, start=1):
        for name, value, allowed in (
            ("operation", operation, rules.operations),
            ("width", width, rules.widths),
            ("stride", stride, STRIDES),
        ):
            if value not in allowed:
                raise ValueError(
                    f"The {name} of a node must be one of {', '.join(map(str, allowed))}. "
                    f"Received: {name}={value!r} at node {number}. Use one of them."
                )


def _check_edges(edges: Sequence[Edge], count: int) -> None:
    """Refuse edges, sorted by target and source, that make no graph of so many nodes."""
    inputs: dict[int, list[Edge]] = {number: [] for number in range(1, count + 1)}
    for edge in edges:
        if not 0 <= edge.source <= count or edge.target not in inputs:
            raise ValueError(
                f"Edges lead from nodes 0 (the input) to {count} to nodes 1 to {count}. "
                f"Received: an edge from {edge.source} to {edge.target}. Add the node first."
            )
        if edge.source >= edge.target:
            raise ValueError(
                "Edges lead to later nodes, so that there is no cycle. Received: an edge from "
                f"{edge.source} to {edge.target}. Turn it round, or number nodes in the order "
                "in which they are computed."
            )
        inputs[edge.target].append(edge)
    for number, read in inputs.items():
        if not read:
            raise ValueError(
                f"Every node must read another one, or the input. Received: node {number} "
                f"without an edge to it. Add one, e.g. from {number - 1}."
            )
        if len({edge.source for edge in read}) < len(read):
            raise ValueError(
                "Two nodes are joined by one edge at most. Received: edges to node "
                f"{number} from {[edge.source for edge in read]}. Name each source once."
            )
        merges = [edge.merge for edge in read]
        if merges[-1] != MAIN or not set(merges[:-1]) <= {ADD, CONCATENATE}:
            raise ValueError(
                f"The latest input of a node is its {MAIN!r} one, and each earlier one joins "
                f"it by {ADD!r} or {CONCATENATE!r}. Received: {merges} at node {number}, from "
                "the earliest to the latest. Mark them so."
            )


# --- the space ----------------------------------------------------------------------------


class GraphNetwork(SearchSpace):
    """A free acyclic graph of operations: what each node does, and which nodes it reads.

    A 3x3 convolution as stem, which halves images of 64 pixels or more; then up to `max_nodes`
    nodes, each of which reads one or more earlier ones or the input, which is node 0; then the
    task's head, on the concatenation of all nodes that no other node reads. So nothing is ever
    described in vain, whatever is decided.

    A node brings what it reads to the coarsest resolution among them, by max pooling. The
    latest input is the main one. Inputs to be added are brought to its channels by a 1x1
    convolution where they have others; then comes the concatenation, then the operation. Every
    node has an output of its `width`: pooling and skipping are followed by a 1x1 convolution
    where the channels are others. Nodes halve the resolution only while the shorter side has 5
    pixels or more; below that their stride has no effect. Every operation has an int8 kernel
    in TFLite.

    | decision            | values                          | what it sets                    |
    |---------------------|---------------------------------|---------------------------------|
    | `nodes`             | 1, 2, ..., 8 (`max_nodes`)      | number of nodes                 |
    | `node{i}/source`    | 0, 1, ..., 7 (those before `i`) | its main input                  |
    | `node{i}/edge{j}`   | none, add, concatenate          | whether, how it reads `j` too   |
    | `node{i}/width`     | 8, 16, 32, 64, 128 (`widths`)   | channels of its output          |
    | `node{i}/stride`    | 1, 2                            | 2 halves the resolution         |
    | `node{i}/operation` | conv3, conv1, conv5,            | convolution, kernel of 3, 1, 5  |
    |                     | separable3, separable5,         | depthwise, then 1x1             |
    |                     | max_pool3, average_pool3, skip  | pooling of 3x3; nothing         |

    Nodes count from 1; the decisions of node `i` are conditional on `nodes`, and those on
    edges from `j` on a `source` after `j` (node 1 reads the input and has none of them). Sets
    of decisions are in one-to-one correspondence with graphs: `graph_of` and `values_of`
    translate, and `edits.py` has the edits of graphs. With `o` operations and `w` widths there
    are `sum over n of product over i = 1..n of o * w * (3**i - 1)` of them, for `n` from 1 to
    `max_nodes`: 5.5e29 by default.

    Args:
        input_shape: `(height, width, channels)` of one image, at least 8x8 pixels.
        num_classes: Number of classes; the model returns this many logits.
        task: Any other task, instead of `num_classes`.
        rescaling: As in `SearchSpace`.
        operations: As in `Rules`.
        widths: As in `Rules`.
        max_nodes: As in `Rules`. More reach further and make the space larger.
        stem: Channels of the stem.

    Raises:
        ValueError: If the input is no image or smaller than 8x8, the stem has no channel, or
            as in `Rules`.

    References:
        Elsken et al., "Efficient Multi-Objective Neural Architecture Search via Lamarckian
        Evolution", ICLR 2019, https://arxiv.org/abs/1804.09081, and Jin et al., "Auto-Keras:
        An Efficient Neural Architecture Search System", KDD 2019,
        https://arxiv.org/abs/1806.10282, search graphs by such edits. Unlike theirs, a graph
        can also be decided on by an oracle that knows of no graphs.
    """

    layouts: ClassVar[tuple[str, ...]] = ("images", "audio")

    def __init__(
        self,
        input_shape: Sequence[int],
        num_classes: int | None = None,
        *,
        task: Task | None = None,
        rescaling: tuple[Any, Any] | None = None,
        operations: Sequence[str] = Rules.operations,
        widths: Sequence[int] = Rules.widths,
        max_nodes: int = Rules.max_nodes,
        stem: int = 16,
    ) -> None:
        super().__init__(input_shape, num_classes, task=task, rescaling=rescaling)
        check_images("GraphNetwork", input_shape, _SMALLEST)
        if stem < 1:
            raise ValueError(
                f"The stem needs at least 1 channel. Received: stem={stem}. The usual is 16."
            )
        self.rules = Rules(tuple(operations), tuple(widths), max_nodes)
        self._stem = stem

    def body(self, hp: keras_tuner.HyperParameters, x: Node) -> Node:
        most = self.rules.max_nodes
        count = hp.Choice("nodes", list(range(1, most + 1)), default=min(4, most))
        made = [conv(x, self._stem, stride=2 if min(x.shape[:2]) >= 64 else 1)]
        unread: dict[int, Node] = {}
        pools = _Pools()
        for i in range(1, most + 1):
            # Decisions of nodes that are not there are read too: so KerasTuner learns of them.
            with hp.conditional_scope("nodes", list(range(i, most + 1))):
                read = self._read_edges(hp, i)
                if i <= count:
                    x = _merged([(made[j], merge) for j, merge in read.items()], pools)
                x = self._operated(hp, i, x)
            if i <= count:
                made.append(x)
                unread = {j: node for j, node in unread.items() if j not in read} | {i: x}
        x, *others = _met(list(unread.values()), pools)
        return concatenate(x, *others) if others else x

    def _read_edges(self, hp: keras_tuner.HyperParameters, i: int) -> dict[int, str]:
        """What node `i` reads, as in `Graph.inputs`; nothing if it is not there."""
        name = f"node{i}/source"
        source = hp.Choice(name, list(range(i)), default=i - 1) if i > 1 else 0
        read = {source: MAIN}
        for j in range(i - 1):
            with hp.conditional_scope(name, list(range(j + 1, i))):
                merge = hp.Choice(f"node{i}/edge{j}", [_NONE, ADD, CONCATENATE])
            if merge in (ADD, CONCATENATE):
                read[j] = merge
        return read

    def _operated(self, hp: keras_tuner.HyperParameters, i: int, x: Node) -> Node:
        """What the operation of node `i` makes of `x`; `x` if it is not there."""
        widths = self.rules.widths
        usual = widths[min(1 + i // 2, len(widths) - 1)]
        width = hp.Choice(f"node{i}/width", list(widths), default=usual)
        stride = hp.Choice(f"node{i}/stride", list(STRIDES), default=1 + (i + 1) % 2)
        if min(x.shape[:2]) < _HALVED:
            stride = 1
        alternatives = {
            name: functools.partial(_OPERATIONS[name], width=width, stride=stride)
            for name in self.rules.operations
        }
        return choose(hp, f"node{i}/operation", x, alternatives)

    # --- graphs and decisions ---

    def graph_of(self, values: Values) -> Graph:
        """The graph that decisions stand for; those left out take their defaults."""
        reader = Decisions(values, strict=True)
        self.describe(reader)
        read = reader.values
        nodes, edges = [], []
        for i in range(1, read["nodes"] + 1):
            node = f"node{i}/"
            source = read.get(node + "source", 0)
            earlier = {j: read[f"{node}edge{j}"] for j in range(source)}
            edges += [Edge(j, i, merge) for j, merge in earlier.items() if merge != _NONE]
            edges.append(Edge(source, i))
            nodes.append(
                Vertex(read[node + "operation"], read[node + "width"], read[node + "stride"])
            )
        return Graph(tuple(nodes), tuple(edges), self.rules)

    def values_of(self, graph: Graph) -> dict[str, Any]:
        """The decisions that stand for a graph.

        Raises:
            ValueError: If the graph is not as the rules of this space allow.
        """
        graph = dataclasses.replace(graph, rules=self.rules)
        values: dict[str, Any] = {"nodes": len(graph.nodes)}
        for i, vertex in enumerate(graph.nodes, start=1):
            read = graph.inputs(i)
            source = max(read)
            if i > 1:
                values[f"node{i}/source"] = source
            for j in range(source):
                values[f"node{i}/edge{j}"] = read.get(j, _NONE)
            for name, value in vertex._asdict().items():
                values[f"node{i}/{name}"] = value
        return values

    def edited(self, values: Values, rng: np.random.Generator) -> dict[str, Any]:
        """The decisions after one random edit of the graph they stand for.

        `edits.random_edit` draws it: a node or an edge more or less, another operation, width,
        stride or merge. A decision changed alone cannot put a node between two others, or take
        one out, without giving the nodes after it something else to read.

        Args:
            values: Decisions; of the graph those left out take their defaults.
            rng: What draws.

        Returns:
            All decisions of the new graph, and those of `values` that are not of a graph.
        """
        from search_spaces import edits  # which edits what is defined here

        graph = self.graph_of(values)
        edited = edits.apply(graph, edits.random_edit(graph, rng))
        others = {name: value for name, value in values.items() if not _is_of_graph(name)}
        return {**others, **self.values_of(edited)}


def _is_of_graph(name: str) -> bool:
    return name == "nodes" or re.match(r"node\d+/", name) is not None


class _Pools:
    """Outputs of nodes at coarser resolutions, each pooled once however many read it."""

    def __init__(self) -> None:
        self._made: dict[tuple[int, Shape], Node] = {}

    def pooled(self, x: Node, sides: Shape) -> Node:
        """The images `x` at `sides`, which halving them some times leads to."""
        if x.shape[:2] == sides:
            return x
        if (x.index, sides) not in self._made:
            factor = 2
            while tuple(-(-side // factor) for side in x.shape[:2]) != sides:
                factor *= 2
            self._made[x.index, sides] = max_pool(x, factor)
        return self._made[x.index, sides]


def _met(nodes: Sequence[Node], pools: _Pools) -> list[Node]:
    """The nodes at the coarsest resolution among them."""
    sides = min((node.shape[:2] for node in nodes), key=min)
    return [pools.pooled(node, sides) for node in nodes]


def _merged(inputs: Sequence[tuple[Node, str]], pools: _Pools) -> Node:
    """What an operation reads: inputs and how each is merged, the main one first."""
    # Nodes that skip without a change are what they read, which is then taken once.
    each: dict[int, tuple[Node, str]] = {}
    for node, merge in inputs:
        each.setdefault(node.index, (node, merge))
    nodes = _met([node for node, _ in each.values()], pools)
    merges = [merge for _, merge in each.values()]
    main, *terms = [x for x, merge in zip(nodes, merges, strict=True) if merge != CONCATENATE]
    others = [x for x, merge in zip(nodes, merges, strict=True) if merge == CONCATENATE]
    x = add(main, *(_projected(term, main.channels) for term in terms)) if terms else main
    return concatenate(x, *others) if others else x
