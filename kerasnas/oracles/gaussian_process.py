"""Bayesian optimisation with a Gaussian process over the decisions of a space."""

from __future__ import annotations

import dataclasses
import functools
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.optimize
from keras_tuner.engine.trial import Trial
from sklearn.exceptions import ConvergenceWarning
from skopt.acquisition import gaussian_ei
from skopt.learning import GaussianProcessRegressor
from skopt.learning.gaussian_process.kernels import ConstantKernel, WhiteKernel
from skopt.sampler import Lhs
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from kerasnas.oracles._oracle import SearchOracle
from kerasnas.oracles.acquisition import maximise
from kerasnas.oracles.decisions import Decisions, Row, Rows, Values
from kerasnas.oracles.kernel import DecisionKernel

__all__ = ["GaussianProcess"]

Array = npt.NDArray[np.float64]

_RIVALS = 2  # random candidates for each place of the design, where there are limits
_CLIMBS = 6  # local searches that start from the best finished trials
_OUTLIER = 5.0  # scores are clipped at so many good half-ranges below the median


class GaussianProcess(SearchOracle):
    """Bayesian optimisation: learn which decisions matter, try where improvement is likely.

    The first candidates are spread over the space by a Latin hypercube. From then on a
    Gaussian process is fitted to the scores, with one weight per decision that tells how much
    it matters (`DecisionKernel`), and the candidate with the largest expected improvement
    over the best posterior mean is proposed, found by local search over the candidates that
    are new and keep the limits. Because the incumbent is a posterior mean, one lucky training
    run does not hold the search; because categories are compared as equal or not, no false
    order is learned; because inactive decisions are ignored, conditional spaces do not
    confuse it.

    Trials that are still running count as if they had scored their prediction, so parallel
    workers get different candidates; runs are repeatable only with one worker. Failed trials
    teach it nothing but that they were tried.

    Designs, regressor and acquisition function are scikit-optimize's.

    Args:
        objective: As in `keras_tuner.Oracle`; one objective only.
        max_trials: Number of candidates to try at most.
        num_initial_points: Candidates of the initial design. More make the first fit safer,
            fewer leave more trials to the model. By default a third of the number of
            decisions, at least 4 and at most 10.
        **kwargs: As for every oracle: `hyperparameters`, `seed`, `costs`, `limits`,
            `identity`, `max_retries_per_trial`, ...

    Raises:
        ValueError: If `num_initial_points` is less than 2.

    Example:

    ```python
    tuner = keras_tuner.Tuner(
        oracle=kerasnas.GaussianProcess("val_accuracy", max_trials=50, seed=0),
        hypermodel=search_spaces.MobileNet((32, 32, 3), num_classes=10),
    )
    tuner.search(x, y, validation_split=0.1, epochs=5)
    ```

    Reference:
        Jones et al., "Efficient Global Optimization of Expensive Black-Box Functions",
        Journal of Global Optimization 13, 1998. Unlike the paper we maximise over discrete
        and conditional decisions, and allow for noise.
    """

    def __init__(
        self,
        objective: Any = None,
        max_trials: int | None = None,
        *,
        num_initial_points: int | None = None,
        **kwargs: Any,
    ):
        if num_initial_points is not None and num_initial_points < 2:
            raise ValueError(
                "A Gaussian process needs at least 2 points to start from. "
                f"Received: num_initial_points={num_initial_points}. "
                "Leave it out for a default."
            )
        super().__init__(objective, max_trials, **kwargs)
        self.num_initial_points = num_initial_points

    def suggest(self, finished: Sequence[Trial]) -> Values | None:
        decisions = self.candidates.decisions
        if len(self.trials) < self._num_designed(decisions) or len(finished) < 2:
            row = self._designed(decisions)
        else:
            # Such small matrices take longer on several threads, and round differently.
            with _threads().limit(limits=1, user_api="blas"):
                row = self._improving(decisions, finished)
        return None if row is None else decisions.values(row)

    def _num_designed(self, decisions: Decisions) -> int:
        if self.num_initial_points is not None:
            return self.num_initial_points
        return int(np.clip(len(decisions.categorical) // 3, 4, 10))

    def _designed(self, decisions: Decisions) -> Row | None:
        """Return the initial design's next assignment, or the admitted one nearest to it.

        Under limits, the best networks are near them: the fullest of a few is taken.
        """
        index, count = len(self.trials), self._num_designed(decisions)
        if index >= count or not len(decisions):
            return self.candidates.draw(self.rng)
        unit = Lhs(criterion="maximin", iterations=20).generate(
            [(0.0, 1.0)] * len(decisions),
            count,
            random_state=int(np.random.default_rng(self.seed).integers(2**31)),
        )
        row = decisions.from_unit(np.array(unit)[[index]])[0]
        found = [self.candidates.repair(row, self.rng)]
        if self.limits:
            found += [self.candidates.draw(self.rng) for _ in range(_RIVALS)]
        admitted = [row for row in found if row is not None]
        return max(admitted, key=self.candidates.fullness) if admitted else None

    def _improving(self, decisions: Decisions, finished: Sequence[Trial]) -> Row | None:
        """Return an assignment with a large expected improvement."""
        rows = decisions.encode([trial.hyperparameters.values for trial in finished])
        features = decisions.features(rows)
        sign = -1.0 if self.objective.direction == "max" else 1.0
        losses = _standardised(np.array([sign * trial.score for trial in finished]))
        model = _fit(features, losses, decisions.categorical)
        expected = model.predict(features)
        running = [trial.hyperparameters.values for trial in self.running]
        if running:
            model = _fantasise(model, decisions.features(decisions.encode(running)))

        posterior = _Posterior(model)

        def improvement(rows: Rows) -> Array:
            scores: Array = gaussian_ei(
                decisions.features(rows), posterior, y_opt=expected.min(), xi=0.0
            )
            return scores

        best = rows[np.argsort(expected, kind="stable")[:_CLIMBS]]
        return maximise(improvement, self.candidates, best, self.rng)


@dataclasses.dataclass(frozen=True)
class _Posterior:
    """What a fitted regressor predicts, by matrix products.

    The regressor's own `predict` sums over pairs of points instead, which takes several times
    as long.
    """

    regressor: GaussianProcessRegressor

    def predict(self, features: Rows, return_std: bool = True) -> tuple[Array, Array]:
        """Return mean and deviation, without noise, at many points."""
        fitted = self.regressor
        covariance = fitted.kernel_(features, fitted.X_train_)
        explained = np.sum(covariance @ fitted.K_inv_ * covariance, axis=1)
        variance = np.maximum(fitted.kernel_.diag(features) - explained, 0.0)
        return covariance @ fitted.alpha_, np.sqrt(variance)


@functools.cache
def _threads() -> ThreadpoolController:
    return ThreadpoolController()


def _standardised(losses: Array) -> Array:
    """Scale losses to mean 0 and deviation 1, after clipping what is far worse than usual."""
    median = np.median(losses)
    reach = max(median - losses.min(), np.quantile(losses, 0.75) - median)
    if reach > 0:
        losses = np.minimum(losses, median + _OUTLIER * reach)
    deviation = losses.std()
    standardised: Array = (losses - losses.mean()) / (deviation if deviation > 0 else 1.0)
    return standardised


def _fit(
    features: Rows, losses: Array, categorical: tuple[bool, ...]
) -> GaussianProcessRegressor:
    """Fit a Gaussian process, its hyperparameters included, by maximum a posteriori.

    The priors say that a candidate which differs in most decisions is nearly unrelated, and
    that about a twentieth of the variance is noise.
    """
    weight = 3.0 / max(len(categorical), 1)
    kernel = ConstantKernel(1.0, (0.1, 10.0)) * DecisionKernel(
        np.full(len(categorical), weight), categorical, (weight / 100, weight * 100)
    ) + WhiteKernel(0.05, (1e-4, 1.0))
    spread = np.array([0.5, *[1.5] * len(categorical), 1.5])  # of the logarithms
    model = GaussianProcessRegressor(
        kernel, alpha=1e-8, optimizer=_maximum_a_posteriori(spread), noise="gaussian"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a bound that is reached
        return model.fit(features, losses)


def _maximum_a_posteriori(spread: Array) -> Callable[..., tuple[Array, float]]:
    """Return an optimizer for a regressor: normal priors around the starting point."""

    def optimizer(
        negative_log_likelihood: Callable[[Array], tuple[float, Array]],
        start: Array,
        bounds: Array,
    ) -> tuple[Array, float]:
        def loss(theta: Array) -> tuple[float, Array]:
            value, gradient = negative_log_likelihood(theta)
            z = (theta - start) / spread
            return value + 0.5 * float(z @ z), gradient + z / spread

        found = scipy.optimize.minimize(
            loss, start, jac=True, bounds=bounds, method="L-BFGS-B", options={"maxiter": 30}
        )
        return found.x, found.fun

    return optimizer


def _fantasise(model: GaussianProcessRegressor, features: Rows) -> GaussianProcessRegressor:
    """Return the model as if what is still running had scored what it predicts."""
    return GaussianProcessRegressor(
        model.kernel_.k1, alpha=1e-8 + model.noise_, optimizer=None
    ).fit(
        np.concatenate([model.X_train_, features]),
        np.concatenate([model.y_train_, model.predict(features)]),
    )
