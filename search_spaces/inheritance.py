"""Weights that a network inherits from an earlier one that is much like it.

Evolution and local search make a candidate by a small change of an earlier one, whose trained
weights are a better start than random ones. `matched` says which layer of the child stands for
which of the parent; `inherit` copies the weights.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from search_spaces.network import Layer, Network
from search_spaces.operations import OPERATIONS, Operation, Settings, pair

if TYPE_CHECKING:
    import keras

__all__ = [
    "Inherited",
    "Weights",
    "has_weights",
    "inherit",
    "inherited",
    "layer_name",
    "load",
    "matched",
    "weights_of",
]

Array = NDArray[Any]
Places = NDArray[np.int64]
"""For each place of something new the place of it in something old; -1 if there is none."""

Weights = Mapping[str, Sequence[Array]]
"""The weights of a model: those of each layer, in Keras' order, by the layer's name."""

_NEW = -1


# --- weights of models --------------------------------------------------------------------


def layer_name(network: Network, index: int) -> str:
    """What `realise` calls a layer of a network."""
    return f"{network.layers[index].op}_{index}"


def has_weights(record: Layer) -> bool:
    """Whether layers of this kind have weights."""
    return OPERATIONS[record.op].params is not Operation._field_defaults["params"]


def weights_of(model: keras.Model) -> dict[str, list[Array]]:
    """The weights of a model by layer, moving statistics of normalisations among them."""
    return {
        layer.name: [variable.numpy() for variable in layer.weights]
        for layer in model.layers
        if layer.weights
    }


def load(model: keras.Model, weights: Weights) -> None:
    """Give layers the weights that there are for them; other layers keep theirs.

    Raises:
        ValueError: If the model has no layer of a name, or one of other shapes.
    """
    for name, arrays in weights.items():
        variables = model.get_layer(name).weights
        shapes = [tuple(variable.shape) for variable in variables]
        if shapes != [array.shape for array in arrays]:
            raise ValueError(
                "Weights must have the shapes that the layer has. Received: "
                f"{[array.shape for array in arrays]} for `{name}`, which has {shapes}. Load "
                "them into a model of the same network."
            )
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)


# --- which layer stands for which ---------------------------------------------------------

# Where layers of equal weights are repeated, one block that is left out as a whole explains
# more than pieces of two.
_GAP = 0.3
_LIGHT = 0.1  # what a layer without weights counts for


def matched(parent: Network, child: Network) -> dict[int, int]:
    """Which layers with weights stand for which in the network that a child was made from.

    Layers are described in an order that small changes leave alone. So this is the alignment
    of two sequences: pairs of one kind of layer, none crossing another, with the largest sum
    of similarities less a price for each run of layers that is left out. Two layers are the
    more similar the larger the part of their weights that one can take from the other; images
    of one size and what they read count as well.

    Args:
        parent: The network that there are weights of.
        child: Another one, of the same space or not.

    Returns:
        Positions of layers in the parent by positions in the child, both ascending.
    """
    return _weighed(_aligned(parent, child), child)


def _weighed(pairs: Mapping[int, int], child: Network) -> dict[int, int]:
    return {new: old for new, old in pairs.items() if has_weights(child.layers[new])}


def _aligned(parent: Network, child: Network) -> dict[int, int]:
    """As `matched`, for layers without weights too."""
    similarity = _similarities(parent, child)
    rows, columns = similarity.shape
    # Best sums for the first `i` and `j` layers that end in a pair, or in a gap of either.
    paired = np.full((rows + 1, columns + 1), -np.inf)
    left_out = np.full_like(paired, -np.inf)
    paired[0, 0] = 0.0
    left_out[0, 1:] = -_GAP
    for i in range(1, rows + 1):
        before = np.maximum(paired[i - 1], left_out[i - 1])
        paired[i, 1:] = before[:-1] + similarity[i - 1]
        # A run that goes on costs nothing more, so its best start is a running maximum.
        above = np.maximum(left_out[i - 1], paired[i - 1] - _GAP)
        across = np.maximum.accumulate(np.concatenate([[-np.inf], paired[i, :-1] - _GAP]))
        left_out[i] = np.maximum(above, across)
        left_out[i] = np.maximum.accumulate(left_out[i])
    return _traced(paired, left_out, similarity)


def _traced(paired: Array, left_out: Array, similarity: Array) -> dict[int, int]:
    """The pairs of the best alignment, from its end back to its start."""
    i, j = (size - 1 for size in paired.shape)
    pairs: dict[int, int] = {}
    in_gap = bool(left_out[i, j] > paired[i, j])
    while i and j:
        if not in_gap:
            i, j = i - 1, j - 1
            pairs[i] = j
            in_gap = bool(left_out[i, j] > paired[i, j])
        elif left_out[i, j] == left_out[i, j - 1]:
            j -= 1
        elif left_out[i, j] == left_out[i - 1, j]:
            i -= 1
        else:
            # The run starts here, behind a pair.
            in_gap = False
            if left_out[i, j] == paired[i - 1, j] - _GAP:
                i -= 1
            else:
                j -= 1
    return dict(sorted(pairs.items()))


def _similarities(parent: Network, child: Network) -> Array:
    """How alike two layers are, by child and parent; minus infinity for other kinds."""
    theirs, ours = _looks(parent), _looks(child)
    kinds = {look: number for number, look in enumerate(dict.fromkeys([*theirs, *ours]))}
    found = np.full((len(kinds), len(kinds)), -np.inf)
    for a in set(ours):
        for b in set(theirs):
            if a.kind == b.kind:
                found[kinds[a], kinds[b]] = _similarity(a, b)
    return found[np.ix_([kinds[a] for a in ours], [kinds[b] for b in theirs])]


class _Look(NamedTuple):
    """What of a layer is compared with another."""

    kind: tuple[Any, ...]
    sizes: tuple[int, ...]
    sides: tuple[int, ...]
    reads: tuple[str, ...]


def _looks(network: Network) -> list[_Look]:
    layers = network.layers
    return [
        _Look(
            _kind(record),
            _sizes(record, [layers[i].shape[-1] for i in record.inputs]),
            record.shape[:-1],
            tuple(layers[i].op for i in record.inputs),
        )
        for record in layers
    ]


def _similarity(a: _Look, b: _Look) -> float:
    alike = 0.2 * (a.sides == b.sides) + 0.1 * (a.reads == b.reads)
    if not a.sizes:
        return float(_LIGHT * (0.2 + alike))
    shared = 1.0
    for one, other in zip(a.sizes, b.sizes, strict=True):
        shared *= min(one, other) / max(one, other)
    return float(0.2 + alike + 0.5 * shared)


def _kind(record: Layer) -> tuple[Any, ...]:
    """What two layers must agree on to share weights."""
    settings = dict(record.settings)
    about = ("bias", "bidirectional", "cell", "center", "function", "name", "scale")
    told = [settings.get(name) for name in about] if record.op != "rescale" else []
    return (record.op, *told, record.op == "position" and "width" in settings)


def _sizes(record: Layer, channels: Sequence[int]) -> tuple[int, ...]:
    """Lengths that the weights of a layer come in, as many for all of a kind."""
    settings = dict(record.settings)
    match record.op:
        case "conv":
            return (*pair(settings["kernel"]), channels[0], settings["filters"])
        case "depthwise":
            return (*pair(settings["kernel"]), channels[0])
        case "dense":
            return channels[0], settings["units"]
        case "recurrent":
            return channels[0], settings["units"]
        case "attention":
            return channels[0], settings["heads"], settings["width"]
        case "embedding":
            return settings["vocabulary"], settings["width"]
        case "position":
            return record.shape
        case "batch_norm" | "layer_norm":
            return (channels[0],)
    return ()


# --- which channel stands for which -------------------------------------------------------


def _leading(new: int, old: int) -> Places:
    """The first places stand for each other."""
    places = np.arange(new)
    return np.where(places < old, places, _NEW)


class _Channel(NamedTuple):
    """Where a channel comes from: the layer that made it, and its number there.

    A layer that makes no new channels, such as a normalisation, passes on those that it reads.
    Behind a `flatten` each pixel has channels of its own.
    """

    maker: int
    number: int
    pixel: int = 0


def _channels(network: Network) -> list[list[_Channel]]:
    """Where the channels of each layer's output come from."""
    made: list[list[_Channel]] = []
    for index, (op, inputs, _, shape) in enumerate(network.layers):
        read = [made[source] for source in inputs]
        if op == "concatenate":
            channels = [channel for each in read for channel in each]
        elif op == "flatten":
            pixels = shape[0] // len(read[0])
            channels = [
                each._replace(pixel=pixel) for pixel in range(pixels) for each in read[0]
            ]
        elif op in _MAKERS or not read or (op in _REARRANGE and len(read[0]) != shape[-1]):
            channels = [_Channel(index, number) for number in range(shape[-1])]
        else:
            channels = read[0][: shape[-1]]
        made.append(channels)
    return made


_MAKERS = ("conv", "dense", "embedding", "front_end", "recurrent")
_REARRANGE = ("position", "reshape")  # which make channels only where these become others


_NONE: Iterator[int] = iter(())


class _Lineage:
    """Which channels of a child stand for which of its parent."""

    def __init__(self, parent: Network, child: Network) -> None:
        self._parent, self._child = parent, child
        self._theirs, self._ours = _channels(parent), _channels(child)
        self.layers = _aligned(parent, child)
        self._outputs = {
            new: _outputs(child.layers[new], parent.layers[old])
            for new, old in self.layers.items()
        }

    def read(self, new: int) -> Places:
        """For what a layer of the child reads, its place in what the parent's layer reads."""
        ours = self._ours[self._child.layers[new].inputs[0]]
        theirs = self._theirs[self._parent.layers[self.layers[new]].inputs[0]]
        places: dict[_Channel, list[int]] = {}
        for place, channel in enumerate(theirs):
            places.setdefault(channel, []).append(place)
        # A channel that is read twice has two places, each taken once.
        turns = {channel: iter(found) for channel, found in places.items()}
        found = np.array(
            [next(turns.get(each, _NONE), _NEW) for each in map(self._ancestor, ours)]
        )
        # What is left of both, such as what a new layer made in place of another one, stands
        # for each other in the order in which it is read.
        known = {ours[k].maker for k in np.flatnonzero(found != _NEW)}
        taken = {theirs[k].maker for k in found[found != _NEW]}
        for a, b in zip(_others(ours, known), _others(theirs, taken), strict=False):
            count = min(len(a), len(b))
            found[a[:count]] = b[:count]
        return found

    def _ancestor(self, channel: _Channel) -> _Channel:
        """The channel of the parent that one of the child stands for, if there is one."""
        if channel.maker not in self.layers:
            return _Channel(_NEW, _NEW)
        outputs = self._outputs[channel.maker]
        number = int(outputs[channel.number]) if channel.number < len(outputs) else _NEW
        return channel._replace(maker=self.layers[channel.maker], number=number)


def _others(channels: Sequence[_Channel], known: set[int]) -> list[Places]:
    """Places of the channels of each other maker, in the order of reading."""
    makers = dict.fromkeys(channel.maker for channel in channels if channel.maker not in known)
    return [
        np.array([place for place, channel in enumerate(channels) if channel.maker == maker])
        for maker in makers
    ]


def _outputs(new: Layer, old: Layer) -> Places:
    """For the channels that a layer makes, those of the layer it stands for."""
    if new.op == "recurrent" and dict(new.settings)["bidirectional"]:
        units, former = new.shape[-1] // 2, old.shape[-1] // 2
        forward = _leading(units, former)
        return np.concatenate([forward, np.where(forward == _NEW, _NEW, forward + former)])
    return _leading(new.shape[-1], old.shape[-1])


# --- what becomes of weights --------------------------------------------------------------


class _Axis(NamedTuple):
    """One axis of some weights.

    Attributes:
        places: For each place along it the place in the old weights.
        length: Length of the old axis.
        made: Whether places along it are of what the layer makes, rather than what it reads.
    """

    places: Places
    length: int
    made: bool


def _of_read(places: Places, length: int) -> _Axis:
    return _Axis(places, length, made=False)


def _of_made(places: Places, length: int) -> _Axis:
    return _Axis(places, length, made=True)


def _same(length: int) -> _Axis:
    return _of_made(np.arange(length), length)


def _made_of(new: int, old: int) -> _Axis:
    return _of_made(_leading(new, old), old)


def _window(s: Settings, t: Settings, reads: Layer, read: Layer) -> list[_Axis]:
    """The axes of a kernel: places that read one pixel for the same output are one.

    That is not always the middle: a stride of 2 starts a kernel of 3 at the pixel that one of
    1 reads if the side is even, and one pixel before it if the side is odd.

    Args:
        s: Settings of the new layer.
        t: Those of the old one.
        reads: What the new layer reads.
        read: What the old one does.
    """
    axes = []
    for axis, (new, old) in enumerate(zip(pair(s["kernel"]), pair(t["kernel"]), strict=True)):
        # A kernel of 1 is never padded, whatever the setting.
        if all(k == 1 or u.get("padding") == "valid" for k, u in ((new, s), (old, t))):
            shift = _padded(s, reads, axis) - _padded(t, read, axis)
        else:
            # Both as the child pads them: so another stride leaves a kernel in its place.
            shift = _surrounded(s, reads, axis, new) - _surrounded(s, reads, axis, old)
        places = np.arange(new) - shift
        axes.append(_of_read(np.where((places >= 0) & (places < old), places, _NEW), old))
    return axes


def _padded(s: Settings, reads: Layer, axis: int) -> int:
    """The zeros that a `pad` puts before an image, in steps of the kernel that reads them."""
    if reads.op != "pad":
        return 0
    before: int = dict(reads.settings)["padding"][axis][0]
    return before // pair(s.get("dilation", 1))[axis]


def _surrounded(s: Settings, reads: Layer, axis: int, kernel: int) -> int:
    """The zeros that Keras' "same" padding puts before an image, in steps of the kernel.

    They are half, rounded down, of what the last window lacks; what is odd comes behind.
    """
    side = reads.shape[axis]
    stride, dilation = (pair(s.get(name, 1))[axis] for name in ("stride", "dilation"))
    last = (-(-side // stride) - 1) * stride  # where the last window starts, without zeros
    lacking = max(last + (kernel - 1) * dilation + 1 - side, 0)
    return lacking // 2 // dilation


def _conv(s: Settings, t: Settings, window: list[_Axis], x: _Axis) -> list[list[_Axis]]:
    out = _made_of(s["filters"], t["filters"])
    return [[*window, x, out], [out]]


def _depthwise(window: list[_Axis], x: _Axis) -> list[list[_Axis]]:
    channels = x._replace(made=True)
    return [[*window, channels, _same(1)], [channels]]


def _dense(s: Settings, t: Settings, x: _Axis) -> list[list[_Axis]]:
    out = _made_of(s["units"], t["units"])
    return [[x, out], [out]]


def _norm(s: Settings, t: Settings, x: _Axis) -> list[list[_Axis]]:
    return [[x._replace(made=True)]] * 4


def _recurrent(s: Settings, t: Settings, x: _Axis) -> list[list[_Axis]]:
    gates = _same({"gru": 3, "lstm": 4}[s["cell"]])
    out = _made_of(s["units"], t["units"])
    bias = [_same(2), gates, out] if s["cell"] == "gru" else [gates, out]
    one = [[x, gates, out], [out._replace(made=False), gates, out], bias]
    return one * (2 if s["bidirectional"] else 1)


def _attention(s: Settings, t: Settings, x: _Axis) -> list[list[_Axis]]:
    inner = [_made_of(s[name], t[name]) for name in ("heads", "width")]
    read = [axis._replace(made=False) for axis in inner]
    out = x._replace(made=True)
    return [*[[x, *inner], inner] * 3, [*read, out], [out]]


def _embedding(s: Settings, t: Settings, x: _Axis) -> list[list[_Axis]]:
    # A token is what is read, but no sum is taken over tokens.
    return [[_made_of(s[name], t[name]) for name in ("vocabulary", "width")]]


def _position(new: Layer, old: Layer, s: Settings, t: Settings, x: _Axis) -> list[list[_Axis]]:
    length = _made_of(new.shape[0], old.shape[0])
    if "width" not in s:
        return [[_same(1), _same(1)], [length, x._replace(made=True)]]
    out = _made_of(s["width"], t["width"])
    return [[x, out], [length, out]]


_AXES: dict[str, Callable[[Settings, Settings, _Axis], list[list[_Axis]]]] = {
    "attention": _attention,
    "batch_norm": _norm,
    "dense": _dense,
    "embedding": _embedding,
    "layer_norm": _norm,
    "recurrent": _recurrent,
}


def _axes(new: Layer, old: Layer, reads: Layer, read: Layer, x: _Axis) -> list[list[_Axis]]:
    """The axes of each of a layer's weights, at least of as many as there are.

    Args:
        new: The layer.
        old: The one that it stands for.
        reads: What the new one reads.
        read: What the old one does.
        x: The channels of what they read.
    """
    s, t = dict(new.settings), dict(old.settings)
    match new.op:
        case "conv":
            return _conv(s, t, _window(s, t, reads, read), x)
        case "depthwise":
            return _depthwise(_window(s, t, reads, read), x)
        case "position":
            return _position(new, old, s, t, x)
    return _AXES[new.op](s, t, x)


def _taken(fresh: Array, old: Array, axes: Sequence[_Axis]) -> tuple[Array, int]:
    """Fresh weights with those that there are in the old ones, and how many these are."""
    lengths = [len(axis.places) for axis in axes]
    result = fresh.reshape(lengths).copy()
    former = old.reshape([axis.length for axis in axes])
    places = np.ix_(*(axis.places for axis in axes))
    there = [place != _NEW for place in places]
    known = functools.reduce(np.logical_and, there)
    known_outputs = functools.reduce(
        np.logical_and,
        [has for has, axis in zip(there, axes, strict=True) if axis.made],
        np.ones((1,) * len(axes), bool),
    )
    result[np.broadcast_to(known_outputs & ~known, lengths)] = 0.0
    result[known] = former[places][known]
    return result.reshape(fresh.shape), int(known.sum())


@dataclasses.dataclass(frozen=True)
class Inherited:
    """What a network has from its parent.

    Attributes:
        layers: As `matched` returns them.
        copied: How many weights are the parent's.
        weights: How many there are in all.
    """

    layers: Mapping[int, int]
    copied: int
    weights: int

    @property
    def share(self) -> float:
        """The share of the weights that are the parent's, 0 to 1."""
        return self.copied / self.weights if self.weights else 0.0


def inherited(
    fresh: Weights, parent: Weights, *, network: Network, parent_network: Network
) -> tuple[dict[str, list[Array]], Inherited]:
    """The weights of a network after it inherited; as `inherit`, without any model."""
    lineage = _Lineage(parent_network, network)
    pairs = _weighed(lineage.layers, network)
    weights = {name: [np.asarray(array) for array in arrays] for name, arrays in fresh.items()}
    copied = 0
    for index, former in pairs.items():
        name, old_name = layer_name(network, index), layer_name(parent_network, former)
        new, old = network.layers[index], parent_network.layers[former]
        reads, read = network.layers[new.inputs[0]], parent_network.layers[old.inputs[0]]
        x = _of_read(lineage.read(index), read.shape[-1])
        for place, axes in enumerate(_axes(new, old, reads, read, x)[: len(weights[name])]):
            result, count = _taken(
                weights[name][place], np.asarray(parent[old_name][place]), axes
            )
            weights[name][place] = result
            copied += count
    total = sum(array.size for arrays in weights.values() for array in arrays)
    return weights, Inherited(pairs, copied, total)


def inherit(
    model: keras.Model,
    parent: keras.Model | Weights,
    *,
    network: Network,
    parent_network: Network,
) -> Inherited:
    """Let a model start from the weights of another one, in place.

    Layers are paired by `matched`, and channels by the layers that made them: behind a
    concatenation each part keeps its weights, whatever became of the others. A pair of equal
    shape is copied. Where shapes differ, the part that both have is: the first channels,
    units, heads and positions, and of kernels the weights of the pixels that both read for an
    output, which padding, stride and side decide. What leads from something new into something
    inherited starts at 0, so that an inherited channel computes at first what it did; whatever
    else is new keeps its fresh weights. So a network of convolutions, batch normalisations and
    dense layers that only grew wider, or larger kernels, starts as exactly what the parent is.
    That needs equal strides, dilations and image sides, odd kernels where the dilation is not
    1, and padding. Layers that mix all channels, as layer normalisation and attention do, are
    not exact when they grow.

    Moving statistics of batch normalisation are copied with the scale and shift beside them.
    Behind a layer that is new they are wrong at first: with the momentum of `realise`, 0.9,
    some 30 steps of training replace them.

    Args:
        model: The child, of fresh weights, as `realise` makes it of `network`.
        parent: The parent as `realise` makes it of `parent_network`, or its weights as
            `weights_of` gives them.
        network: The description of the child.
        parent_network: The description of the parent, of the same space or not.

    Returns:
        Which layers, and what share of the weights, the child has from its parent.
    """
    given = parent if isinstance(parent, Mapping) else weights_of(parent)
    weights, result = inherited(
        weights_of(model), given, network=network, parent_network=parent_network
    )
    load(model, weights)
    return result
