"""The description of a network: a small immutable graph of layer records.

A space describes (`Node`, `layer`), `freeze` turns what was described into a `Network`, and
everything else is a pure function of it: what it costs (`costs.py`), the Keras model it stands
for (`realise.py`), and the canonical form by which equal networks are recognised
(`canonical.py`). Describing takes about a millisecond and no TensorFlow.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from search_spaces.canonical import REPEATABLE, canonical, inputs_of
from search_spaces.operations import OPERATIONS, Shape

__all__ = [
    "Input",
    "Layer",
    "Network",
    "Node",
    "freeze",
    "input_node",
    "input_nodes",
    "layer",
    "with_weight_bits",
]

_ALONE = "input"  # what the input is called where there is no other
# Names of layers in Keras models, see `realise`; and of what such a layer is made of.
_LAYER_NAME = re.compile(rf"({'|'.join(OPERATIONS.keys() - {'input'})})_\d+(_split|_join)?")
_NARROW = ("conv", "dense")  # layers that have kernels for weights of 4 bits


class Layer(NamedTuple):
    """One layer record.

    Attributes:
        op: A name in `operations.OPERATIONS`.
        inputs: Positions of the layers it reads, all earlier than its own.
        settings: `(name, value)` pairs, sorted by name.
        shape: Its output shape without the batch.
    """

    op: str
    inputs: tuple[int, ...]
    settings: tuple[tuple[str, Any], ...]
    shape: Shape


class Input(NamedTuple):
    """One of the things that a network reads.

    Attributes:
        name: What it is called; `"input"` where there is no other.
        shape: Shape of one example, without the batch.
        dtype: `"float32"`, or `"int32"` of tokens.
    """

    name: str
    shape: Shape
    dtype: str


@dataclasses.dataclass(frozen=True)
class Network:
    """A network as a graph of layers, in an order in which it can be computed.

    Two networks are equal, and hash alike, when their canonical forms are the same: they
    compute the same function when what is left of them has the same weights, whatever
    decisions led there. The order in which layers were described and the order of the inputs
    of a sum make no difference; nor does what is multiplied by zero, with all that is computed
    from zeros, though its weights count among the costs. The learned shift of a batch
    normalisation that normalises nothing but zeros is taken for the 0 that it starts from.

    Args:
        layers: Layer records; the first is the input, or the first few are the inputs, sorted
            by name; the last is the output, and each other one contributes to the output.
            `freeze` makes them.
    """

    layers: tuple[Layer, ...]

    @property
    def inputs(self) -> tuple[Input, ...]:
        """What the network reads, sorted by name."""
        return tuple(_input(record) for record in self.layers[: inputs_of(self.layers)])

    @property
    def input_shape(self) -> Shape:
        """Shape of one example, without the batch.

        Raises:
            ValueError: If the network has several inputs.
        """
        return self._only_input("shape").shape

    @property
    def input_dtype(self) -> str:
        """`"float32"`, or `"int32"` of a network that reads tokens.

        Raises:
            ValueError: If the network has several inputs.
        """
        return self._only_input("dtype").dtype

    def _only_input(self, wanted: str) -> Input:
        inputs = self.inputs
        if len(inputs) > 1:
            raise ValueError(
                f"A network of several inputs has no single input {wanted}. Received: inputs "
                f"{', '.join(one.name for one in inputs)}. Read `inputs`, which has all."
            )
        return inputs[0]

    @property
    def output_shape(self) -> Shape:
        """Shape of what the network returns for one example."""
        return self.layers[-1].shape

    @functools.cached_property
    def canonical(self) -> tuple[Layer, ...]:
        """The layers simplified and in canonical order: see `canonical.py`.

        Equal forms always mean equal networks. The reverse could fail, where graphs cannot be
        told apart by looking at neighbours or a sum is read at two places, and then costs a
        repeated trial, nothing more.
        """
        return canonical(self.layers)

    @functools.cached_property
    def digest(self) -> str:
        """A short name of the canonical form, the same in every process: 16 hex digits."""
        return hashlib.sha256(repr(self.canonical).encode()).hexdigest()[:16]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Network) and self.canonical == other.canonical

    def __hash__(self) -> int:
        return hash(self.digest)

    def __len__(self) -> int:
        return len(self.layers)

    def __str__(self) -> str:
        return "\n".join(_lines(self.layers))


class Node:
    """The output of a layer while a network is being described.

    Blocks are functions from node to node. A node belongs to one network; `shape` is its
    shape without the batch.
    """

    __slots__ = ("_layers", "index", "shape")

    def __init__(self, layers: list[Layer], index: int) -> None:
        self._layers = layers
        self.index = index
        self.shape = layers[index].shape

    @property
    def channels(self) -> int:
        """Size of the last axis."""
        return self.shape[-1]

    @property
    def input_shape(self) -> Shape:
        """Shape of the input that leads here, without the batch.

        Where several do, it is the first that is found on the way back along the first inputs
        of layers.
        """
        index = self.index
        while sources := self._layers[index].inputs:
            index = sources[0]
        return self._layers[index].shape

    @property
    def inputs(self) -> dict[str, Node]:
        """The nodes of all inputs of the network by name, whether they lead here or not."""
        starts = self._layers[: inputs_of(self._layers)]
        return {_input(record).name: self.at(index) for index, record in enumerate(starts)}

    def described(self) -> tuple[Layer, ...]:
        """The layers of the network described so far, whether they lead here or not."""
        return tuple(self._layers)

    def at(self, index: int) -> Node:
        """The output of another layer of the network, by its position in `described()`."""
        return Node(self._layers, index)


def input_node(shape: Sequence[int], dtype: str = "float32") -> Node:
    """Start a network: the node of its input.

    Args:
        shape: Shape of one example, without the batch.
        dtype: `"float32"`, or `"int32"` for tokens.
    """
    return Node([_start(shape, dtype)], 0)


def input_nodes(
    shapes: Mapping[str, Sequence[int]], dtypes: Mapping[str, str] | None = None
) -> dict[str, Node]:
    """Start a network of several inputs: their nodes by name, sorted by name.

    Args:
        shapes: By name, the shape of one example without the batch; at least two. A name is
            that of the Keras model's input and of the file's: letters, digits and underscores.
        dtypes: By name, `"float32"`, as for those left out, or `"int32"` for tokens.

    Raises:
        ValueError: If there are fewer than two inputs, or a name is none that a Keras model
            and a file can have.
    """
    if len(shapes) < 2:
        raise ValueError(
            f"Only several inputs have names. Received: inputs {list(shapes)}. Start from "
            "`input_node` where there is one."
        )
    for name in shapes:
        _check_name(name)
    dtypes = dtypes or {}
    layers = [
        # A plain text, as digests are of what is written.
        _start(shapes[name], dtypes.get(name, "float32"), ("name", str(name)))
        for name in sorted(shapes)
    ]
    return {name: Node(layers, index) for index, name in enumerate(sorted(shapes))}


def _start(shape: Sequence[int], dtype: str, *settings: tuple[str, Any]) -> Layer:
    shape = tuple(int(size) for size in shape)
    # Left out where it is what it has always been, so that networks keep their digests.
    kind = () if dtype == "float32" else (("dtype", dtype),)
    return Layer("input", (), (*kind, *settings, ("shape", shape)), shape)


def _input(record: Layer) -> Input:
    settings = dict(record.settings)
    return Input(settings.get("name", _ALONE), record.shape, settings.get("dtype", "float32"))


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        raise ValueError(
            "The name of an input must be letters, digits and underscores, the first a "
            f"letter. Received: {name!r}. Rename it in the data set."
        )
    if _LAYER_NAME.fullmatch(name):
        raise ValueError(
            "An input must not have the name that a layer may get. Received: "
            f"{name!r}. Rename it in the data set, e.g. {'the_' + name!r}."
        )


def layer(op: str, *inputs: Node, **settings: Any) -> Node:
    """Add a layer to the network that `inputs` belong to.

    Args:
        op: A name in `operations.OPERATIONS`.
        *inputs: Nodes it reads, all of one network.
        **settings: Settings of the operation, hashable.

    Returns:
        The node of its output.

    Raises:
        ValueError: If the nodes are of different networks, or their shapes do not fit.
    """
    layers = inputs[0]._layers
    if any(node._layers is not layers for node in inputs):
        raise ValueError(
            f"All inputs of a layer must belong to one network. Received: {len(inputs)} "
            f"inputs of `{op}` from different networks. Start from one `input_node`."
        )
    shape = OPERATIONS[op].shape(settings, [node.shape for node in inputs])
    record = Layer(op, tuple(n.index for n in inputs), tuple(sorted(settings.items())), shape)
    layers.append(record)
    return Node(layers, len(layers) - 1)


def freeze(output: Node) -> Network:
    """The network that ends in `output`.

    Layers that do not lead there are left out. What has no weights and is computed twice from
    the same, such as the rectified input of two branches, is one layer: so it is on a device,
    whose file would have it once in any case.
    """
    layers = output._layers
    starts = inputs_of(layers)
    needed = {*range(starts), output.index}
    for index in range(output.index, starts - 1, -1):
        if index in needed:
            needed.update(layers[index].inputs)
    position: dict[int, int] = {}
    first: dict[Layer, int] = {}
    frozen: list[Layer] = []
    for index in sorted(needed):
        record = layers[index]
        inputs = tuple([position[i] for i in record.inputs])
        if inputs != record.inputs:
            record = record._replace(inputs=inputs)
        place = len(frozen)
        if record.op in REPEATABLE:
            place = first.setdefault(record, place)
        if place == len(frozen):
            frozen.append(record)
        position[index] = place
    return Network(tuple(frozen))


def with_weight_bits(network: Network, bits: int) -> Network:
    """The network with weights of so many bits where a device has kernels for them.

    Those are convolutions and dense layers; 8 bits, what all have otherwise, change nothing.
    """
    if bits == 8:
        return network
    return Network(tuple(_narrowed(record, bits) for record in network.layers))


def _narrowed(record: Layer, bits: int) -> Layer:
    if record.op not in _NARROW:
        return record
    return record._replace(settings=tuple(sorted((*record.settings, ("bits", bits)))))


def _lines(layers: Sequence[Layer]) -> Iterator[str]:
    for index, record in enumerate(layers):
        settings = ", ".join(f"{k}={v}" for k, v in record.settings if k != "shape")
        inputs = ", ".join(map(str, record.inputs))
        shape = "x".join(map(str, record.shape))
        yield f"{index:3d} {record.op}({inputs}) {settings} -> {shape}".replace("  ->", " ->")
