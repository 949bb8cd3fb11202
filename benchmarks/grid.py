"""A finite space read from KerasTuner's hyperparameters, for searchers that are not ours.

Independent of `kerasnas.oracles`, so that a mistake there cannot help or hurt the peers.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

import keras_tuner
import numpy as np

__all__ = ["Decision", "Grid", "Key", "Values"]

Values = dict[str, Any]
Key = tuple[int, ...]

_INACTIVE = -1


@dataclasses.dataclass(frozen=True)
class Decision:
    """One decision.

    Attributes:
        name: Its name.
        options: The values to choose from.
        ordered: Whether their order means something.
        parents: `(name, values)` of the decisions on which it depends; it is active where
            all of them are.
    """

    name: str
    options: tuple[Any, ...]
    ordered: bool
    parents: tuple[tuple[str, tuple[Any, ...]], ...]

    def active(self, values: Mapping[str, Any]) -> bool:
        """Tell whether the decision counts, given the values of those before it."""
        return all(name in values and values[name] in held for name, held in self.parents)


class Grid:
    """All decisions of a space of `Choice` and `Boolean`, parents before children.

    Args:
        hyperparameters: The space. Each name stands in it once.

    Raises:
        TypeError: If one of them is no `Choice` or `Boolean`.
    """

    def __init__(self, hyperparameters: keras_tuner.HyperParameters):
        self.decisions = tuple(_decision(hp) for hp in hyperparameters.space)

    @property
    def conditional(self) -> bool:
        """Whether some decision is not always active."""
        return any(decision.parents for decision in self.decisions)

    @property
    def combinations(self) -> int:
        """Number of rows, with options of inactive decisions counted apart."""
        return math.prod(len(decision.options) for decision in self.decisions)

    def active(self, values: Mapping[str, Any]) -> Values:
        """Return the values of active decisions only, in the order of the space."""
        kept: Values = {}
        for decision in self.decisions:
            if decision.active(kept):
                kept[decision.name] = values[decision.name]
        return kept

    def draw(self, rng: np.random.Generator, given: Mapping[str, Any] | None = None) -> Values:
        """Draw every active decision uniformly, except those that are `given`."""
        drawn: Values = {}
        for decision in self.decisions:
            if decision.active(drawn):
                index = int(rng.integers(len(decision.options)))
                drawn[decision.name] = (given or {}).get(
                    decision.name, decision.options[index]
                )
        return drawn

    def neighbours(self, values: Values, rng: np.random.Generator) -> list[Values]:
        """Return all that differ in one decision, in random order.

        What becomes active by the change is drawn.
        """
        changed = [
            self.draw(rng, {**values, decision.name: option})
            for decision in self.decisions
            if decision.name in values
            for option in decision.options
            if option != values[decision.name]
        ]
        return [changed[index] for index in rng.permutation(len(changed))]

    def key(self, values: Mapping[str, Any]) -> Key:
        """Return the index of each option, `-1` where a decision is not active."""
        return tuple(
            decision.options.index(values[decision.name])
            if decision.name in values
            else _INACTIVE
            for decision in self.decisions
        )

    def values(self, key: Key) -> Values:
        """Return the active values of option indices; those of inactive decisions may vary."""
        kept: Values = {}
        for decision, index in zip(self.decisions, key, strict=True):
            if decision.active(kept):
                kept[decision.name] = decision.options[index]
        return kept

    def members(self) -> Iterator[Values]:
        """Go through all combinations of a space without conditions."""
        names = [decision.name for decision in self.decisions]
        for options in itertools.product(*(decision.options for decision in self.decisions)):
            yield dict(zip(names, options, strict=True))


def _decision(hp: Any) -> Decision:
    parents = tuple((condition.name, tuple(condition.values)) for condition in hp.conditions)
    kinds = keras_tuner.engine.hyperparameters
    if isinstance(hp, kinds.Boolean):
        return Decision(hp.name, (False, True), False, parents)
    if isinstance(hp, kinds.Choice):
        return Decision(hp.name, tuple(hp.values), bool(hp.ordered), parents)
    raise TypeError(f"Only `Choice` and `Boolean` are supported. Received: {hp}.")
