"""Searches that were finished before, as knowledge for a new one."""

from __future__ import annotations

import collections
import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kerasnas.fidelity._fidelity import Record
from kerasnas.oracles.decisions import INACTIVE, Decisions, Rows, Value
from kerasnas.oracles.kernel import Kernel
from kerasnas.oracles.regression import Posterior, Regression
from kerasnas.oracles.warping import compressed
from kerasnas.result import SearchResult

__all__ = ["EarlierSearch", "earlier_searches"]

_MODELLED = 500  # trials, the best, that are taken over from a search
_ALL = 10**9  # trials; more than any search has
_STARTS = 6  # candidates, the best, from which the next is sought


@dataclasses.dataclass(frozen=True)
class EarlierSearch:
    """What a search found: candidates and how they did.

    Attributes:
        values: The completed candidates, best first.
        losses: Their scores, signed so that less is better.
    """

    values: Sequence[Mapping[str, Value]]
    losses: Sequence[float]

    def model(self, decisions: Decisions) -> Posterior | None:
        """Return what the search says of candidates of another space, standardised.

        Only decisions of the same name and kind count. `None` if there are none.
        """
        rows = self._rows(decisions)
        if len(rows) < 2 or np.all(rows == INACTIVE):
            return None
        kernel = Kernel.of(decisions)
        points = kernel.points(*decisions.features(rows))
        scores = compressed(np.array(self.losses[: len(rows)]))
        return Regression.fit(kernel, points, scores).given(scores)

    def best(self, decisions: Decisions) -> Rows:
        """Return the best candidates as assignments of another space."""
        rows = self._rows(decisions)[:_STARTS]
        # What the other space has besides is left to chance, but always the same.
        return decisions.completed(rows, np.random.default_rng(0))

    def _rows(self, decisions: Decisions) -> Rows:
        return decisions.encode(self.values[:_MODELLED])


def earlier_searches(given: Any) -> list[EarlierSearch]:
    """Read searches in whatever form they are at hand.

    Args:
        given: One or several of: a `kerasnas.SearchResult`, an oracle (ours or KerasTuner's),
            or the folder of a search of ours.

    Raises:
        TypeError: If something is none of these.
        ValueError: If a search has no completed trial.
    """
    given = () if given is None else given
    one = not isinstance(given, list | tuple)
    return [_read(search) for search in ([given] if one else given)]


def _read(search: Any) -> EarlierSearch:
    if isinstance(search, str | os.PathLike):
        search = SearchResult(Path(search))
    if isinstance(search, SearchResult):
        direction = search.objective[1]
        found = [(trial.values, trial.score, trial.reached) for trial in search.leaderboard()]
    elif hasattr(search, "get_best_trials"):
        direction = search.objective.direction
        records: list[Record] = getattr(search, "records", list)()
        reached = {record.trial_id: record.losses for record in records}
        found = [
            (trial.hyperparameters.values, trial.score, reached.get(trial.trial_id, {}))
            for trial in search.get_best_trials(_ALL)
            if trial.status == "COMPLETED"
        ]
    else:
        raise TypeError(
            "A search to start from is a `SearchResult`, an oracle or a search's folder. "
            f"Received: {search!r} of type {type(search).__name__}. Open it with "
            "`kerasnas.open_search(directory, project_name)`."
        )
    sign = -1.0 if direction == "max" else 1.0
    scored = [(v, sign * float(s), r) for v, s, r in found if s is not None]
    known = [(v, loss) for v, loss in _comparable(scored) if math.isfinite(loss)]
    if not known:
        raise ValueError(
            "A search to start from must have completed trials. "
            f"Received: {search!r} without any. Leave it out, or let it run first."
        )
    return EarlierSearch([dict(values) for values, _ in known], [loss for _, loss in known])


def _comparable(
    found: Sequence[tuple[Any, float, Mapping[float, float]]],
) -> list[tuple[Any, float]]:
    """Return candidates and losses; where they were trained differently, of one level.

    Of the level that most have reached, the highest of several: those who were trained on for
    being good would otherwise be taken for better than they are.
    """
    counts = collections.Counter(level for _, _, reached in found for level in reached)
    if not counts:
        return [(values, loss) for values, loss, _ in found]
    common = max(counts, key=lambda level: (counts[level], level))
    there = [(values, reached[common]) for values, _, reached in found if common in reached]
    return sorted(there, key=lambda one: one[1])
