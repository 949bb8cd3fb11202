"""Losses made fit for a Gaussian process."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["compressed"]

Array = npt.NDArray[np.float64]

_GENTLE = 3.0  # reaches above the median at which compression sets in
_WORST = 10.0  # reaches, after compression; what is worse counts as that


def compressed(losses: Array) -> Array:
    """Return standardised losses whose bad tail is on a logarithmic scale.

    Accuracies of a search space pile up below the best and have a long tail of bad networks. A
    process fitted to them as they are spends itself on the tail; one that sees only ranks
    takes the last digits of the best for differences, and loses that effects add up. So
    losses above the median become `3 * log(1 + x / 3)` in units of the reach from the median
    to the best, and those below are left as they are. The order is kept up to a far end, and
    neither unit nor origin matters.
    """
    median = np.median(losses)
    reach = float(median - losses.min()) or float(np.ptp(losses)) or 1.0
    apart = (losses - median) / reach
    tail = _GENTLE * np.log1p(np.maximum(apart, 0.0) / _GENTLE)
    tamed = np.where(apart > 0, np.minimum(tail, _WORST), apart)
    deviation = tamed.std()
    standardised: Array = (tamed - tamed.mean()) / (deviation if deviation > 0 else 1.0)
    return standardised
