"""Changes of a graph that leave its function as it is: wider, deeper, with skips.

Each takes a graph of `GraphNetwork` and its trained weights, and returns another graph of the
same space with weights of which the outputs are the same, within rounding. So a search by
edits need not begin a child's training anew, and not even from where `inheritance.py` can
bring it: see `widened`, `deepened` and `with_skip`.

None of them carries a proof of its own. All follow the new network layer by layer and note of
every channel which channel of the old network it equals, if any; weights are set so that this
holds, and where no weights can, the change is refused. What is returned has been proved equal.

References:
    Chen et al., "Net2Net: Accelerating Learning via Knowledge Transfer", ICLR 2016,
    https://arxiv.org/abs/1511.05641, widens and deepens chains. Wei et al., "Network
    Morphism", ICML 2016, https://arxiv.org/abs/1603.01670, adds branches that start at zero.
    Unlike theirs, the copies of a widened channel can share the weights of their readers
    unequally without any change of the outputs, so that training tells them apart; and a graph
    may demand 1x1 convolutions that were not there, which start as projections.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from search_spaces import edits
from search_spaces.decisions import Decisions
from search_spaces.edits import Edit
from search_spaces.graph import ADD, Graph, GraphNetwork, Vertex
from search_spaces.inheritance import Weights, has_weights, layer_name, load
from search_spaces.network import Layer, Network, freeze, input_node
from search_spaces.operations import pair

__all__ = ["Morphed", "deepened", "widened", "with_skip"]

Array = NDArray[Any]
Channels = NDArray[np.int64]
"""Of each channel, the number of the channel of the old network that it equals."""

_OTHER = -1  # equals none: nothing inherited may depend on it
_ZERO = -2  # is zero for every input
_EPSILON = 1e-3  # of batch normalisation in Keras
_POOLS = ("average_pool", "global_average_pool", "max_pool")
# Layers that treat each channel by itself and all alike, those of `GraphNetwork` among them.
_BY_CHANNEL = (*_POOLS, "activation", "dropout", "flatten", "resize")
_IDENTITIES = ("conv1", "conv3", "conv5", "separable3", "separable5", "skip")


class Morphed(NamedTuple):
    """A graph with weights.

    Attributes:
        graph: The graph, a member of the space: `space.values_of` has its decisions.
        weights: Those of its network, for `inheritance.load` into what `realise` makes of it.
    """

    graph: Graph
    weights: dict[str, list[Array]]


def widened(
    space: GraphNetwork,
    graph: Graph,
    weights: Weights,
    number: int,
    width: int,
    *,
    rng: np.random.Generator,
    noise: float = 0.1,
    examples: Array | None = None,
) -> Morphed:
    """Give a node more channels: copies of those it has (Net2WiderNet).

    The new channels are copies of old ones drawn at random, and whatever reads copies of a
    channel divides its weights among them. Where a reader cannot take more channels as they
    are, as a sum cannot, the space puts a 1x1 convolution, which starts as what joins copies
    or makes them.

    Training keeps the outputs too, since copies have equal statistics, except behind such new
    1x1 convolutions: their batch normalisation starts as the identity by its moving
    statistics, while training goes by those of the batch. `examples` make the two agree.

    Args:
        space: The space of the graph.
        graph: The graph.
        weights: The weights of its network, as `inheritance.weights_of` gives them.
        number: Number of the node.
        width: Its channels then, more than it has.
        rng: Draws which channels are copied, and how their weights are divided.
        noise: How unequally copies share a weight: deviation relative to the equal share. With
            0 all copies have equal gradients and stay what they are, unless dropout tells them
            apart; the outputs are the same with any, though very large ones cost precision.
        examples: Inputs of the network, `(n, *space.input_shape)`, from which new
            normalisations take their statistics; `None` gives them a mean of 0 and a variance
            of 1. A few hundred do.

    Raises:
        ValueError: If there is no such node, the width is not larger or not one of the rules,
            or no weights make the outputs the same, as where a 1x1 convolution disappears
            because channels are as many as needed now.
    """
    former = graph.node(number).width
    if width <= former:
        raise ValueError(
            "Only a wider node can do all that the node did. Received: "
            f"width={width} for node {number} of {former} channels. Give a larger one of "
            f"{', '.join(map(str, graph.rules.widths))}, or use `edits.change_width`."
        )
    chosen = np.concatenate([np.arange(former), rng.integers(former, size=width - former)])
    edit = Edit("change_width", (number, width))
    change = _Change(edit, rng, noise=noise, copies=chosen)
    return _morphed(space, graph, weights, change, examples)


def deepened(
    space: GraphNetwork,
    graph: Graph,
    weights: Weights,
    source: int,
    target: int | None = None,
    *,
    operation: str = "conv3",
    examples: Array | None = None,
) -> Morphed:
    """Put a node that changes nothing behind another one (Net2DeeperNet).

    A convolution starts as the identity, and so does its batch normalisation; its ReLU6
    changes nothing of what has been through one already. Where that is not so, behind a sum
    or a linear projection, only a node that skips can be put.

    While training the new normalisations go by the statistics of batches and do change what
    they read, unless `examples` tell them the statistics beforehand.

    Args:
        space: The space of the graph.
        graph: The graph.
        weights: As in `widened`.
        source: Number of the node behind which the new one is put, 0 for the input.
        target: Number of the node that reads `source` and will read the new one instead;
            `None` where no node reads `source`, which leads to the output then.
        operation: What the new node does: `"conv1"`, `"conv3"`, `"conv5"`, `"separable3"`,
            `"separable5"` or `"skip"`. A larger kernel can learn more, at more cost.
        examples: As in `widened`.

    Returns:
        The new graph, in which the new node has number `source + 1`, and its weights.

    Raises:
        ValueError: If there is no such edge or no room for a node, the space lacks the
            operation or the width, the operation is none that can be an identity, its
            activation would change what it reads, or no weights make the outputs the same, as
            where `target` took `source` and a node that skipped it for one.
    """
    if operation not in _IDENTITIES:
        raise ValueError(
            f"Only {', '.join(_IDENTITIES)} can start as an identity. Received: operation="
            f"{operation!r}. Use one of them."
        )
    if target is None and graph.readers(source):
        raise ValueError(
            "A node that leads to the output beside others changes what the network says. "
            f"Received: source={source}, which is read by {list(graph.readers(source))}. Name "
            "one of these as `target`."
        )
    width = graph.node(source).width if source else _stem(space, graph)
    edit = Edit("add_node", (Vertex(operation, width), source, target))
    rng = np.random.default_rng(0)  # an identity leaves nothing to draw
    return _morphed(space, graph, weights, _Change(edit, rng, added=source + 1), examples)


def with_skip(
    space: GraphNetwork,
    graph: Graph,
    weights: Weights,
    source: int,
    target: int,
    merge: str = ADD,
    *,
    rng: np.random.Generator,
    examples: Array | None = None,
) -> Morphed:
    """Let a node read one more, of which it makes nothing at first.

    What is added goes through a 1x1 convolution, whose batch normalisation starts with a
    scale of 0; what is concatenated meets weights of 0. Both learn from the first step on.
    Training keeps the outputs too, except where a new 1x1 convolution of another kind is
    needed: see `widened`.

    Args:
        space: The space of the graph.
        graph: The graph.
        weights: As in `widened`.
        source: Number of the node to be read, 0 for the input.
        target: Number of the node that reads it, a later one.
        merge: `"add"` or `"concatenate"`.
        rng: Draws the weights of what is new and not zero.
        examples: As in `widened`.

    Raises:
        ValueError: If `edits.add_edge` refuses the edge, no other node reads `source`, or no
            weights make the outputs the same: where what is added has as many channels as what
            it is added to, so that no convolution stands between, becomes the main input, or
            is of a coarser resolution.
    """
    edit = Edit("add_edge", (source, target, merge))
    if source in graph.outputs:
        raise ValueError(
            "What leads to the output does so only as long as no node reads it. Received: "
            f"source={source} in a graph with outputs {list(graph.outputs)}. Give a source "
            "that another node reads."
        )
    return _morphed(space, graph, weights, _Change(edit, rng, skipped=target), examples)


# --- where layers come from ---------------------------------------------------------------


class _Role(NamedTuple):
    """What a layer is for.

    Attributes:
        part: `"stem"`, `"merge"` or `"operation"` of a node, or `"head"`.
        node: Number of the node; 0 for others.
    """

    part: str
    node: int = 0


class _Described(NamedTuple):
    """The network of a graph, and what its layers with weights are for, by position."""

    network: Network
    roles: dict[int, _Role]


class _Listening(Decisions):
    """Decisions that note how far the description is whenever one is read."""

    def __init__(self, values: dict[str, Any], length: Callable[[], int]) -> None:
        super().__init__(values)
        self._length = length
        self.heard: list[tuple[int, str]] = []

    def Choice(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """As of `Decisions`."""
        self.heard.append((self._length(), name))
        return super().Choice(name, *args, **kwargs)


def _described(space: GraphNetwork, graph: Graph) -> _Described:
    """Describe the network of a graph and listen to what is decided on the way.

    The layers of node `i` come after its first decision; those of its operation after the
    decision on that, which is its last one.
    """
    start = input_node(space.input_shape, space.input_dtype)
    values = space.values_of(graph)
    reader = _Listening(values, lambda: len(start.described()))
    features = space.features(reader, start)
    body = len(start.described())
    network = freeze(space.task.head(features))
    # The first decision of all is on the number of nodes.
    moments = [(0, _Role("stem"))]
    for length, name in reader.heard:
        node, _, decision = name.partition("/")
        if decision and int(node.removeprefix("node")) <= len(graph.nodes):
            part = "operation" if decision == "operation" else "merge"
            moments.append((length, _Role(part, int(node.removeprefix("node")))))
    moments.append((body, _Role("head")))
    weighed = [index for index, record in enumerate(start.described()) if has_weights(record)]
    roles = [[role for length, role in moments if length <= index][-1] for index in weighed]
    # Positions change when a network is frozen, the order of layers with weights does not.
    places = [index for index, record in enumerate(network.layers) if has_weights(record)]
    return _Described(network, dict(zip(places, roles, strict=True)))


def _stem(space: GraphNetwork, graph: Graph) -> int:
    """Channels of the input of graphs."""
    described = _described(space, graph)
    index = next(index for index, role in described.roles.items() if role.part == "stem")
    return described.network.layers[index].shape[-1]


# --- from the old network to the new one --------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Change:
    """What is done to a graph.

    Attributes:
        edit: The edit.
        rng: Draws what is random.
        noise: As in `widened`.
        copies: Of each channel of the widened node, the number of the one that it is.
        added: Number of the node that is new and starts as an identity.
        skipped: Number of the node that reads one more.
    """

    edit: Edit
    rng: np.random.Generator
    noise: float = 0.0
    copies: Channels | None = None
    added: int | None = None
    skipped: int | None = None


def _morphed(
    space: GraphNetwork,
    graph: Graph,
    weights: Weights,
    change: _Change,
    examples: Array | None,
) -> Morphed:
    result = edits.apply(graph, change.edit)
    old, new = _described(space, graph), _described(space, result)
    statistics = _Statistics(old.network, weights, examples)
    return Morphed(result, _Walk(old, new, weights, change, statistics).weights())


class _Statistics:
    """Mean and variance of the channels of a network's layers over examples.

    Args:
        network: The network.
        weights: Its weights.
        examples: Inputs; without any, means are 0 and variances 1.
    """

    def __init__(self, network: Network, weights: Weights, examples: Array | None) -> None:
        self._network, self._weights, self._examples = network, weights, examples

    def of(self, layer: int) -> tuple[Array, Array]:
        """Mean and variance of each channel of a layer's output."""
        channels = self._network.layers[layer].shape[-1]
        if self._examples is None:
            return np.zeros(channels, np.float32), np.ones(channels, np.float32)
        return self._measured[layer]

    @functools.cached_property
    def _measured(self) -> dict[int, tuple[Array, Array]]:
        import keras

        from search_spaces.realise import realise

        model = realise(self._network)
        load(model, self._weights)
        layers = range(len(self._network.inputs), len(self._network.layers))
        outputs = [model.get_layer(layer_name(self._network, i)).output for i in layers]
        found = keras.Model(model.inputs[0], outputs)(self._examples, training=False)
        arrays = [keras.ops.convert_to_numpy(output) for output in found]
        return {
            index: (array.reshape(-1, array.shape[-1]).mean(0, np.float64), _variance(array))
            for index, array in zip(layers, arrays, strict=True)
        }


def _variance(array: Array) -> Array:
    variance: Array = array.reshape(-1, array.shape[-1]).var(0, np.float64)
    return variance


class _Walk:
    """Goes through the new network, and says of each channel which old one it equals.

    Channels of the old network are numbered through: those that layer `i` makes from
    `first[i]` on. A concatenation makes none. Weights are set as the walk comes by.
    """

    def __init__(
        self,
        old: _Described,
        new: _Described,
        weights: Weights,
        change: _Change,
        statistics: _Statistics,
    ) -> None:
        self._old, self._new, self._change = old.network, new.network, change
        self._old_roles = {
            index: role._replace(node=change.edit.renumbered(role.node) or 0)
            if role.node
            else role
            for index, role in old.roles.items()
        }
        self._new_roles = new.roles
        self._given = weights
        self._statistics = statistics
        sizes = [record.shape[-1] for record in old.network.layers]
        self._first = np.concatenate([[0], np.cumsum(sizes)])
        self._old_channels: list[Channels] = []
        for index, (op, inputs, _, shape) in enumerate(old.network.layers):
            made = self._first[index] + np.arange(shape[-1])
            read = [self._old_channels[source] for source in inputs]
            self._old_channels.append(np.concatenate(read) if op == "concatenate" else made)
        self._channels: list[Channels] = []
        self._used: set[int] = set()
        self._identities: set[int] = set()  # new convolutions that are projections at first
        self._zeros: set[int] = set()  # new convolutions whose normalisation starts at zero
        self._made: dict[str, list[Array]] = {}

    def weights(self) -> dict[str, list[Array]]:
        """The weights of the new network by layer."""
        for index, record in enumerate(self._new.layers):
            read = [self._channels[source] for source in record.inputs]
            self._channels.append(self._walked(index, record, read))
        if not np.array_equal(self._channels[-1], self._old_channels[-1]):
            raise self._impossible("not all that the old network computes is there")
        return self._made

    def _walked(self, index: int, record: Layer, read: list[Channels]) -> Channels:
        """The channels of a layer; sets its weights."""
        if record.op == "input":
            return self._old_channels[index]
        if record.op == "concatenate":
            return np.concatenate(read)
        role = self._new_roles.get(index)
        if role == _Role("operation", self._change.added or -1):
            return self._identity(index, record, read[0])
        if record.op == "batch_norm" and record.inputs[0] in self._zeros:
            self._normalise_to_zero(index, record)
            return np.full(record.shape[-1], _ZERO)
        if record.op == "batch_norm" and record.inputs[0] in self._identities:
            self._normalise_nothing(index, read[0])
            return read[0]
        if record.op == "activation" and self._of_added(record):
            return self._unchanged(record, read[0])
        if record.op in ("add", "multiply"):
            return self._combined(record, read)
        if role is None:
            return self._passed(record, read[0])
        former = self._counterpart(record, role, read[0])
        if former is not None:
            self._used.add(former)
            return self._carried(index, record, former, read[0])
        if record.op == "conv":
            return self._projected(index, record, role, read[0])
        raise self._impossible(f"{layer_name(self._new, index)} lacks what it needs to read")

    def _impossible(self, reason: str) -> ValueError:
        return ValueError(
            f"No weights keep the outputs as they are: {reason}. Received: "
            f"{self._change.edit}. `edits.apply` makes the change all the same, and "
            "`inheritance.inherit` keeps what weights it can."
        )

    # --- layers that an old one stands for ---

    def _counterpart(self, record: Layer, role: _Role, read: Channels) -> int | None:
        """The old layer of this role that reads nothing but what is read here."""
        for former, former_role in self._old_roles.items():
            candidate = self._old.layers[former]
            if (
                former not in self._used
                and former_role == role
                and _alike(record, candidate)
                and self._copies(record, candidate) is not None
                and set(self._read_by(former)) <= set(read)
            ):
                return former
        return None

    def _read_by(self, former: int) -> Channels:
        return self._old_channels[self._old.layers[former].inputs[0]]

    def _carried(self, index: int, record: Layer, former: int, read: Channels) -> Channels:
        """Give a layer the weights of the old one that it stands for."""
        source = self._read_by(former)
        given = [np.asarray(w) for w in self._given[layer_name(self._old, former)]]
        match record.op:
            case "conv" | "dense":
                kernel = self._divided(given[0], source, read)
                copies = self._copies(record, self._old.layers[former])
                made = [kernel[..., copies], *(bias[copies] for bias in given[1:])]
                channels = self._old_channels[former][copies]
            case "depthwise" | "batch_norm":
                place = _places(read, source)
                made = [self._gathered(record, w, place) for w in given]
                channels = np.where(place < 0, _OTHER, self._old_channels[former][place])
            case _:
                if not np.array_equal(read, source):
                    raise self._impossible(f"{record.op} would read other channels")
                made, channels = given, self._old_channels[former]
        self._made[layer_name(self._new, index)] = made
        return channels

    def _divided(self, kernel: Array, source: Channels, read: Channels) -> Array:
        """A kernel over other channels, in which copies share the weights of what they are.

        Channels that the old kernel did not read have weights of 0.
        """
        if np.array_equal(source, read):
            return kernel
        rows = np.zeros((*kernel.shape[:-2], len(read), kernel.shape[-1]), np.float64)
        for channel in dict.fromkeys(source):
            weight = kernel[..., source == channel, :].sum(axis=-2, keepdims=True)
            copies = np.flatnonzero(read == channel)
            shares = self._shares((*weight.shape[:-2], len(copies), weight.shape[-1]))
            rows[..., copies, :] = weight * shares
        return rows.astype(kernel.dtype)

    def _shares(self, shape: tuple[int, ...]) -> Array:
        """What part of a weight each copy of a channel has; over all copies they sum to 1."""
        noise = self._change.noise * self._change.rng.standard_normal(shape)
        shares: Array = (1.0 + noise - noise.mean(axis=-2, keepdims=True)) / shape[-2]
        return shares

    def _copies(self, record: Layer, former: Layer) -> Channels | None:
        """Which channels of an old layer those of a new one are, if they can be."""
        wanted, had = record.shape[-1], former.shape[-1]
        if wanted == had or record.op not in ("conv", "dense"):
            return np.arange(had)
        copies = self._change.copies
        fits = copies is not None and len(copies) == wanted and copies.max() < had
        return copies if fits else None

    def _gathered(self, record: Layer, weights: Array, place: Channels) -> Array:
        """Weights of channels in another order; those of others are fresh."""
        if record.op == "depthwise" and weights.ndim == 4:
            fresh = self._random((*weights.shape[:2], len(place), 1), weights[..., 0, 0].size)
            return np.where((place < 0)[:, None], fresh, weights[..., place, :])
        # Of a normalisation only channels that its readers ignore are new.
        return np.where(place < 0, weights.mean(), weights[place]).astype(weights.dtype)

    def _random(self, shape: tuple[int, ...], fan_in: int) -> Array:
        deviation = np.sqrt(2.0 / fan_in)  # He et al., 2015
        return self._change.rng.normal(0.0, deviation, shape).astype(np.float32)

    # --- layers without weights ---

    def _passed(self, record: Layer, read: Channels) -> Channels:
        """Channels of a layer without weights that reads one other."""
        if (read == _ZERO).all() and record.op in _POOLS:
            return np.full(record.shape[-1], _ZERO)
        result = np.full(record.shape[-1], _OTHER)
        for former, candidate in enumerate(self._old.layers):
            if not _alike(record, candidate) or len(candidate.inputs) != 1:
                continue
            source, made = self._read_by(former), self._old_channels[former]
            if np.array_equal(read, source):
                return made
            place = _places(read, source)
            if record.op in _BY_CHANNEL and (place >= 0).sum() > (result >= 0).sum():
                # Behind a `flatten` each pixel has all channels.
                each = made.reshape(-1, len(source))
                result = np.where(place < 0, _OTHER, each[:, place]).reshape(-1)
        return result

    def _combined(self, record: Layer, read: list[Channels]) -> Channels:
        """Channels of a sum or a product, of which terms that are zero are no part."""
        if record.op == "add":
            read = [each for each in read if not (each == _ZERO).all()]
        if len(read) == 1:
            return read[0]
        for former, candidate in enumerate(self._old.layers):
            if candidate.op != record.op or len(candidate.inputs) != len(read):
                continue
            sources = [self._old_channels[source] for source in candidate.inputs]
            place = _places(read[0], sources[0])
            if (
                (place >= 0).all()
                and len({len(source) for source in sources}) == 1
                and all(
                    np.array_equal(source[place], each)
                    for source, each in zip(sources, read, strict=True)
                )
            ):
                return self._old_channels[former][place]
        return np.full(record.shape[-1], _OTHER)

    # --- layers that are new ---

    def _projected(self, index: int, record: Layer, role: _Role, read: Channels) -> Channels:
        """Make a new 1x1 convolution pass on what it reads, or be multiplied by zero."""
        name = layer_name(self._new, index)
        filters = record.shape[-1]
        if role == _Role("merge", self._change.skipped or -1):
            self._zeros.add(index)
            self._made[name] = [self._random((1, 1, len(read), filters), len(read))]
            return np.full(filters, _OTHER)
        wanted = np.array(list(dict.fromkeys(read[read >= 0])))
        if len(wanted) != filters:
            copies = self._change.copies
            if copies is None or len(copies) != filters or copies.max() >= len(wanted):
                raise self._impossible(
                    f"a new 1x1 convolution would have to make {filters} channels of the "
                    f"{len(wanted)} that are known"
                )
            wanted = wanted[copies]
        self._identities.add(index)
        self._made[name] = [self._passing((1, 1), read, wanted)]
        return wanted

    def _passing(self, kernel: tuple[int, int], read: Channels, wanted: Channels) -> Array:
        """A kernel that makes these channels out of those that it reads."""
        result = np.zeros((*kernel, len(read), len(wanted)), np.float32)
        middle = result[(kernel[0] - 1) // 2, (kernel[1] - 1) // 2]
        for place, channel in enumerate(wanted):
            copies = np.flatnonzero(read == channel)
            middle[copies, place] = self._shares((len(copies), 1))[:, 0]
        return result

    def _identity(self, index: int, record: Layer, read: Channels) -> Channels:
        """Make a layer of the new node pass on what it reads."""
        name = layer_name(self._new, index)
        settings = dict(record.settings)
        if record.op == "conv":
            self._made[name] = [self._passing(pair(settings["kernel"]), read, read)]
        elif record.op == "depthwise":
            window = pair(settings["kernel"])
            kernel = np.zeros((*window, len(read), 1), np.float32)
            kernel[(window[0] - 1) // 2, (window[1] - 1) // 2] = 1.0
            self._made[name] = [kernel]
        else:
            self._normalise_nothing(index, read)
        return read

    def _of_added(self, record: Layer) -> bool:
        """Whether an activation belongs to the node that starts as an identity."""
        role = self._new_roles.get(record.inputs[0])
        return role == _Role("operation", self._change.added or -1)

    def _unchanged(self, record: Layer, read: Channels) -> Channels:
        """Refuse an activation that would change what it reads."""
        function = dict(record.settings)["function"]
        layers = {int(np.searchsorted(self._first, channel, "right")) - 1 for channel in read}
        if not all(_activated(self._old, layer, function) for layer in layers):
            raise ValueError(
                "A node that starts as an identity must not change what it reads, but "
                f"{function} would: not all of it has been through one. Received: "
                f"{self._change.edit}. Put a node that skips, or one behind a convolution."
            )
        return read

    def _normalise_nothing(self, index: int, read: Channels) -> None:
        """Make a batch normalisation the identity, for inputs like those it will read."""
        moments = []
        for channel in read:
            layer = int(np.searchsorted(self._first, channel, "right")) - 1
            mean, variance = self._statistics.of(layer)
            place = int(channel - self._first[layer])
            moments.append((mean[place], variance[place]))
        means, variances = np.array(moments).T
        made = [np.sqrt(variances + _EPSILON), means, means, variances]
        self._made[layer_name(self._new, index)] = [each.astype(np.float32) for each in made]

    def _normalise_to_zero(self, index: int, record: Layer) -> None:
        """Make a batch normalisation return zeros, whatever it reads."""
        zeros, ones = (np.full(record.shape[-1], value, np.float32) for value in (0.0, 1.0))
        self._made[layer_name(self._new, index)] = [zeros, zeros, zeros, ones]


def _alike(record: Layer, other: Layer) -> bool:
    """Whether two layers do the same, but for the number of channels."""

    def told(each: Layer) -> list[tuple[str, Any]]:
        return [pair for pair in each.settings if pair[0] not in ("filters", "units")]

    same_sides = record.op == "flatten" or record.shape[:-1] == other.shape[:-1]
    return record.op == other.op and told(record) == told(other) and same_sides


def _places(wanted: Channels, among: Channels) -> Channels:
    """Where channels are among others; -1 for those that are not.

    Of a channel that is there several times, as behind a concatenation of two equal parts, one
    place after the other is taken.
    """
    found: dict[int, list[int]] = {}
    for place, channel in enumerate(among.tolist()):
        found.setdefault(channel, []).append(place)
    turns = {channel: itertools.cycle(places) for channel, places in found.items()}
    return np.array([next(turns.get(c, _NOWHERE)) for c in wanted.tolist()], np.int64)


_NOWHERE = itertools.repeat(-1)


def _activated(network: Network, layer: int, function: str) -> bool:
    """Whether all of a layer's output has been through an activation, and is as it made it."""
    op, inputs, settings, _ = network.layers[layer]
    if op == "activation":
        return ("function", function) in settings
    kept = op in ("average_pool", "concatenate", "dropout", "max_pool")
    return kept and all(_activated(network, source, function) for source in inputs)
