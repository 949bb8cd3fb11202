"""Losses of trials that were trained unequally, made comparable."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from kerasnas.fidelity._fidelity import Record
from kerasnas.fidelity.forecast import Forecast

__all__ = ["expected", "forecast", "reached"]

Array = npt.NDArray[np.float64]


def expected(records: Sequence[Record], levels: Sequence[float]) -> Array:
    """Return the loss that each trial is expected to have at the highest level.

    At the highest level it is the loss that was reached there. Otherwise the loss goes up
    level by level, each time by the `Forecast` of the trials that have losses at both. Where
    none has, it is shifted by the difference between the median trials that *started* at
    either level, as brackets of Hyperband do; where there are none of those either, it stays
    as it is, and trials are compared within their level.

    A trial that was stopped between two levels goes on from the epoch where it stopped, by
    what others had reached at that epoch and at the level to come.

    Args:
        records: Trials with at least one run that ended.
        levels: All levels, lowest first.
    """
    steps = [_step(records, low, high) for low, high in itertools.pairwise(levels)]
    found = []
    for record in records:
        loss, level = record.loss, record.level
        if level not in levels:
            upwards = [known for known in levels if known > level]
            if upwards:
                level = upwards[0]
                step = forecast(records, record, level)
                loss = loss if step is None else step.mean(loss)
            else:  # more training than the highest level, as of a search with another policy
                level = levels[-1]
        for step in steps[levels.index(level) :]:
            loss = loss if step is None else step.mean(loss)
        found.append(loss)
    return np.array(found)


def forecast(
    records: Sequence[Record], record: Record, level: float, *, at_least: int = 1
) -> Forecast | None:
    """Return what other trials tell of the loss at a level, given where this one stands.

    Those count that came to the level from where this one comes, because the learning rate
    rises and falls once a run.

    Args:
        records: All trials.
        record: The trial; levels are epochs, and it has been trained for some of those that
            lead to `level`.
        level: The level that it has not reached.
        at_least: The number of other trials below which nothing is told.
    """
    epoch = len(record.curve)
    start = _start(record, level)
    pairs = [
        (reached(other, start, epoch), other.losses[level])
        for other in records
        if level in other.losses
        and len(other.curve) >= epoch
        and _start(other, level) == start
    ]
    pairs = [pair for pair in pairs if math.isfinite(pair[0])]
    so_far = reached(record, start)
    if len(pairs) < max(at_least, 1) or not math.isfinite(so_far):
        return None
    before, after = np.array(pairs).T
    spread = _spread(np.append(before, so_far))
    return Forecast.fit(before, after, spread=spread, share=min(epoch / level, 1.0))


def reached(record: Record, start: float, epoch: int | None = None) -> float:
    """Return the least loss of a run so far, by which it would be scored; infinite if none.

    Args:
        record: The trial.
        start: The level from which the run began.
        epoch: Up to which epoch; `None` takes all there are.
    """
    return min(filter(math.isfinite, record.curve[int(start) : epoch]), default=math.inf)


def _start(record: Record, level: float) -> float:
    """Return the level from which a trial was trained on to another.

    A run that was stopped ended where the curve does; it began before that.
    """
    stopped = record.settled and level not in record.losses
    end = min(level, len(record.curve)) if stopped else level
    return max((known for known in record.losses if known < end), default=0.0)


def _step(records: Sequence[Record], low: float, high: float) -> Forecast | None:
    """Return the way from one level to the next, `None` if nothing is known of it."""
    both = [record for record in records if low in record.losses and high in record.losses]
    lows = np.array([record.losses[low] for record in records if low in record.losses])
    if both:
        before = np.array([record.losses[low] for record in both])
        after = np.array([record.losses[high] for record in both])
        return Forecast.fit(before, after, spread=_spread(lows), share=low / high)
    starters = [
        [record.losses[level] for record in records if min(record.losses) == level]
        for level in (low, high)
    ]
    if all(starters):
        before_all, after_all = (float(np.median(losses)) for losses in starters)
        return Forecast.shift(before_all, after_all)
    return None


def _spread(losses: Array) -> float:
    """Return a deviation that a few absurd losses do not change."""
    quarter, half, three = np.quantile(losses, [0.25, 0.5, 0.75])
    usual = float(three - quarter) / 1.349
    return usual or float(np.abs(losses - half).mean())
