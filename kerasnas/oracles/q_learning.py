"""Q-learning: choose option after option by what each was worth so far."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras_tuner.engine.trial import Trial

from kerasnas.oracles._checks import check_range
from kerasnas.oracles._oracle import SearchOracle
from kerasnas.oracles.choices import Choices, drawn
from kerasnas.oracles.decisions import Values
from kerasnas.oracles.lessons import History, Lessons
from kerasnas.oracles.q_table import QTable
from kerasnas.oracles.rewards import rewards

__all__ = ["QLearning"]

# The paper's numbers of networks.
_SCHEDULE = (
    (1.0, 1500),
    *((epsilon, 100) for epsilon in (0.9, 0.8, 0.7)),
    *((epsilon, 150) for epsilon in (0.6, 0.5, 0.4, 0.3, 0.2, 0.1)),
)
_BUDGET = 100  # trials for which one plans where there is no bound


class QLearning(SearchOracle):
    """Choose decision after decision: at random at first, then what was worth most so far.

    A table holds what each option of a decision is worth after the option chosen last before
    it. With probability epsilon a choice is a random one, else the one worth most; epsilon
    falls from 1.0 to 0.1 over the search. After each trial, trials are played again at random
    (experience replay): from the last choice to the first, what a choice is worth moves
    towards its reward plus what the best choice after it is worth, not discounted. A candidate
    is drawn until it is new and keeps the limits.

    - More than half of all trials are random ones, so this is slower than other methods, and a
      search that stops early has hardly begun to learn.
    - Rewards: the losses of all trials so far, standardised anew whenever one ends, with the
      bad tail on a logarithmic scale; so neither the unit nor a diverged training matters. A
      failed trial counts as the worst of the others.
    - Numbers with more than 16 values are decided in 8 bins of equal length along their own
      scale, and drawn uniformly within the bin.
    - Every trial teaches, also one of `start_with` or of a parallel worker. What was learned
      is a function of the trials that ended, in that order, and of the seed; a search that was
      killed continues as if nothing had happened. With a `fidelity` the losses of earlier
      trials change, and each proposal learns from the start: about 0.3 s for 300 trials.
    - One objective: of several, it learns from the first.

    Args:
        objective: As in `keras_tuner.Oracle`. Of several, the first counts.
        max_trials: Number of candidates to try at most, over which epsilon falls; `None` lets
            it fall within 100 trials. A search that is reopened with more goes back to a
            larger epsilon.
        learning_rate: By how much a choice moves each time that it is played again, above 0
            and at most 1. More believes the last trials, less learns slowly.
        schedule: Values of epsilon and their shares of the trials, in any unit. More trials
            with a large one know more when it falls, fewer leave more to use it.
        replays: Number of trials played again, with repeats, whenever one ends, beside that
            one. More learn faster, at the cost of time; at 0 each trial is played once.
        shaping: Whether a trial's reward is divided equally among its choices, and not all of
            it given for the last one.
        **kwargs: As for every oracle: `hyperparameters`, `seed`, `costs`, `limits`,
            `identity`, `start_with`, `fidelity`, `max_retries_per_trial`, ...

    Raises:
        ValueError: If a setting is out of its range.

    Example:

    ```python
    tuner = kerasnas.Tuner(
        search_spaces.MobileNet((32, 32, 3), num_classes=10),
        oracle=kerasnas.QLearning("val_accuracy", max_trials=300, seed=0),
    )
    tuner.search(x, y, validation_split=0.1, epochs=5)
    ```

    References:
        Baker et al., "Designing Neural Network Architectures using Reinforcement Learning",
        ICLR 2017, https://arxiv.org/abs/1611.02167 (MetaQNN). We keep its schedule, scaled to
        `max_trials`, its 100 replays and its undiscounted worth. Its state is the last layer
        with its settings, its depth and what is left of the image. Ours is the decision to be
        made and the option chosen last, whatever a space decides on. It plays trials again one
        after the other. We play them all at once, and a choice that occurs in several moves by
        the mean of what they say. The learning rate is 0.1, not 0.01, because there are
        hundreds of networks to learn from and not thousands; the table starts at 0, the mean
        of standardised rewards; and nothing is tried twice.
        Zhong et al., "Practical Block-wise Neural Network Architecture Generation", CVPR 2018,
        https://arxiv.org/abs/1708.05552, for `shaping`. Where the reward is all for the last
        choice and the state only holds the choice before, what an early choice is worth tends
        to the same for all options, because the best that may follow makes up for any of them.
    """

    def __init__(
        self,
        objective: Any = None,
        max_trials: int | None = None,
        *,
        learning_rate: float = 0.1,
        schedule: Sequence[tuple[float, float]] = _SCHEDULE,
        replays: int = 100,
        shaping: bool = True,
        **kwargs: Any,
    ):
        super().__init__(objective, max_trials, **kwargs)
        self.learning_rate = learning_rate
        self.schedule = [(float(epsilon), float(share)) for epsilon, share in schedule]
        self.replays = replays
        self.shaping = shaping
        self._check()
        self._known: Lessons[QTable] | None = None

    @property
    def epsilon(self) -> float:
        """With which probability each choice of the next candidate is a random one."""
        done = (len(self.trials) + 0.5) / (self.max_trials or _BUDGET)
        shares = np.cumsum([share for _, share in self.schedule])
        phase = int(np.searchsorted(shares / shares[-1], done))
        return self.schedule[min(phase, len(self.schedule) - 1)][0]

    def suggest(self, finished: Sequence[Trial]) -> Values | None:
        table, epsilon = self._lessons.learned(self, finished), self.epsilon
        row = drawn(
            self.candidates,
            lambda count: table.draw(epsilon, count, self.rng),
            self.rng,
            slow_costs=self.slow_costs,
        )
        return None if row is None else self.candidates.decisions.values(row)

    @property
    def _lessons(self) -> Lessons[QTable]:
        candidates = self.candidates
        if self._known is None or self._known.candidates is not candidates:
            choices = Choices(candidates.decisions)
            self._known = Lessons(
                candidates, choices, lambda: QTable.empty(choices), self._step
            )
        return self._known

    def _step(self, table: QTable, past: History) -> QTable:
        """Play trials again, the last one in any case."""
        count = len(past.losses)
        # Three numbers, where the generators of proposals are made of two.
        rng = np.random.default_rng((self.seed, count, 1))
        played = np.append(rng.integers(count, size=self.replays), count - 1)
        return table.learned(
            past.picks[played],
            rewards(past.losses)[played],
            self.learning_rate,
            shaping=self.shaping,
        )

    def _check(self) -> None:
        epsilons = [epsilon for epsilon, _ in self.schedule]
        shares = [share for _, share in self.schedule]
        ranges = [
            ("learning_rate", 0.0 < self.learning_rate <= 1.0, "a number above 0, at most 1"),
            ("replays", self.replays >= 0, "a whole number from 0 on"),
            (
                "schedule",
                all(0.0 <= epsilon <= 1.0 for epsilon in epsilons)
                and min(shares, default=0.0) > 0.0,
                "pairs of a probability and a share above 0, such as [(1.0, 5), (0.1, 5)]",
            ),
        ]
        for name, holds, wanted in ranges:
            check_range(name, getattr(self, name), holds, wanted)
