"""A program while it is written: operators that others may still be folded into."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edge_devices.program import Constant, Operator, Program, Tensor
from search_spaces.operations import Shape

__all__ = ["Draft", "Made"]

# Operators whose inputs have one scale, and operators whose output has that of the input or a
# prescribed one.
_JOINS = ("CONCATENATION", "PACK")
_KEEPS_SCALE = {
    *_JOINS,
    *("AVERAGE_POOL_2D", "GATHER", "LOGISTIC", "MAX_POOL_2D", "PAD", "RESHAPE"),
    *("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "SELECT_V2", "SOFTMAX", "SPLIT"),
    *("STRIDED_SLICE", "TANH", "TRANSPOSE", "UNPACK"),
}


class Made:
    """An operator, or one of several outputs of an operator; most fields as in `Operator`.

    Attributes:
        shape: Shape of the output, with the batch.
        constants: The constants it reads, by their values: operators share those that are
            equal. Empty for weights and biases of its own.
        outputs: Positions of the outputs after the first; that one is the operator's own.
        owner: The operator whose output this is, if it is one after the first.
        silent: Whether its biases are all zero, there only because a kernel wants some.
        void: Whether its weights are all zero.
    """

    __slots__ = (
        "activation",
        "bias",
        "constants",
        "dilation",
        "dtype",
        "inputs",
        "op",
        "outputs",
        "owner",
        "padding",
        "shape",
        "silent",
        "stride",
        "void",
        "weights",
        "window",
    )

    def __init__(self, op: str, inputs: list[int], shape: Shape) -> None:
        self.op = op
        self.inputs = inputs
        self.shape = shape
        self.weights: Shape = ()
        self.dtype = "int8"
        self.constants: dict[Any, Constant] = {}
        self.bias = False
        self.window = self.stride = self.dilation = (1, 1)
        self.padding = "SAME"
        self.activation: str | None = None
        self.outputs: list[int] = []
        self.owner: int | None = None
        self.silent = self.void = False


class Draft:
    """Operators in the order in which they are written; they are called by their position.

    Args:
        inputs: What the network reads, with the batch; the first positions are theirs.
    """

    def __init__(self, inputs: Sequence[Tensor]) -> None:
        self._made = [Made("", [], tensor.shape) for tensor in inputs]
        self._inputs = tuple(inputs)

    def __getitem__(self, position: int) -> Made:
        return self._made[position]

    def is_input(self, position: int) -> bool:
        """Whether it is one of the network's inputs."""
        return position < len(self._inputs)

    def add(self, op: str, shape: Shape, *inputs: int) -> int:
        """Write an operator that reads activations: its position."""
        self._made.append(Made(op, list(inputs), shape))
        return len(self._made) - 1

    def add_constant(
        self,
        op: str,
        shape: Shape,
        source: int,
        weights: Shape,
        *values: Any,
        dtype: str = "int32",
    ) -> int:
        """Write an operator that reads a constant of shape `weights` too.

        Args:
            op: Name of the operator.
            shape: Shape of its output.
            source: What it reads.
            weights: Shape of the constant.
            *values: Values of as many constants of that shape, which are shared with others of
                equal value; none for a constant of its own.
            dtype: Type of the constant; `"int8"` is quantized.
        """
        position = self.add(op, shape, source)
        made = self._made[position]
        made.weights, made.dtype = weights, dtype
        constant = Constant(dtype, weights, int(dtype == "int8"))
        made.constants = {(dtype, v): constant for v in values or (("of", position),)}
        return position

    def add_several(self, op: str, shape: Shape, source: int, count: int) -> list[int]:
        """Write an operator with `count` outputs of one shape: their positions."""
        first = self.add(op, shape, source)
        for _ in range(count - 1):
            # An output needs its operator, as an operator needs what it reads.
            other = self.add(op, shape, first)
            self._made[other].owner = first
            self._made[first].outputs.append(other)
        return [first, *self._made[first].outputs]

    def reshape(self, shape: Shape, source: int) -> int:
        """Write what is needed to bring `source` into a shape: its position."""
        while self._made[source].op == "RESHAPE":
            (source,) = self._made[source].inputs
        if self._made[source].shape == shape:
            return source
        return self.add_constant("RESHAPE", shape, source, (len(shape),), shape)

    def program(self, output: int) -> Program:
        """The program that ends in `output`, without operators that do not lead there."""
        starts = range(len(self._inputs))
        needed = {*starts, output}
        for position in range(len(self._made) - 1, starts[-1], -1):
            if position in needed:
                needed.update(self._made[position].inputs)
                needed.update(self._made[position].outputs)
        order = sorted(needed)
        number = {position: place for place, position in enumerate(order)}
        scaled = self._requantized(order, output)
        # What is only requantized comes last among the tensors.
        for position in scaled:
            number.setdefault(position, len(number))
        written = [Tensor(self._made[position].shape) for position in number]
        tensors = (*self._inputs, *written[len(starts) :])
        constants: dict[Any, Constant] = {}
        operators = []
        for position in scaled:
            made = self._made[position]
            if not self.is_input(position) and made.owner is None:
                operators.append(_operator(made, position, number))
                constants.update(_constants(made, position))
        kept = tuple(sorted(constants.values()))
        return Program(tensors, tuple(operators), tuple(starts), (number[output],), kept)

    def _requantized(self, order: list[int], output: int) -> list[int]:
        """The order with operators that bring what is joined to one scale.

        An operator that others read too, or that cannot change the scale of what it reads,
        keeps its own.
        """
        readers: dict[int, list[int]] = {position: [] for position in order}
        for position in order:
            if self._made[position].owner is None:
                for source in dict.fromkeys(self._made[position].inputs):
                    readers[source].append(position)
        before: dict[int, list[int]] = {}  # by the first operator that reads them
        for source in order:
            made = self._made[source]
            joins = [reader for reader in readers[source] if self._made[reader].op in _JOINS]
            others = [reader for reader in readers[source] if reader not in joins]
            groups = [[join] for join in joins]
            if made.op == "GATHER" and made.dtype == "int8" and others:
                groups.append(others)  # a table of weights has a scale that no reader shares
            elif (
                len(joins) == 1
                and not others
                and not (self.is_input(source) or source == output)
            ):
                groups = groups if made.op in _KEEPS_SCALE else []
            for group in groups:
                scaled = self.add("QUANTIZE", made.shape, source)
                before.setdefault(group[0], []).append(scaled)
                for reader in group:
                    inputs = self._made[reader].inputs
                    self._made[reader].inputs = [scaled if i == source else i for i in inputs]
        return [new for position in order for new in (*before.get(position, ()), position)]


def _operator(made: Made, position: int, number: dict[int, int]) -> Operator:
    return Operator(
        made.op,
        tuple([number[source] for source in made.inputs]),
        tuple([number[written] for written in (position, *made.outputs)]),
        made.weights,
        made.bias,
        made.window,
        made.stride,
        made.padding,
        made.activation,
        made.dtype,
        made.dilation,
    )


def _constants(made: Made, position: int) -> dict[Any, Constant]:
    """The constants of an operator by what tells them from others."""
    if made.constants or not made.weights:
        return made.constants
    channels = made.weights[-1 if made.op == "DEPTHWISE_CONV_2D" else 0]
    # Dense layers with weights of 4 bits have one scale in all.
    narrow = made.op == "FULLY_CONNECTED" and made.dtype == "int4"
    scales = 1 if narrow else channels
    void = made.void and scales > 1
    own: dict[Any, Constant] = {
        ("weights", position): Constant(made.dtype, made.weights, scales, void)
    }
    if made.bias:
        own["biases", position] = Constant("int32", (channels,), scales, made.silent)
    return own
