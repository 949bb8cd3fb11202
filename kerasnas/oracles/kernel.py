"""The covariance of two candidates' scores: decision by decision, and along trends."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.linalg import block_diag

from kerasnas.oracles.decisions import INACTIVE, Decisions

__all__ = ["Kernel", "Points", "Trend"]

Array = npt.NDArray[np.float64]

_SIGNAL_SPREAD, _NOISE_SPREAD, _WEIGHT_SPREAD = 0.5, 1.5, 1.5
_DIFFERENCE = 3.0
_NOISE_FLOOR = 1e-6
_REACH = 5.0  # hyperparameters stay within so many units of logarithm around their priors


@dataclasses.dataclass(frozen=True)
class Trend:
    """A number known of each candidate without training, along which scores may change.

    Attributes:
        slope: What one unit of the number adds to a standardised score, before any data.
        variance: How uncertain that slope is: 0.3 allows for slopes of about half a deviation
            of the scores per unit.
        spread: How uncertain that variance is, as a deviation of its logarithm.
    """

    slope: float = 0.0
    variance: float = 0.3
    spread: float = 1.0


@dataclasses.dataclass(frozen=True)
class Points:
    """Candidates as a kernel compares them.

    Attributes:
        options: One column per option of every listed decision, 1 where it is taken.
        places: One column per real decision, in `[0, 1]`, or `INACTIVE`.
        trends: One column per trend.
    """

    options: Array
    places: Array
    trends: Array

    def __len__(self) -> int:
        return len(self.options)

    def shifted(self, centre: Array) -> Points:
        """Return these candidates with trends counted from `centre`."""
        return dataclasses.replace(self, trends=self.trends - centre)

    def joined(self, others: Points) -> Points:
        """Return these candidates followed by others."""
        return Points(
            np.concatenate([self.options, others.options]),
            np.concatenate([self.places, others.places]),
            np.concatenate([self.trends, others.trends]),
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Kernel:
    """The prior covariance of standardised scores, and priors of its hyperparameters.

        k(x, y) = signal * prod_j k_j(x_j, y_j) + sum_t variance_t * h_t(x) * h_t(y)

    Every decision `j` contributes `exp(-w_j * d_j)`, with a distance `d_j` in `[0, 1]`: of a
    categorical decision 0 or 1, which makes the exponential of a weighted Hamming distance;
    of an ordered one how far apart the places are, which makes the Matern kernel of
    smoothness 1/2. (Smoother ones, 3/2 and 5/2, are sure of too much between few points and
    did worse, see the benchmarks.) A decision that is inactive on both sides is 0 apart, so
    it neither matches nor distracts; one that is active on one side only is 1 apart. Each
    distance embeds in L1, so the kernel is positive definite.

    A trend `t` adds a straight line in a number `h_t` such as the logarithm of the parameters.

    The vector `theta` holds logarithms: the signal variance, the noise variance, one weight
    per decision (listed ones first), one variance per trend. Its prior is normal, and says
    that candidates which differ in every decision are nearly unrelated (correlation
    `exp(-3)`), that no decision matters more than another, and that `expected_noise` of the
    variance is noise, each within a factor of about 4.

    Args:
        listed: For each decision whose options can be listed, the distances among them; the
            last option is "inactive".
        num_real: The number of other decisions.
        trends: The trends.
        expected_noise: The variance of noise on standardised scores, before any data.
    """

    listed: tuple[Array, ...]
    num_real: int = 0
    trends: tuple[Trend, ...] = ()
    expected_noise: float = 0.05

    @classmethod
    def of(
        cls,
        decisions: Decisions,
        *,
        trends: tuple[Trend, ...] = (),
        expected_noise: float = 0.05,
    ) -> Kernel:
        """Return the kernel for the decisions of a space."""
        listed = tuple(
            1.0 - np.eye(len(decision.options or ()) + 1)
            if decision.places is None
            else _apart(*[np.append(decision.places, INACTIVE)] * 2)
            for decision in decisions.listed
        )
        return cls(listed, decisions.num_real, trends, expected_noise)

    @functools.cached_property
    def prior_mean(self) -> Array:
        """The most likely `theta` before any data."""
        weights = [math.log(_DIFFERENCE / max(self._num_weights, 1))] * self._num_weights
        trends = [math.log(trend.variance) for trend in self.trends]
        return np.array([0.0, math.log(self.expected_noise), *weights, *trends])

    @functools.cached_property
    def prior_deviation(self) -> Array:
        """How far `theta` may be from that."""
        weights = [_WEIGHT_SPREAD] * self._num_weights
        trends = [trend.spread for trend in self.trends]
        return np.array([_SIGNAL_SPREAD, _NOISE_SPREAD, *weights, *trends])

    @property
    def bounds(self) -> list[tuple[float, float]]:
        """Where `theta` is sought."""
        return [(mean - _REACH, mean + _REACH) for mean in self.prior_mean]

    def points(self, indices: Array, places: Array, trends: Array | None = None) -> Points:
        """Prepare candidates for comparison.

        Args:
            indices: The option of each listed decision, or `INACTIVE`.
            places: The place of each real decision in `[0, 1]`, or `INACTIVE`.
            trends: The number of each trend; none by default.
        """
        options = np.zeros((len(indices), self._starts[-1]))
        # An inactive decision, -1, takes the last of the options.
        taken = indices.astype(int) % np.diff(self._starts)
        options[np.arange(len(indices))[:, None], self._starts[:-1] + taken] = 1.0
        return Points(
            options, places, np.zeros((len(indices), 0)) if trends is None else trends
        )

    def mean(self, points: Points) -> Array:
        """Return the scores that the trends alone promise."""
        mean: Array = points.trends @ np.array([trend.slope for trend in self.trends])
        return mean

    def diagonal(self, theta: Array, points: Points) -> Array:
        """Return the variance of each candidate's score, without noise."""
        variance: Array = np.exp(theta[0]) + points.trends**2 @ self._variances(theta)
        return variance

    def __call__(self, theta: Array, one: Points, two: Points) -> Array:
        """Return the covariances of candidates, without noise."""
        separations = self._real_separations(one, two)
        product = self._product(theta, one, two, separations)
        return product + (one.trends * self._variances(theta)) @ two.trends.T

    def with_gradient(
        self, theta: Array, points: Points
    ) -> tuple[Array, Callable[[Array], Array]]:
        """Return the covariances, noise included, and how they change with `theta`.

        The second is a function from a symmetric matrix `s` to the derivatives of the sum of
        `s * k`. With options as indicator columns all are matrix products; no matrix of all
        pairs is made per listed decision.
        """
        separations = self._real_separations(points, points)
        product = self._product(theta, points, points, separations)
        variances, noise = self._variances(theta), float(np.exp(theta[1]))
        covariances = product + (points.trends * variances) @ points.trends.T
        covariances[np.diag_indices(len(points))] += noise + _NOISE_FLOOR

        def gradient(sensitivity: Array) -> Array:
            shared = sensitivity * product
            pairs = points.options.T @ (shared @ points.options)
            listed = [
                -weight * np.sum(pairs[start:end, start:end] * apart)
                for apart, weight, start, end in self._blocks(theta)
            ]
            real = [
                -weight * np.sum(shared * apart)
                for weight, apart in zip(self._real_weights(theta), separations, strict=True)
            ]
            along = np.einsum("nt,nt->t", points.trends, sensitivity @ points.trends)
            own = noise * np.trace(sensitivity)
            return np.concatenate([[shared.sum(), own], listed, real, variances * along])

        return covariances, gradient

    # --- where things are in theta ------------------------------------------------------

    @property
    def _num_weights(self) -> int:
        return len(self.listed) + self.num_real

    @functools.cached_property
    def _starts(self) -> npt.NDArray[np.int64]:
        """Where the columns of each listed decision start, and where the last ones end."""
        return np.cumsum([0, *map(len, self.listed)])

    def _blocks(self, theta: Array) -> list[tuple[Array, float, int, int]]:
        weights = np.exp(theta[2 : 2 + len(self.listed)])
        starts = self._starts
        return list(zip(self.listed, weights, starts[:-1], starts[1:], strict=True))

    def _real_weights(self, theta: Array) -> Array:
        weights: Array = np.exp(theta[2 + len(self.listed) : 2 + self._num_weights])
        return weights

    def _variances(self, theta: Array) -> Array:
        variances: Array = np.exp(theta[2 + self._num_weights :])
        return variances

    def _real_separations(self, one: Points, two: Points) -> list[Array]:
        return [_apart(one.places[:, j], two.places[:, j]) for j in range(self.num_real)]

    def _product(
        self, theta: Array, one: Points, two: Points, separations: list[Array]
    ) -> Array:
        if self.listed:
            tables = [-weight * apart for apart, weight, _, _ in self._blocks(theta)]
            logarithm = one.options @ block_diag(*tables) @ two.options.T
        else:
            logarithm = np.zeros((len(one), len(two)))
        for weight, apart in zip(self._real_weights(theta), separations, strict=True):
            logarithm -= weight * apart
        product: Array = np.exp(logarithm + theta[0])
        return product


def _apart(one: Array, two: Array) -> Array:
    """Return how far places are from each other, from 0 to 1."""
    a, b = one[:, None], two[None, :]
    return np.where((a == INACTIVE) != (b == INACTIVE), 1.0, np.abs(a - b))
