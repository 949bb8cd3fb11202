"""Search methods by name, and which of them suits a search when none is named.

The names are had without TensorFlow, which the methods themselves need.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from kerasnas.fidelity._fidelity import Fidelity
    from kerasnas.oracles._oracle import SearchOracle

__all__ = [
    "FIDELITIES",
    "ONE_OBJECTIVE",
    "STRATEGIES",
    "Choice",
    "choose",
    "fidelity_of",
    "oracle_of",
]

_ORACLES = {
    "bayesian": "gaussian_process:GaussianProcess",
    "random": "random_search:RandomSearch",
    "grid": "grid_search:GridSearch",
    "local": "local_search:LocalSearch",
    "evolution": "evolution:AgingEvolution",
    "nsga2": "nsga2:NSGA2",
    "reinforce": "reinforce:Reinforce",
    "qlearning": "q_learning:QLearning",
    "predictor": "predictor:PredictorGuided",
}
_POLICIES = {
    "asha": "halving:SuccessiveHalving",
    "hyperband": "hyperband:Hyperband",
}

FIDELITIES = tuple(_POLICIES)
"""Names of policies; as a strategy, each is the Gaussian process with that policy."""

STRATEGIES = (*_ORACLES, *FIDELITIES, "auto")
"""Names of the strategies that work."""

ONE_OBJECTIVE = ("local", "evolution", "reinforce", "qlearning", "predictor")
"""Names of the strategies that seek what is good in the first of several objectives."""

_MANY = 500  # trials from which a Gaussian process takes longer than small networks
_ENOUGH = 60  # candidates from which it pays to train the best of them on
_LONG = 9  # epochs, of which a third of a third is still one
_FACTOR = 3


class Choice(NamedTuple):
    """What `"auto"` has settled on.

    Attributes:
        strategy: A name of a strategy other than `"auto"`.
        fidelity: A name of a policy, or `None` to train all candidates alike.
        reason: Why, in one line.
    """

    strategy: str
    fidelity: str | None
    reason: str


def choose(
    *,
    size: float,
    objectives: int,
    trials: float,
    epochs: int | None,
    staged: bool,
) -> Choice:
    """Settle on a strategy from the space, the budget and the data.

    A Gaussian process finds more in few trials than anything else here (measured in
    `benchmarks/README.md`), so it is taken unless all candidates can be tried, or there are so
    many trials that its own time counts. Where candidates are many, or each is trained for
    long, most of them get a part of the training.

    Args:
        size: Number of candidates in the space; infinite where there are real numbers.
        objectives: Number of objectives.
        trials: Trials that the budget allows, about: a bound on trials, or what the time is
            enough for given the data.
        epochs: Epochs asked for of every training; `None` where looks are short.
        staged: Whether trainings may be of different lengths: not with an oracle's or a
            user's own idea of it.
    """
    if size <= trials:
        return Choice("grid", None, f"the grid, since all {size:.0f} candidates can be tried")
    if trials >= _MANY:
        name = "evolution" if objectives == 1 else "nsga2"
        return Choice(name, None, f"evolution, since there may be {trials:.0f} trials")
    about = "a Gaussian process, which learns most from each trial"
    if objectives > 1:
        return Choice("bayesian", None, f"{about}, on the Pareto front")
    if staged and epochs is not None and epochs >= _LONG:
        return Choice("bayesian", "asha", f"{about}; of {epochs} epochs most get fewer (ASHA)")
    if staged and epochs is None and _ENOUGH <= trials < math.inf:
        reason = f"{about}; of about {trials:.0f} candidates the best are trained on (ASHA)"
        return Choice("bayesian", "asha", reason)
    return Choice("bayesian", None, about)


def oracle_of(
    strategy: str,
    objective: Any,
    max_trials: int | None,
    *,
    limits: Mapping[str, float],
    seed: int | None,
    fidelity: Fidelity | None = None,
) -> SearchOracle:
    """Return the oracle that a name stands for, other than `"auto"`."""
    home = _ORACLES["bayesian" if strategy in FIDELITIES else strategy]
    oracle: SearchOracle = _named("oracles", home)(
        objective, max_trials, limits=limits, seed=seed, fidelity=fidelity
    )
    return oracle


def fidelity_of(fidelity: Any, epochs: int) -> Fidelity | None:
    """Return the policy that a name stands for; policies are returned as they are.

    Args:
        fidelity: `"asha"`, `"hyperband"`, a policy, or `None`.
        epochs: Epochs of the longest training; the shortest has a ninth of them.
    """
    policy: Fidelity | None = fidelity
    if fidelity in FIDELITIES:
        shortest = max(1, epochs // _FACTOR**2)
        make = _named("fidelity", _POLICIES[fidelity])
        policy = make(epochs, shortest, factor=_FACTOR)
    return policy


def _named(package: str, home: str) -> Any:
    module, name = home.split(":")
    return getattr(importlib.import_module(f"kerasnas.{package}.{module}"), name)
