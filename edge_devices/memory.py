"""The memory a program needs on a microcontroller: TensorFlow Lite Micro's arena, in bytes.

The interpreter works in one block, the arena. Its head holds activations and what kernels
need while they run, laid out once by a planner; its tail holds what lives as long as the
interpreter: structures of tensors and operators, and the multipliers that the kernels
prepare. Both follow from the program.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from typing import NamedTuple

from edge_devices.program import Operator, Program

__all__ = ["Memory", "memory", "plan"]

_ALIGNMENT = 16  # bytes, of every buffer that a kernel asks for
_INT = 4


class Memory(NamedTuple):
    """Bytes of the arena.

    Attributes:
        activations: Head: activations and scratch buffers, shared over time.
        persistent: Tail: what is kept between runs.
    """

    activations: int
    persistent: int

    @property
    def total(self) -> int:
        """Bytes of the whole arena."""
        return self.activations + self.persistent


def memory(program: Program, *, pointer_bytes: int = 4, kernels: str = "reference") -> Memory:
    """The arena of a program.

    Activations live from the operator that writes them to the last one that reads them;
    inputs from the start, outputs to the end. Scratch buffers live while their operator runs.
    The layout is that of `plan`. The persistent part adds up the structures that the
    interpreter of TensorFlow Lite Micro allocates, by the fields it documents, and the
    multiplier and shift that kernels keep for every output channel.

    Against what the interpreter itself reports on a 64-bit machine (`pointer_bytes=8`), over
    60 random members of the mobile space and the four networks of MLPerf Tiny: activations
    equal to the byte in all of them; the persistent part 0.04 % off in the median and 0.25 %
    at most. Over 72 networks of one operator to a hundred, with the operators that attention,
    recurrence and other layers become: activations equal to the byte in all of them; the
    persistent part 0.4 % off in the median and 1.7 % at most. The figures for 4-byte pointers
    and for CMSIS-NN follow from the same sources and have not been measured.

    While it starts, the interpreter plans where activations will be: with 4-byte pointers it
    takes 24 bytes for each tensor, constants included, and 40 for each buffer. Where that is
    more than activations take, the arena must be so much larger.

    Args:
        program: What is run.
        pointer_bytes: Size of a pointer on the device: 4 on microcontrollers.
        kernels: `"reference"`, the portable ones, or `"cmsis_nn"`, those for Cortex-M with
            DSP instructions: convolutions other than 1x1 and depthwise ones other than 3x3
            then rearrange their input in scratch buffers.

    Returns:
        Bytes of both parts.

    Raises:
        ValueError: If no such pointers or kernels are known.
    """
    if pointer_bytes not in (4, 8) or kernels not in _SCRATCH:
        raise ValueError(
            "Pointers have 4 or 8 bytes, and kernels are 'reference' or 'cmsis_nn'. Received: "
            f"pointer_bytes={pointer_bytes}, kernels={kernels!r}. For a microcontroller leave "
            "the pointers out."
        )
    scratch = [_SCRATCH[kernels](program, operator) for operator in program.operators]
    wide = pointer_bytes == 8
    return Memory(_activations(program, scratch), _persistent(program, scratch, wide))


def plan(
    sizes: Sequence[int],
    first: Sequence[int],
    last: Sequence[int],
    alignment: int = _ALIGNMENT,
) -> list[int]:
    """Lay buffers out so that those alive at the same time do not overlap.

    The largest is placed first; each one goes into the first gap, from the bottom, between
    the buffers already placed that are alive together with it. Not always the best layout,
    but the one that TensorFlow Lite Micro's `GreedyMemoryPlanner` makes, ties included: of
    buffers of one size the later is placed first.

    Args:
        sizes: Bytes of each buffer, rounded up to a multiple of `alignment`.
        first: When each comes to be, in any unit.
        last: When each is used for the last time; it is still occupied then.
        alignment: Bytes.

    Returns:
        Offset of each buffer from the start.
    """
    rounded = [-(-size // alignment) * alignment for size in sizes]
    # Python's sort is stable, so that the reversed order decides ties.
    by_size = sorted(range(len(rounded) - 1, -1, -1), key=lambda i: -rounded[i])
    offsets = [0] * len(rounded)
    starts: list[int] = []  # of the buffers placed, in order, with what else is known of them
    placed: list[tuple[int, int, int, int]] = []
    for index in by_size:
        size, begin, end = rounded[index], first[index], last[index]
        offset = 0
        for start, stop, other_begin, other_end in placed:
            if other_begin <= end and begin <= other_end:
                if start - offset >= size:
                    break
                if stop > offset:
                    offset = stop
        offsets[index] = offset
        position = bisect.bisect_right(starts, offset)
        starts.insert(position, offset)
        placed.insert(position, (offset, offset + size, begin, end))
    return offsets


def _activations(program: Program, scratch: Sequence[Sequence[int]]) -> int:
    tensors = program.tensors
    sizes = [tensor.bytes for tensor in tensors]
    first = [0] * len(sizes)
    last = [0] * len(sizes)
    # Operators run at times 1, 2, ...; what is there before them is there at time 0.
    for time, (operator, own) in enumerate(
        zip(program.operators, scratch, strict=True), start=1
    ):
        for index in operator.outputs:
            first[index] = last[index] = time
        for index in operator.inputs:
            last[index] = time
        sizes += own
        first += [time] * len(own)
        last += [time] * len(own)
    for index in program.outputs:
        last[index] = len(program.operators)
    offsets = plan(sizes, first, last)
    return max(
        (o + -(-s // _ALIGNMENT) * _ALIGNMENT for o, s in zip(offsets, sizes, strict=True)),
        default=0,
    )


def _reference_scratch(program: Program, operator: Operator) -> tuple[int, ...]:
    """Bytes of the buffers that a reference kernel asks for while it runs."""
    tensors = program.tensors
    if operator.op in ("MEAN", "SUM"):
        # Sums in 32 bits, the place in the input, and the axes without repetition.
        read, written = tensors[operator.inputs[0]], tensors[operator.outputs[0]]
        axes = operator.weights[0] if operator.weights else len(read.shape)
        return _INT * written.elements, _INT * len(read.shape), _INT * axes
    if operator.op == "TRANSPOSE_CONV":
        return (_INT * tensors[operator.outputs[0]].elements,)
    if operator.weight_dtype == "int4" and operator.bias:
        return (math.prod(operator.weights),)  # the weights, a byte each
    return ()


def _cmsis_scratch(program: Program, operator: Operator) -> tuple[int, ...]:
    """The same for CMSIS-NN, by its functions `arm_..._get_buffer_size` for DSP."""
    if operator.weight_dtype != "int8" or not operator.inputs:
        return _reference_scratch(program, operator)
    area = math.prod(operator.window)
    channels = program.tensors[operator.inputs[0]].shape[-1]
    if operator.op == "CONV_2D" and area > 1:
        # Two columns of the rearranged image, in 16 bits.
        return (2 * 2 * (-(-area * channels // 4) * 4),)
    if operator.op == "DEPTHWISE_CONV_2D" and operator.window != (3, 3):
        return (2 * area * channels,)
    if operator.op == "AVERAGE_POOL_2D":
        return (_INT * channels,)
    return _reference_scratch(program, operator)


_SCRATCH = {"reference": _reference_scratch, "cmsis_nn": _cmsis_scratch}


class _Structure(NamedTuple):
    """Bytes of a C structure where pointers have 4 and where they have 8 bytes."""

    narrow: int
    wide: int


# Sizes by the fields that tensorflow/tflite-micro documents in its headers; with 8-byte
# pointers each was also measured on the interpreter's own report of allocations.
_EVALUATED_TENSOR = _Structure(12, 24)
_TENSOR = _Structure(40, 64)
_QUANTIZATION = _Structure(12 + 8, 24 + 8)  # scale, zero point and axis; one zero point
_NODE = _Structure(32, 64)  # and its registration
_POINTER = _Structure(4, 8)
# Allocator, planner and the like; the measured interpreter counts its allocations besides.
_INTERPRETER = _Structure(144, 488)

# What the kernel of an operator keeps, and the parameters that are read from the file.
_KEPT = {
    "CONV_2D": _Structure(56, 80),
    "DEPTHWISE_CONV_2D": _Structure(56, 80),
    "FULLY_CONNECTED": _Structure(48, 72),
    "TRANSPOSE_CONV": _Structure(56, 88),
    "ADD": _Structure(60, 60),
    "SUB": _Structure(92, 92),
    "MUL": _Structure(36, 36),
    "MEAN": _Structure(44, 44),
    "SUM": _Structure(44, 44),
    "MAX_POOL_2D": _Structure(32, 32),
    "AVERAGE_POOL_2D": _Structure(32, 32),
    "SOFTMAX": _Structure(56, 80),
    "HARD_SWISH": _Structure(20, 20),
    "LOGISTIC": _Structure(16, 16),
    "TANH": _Structure(16, 16),
    "RELU": _Structure(28, 28),
    "RELU6": _Structure(8, 8),
    "LEAKY_RELU": _Structure(24, 24),
    "ELU": _Structure(256, 256),  # a table of all 256 values
    "PAD": _Structure(56, 56),
    "RESHAPE": _Structure(0, 0),
    "BATCH_MATMUL": _Structure(196, 208),
    "CONCATENATION": _Structure(56, 80),
    "GATHER": _Structure(0, 0),
    "QUANTIZE": _Structure(24, 24),
    "RESIZE_BILINEAR": _Structure(0, 0),
    "RESIZE_NEAREST_NEIGHBOR": _Structure(0, 0),
    "SPLIT": _Structure(0, 0),
    "SQUARED_DIFFERENCE": _Structure(152, 152),
    "STRIDED_SLICE": _Structure(92, 92),
    "TRANSPOSE": _Structure(0, 0),
    "UNPACK": _Structure(0, 0),
}
_OTHER_KEPT = _Structure(32, 32)
_PARAMETERS = {
    "CONV_2D": 28,
    "DEPTHWISE_CONV_2D": 28,
    "TRANSPOSE_CONV": 28,
    "FULLY_CONNECTED": 32,
    "MAX_POOL_2D": 40,
    "AVERAGE_POOL_2D": 40,
    "ADD": 8,
    "SUB": 8,
    "MUL": 4,
    "MEAN": 1,
    "SUM": 1,
    "SOFTMAX": 4,
    "LEAKY_RELU": 4,
    "RESHAPE": 36,
    "BATCH_MATMUL": 2,
    "CONCATENATION": 8,
    "STRIDED_SLICE": 16,
}


def _persistent(program: Program, scratch: Sequence[Sequence[int]], wide: bool) -> int:
    operators = program.operators
    if program.constants is None:
        constants = sum(bool(o.weights) + o.bias for o in operators)
    else:
        constants = len(program.constants)
    ends = len(program.inputs) + len(program.outputs)
    total = _INTERPRETER[wide] + _NODE[wide] * len(operators)
    total += _EVALUATED_TENSOR[wide] * (len(program.tensors) + constants)
    total += (_TENSOR[wide] + _QUANTIZATION[wide]) * ends + _ALIGNMENT * bool(program.inputs)
    total += _ALIGNMENT * bool(program.outputs)
    for operator, own in zip(operators, scratch, strict=True):
        total += _PARAMETERS.get(operator.op, 0)
        total += _aligned(_KEPT.get(operator.op, _OTHER_KEPT)[wide])
        # A multiplier and a shift a channel, each in an array of its own.
        total += 2 * _aligned(_INT * _channels(operator))
        total += _POINTER[wide] * len(own)
    return _aligned(total)


def _channels(operator: Operator) -> int:
    """Output channels that have a scale, hence a multiplier, of their own."""
    if operator.op == "FULLY_CONNECTED" and operator.weight_dtype == "int4":
        return 0  # one scale in all
    if operator.op == "DEPTHWISE_CONV_2D":
        return operator.weights[-1] if operator.weights else 0
    if operator.op in ("CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"):
        return operator.weights[0] if operator.weights else 0
    return 0


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
