"""Candidates to start a search with: those that scores without training promise most of."""

from __future__ import annotations

import math

import numpy as np

from kerasnas.oracles.candidates import Costs
from kerasnas.oracles.decisions import Values
from kerasnas.training_free.ranks import summed_ranks
from kerasnas.training_free.scores import Limits, Scores, draw

__all__ = ["seeds"]


def seeds(
    scores: Scores,
    count: int,
    rng: np.random.Generator,
    *,
    among: int = 64,
    limits: Limits | None = None,
    costs: Costs | None = None,
) -> list[Values]:
    """Choose candidates for an oracle's `start_with`: the best of random ones by scores.

    Of several scores, the places that candidates have in each are added up.

    Args:
        scores: What ranks them.
        count: Candidates to choose. They replace the first ones of the oracle, such as the
            spread of a design: a few are enough.
        rng: Draws the candidates.
        among: Random candidates to score, each in some tenths of a second. More find better
            ones by the scores, which are right about the best only roughly.
        limits: Upper bounds on costs, those of the search: best candidates are often large.
        costs: What the limits are held against, where it is not the description's costs.

    Returns:
        Different networks within the limits, the most promising first; fewer than `count` if
        there are no more.

    Raises:
        ValueError: If `among` is less than `count`, or no candidate can be scored.
    """
    if not 1 <= count <= among:
        raise ValueError(
            "Seeds are the best among more candidates. Received: "
            f"count={count}, among={among}. Draw some times as many as are chosen."
        )
    drawn = draw(scores.space, among, rng, limits, costs)
    known = [scores(values) for values in drawn]
    if drawn and not any(math.isfinite(one) for found in known for one in found.values()):
        raise ValueError(
            "No candidate has what the scores are made of. Received: "
            f"{', '.join(scores.names)} of {len(drawn)} candidates. Use other scores."
        )
    ranks = summed_ranks({name: [found[name] for found in known] for name in scores.names})
    best = np.argsort(-ranks, kind="stable")[:count]
    return [drawn[place] for place in best]
