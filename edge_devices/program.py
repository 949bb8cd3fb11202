"""A network as a device runs it: operators of a TensorFlow Lite file, tensors between them.

A `Program` is made of a description before there is any file (`search_spaces.program`) or read
from a file (`flatbuffer.read`). What a device needs for it, in bytes, milliseconds and
millijoules, is a function of the program, the same one in both cases.
"""

from __future__ import annotations

import math
from typing import NamedTuple

__all__ = ["Constant", "Operator", "Program", "Tensor"]

Shape = tuple[int, ...]

_BITS = {
    "int4": 4,
    "int8": 8,
    "uint8": 8,
    "bool": 8,
    "int16": 16,
    "float16": 16,
    "int32": 32,
    "float32": 32,
    "int64": 64,
    "float64": 64,
    "complex64": 64,
}


class Tensor(NamedTuple):
    """An activation: what one operator writes and others read.

    Attributes:
        shape: Its shape with the batch, which is 1.
        dtype: NumPy's name of its type, or `"int4"`.
    """

    shape: Shape
    dtype: str = "int8"

    @property
    def elements(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """Bytes it takes in memory."""
        return -(-self.elements * _BITS[self.dtype] // 8)


class Constant(NamedTuple):
    """A tensor whose values are in the file: weights, biases, axes.

    Attributes:
        dtype: NumPy's name of its type, or `"int4"`.
        shape: Its shape as the file has it, `(1,)` for a scalar.
        scales: Number of its quantization scales: one a channel of weights and biases, one of
            other quantized numbers, none of integers that count.
        zero: Whether it is of weights or biases that are all zero; a file may hold the values
            of such constants once.
    """

    dtype: str
    shape: Shape
    scales: int = 0
    zero: bool = False

    @property
    def bytes(self) -> int:
        """Bytes of its values."""
        return Tensor(self.shape, self.dtype).bytes


class Operator(NamedTuple):
    """One operator of the file, with the activations and batch norms folded into it.

    Attributes:
        op: Its name in the TensorFlow Lite schema, e.g. `"CONV_2D"`.
        inputs: Positions in `Program.tensors` of the activations it reads; constants are not
            among them.
        outputs: Positions of the activations it writes.
        weights: Shape of its constant operand, as the file has it: `(out, height, width, in)`
            of a convolution, `(1, height, width, channels)` of a depthwise one, `(out, in)`
            of a fully connected layer; of other operators the shape of a constant that they
            read, such as axes, a new shape or a factor, `(1,)` for a scalar; `()` without one.
        bias: Whether it has a vector of int32 biases, one an output channel.
        window: Height and width of the kernel or the pooling window, pixels.
        stride: Step of the window, pixels.
        padding: `"SAME"` or `"VALID"`.
        activation: What is folded in: `"RELU"`, `"RELU6"`, or `None`.
        weight_dtype: Type of the weights.
        dilation: Distance of the pixels that a convolution's kernel reads.
    """

    op: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    weights: Shape = ()
    bias: bool = False
    window: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: str = "SAME"
    activation: str | None = None
    weight_dtype: str = "int8"
    dilation: tuple[int, int] = (1, 1)

    @property
    def weight_bytes(self) -> int:
        """Bytes of its constant operand in the file; biases and scales are not counted."""
        return Tensor(self.weights, self.weight_dtype).bytes if self.weights else 0

    @property
    def channels(self) -> int:
        """Output channels that have a bias, hence a multiplier of their own; or 0."""
        if not self.bias:
            return 0
        return self.weights[-1 if self.op == "DEPTHWISE_CONV_2D" else 0]


class Program(NamedTuple):
    """Operators in the order in which they run, and the activations between them.

    Attributes:
        tensors: The activations.
        operators: The operators, each after those it reads from.
        inputs: Positions of the tensors that are given.
        outputs: Positions of the tensors that are the result.
        constants: The constant tensors, sorted, one that several operators read among them
            once; `None` where nobody counted them.
    """

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    constants: tuple[Constant, ...] | None = None

    def macs(self, operator: Operator) -> int:
        """Multiply-accumulates of one operator: products of matrices have some."""
        written = self.tensors[operator.outputs[0]].elements
        if operator.op == "BATCH_MATMUL" and operator.inputs:
            # Matrices `(rows, inner)` by `(inner, columns)`, one after the other.
            return written * self.tensors[operator.inputs[0]].shape[-1]
        if not operator.weights:
            return 0  # two activations multiplied: no weights of its own
        if operator.op == "CONV_2D":
            return written * math.prod(operator.weights[1:])
        if operator.op == "DEPTHWISE_CONV_2D":
            return written * math.prod(operator.weights[1:3])
        if operator.op == "FULLY_CONNECTED":
            return written * operator.weights[-1]
        return 0
