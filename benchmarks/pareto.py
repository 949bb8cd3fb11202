"""Two objectives at once: NAS-Bench-201 accuracy on CIFAR-10 and latency on a Raspberry Pi 4.

    python -m benchmarks.pareto --data ../shared/data --seeds 10 --output out

A trial reports one noisy accuracy and the latency, which has no noise. After 25, 50 and 100
trials the hypervolume is taken of the mean validation error and the latency of all candidates
that were tried, against the reference point `REFERENCE`, over that of the table's true front
(1.0: the whole front found). Beside it, "chosen": the same of those candidates only that are
on the front of what was observed, which is what a user would get.

Searchers: `random`, `nsga2` (Optuna's NSGAIISampler, 20 alive), `tpe`, `gpsampler`, `ours`,
and any `module:Class` that takes several objectives; settings as in `benchmarks/peers.py`.
Runs are cached as in `benchmarks/oracles.py`.
"""

from __future__ import annotations

import os

if __name__ == "__main__":
    # Before NumPy: such small matrices take longer on several threads.
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", TF_CPP_MIN_LOG_LEVEL="3")

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras_tuner
import numpy as np
import numpy.typing as npt

from benchmarks.grid import Values
from benchmarks.peers import PEERS, Optuna, Oracle, Searcher, parse
from benchmarks.problems import Problem, latencies, load
from benchmarks.regret import mean_and_error
from benchmarks.replay import cached, keep, play, run_file
from kerasnas.oracles.pareto import hypervolume, nondominated

DEVICE = "raspi4"
REFERENCE = np.array([20.0, 70.0])
"""Error in % and latency in ms that a candidate must beat to count: 80 % and about the 99th
percentile of the table. The front goes from 15.8 % at 2.5 ms to 8.4 % at 68 ms."""

MARKS = (25, 50, 100)

_OBJECTIVES = ["val_accuracy", keras_tuner.Objective("latency_ms", "min")]
_TWO = {"sampler": "NSGAIISampler", "flat": True, "objectives": 2}

Points = npt.NDArray[np.float64]


def make(spec: str, problem: Problem, seed: int, trials: int) -> Searcher:
    """Return a searcher of two objectives."""
    name, settings = parse(spec)
    if ":" in name:
        return Oracle(
            problem, seed, trials, target=name, objective=list(_OBJECTIVES), **settings
        )
    if name == "nsga2":
        settings = {"population_size": 20, **settings}
        return Optuna(problem, seed, trials, **_TWO, **settings)
    if name in ("tpe", "gpsampler"):
        settings["objectives"] = 2
    elif name != "random":
        raise ValueError(
            f"This searcher knows one objective only. Received: {spec!r}. "
            "Use random, nsga2, tpe, gpsampler, ours or `module:Class`."
        )
    return PEERS[name](problem, seed, trials, **settings)


def replay(
    spec: str, problem: Problem, latency: Any, seed: int, trials: int
) -> dict[str, Any]:
    """Run a search and record each trial, with the noise of `benchmarks/replay.py`."""
    searcher = make(spec, problem, seed, trials)

    def observe(values: Values, rng: np.random.Generator) -> tuple[Any, dict[str, Any]]:
        loss, milliseconds = problem.observe(values, rng), latency(values)
        metrics = {"val_accuracy": 1.0 - loss / 100.0, "latency_ms": milliseconds}
        return metrics if isinstance(searcher, Oracle) else (loss, milliseconds), {
            "row": problem.grid.key(values),
            "loss": loss,
            "latency": milliseconds,
            "truth": problem.truth(values),
        }

    steps = play(searcher, seed, trials, observe)
    return {"searcher": spec, "seed": seed, "trials": trials, "steps": steps}


def volumes(steps: Sequence[Mapping[str, Any]], trials: int) -> tuple[float, float]:
    """Return the hypervolume of all candidates tried, and of those chosen by observation."""
    tried = steps[:trials]
    true = np.array([[step["truth"], step["latency"]] for step in tried])
    observed = np.array([[step["loss"], step["latency"]] for step in tried])
    return hypervolume(true, REFERENCE), hypervolume(true[nondominated(observed)], REFERENCE)


def whole(problem: Problem, latency: Any) -> float:
    """Return the hypervolume of the table's true front."""
    members = problem.grid.members()
    outcomes = np.array([[problem.truth(one), latency(one)] for one in members])
    return hypervolume(outcomes, REFERENCE)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing and print a table in Markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    peers = ["random", "nsga2", "tpe", "gpsampler"]
    parser.add_argument("--data", help="folder of the tables; default $KERASNAS_DATA")
    parser.add_argument("--searchers", nargs="+", default=["ours", *peers])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--label", default="", help="keeps runs of ours apart in the cache")
    cache = Path(__file__).parent / ".cache" / "pareto"
    parser.add_argument("--cache", type=Path, default=cache)
    parser.add_argument("--cached", action="store_true", help="run nothing")
    parser.add_argument("--output", type=Path, help="folder for pareto.json and pareto.md")
    options = parser.parse_args(arguments)

    problem = load("nb201-cifar10", options.data)
    latency = latencies(DEVICE, options.data)
    runs: dict[str, list[Any]] = {spec: [] for spec in options.searchers}
    for seed in range(options.seeds):
        for spec in options.searchers:
            file = run_file(
                options.cache, spec, f"nb201-cifar10-{DEVICE}", seed, options.label
            )
            run = cached(file, options.trials)
            if run is None and not options.cached:
                keep(file, replay(spec, problem, latency, seed, options.trials))
                run = cached(file, options.trials)
            if run is not None:
                runs[spec].append(run["steps"])
    summary = summarise(runs, whole(problem, latency), options.trials)
    text = markdown(summary)
    print(text)
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "pareto.json").write_text(json.dumps(summary, indent=1))
        (options.output / "pareto.md").write_text(text)
    return 0


def summarise(
    runs: Mapping[str, Sequence[Any]], total: float, trials: int
) -> dict[str, dict[str, Any]]:
    """Return hypervolumes over the table's by searcher and number of trials."""
    marks = [mark for mark in MARKS if mark <= trials]
    summary: dict[str, dict[str, Any]] = {}
    for spec, searches in runs.items():
        found = {
            mark: np.array([volumes(steps, mark) for steps in searches]) / total
            for mark in marks
        }
        summary[spec] = {
            "seeds": len(searches),
            **{
                str(mark): {
                    "tried": mean_and_error(both[:, 0]),
                    "chosen": mean_and_error(both[:, 1]),
                }
                for mark, both in found.items()
                if len(both)
            },
        }
    return {spec: figures for spec, figures in summary.items() if figures["seeds"]}


def markdown(summary: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the report as a table in Markdown."""
    marks = [mark for mark in MARKS if any(str(mark) in one for one in summary.values())]
    heads = [f"{kind} @{mark}" for mark in marks for kind in ("tried", "chosen")]
    lines = [f"| searcher | seeds | {' | '.join(heads)} |", "|---" * (len(heads) + 2) + "|"]
    for spec, figures in summary.items():
        cells = [
            "{:.4f} ± {:.4f}".format(*figures[str(mark)][kind])
            for mark in marks
            for kind in ("tried", "chosen")
        ]
        lines.append(f"| {spec} | {figures['seeds']} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
