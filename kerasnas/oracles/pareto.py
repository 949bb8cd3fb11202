"""Several objectives: which outcomes dominate which, how much, and how far apart they are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["best_spread", "crowding", "hypervolume", "nondominated", "ranks"]

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


def nondominated(losses: Array) -> npt.NDArray[np.bool_]:
    """Tell which rows no other row dominates.

    A row dominates another that is nowhere smaller and somewhere larger. Equal rows do not
    dominate each other.

    Args:
        losses: One row an outcome, one column an objective, to minimise.
    """
    dominated: Flags = np.any(_dominates(losses), axis=0)
    return ~dominated


def ranks(losses: Array) -> npt.NDArray[np.int64]:
    """Number the front that each row is on.

    The first front, 0, is what no other row dominates; each next one is what none dominates
    but rows of earlier fronts.

    Args:
        losses: One row an outcome, one column an objective, to minimise.
    """
    dominates = _dominates(losses)
    dominators = dominates.sum(axis=0)
    found = np.full(len(losses), -1)
    rank = 0
    while len(front := np.flatnonzero((found < 0) & (dominators == 0))):
        found[front] = rank
        dominators -= dominates[front].sum(axis=0)
        rank += 1
    return found


def crowding(losses: Array) -> Array:
    """Tell how much room each row has among the others of its front.

    That is the distance between the next smaller and the next larger row along an objective,
    as a share of the range of all, summed over the objectives; infinite for the smallest and
    the largest row of any. An objective in which all are equal does not count.

    Args:
        losses: One row an outcome of one front, one column an objective.

    References:
        Deb et al., "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II", 2002,
        section III.B.
    """
    room = np.zeros(len(losses))
    for column in losses.T:
        order = np.argsort(column, kind="stable")
        ascending = column[order]
        if not len(order) or ascending[0] == ascending[-1]:
            continue
        room[order[[0, -1]]] = np.inf
        gaps = (ascending[2:] - ascending[:-2]) / (ascending[-1] - ascending[0])
        room[order[1:-1]] += gaps
    return room


def best_spread(losses: Array) -> npt.NDArray[np.int64]:
    """Order rows front after front, and within a front by room: those with most first.

    Args:
        losses: One row an outcome, one column an objective, to minimise.

    Returns:
        The places of the rows, best first; of equal ones the earlier row first.
    """
    rank = ranks(losses)
    room = np.zeros(len(losses))
    for front in range(rank.max(initial=-1) + 1):
        on = rank == front
        room[on] = crowding(losses[on])
    return np.lexsort((-room, rank))


def _dominates(losses: Array) -> Flags:
    """Tell of each row (first axis) whether it dominates each other one (second axis)."""
    no_larger = np.all(losses[:, None, :] <= losses[None, :, :], axis=2)
    smaller = np.any(losses[:, None, :] < losses[None, :, :], axis=2)
    dominates: Flags = no_larger & smaller
    return dominates


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
