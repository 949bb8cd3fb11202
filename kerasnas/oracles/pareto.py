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
    """Return the volume between outcomes and a reference.

    Cut into slices along the last objective: each is as thick as the step to the next outcome,
    and its cross-section is the volume in one dimension less. That is quick for the fronts of
    a few dozen outcomes and the two to four objectives that searches have.

    Args:
        losses: One row an outcome, one column an objective, to minimise. Rows beyond the
            reference add nothing.
        reference: The losses up to which volume counts.
    """
    inside = losses[np.all(losses < reference, axis=1)]
    if not len(inside):
        return 0.0
    if len(reference) == 1:
        return float(reference[0] - inside.min())
    inside = inside[np.argsort(inside[:, -1], kind="stable")]
    edges = np.append(inside[:, -1], reference[-1])
    slices = [
        thickness * hypervolume(inside[:count, :-1], reference[:-1])
        for count, thickness in enumerate(np.diff(edges).tolist(), start=1)
        if thickness > 0
    ]
    return float(sum(slices))
