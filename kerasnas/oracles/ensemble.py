"""Ensembles of predictors: several guesses of a loss, and by how much they differ."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor

__all__ = ["PREDICTORS", "Fit", "Predict", "forest", "networks"]

Array = npt.NDArray[np.float64]

Predict = Callable[[Array], Array]
"""From features `(n, features)` to the guesses of each member `(members, n)`."""

Fit = Callable[[Array, Array, int, np.random.Generator], Predict]
"""From features `(n, features)`, standardised losses `(n,)` and a size to predictions."""

_HIDDEN = (32, 32)
_STEPS = 50  # of L-BFGS; more fit the noise of single trainings
_DECAY = 0.03
_TREES = 10  # of a forest, for each network that an ensemble of networks would have


def networks(features: Array, losses: Array, size: int, rng: np.random.Generator) -> Predict:
    """Train small dense networks that differ in where they started.

    Args:
        features: One row a candidate.
        losses: Standardised.
        size: Number of networks.
        rng: Draws where they start.
    """
    members = [
        MLPRegressor(
            hidden_layer_sizes=_HIDDEN,
            solver="lbfgs",
            alpha=_DECAY,
            max_iter=_STEPS,
            random_state=int(seed),
        )
        for seed in rng.integers(2**31, size=size)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # that is what few steps are for
        for member in members:
            member.fit(features, losses)
    return lambda points: np.array([member.predict(points) for member in members])


def forest(features: Array, losses: Array, size: int, rng: np.random.Generator) -> Predict:
    """Grow extremely randomised trees, each on a sample of its own; trees are the members.

    Args:
        features: One row a candidate.
        losses: Standardised.
        size: A tenth of the number of trees.
        rng: Draws samples and splits.
    """
    trees = ExtraTreesRegressor(
        n_estimators=_TREES * size,
        bootstrap=True,
        random_state=int(rng.integers(2**31)),
    ).fit(features, losses)
    return lambda points: np.array([tree.predict(points) for tree in trees.estimators_])


PREDICTORS: dict[str, Fit] = {"mlp": networks, "forest": forest}
