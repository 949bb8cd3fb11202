"""From runs to figures: regret curves, and how much better one searcher is than another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "FLOOR",
    "below_for_good",
    "best_peer",
    "compare",
    "first_below",
    "interval",
    "mean_and_error",
    "over_time",
    "paired",
    "returned",
    "simple_regret",
    "trials_to_reach",
]

Array = npt.NDArray[np.float64]
Curves = Mapping[int, Array]
"""Regret after each trial, by seed."""

FLOOR = 0.02  # percent points, or log10 of the MSE: added before ratios are taken


def simple_regret(truths: Sequence[float], optimum: float, trials: int) -> Array:
    """Return the best truth among those tried so far, less the optimum, after each trial.

    A search that ended early keeps what it had.
    """
    best = np.minimum.accumulate(np.asarray(truths, dtype=float))
    best = np.append(best, np.full(trials - len(best), best[-1]))
    return np.maximum(best - optimum, 0.0)


def returned(steps: Sequence[Mapping[str, Any]], trials: int) -> Mapping[str, Any]:
    """Return the trial that a search of so many would return: the best observed loss."""
    return min(steps[:trials], key=lambda step: step["loss"])


def paired(ours: Mapping[int, float], theirs: Mapping[int, float]) -> tuple[float, float]:
    """Return the mean difference over the seeds that both ran, and its standard error."""
    seeds = sorted(ours.keys() & theirs.keys())
    return mean_and_error([ours[seed] - theirs[seed] for seed in seeds])


def over_time(
    events: Sequence[tuple[Sequence[float], Sequence[float]]], before: float
) -> tuple[Array, Array]:
    """Bring runs whose trainings end at times of their own to common times.

    Args:
        events: For each run when something changed, rising, and the value from then on.
        before: The value before the first change.

    Returns:
        All times, rising; and by run and time the value then.
    """
    times = np.unique(np.concatenate([np.asarray(when, dtype=float) for when, _ in events]))
    values = np.empty((len(events), len(times)))
    for row, (when, changed) in zip(values, events, strict=True):
        row[:] = np.append(before, changed)[np.searchsorted(when, times, side="right")]
    return times, values


def first_below(times: Array, curve: Array, goal: float) -> Array:
    """Return when each curve is at most `goal` for the first time, infinity if never.

    Args:
        times: Shape (t,), rising.
        curve: Shape (..., t).
        goal: What is to be reached.

    Returns:
        Shape (...).
    """
    reached = curve <= goal + 1e-12
    first = times[reached.argmax(axis=-1)]
    return np.where(reached.any(axis=-1), first, np.inf)


def below_for_good(times: Array, curve: Array, goal: float) -> float:
    """Return from when on a curve, shape (t,), stays at most `goal`, infinity if never."""
    above = np.flatnonzero(curve > goal + 1e-12)
    after = above[-1] + 1 if len(above) else 0
    return float(times[after]) if after < len(times) else np.inf


def mean_and_error(figures: Sequence[float]) -> tuple[float, float]:
    """Return the mean and its standard error, NaN for a single figure."""
    count = len(figures)
    error = float(np.std(figures, ddof=1)) / count**0.5 if count > 1 else float("nan")
    return float(np.mean(figures)), error


def interval(samples: Array, level: float = 0.95) -> tuple[float, float]:
    """Return the central interval of bootstrap samples."""
    low, high = np.quantile(samples, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def best_peer(peers: Mapping[str, Curves], checkpoints: Sequence[int]) -> str:
    """Return the peer with the lowest mean regret, averaged over the checkpoints."""
    return min(peers, key=lambda name: float(_at(peers[name], checkpoints).mean()))


def trials_to_reach(curves: Curves, regret: float) -> int | None:
    """Return after how many trials the mean regret is at most so much, `None` if never."""
    mean = np.mean(list(curves.values()), axis=0)
    reached = np.flatnonzero(mean <= regret + 1e-12)
    return int(reached[0]) + 1 if len(reached) else None


def compare(
    ours: Mapping[str, Curves],
    peers: Mapping[str, Mapping[str, Curves]],
    checkpoints: Mapping[str, Sequence[int]],
    repeats: int = 10_000,
) -> dict[str, Any]:
    """Compare a searcher with the best peer of each problem.

    The ratio of a problem and checkpoint is (our mean regret + `FLOOR`) over (the peer's mean
    regret + `FLOOR`), both over the seeds that both ran. Ratios are averaged geometrically.
    Intervals are of a bootstrap over seeds that draws the same seeds for both.

    Args:
        ours: Our curves by problem.
        peers: Curves of the peers by problem and name.
        checkpoints: By problem, the numbers of trials that count. The peer that is best on
            average over them is taken; ratios at the first of them are given apart.
        repeats: Bootstrap samples.

    Returns:
        `ratio`, `ratio_first` and `trials` over all problems, the first two with intervals;
        and `problems`, the same by problem with the peer's name.
    """
    rng = np.random.default_rng(0)
    problems: dict[str, Any] = {}
    logs: list[Array] = []
    firsts: list[Array] = []
    for name in ours:
        marks = checkpoints[name]
        peer = best_peer(peers[name], marks)
        theirs = peers[name][peer]
        seeds = sorted(ours[name].keys() & theirs.keys())
        if not seeds:
            continue
        logs_here = _log_ratios(
            _at({seed: ours[name][seed] for seed in seeds}, marks),
            _at({seed: theirs[seed] for seed in seeds}, marks),
            rng.integers(len(seeds), size=(repeats, len(seeds))),
        )
        logs.append(logs_here.mean(axis=1))
        firsts.append(logs_here[:, 0])
        goal = float(_at(theirs, marks[-1:]).mean())
        problems[name] = {
            "peer": peer,
            "seeds": len(seeds),
            **_summary("ratio", logs[-1]),
            **_summary("ratio_first", firsts[-1]),
            "by_checkpoint": dict(
                zip(map(str, marks), np.exp(logs_here[0]).tolist(), strict=True)
            ),
            "trials": trials_to_reach(ours[name], goal),
            "goal": goal,
        }
    if not problems:
        return {"problems": {}}
    trials = [one["trials"] for one in problems.values()]
    return {
        **_summary("ratio", np.mean(logs, axis=0)),
        **_summary("ratio_first", np.mean(firsts, axis=0)),
        "trials": None if None in trials else float(np.mean(trials)),
        "problems": problems,
    }


def _at(curves: Curves, checkpoints: Sequence[int]) -> Array:
    """Return regrets by seed and checkpoint."""
    return np.array([curve[np.asarray(checkpoints) - 1] for curve in curves.values()])


def _log_ratios(ours: Array, theirs: Array, drawn: npt.NDArray[np.int64]) -> Array:
    """Return log ratios by sample and checkpoint; the first sample is of all seeds."""
    mine = np.concatenate([ours.mean(axis=0)[None], ours[drawn].mean(axis=1)])
    peer = np.concatenate([theirs.mean(axis=0)[None], theirs[drawn].mean(axis=1)])
    return np.log((mine + FLOOR) / (peer + FLOOR))


def _summary(name: str, logs: Array) -> dict[str, Any]:
    return {name: float(np.exp(logs[0])), f"{name}_interval": interval(np.exp(logs[1:]))}
