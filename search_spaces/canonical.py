"""The canonical form of a network: what equal descriptions have in common.

First the description is simplified: constant zeros go, with all that they make of what reads
them, and so does what changes nothing or is computed twice. Then the layers that are left are
numbered in an order that depends on the graph alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from search_spaces.operations import OPERATIONS, Shape, single

if TYPE_CHECKING:
    from search_spaces.network import Layer

__all__ = ["REPEATABLE", "ZERO", "canonical", "inputs_of", "simplified"]

ZERO = "zero"
"""Operation of a constant zero in simplified layers; it reads nothing."""

_COMMUTATIVE = {name for name, operation in OPERATIONS.items() if operation.commutative}
REPEATABLE = {
    ZERO,
    "activation",
    "add",
    "average_pool",
    "concatenate",
    "crop",
    "flatten",
    "front_end",
    "global_average_pool",
    "max_pool",
    "multiply",
    "narrow",
    "pad",
    "rescale",
    "reshape",
    "resize",
    "sinusoid",
}
"""Operations with neither weights nor chance in them: computed twice, they give the same."""

# What makes zeros of zeros, whatever its settings. Batch normalisation adds a learned shift,
# which is zero at first.
_FIXING_ZERO = {
    "add",
    "average_pool",
    "batch_norm",
    "concatenate",
    "crop",
    "dropout",
    "flatten",
    "global_average_pool",
    "max_pool",
    "narrow",
    "pad",
    "reshape",
    "resize",
}
_FUNCTIONS_FIXING_ZERO = {
    "elu",
    "gelu",
    "hard_silu",
    "hard_swish",
    "leaky_relu",
    "linear",
    "mish",
    "relu",
    "relu6",
    "selu",
    "silu",
    "softsign",
    "swish",
    "tanh",
}
_NOWHERE = ((0, 0), (0, 0))


def inputs_of(layers: Sequence[Layer]) -> int:
    """How many inputs there are: they are the first layers."""
    return next((i for i, record in enumerate(layers) if record.op != "input"), len(layers))


def canonical(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """The layers simplified, and in an order that depends on the graph alone.

    Each layer gets a digest of what it is, what it reads and what reads it, refined as in the
    Weisfeiler-Lehman test until it tells apart all that it can; a walk back from the output
    that visits inputs in the order of their digests then numbers the layers. The inputs of the
    network are the first, even where nothing depends on them, in their order.

    Args:
        layers: Of a network: inputs are the first, the output is the last.

    Returns:
        The layers; those that stand for a constant zero have the operation `ZERO`.
    """
    layers = simplified(layers)
    digests = _refined_digests(layers)
    number: dict[int, int] = {}
    records: list[Layer] = []
    walk = [len(layers) - 1, *reversed(range(inputs_of(layers)))]
    while walk:
        record = layers[walk[-1]]
        inputs = record.inputs
        if record.op in _COMMUTATIVE:
            inputs = tuple(sorted(inputs, key=digests.__getitem__))
        ahead = next((i for i in inputs if i not in number), None)
        if ahead is not None:
            walk.append(ahead)
            continue
        index = walk.pop()
        if index in number:
            continue
        sources = [number[i] for i in inputs]
        if record.op in _COMMUTATIVE:
            sources.sort()
        number[index] = len(records)
        records.append(record._replace(inputs=tuple(sources)))
    return tuple(records)


def simplified(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """The layers without what makes no difference.

    * A constant zero is one record without inputs. Zeros come from multiplication by zero and
      stay zeros through pooling, padding, activations with `f(0) = 0`, convolutions and dense
      layers without bias, and batch normalisation; a product with a zero is a zero.
    * A zero is no summand, and a sum of one summand is that summand.
    * A sum that only another sum reads is part of that one.
    * What leaves its input as it is goes: windows of one pixel, padding by nothing, a reshape
      to the same shape, dropout at a rate of 0, ...
    * What has no weights and is computed twice from the same is computed once.
    """
    known = tuple(layers)
    while True:
        simpler = _rewritten(known)
        if simpler == known:
            # Who reads a sum is certain once all that makes no difference has gone.
            simpler = _rewritten(known, _partial_sums(known))
            if simpler == known:
                return known
        known = simpler


def _partial_sums(layers: Sequence[Layer]) -> Collection[int]:
    """The sums that are read once, by a sum of the same shape."""
    readers = [0] * len(layers)
    for record in layers:
        for source in record.inputs:
            readers[source] += 1
    return {
        source
        for record in layers
        if record.op == "add"
        for source in record.inputs
        if layers[source].op == "add"
        and layers[source].shape == record.shape
        and readers[source] == 1
    }


def _rewritten(
    layers: tuple[Layer, ...], partial: Collection[int] | None = None
) -> tuple[Layer, ...]:
    """The layers after one pass over them, in which the sums `partial` are written out."""
    if partial is not None and not partial:
        return layers
    rewritten: list[Layer] = []
    position: list[int] = []  # by layer, of the one that it is equal to
    first: dict[Any, int] = {}  # of what need not be computed twice
    for record in layers:
        op, sources, settings, shape = record
        inputs = tuple([position[i] for i in sources])
        if op == "add":
            inputs = _summands(inputs, [i in (partial or ()) for i in sources], rewritten)
            inputs = _without_zeros(inputs, shape, rewritten)
        if inputs:
            if _unchanging(record, len(inputs), rewritten[inputs[0]].shape):
                position.append(inputs[0])
                continue
            if _is_zero(op, settings, [rewritten[i].op for i in inputs]):
                op, inputs, settings = ZERO, (), ()
        place = len(rewritten)
        if op in REPEATABLE:
            read = tuple(sorted(inputs)) if op in _COMMUTATIVE else inputs
            place = first.setdefault((op, read, settings, shape), place)
        if place == len(rewritten):
            rewritten.append(record._replace(op=op, inputs=inputs, settings=settings))
        position.append(place)
    return _live(rewritten, position[-1])


def _summands(
    inputs: Sequence[int], written_out: Sequence[bool], layers: Sequence[Layer]
) -> tuple[int, ...]:
    terms: list[int] = []
    for i, out in zip(inputs, written_out, strict=True):
        terms += layers[i].inputs if out and layers[i].op == "add" else [i]
    return tuple(terms)


def _without_zeros(
    inputs: tuple[int, ...], shape: Shape, layers: Sequence[Layer]
) -> tuple[int, ...]:
    others = tuple([i for i in inputs if layers[i].op != ZERO])
    # A zero may be there for its shape, to which the others are broadcast.
    return others if any(layers[i].shape == shape for i in others) else inputs


def _unchanging(record: Layer, inputs: int, before: Shape) -> bool:
    """Whether a layer of so many inputs returns the only one, of shape `before`, as it is."""
    op = record.op
    if inputs > 1 or record.shape != before or op not in REPEATABLE | {"dropout"}:
        return False
    if op in ("add", "concatenate", "flatten", "multiply", "narrow", "reshape", "resize"):
        return True
    s = dict(record.settings)
    match op:
        case "average_pool" | "max_pool":
            return single(s["size"]) == single(s["stride"]) == 1
        case "pad":
            return bool(s["padding"] == _NOWHERE)
        case "crop":
            return bool(s["cropping"] == _NOWHERE)
        case "dropout":
            return bool(s["rate"] == 0)
        case "rescale":
            return _all(s["scale"], 1) and _all(s["offset"], 0)
        case "activation":
            return bool(s["function"] == "linear")
    return False


def _is_zero(op: str, settings: Sequence[tuple[str, Any]], sources: Sequence[str]) -> bool:
    """Whether a layer that reads layers of the operations `sources` returns zeros only."""
    zeros = sources.count(ZERO)
    if op == "multiply":
        return zeros > 0
    if op == "rescale":
        s = dict(settings)
        return (zeros > 0 or _all(s["scale"], 0)) and _all(s["offset"], 0)
    if zeros < len(sources):
        return False
    if op == "activation":
        return dict(settings)["function"] in _FUNCTIONS_FIXING_ZERO
    if op in ("conv", "dense", "depthwise"):
        return not dict(settings)["bias"]
    return op in _FIXING_ZERO


def _all(value: Any, number: float) -> bool:
    return all(v == number for v in value) if isinstance(value, tuple) else value == number


def _live(layers: Sequence[Layer], output: int) -> tuple[Layer, ...]:
    """The inputs, and the layers that lead to the output, which becomes the last."""
    starts = inputs_of(layers)
    needed = {*range(starts), output}
    for index in range(output, starts - 1, -1):
        if index in needed:
            needed.update(layers[index].inputs)
    if len(needed) == len(layers):
        return tuple(layers)
    position = {old: new for new, old in enumerate(sorted(needed))}
    return tuple(
        layers[old]._replace(inputs=tuple([position[i] for i in layers[old].inputs]))
        for old in position
    )


def _refined_digests(layers: Sequence[Layer]) -> list[int]:
    """A digest a layer: what it is and where it stands, refined until no class splits."""
    readers: list[list[int]] = [[] for _ in layers]
    for index, record in enumerate(layers):
        for source in record.inputs:
            readers[source].append(index)
    # Distances to both ends tell most layers apart before the first refinement.
    above, below = [0] * len(layers), [0] * len(layers)
    for index, record in enumerate(layers):
        above[index] = 1 + max((above[i] for i in record.inputs), default=0)
    for index in reversed(range(len(layers))):
        below[index] = 1 + max((below[i] for i in readers[index]), default=0)
    digests = [0] * len(layers)
    keys: dict[int, tuple[Any, ...]] = {
        index: (above[index], below[index], record.op, repr(record.settings), record.shape)
        for index, record in enumerate(layers)
    }
    alike = _split(range(len(layers)), keys, digests)
    while alike:
        for index in itertools.chain.from_iterable(alike):
            record = layers[index]
            sources = [digests[i] for i in record.inputs]
            if record.op in _COMMUTATIVE:
                sources.sort()
            keys[index] = tuple(sources), tuple(sorted([digests[i] for i in readers[index]]))
        finer = [part for members in alike for part in _split(members, keys, digests)]
        if sum(map(len, finer)) == sum(map(len, alike)) and len(finer) == len(alike):
            break
        alike = finer
    return digests


def _split(
    members: Sequence[int], keys: Mapping[int, tuple[Any, ...]], digests: list[int]
) -> list[list[int]]:
    """Tell apart layers of one digest by their keys; return those that still are alike.

    A digest is the number of layers with a smaller one. Unlike Python's hash of a string, it
    is the same in every process.
    """
    parts: dict[tuple[Any, ...], list[int]] = {}
    for index in members:
        parts.setdefault(keys[index], []).append(index)
    start = digests[members[0]]
    alike = []
    for key in sorted(parts):
        for index in parts[key]:
            digests[index] = start
        start += len(parts[key])
        if len(parts[key]) > 1:
            alike.append(parts[key])
    return alike
