"""Several scores as one order, and as what decides between equals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

__all__ = ["order", "summed_ranks"]

Array = npt.NDArray[np.float64]


def summed_ranks(scores: Mapping[str, Sequence[float]]) -> Array:
    """Add up the places of each candidate in each score, so that no unit matters.

    Args:
        scores: By name, a number for each candidate, larger is better. NaN is the worst;
            equal numbers share the mean of their places.

    Returns:
        A number for each candidate: the larger, the better in most scores.

    Raises:
        ValueError: If there is no score, or not as many numbers of each.
    """
    if len({len(column) for column in scores.values()}) != 1:
        counts = {name: len(column) for name, column in scores.items()}
        raise ValueError(
            "Each score needs a number for each candidate. Received: scores with "
            f"{counts or 'no names'}. Score all candidates by all of them."
        )
    table = np.nan_to_num(
        np.array(list(scores.values()), dtype=float),
        nan=-np.inf,
        posinf=np.inf,
        neginf=-np.inf,
    )
    ranks: Array = rankdata(table, axis=1).sum(axis=0)
    return ranks


def order(primary: Sequence[float], scores: Mapping[str, Sequence[float]]) -> list[int]:
    """Order candidates by what counts, and only among equals by scores.

    Args:
        primary: What counts, such as a validation accuracy: larger is better, NaN the worst.
        scores: What decides between equals, as in `summed_ranks`.

    Returns:
        Positions, best first; those equal in everything in the order given.
    """
    first = np.nan_to_num(np.asarray(primary, dtype=float), nan=-np.inf, neginf=-np.inf)
    ties = summed_ranks({**scores, "": [0.0] * len(first)})
    return [int(place) for place in np.lexsort((-ties, -first))]
