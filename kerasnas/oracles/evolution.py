"""Regularized evolution: breed from the young, retire the old."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras_tuner.engine.trial import Trial

from kerasnas.oracles.breeding import Breeding, Select
from kerasnas.oracles.population import PopulationSearch

__all__ = ["AgingEvolution"]


class AgingEvolution(PopulationSearch):
    """Regularized evolution: the best of a few young trials has a child, the oldest retires.

    The population is the `population_size` trials that finished last, good or bad. A parent
    is the best of `tournament_size` of them, drawn at random. Its child is a copy, now and
    then mixed with the winner of a second tournament, in which one decision is changed.
    Because age and not score removes a trial, one lucky training cannot rule the search: what
    lasts has been found good again and again.

    The first `population_size` candidates are random. A child that was tried or breaks a limit
    is bred again; where that fails for long, the candidate is random. Trials that failed are
    no members. With parallel workers a child is bred from whatever has finished, so a search
    is repeatable with one worker only.

    Of several objectives the first alone decides who is a parent; the Pareto front is kept all
    the same. `NSGA2` selects by all of them.

    Args:
        objective: As in `SearchOracle`.
        max_trials: Number of candidates to try at most; best several times `population_size`.
        population_size: Trials alive at a time: by default a quarter of `max_trials`, from 2
            to 30 (100 in the paper, of 20,000 trials). More of them stay diverse for longer,
            and take as many random candidates to begin with; fewer converge sooner.
        tournament_size: Trials compared to find a parent, from 1 (anyone) to
            `population_size` (always the best); by default a third of that (25 of 100 in the
            paper), at least 2. Larger ones are greedier.
        crossover: Probability that a child has two parents, from 0 (as in the paper) to 1.
            More combines what is good in different trials, where decisions are independent.
        mutations: Number of changes made to each child. More reach further, and lose more of
            what was good.
        edits: Probability that a change is an edit that the space knows, such as a node put
            into a graph, and not a decision changed. It matters only where the space knows
            any, as `search_spaces.GraphNetwork` does.
        **kwargs: As in `SearchOracle`.

    Raises:
        ValueError: If the population has fewer than 2 members, the tournament none or more
            than the population, a probability is not from 0 to 1, or there are no mutations.

    Example:

    ```python
    tuner = keras_tuner.Tuner(
        oracle=kerasnas.AgingEvolution("val_accuracy", max_trials=200, seed=0),
        hypermodel=search_spaces.MobileNet((32, 32, 3), num_classes=10),
    )
    tuner.search(x, y, validation_split=0.1, epochs=5)
    ```

    Reference:
        Real et al., "Regularized Evolution for Image Classifier Architecture Search", AAAI
        2019, https://arxiv.org/abs/1802.01548 (Algorithm 1). Unlike the paper nothing is tried
        twice, tournaments are drawn without replacement, a mutation always changes something,
        and there is crossover.
    """

    def __init__(
        self,
        objective: Any = None,
        max_trials: int | None = None,
        *,
        population_size: int | None = None,
        tournament_size: int | None = None,
        crossover: float = 0.25,
        mutations: int = 1,
        edits: float = 0.5,
        **kwargs: Any,
    ):
        super().__init__(
            objective,
            max_trials,
            population_size=population_size,
            breeding=Breeding(crossover, mutations, edits),
            **kwargs,
        )
        if tournament_size is None:
            tournament_size = max(2, round(self.population_size / 3))
        if not 1 <= tournament_size <= self.population_size:
            raise ValueError(
                "A tournament is held among members of the population. Received: "
                f"tournament_size={tournament_size}, population_size={self.population_size}. "
                f"Give a number from 1 to {self.population_size}."
            )
        self.tournament_size = tournament_size

    def population(self, finished: Sequence[Trial]) -> tuple[Sequence[Trial], Select]:
        members = finished[-self.population_size :]
        losses = np.array([self.losses(trial)[0] for trial in members])

        def winner(rng: np.random.Generator) -> int:
            drawn = rng.permutation(len(members))[: self.tournament_size]
            return int(drawn[np.argmin(losses[drawn])])

        return members, winner
