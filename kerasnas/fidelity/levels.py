"""The levels of training that a halving takes its trials through."""

from __future__ import annotations

import itertools
import math
import numbers
from collections.abc import Sequence

__all__ = ["ladder", "shares"]

_USUAL = 3.0


def ladder(
    levels: float | Sequence[float],
    min_level: float | None = None,
    *,
    factor: float | None = None,
    dimension: str = "epochs",
    steps: int | None = 2,
) -> tuple[float, ...]:
    """Return levels from a lowest to a highest, each `factor` times as dear as the one before.

    An epoch or an example costs the same as the next one; the cost of an image goes with the
    square of its side, so the sides are `sqrt(factor)` apart. Epochs are rounded.

    Args:
        levels: The highest level, or all of them, which are then only checked.
        min_level: No level is below it; the lowest is the last that is not.
        factor: How much dearer each level is, 3 by default; listed levels are what they are.
        dimension: What a level is, as in `Fidelity`.
        steps: How many levels there are below the highest where `min_level` is `None`; `None`
            goes down to one epoch.

    Raises:
        ValueError: If the factor is not above 1; if levels are not positive and rising, not
            whole epochs, or shares above 1; if `min_level` is not above 0 or exceeds the
            highest level; or if it comes with levels that need none.
    """
    listed = levels if isinstance(levels, Sequence) else [levels]
    for name, number in [*(("level", one) for one in listed), ("min_level", min_level)]:
        if name == "min_level" and number is None:
            continue
        if not isinstance(number, numbers.Real) or isinstance(number, bool):
            raise TypeError(
                f"A level is a number. Received: {name}={number!r} in levels={levels!r}. Give "
                "the highest level, such as 27, or a list of all."
            )
    if factor is not None and not (isinstance(factor, numbers.Real) and factor > 1):
        raise ValueError(
            "Of the trials at a level one in `factor` is trained on. Received: "
            f"factor={factor}. Use a number above 1; 3 is usual."
        )
    if isinstance(levels, Sequence):
        if min_level is not None:
            raise ValueError(
                "Levels that are listed start with the lowest. Received: "
                f"levels={list(levels)}, min_level={min_level}. Leave `min_level` out, or "
                "give the highest level alone."
            )
        return _checked([float(level) for level in levels], dimension)
    top = float(levels)
    _checked([top], dimension)
    if min_level is not None and not 0 < min_level <= top:
        raise ValueError(
            "The lowest level is above 0 and not above the highest. Received: "
            f"min_level={min_level}, highest level {top:g}."
        )
    step = _USUAL if factor is None else float(factor)
    step = math.sqrt(step) if dimension == "resolution" else step
    if min_level is None and steps is not None:
        count = steps
    else:
        # A power of the factor is reached exactly, whatever its logarithm is rounded to.
        count = math.floor(math.log(top / (min_level or 1.0), step) + 1e-9)
    found = [top / step**below for below in range(count, -1, -1)]
    if dimension == "epochs":
        found = sorted({max(1.0, float(math.floor(level + 0.5))) for level in found})
    return _checked(found, dimension)


def shares(
    levels: Sequence[float], factor: float | None, *, listed: bool, dimension: str
) -> tuple[float, ...]:
    """Return of how many trials at each level but the highest one is trained on.

    It is the factor. Where levels were listed and there is none, it is how much dearer the
    next level is, so that all levels get about the same training.

    Args:
        levels: All levels, lowest first.
        factor: The factor, `None` if it is left to the levels.
        listed: Whether the levels were listed.
        dimension: What a level is, as in `Fidelity`.
    """
    power = 2 if dimension == "resolution" else 1
    return tuple(
        float(factor or ((high / low) ** power if listed else _USUAL))
        for low, high in itertools.pairwise(levels)
    )


def _checked(levels: list[float], dimension: str) -> tuple[float, ...]:
    epochs = dimension == "epochs"
    rising = all(low < high for low, high in itertools.pairwise(levels))
    whole = all(level.is_integer() if epochs else level <= 1 for level in levels)
    if not (levels and rising and whole and levels[0] > 0):
        what = "whole epochs, at least 1" if epochs else f"shares of the {dimension}, up to 1"
        raise ValueError(
            f"Levels are {what}, from the lowest to the highest. Received: {levels}. "
            "Give the highest alone to have the others worked out."
        )
    return tuple(levels)
