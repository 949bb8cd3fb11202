"""Several objectives: which outcomes no other dominates, and how much they dominate."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["hypervolume", "nondominated"]

Array = npt.NDArray[np.float64]


def nondominated(losses: Array) -> npt.NDArray[np.bool_]:
    """Tell which rows no other row dominates.

    A row dominates another that is nowhere smaller and somewhere larger. Equal rows do not
    dominate each other.

    Args:
        losses: One row an outcome, one column an objective, to minimise.
    """
    no_larger = np.all(losses[:, None, :] <= losses[None, :, :], axis=2)
    smaller = np.any(losses[:, None, :] < losses[None, :, :], axis=2)
    dominated: npt.NDArray[np.bool_] = np.any(no_larger & smaller, axis=0)
    return ~dominated


def hypervolume(losses: Array, reference: Array) -> float:
    """Return the area between outcomes and a reference, for two objectives.

    Args:
        losses: One row an outcome, two columns, to minimise. Rows beyond the reference add
            nothing.
        reference: The losses up to which area counts.
    """
    inside = losses[np.all(losses < reference, axis=1)]
    area, height = 0.0, float(reference[1])
    for first, second in inside[np.lexsort((inside[:, 1], inside[:, 0]))]:
        if second < height:
            area += float((reference[0] - first) * (height - second))
            height = float(second)
    return area
