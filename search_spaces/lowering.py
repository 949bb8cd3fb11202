"""From a description to the operators of its int8 file, as the converter makes them.

The converter folds batch normalisation into the convolution before it, clipping activations
into the operator before them, and a factor on the inputs into the convolution after it. It
drops dropout, and reshapes and padding that the next operator can do without. Where the graph
leaves the order of operators open, the names of layers decide (`graph_order.py`). Each rule
was read off files, and tests compare whole programs with files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edge_devices.program import Constant, Program, Tensor
from search_spaces.draft import Draft, Made
from search_spaces.file_graph import Step
from search_spaces.graph_order import steps
from search_spaces.network import Network
from search_spaces.operations import Settings, Shape, pair
from search_spaces.spectral_program import behind, with_front_end

__all__ = ["lower"]

_WEIGHTED = {"conv": "CONV_2D", "depthwise": "DEPTHWISE_CONV_2D", "dense": "FULLY_CONNECTED"}
_POOLS = {"max_pool": "MAX_POOL_2D", "average_pool": "AVERAGE_POOL_2D"}
_SUMS = {"add": "ADD", "multiply": "MUL"}
_CLIPS = {"relu": "RELU", "relu6": "RELU6"}
# Operators whose kernel has a clipping activation built in.
_CAN_CLIP = {*_WEIGHTED.values(), *_POOLS.values(), *_SUMS.values()}
# Activations whose operator has another name.
_OPERATORS = {
    "exponential": "EXP",
    "hard_silu": "HARD_SWISH",
    "hard_swish": "HARD_SWISH",
    "sigmoid": "LOGISTIC",
}
_AXES = (1, 2)  # height and width
_RULES = {"number": "_scalar", "reshaped": "_reshaped_to"}
_RESIZE = {"nearest": "RESIZE_NEAREST_NEIGHBOR", "bilinear": "RESIZE_BILINEAR"}


def lower(network: Network) -> Program:
    """The operators that the int8 file of a network has, in the order of the file.

    Activations that are no operator (selu, softplus, mish) are taken for one all the same.

    What depends on more than the description is what training makes of ranges. A concatenation
    needs inputs of one scale: there is a QUANTIZE for each that may have another, and a file
    has fewer where ranges happen to be equal. So has the state of a GRU at each step biases
    for its own scale.

    Args:
        network: The description. Its Keras model is taken to be `realise(network)`, by whose
            layer names the converter orders branches.

    Returns:
        What `edge_devices.flatbuffer.read` finds in the file, before there is one.
    """
    network, front_ends = behind(network)
    program = _Lowering(steps(network), [one.dtype for one in network.inputs]).program()
    for one in front_ends:
        program = with_front_end(program, *one)
    return program


class _Lowering:
    """One pass over the steps of a network."""

    def __init__(self, graph: list[Step], dtypes: Sequence[str]) -> None:
        self._steps = graph
        self._readers: list[list[int]] = [[] for _ in graph]
        for position, step in enumerate(graph):
            for source in step.inputs:
                self._readers[source].append(position)
        self._draft = Draft(
            [
                # Of an input that nothing reads there is no range to quantize it by.
                Tensor(step.shape, "int8" if dtype == "float32" and readers else dtype)
                for step, dtype, readers in zip(graph, dtypes, self._readers, strict=False)
            ]
        )
        # By step, the position of the operator whose output is the step's.
        self._maker = list(range(len(graph)))
        # By operator, what convolutions and dense layers read instead of its output, because
        # it is in their weights.
        self._before: dict[int, int] = {}
        self._before_dense: dict[int, int] = {}
        self._padded: set[int] = set()
        self._above: dict[int, Made] = {}

    def program(self) -> Program:
        for index, step in enumerate(self._steps):
            if step.op == "input":
                continue
            inputs = [self._maker[source] for source in step.inputs]
            s = step.settings
            if step.op in _WEIGHTED:
                made = self._weighted(index, s, inputs[0])
            elif step.op in _SUMS:
                made = self._draft.add(_SUMS[step.op], step.shape, *inputs)
            elif step.op in _POOLS:
                made = self._draft.add(_POOLS[step.op], step.shape, inputs[0])
                self._slide(made, s, s["size"])
            elif step.op == "concatenate":
                made = self._draft.add("CONCATENATION", step.shape, *inputs)
            elif step.op == "plain":
                made = self._draft.add(s["operator"], step.shape, *inputs)
            else:
                made = getattr(self, _RULES.get(step.op, f"_{step.op}"))(index, s, *inputs)
            self._maker[index] = made
        return self._draft.program(self._maker[-1])

    def _alone(self, index: int) -> Made | None:
        """The operator that only this step reads, if nothing was clipped there yet."""
        (source,) = self._steps[index].inputs
        before = self._maker[source]
        if self._draft.is_input(before) or len(self._readers[source]) > 1:
            return None
        made = self._draft[before]
        return None if made.activation else made

    def _slide(self, position: int, s: Settings, window: Any) -> None:
        made = self._draft[position]
        made.window, made.stride = pair(window), pair(s["stride"])
        made.padding = s.get("padding", "same").upper()

    def _weighted(self, index: int, s: Settings, source: int) -> int:
        step = self._steps[index]
        shape = self._steps[step.inputs[0]].shape
        before = self._before_dense if step.op == "dense" else self._before
        biased = s["bias"] or step.op != "dense"  # convolutions always get one
        while source in before:
            biased = biased or self._draft[source].op == "ADD"
            source = before[source]
        position = self._draft.add(_WEIGHTED[step.op], step.shape, source)
        made = self._draft[position]
        made.bias = biased
        if "bits" in s:
            made.dtype = f"int{s['bits']}"
        if step.op == "dense":
            made.weights = (s["units"], shape[-1])
            self._take_bias(index, made)
            return position
        made.silent = not s["bias"]
        made.dilation = pair(s.get("dilation", 1))
        self._slide(position, s, s["kernel"])
        if step.inputs[0] in self._padded:
            made.padding = "SAME"
        if step.op == "conv":
            made.weights = (s["filters"], *made.window, shape[-1])
        else:
            made.weights = (1, *made.window, shape[-1])
        return position

    def _take_bias(self, index: int, made: Made) -> None:
        """What a dense layer adds becomes part of the bias of one right behind it."""
        above = self._alone(index)
        if above is None or above.op != "FULLY_CONNECTED" or not (above.bias and made.bias):
            return
        above.bias = False
        self._above[id(made)] = above
        if id(above) in self._above:  # which has nothing to put it into now
            self._above[id(above)].bias = True

    def _rescale(self, index: int, s: Settings, source: int) -> int:
        before = self._alone(index)
        if before is not None and before.op in _WEIGHTED.values():
            if s["offset"] != 0:
                _give_bias(before)
            elif s["scale"] == 0:
                before.silent = before.void = True
            return source
        scale, offset = s["scale"], s["offset"]
        made = source
        if scale != 1:
            made = self._factor(index, made, scale)
        if offset != 0:
            made = self._term(index, made, offset)
        return made

    def _factor(self, index: int, source: int, value: Any) -> int:
        """Multiply by a number, or by one a channel."""
        made = self._number("MUL", index, source, value)
        if not isinstance(value, tuple):
            self._before[made] = source
        return made

    def _term(self, index: int, source: int, value: Any) -> int:
        """Add a number, or one a channel."""
        return self._number("ADD", index, source, value)

    def _number(self, op: str, index: int, source: int, value: Any) -> int:
        vector = isinstance(value, tuple)
        weights = (len(value),) if vector else (1,)
        # The same number is one constant, wherever it is read.
        values = () if vector else (float(value),)
        shape = self._steps[index].shape
        made = self._draft.add_constant(op, shape, source, weights, *values, dtype="int8")
        self._before_dense[made] = source
        return made

    def _batch_norm(self, index: int, s: Settings, source: int) -> int:
        before = self._alone(index)
        if before is not None and before.op in _WEIGHTED.values():
            _give_bias(before)
            return source
        channels = (0,) * self._steps[index].shape[-1]
        return self._term(index, self._factor(index, source, channels), channels)

    def _activation(self, index: int, s: Settings, source: int) -> int:
        function, shape = s["function"], self._steps[index].shape
        before = self._alone(index)
        if function in _CLIPS:
            if before is not None and before.op in _CAN_CLIP:
                before.activation = _CLIPS[function]
                self._before.pop(source, None)
                self._before_dense.pop(source, None)
                return source
            return self._draft.add(_CLIPS[function], shape, source)
        if function == "hard_sigmoid":
            # relu6(x + 3) / 6
            if before is not None and before.op in _WEIGHTED.values():
                _give_bias(before)
            elif before is None or before.op != "ADD" or not before.weights:
                source = self._term(index, source, 3.0)
            self._draft[source].activation = "RELU6"
            self._before_dense.pop(source, None)
            return self._factor(index, source, 1 / 6)
        if function in ("silu", "swish"):
            gate = self._draft.add("LOGISTIC", shape, source)
            return self._draft.add("MUL", shape, source, gate)
        return self._draft.add(_OPERATORS.get(function, function.upper()), shape, source)

    def _global_average_pool(self, index: int, s: Settings, source: int) -> int:
        step = self._steps[index]
        before = self._steps[step.inputs[0]].shape
        if s["keepdims"] and before == step.shape:
            return source
        axes = _AXES if len(before) == 4 else (1,)
        return self._draft.add_constant("MEAN", step.shape, source, (len(axes),), axes)

    def _flatten(self, index: int, s: Settings, source: int) -> int:
        step = self._steps[index]
        before = self._steps[step.inputs[0]].shape
        # Dense layers work on the last axis, whatever is before it.
        readers = self._readers[index]
        dense = readers and all(self._steps[reader].op == "dense" for reader in readers)
        flat = len(step.shape) == 2 and before[-1] == step.shape[-1]
        return source if flat and dense else self._draft.reshape(step.shape, source)

    def _reshape(self, index: int, s: Settings, source: int) -> int:
        shape = self._steps[index].shape
        before = self._alone(index)
        if (
            before is not None
            and before.op == "MEAN"
            and shape[1:] in ((1, 1, *before.shape[1:]), before.shape[3:])
        ):
            before.shape = shape
            return source
        return self._flatten(index, s, source)

    def _pad(self, index: int, s: Settings, source: int) -> int:
        step = self._steps[index]
        shape = self._steps[step.inputs[0]].shape[1:]
        readers = [self._steps[reader] for reader in self._readers[index]]
        if readers and all(_same_padding(r, shape) == s["padding"] for r in readers):
            self._padded.add(index)
            return source
        return self._draft.add_constant("PAD", step.shape, source, (4, 2), s["padding"])

    def _crop(self, index: int, s: Settings, source: int) -> int:
        (top, bottom), (left, right) = s["cropping"]
        ends = (0, top, left, 0), (0, -bottom, -right, 0)  # 0: to the end
        return self._sliced(self._steps[index].shape, source, *ends)

    def _narrow(self, index: int, s: Settings, source: int) -> int:
        shape = self._steps[index].shape
        others = (0,) * (len(shape) - 1)
        lost = self._draft[source].shape[-1] - shape[-1]
        return self._sliced(shape, source, (*others, 0), (*others, -lost))

    def _sliced(self, shape: Shape, source: int, begin: Shape, end: Shape) -> int:
        axes = len(shape)
        return self._draft.add_constant(
            "STRIDED_SLICE", shape, source, (axes,), begin, end, (1,) * axes
        )

    def _resize(self, index: int, s: Settings, source: int) -> int:
        shape = self._steps[index].shape
        name = _RESIZE[s["interpolation"]]
        return self._draft.add_constant(name, shape, source, (2,), s["size"])

    # Parts of layers, see `graph_order.py`.

    def _scalar(self, index: int, s: Settings, source: int) -> int:
        shape, value = self._steps[index].shape, s["value"]
        return self._draft.add_constant(
            s["operator"], shape, source, (1,), value, dtype="int8"
        )

    def _weights(self, index: int, s: Settings, source: int) -> int:
        shape = self._steps[index].shape
        shared = [s["key"]] if "key" in s else []
        return self._draft.add_constant(
            s["operator"], shape, source, s["weights"], *shared, dtype="int8"
        )

    def _mean(self, index: int, s: Settings, source: int) -> int:
        shape = self._steps[index].shape
        return self._draft.add_constant("MEAN", shape, source, (1,), (len(shape) - 1,))

    def _reshaped_to(self, index: int, s: Settings, source: int) -> int:
        made = self._draft.reshape(self._steps[index].shape, source)
        # The shapes of these constants are not shared with those of others.
        self._draft[made].constants = _einsum_shape(self._draft[made].shape)
        return made

    def _transposed(self, source: int, *axes: int) -> int:
        shape = self._draft[source].shape
        shape = tuple([shape[axis] for axis in axes])
        return self._draft.add_constant("TRANSPOSE", shape, source, (len(axes),), axes)

    def _scores(self, index: int, s: Settings, query: int, key: int) -> int:
        """Products of queries and keys, one matrix a head."""
        query = self._by_head(query)
        key = self._transposed(key, 0, 2, 3, 1)
        return self._draft.add("BATCH_MATMUL", self._steps[index].shape, query, key)

    def _by_head(self, source: int) -> int:
        """From `(1, length, heads, width)` to `(1, heads, length, width)`."""
        _, length, heads, width = self._draft[source].shape
        if heads > 1:
            return self._transposed(source, 0, 2, 1, 3)
        # Nothing moves, so that one reshaping is enough.
        made = self._draft[source]
        made.shape = (1, heads, length, width)
        made.constants = _einsum_shape(made.shape)
        return source

    def _masked(self, index: int, s: Settings, source: int) -> int:
        shape = self._steps[index].shape
        made = self._draft.add_constant("SELECT_V2", shape, source, shape, shape, dtype="bool")
        self._draft[made].constants["masked", made] = Constant("int8", (1,), 1)
        return made

    def _mixture(self, index: int, s: Settings, weights: int, value: int) -> int:
        value = self._by_head(value)
        made = self._draft.add("BATCH_MATMUL", self._draft[value].shape, weights, value)
        _, heads, *_ = self._draft[value].shape
        return self._transposed(made, 0, 2, 1, 3) if heads > 1 else made

    def _position(self, index: int, s: Settings, source: int) -> int:
        step = self._steps[index]
        if "width" in s:
            channels = self._steps[step.inputs[0]].shape[-1]
            made = self._draft.add("FULLY_CONNECTED", step.shape, source)
            self._draft[made].weights = (s["width"], channels)
            return self._draft.add_constant(
                "ADD", step.shape, made, step.shape[1:], dtype="int8"
            )
        split = (*step.shape, 1)
        made = self._draft.reshape(split, source)
        made = self._draft.add_constant("MUL", split, made, (1,), dtype="int8")
        made = self._draft.add_constant("ADD", split, made, split[1:], dtype="int8")
        return self._draft.reshape(step.shape, made)

    def _sinusoid(self, index: int, s: Settings, source: int) -> int:
        shape = self._steps[index].shape
        before = self._alone(index)
        if before is not None and before.op == "FULLY_CONNECTED":
            before.bias = False  # it is part of what is added
        return self._draft.add_constant("ADD", shape, source, shape[1:], dtype="int8")

    def _unpack(self, index: int, s: Settings, source: int) -> int:
        shape = self._steps[index].shape
        made = self._draft.reshape((s["length"], *shape), source)
        return self._draft.add_several("UNPACK", shape, made, s["length"])[0]

    def _split(self, index: int, s: Settings, source: int) -> int:
        shape = self._steps[index].shape
        position = self._draft.add_several("SPLIT", shape, source, s["gates"])[0]
        made = self._draft[position]
        made.weights, made.dtype = (1,), "int32"
        made.constants = {("int32", (s["axis"],)): Constant("int32", (1,))}
        return position

    def _part(self, index: int, s: Settings, source: int) -> int:
        """One of the outputs of an operator that has several."""
        return (source, *self._draft[source].outputs)[s["number"]]

    def _shared(self, index: int, s: Settings, source: int) -> int:
        """A dense layer whose weights others read too."""
        position = self._draft.add("FULLY_CONNECTED", self._steps[index].shape, source)
        made = self._draft[position]
        made.weights, made.bias = s["weights"], s["bias"]
        units = made.weights[0]
        made.constants = {s["key"]: Constant("int8", made.weights, units)}
        if made.bias:
            # Its scale is that of what is read times that of the weights. Outputs of one
            # operator, which moves values only, have one scale.
            owner = self._draft[source].owner
            of = source if owner is None else owner
            made.constants[s["key"], of] = Constant("int32", (units,), units)
        return position

    def _gate(self, index: int, s: Settings, source: int) -> int:
        shape, number = self._steps[index].shape, s["number"]
        end = 0 if number == s["gates"] - 1 else (number + 1) * shape[-1]  # 0: to the end
        return self._sliced(shape, source, (0, number * shape[-1]), (0, end))

    def _pack(self, index: int, s: Settings, *states: int) -> int:
        return self._draft.add("PACK", self._steps[index].shape, *states)

    def _turned(self, index: int, s: Settings, source: int) -> int:
        return self._draft.reshape(self._steps[index].shape, source)

    def _reversed(self, index: int, s: Settings, source: int) -> int:
        shape = self._steps[index].shape
        order = tuple(range(shape[1] - 1, -1, -1))
        return self._draft.add_constant("GATHER", shape, source, (len(order),), order)

    def _embedding(self, index: int, s: Settings, source: int) -> int:
        shape = self._steps[index].shape
        weights = (s["vocabulary"], s["width"])
        return self._draft.add_constant("GATHER", shape, source, weights, dtype="int8")


def _give_bias(made: Made) -> None:
    made.bias, made.silent = True, False


def _einsum_shape(shape: Shape) -> dict[Any, Constant]:
    """The shape that a product of tensors is brought to; not shared with shapes of layers."""
    return {("einsum", shape): Constant("int32", (len(shape),))}


def _same_padding(reader: Step, shape: Shape) -> Any:
    """What "same" padding of a convolution without padding would be on images of `shape`."""
    s: Mapping[str, Any] = reader.settings
    if reader.op not in ("conv", "depthwise") or s.get("padding") != "valid":
        return None
    amounts = []
    for side, window, stride in zip(shape, pair(s["kernel"]), pair(s["stride"]), strict=False):
        total = max((-(-side // stride) - 1) * stride + window - side, 0)
        amounts.append((total // 2, total - total // 2))
    return tuple(amounts)
