"""How well scores tell two groups apart: the areas under their curves.

NumPy only; checked against scikit-learn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["average_precision", "groups", "ranks", "roc_auc", "roc_auc_one_vs_rest"]

Floats = NDArray[np.float64]


def roc_auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """The area under the ROC curve: how often a positive scores above a negative.

    Equal scores count half, as do the many that an int8 file gives.

    Args:
        labels: `(n,)` of 0 and 1, both present.
        scores: `(n,)`, larger where 1 is likelier, on any scale.

    Returns:
        From 0 to 1; 0.5 says nothing.

    Raises:
        ValueError: If a group is missing, or scores are not finite numbers, one a label.
    """
    positives, negatives = groups(labels, scores)
    ranked = ranks(np.concatenate([positives, negatives]))
    above = ranked[: len(positives)].sum()
    count = len(positives)
    return float((above - count * (count + 1) / 2) / (count * len(negatives)))


def roc_auc_one_vs_rest(labels: ArrayLike, scores: ArrayLike) -> float:
    """The mean area under the ROC curves of each class against all others.

    Args:
        labels: `(n,)` whole numbers, of at least two classes; or `(n, k)` of 0 and 1, where
            an example may have several. Classes that all or none of the examples have are
            left out of the mean.
        scores: `(n, k)`, a column a class: probabilities, or what grows with them.

    Raises:
        ValueError: If no class has examples within and without, or scores are not finite.
    """
    return _mean_of_columns(roc_auc, labels, scores)


def average_precision(labels: ArrayLike, scores: ArrayLike) -> float:
    """The mean precision over the positives, each at its own score.

    Where positives are rare it says more than the area under the ROC curve. The sum of
    precisions times steps in recall, without interpolation, as scikit-learn has it.

    Args:
        labels: `(n,)` of 0 and 1, or `(n, k)`: then the mean over the columns that have both.
        scores: In the same shape, larger where 1 is likelier.

    Returns:
        From 0 to 1; scores that say nothing get the share of positives.

    Raises:
        ValueError: If a group is missing, or scores are not finite numbers, one a label.
    """
    if np.ndim(labels) == 2:
        return _mean_of_columns(average_precision, labels, scores)
    positives, negatives = groups(labels, scores)
    thresholds, counts = np.unique(positives, return_counts=True)
    below = [np.searchsorted(np.sort(group), thresholds) for group in (positives, negatives)]
    true, false = len(positives) - below[0], len(negatives) - below[1]
    return float((counts * true / (true + false)).sum() / len(positives))


def groups(labels: ArrayLike, scores: ArrayLike) -> tuple[Floats, Floats]:
    """The scores of positives and of negatives.

    Args:
        labels: `(n,)` of 0 and 1, both present.
        scores: `(n,)` finite numbers.

    Raises:
        ValueError: If they are anything else.
    """
    labels, scores = np.asarray(labels), np.asarray(scores, np.float64)
    if labels.shape != scores.shape or labels.ndim != 1 or not np.isfinite(scores).all():
        raise ValueError(
            "Each label has one score, a finite number. Received: labels of shape "
            f"{labels.shape} and scores of shape {scores.shape}. Pass one column of scores."
        )
    if not np.isin(labels, (0, 1)).all():
        raise ValueError(
            "Labels say 0 or 1, for two groups. Received: labels "
            f"{np.unique(labels)[:5].tolist()}. Compare, for example: labels == 2."
        )
    positives, negatives = scores[labels == 1], scores[labels == 0]
    if not len(positives) or not len(negatives):
        raise ValueError(
            "Two groups are told apart only where both are present. Received: "
            f"{len(positives)} positives and {len(negatives)} negatives. Add the other group."
        )
    return positives, negatives


def _mean_of_columns(
    measure: Callable[[Any, Any], float], labels: ArrayLike, scores: ArrayLike
) -> float:
    """The mean of a measure over the columns of `scores` that have both groups."""
    given, columns = np.asarray(labels), np.asarray(scores)
    if given.ndim == 1:
        given = given[:, None] == np.arange(columns.shape[-1])
    if given.shape != columns.shape:
        raise ValueError(
            "Each label has one score. Received: labels of shape "
            f"{given.shape} and scores of shape {columns.shape}. Pass a column a class."
        )
    shares = given.mean(axis=0)
    mixed = np.flatnonzero((shares > 0) & (shares < 1))
    if not len(mixed):
        raise ValueError(
            "A class is told apart only from others. Received: no class that some of the "
            f"{len(given)} examples have and others have not. Add examples."
        )
    return float(np.mean([measure(given[:, one], columns[:, one]) for one in mixed]))


def ranks(values: Floats) -> Floats:
    """Ranks from 1; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    middles = np.cumsum(counts) - (counts - 1) / 2
    ranked: Floats = middles[inverse.reshape(-1)]
    return ranked
