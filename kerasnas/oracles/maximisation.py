"""Maximise a score over the candidates that may still be proposed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from kerasnas.oracles.candidates import Candidates
from kerasnas.oracles.decisions import Row, Rows

__all__ = ["Score", "maximise"]

Score = Callable[[Rows], npt.NDArray[np.float64]]

_LISTED = 1000  # a space with at most so many assignments is scored whole
_BEHIND = 1e9  # subtracted from the score of what must come last
_POOL = 1000  # random assignments scored
_MUTANTS = 500  # and assignments a few decisions away from the starts
_MUTATED = 3  # decisions that such an assignment changes, at most
_LOOKED_AT = 32  # of them, how many from the top are held against the limits
_RANDOM_STARTS = 4
_REPAIRED = 2  # of the pool's best, if none of those keeps the limits
_STEPS = 20
_LOOKED_AT_PER_STEP = 16


def maximise(
    score: Score, candidates: Candidates, starts: Rows, rng: np.random.Generator
) -> Row | None:
    """Find a candidate with a high score that is new and keeps the limits.

    A small space is scored whole. In a large one, climbers start from `starts` and from the
    best of a pool, random assignments and mutants of the starts, and go to the best admitted
    neighbour, which differs in one decision, as long as it is better. Limits are checked last
    and only from the top of each ranking, because costs take far longer than scores (and, if
    one takes seconds, only where the climbs have ended); where a model of the costs expects
    them to be broken, a candidate comes last.

    Args:
        score: The score of each of many assignments.
        candidates: What may be proposed.
        starts: Assignments to climb from. They need not be admitted themselves.
        rng: Draws the pool, and decisions that become active on the way.

    Returns:
        The best assignment found, `None` if the space is used up.
    """

    def likely(rows: Rows) -> npt.NDArray[np.float64]:
        scores: npt.NDArray[np.float64] = score(rows)
        return np.where(candidates.breaks_limits(rows), scores - _BEHIND, scores)

    members = candidates.decisions.members(_LISTED)
    if members is not None:
        return candidates.first(_ranked(members, likely))
    visited: list[tuple[float, Row]] = []
    climbers = [(-np.inf, row) for row in starts]
    climbers += _from_pool(likely, candidates, starts, rng)
    for _ in range(_STEPS):
        if not climbers:
            break
        visited += climbers
        climbers = _step(climbers, likely, candidates, rng)
    visited += climbers
    # The starts may have been tried; all others may be proposed, as far as is known.
    ranked = sorted((c for c in visited if c[0] > -np.inf), key=lambda climber: -climber[0])
    best = candidates.first(row for _, row in ranked)
    return candidates.draw(rng) if best is None else best


def _from_pool(
    score: Score, candidates: Candidates, starts: Rows, rng: np.random.Generator
) -> list[tuple[float, Row]]:
    """Return the best admitted assignments of a pool, with their scores."""
    rows = candidates.decisions.sample(rng, _POOL)
    if len(starts):
        rows = np.concatenate([rows, _mutants(candidates, starts, rng)])
    pool = _ranked(rows, score)
    admitted: list[Row] = []
    for row in pool[:_LOOKED_AT]:
        if candidates.first_likely([row]) is not None:
            admitted.append(row)
        if len(admitted) == _RANDOM_STARTS:
            break
    if not admitted:  # tight limits
        repaired = (candidates.repair(row, rng) for row in pool[:_REPAIRED])
        admitted = [row for row in repaired if row is not None]
    return list(zip(score(np.array(admitted)), admitted, strict=True)) if admitted else []


def _mutants(candidates: Candidates, starts: Rows, rng: np.random.Generator) -> Rows:
    """Return assignments that differ from a start in up to three active decisions."""
    rows = starts[rng.integers(len(starts), size=_MUTANTS)]
    return candidates.decisions.redrawn(rows, rng.integers(1, _MUTATED + 1, _MUTANTS), rng)


def _step(
    climbers: list[tuple[float, Row]],
    score: Score,
    candidates: Candidates,
    rng: np.random.Generator,
) -> list[tuple[float, Row]]:
    """Move each climber to its best admitted neighbour, if that is better; drop the others."""
    around = [candidates.decisions.neighbours(row, rng) for _, row in climbers]
    climbers = [climber for climber, rows in zip(climbers, around, strict=True) if len(rows)]
    around = [rows for rows in around if len(rows)]
    if not around:
        return []
    scores = np.split(
        score(np.concatenate(around)), np.cumsum([len(rows) for rows in around])[:-1]
    )
    moved = []
    for (height, _), rows, heights in zip(climbers, around, scores, strict=True):
        order = np.argsort(-heights, kind="stable")[:_LOOKED_AT_PER_STEP]
        uphill = [index for index in order if heights[index] > height]
        found = next(
            (i for i in uphill if candidates.first_likely([rows[i]]) is not None), None
        )
        if found is not None:
            moved.append((float(heights[found]), rows[found]))
    return moved


def _ranked(rows: Rows, score: Score) -> Rows:
    return rows[np.argsort(-score(rows), kind="stable")]
