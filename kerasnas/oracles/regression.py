"""Gaussian process regression: fitted by maximum a posteriori, extended point by point."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import numpy.typing as npt
import scipy.optimize
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.linalg.lapack import dpotri
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from kerasnas.oracles.kernel import Kernel, Points

__all__ = ["Posterior", "Regression", "last_fit", "one_thread"]

Array = npt.NDArray[np.float64]

_STEPS = 30  # of the optimizer, at most
_FAILED = 1e10  # the loss where a covariance matrix has no factor


@dataclasses.dataclass(frozen=True)
class Regression:
    """A Gaussian process given where scores were observed, but not yet the scores.

    It holds the Cholesky factor of the covariance matrix, which is most of the work and does
    not depend on the scores. So a new point costs one row of the factor, `O(n**2)`, and
    scores that are standardised anew after every trial cost nothing more.

    Attributes:
        kernel: The prior covariance.
        theta: Its hyperparameters.
        points: Where scores were observed.
        factor: The lower Cholesky factor of their covariance matrix, noise included.
    """

    kernel: Kernel
    theta: Array
    points: Points
    factor: Array

    @classmethod
    def fit(cls, kernel: Kernel, points: Points, scores: Array) -> Regression:
        """Find the hyperparameters that scores and priors make most likely.

        L-BFGS from the prior's mean; the result depends on nothing else.

        Args:
            kernel: The prior covariance, with priors of its hyperparameters.
            points: Where scores were observed, at least one.
            scores: Standardised scores, one a point.
        """
        residuals = scores - kernel.mean(points)
        with one_thread().limit(limits=1, user_api="blas"):
            found = scipy.optimize.minimize(
                functools.partial(_loss, kernel, points, residuals),
                kernel.prior_mean,
                jac=True,
                bounds=kernel.bounds,
                method="L-BFGS-B",
                options={"maxiter": _STEPS},
            )
        return cls.at(kernel, found.x, points)

    @classmethod
    def at(cls, kernel: Kernel, theta: Array, points: Points) -> Regression:
        """Take hyperparameters that are known."""
        covariances, _ = kernel.with_gradient(theta, points)
        return cls(kernel, theta, points, cholesky(covariances, lower=True))

    def extended(self, points: Points) -> Regression:
        """Return the same process with further points, its hyperparameters unchanged."""
        if not len(points):
            return self
        across = solve_triangular(
            self.factor, self.kernel(self.theta, self.points, points), lower=True
        )
        own, _ = self.kernel.with_gradient(self.theta, points)
        size, added = len(self.points), len(points)
        factor = np.zeros((size + added, size + added))
        factor[:size, :size] = self.factor
        factor[size:, :size] = across.T
        factor[size:, size:] = cholesky(own - across.T @ across, lower=True)
        return dataclasses.replace(self, points=self.points.joined(points), factor=factor)

    def given(self, scores: Array) -> Posterior:
        """Return the posterior after these scores, one a point."""
        residuals = scores - self.kernel.mean(self.points)
        return Posterior(self, cho_solve((self.factor, True), residuals))


@dataclasses.dataclass(frozen=True)
class Posterior:
    """What a Gaussian process says about any candidate after some scores.

    Attributes:
        regression: The process and its points.
        weights: The inverse covariance matrix times the scores, less what trends promised.
    """

    regression: Regression
    weights: Array

    def mean(self, points: Points) -> Array:
        """Return the expected scores."""
        fitted = self.regression
        covariances = fitted.kernel(fitted.theta, points, fitted.points)
        mean: Array = covariances @ self.weights + fitted.kernel.mean(points)
        return mean

    def predict(self, points: Points) -> tuple[Array, Array]:
        """Return the expected scores and their deviations, without the noise of a trial."""
        fitted = self.regression
        covariances = fitted.kernel(fitted.theta, fitted.points, points)
        explained = solve_triangular(fitted.factor, covariances, lower=True)
        variance = fitted.kernel.diagonal(fitted.theta, points)
        variance = variance - np.einsum("nm,nm->m", explained, explained)
        mean = self.weights @ covariances + fitted.kernel.mean(points)
        return mean, np.sqrt(np.maximum(variance, 1e-12))

    def imagining(self, points: Points) -> Posterior:
        """Return the posterior as if further points had scored what is expected of them."""
        extended = self.regression.extended(points)
        inner = self.regression.factor @ (self.regression.factor.T @ self.weights)
        scores = inner + self.regression.kernel.mean(self.regression.points)
        return extended.given(np.concatenate([scores, self.mean(points)]))

    def left_out(self) -> Array:
        """Return each score less what the others alone predict for it."""
        fitted = self.regression
        inverse, _ = dpotri(fitted.factor, lower=True)
        residuals: Array = self.weights / np.diag(inverse)
        return residuals


def _loss(
    kernel: Kernel, points: Points, residuals: Array, theta: Array
) -> tuple[float, Array]:
    """Return the negative log posterior of `theta` and its gradient."""
    covariances, gradient = kernel.with_gradient(theta, points)
    apart = (theta - kernel.prior_mean) / kernel.prior_deviation
    try:
        factor = cholesky(covariances, lower=True)
    except np.linalg.LinAlgError:
        return _FAILED, np.zeros_like(theta)
    weights = cho_solve((factor, True), residuals)
    inverse, _ = dpotri(factor, lower=True)
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    value = 0.5 * residuals @ weights + np.log(np.diag(factor)).sum() + 0.5 * apart @ apart
    slope = 0.5 * gradient(inverse - np.outer(weights, weights))
    return float(value), slope + apart / kernel.prior_deviation


def last_fit(count: int, *, always: int, growth: float) -> int:
    """Return at how many points hyperparameters were last fitted when there are `count`.

    Args:
        count: The number of points.
        always: Up to so many, every new point is a reason to fit.
        growth: From then on it takes so many times as many as at the fit before.
    """
    fit = min(count, always)
    while (following := max(fit + 1, int(growth * fit))) <= count:
        fit = following
    return fit


@functools.cache
def one_thread() -> ThreadpoolController:
    """Return what limits BLAS: such small matrices take longer on several threads.

    They would also round differently from one machine to another.
    """
    return ThreadpoolController()
