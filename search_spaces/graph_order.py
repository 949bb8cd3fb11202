"""The graph that the converter reads, in the order in which it writes operators.

Keras layers become nodes of a TensorFlow graph: a sum of four tensors three sums of two, an
attention some fifteen nodes. The converter walks that graph, and what it walks by are the
names of nodes. Nodes that compute the same from the same are one.
"""

from __future__ import annotations

from typing import Any

from search_spaces.expansion import PARTS
from search_spaces.file_graph import FileGraph, Step
from search_spaces.network import Layer, Network
from search_spaces.operations import OPERATIONS, Shape

__all__ = ["steps"]


_ONCE = {
    *("input", "conv", "depthwise", "dense", "batch_norm", "embedding", "position"),
    "weights",
}
"""Inputs, and steps with weights: no two are the same."""

_SHAPES = ("flatten", "reshape")
_SHAPELESS = ("activation", "add", "multiply")
_ELEMENTWISE = (*_SHAPELESS, "batch_norm", "rescale")
_CLIPS = ("relu", "relu6")
_COMMUTATIVE = {op for op, operation in OPERATIONS.items() if operation.commutative}


def steps(network: Network) -> list[Step]:
    """The steps of a network in the order of its file, equal ones once.

    Args:
        network: The description.

    Returns:
        The steps, the inputs first, sorted by name, and the output last.
    """
    inputs = network.inputs
    graph = FileGraph([(one.name, (1, *one.shape)) for one in inputs])
    made = list(range(len(inputs)))
    for index, record in enumerate(network.layers):
        if record.op == "input":
            continue
        sources = [made[source] for source in record.inputs]
        made.append(_layer(graph, record, sources, f"{record.op}_{index}_1/"))
    return _sunk(_merged(graph.steps, _order(graph.steps)))


def _layer(graph: FileGraph, record: Layer, sources: list[int], name: str) -> int:
    op, settings, shape = record.op, dict(record.settings), (1, *record.shape)
    if op in PARTS:
        return PARTS[op](graph, sources[0], shape, name, settings)
    if op == "dropout" or settings.get("function") == "linear":
        return sources[0]
    if op in _COMMUTATIVE:
        return _sum(graph, op, sources, shape, name)
    return graph.add(op, sources, shape, name, settings)


def _sum(graph: FileGraph, op: str, sources: list[int], shape: Shape, name: str) -> int:
    made = sources[0]
    for number, other in enumerate(sources[1:]):
        part = f"{name}_{number}" if number else name
        if op == "add" and _is_vector(graph.steps[other].shape, shape[-1]):
            # Keras takes it for a bias.
            other = graph.add("reshaped", [other], shape[-1:], f"{part}Squeeze")
        made = graph.add(op, [made, other], shape, part)
    return made


def _is_vector(shape: Shape, channels: int) -> bool:
    return len(shape) > 1 and [size for size in shape if size > 1] == [channels]


def _order(graph: list[Step]) -> list[int]:
    """Positions of steps in the order in which they are in the file, the inputs first.

    What reads a step follows it as soon as all that it reads is there, and what reads that,
    and so on. Of several that could follow, the first is the one that the importer wrote
    first.
    """
    readers: list[list[int]] = [[] for _ in graph]
    missing = [0] * len(graph)
    for position, step in enumerate(graph):
        sources = set(step.inputs)
        missing[position] = len(sources)
        for source in sources:
            readers[source].append(position)
    rank = _imported(graph, readers)
    starts = [position for position, step in enumerate(graph) if step.op == "input"]
    order = list(starts)
    ready = sorted(starts, key=rank.__getitem__, reverse=True)
    while ready:
        position = ready.pop()
        if graph[position].op != "input":
            order.append(position)
        found = []
        for reader in readers[position]:
            missing[reader] -= 1
            if not missing[reader]:
                found.append(reader)
        if len(found) > 1:
            found.sort(key=rank.__getitem__, reverse=True)
        ready += found
    return order


def _imported(graph: list[Step], readers: list[list[int]]) -> list[int]:
    """By step, its rank in the order in which TensorFlow's importer writes them.

    The importer walks a graph from its inputs in depth, those and readers with later names
    first, and writes nodes in the reverse of the order in which it leaves them.
    """
    rank = [-1] * len(graph)
    left = len(graph)
    seen = [False] * len(graph)
    walk = sorted(
        (position for position, step in enumerate(graph) if step.op == "input"),
        key=lambda start: graph[start].name,
    )
    while walk:
        position = walk.pop()
        if position < 0:
            left -= 1
            rank[~position] = left
        elif not seen[position]:
            seen[position] = True
            walk.append(~position)
            ahead = readers[position]
            if len(ahead) > 1:
                ahead = sorted(ahead, key=lambda reader: graph[reader].name)
            walk += ahead
    return rank


def _merged(graph: list[Step], order: list[int]) -> list[Step]:
    """The steps in that order, those that repeat an earlier one left out."""
    place = [0] * len(graph)
    made: list[Step] = []
    known: dict[Any, int] = {}
    for position in order:
        step = graph[position]
        if _clips_again(graph, position):
            place[position] = place[step.inputs[0]]
            continue
        inputs = tuple([place[source] for source in step.inputs])
        if step.op not in _ONCE:
            same = tuple(sorted(inputs)) if step.op in _COMMUTATIVE else inputs
            key = (step.op, same, *step.settings.items())
            earlier = known.setdefault(key, len(made))
            if earlier < len(made):
                place[position] = earlier
                continue
        place[position] = len(made)
        made.append(step._replace(inputs=inputs))
    return made


def _clips_again(graph: list[Step], position: int) -> bool:
    """Whether a step clips what is clipped so already."""
    step = graph[position]
    if step.op != "activation" or step.settings["function"] not in _CLIPS:
        return False
    before = graph[step.inputs[0]]
    return before.op == "activation" and before.settings == step.settings


def _sunk(graph: list[Step]) -> list[Step]:
    """The steps with changes of shape behind what does not mind them, so that they meet.

    What works element by element does so on the shape before; of two changes in a row the
    second one is enough.
    """
    if not any(step.op in _SHAPES for step in graph):
        return graph
    place = [0] * len(graph)
    made: list[Step] = []

    def add(step: Step) -> int:
        made.append(step)
        return len(made) - 1

    for position, step in enumerate(graph):
        inputs = [place[source] for source in step.inputs]
        if step.op in _SHAPES:
            (source,) = inputs
            while made[source].op in _SHAPES:
                (source,) = made[source].inputs
            if made[source].shape == step.shape:
                place[position] = source
                continue
            inputs = [source]
        elif step.op in _ELEMENTWISE and all(made[i].op in _SHAPES for i in inputs):
            above = [made[i].inputs[0] for i in inputs]
            shapes = {made[source].shape for source in above}
            (shape, *others) = shapes
            kept = step.op in _SHAPELESS or shape[-1] == step.shape[-1]
            if kept and not others:
                source = add(step._replace(inputs=tuple(above), shape=shape))
                place[position] = add(
                    step._replace(op="reshape", inputs=(source,), settings={})
                )
                continue
        place[position] = add(step._replace(inputs=tuple(inputs)))
    return _read(made)


def _read(graph: list[Step]) -> list[Step]:
    """The inputs, and the steps that lead to the last one."""
    needed = [step.op == "input" for step in graph]
    needed[-1] = True
    for position in range(len(graph) - 1, 0, -1):
        if needed[position]:
            for source in graph[position].inputs:
                needed[source] = True
    place: dict[int, int] = {}
    for position, wanted in enumerate(needed):
        if wanted:
            place[position] = len(place)
    return [
        graph[position]._replace(inputs=tuple(place[i] for i in graph[position].inputs))
        for position in place
    ]
