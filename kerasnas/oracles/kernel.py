"""A kernel that compares candidates decision by decision."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from sklearn.gaussian_process.kernels import (
    Hyperparameter,
    NormalizedKernelMixin,
    StationaryKernelMixin,
)
from skopt.learning.gaussian_process.kernels import Kernel

from kerasnas.oracles.decisions import INACTIVE, Rows

__all__ = ["DecisionKernel", "distances"]

Array = npt.NDArray[np.float64]


class DecisionKernel(NormalizedKernelMixin, StationaryKernelMixin, Kernel):
    """`exp(-sum_j weights[j] * d_j(x, y))`, with a distance `d_j` in `[0, 1]` per decision.

    A weight tells how much the decision matters: at 0 it is ignored, at 1 another value
    leaves a correlation of 0.37. For the distances see `distances`.

    Args:
        weights: One non-negative weight per feature.
        categorical: For each feature, whether it has no order.
        weights_bounds: Bounds for fitting the weights.
    """

    def __init__(
        self,
        weights: Array,
        categorical: tuple[bool, ...],
        weights_bounds: tuple[float, float] = (1e-3, 1e1),
    ):
        self.weights = weights
        self.categorical = categorical
        self.weights_bounds = weights_bounds
        self._last: tuple[Rows, Array] | None = None

    @property
    def hyperparameter_weights(self) -> Hyperparameter:
        return Hyperparameter("weights", "numeric", self.weights_bounds, len(self.categorical))

    def __call__(
        self, X: Rows, Y: Rows | None = None, eval_gradient: bool = False
    ) -> Array | tuple[Array, Array]:
        weights = np.atleast_1d(self.weights)  # one weight comes back as a number
        if eval_gradient:
            apart = self._own_distances(X)
            kernel = np.exp(-apart @ weights)
            return kernel, apart * (-kernel[:, :, None] * weights)  # by log(weights)
        total = np.zeros((len(X), len(X if Y is None else Y)))
        for weight, distance in zip(
            weights, distances(X, X if Y is None else Y, self.categorical), strict=True
        ):
            total += weight * distance
        return np.exp(-total)

    def _own_distances(self, X: Rows) -> Array:
        """Return the distances among `X`, kept because a fit asks for them many times."""
        if self._last is None or self._last[0] is not X:
            apart = np.zeros((len(X), len(X), len(self.categorical)))
            for j, distance in enumerate(distances(X, X, self.categorical)):
                apart[:, :, j] = distance
            self._last = X, apart
        return self._last[1]


def distances(x: Rows, y: Rows, categorical: tuple[bool, ...]) -> Iterator[Array]:
    """Yield, feature by feature, how far apart each row of `x` is from each of `y`.

    A categorical decision is 0 apart where equal and 1 where not, an ordered one as far as
    its places in `[0, 1]`. A decision that is active on one side only counts 1, one that is
    inactive on both counts 0. Each distance embeds in L1, so the kernel is positive definite.
    """
    for j, unordered in enumerate(categorical):
        a, b = x[:, j, None], y[None, :, j]
        if unordered:
            yield (a != b).astype(float)
        else:
            lopsided = (a == INACTIVE) != (b == INACTIVE)
            yield np.where(lopsided, 1.0, np.abs(a - b))
