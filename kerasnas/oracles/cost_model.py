"""What thousands of candidates will cost, guessed from the costs of a few hundred."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import log_ndtr

from kerasnas.oracles.decisions import Decisions, Rows
from kerasnas.oracles.kernel import Kernel
from kerasnas.oracles.regression import Posterior, Regression

__all__ = ["CostModel"]

Array = npt.NDArray[np.float64]

_SMALL = 1e-3  # of the median; what is smaller counts as that
_REACH = 3.0  # standardised costs are cut off at so many deviations
_MODELLED = 300  # known costs are enough; of more, the last ones count
_EXACT = 0.01  # of the logarithm; no model is believed to err by less


class CostModel:
    """Gaussian processes for the logarithms of costs, one a cost.

    A cost that is known without training still takes from half a millisecond (described) to
    seconds (built), too long to ask for each of the thousands of candidates that a proposal
    weighs. A model of some hundred known costs ranks them in microseconds: its errors, a
    quarter to a third of the spread of the costs in large spaces, are too large to decide
    anything. So what is on the shortlist, or proposed, is held against its true costs.

    Args:
        decisions: The decisions of the space.
        rows: Assignments whose costs are known.
        costs: Their costs; all of them name the same ones.

    Attributes:
        names: The costs that differ among them, sorted.
        errors: For each, the deviation of the logarithm that leaving one out shows.
    """

    def __init__(
        self, decisions: Decisions, rows: Rows, costs: Sequence[Mapping[str, float]]
    ) -> None:
        rows, costs = rows[-_MODELLED:], costs[-_MODELLED:]
        names = sorted(costs[0])
        table = np.array([[cost[name] for name in names] for cost in costs], dtype=float)
        self._floors = dict(zip(names, _floors(table), strict=True))
        logarithms = np.log(_finite(table, np.array(list(self._floors.values()))))
        varies = np.ptp(logarithms, axis=0) > 0
        self.names = [name for name, varied in zip(names, varies, strict=True) if varied]
        logarithms = logarithms[:, varies]
        self._centre, self._scale = logarithms.mean(axis=0), logarithms.std(axis=0)
        self._decisions = decisions
        self._kernel = Kernel.of(decisions, expected_noise=1e-4)
        points = self._kernel.points(*decisions.features(rows))
        self._posteriors: list[Posterior] = []
        self.errors: dict[str, float] = {}
        for index, name in enumerate(self.names):
            targets = (logarithms[:, index] - self._centre[index]) / self._scale[index]
            fitted = Regression.fit(self._kernel, points, targets).given(targets)
            self._posteriors.append(fitted)
            error = float(np.std(fitted.left_out()) * self._scale[index])
            self.errors[name] = max(error, _EXACT)

    def standardised(self, costs: Mapping[str, float]) -> Array:
        """Return known costs as `predict` returns guessed ones."""
        floors = np.array([self._floors[name] for name in self.names])
        values = _finite(np.array([float(costs[name]) for name in self.names]), floors)
        return self._cut((np.log(values) - self._centre) / self._scale)

    def predict(self, rows: Rows) -> Array:
        """Return guessed costs, one row a candidate, one column per name.

        They are logarithms, with mean 0 and deviation 1 over the costs that are known, and cut
        off at three deviations.
        """
        return self._cut(self._guess(rows))

    def log_probability(self, rows: Rows, limits: Mapping[str, float]) -> Array:
        """Return the logarithm of how probably each candidate keeps all limits."""
        total = np.zeros(len(rows))
        if not any(name in limits for name in self.names):
            return total
        guesses = self._guess(rows) * self._scale + self._centre
        for index, name in enumerate(self.names):
            if name in limits:
                room = np.log(max(limits[name], self._floors[name])) - guesses[:, index]
                total += log_ndtr(room / self.errors[name])
        return total

    def _guess(self, rows: Rows) -> Array:
        points = self._kernel.points(*self._decisions.features(rows))
        guesses = [posterior.mean(points) for posterior in self._posteriors]
        return np.column_stack(guesses) if guesses else np.zeros((len(rows), 0))

    @staticmethod
    def _cut(standardised: Array) -> Array:
        return np.clip(standardised, -_REACH, _REACH)


def _floors(table: Array) -> Array:
    known = [column[np.isfinite(column)] for column in table.T]
    medians = np.array([np.median(column) if len(column) else 0.0 for column in known])
    return np.where(medians > 0, _SMALL * medians, 1.0)


def _finite(costs: Array, floors: Array) -> Array:
    """Return costs that have a logarithm: none below the floor, none without end."""
    top = floors / _SMALL**2
    return np.clip(np.nan_to_num(costs, nan=np.inf, posinf=np.inf), floors, top)
