"""The candidates that may still be proposed: inside the limits and not tried yet."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import TypeVar

import numpy as np
from keras_tuner.engine import hyperparameters as kt

from kerasnas.limits import parse_limits, violation
from kerasnas.oracles.decisions import Decisions, Row, Rows, Value, Values

__all__ = ["Candidates", "Costs", "Identity", "smallest"]

Costs = Callable[[Values], Mapping[str, float]]
Identity = Callable[[Values], Hashable]
_T = TypeVar("_T")

_LISTED = 2048  # a space with at most so many assignments is searched to the last one
_DRAWS = 256  # random assignments looked at before a candidate is sought by descent
_DESCENTS = 8
_REMEMBERED = 50_000  # assignments whose violation, or identity, is kept


class Candidates:
    """A space less what breaks a limit and less what was tried.

    Costs and identities are asked for lazily, one assignment at a time, and remembered,
    because each may take about a millisecond.

    Args:
        decisions: The decisions of the space.
        costs: Costs of a candidate that are known without training.
        limits: Upper bounds on those costs, in base units.
        identity: What two candidates share if they are the same network. By default that is
            all their active values.
    """

    def __init__(
        self,
        decisions: Decisions,
        costs: Costs | None = None,
        limits: Mapping[str, float] | None = None,
        identity: Identity | None = None,
    ):
        if limits and costs is None:
            raise ValueError(
                "Limits need costs to hold them against. "
                f"Received: limits={dict(limits)}, costs=None. "
                "Pass `costs`, a function from values to a dictionary of costs."
            )
        self.decisions = decisions
        self._costs = costs
        self._limits = dict(limits or {})
        self._identity = identity or _all_values
        self._tried: dict[Hashable, Values] = {}
        self._violations: dict[bytes, float] = {}
        self._identities: dict[bytes, Hashable] = {}

    def exclude(self, values: Values) -> None:
        """Note that a candidate was tried; it is never admitted again."""
        self._tried.setdefault(self._identity(values), values)

    def admits(self, values: Values) -> bool:
        """Tell whether a candidate may be proposed."""
        return self.violation(values) == 0.0 and self._identity(values) not in self._tried

    def violation(self, values: Values) -> float:
        """Tell how far a candidate is over the limits, 0.0 if it keeps them."""
        if not self._limits or self._costs is None:
            return 0.0
        return violation(self._costs(values), self._limits)

    def fullness(self, row: Row) -> float:
        """Tell how much of its tightest limit an assignment takes; 1.0 is all of it."""
        costs = self.costs(self.decisions.values(row))
        return max((costs[name] / bound for name, bound in self._limits.items()), default=0.0)

    def first(self, rows: Iterable[Row]) -> Row | None:
        """Return the first of these assignments that may be proposed, if any."""
        return next((row for row in rows if self._admits(row)), None)

    def draw(self, rng: np.random.Generator) -> Row | None:
        """Return a random assignment that may be proposed.

        Assignments are drawn with every active decision uniform until one fits. Where that
        is rare, one is sought by descent on the violation, and small spaces are gone through
        to the end.

        Returns:
            The assignment; `None` if the space is used up, as far as such a search can tell
            (surely so for a space of at most 2,048 assignments).
        """
        drawn = self.first(self.decisions.sample(rng, _DRAWS))
        if drawn is not None:
            return drawn
        members = self.decisions.members(_LISTED)
        if members is not None:
            return self.first(rng.permutation(members))
        starts = [
            *self._tried_rows(rng, _DESCENTS // 2),
            *self.decisions.sample(rng, _DESCENTS),
        ]
        return next(
            (row for row in (self.repair(start, rng) for start in starts) if row is not None),
            None,
        )

    def repair(self, row: Row, rng: np.random.Generator) -> Row | None:
        """Walk from an assignment to one that may be proposed, changing a decision at a time.

        Returns:
            The end of a descent on the violation, or a neighbour of it if it was tried;
            `None` if neither may be proposed.
        """
        end = self._descend(row, rng)
        if self._violation(end) > 0.0:
            return None
        return self.first([end, *rng.permutation(self.decisions.neighbours(end, rng))])

    def nearest(self, rng: np.random.Generator) -> Values:
        """Return the candidate nearest to keeping the limits that a short search finds."""
        pool = sorted(self.decisions.sample(rng, _DRAWS), key=self._violation)
        best = pool[0]
        for start in pool[:_DESCENTS]:
            if self._violation(best) > 0.0:
                best = min(best, self._descend(start, rng), key=self._violation)
        return self.decisions.values(best)

    def costs(self, values: Values) -> dict[str, float]:
        """Return the costs of a candidate, none if the space knows none."""
        return dict(self._costs(values)) if self._costs is not None else {}

    def _descend(self, row: Row, rng: np.random.Generator) -> Row:
        """Lower the violation step by step, by the first shuffled neighbour that can."""
        while (here := self._violation(row)) > 0.0:
            neighbours = rng.permutation(self.decisions.neighbours(row, rng))
            lower = next((near for near in neighbours if self._violation(near) < here), None)
            if lower is None:
                break
            row = lower
        return row

    def _tried_rows(self, rng: np.random.Generator, count: int) -> Rows:
        tried = list(self._tried.values())
        picked = rng.permutation(len(tried))[:count]
        return self.decisions.encode([tried[index] for index in picked])

    def _admits(self, row: Row) -> bool:
        # Most assignments that fail do so by their costs; they need no identity.
        if self._violation(row) > 0.0:
            return False
        return self._recall(self._identities, row, self._identity) not in self._tried

    def _violation(self, row: Row) -> float:
        return self._recall(self._violations, row, self.violation)

    def _recall(self, memory: dict[bytes, _T], row: Row, ask: Callable[[Values], _T]) -> _T:
        key = row.tobytes()
        if key not in memory:
            if len(memory) >= _REMEMBERED:
                memory.clear()
            memory[key] = ask(self.decisions.values(row))
        return memory[key]


def smallest(
    hyperparameters: kt.HyperParameters,
    costs: Costs,
    limits: Mapping[str, float | int | str],
    *,
    seed: int = 0,
) -> dict[str, float]:
    """Find out whether a space has a candidate within limits, before any training.

    Random candidates, then descent from the best of them, one decision at a time.

    Args:
        hyperparameters: The space.
        costs: Costs of a candidate that are known without training.
        limits: Upper bounds, as `kerasnas.limits.parse_limits` reads them.
        seed: Seeds the search.

    Returns:
        The costs of the candidate found nearest to keeping all limits: one that keeps them if
        there seems to be one, else the smallest excess. `kerasnas.limits.violation` tells
        which.
    """
    bounds = parse_limits(limits)
    candidates = Candidates(Decisions(hyperparameters), costs, bounds)
    return candidates.costs(candidates.nearest(np.random.default_rng(seed)))


def _all_values(values: Mapping[str, Value]) -> Hashable:
    return tuple(sorted(values.items()))
