"""Local search: change one decision, keep what is better, start again when nothing is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from keras_tuner.engine.trial import Trial

from kerasnas.oracles._checks import check_range
from kerasnas.oracles._oracle import SearchOracle
from kerasnas.oracles.decisions import Row, Rows, Values
from kerasnas.oracles.variation import edited

__all__ = ["LocalSearch"]


class LocalSearch(SearchOracle):
    """Hill climbing with restarts, the strong baseline that has next to nothing to set.

    A climb starts at a random candidate. Its neighbours, which differ in one decision, are
    tried in random order, and the climb moves to the first that is better, or to one known
    from an earlier climb. Where all neighbours have been tried and none is better, the next
    climb starts. It works because good networks of most spaces are neighbours of better ones.

    - A decision with many ordered options has neighbours near and far, one on an interval two
      of each, drawn anew every time; there a climb ends after as many attempts as there are
      neighbours.
    - Where the space has small changes of its own (`edit`, as of graphs), about every other
      attempt is one of those, as many as there are neighbours; so a climb ends after twice as
      many attempts at most. The others change one decision, since an edit leaves some alone,
      as one of a graph does the learning rate.
    - Where asking for costs takes long, neighbours that probably break a limit are passed
      over, and where 16 others were found to break one the candidate is random.
    - Trials that are still running are pending: they neither move a climb nor count as worse.
      While all that is left of a climb is running, further workers start, or go on with,
      another one; the climb that began last goes first. Runs are repeatable only with one
      worker.
    - Failed trials are neighbours that are not better.
    - Nothing is trained twice, so a lucky score holds its climb until all neighbours have been
      tried, and a worse network with a luckier training may be moved to. Only the restarts
      help against that.

    Of several objectives only the first counts.

    Args:
        objective: As in `keras_tuner.Oracle`.
        max_trials: Number of candidates to try at most.
        num_initial_points: Random candidates before the first climb, which starts at the best
            of them. More give it a better start, fewer more time. Every later climb starts at
            one.
        best_improvement: Whether to try all neighbours and then move to the best of them. It
            takes steeper steps and many more trials for each.
        **kwargs: As for every oracle: `hyperparameters`, `seed`, `costs`, `limits`,
            `identity`, `start_with`, `fidelity`, ... Candidates of `start_with` count among
            the initial points.

    Raises:
        ValueError: If there is to be less than one initial point.

    Example:

    ```python
    tuner = kerasnas.Tuner(
        search_spaces.MobileNet((32, 32, 3), num_classes=10),
        oracle=kerasnas.LocalSearch("val_accuracy", max_trials=100, seed=0),
    )
    tuner.search(x, y, validation_split=0.1, epochs=5)
    ```

    References:
        White et al., "Exploring the Loss Landscape in Neural Architecture Search", UAI 2021,
        https://arxiv.org/abs/2005.02960. Their climbs move to the best neighbour by default.
        Den Ottelander et al., "Local Search is a Remarkably Strong Baseline for Neural
        Architecture Search", EMO 2021, https://arxiv.org/abs/2004.08996.
    """

    def __init__(
        self,
        objective: Any = None,
        max_trials: int | None = None,
        *,
        num_initial_points: int = 5,
        best_improvement: bool = False,
        **kwargs: Any,
    ):
        super().__init__(objective, max_trials, **kwargs)
        check_range(
            "num_initial_points",
            num_initial_points,
            num_initial_points >= 1,
            "at least 1, to start from",
        )
        self.num_initial_points = num_initial_points
        self.best_improvement = best_improvement

    def suggest(self, finished: Sequence[Trial]) -> Values | None:
        decisions = self.candidates.decisions
        climbs = _Climbs(self, finished)
        if len(climbs.starts) >= self.num_initial_points:
            for start in climbs.last_first():
                position, row = climbs.climbed(start)
                if row is not None:
                    self.parent = position.trial_id
                    return decisions.values(row)
        row = self.candidates.draw(self.rng)
        return None if row is None else decisions.values(row)


class _Climbs:
    """Where the climbs of a search stand, as the trials tell.

    A trial that was made from no other began a climb, and every other is an attempt to move
    on from its parent.

    Args:
        oracle: The search.
        finished: Its scored trials.

    Attributes:
        starts: Trials that were made from no other, oldest first.
    """

    def __init__(self, oracle: LocalSearch, finished: Sequence[Trial]) -> None:
        self._oracle = oracle
        decisions = oracle.candidates.decisions
        self._losses = {trial.trial_id: oracle.losses(trial)[0] for trial in finished}
        self._finished = {trial.trial_id: trial for trial in finished}
        rows = decisions.encode([trial.hyperparameters.values for trial in finished])
        self._rows = dict(zip(self._finished, rows, strict=True))
        self._known = {row.tobytes(): name for name, row in self._rows.items()}
        self._attempts: dict[str, list[str]] = {}
        self.starts: list[str] = []
        for trial in oracle.trials.values():
            parent = oracle.parent_of(trial)
            if parent is None:
                self.starts.append(trial.trial_id)
            else:
                self._attempts.setdefault(parent, []).append(trial.trial_id)
        self._first = oracle.candidates.sparing()
        self._open = {trial.trial_id for trial in oracle.running}

    def last_first(self) -> Iterator[Trial]:
        """Go through the trials from which climbs start, the latest first."""
        count = self._oracle.num_initial_points
        yield from (
            self._finished[s] for s in reversed(self.starts[count:]) if s in self._finished
        )
        initial = [name for name in self.starts[:count] if name in self._finished]
        if initial:
            yield self._finished[min(initial, key=self._losses.__getitem__)]

    def climbed(self, start: Trial) -> tuple[Trial, Row | None]:
        """Climb from a trial as far as is known.

        Returns:
            Where the climb stands, and the neighbour to try next; `None` in its place if the
            climb is at its end, or all that is left of it is running.
        """
        position, untried = start.trial_id, None
        while True:
            around = self._neighbours(position)
            better = self._better(position, around)
            if better is None or self._oracle.best_improvement:
                untried = self._untried(position, around)
            if better is None or untried is not None or self._waits(position):
                return self._finished[position], untried
            position = better

    def _neighbours(self, position: str) -> Rows:
        """Return what differs from a trial's candidate in one decision, in random order."""
        rng = self._oracle.rng
        decisions = self._oracle.candidates.decisions
        return rng.permutation(decisions.neighbours(self._rows[position], rng))

    def _better(self, position: str, around: Rows) -> str | None:
        """Return the best trial known around a position, if it is better."""
        known = (self._known.get(row.tobytes()) for row in around)
        near = [name for name in known if name is not None]
        near += [name for name in self._attempts.get(position, []) if name in self._losses]
        best = min(near, key=self._losses.__getitem__, default=position)
        return best if self._losses[best] < self._losses[position] else None

    def _untried(self, position: str, around: Rows) -> Row | None:
        moves = len(around) * (1 if self._oracle.edit is None else 2)
        if len(self._attempts.get(position, [])) >= moves:
            return None  # of an interval, and of edits, there are always more
        return self._first(self._moves(position, around))

    def _moves(self, position: str, around: Rows) -> Iterator[Row]:
        """Go through the neighbours of a position, and as many edits in between."""
        decisions, edit = self._oracle.candidates.decisions, self._oracle.edit
        rng = self._oracle.rng
        if edit is None:
            yield from around
            return
        neighbours = iter(around)
        for by_space in rng.permutation(np.repeat([True, False], len(around))):
            if by_space:
                yield edited(decisions, self._rows[position], edit, 1, rng)
            else:
                yield next(neighbours)

    def _waits(self, position: str) -> bool:
        """Tell whether a climb that compares all neighbours has yet to hear of some."""
        attempts = self._attempts.get(position, [])
        return self._oracle.best_improvement and not self._open.isdisjoint(attempts)
