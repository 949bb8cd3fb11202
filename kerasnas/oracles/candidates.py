"""The candidates that may still be proposed: inside the limits and not tried yet."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from keras_tuner.engine import hyperparameters as kt

from kerasnas.limits import parse_limits, violation
from kerasnas.oracles.cost_model import CostModel
from kerasnas.oracles.decisions import Decisions, Row, Rows, Value, Values
from kerasnas.oracles.regression import last_fit

__all__ = ["ASKED", "Candidates", "Costs", "Identity", "seem_to_break", "smallest"]

Flags = npt.NDArray[np.bool_]

Costs = Callable[[Values], Mapping[str, float]]
Identity = Callable[[Values], Hashable]
_T = TypeVar("_T")

ASKED = 16
"""Costs that a proposal asks for in one place, where asking takes long."""

_LISTED = 2048  # a space with at most so many assignments is searched to the last one
_DRAWS = 256  # random assignments looked at before a candidate is sought by descent
_DESCENTS = 8
_REMEMBERED = 50_000  # assignments whose violation, or identity, is kept
_SAMPLED = 256  # candidates that the model of the costs is made from
_ENOUGH = 8  # costs that must be known before the others are guessed
_GROWTH = 1.25  # when so many times as many are known, the model is made anew


class Candidates:
    """A space less what breaks a limit and less what was tried.

    Costs and identities are asked for lazily, one assignment at a time, and remembered,
    because each may take about a millisecond. Where thousands are weighed, their costs are
    guessed by a `CostModel`.

    Args:
        decisions: The decisions of the space.
        costs: Costs of a candidate that are known without training.
        limits: Upper bounds on those costs, in base units.
        identity: What two candidates share if they are the same network. By default that is
            all their active values.
        measured: The costs known so far, if asking for one takes long. They are then all that
            the model of the costs is made from, and it also says where to look for candidates
            that keep the limits. The sequence may grow.
        seed: Seeds the sample that the model of the costs is made from otherwise.

    Attributes:
        identity: What two candidates share if they are the same network.
        settled: How many of those measured may have a say in what is proposed next; `None`
            for all. The others are costs that were asked for by a proposal that a kill cut
            short: it must go the same way again.
    """

    def __init__(
        self,
        decisions: Decisions,
        costs: Costs | None = None,
        limits: Mapping[str, float] | None = None,
        identity: Identity | None = None,
        *,
        measured: Sequence[tuple[Values, Mapping[str, float]]] | None = None,
        seed: int = 0,
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
        self.identity = identity or _all_values
        self._measured = measured
        self._seed = seed
        self._cost_model: tuple[int, CostModel] | None = None
        self._tried: dict[Hashable, Values] = {}
        self._known: dict[bytes, dict[str, float]] = {}
        self.settled: int | None = None
        self._kept: dict[bytes, bool] = {}
        self._read = 0
        self._names: frozenset[str] | None = None
        self._identities: dict[bytes, Hashable] = {}

    def exclude(self, values: Values) -> None:
        """Note that a candidate was tried; it is never admitted again."""
        self._tried.setdefault(self.identity(values), values)

    def admits(self, values: Values) -> bool:
        """Tell whether a candidate may be proposed."""
        return self.violation(values) == 0.0 and self.identity(values) not in self._tried

    def violation(self, values: Values) -> float:
        """Tell how far a candidate is over the limits, 0.0 if it keeps them."""
        if not self._limits or self._costs is None:
            return 0.0
        return violation(self.costs(values), self._limits)

    def fullness(self, row: Row) -> float:
        """Tell how much of its tightest limit an assignment takes; 1.0 is all of it."""
        costs = self.costs_of(row)
        return max((costs[name] / bound for name, bound in self._limits.items()), default=0.0)

    @property
    def cost_model(self) -> CostModel | None:
        """A model of the costs; `None` if there are none, or too few are known yet."""
        known = _SAMPLED if self._measured is None else self._num_settled
        if self._costs is None or known < _ENOUGH:
            return None
        count = last_fit(known, always=_ENOUGH, growth=_GROWTH)
        if self._cost_model is None or self._cost_model[0] != count:
            self._cost_model = count, self._model_costs(count)
        return self._cost_model[1]

    def _model_costs(self, count: int) -> CostModel:
        if self._measured is not None:
            known = self._measured[:count]
            rows = self.decisions.encode([values for values, _ in known])
            return CostModel(self.decisions, rows, [measured for _, measured in known])
        rows = self.decisions.sample(np.random.default_rng(self._seed), _SAMPLED)
        return CostModel(
            self.decisions, rows, [self.costs(self.decisions.values(row)) for row in rows]
        )

    def breaks_limits(self, rows: Rows) -> Flags:
        """Guess which assignments break a limit, as `seem_to_break` does."""
        model = self.cost_model if self._limits else None
        if model is None:
            return np.zeros(len(rows), dtype=bool)
        return seem_to_break(self._limits, model, rows)

    def first(self, rows: Iterable[Row]) -> Row | None:
        """Return the first of these assignments that may be proposed, if any."""
        return next((row for row in rows if self._admits(row)), None)

    def first_likely(self, rows: Iterable[Row]) -> Row | None:
        """Return the first that may be proposed as far as is known without asking for long."""
        if self._measured is None or self.cost_model is None:
            return self.first(rows)
        return next((row for row in rows if self._seems_admitted(row)), None)

    def sparing(self) -> Callable[[Iterable[Row]], Row | None]:
        """Return a `first` that asks for few costs, where asking takes long.

        It passes over what probably breaks a limit. Once 16 assignments that seemed to keep
        them have been asked for and refused, in all calls together, it finds nothing any more.
        """
        refused = 0

        def first(rows: Iterable[Row]) -> Row | None:
            nonlocal refused
            for row in rows:
                if refused == ASKED:
                    return None
                if self.first_likely([row]) is None:
                    continue
                if self.first([row]) is not None:
                    return row
                refused += 1  # only where a cost takes so long that it was guessed first
            return None

        return first

    def draw(self, rng: np.random.Generator) -> Row | None:
        """Return a random assignment that may be proposed.

        Assignments are drawn with every active decision uniform until one fits. Where that
        is rare, one is sought by descent on the violation, and small spaces are gone through
        to the end.

        Returns:
            The assignment; `None` if the space is used up, as far as such a search can tell
            (surely so for a space of at most 2,048 assignments).
        """
        drawn = self.first(self._affordable(self.decisions.sample(rng, _DRAWS)))
        if drawn is not None:
            return drawn
        members = self.decisions.members(_LISTED)
        if members is not None:
            return self.first(self._likely_first(rng.permutation(members)))
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
        drawn = self._affordable(self.decisions.sample(rng, _DRAWS))
        pool = sorted(drawn, key=self._violation)
        best = pool[0]
        for start in pool[:_DESCENTS]:
            if self._violation(best) > 0.0:
                best = min(best, self._descend(start, rng), key=self._violation)
        return self.decisions.values(best)

    def costs(self, values: Values) -> dict[str, float]:
        """Return the costs of a candidate, none if the space knows none."""
        if self._costs is None:
            return {}
        costs = self._costs(values)
        if not isinstance(costs, Mapping):
            raise TypeError(
                "`costs` must return a dictionary of numbers. "
                f"Received: {costs!r} for {dict(values)}."
            )
        self._names = self._names or frozenset(costs)
        if self._names != frozenset(costs):
            raise ValueError(
                "`costs` must name the same costs for every candidate. "
                f"Received: {sorted(costs)} for {dict(values)}, {sorted(self._names)} before."
            )
        return dict(costs)

    def _affordable(self, rows: Rows) -> Rows:
        """Leave, of random assignments, those whose costs can be asked for in a short time."""
        if self._measured is None:
            return rows
        return self._likely_first(rows)[:ASKED]

    def _likely_first(self, rows: Rows) -> Rows:
        """Put what probably keeps the limits first, where it takes long to ask."""
        if self._measured is None:
            return rows
        return rows[np.argsort(self.breaks_limits(rows), kind="stable")]

    def costs_of(self, row: Row) -> dict[str, float]:
        """Return the costs of an assignment, which are asked for once."""
        return self._recall(self._known, row, self.costs)

    def _descend(self, row: Row, rng: np.random.Generator) -> Row:
        """Lower the violation step by step, by the first shuffled neighbour that can."""
        if self._measured is not None and self.cost_model is not None:
            row = self._descend_by_guess(row, self.cost_model, rng)
        while (here := self._violation(row)) > 0.0:
            neighbours = rng.permutation(self.decisions.neighbours(row, rng))
            neighbours = self._likely_first(neighbours)
            lower = next((near for near in neighbours if self._violation(near) < here), None)
            if lower is None:
                break
            row = lower
        return row

    def _descend_by_guess(self, row: Row, model: CostModel, rng: np.random.Generator) -> Row:
        """Go to the neighbour most likely to keep the limits until one probably does."""
        likely = model.log_probability(row[None], self._limits)[0]
        while likely < math.log(0.5):
            neighbours = self.decisions.neighbours(row, rng)
            if not len(neighbours):
                break
            probabilities = model.log_probability(neighbours, self._limits)
            best = int(np.argmax(probabilities))
            if probabilities[best] <= likely:
                break
            row, likely = neighbours[best], probabilities[best]
        return row

    def _tried_rows(self, rng: np.random.Generator, count: int) -> Rows:
        tried = list(self._tried.values())
        picked = rng.permutation(len(tried))[:count]
        return self.decisions.encode([tried[index] for index in picked])

    @property
    def _num_settled(self) -> int:
        measured = len(self._measured or ())
        return measured if self.settled is None else min(self.settled, measured)

    def _seems_admitted(self, row: Row) -> bool:
        for values, costs in (self._measured or ())[self._read : self._num_settled]:
            key = self.decisions.encode([values])[0].tobytes()
            self._kept[key] = violation(costs, self._limits) == 0.0
        self._read = self._num_settled
        keeps = self._kept.get(row.tobytes())
        if keeps is None:
            keeps = not self.breaks_limits(row[None])[0]
        return keeps and self._is_new(row)

    def _admits(self, row: Row) -> bool:
        # Most assignments that fail do so by their costs; they need no identity.
        return self._violation(row) == 0.0 and self._is_new(row)

    def _is_new(self, row: Row) -> bool:
        return self._recall(self._identities, row, self.identity) not in self._tried

    def _violation(self, row: Row) -> float:
        return violation(self.costs_of(row), self._limits) if self._limits else 0.0

    def _recall(self, memory: dict[bytes, _T], row: Row, ask: Callable[[Values], _T]) -> _T:
        key = row.tobytes()
        if key not in memory:
            if len(memory) >= _REMEMBERED:
                memory.clear()
            memory[key] = ask(self.decisions.values(row))
        return memory[key]


def seem_to_break(limits: Mapping[str, float], model: CostModel, rows: Rows) -> Flags:
    """Guess which assignments break a limit: those that keep all with less than 5 %."""
    return model.log_probability(rows, limits) < math.log(0.05)


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
