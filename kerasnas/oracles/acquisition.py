"""How much a candidate promises: expected improvement, in one objective and in two."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.special import erfcx, log_ndtr, ndtr

__all__ = [
    "expected_hypervolume_improvement",
    "expected_improvement",
    "log_expected_improvement",
    "log_feasibility",
]

Array = npt.NDArray[np.float64]

_LOG_ROOT_TAU = 0.5 * math.log(2.0 * math.pi)
_PROBIT = 0.5  # an outcome expected for certain, 1, still fails in one of 44 trials


def expected_improvement(mean: Array, deviation: Array, incumbent: Array | float) -> Array:
    """Return by how much a normal loss is expected to fall below the incumbent."""
    z = (incumbent - mean) / deviation
    improvement: Array = deviation * (z * ndtr(z) + np.exp(-0.5 * z**2 - _LOG_ROOT_TAU))
    return np.maximum(improvement, 0.0)


def log_expected_improvement(mean: Array, deviation: Array, incumbent: float) -> Array:
    """Return the logarithm of `expected_improvement`, also where that is too small to store.

    Far from the incumbent the improvement itself is 0.0 in floating point, and a local search
    has no slope to climb.

    Reference:
        Ament et al., "Unexpected Improvements to Expected Improvement for Bayesian
        Optimization", NeurIPS 2023, https://arxiv.org/abs/2310.20708.
    """
    z = (incumbent - mean) / deviation
    log_density = -0.5 * z**2 - _LOG_ROOT_TAU
    with np.errstate(all="ignore"):  # each branch is evaluated where only the other holds
        near = np.log(z * ndtr(z) + np.exp(log_density))
        # z * ndtr(z) + density = density * (1 + z * sqrt(pi/2) * erfcx(-z / sqrt(2)))
        ratio = -z * math.sqrt(0.5 * math.pi) * erfcx(-z / math.sqrt(2.0))
        far = log_density + np.log1p(-ratio)
        farthest = log_density - 2.0 * np.log(-z)
    logarithm = np.where(z > -1.0, near, np.where(z > -1e3, far, farthest))
    return logarithm + np.log(deviation)


def expected_hypervolume_improvement(
    means: Array, deviations: Array, front: Array, reference: Array
) -> Array:
    """Return how much of the area below a reference two normal losses are expected to add.

    The area that a point `y` adds is, along the first loss, a sum over the steps of the front:
    step `k`, from `a[k]` to `a[k+1]` at height `b[k]`, adds the length of what lies right of
    `y[0]` times what `b[k]` is above `y[1]`. Both expectations are expected improvements.

    Args:
        means: Expected losses, one row a candidate, two columns, independent.
        deviations: Their deviations.
        front: Losses that no other dominates, one a row, in any order; may be empty.
        reference: The losses up to which area counts.

    Returns:
        One area a candidate.

    Reference:
        Emmerich et al., "Hypervolume-based expected improvement: Monotonicity properties and
        exact computation", CEC 2011; the sum here is that of two objectives.
    """
    steps = front[np.argsort(front[:, 0])]
    right = np.append(steps[:, 0], reference[0])
    heights = np.append(reference[1], steps[:, 1])
    reached = expected_improvement(means[:, :1], deviations[:, :1], right)
    lengths = np.diff(reached, axis=1, prepend=0.0)
    rises = expected_improvement(means[:, 1:], deviations[:, 1:], heights)
    area: Array = np.sum(lengths * rises, axis=1)
    return area


def log_feasibility(mean: Array, deviation: Array) -> Array:
    """Return the logarithm of the probability that a trial succeeds.

    Args:
        mean: Expected outcome, where success counts 1 and failure -1.
        deviation: Its deviation.
    """
    probability: Array = log_ndtr(mean / np.sqrt(_PROBIT**2 + deviation**2))
    return probability
