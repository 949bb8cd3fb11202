"""Rank correlations, and how they vary with the members that were drawn."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

__all__ = ["partial", "resampled", "spearman"]

Array = npt.NDArray[np.float64]


def spearman(one: npt.ArrayLike, two: npt.ArrayLike) -> Array:
    """Return Spearman's correlation along the last axis, 0 where one of both is constant.

    Args:
        one: Figures of members, shape (..., n).
        two: Others of the same members, of a shape that broadcasts with it.

    Returns:
        Shape (...), -1 to 1.
    """
    x, y = (rankdata(figures, axis=-1) for figures in (one, two))
    x, y = (ranks - ranks.mean(axis=-1, keepdims=True) for ranks in (x, y))
    scale = np.sqrt((x**2).sum(axis=-1) * (y**2).sum(axis=-1))
    return np.asarray((x * y).sum(axis=-1) / np.where(scale > 0, scale, 1.0))


def partial(one: npt.ArrayLike, two: npt.ArrayLike, given: npt.ArrayLike) -> float:
    """Return the rank correlation that is left among equals in a third quantity.

    It is the partial correlation of ranks; 0 where the third decides one of both. All have
    shape (n,).
    """
    r12, r13, r23 = spearman(one, two), spearman(one, given), spearman(two, given)
    scale = (1 - r13**2) * (1 - r23**2)
    return 0.0 if scale < 1e-12 else float((r12 - r13 * r23) / np.sqrt(scale))


def resampled(one: npt.ArrayLike, two: npt.ArrayLike, repeats: int = 2_000) -> Array:
    """Return the correlation of all members, and those of a bootstrap over members.

    Which members are drawn depends on their number only. So samples of two scores of the same
    members can be subtracted one by one.

    Args:
        one: Figures of members, shape (..., n).
        two: Others of the same members, shape (n,).
        repeats: Bootstrap samples.

    Returns:
        Shape (..., 1 + repeats); the first is of all members, each once.
    """
    one, two = np.asarray(one), np.asarray(two)
    count = len(two)
    drawn = np.random.default_rng(0).integers(count, size=(repeats, count))
    drawn = np.vstack([np.arange(count), drawn])
    return spearman(one[..., drawn], two[drawn])
