"""The nodes of the graph that the converter reads, as they are made of layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from search_spaces.operations import Settings, Shape

__all__ = ["FileGraph", "Step"]

_NO_SETTINGS: Settings = {}


class Step(NamedTuple):
    """A node of the graph: a layer, or a part of one.

    Attributes:
        op: Name of the layer's operation, or of a part that `lowering.py` knows.
        inputs: Positions of the steps it reads, all earlier than its own.
        settings: Settings of the operation.
        shape: Shape of its output with the batch, which is 1.
        name: What it is called in the graph: names decide the order.
    """

    op: str
    inputs: tuple[int, ...]
    settings: Settings
    shape: Shape
    name: str


class FileGraph:
    """Steps in an order in which they can be computed; they are called by their position.

    Args:
        inputs: Name and shape of each input, with the batch; they are the first steps.
    """

    def __init__(self, inputs: Sequence[tuple[str, Shape]]) -> None:
        self.steps = [Step("input", (), {}, shape, name) for name, shape in inputs]

    def add(
        self,
        op: str,
        inputs: list[int],
        shape: Shape,
        name: str,
        settings: Settings = _NO_SETTINGS,
    ) -> int:
        """A step of any kind: its position."""
        self.steps.append(Step(op, tuple(inputs), settings, shape, name))
        return len(self.steps) - 1

    def dense(self, x: int, units: int, name: str) -> int:
        """A dense layer with a bias."""
        shape = (*self.steps[x].shape[:-1], units)
        return self.add("dense", [x], shape, name, {"units": units, "bias": True})

    def plain(self, operator: str, inputs: list[int], shape: Shape, name: str) -> int:
        """An operator of activations alone."""
        return self.add("plain", inputs, shape, name, {"operator": operator})

    def number(self, operator: str, x: int, value: float, shape: Shape, name: str) -> int:
        """An operator that reads a number."""
        return self.add("number", [x], shape, name, {"operator": operator, "value": value})

    def weights(self, operator: str, x: int, weights: Shape, shape: Shape, name: str) -> int:
        """An operator that reads weights."""
        return self.add(
            "weights", [x], shape, name, {"operator": operator, "weights": weights}
        )

    def reduce(self, x: int, shape: Shape, name: str) -> int:
        """A mean over the last axis."""
        return self.add("mean", [x], shape, name)
