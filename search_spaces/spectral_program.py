"""The operators of a front end in a file, before those of the network behind it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from edge_devices.program import Constant, Operator, Program, Tensor
from search_spaces.front_end import FrontEnd
from search_spaces.network import Network
from search_spaces.operations import Shape

__all__ = ["behind", "with_front_end"]


def behind(network: Network) -> tuple[Network, list[tuple[FrontEnd, Shape, int]]]:
    """The network that reads features where one reads waveforms.

    Args:
        network: Any network; one without a front end is returned as it is.

    Returns:
        The network, all layers at their positions: where a front end was, the features are
        handed on. And for `with_front_end` the front ends that a file has inside, each with
        the shape of its waveforms and the position of its input.
    """
    layers, inside = list(network.layers), []
    for index, record in enumerate(network.layers):
        if record.op != "front_end":
            continue
        (source,) = record.inputs
        given, settings = layers[source], dict(record.settings)
        if settings["in_graph"]:
            front_end = FrontEnd.of({**settings, "samples": given.shape[0]})
            inside.append((front_end, given.shape, source))
        changed = {**dict(given.settings), "shape": record.shape}
        layers[source] = given._replace(
            settings=tuple(sorted(changed.items())), shape=record.shape
        )
        layers[index] = record._replace(op="reshape", settings=(("shape", record.shape),))
    return (Network(tuple(layers)) if tuple(layers) != network.layers else network), inside


def with_front_end(program: Program, front_end: FrontEnd, shape: Shape, place: int) -> Program:
    """A program that reads waveforms where it has read features.

    Operators of the front end are in float32, and a QUANTIZE brings what they make to the
    int8 that the network reads. Fourier transforms are `RFFT2D`, an operator that TensorFlow
    Lite has built in and TensorFlow Lite Micro has not.

    Args:
        program: What the network behind the front end is made of.
        front_end: How features are computed.
        shape: Shape of a waveform, without the batch.
        place: Which of the program's inputs the features are.

    Returns:
        The program of both, as `edge_devices.flatbuffer.read` finds it in a file.
    """
    features = program.inputs[place]
    writing = _Writing(front_end, shape)
    operators = list(program.operators)
    readers = [one for one in operators if features in one.inputs]
    # The converter takes a reshape behind a product of matrices for a part of the product.
    early = (
        front_end.coefficients > 0
        and [one.op for one in readers] == ["RESHAPE"]
        and len(program.tensors[readers[0].outputs[0]].shape) == 4
    )
    scaled = readers[0].outputs[0] if early else features
    if early:
        operators.remove(readers[0])
        writing.reshape(program.tensors[scaled].shape[1:])
    # Tensors by what tells them apart, in the order of the file: what is given, what is
    # written, and what is only requantized.
    starts = len(program.inputs)
    tail = _requantized(program)
    made = [("front", index) for index in range(1, len(writing.tensors))]
    given, written = _keys(range(starts)), _keys(range(starts, tail))
    given[features] = ("front", 0)
    if early:
        written.remove(("behind", scaled))
    order = [
        *given,
        *made,
        *written,
        ("behind", scaled),
        *_keys(range(tail, len(program.tensors))),
    ]
    number = {key: index for index, key in enumerate(order)}
    tensors = {
        **{("front", index): tensor for index, tensor in enumerate(writing.tensors)},
        **{("behind", index): tensor for index, tensor in enumerate(program.tensors)},
    }
    last = number["front", len(writing.tensors) - 1]
    constants = None
    if program.constants is not None:
        constants = tuple(sorted((*program.constants, *writing.constants)))
    return Program(
        tuple([tensors[key] for key in order]),
        (
            *[_renumbered(one, number, "front") for one in writing.operators],
            Operator("QUANTIZE", (last,), (number["behind", scaled],)),
            *[_renumbered(one, number, "behind") for one in operators],
        ),
        program.inputs,
        tuple([number["behind", index] for index in program.outputs]),
        constants,
    )


_Key = tuple[str, int]


def _keys(indices: Iterable[int]) -> list[_Key]:
    return [("behind", index) for index in indices]


def _requantized(program: Program) -> int:
    """Where the tensors begin that are only requantized."""
    scaled = {one.outputs[0] for one in program.operators if one.op == "QUANTIZE"}
    start = len(program.tensors)
    while start - 1 in scaled:
        start -= 1
    return start


def _renumbered(operator: Operator, number: Mapping[_Key, int], part: str) -> Operator:
    return operator._replace(
        inputs=tuple([number[part, index] for index in operator.inputs]),
        outputs=tuple([number[part, index] for index in operator.outputs]),
    )


class _Writing:
    """The operators of a front end, in the order in which the converter writes them."""

    def __init__(self, front_end: FrontEnd, shape: Shape) -> None:
        self.tensors = [Tensor((1, *shape), "float32")]
        self.operators: list[Operator] = []
        self.constants: list[Constant] = []
        power = self._power(front_end, shape)
        x = self._matrix(power, front_end.bands, front_end.bins)
        x = self._add("LOG", self.tensors[x].shape, x)
        if front_end.coefficients:
            # Factor and term of the logarithm are in its weights and biases.
            self._matrix(x, front_end.coefficients, front_end.bands)
        else:
            self._constant("ADD", self._constant("MUL", x, (1,)), (1,))

    def _power(self, front_end: FrontEnd, shape: Shape) -> int:
        """The power spectra of all frames: `(frames, bins)`."""
        x, frames, bins = 0, front_end.frames, front_end.bins
        if (front_end.scale, front_end.offset) != (1.0, 0.0):
            x = self._constant("MUL", x, (1,))
            if front_end.offset:
                x = self._constant("ADD", x, (1,))
        unit = math.gcd(front_end.frame, front_end.hop)
        whole = front_end.samples // unit * unit
        if whole < front_end.samples:
            if len(shape) > 1:
                x = self._reshape(x, (front_end.samples,))
            x = self._add("SLICE", (1, whole), x, weights=(2,), dtype="int32", count=2)
        x = self._reshape(x, (whole // unit, unit))
        parts = front_end.frame // unit
        x = self._add(
            "GATHER", (1, frames, parts, unit), x, weights=(frames, parts), dtype="int32"
        )
        x = self._reshape(x, (frames, front_end.frame))
        x = self._constant("MUL", x, (front_end.frame,))
        if front_end.frame < front_end.fft_length:
            filled = (1, frames, front_end.fft_length)
            x = self._add("PAD", filled, x, weights=(3, 2), dtype="int32")
        x = self._reshape(x, (frames, 1, front_end.fft_length))
        x = self._add(
            "RFFT2D", (1, frames, 1, bins), x, weights=(2,), dtype="int32", kind="complex64"
        )
        x = self._reshape(x, (frames, bins))
        squares = []
        for part in ("IMAG", "REAL"):
            y = self._add(part, (1, frames, bins), x)
            squares.append(self._add("MUL", (1, frames, bins), y, y))
        return self._add("ADD", (1, frames, bins), *reversed(squares))

    def reshape(self, shape: Shape) -> None:
        """Bring the features to another shape."""
        self._reshape(len(self.tensors) - 1, shape)
        self.constants.pop()  # it is among those of the network

    def _add(
        self,
        op: str,
        shape: Shape,
        *inputs: int,
        weights: Shape = (),
        dtype: str = "int8",
        kind: str = "float32",
        count: int = 1,
    ) -> int:
        self.tensors.append(Tensor(shape, kind))
        written = len(self.tensors) - 1
        self.operators.append(Operator(op, inputs, (written,), weights, weight_dtype=dtype))
        if weights:
            self.constants += [Constant(dtype, weights)] * count
        return written

    def _constant(self, op: str, source: int, weights: Shape) -> int:
        """Multiply by, or add, constants."""
        shape = self.tensors[source].shape
        return self._add(op, shape, source, weights=weights, dtype="float32")

    def _reshape(self, source: int, shape: Shape) -> int:
        kind = self.tensors[source].dtype
        return self._add(
            "RESHAPE", (1, *shape), source, weights=(len(shape) + 1,), dtype="int32", kind=kind
        )

    def _matrix(self, source: int, units: int, width: int) -> int:
        shape = (*self.tensors[source].shape[:-1], units)
        made = self._add(
            "FULLY_CONNECTED", shape, source, weights=(units, width), dtype="float32"
        )
        self.operators[-1] = self.operators[-1]._replace(bias=True)
        self.constants.append(Constant("float32", (units,)))
        return made
