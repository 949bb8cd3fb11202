"""NSGA-II: evolution towards the whole front of several objectives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras_tuner.engine.trial import Trial

from kerasnas.oracles.breeding import Breeding, Select
from kerasnas.oracles.pareto import best_spread
from kerasnas.oracles.population import PopulationSearch

__all__ = ["NSGA2"]


class NSGA2(PopulationSearch):
    """NSGA-II: evolution that selects by dominance, then by distance to others.

    All finished trials are sorted into fronts: the first is dominated by none, each next one
    by earlier fronts only. The population is the `population_size` best, front after front; of
    the last front that has room, those in the emptiest places, by crowding distance. A parent
    is the better of two members by the same measure. Its child is mostly mixed with a second
    parent, and one decision of it is changed. So the search goes towards all of the front at
    once, and keeps to no part of it.

    The first `population_size` candidates are random. A child that was tried or breaks a limit
    is bred again; where that fails for long, the candidate is random. Trials that failed are
    no members. With parallel workers a child is bred from whatever has finished, so a search
    is repeatable with one worker only. With one objective this is plain elitist evolution,
    which noise can hold up: a lucky training stays.

    Args:
        objective: As in `SearchOracle`: a list of two or more for what this is made for, such
            as `["val_accuracy", "latency_ms"]`.
        max_trials: Number of candidates to try at most; best several times `population_size`.
        population_size: Trials alive at a time: by default a quarter of `max_trials`, from 2
            to 30 (100 in the paper, of 25,000 trials). More of them cover the front better,
            and take as many random candidates to begin with; fewer come closer sooner.
        crossover: Probability that a child has two parents, from 0 to 1.
        mutations: Number of changes made to each child. More reach further, and lose more of
            what was good.
        edits: Probability that a change is an edit that the space knows, such as a node put
            into a graph, and not a decision changed. It matters only where the space knows
            any, as `search_spaces.GraphNetwork` does.
        **kwargs: As in `SearchOracle`.

    Raises:
        ValueError: If the population has fewer than 2 members, a probability is not from 0 to
            1, or there are no mutations.

    Example:

    ```python
    tuner = kerasnas.Tuner(
        search_spaces.MobileNet((96, 96, 3), num_classes=5),
        oracle=kerasnas.NSGA2(["val_accuracy", "macs"], max_trials=200, seed=0),
    )
    tuner.search(train_ds, validation_data=val_ds, epochs=10)
    front = tuner.oracle.pareto_front()
    ```

    Reference:
        Deb et al., "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II", IEEE
        Transactions on Evolutionary Computation 6(2), 2002. Unlike the paper there are no
        generations: each child can be a parent as soon as it has finished, which suits few
        trials and parallel workers. Nothing is tried twice, and crossover and mutation are
        those of decisions, not of real numbers.
    """

    def __init__(
        self,
        objective: Any = None,
        max_trials: int | None = None,
        *,
        population_size: int | None = None,
        crossover: float = 0.9,
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

    def population(self, finished: Sequence[Trial]) -> tuple[Sequence[Trial], Select]:
        losses = np.array([self.losses(trial) for trial in finished])
        members = [finished[place] for place in best_spread(losses)[: self.population_size]]

        def better(rng: np.random.Generator) -> int:
            return int(min(rng.permutation(len(members))[:2]))  # members are best first

        return members, better
