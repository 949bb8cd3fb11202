"""Members of a space: drawn at random, or all of them, by the description's own questions.

Nothing here asks `SearchSpace.hyperparameters` what there is to decide: a member comes about
by describing a network and answering whatever is asked on the way. So it tells independently
which decisions a space has, when they are active, and how many sets of them there are.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from keras_tuner.engine import hyperparameters

from search_spaces.decisions import Decisions
from search_spaces.network import Network
from search_spaces.space import SearchSpace

__all__ = ["Member", "Pick", "draw", "draws", "member", "neighbours", "walk"]

Pick = Callable[[str, Sequence[Any]], Any]
"""How a decision is made: from its name and its values to one of them."""


class Member(NamedTuple):
    """One member of a space.

    Attributes:
        values: Its active decisions by name, in the order in which they were asked for.
        network: What they stand for.
        counts: How many values each of the decisions has.
    """

    values: dict[str, Any]
    network: Network
    counts: tuple[int, ...]


def member(space: SearchSpace, pick: Pick) -> Member:
    """Describe a network, and decide what is asked on the way.

    Args:
        space: The space.
        pick: Makes the decisions, each when it is first read.
    """
    reader = _Deciding(pick)
    network = space.describe(reader)
    return Member(reader.values, network, tuple(reader.counts))


def draw(space: SearchSpace, rng: np.random.Generator) -> Member:
    """Draw a member: each active decision uniformly among its values."""
    return member(space, lambda name, values: values[int(rng.integers(len(values)))])


def draws(space: SearchSpace, count: int, seed: int = 0) -> Iterator[Member]:
    """Draw so many members; one may come twice.

    Args:
        space: The space.
        count: How many.
        seed: Seeds the draws. The first members are the same whatever the count.
    """
    rng = np.random.default_rng(seed)
    return (draw(space, rng) for _ in range(count))


def walk(space: SearchSpace) -> Iterator[Member]:
    """Go through all sets of active decisions of a finite space, each once.

    The last decision that has a value left takes it, and what follows is asked anew: nothing
    but the description says what there is to decide.
    """
    path: list[int] = []
    while True:
        asked = itertools.count()

        def pick(name: str, values: Sequence[Any], asked: Iterator[int] = asked) -> Any:
            place = next(asked)
            if place == len(path):
                path.append(0)
            return values[path[place]]

        found = member(space, pick)
        yield found
        while path and path[-1] + 1 == found.counts[len(path) - 1]:
            path.pop()
        if not path:
            return
        path[-1] += 1


def neighbours(
    space: SearchSpace, values: dict[str, Any], only: str | None = None
) -> Iterator[Member]:
    """Go through the members that differ in one decision, and in what depends on it.

    Decisions that become active take their first value.

    Args:
        space: The space.
        values: The active decisions of a member.
        only: The decision to change; any of them unless given.
    """
    options: dict[str, Sequence[Any]] = {}

    def record(name: str, offered: Sequence[Any]) -> Any:
        options[name] = offered
        return values.get(name, offered[0])

    member(space, record)
    for name in options if only is None else [only]:
        for value in options[name]:
            if value != values[name]:
                yield member(space, _nearest({**values, name: value}))


def _nearest(values: dict[str, Any]) -> Pick:
    def pick(name: str, offered: Sequence[Any]) -> Any:
        return values[name] if values.get(name) in offered else offered[0]

    return pick


class _Deciding(Decisions):
    """Decisions that are made when they are first read."""

    def __init__(self, pick: Pick) -> None:
        super().__init__({})
        self._pick = pick
        self.counts: list[int] = []

    def Choice(self, name: str, values: Sequence[Any], *args: Any, **kwargs: Any) -> Any:
        """One of `values`."""
        return self._decided(super().Choice, name, list(values), values, *args, **kwargs)

    def Int(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """One of the whole numbers that a step leads to."""
        return self._decided(
            super().Int, name, _listed("Int", *args, **kwargs), *args, **kwargs
        )

    def Float(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """One of the numbers that a step leads to."""
        values = _listed("Float", *args, **kwargs)
        return self._decided(super().Float, name, values, *args, **kwargs)

    def Boolean(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Yes or no."""
        return self._decided(super().Boolean, name, [False, True], *args, **kwargs)

    def _decided(
        self,
        read: Callable[..., Any],
        name: str,
        options: Sequence[Any],
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        full = self._prefix + name
        known = full in self.values
        value = read(name, *args, **kwargs)
        if known or full not in self.values:  # decided before, or inactive
            return value
        self.counts.append(len(options))
        self.values[full] = self._pick(full, options)
        return self.values[full]


def _listed(
    kind: str,
    min_value: float,
    max_value: float,
    step: float | None = None,
    sampling: str = "linear",
    *args: Any,
    **kwargs: Any,
) -> list[Any]:
    if kind == "Float" and step is None:
        raise ValueError(
            "Only a finite space has members that can be gone through. Received: a "
            f"real-valued decision from {min_value} to {max_value}. Give it a `step`."
        )
    declared = getattr(hyperparameters, kind)(
        "x", min_value, max_value, step=step, sampling=sampling
    )
    return list(declared.values)
