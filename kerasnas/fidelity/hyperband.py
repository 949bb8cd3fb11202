"""Hyperband: halving that hedges against a misleading start."""

from __future__ import annotations

import math
from collections.abc import Sequence

from kerasnas.fidelity.halving import Halving

__all__ = ["Hyperband", "bracket_sizes"]


class Hyperband(Halving):
    """Hyperband: some candidates start with little training, some with more.

    Successive halving has to guess how little training tells good candidates from bad ones.
    Hyperband does not: a candidate belongs to one of several brackets, which start at the
    lowest level, at the one above it, and so on up to a full training at once; within each,
    one in `factor` is promoted. The brackets get about the same training each, so whichever
    start is right has its share, and the whole costs at most so many times as much as the best
    bracket alone. Of few trials little is left for each: four in a hundred start with a full
    training where there are five levels.

    With a method that learns from results, such as `kerasnas.GaussianProcess`, this is what
    BOHB does, but for the model.

    Brackets are filled side by side, not one after the other: the next candidate goes to the
    one that is furthest behind its share. So a search may end at any time, and workers never
    wait.

    Args:
        levels: The highest level, such as the number of epochs of a full training; levels
            below it are worked out. Or all levels, lowest first.
        min_level: The lowest level, if only the highest is given: one epoch by default; of
            examples and resolutions two steps below the highest.
        factor: One in so many trials of a level is promoted, and the next level costs so many
            times as much: as in `SuccessiveHalving`.
        dimension: What a level is, as in `Fidelity`.

    Raises:
        ValueError: If levels, `min_level` or `factor` make no sense: see the message.

    Reference:
        Li et al., "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization",
        JMLR 2018, https://arxiv.org/abs/1603.06560 (Algorithm 1 and Table 1); Falkner et al.,
        "BOHB: Robust and Efficient Hyperparameter Optimization at Scale", ICML 2018,
        https://arxiv.org/abs/1807.01774. Unlike there, halving is asynchronous, as in
        `SuccessiveHalving`, and levels are listed once for all brackets.
    """

    def __init__(
        self,
        levels: float | Sequence[float],
        min_level: float | None = None,
        *,
        factor: float | None = None,
        dimension: str = "epochs",
    ) -> None:
        steps = None if dimension == "epochs" else 2
        super().__init__(levels, min_level, factor=factor, dimension=dimension, steps=steps)

    def bases(self, count: int) -> list[int]:
        return _bases(count, bracket_sizes(self._factors))


def bracket_sizes(factors: Sequence[float]) -> list[int]:
    """Return how many candidates start at each level, lowest first.

    So many that all brackets cost about the same, as in Hyperband: of 5 levels a factor of 3
    apart 81, 34, 15, 8 and 5.

    Args:
        factors: Of how many trials at each level but the highest one is promoted.
    """
    levels = len(factors) + 1
    # Less what the products are rounded by.
    return [
        math.ceil(levels / (levels - base) * math.prod(factors[base:]) - 1e-9)
        for base in range(levels)
    ]


def _bases(count: int, sizes: Sequence[int]) -> list[int]:
    """Return the brackets of the first `count` trials, by their place among the levels.

    Each goes to the bracket that is furthest behind its share, the larger of equals.
    """
    total, filled, bases = sum(sizes), [0] * len(sizes), []
    for number in range(1, count + 1):
        behind = [number * size - total * n for size, n in zip(sizes, filled, strict=True)]
        base = behind.index(max(behind))
        filled[base] += 1
        bases.append(base)
    return bases
