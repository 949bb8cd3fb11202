"""What is known of a candidate before it is trained: decisions, costs, earlier searches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from kerasnas.oracles.candidates import Candidates
from kerasnas.oracles.cost_model import CostModel
from kerasnas.oracles.decisions import Rows, Values
from kerasnas.oracles.earlier import EarlierSearch
from kerasnas.oracles.kernel import Kernel, Points, Trend
from kerasnas.oracles.regression import Posterior

__all__ = ["Features"]

Array = npt.NDArray[np.float64]

_EARLIER = Trend(slope=1.0, variance=1.0)


class Features:
    """The points of a kernel for the candidates of a space.

    Decisions are compared one by one; the logarithms of the costs and what earlier searches
    predict are trends. Costs are exact for candidates that were tried or are on the shortlist,
    and guessed for the thousands that are weighed.

    Args:
        candidates: What may be proposed, with the costs of the space.
        costs_are_known: Whether costs are to be trends; they are not where one takes long.
        size_prior: By how many deviations of the loss a deviation of log size is expected to
            make a network better.
        earlier: Searches to start from.
    """

    def __init__(
        self,
        candidates: Candidates,
        *,
        costs_are_known: bool = True,
        size_prior: float = 1.0,
        earlier: Sequence[EarlierSearch] = (),
    ) -> None:
        self._candidates = candidates
        self._size_prior = size_prior
        self._decisions = candidates.decisions
        self._plain = Kernel.of(candidates.decisions)
        self._costs: CostModel | None = candidates.cost_model if costs_are_known else None
        modelled = [search.model(candidates.decisions) for search in earlier]
        self.earlier: list[Posterior] = [model for model in modelled if model is not None]
        self.starts: Rows = np.concatenate(
            [np.zeros((0, len(self._decisions)))]
            + [search.best(candidates.decisions) for search in earlier]
        )

    @property
    def num_decisions(self) -> int:
        """The number of decisions that can differ."""
        return len(self._decisions.listed) + self._decisions.num_real

    @property
    def num_costs(self) -> int:
        """The number of costs that are trends."""
        return len(self._costs.names) if self._costs else 0

    def size(self, points: Points) -> Array:
        """Return how large networks are: the mean of their standardised log costs."""
        size: Array = points.trends[:, : self.num_costs].mean(axis=1)
        return size

    def kernel(self, *, quality: bool) -> Kernel:
        """Return the kernel of a quantity.

        Args:
            quality: Whether the quantity is what the search is after: larger networks are
                then expected to be a little better, and earlier searches to be right.
        """
        count = self.num_costs
        size = Trend(-self._size_prior / count if quality and count else 0.0)
        earlier = _EARLIER if quality else Trend()
        trends = (*[size] * count, *[earlier] * len(self.earlier))
        return Kernel.of(self._decisions, trends=trends)

    def of_tried(self, candidates: Sequence[Values]) -> Points:
        """Return candidates with their exact costs."""
        return self.of_shortlisted(self._decisions.encode(candidates))

    def of_shortlisted(self, rows: Rows) -> Points:
        """Return assignments with their exact costs."""
        return self._points(rows, self._exact(map(self._candidates.costs_of, rows)))

    def of_weighed(self, rows: Rows) -> Points:
        """Return assignments with guessed costs."""
        return self._points(rows, self._costs.predict(rows) if self._costs else None)

    def _exact(self, costs: Iterable[Mapping[str, float]]) -> Array | None:
        if self._costs is None:
            return None
        known = [self._costs.standardised(cost) for cost in costs]
        return np.array(known).reshape(len(known), len(self._costs.names))

    def promised(self, points: Points) -> Array:
        """Return the losses that earlier searches alone predict, on average."""
        earlier = points.trends[:, points.trends.shape[1] - len(self.earlier) :]
        promise: Array = earlier.mean(axis=1)
        return promise

    def _points(self, rows: Rows, costs: Array | None) -> Points:
        features = self._decisions.features(rows)
        predictions = [
            model.mean(model.regression.kernel.points(*features)) for model in self.earlier
        ]
        known = np.zeros((len(rows), 0)) if costs is None else costs
        trends = np.column_stack([known, *predictions])
        return self._plain.points(*features, trends)
