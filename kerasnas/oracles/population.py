"""What searches have in common that breed candidates from a population of trials."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any

from keras_tuner.engine.trial import Trial

from kerasnas.oracles._checks import check_range
from kerasnas.oracles._oracle import SearchOracle
from kerasnas.oracles.breeding import Breeding, Select
from kerasnas.oracles.decisions import Values

__all__ = ["PopulationSearch"]

_LARGEST = 30  # members by default
_SMALLEST = 2


class PopulationSearch(SearchOracle):
    """Base of searches that breed: who lives, and who becomes a parent, is for a subclass.

    The first `population_size` candidates are random: all that are asked for before so many
    trials have finished. From then on each is a child of the population, also in a search that
    is reopened with more trials, and so with a larger population. Where no new child is found
    for long, the candidate is random too.

    Nothing is remembered between proposals: the population is made anew of what has finished.

    Args:
        objective: As in `SearchOracle`.
        max_trials: Number of candidates to try at most.
        population_size: Trials alive at a time, at least 2; `None` for a quarter of
            `max_trials`, from 2 to 30, and for 30 if there is no `max_trials`.
        breeding: How a child is made.
        **kwargs: As in `SearchOracle`.

    Raises:
        ValueError: If the population has fewer than 2 members.
    """

    def __init__(
        self,
        objective: Any,
        max_trials: int | None,
        *,
        population_size: int | None,
        breeding: Breeding,
        **kwargs: Any,
    ):
        super().__init__(objective, max_trials, **kwargs)
        if population_size is None:
            share = _LARGEST if max_trials is None else max_trials // 4
            population_size = min(_LARGEST, max(_SMALLEST, share))
        check_range(
            "population_size",
            population_size,
            population_size >= _SMALLEST,
            f"at least {_SMALLEST}; the usual is a quarter of `max_trials`",
        )
        self.population_size = population_size
        self.breeding = breeding

    @abc.abstractmethod
    def population(self, finished: Sequence[Trial]) -> tuple[Sequence[Trial], Select]:
        """Tell who lives, and how a parent is selected.

        Args:
            finished: Scored trials, oldest first; at least 2.

        Returns:
            The members, and what picks the place of one of them.
        """

    def suggest(self, finished: Sequence[Trial]) -> Values | None:
        decisions = self.candidates.decisions
        if len(finished) >= (_SMALLEST if self._has_bred else self.population_size):
            members, select = self.population(finished)
            rows = decisions.encode([trial.hyperparameters.values for trial in members])
            bred = self.breeding.child(self.candidates, rows, select, self.rng, self.edit)
            if bred is not None:
                child, parent = bred
                self.parent = members[parent].trial_id
                return decisions.values(child)
        row = self.candidates.draw(self.rng)
        return None if row is None else decisions.values(row)

    @property
    def _has_bred(self) -> bool:
        return any(self.parent_of(trial) is not None for trial in self.trials.values())
