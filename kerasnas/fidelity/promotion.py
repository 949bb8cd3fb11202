"""Which trials of a halving are trained on."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence

from kerasnas.fidelity._fidelity import Record, Run

__all__ = ["last_promotion", "promotion"]


@dataclasses.dataclass(frozen=True)
class _Level:
    """Where the trials of a bracket stand with regard to one level.

    Attributes:
        paused: Those that could be trained on, best first.
        count: How many were tried at the level, those included that did not reach it.
        promoted: How many of them were, or are being, trained on.
    """

    paused: list[Record]
    count: int
    promoted: int


def promotion(
    records: Sequence[Record],
    bases: Sequence[int],
    levels: Sequence[float],
    factors: Sequence[float],
) -> Run | None:
    """Return the next run that halving allows, if there is any.

    Highest level first. Within a bracket, the trials that started at the same level, the best
    unpromoted of the first `1 / factor` of a level is promoted as long as no more than
    `1 / factor` of the level's trials have been. The second condition is the delay of
    Hyper-Tune (Li et al., "Hyper-Tune: Towards Efficient Hyper-parameter Tuning at Scale",
    VLDB 2022): without it, every better trial that comes later is promoted too, however many
    have been before it, and the dear levels fill up with early guesses.

    A trial that was stopped or failed counts as one that was tried at the level to which it
    was being trained, and as the worst of them.

    Args:
        records: All trials.
        bases: The place among the levels where each starts.
        levels: All levels, lowest first.
        factors: One in so many is promoted from each level but the highest.
    """
    for place in range(len(levels) - 2, -1, -1):
        for base in range(place + 1):
            bracket = [r for r, b in zip(records, bases, strict=True) if b == base]
            level = _level(bracket, base, place, levels)
            allowed = math.floor(level.count / factors[place] + 1e-9)
            if level.paused and level.promoted < allowed:
                # It is among the first `allowed`: all before it have been promoted.
                return Run(level.paused[0].trial_id, levels[place + 1])
    return None


def last_promotion(records: Sequence[Record], levels: Sequence[float]) -> Run | None:
    """Return a run towards a first trial at the highest level, if there is none yet.

    The best of the highest level that any has reached; nothing while another trial runs, which
    may yet turn out to be the one. A trial that failed on its way up leaves its place to the
    next.

    Args:
        records: All trials.
        levels: All levels, lowest first.
    """
    if any(record.running is not None or levels[-1] in record.losses for record in records):
        return None
    for level, following in reversed(list(itertools.pairwise(levels))):
        paused = [r for r in records if not r.settled and r.level == level]
        if paused:
            return Run(min(paused, key=lambda record: record.loss).trial_id, following)
    return None


def _level(
    bracket: Sequence[Record], base: int, place: int, levels: Sequence[float]
) -> _Level:
    here = [record for record in bracket if levels[place] in record.losses]
    here.sort(key=lambda record: record.losses[levels[place]])
    paused = [
        record
        for record in here
        if record.running is None and not record.settled and record.level == levels[place]
    ]
    fell = sum(_fell(record, base, levels) == place for record in bracket)
    return _Level(paused, len(here) + fell, len(here) - len(paused))


def _fell(record: Record, base: int, levels: Sequence[float]) -> int | None:
    """Return the place of the level to which a trial was trained when it was given up."""
    if not record.settled:
        return None
    ended = [place for place, level in enumerate(levels) if level in record.losses]
    return max(base, max(ended, default=-1) + 1)
