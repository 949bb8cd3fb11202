"""Policy gradients: a distribution over candidates that moves to where rewards are high."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from keras_tuner.engine.trial import Trial

from edge_devices.spelling import unknown
from kerasnas.oracles._checks import check_range
from kerasnas.oracles._oracle import SearchOracle
from kerasnas.oracles.adam import Adam
from kerasnas.oracles.choices import Choices, drawn
from kerasnas.oracles.decisions import Row, Values
from kerasnas.oracles.lessons import History, Lessons
from kerasnas.oracles.policy import FactorisedPolicy, Policy, RecurrentPolicy
from kerasnas.oracles.regression import one_thread
from kerasnas.oracles.rewards import advantage, rewards

__all__ = ["Reinforce", "clipped"]

Floats = npt.NDArray[np.float64]

_POLICIES: dict[str, type[Policy]] = {
    "factorised": FactorisedPolicy,
    "recurrent": RecurrentPolicy,
}
# A logit is moved by its own rate; through an LSTM many parameters move it together.
_RATES = {"factorised": 0.1, "recurrent": 0.01}


class Reinforce(SearchOracle):
    """Policy gradient: draw candidates from a distribution, and make what did well likelier.

    The policy gives each decision that is active a distribution over its options, all about as
    likely at first. Each trial that ends moves it one step of Adam along the gradient of the
    candidate's log-probability, times how much better its reward is than a moving average of
    those before. A candidate is drawn until it is new and keeps the limits, so a policy that
    has settled goes on to what is next to its favourites.

    - Rewards: the losses of all trials so far, standardised anew whenever one ends, with the
      bad tail on a logarithmic scale; so neither the unit nor a diverged training matters. A
      failed trial counts as the worst of the others.
    - Numbers with more than 16 values are decided in 8 bins of equal length along their own
      scale, and drawn uniformly within the bin.
    - Every trial teaches, also one that was in `start_with` or was drawn by a parallel worker
      before the last steps, as if the policy had drawn it now: a little off-policy. Nor does
      the gradient know that candidates that were tried or break a limit are not drawn.
    - What was learned is a function of the trials that ended, in that order, and of the seed;
      a search that was killed continues as if nothing had happened. With a `fidelity` the
      losses of earlier trials change, and each proposal learns from the start: about 50 ms
      for 300 trials, 1 s with a recurrent policy.
    - One objective: of several, the policy learns from the first.

    Args:
        objective: As in `keras_tuner.Oracle`. Of several, the first counts.
        max_trials: Number of candidates to try at most.
        policy: `"factorised"`, a distribution for each decision whatever the others are, which
            learns soonest; or `"recurrent"`, an LSTM of 32 units over the decisions, as in the
            paper, which can also learn what goes with what.
        learning_rate: Of Adam, about by how much a logit moves in one step. More settles
            sooner, on something worse; less is a random search for longer. By default 0.1 for
            a factorised policy, and 0.01 for a recurrent one.
        baseline_decay: By which factor a reward's say in the moving average falls with each
            later trial, from 0 to 1. Less follows a policy that gets better more closely, and
            is noisier.
        entropy: Bonus for the entropy of the decisions, in deviations of the reward for each
            nat. More keeps options open for longer; at 0 the policy may settle early.
        ppo: Whether to learn from batches, several times from each, as long as the policy
            stays near the one at the start of the batch (proximal policy optimisation).
        clip: With `ppo`, how far the probability of a candidate may go off, as a share of what
            it was, until the candidate has no more say. More learns more from each batch.
        epochs: With `ppo`, how many steps are made with each batch.
        batch_size: With `ppo`, how many trials have to end until the policy moves.
        **kwargs: As for every oracle: `hyperparameters`, `seed`, `costs`, `limits`,
            `identity`, `start_with`, `fidelity`, `max_retries_per_trial`, ...

    Raises:
        ValueError: If there is no such policy, or a setting is out of its range.

    Example:

    ```python
    tuner = kerasnas.Tuner(
        search_spaces.MobileNet((32, 32, 3), num_classes=10),
        oracle=kerasnas.Reinforce("val_accuracy", max_trials=300, seed=0),
    )
    tuner.search(x, y, validation_split=0.1, epochs=5)
    ```

    References:
        Williams, "Simple Statistical Gradient-Following Algorithms for Connectionist
        Reinforcement Learning", Machine Learning 8, 1992.
        Zoph and Le, "Neural Architecture Search with Reinforcement Learning", ICLR 2017,
        https://arxiv.org/abs/1611.01578. The paper trains 12,800 networks, and we hundreds:
        our rates are far higher, rewards are standardised, and no candidate is tried twice.
        The LSTM has one layer, not two.
        Schulman et al., "Proximal Policy Optimization Algorithms", 2017,
        https://arxiv.org/abs/1707.06347. There is no critic: the baseline is the same moving
        average.
    """

    def __init__(
        self,
        objective: Any = None,
        max_trials: int | None = None,
        *,
        policy: str = "factorised",
        learning_rate: float | None = None,
        baseline_decay: float = 0.9,
        entropy: float = 0.01,
        ppo: bool = False,
        clip: float = 0.2,
        epochs: int = 4,
        batch_size: int = 8,
        **kwargs: Any,
    ):
        super().__init__(objective, max_trials, **kwargs)
        if policy not in _POLICIES:
            raise unknown("policy", policy, _POLICIES)
        self.policy = policy
        self.learning_rate = _RATES[policy] if learning_rate is None else learning_rate
        self.baseline_decay = baseline_decay
        self.entropy = entropy
        self.ppo = ppo
        self.clip = clip
        self.epochs = epochs
        self.batch_size = batch_size
        self._check()
        self._known: tuple[Policy, Lessons[Adam]] | None = None

    def suggest(self, finished: Sequence[Trial]) -> Values | None:
        # Such small matrices take longer on several threads, and round differently.
        with one_thread().limit(limits=1, user_api="blas"):
            row = self._next(finished)
        return None if row is None else self.candidates.decisions.values(row)

    def _next(self, finished: Sequence[Trial]) -> Row | None:
        policy, lessons = self._lessons
        theta = lessons.learned(self, finished).theta
        return drawn(
            self.candidates,
            lambda count: policy.draw(theta, count, self.rng),
            self.rng,
            slow_costs=self.slow_costs,
        )

    @property
    def _lessons(self) -> tuple[Policy, Lessons[Adam]]:
        candidates = self.candidates
        if self._known is None or self._known[1].candidates is not candidates:
            policy = _POLICIES[self.policy](Choices(candidates.decisions))
            step = self._proximal_step if self.ppo else self._step

            def start() -> Adam:
                # Three numbers, where the generators of proposals are made of two.
                return Adam.at(policy.initial(np.random.default_rng((self.seed, 0, 1))))

            lessons = Lessons(
                candidates,
                policy.choices,
                start,
                lambda state, past: step(policy, state, past),
            )
            self._known = policy, lessons
        return self._known

    def _step(self, policy: Policy, state: Adam, past: History) -> Adam:
        """Learn from the last trial."""
        weight = np.array([advantage(rewards(past.losses), self.baseline_decay)])
        gradient = policy.gradient(
            state.theta, past.picks[-1:], lambda _: weight, self.entropy
        )
        return state.climbed(gradient, self.learning_rate)

    def _proximal_step(self, policy: Policy, state: Adam, past: History) -> Adam:
        """Learn from the last trials, if they fill a batch."""
        count, size = len(past.losses), self.batch_size
        if count % size:
            return state
        worth, batch = rewards(past.losses), past.picks[-size:]
        weights = np.array(
            [advantage(worth[:end], self.baseline_decay) for end in range(1, count + 1)]
        )[-size:]
        weigh = clipped(weights, policy.log_probabilities(state.theta, batch), self.clip)
        for _ in range(self.epochs):
            gradient = policy.gradient(state.theta, batch, weigh, self.entropy) / size
            state = state.climbed(gradient, self.learning_rate)
        return state

    def _check(self) -> None:
        ranges = [
            ("learning_rate", self.learning_rate > 0.0, "a number above 0"),
            ("baseline_decay", 0.0 <= self.baseline_decay <= 1.0, "a number from 0 to 1"),
            ("entropy", self.entropy >= 0.0, "a number from 0 on"),
            ("clip", self.clip > 0.0, "a number above 0"),
            ("epochs", self.epochs >= 1, "a whole number from 1 on"),
            ("batch_size", self.batch_size >= 1, "a whole number from 1 on"),
        ]
        for name, holds, wanted in ranges:
            check_range(name, getattr(self, name), holds, wanted)


def clipped(weights: Floats, before: Floats, clip: float) -> Callable[[Floats], Floats]:
    """Return what makes weighted log-probabilities climb as PPO's clipped objective does.

    The objective of a candidate is `min(r * w, clip(r, 1 - clip, 1 + clip) * w)`, where `r` is
    the ratio of its probability to what it was. Its gradient is `r * w` times that of the
    log-probability, and 0 where the ratio has gone further than the clip in the direction in
    which the weight pushes it.

    Args:
        weights: The advantage `w` of each candidate.
        before: Its log-probability at the start of the batch.
        clip: How far the ratio may be off 1.

    Returns:
        A function from log-probabilities to weights of their gradients.
    """

    def weigh(logs: Floats) -> Floats:
        ratios = np.exp(logs - before)
        within = np.where(weights > 0.0, ratios <= 1.0 + clip, ratios >= 1.0 - clip)
        scaled: Floats = np.where(within, ratios * weights, 0.0)
        return scaled

    return weigh
