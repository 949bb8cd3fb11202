"""Recurrent layers step by step, as files of integers have them."""

from __future__ import annotations

import abc

from search_spaces.file_graph import FileGraph
from search_spaces.operations import Settings, Shape

__all__ = ["unrolled"]


def unrolled(graph: FileGraph, x: int, shape: Shape, name: str, s: Settings) -> int:
    """Add all steps of a recurrent layer.

    All of them share weights. What the first one multiplies by its state, which is zero, is
    left out. Biases are taken not to be all zero, as after training.

    Args:
        graph: Where nodes are added.
        x: The sequence, `(1, length, channels)`.
        shape: Shape of the output.
        name: Name of the layer.
        s: Settings of the layer.

    Returns:
        The position of its output.
    """
    if not s["bidirectional"]:
        return _way(graph, x, name, s, backward=False)
    forward = _way(graph, x, f"{name}forward_{s['cell']}_1/", s, backward=False)
    backward = _way(graph, x, f"{name}{s['cell']}_1_1/", s, backward=True)
    if s["sequences"]:
        turned = graph.steps[backward].shape
        backward = graph.add("reversed", [backward], turned, f"{name}ReverseV2")
    return graph.add("concatenate", [forward, backward], shape, f"{name}concat")


def _way(graph: FileGraph, x: int, name: str, s: Settings, *, backward: bool) -> int:
    """The layer in one direction."""
    _, length, channels = graph.steps[x].shape
    cell = _CELLS[s["cell"]](graph, s["units"], channels)
    rows = graph.add("unpack", [x], (1, channels), f"{name}transpose", {"length": length})
    for number in range(length):
        place = length - 1 - number if backward else number
        part = f"{name}{s['cell']}_cell_{2 * number + 1}/"
        row = graph.add("part", [rows], (1, channels), part, {"number": place})
        cell.step(row, part)
    if not s["sequences"]:
        return cell.states[-1]
    units = s["units"]
    packed = graph.add("pack", cell.states, (length, 1, units), f"{name}stack")
    return graph.add("turned", [packed], (1, length, units), f"{name}transpose_1")


class _Cell(abc.ABC):
    """A recurrent cell that adds its steps.

    Attributes:
        states: The state after each step so far.
    """

    def __init__(self, graph: FileGraph, units: int, channels: int) -> None:
        self.states: list[int] = []
        self._graph, self._units, self._channels = graph, units, channels
        self._shape: Shape = (1, units)
        self._own = object()  # tells the weights of this layer from those of others

    @abc.abstractmethod
    def step(self, x: int, name: str) -> None:
        """Add the step that reads `x`."""

    def _op(self, operator: str, name: str, *inputs: int) -> int:
        return self._graph.plain(operator, list(inputs), self._shape, name)

    def _vector(self, operator: str, x: int, name: str) -> int:
        """An operator that reads a vector of weights."""
        return self._graph.weights(operator, x, self._shape, self._shape, name)

    def _dense(
        self, part: str, x: int, gates: int, channels: int, bias: bool, name: str
    ) -> int:
        """A dense layer whose weights all steps share."""
        width = gates * self._units
        settings = {"weights": (width, channels), "bias": bias, "key": (self._own, part)}
        return self._graph.add("shared", [x], (1, width), name, settings)

    def _split(self, x: int, names: list[str], axis: int, name: str) -> list[int]:
        gates = {"gates": len(names), "axis": axis}
        split = self._graph.add("split", [x], self._shape, f"{name}split", gates)
        return [
            self._graph.add(
                "part", [split], self._shape, f"{name}{reader}", {"number": number}
            )
            for number, reader in enumerate(names)
        ]


class _GRU(_Cell):
    """Update, reset and candidate; the reset is applied behind the product."""

    def step(self, x: int, name: str) -> None:
        x = self._dense("input", x, 3, self._channels, True, f"{name}MatMul")
        update, reset, candidate = self._split(x, ["add_1", "add_2", "add_3"], -1, name)
        if not self.states:
            update = self._vector("ADD", update, f"{name}add_1")
            reset = self._vector("ADD", reset, f"{name}add_2")
        else:
            slices = self._slices(self.states[-1], name)
            update = self._op("ADD", f"{name}add_1", update, slices[0])
            reset = self._op("ADD", f"{name}add_2", reset, slices[1])
        update = self._op("LOGISTIC", f"{name}Sigmoid", update)
        reset = self._op("LOGISTIC", f"{name}Sigmoid_1", reset)
        if not self.states:
            reset = self._vector("MUL", reset, f"{name}mul")
        else:
            reset = self._op("MUL", f"{name}mul", reset, slices[2])
        candidate = self._op("ADD", f"{name}add_3", candidate, reset)
        candidate = self._op("TANH", f"{name}Tanh", candidate)
        rest = self._graph.number("SUB", update, 1.0, self._shape, f"{name}sub")
        state = self._op("MUL", f"{name}mul_2", rest, candidate)
        if self.states:
            kept = self._op("MUL", f"{name}mul_1", update, self.states[-1])
            state = self._op("ADD", f"{name}add_4", kept, state)
        self.states.append(state)

    def _slices(self, state: int, name: str) -> list[int]:
        """What the state adds to each gate."""
        whole = self._dense("state", state, 3, self._units, True, f"{name}MatMul_1")
        return [
            self._graph.add(
                "gate",
                [whole],
                self._shape,
                f"{name}strided_slice" + (f"_{number}" if number else ""),
                {"number": number, "gates": 3},
            )
            for number in range(3)
        ]


class _LSTM(_Cell):
    """Input, forget, candidate and output gate, and a memory beside the state."""

    def __init__(self, graph: FileGraph, units: int, channels: int) -> None:
        super().__init__(graph, units, channels)
        self._memory = -1

    def step(self, x: int, name: str) -> None:
        names = ["Sigmoid", "Sigmoid_1", "Tanh", "Sigmoid_2"]
        gates = self._split(self._sum(x, name), names, 1, name)
        enter = self._op("LOGISTIC", f"{name}Sigmoid", gates[0])
        leave = self._op("LOGISTIC", f"{name}Sigmoid_2", gates[3])
        memory = self._op("TANH", f"{name}Tanh", gates[2])
        memory = self._op("MUL", f"{name}mul_1", enter, memory)
        if self.states:
            forget = self._op("LOGISTIC", f"{name}Sigmoid_1", gates[1])
            kept = self._op("MUL", f"{name}mul", forget, self._memory)
            memory = self._op("ADD", f"{name}add", kept, memory)
        self._memory = memory
        state = self._op("TANH", f"{name}Tanh_1", memory)
        self.states.append(self._op("MUL", f"{name}mul_2", leave, state))

    def _sum(self, x: int, name: str) -> int:
        """What goes into the gates."""
        width, first = 4 * self._units, not self.states
        made = self._dense("input", x, 4, self._channels, first, f"{name}MatMul")
        if first:
            return made
        recurrent = self._dense(
            "state", self.states[-1], 4, self._units, False, f"{name}MatMul_1"
        )
        recurrent = self._graph.add("turned", [recurrent], (width,), f"{name}Squeeze")
        made = self._graph.plain("ADD", [made, recurrent], (1, width), f"{name}BiasAdd")
        settings = {"operator": "ADD", "weights": (width,), "key": (self._own, "biases")}
        return self._graph.add("weights", [made], (1, width), f"{name}BiasAdd_1", settings)


_CELLS: dict[str, type[_Cell]] = {"gru": _GRU, "lstm": _LSTM}
