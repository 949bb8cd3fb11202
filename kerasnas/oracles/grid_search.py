"""Grid search: every candidate of a space, one after the other."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from keras_tuner.engine.trial import Trial

from edge_devices.spelling import unknown
from kerasnas.limits import violation
from kerasnas.oracles._checks import check_range
from kerasnas.oracles._oracle import SearchOracle
from kerasnas.oracles.candidates import ASKED, seem_to_break
from kerasnas.oracles.cost_model import CostModel
from kerasnas.oracles.decisions import INACTIVE, Decisions, Row, Values
from kerasnas.oracles.regression import last_fit

__all__ = ["GridSearch"]

Digits = npt.NDArray[np.int64]

_LOOKED_AT = 256  # assignments of the grid for each trial so far
_ENOUGH = 8  # costs known, from which on others are guessed
_GROWTH = 1.25  # when so many times as many are known, the model is made anew
_HALVINGS = 12  # of the gaps between places of an interval, after which the search ends


class GridSearch(SearchOracle):
    """Go through a space in order.

    The first candidate has the first option of every decision. Then the last decision counts
    up as the last digit of a number does, and so on to the first. Decisions that are
    conditional on others come after those, and are left out where they are not active.

    - An interval, or a number with more than 1,000 values, is tried at a few even places, both
      ends among them. When the grid is used up the gaps between them are halved, and what is
      new is tried, and so on.
    - What breaks a limit, or is a network that was tried, is passed over. Where that are very
      many in a row (more than 256 for each trial so far), a random candidate is tried instead
      and the grid is gone on with at the next trial. Nothing else is left to chance: without
      limits the seed makes no difference.
    - Where asking for costs takes long (`slow_costs`), what probably breaks a limit is passed
      over too, and a random candidate is tried where 16 others in a row broke one. What was
      passed over is tried when the grid is used up.

    Args:
        objective: As in `keras_tuner.Oracle`.
        max_trials: Number of candidates to try at most; `None` for all there are, which on
            an interval takes very long.
        order: Names of decisions, those first that are to change least often. Others come
            behind them in the order of the space. A decision that is conditional on another
            still comes after that one.
        num_places: How many places of an interval are tried before any gap is halved, at
            least 2. More are a finer grid, and so many times as many candidates.
        **kwargs: As for every oracle: `hyperparameters`, `seed`, `costs`, `limits`,
            `identity`, `start_with`, `fidelity`, ...

    Raises:
        ValueError: If `num_places` is less than 2, and by the first trial if `order` names
            what the space does not have.

    Example:

    ```python
    tuner = kerasnas.Tuner(
        search_spaces.DSCNN((49, 10, 1), num_classes=12),
        oracle=kerasnas.GridSearch("val_accuracy", max_trials=None),
    )
    tuner.search(x, y, validation_split=0.1, epochs=5)
    ```
    """

    def __init__(
        self,
        objective: Any = None,
        max_trials: int | None = None,
        *,
        order: Sequence[str] = (),
        num_places: int = 5,
        **kwargs: Any,
    ):
        super().__init__(objective, max_trials, **kwargs)
        check_range("num_places", num_places, num_places >= 2, "at least 2, for both ends")
        self.order = tuple(order)
        self.num_places = num_places
        self._walk: _Walk | None = None

    def suggest(self, finished: Sequence[Trial]) -> Values | None:
        candidates = self.candidates
        if self._walk is None or not self._walk.leads_on:
            self._walk = _Walk(self)
        row = self._walk.next()
        row = candidates.draw(self.rng) if row is None else row
        return None if row is None else candidates.decisions.values(row)


class _Walk:
    """A walk through the grid, proposal by proposal.

    How far each proposal goes is a function of the trials before it. So a walk is kept only to
    spare the steps: after a kill another one makes the same, along what was proposed.

    Where asking for costs takes long, they are guessed from those of the trials and of what
    the walk has been refused.

    Args:
        oracle: The search.
    """

    def __init__(self, oracle: GridSearch) -> None:
        self._oracle = oracle
        self._candidates = oracle.candidates
        self._rows = _grid(self._candidates.decisions, oracle.order, oracle.num_places)
        self._proposals = self._noted = self._seen = 0
        self._tried: set[Hashable] = set()
        self._known: list[tuple[Row, dict[str, float]]] = []
        self._model: tuple[int, CostModel] | None = None
        self._guesses = oracle.slow_costs and bool(oracle.limits)

    @property
    def leads_on(self) -> bool:
        """Whether what is to be proposed next lies ahead."""
        is_same_space = self._candidates is self._oracle.candidates
        return is_same_space and self._proposals <= len(self._oracle.trials)

    def next(self) -> Row | None:
        """Go on to what is to be proposed now; `None` if that is too far."""
        trials = [*self._oracle.trials.values()]
        for number in range(self._noted, len(trials)):
            if number >= self._proposals:  # proposed before this walk was begun
                self._step(trials[number])
            self._note(trials[number])
        self._noted = len(trials)
        return self._step(None)

    def _note(self, trial: Trial) -> None:
        values = self._values(trial)
        self._tried.add(self._candidates.identity(values))
        if self._guesses:
            row = self._candidates.decisions.encode([values])[0]
            self._known.append((row, self._oracle.trial_costs(trial)))

    def _values(self, trial: Trial) -> Values:
        """Return a trial's decisions, without such as its number of epochs."""
        names = {column.name for column in self._candidates.decisions.columns}
        every = trial.hyperparameters.values
        return {name: value for name, value in every.items() if name in names}

    def _step(self, proposed: Trial | None) -> Row | None:
        """Go as far as one proposal does.

        Args:
            proposed: The trial that came of it, `None` if that is to be found out.

        Returns:
            What may be proposed, `None` if the proposal was, or is to be, made otherwise.
        """
        self._proposals += 1
        refused = 0
        # How far a proposal looks depends on its number, not on where the walk was begun.
        for row in itertools.islice(self._rows, _LOOKED_AT * self._proposals - self._seen):
            self._seen += 1
            if self._seems_to_break(row):
                continue
            if self._breaks_limits(row):
                if self._guesses:
                    self._known.append((row, self._candidates.costs_of(row)))
                    refused += 1
                    if refused == ASKED:
                        return None
            elif proposed is None:
                if self._candidates.first([row]) is not None:
                    return row
            elif (values := self._candidates.decisions.values(row)) == self._values(proposed):
                return row
            elif self._candidates.identity(values) not in self._tried:
                # The trial was one to start with, or of a space that has grown since.
                self._rows, self._seen = itertools.chain([row], self._rows), self._seen - 1
                return None
        return None

    def _breaks_limits(self, row: Row) -> bool:
        limits = self._oracle.limits
        return bool(limits) and violation(self._candidates.costs_of(row), limits) > 0.0

    def _seems_to_break(self, row: Row) -> bool:
        if not self._guesses or len(self._known) < _ENOUGH:
            return False
        count = last_fit(len(self._known), always=_ENOUGH, growth=_GROWTH)
        if self._model is None or self._model[0] != count:
            rows, costs = zip(*self._known[:count], strict=True)
            model = CostModel(self._candidates.decisions, np.array(rows), costs)
            self._model = count, model
        return bool(seem_to_break(self._oracle.limits, self._model[1], row[None])[0])


def _grid(decisions: Decisions, wanted: Sequence[str], num_places: int) -> Iterator[Row]:
    """Go through the grid, and then through finer ones as long as that makes a change."""
    order = _ranked(decisions, wanted)
    for halvings in range(_HALVINGS):
        places = ((num_places - 1) << halvings) + 1
        yield from _counted(decisions, order, places)
        if all(column.count is not None for column in decisions.columns):
            return


def _counted(decisions: Decisions, order: Sequence[int], places: int) -> Iterator[Row]:
    """Count through all assignments.

    Args:
        decisions: The decisions of the space.
        order: Its columns, those first that change least often, parents before children.
        places: Number of places of an interval.
    """
    counts = [column.count or places for column in decisions.columns]
    digits: Digits = np.zeros(len(decisions), dtype=np.int64)
    while True:
        row = decisions.from_unit(_units(decisions, digits, places)[None])[0]
        yield row
        for position in reversed(range(len(order))):
            j = order[position]
            if row[j] != INACTIVE and digits[j] + 1 < counts[j]:
                digits[j] += 1
                digits[list(order[position + 1 :])] = 0
                break
        else:
            return


def _units(decisions: Decisions, digits: Digits, places: int) -> Row:
    """Return the points of `[0, 1]` that stand for options and places."""
    return np.array(
        [
            digit / (places - 1) if column.count is None else (digit + 0.5) / column.count
            for digit, column in zip(digits, decisions.columns, strict=True)
        ]
    )


def _ranked(decisions: Decisions, wanted: Sequence[str]) -> list[int]:
    """Return columns in the order wanted, but conditions before what they rule."""
    names = [column.name for column in decisions.columns]
    for name in wanted:
        if name not in names:
            raise unknown("order", name, dict.fromkeys(names))
    rank = {name: place for place, name in enumerate(dict.fromkeys([*wanted, *names]))}
    return decisions.parents_first(sorted(decisions.order, key=lambda j: rank[names[j]]))
