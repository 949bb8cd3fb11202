"""From a description to the operators of its int8 file, as the converter makes them.

The converter folds batch normalisation into the convolution before it, clipping activations
into the operator before them, and a factor on the inputs into the convolution after it. It
drops dropout, and reshapes and padding that the next operator can do without. Where the graph
leaves the order of operators open, the names of layers decide. Each rule was read off files,
and tests compare whole programs with files.
"""

from __future__ import annotations

from typing import Any

from edge_devices.program import Operator, Program, Tensor
from search_spaces.network import Network
from search_spaces.operations import Settings, Shape, pair

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
_LINEAR = (("function", "linear"),)
_INPUT = -1  # the network's input, where others are positions of operators


def lower(network: Network) -> Program:
    """The operators that the int8 file of a network has, in the order of the file.

    Activations that are no operator (selu, softplus, mish) are taken for one all the same. Two
    dense layers without an activation between them, and an activation behind a flattened
    image, are left as described; the converter spares a bias there, or an operator.

    Args:
        network: The description. Its Keras model is taken to be `realise(network)`, by whose
            layer names the converter orders branches.

    Returns:
        What `edge_devices.flatbuffer.read` finds in the file, before there is one.
    """
    lowering = _Lowering(network)
    for index in range(1, len(network)):
        lowering.lower(index)
    return lowering.program()


class _Made:
    """An operator while more may be folded into it; fields as in `Operator`.

    `shape` is the output's, `after` what the layer read before anything was folded, and
    `constant` the value of a constant, for those that operators share where they are equal.
    """

    __slots__ = (
        "activation",
        "after",
        "bias",
        "constant",
        "dtype",
        "inputs",
        "name",
        "op",
        "padding",
        "shape",
        "stride",
        "weights",
        "window",
    )

    def __init__(self, op: str, name: str, inputs: list[int], shape: Shape) -> None:
        self.op = op
        self.name = name
        self.inputs = self.after = inputs
        self.shape = shape
        self.weights: Shape = ()
        self.dtype = "int8"
        self.constant: Any = None
        self.bias = False
        self.window = self.stride = (1, 1)
        self.padding = "SAME"
        self.activation: str | None = None


class _Lowering:
    """One pass over the layers of a network."""

    def __init__(self, network: Network) -> None:
        self._layers = network.layers
        self._readers = _readers(network)
        self._made: list[_Made] = []
        # By layer, the position of the operator whose output is the layer's.
        self._maker = [_INPUT] * len(network)
        # By operator, what convolutions and dense layers read instead of its output, because
        # it is in their weights.
        self._before: dict[int, int] = {}
        self._before_dense: dict[int, int] = {}
        self._padded: set[int] = set()

    def lower(self, index: int) -> None:
        op, sources, settings, _ = self._layers[index]
        inputs = [self._maker[source] for source in sources]
        s = dict(settings)
        if op in _WEIGHTED:
            made = self._weighted(index, s, inputs[0])
        elif op in _SUMS:
            made = inputs[0]
            for other in inputs[1:]:
                made = self._add(_SUMS[op], index, made, other)
        elif op in _POOLS:
            made = self._add(_POOLS[op], index, inputs[0])
            self._slide(made, s, s["size"])
        elif op == "dropout":
            made = inputs[0]
        else:
            made = getattr(self, f"_{op}")(index, s, inputs[0])
        self._maker[index] = made

    def program(self) -> Program:
        output = self._maker[-1]
        order = _order(self._made, output)
        position = {made: number for number, made in enumerate(order, start=1)}
        position[_INPUT] = 0
        tensors, operators = [Tensor((1, *self._layers[0].shape))], []
        constants: set[Any] = set()
        for number, index in enumerate(order, start=1):
            made = self._made[index]
            tensors.append(Tensor((1, *made.shape)))
            operators.append(
                Operator(
                    made.op,
                    tuple([position[source] for source in made.inputs]),
                    (number,),
                    made.weights,
                    made.bias,
                    made.window,
                    made.stride,
                    made.padding,
                    made.activation,
                    made.dtype,
                )
            )
            if made.weights:
                constants.add(index if made.constant is None else made.constant)
            if made.bias:
                constants.add((index, "bias"))
        return Program(
            tuple(tensors), tuple(operators), (0,), (position[output],), len(constants)
        )

    def _add(self, op: str, index: int, *inputs: int) -> int:
        record = self._layers[index]
        name = f"{record.op}_{index}_"  # as `realise` calls it
        self._made.append(_Made(op, name, list(inputs), record.shape))
        return len(self._made) - 1

    def _add_constant(
        self,
        op: str,
        index: int,
        source: int,
        weights: Shape,
        constant: Any = None,
        dtype: str = "int8",
    ) -> int:
        """An operator that reads a constant of shape `weights`, shared by its value."""
        position = self._add(op, index, source)
        made = self._made[position]
        made.weights, made.constant, made.dtype = weights, constant, dtype
        return position

    def _alone(self, index: int) -> _Made | None:
        """The operator that only this layer reads, if nothing was clipped there yet."""
        (source,) = self._layers[index].inputs
        before = self._maker[source]
        if before == _INPUT or len(self._readers[source]) > 1:
            return None
        made = self._made[before]
        return None if made.activation else made

    def _slide(self, position: int, s: Settings, window: Any) -> None:
        made = self._made[position]
        made.window, made.stride = pair(window), pair(s["stride"])
        made.padding = s.get("padding", "same").upper()

    def _weighted(self, index: int, s: Settings, source: int) -> int:
        record = self._layers[index]
        shape = self._layers[record.inputs[0]].shape
        before = self._before_dense if record.op == "dense" else self._before
        biased = s["bias"] or record.op != "dense"  # convolutions always get one
        described = source
        while source in before:
            biased = biased or self._made[source].op == "ADD"
            source = before[source]
        position = self._add(_WEIGHTED[record.op], index, source)
        made = self._made[position]
        made.bias, made.after = biased, [described]
        if "bits" in s:
            made.dtype = f"int{s['bits']}"
        if record.op == "dense":
            made.weights = (s["units"], shape[-1])
            return position
        self._slide(position, s, s["kernel"])
        if record.inputs[0] in self._padded:
            made.padding = "SAME"
        if record.op == "conv":
            made.weights = (s["filters"], *made.window, shape[-1])
        else:
            made.weights = (1, *made.window, shape[-1])
        return position

    def _rescale(self, index: int, s: Settings, source: int) -> int:
        before = self._alone(index)
        if before is not None and before.op in _WEIGHTED.values():
            before.bias = before.bias or s["offset"] != 0
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
        shape = (len(value),) if vector else (1,)
        # The same number is one constant, wherever it is read.
        constant = None if vector else ("number", float(value))
        made = self._add_constant(op, index, source, shape, constant)
        self._before_dense[made] = source
        return made

    def _batch_norm(self, index: int, s: Settings, source: int) -> int:
        before = self._alone(index)
        if before is not None and before.op in _WEIGHTED.values():
            before.bias = True
            return source
        channels = (0,) * self._layers[index].shape[-1]
        return self._term(index, self._factor(index, source, channels), channels)

    def _activation(self, index: int, s: Settings, source: int) -> int:
        function = s["function"]
        if function == "linear":
            return source
        before = self._alone(index)
        if function in _CLIPS:
            if before is not None and before.op in _CAN_CLIP:
                before.activation = _CLIPS[function]
                self._before.pop(source, None)
                self._before_dense.pop(source, None)
                return source
            return self._add(_CLIPS[function], index, source)
        if function == "hard_sigmoid":
            # relu6(x + 3) / 6
            if before is not None and before.op in _WEIGHTED.values():
                before.bias = True
            elif before is None or before.op != "ADD" or not before.weights:
                source = self._term(index, source, 3.0)
            self._made[source].activation = "RELU6"
            self._before_dense.pop(source, None)
            return self._factor(index, source, 1 / 6)
        if function in ("silu", "swish"):
            return self._add("MUL", index, source, self._add("LOGISTIC", index, source))
        return self._add(_OPERATORS.get(function, function.upper()), index, source)

    def _global_average_pool(self, index: int, s: Settings, source: int) -> int:
        record = self._layers[index]
        if s["keepdims"] and self._layers[record.inputs[0]].shape == record.shape:
            return source
        return self._add_constant("MEAN", index, source, (2,), _AXES, "int32")

    def _flatten(self, index: int, s: Settings, source: int) -> int:
        record = self._layers[index]
        before = self._layers[record.inputs[0]].shape
        # Dense layers work on the last axis, whatever is before it.
        dense = all(self._layers[reader].op == "dense" for reader in self._readers[index])
        if before == record.shape or (before[-1] == record.shape[-1] and dense):
            return source
        shape = (1, *record.shape)
        return self._add_constant("RESHAPE", index, source, (len(shape),), shape, "int32")

    def _reshape(self, index: int, s: Settings, source: int) -> int:
        record = self._layers[index]
        before = self._alone(index)
        if (
            before is not None
            and before.op == "MEAN"
            and record.shape in ((1, 1, *before.shape), before.shape[2:])
        ):
            before.shape = record.shape
            return source
        return self._flatten(index, s, source)

    def _pad(self, index: int, s: Settings, source: int) -> int:
        shape = self._layers[self._layers[index].inputs[0]].shape
        readers = [self._layers[reader] for reader in self._readers[index]]
        if readers and all(_same_padding(r, shape) == s["padding"] for r in readers):
            self._padded.add(index)
            return source
        return self._add_constant("PAD", index, source, (4, 2), s["padding"], "int32")


def _readers(network: Network) -> list[list[int]]:
    """The layers that read each layer, or what does nothing to its output."""
    stands_for = list(range(len(network)))
    readers: list[list[int]] = [[] for _ in stands_for]
    for index, (op, sources, settings, _) in enumerate(network.layers):
        if op == "dropout" or (op == "activation" and settings == _LINEAR):
            stands_for[index] = stands_for[sources[0]]
        else:
            for source in sources:
                readers[stands_for[source]].append(index)
    return [readers[source] for source in stands_for]


def _same_padding(reader: Any, shape: Shape) -> Any:
    """What "same" padding of a convolution without padding would be on images of `shape`."""
    s = dict(reader.settings)
    if reader.op not in ("conv", "depthwise") or s.get("padding") != "valid":
        return None
    amounts = []
    for side, window, stride in zip(shape, pair(s["kernel"]), pair(s["stride"]), strict=False):
        total = max((-(-side // stride) - 1) * stride + window - side, 0)
        amounts.append((total // 2, total - total // 2))
    return tuple(amounts)


def _order(made: list[_Made], output: int) -> list[int]:
    """The operators that lead to the output, in the order of the file.

    TensorFlow's importer walks a graph from its input in depth, readers with later names
    first, and writes operators in the reverse of the order in which it leaves them.
    """
    needed = {output}
    readers: dict[int, list[int]] = {}
    for position in range(len(made) - 1, -1, -1):
        if position in needed:
            needed.update(made[position].inputs)
        for source in set(made[position].after):
            readers.setdefault(source, []).append(position)
    left: list[int] = []
    seen: set[int] = set()
    walk = [(_INPUT, False)]
    while walk:
        position, leaving = walk.pop()
        if leaving:
            left.append(position)
        elif position not in seen:
            seen.add(position)
            walk.append((position, True))
            ahead = readers.get(position, [])
            if len(ahead) > 1:
                ahead = sorted(ahead, key=lambda reader: (made[reader].name, reader))
            walk += [(reader, False) for reader in ahead]
    needed.discard(_INPUT)
    return [position for position in reversed(left) if position in needed]
