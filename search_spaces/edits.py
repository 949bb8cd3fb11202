"""Edits of graphs: small steps from one network of `GraphNetwork` to the next.

Each edit is a pure function from a graph to a new one, which is as its rules allow:

| edit               | arguments                      | its inverse                          |
|--------------------|--------------------------------|--------------------------------------|
| `add_node`         | vertex, source, target, number | `remove_node`                        |
| `remove_node`      | number                         | `add_node`, of a node with one input |
|                    |                                | and at most one reader               |
| `add_edge`         | source, target, merge          | `remove_edge`                        |
| `remove_edge`      | source, target                 | `add_edge`                           |
| `change_operation` | number, operation              | `change_operation`                   |
| `change_width`     | number, width                  | `change_width`                       |
| `change_stride`    | number, stride                 | `change_stride`                      |
| `change_merge`     | source, target, merge          | `change_merge`                       |

`edits` lists those that can be undone by one other, as `Edit`s, which `apply` carries out and
`inverse` undoes. By them every graph can be reached from every other one of the same rules.
`neighbours` and `random_edit` are what local search and evolution need; `Edit` also says what
became of the nodes, for whoever wants to keep their weights.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from search_spaces.graph import ADD, CONCATENATE, MAIN, STRIDES, Edge, Graph, Vertex

__all__ = [
    "Edit",
    "add_edge",
    "add_node",
    "apply",
    "change_merge",
    "change_operation",
    "change_stride",
    "change_width",
    "edits",
    "inverse",
    "neighbours",
    "random_edit",
    "remove_edge",
    "remove_node",
]

_T = TypeVar("_T")


class Edit(NamedTuple):
    """An edit by name, with its arguments.

    Attributes:
        name: Name of one of the functions here.
        arguments: Its arguments after the graph.
    """

    name: str
    arguments: tuple[Any, ...]

    def renumbered(self, number: int) -> int | None:
        """The number in the new graph of a node of the old one; `None` if it is removed."""
        if self.name == "add_node":
            return number + (number >= _added(*self.arguments))
        if self.name == "remove_node":
            (removed,) = self.arguments
            return None if number == removed else number - int(number > removed)
        return number


# --- the edits ----------------------------------------------------------------------------


def add_node(
    graph: Graph,
    vertex: Vertex,
    source: int,
    target: int | None = None,
    number: int | None = None,
) -> Graph:
    """Put a new node into an edge, or add one that nothing else reads yet.

    Args:
        graph: The graph.
        vertex: What the new node does.
        source: Number of the node that it reads, 0 for the input.
        target: Number of the node that reads it, and then no longer reads `source`, whose edge
            there must be; `None` for a node that leads to the output.
        number: Number of the new node, after `source` and not after `target`; by default the
            one after `source`. Nodes from there on get a number that is 1 higher.

    Raises:
        ValueError: If the graph has as many nodes as allowed, the rules do not allow the new
            one, there is no such edge, or the number is not between source and target.
    """
    if target is not None:
        _existing(graph, source, target)
    last = len(graph.nodes) + 1 if target is None else target
    number = _added(vertex, source, target, number)
    if not 0 <= source < number <= last:
        raise ValueError(
            "A new node comes after what it reads and before what reads it. Received: "
            f"source={source}, number={number}, target={target} in a graph of "
            f"{len(graph.nodes)} nodes. Give a number from {source + 1} to {last}."
        )
    inputs = [
        {old + (old >= number): merge for old, merge in read.items()}
        for read in _inputs(graph)
    ]
    if target is not None:
        inputs[target - 1] = _replaced(inputs[target - 1], source, number)
    inputs.insert(number - 1, {source: MAIN})
    nodes = [*graph.nodes[: number - 1], vertex, *graph.nodes[number - 1 :]]
    return _assembled(graph, nodes, inputs)


def remove_node(graph: Graph, number: int) -> Graph:
    """Take a node out: what read it reads its main input instead.

    Its other inputs lose the edges to it, and lead to the output if nothing else reads them.

    Raises:
        ValueError: If there is no such node, or it is the last one.
    """
    graph.node(number)
    if len(graph.nodes) == 1:
        raise ValueError(
            "A graph keeps at least one node, or no path would lead to the output. Received: "
            f"the removal of node {number}, the last one. Change its operation instead."
        )
    inputs = _inputs(graph)
    main = max(inputs[number - 1])
    inputs = [
        _replaced(read, number, main) if number in read else read
        for target, read in enumerate(inputs, start=1)
        if target != number
    ]
    inputs = [{old - (old > number): merge for old, merge in read.items()} for read in inputs]
    nodes = [*graph.nodes[: number - 1], *graph.nodes[number:]]
    return _assembled(graph, nodes, inputs)


def add_edge(graph: Graph, source: int, target: int, merge: str = ADD) -> Graph:
    """Let a node read one more.

    Args:
        graph: The graph.
        source: Number of the node to be read, 0 for the input.
        target: Number of the node that reads it, a later one.
        merge: `"add"` or `"concatenate"`: how the earlier of the two, `source` and the main
            input so far, joins the later one.

    Raises:
        ValueError: If there is no such node, the edge is there already or would close a cycle,
            or `merge` is neither.
    """
    graph.node(target)
    read = graph.inputs(target)
    if not 0 <= source <= len(graph.nodes) or source >= target:
        raise ValueError(
            "An edge leads from a node to a later one, so that there is no cycle. Received: "
            f"an edge from {source} to {target} in a graph of {len(graph.nodes)} nodes. Give "
            f"a source from 0 (the input) to {target - 1}."
        )
    if source in read:
        raise ValueError(
            f"Two nodes are joined by one edge at most. Received: an edge from {source} to "
            f"{target}, which is there. `change_merge` changes how it joins the others."
        )
    return _with_inputs(graph, target, _settled({**read, source: _mergeable(merge)}))


def remove_edge(graph: Graph, source: int, target: int) -> Graph:
    """Let a node no longer read another one, which leads to the output if nothing reads it.

    Raises:
        ValueError: If there is no such edge, or it is the only path to `target`.
    """
    _existing(graph, source, target)
    read = graph.inputs(target)
    del read[source]
    if not read:
        raise ValueError(
            f"Every node needs a path from the input. Received: the removal of the edge from "
            f"{source} to {target}, the last one to {target}. Add another edge first, or "
            "remove the node."
        )
    return _with_inputs(graph, target, _settled(read))


def change_operation(graph: Graph, number: int, operation: str) -> Graph:
    """Let a node do something else.

    Raises:
        ValueError: If there is no such node, or the rules do not allow the operation.
    """
    return _with_vertex(graph, number, graph.node(number)._replace(operation=operation))


def change_width(graph: Graph, number: int, width: int) -> Graph:
    """Give the output of a node another number of channels.

    Raises:
        ValueError: If there is no such node, or the rules do not allow the width.
    """
    return _with_vertex(graph, number, graph.node(number)._replace(width=width))


def change_stride(graph: Graph, number: int, stride: int) -> Graph:
    """Let a node halve the resolution (2) or keep it (1).

    Raises:
        ValueError: If there is no such node, or the stride is neither.
    """
    return _with_vertex(graph, number, graph.node(number)._replace(stride=stride))


def change_merge(graph: Graph, source: int, target: int, merge: str) -> Graph:
    """Let an input that is not the main one be added or concatenated.

    Raises:
        ValueError: If there is no such edge, it is the main one, or `merge` is neither `"add"`
            nor `"concatenate"`.
    """
    _existing(graph, source, target)
    read = graph.inputs(target)
    if read[source] == MAIN:
        raise ValueError(
            "The main input of a node is what the others join. Received: another merge for "
            f"the edge from {source} to {target}, the main one. Change that of an earlier one."
        )
    return _with_inputs(graph, target, {**read, source: _mergeable(merge)})


# --- edits as values ----------------------------------------------------------------------


_FUNCTIONS: Mapping[str, Callable[..., Graph]] = {
    function.__name__: function
    for function in (
        add_node,
        remove_node,
        add_edge,
        remove_edge,
        change_operation,
        change_width,
        change_stride,
        change_merge,
    )
}


def apply(graph: Graph, edit: Edit) -> Graph:
    """Carry out an edit.

    Raises:
        ValueError: As the function of the edit does, or if there is none of its name.
    """
    if edit.name not in _FUNCTIONS:
        raise ValueError(
            f"Edits of graphs are {', '.join(_FUNCTIONS)}. Received: {edit.name!r}. Use one "
            "of them."
        )
    return _FUNCTIONS[edit.name](graph, *edit.arguments)


def inverse(graph: Graph, edit: Edit) -> Edit:
    """The edit that leads from `apply(graph, edit)` back to `graph`.

    Raises:
        ValueError: If it takes more than one: for a node with several inputs or readers.
    """
    name, arguments = edit
    match name, arguments:
        case "add_node", _:
            return Edit("remove_node", (_added(*arguments),))
        case "remove_node", (number,):
            if not _removable(graph, number):
                raise ValueError(
                    "Only a node with one input and at most one reader, which does not read "
                    "that input too, comes back by one edit. Received: the removal of node "
                    f"{number}, which reads {sorted(graph.inputs(number))} and is read by "
                    f"{list(graph.readers(number))}. Remove its other edges first."
                )
            (source,) = graph.inputs(number)
            target = next((reader - 1 for reader in graph.readers(number)), None)
            return Edit("add_node", (graph.node(number), source, target, number))
        case "add_edge", (source, target, *_):
            return Edit("remove_edge", (source, target))
        case "remove_edge", (source, target):
            read = graph.inputs(target)
            merge = read.pop(source)
            return Edit(
                "add_edge", (source, target, read[max(read)] if merge == MAIN else merge)
            )
        case "change_merge", (source, target, _):
            return Edit(name, (source, target, graph.inputs(target)[source]))
        case _, (number, _):
            return Edit(name, (number, getattr(graph.node(number), name.split("_")[1])))
    raise ValueError(f"An edit has a name and its arguments. Received: {edit}. See `edits`.")


def edits(graph: Graph) -> Iterator[Edit]:
    """Go through the edits that a graph allows and that one other undoes.

    New nodes are listed with every operation, width and stride at every place, so there can be
    thousands: `random_edit` is for whoever wants one.
    """
    for slot in _slots(graph):
        for operation in graph.rules.operations:
            for width in graph.rules.widths:
                for stride in STRIDES:
                    yield Edit("add_node", (Vertex(operation, width, stride), *slot))
    for kind in _SMALL:
        yield from kind(graph)


def neighbours(graph: Graph) -> Iterator[Graph]:
    """Go through the graphs that are one edit away, each once.

    If one graph is a neighbour of another, so is that one of it.
    """
    seen = {graph}
    for edit in edits(graph):
        neighbour = apply(graph, edit)
        if neighbour not in seen:
            seen.add(neighbour)
            yield neighbour


def random_edit(graph: Graph, rng: np.random.Generator) -> Edit:
    """Draw an edit: a kind uniformly among those the graph allows, then one of that kind.

    Args:
        graph: The graph.
        rng: What draws.

    Returns:
        The edit: `apply` carries it out.
    """
    kinds = [found for kind in _SMALL if (found := list(kind(graph)))]
    slots = list(_slots(graph))

    def pick(options: Sequence[_T]) -> _T:
        return options[int(rng.integers(len(options)))]

    place = int(rng.integers(len(kinds) + bool(slots)))
    if place < len(kinds):
        return pick(kinds[place])
    rules = graph.rules
    vertex = Vertex(pick(rules.operations), pick(rules.widths), pick(STRIDES))
    return Edit("add_node", (vertex, *pick(slots)))


def _slots(graph: Graph) -> Iterator[tuple[int, int | None, int]]:
    """Where a node can be added: source, target and number."""
    count = len(graph.nodes)
    if count == graph.rules.max_nodes:
        return
    for source, target, _ in graph.edges:
        yield from ((source, target, number) for number in range(source + 1, target + 1))
    for source in range(count + 1):
        yield from ((source, None, number) for number in range(source + 1, count + 2))


def _added(
    vertex: Vertex, source: int, target: int | None = None, number: int | None = None
) -> int:
    """The number of the node that these arguments of `add_node` add."""
    return source + 1 if number is None else number


def _removable(graph: Graph, number: int) -> bool:
    """Whether a removed node comes back by one edit."""
    sources, readers = graph.inputs(number), graph.readers(number)
    if len(graph.nodes) == 1 or len(sources) > 1 or len(readers) > 1:
        return False
    return not readers or not set(sources) & set(graph.inputs(readers[0]))


def _removed_nodes(graph: Graph) -> Iterator[Edit]:
    for number in range(1, len(graph.nodes) + 1):
        if _removable(graph, number):
            yield Edit("remove_node", (number,))


def _added_edges(graph: Graph) -> Iterator[Edit]:
    for target in range(1, len(graph.nodes) + 1):
        read = graph.inputs(target)
        for source in range(target):
            if source not in read:
                yield from (
                    Edit("add_edge", (source, target, merge)) for merge in (ADD, CONCATENATE)
                )


def _removed_edges(graph: Graph) -> Iterator[Edit]:
    for source, target, _ in graph.edges:
        if len(graph.inputs(target)) > 1:
            yield Edit("remove_edge", (source, target))


def _changed_operations(graph: Graph) -> Iterator[Edit]:
    for number, vertex in enumerate(graph.nodes, start=1):
        for operation in graph.rules.operations:
            if operation != vertex.operation:
                yield Edit("change_operation", (number, operation))


def _changed_widths(graph: Graph) -> Iterator[Edit]:
    for number, vertex in enumerate(graph.nodes, start=1):
        for width in graph.rules.widths:
            if width != vertex.width:
                yield Edit("change_width", (number, width))


def _changed_strides(graph: Graph) -> Iterator[Edit]:
    for number, vertex in enumerate(graph.nodes, start=1):
        yield from (
            Edit("change_stride", (number, stride))
            for stride in STRIDES
            if stride != vertex.stride
        )


def _changed_merges(graph: Graph) -> Iterator[Edit]:
    other = {ADD: CONCATENATE, CONCATENATE: ADD}
    for source, target, merge in graph.edges:
        if merge != MAIN:
            yield Edit("change_merge", (source, target, other[merge]))


_SMALL: tuple[Callable[[Graph], Iterator[Edit]], ...] = (
    _removed_nodes,
    _added_edges,
    _removed_edges,
    _changed_operations,
    _changed_widths,
    _changed_strides,
    _changed_merges,
)


# --- what edits are made of ---------------------------------------------------------------

Inputs = dict[int, str]  # as in `Graph.inputs`


def _existing(graph: Graph, source: int, target: int) -> None:
    if source not in graph.inputs(target):
        raise ValueError(
            f"There must be an edge to edit it. Received: an edge from {source} to {target}, "
            f"where node {target} reads {sorted(graph.inputs(target))}. Add it first."
        )


def _mergeable(merge: str) -> str:
    if merge not in (ADD, CONCATENATE):
        raise ValueError(
            f"An input joins the main one by {ADD!r} or {CONCATENATE!r}. Received: merge="
            f"{merge!r}. Use one of them."
        )
    return merge


def _settled(read: Inputs) -> Inputs:
    """Inputs of a node of which the latest is the main one again.

    If there is another main one, the two change roles: so the edit that undoes the one before
    gives each its former role back.
    """
    latest = max(read)
    role = read[latest]
    former = next((source for source, merge in read.items() if merge == MAIN), latest)
    return {**read, former: role, latest: MAIN}


def _replaced(read: Inputs, source: int, other: int) -> Inputs:
    """Inputs of a node that reads `other` in place of `source`."""
    role = read[source]
    rest = {place: merge for place, merge in read.items() if place != source}
    if other not in rest:
        return _settled({**rest, other: role})
    # It reads `other` already; and if `source` was the main one, another one becomes it.
    return _settled(rest)


def _inputs(graph: Graph) -> list[Inputs]:
    inputs: list[Inputs] = [{} for _ in graph.nodes]
    for source, target, merge in graph.edges:
        inputs[target - 1][source] = merge
    return inputs


def _assembled(graph: Graph, nodes: list[Vertex], inputs: list[Inputs]) -> Graph:
    """The graph of these nodes and what each reads, under the same rules."""
    edges = [
        Edge(source, target, merge)
        for target, read in enumerate(inputs, start=1)
        for source, merge in read.items()
    ]
    return Graph(tuple(nodes), tuple(edges), graph.rules)


def _with_inputs(graph: Graph, target: int, read: Inputs) -> Graph:
    others = (edge for edge in graph.edges if edge.target != target)
    return dataclasses.replace(
        graph,
        edges=(*others, *(Edge(source, target, merge) for source, merge in read.items())),
    )


def _with_vertex(graph: Graph, number: int, vertex: Vertex) -> Graph:
    nodes = (*graph.nodes[: number - 1], vertex, *graph.nodes[number:])
    return dataclasses.replace(graph, nodes=nodes)
