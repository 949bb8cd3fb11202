"""Replay searches that choose how long to train, on NAS-Bench-201, by the training time.

    python -m benchmarks.fidelity --data ../shared/data --seeds 30 --output out

The table has each network trained for 12 and for 200 epochs. A look of 12 epochs costs 12/200
of the network's training time; who then wants its 200 epochs pays all of them, as the two are
trainings of their own. The clock counts training only, one at a time; what searchers compute
is given apart. Its unit is the mean training of the table, 200 epochs: half an hour on
CIFAR-10, an hour on CIFAR-100.

What a search would return at a moment is the best observed of its full trainings, and before
any has ended of its looks. It is judged by its mean test accuracy after 200 epochs, less the
table's best: the test regret. The figure to compare is the time at which the mean of that over
seeds is at most half a point for the first time. Beside it stand from when on it stays so
(what is returned may get worse, as observations are noisy), the same of the median over seeds,
and the seeds' own first times: their median, and how many never got there. `ratio` is to the
Gaussian process that trains everything fully, with the 95 % interval of a bootstrap over the
seeds that both ran.

Searchers that take long to propose can be given less time than the others: `--short asha+ours
--short-budget 15`.

Searchers are described in `benchmarks/looks.py`. They are told a number of trials that no
search gets to, so that only time ends them; those that plan with that number have to be given
a likely one, as in `ours-qlearning?trials=40`, and end there. Finished runs are kept in
`--cache`, as in `benchmarks/oracles.py`.
"""

from __future__ import annotations

import os

if __name__ == "__main__":
    # Before NumPy: such small matrices take longer on several threads.
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", TF_CPP_MIN_LOG_LEVEL="3")

import argparse
import json
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.looks import make
from benchmarks.problems import FULL, Lengths, lengths
from benchmarks.regret import below_for_good, first_below, interval, mean_and_error, over_time
from benchmarks.replay import cached, keep, run_file

DATA_SETS = ("cifar10", "cifar100")
REFERENCE = "ours"  # what ratios are to
PEERS = (
    "random",
    "tpe",
    "optuna-asha",
    "optuna-asha?factor=16",
    "optuna-asha?factor=50",
    "optuna-hyperband",
    "optuna-hyperband?factor=16",
    "optuna-hyperband?factor=50",
    "smac-hyperband",
    "smac-hyperband?factor=16",
    "keras-tuner-hyperband",
    "keras-tuner-hyperband?factor=16",
)
OURS = (
    REFERENCE,
    "asha+ours",
    "asha+ours?factor=50",
    "hyperband+ours",
    "asha+ours-random",
)
GOAL = 0.5  # percent points of test accuracy
MARKS = (5, 10, 20, 40)  # times in mean trainings at which regret is told
_LOOKS = 50  # at most, for each mean training of the budget: no search gets that far

Run = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing and report."""
    options = _parser().parse_args(arguments)
    for data_set in options.data_sets:
        table = lengths(data_set, options.data)
        runs: dict[str, dict[int, Run]] = {}
        # Seed after seed, so that a part of them is already useful.
        for seed in range(options.seeds):
            for spec in options.searchers:
                file = run_file(options.cache, spec, data_set, seed)
                budget = options.short_budget if spec in options.short else options.budget
                run = cached(file, budget, "budget")
                if run is None and not options.cached:
                    run = replay(spec, table, seed, budget)
                    keep(file, run)
                    print(f"{data_set} {spec} seed {seed}", file=sys.stderr, flush=True)
                if run is not None:
                    runs.setdefault(spec, {})[seed] = run
        if not runs:
            continue
        summary = summarise(runs, table)
        text = markdown(data_set, summary)
        print(text)
        if options.output is not None:
            options.output.mkdir(parents=True, exist_ok=True)
            stem = options.output / f"fidelity-{data_set}"
            stem.with_suffix(".json").write_text(json.dumps(summary, indent=1))
            stem.with_suffix(".md").write_text(text)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    home = Path(__file__).parent
    parser.add_argument("--data", help="folder of the tables; default $KERASNAS_DATA")
    parser.add_argument("--data-sets", nargs="+", default=["cifar10"], choices=DATA_SETS)
    parser.add_argument("--searchers", nargs="+", default=[*OURS, *PEERS])
    parser.add_argument("--seeds", type=int, default=30, help="seeds 0, 1, ...")
    parser.add_argument("--budget", type=float, default=60.0, help="in mean trainings")
    parser.add_argument("--short", nargs="+", default=[], help="searchers with less time")
    parser.add_argument("--short-budget", type=float, default=15.0)
    parser.add_argument("--cache", type=Path, default=home / ".cache" / "fidelity")
    parser.add_argument("--cached", action="store_true", help="run nothing")
    parser.add_argument("--output", type=Path, help="folder of the report; default: print")
    return parser


# --- running ----------------------------------------------------------------------------


def replay(spec: str, table: Lengths, seed: int, budget: float) -> Run:
    """Run a search until the time is over, and record each training.

    Training `t` is observed with a generator made of `(seed, t)`, whoever searches.

    Args:
        spec: A contestant of `benchmarks/looks.py`.
        table: What it searches.
        seed: Seeds the searcher and the noise.
        budget: The time, in mean trainings.

    Returns:
        What was run, and `steps`: for each training that ended in time its `row`, `epochs`,
        the observed `loss`, the `test` accuracy of the network after 200 epochs, when it
        ended (`time`, in mean trainings), and the searcher's CPU `seconds`.
    """
    problem = table.problem
    contestant = make(spec, problem, seed, int(budget * _LOOKS))
    steps: list[dict[str, Any]] = []
    spent = 0.0
    while True:
        begun = time.process_time()
        look = contestant.ask()
        asked = time.process_time() - begun
        if look is None:
            break
        spent += table.seconds(*look) / table.mean_seconds
        if spent > budget:
            break
        loss = table.observe(*look, np.random.default_rng((seed, len(steps))))
        begun = time.process_time()
        contestant.tell(look, loss)
        steps.append(
            {
                "row": problem.grid.key(look.values),
                "epochs": look.epochs,
                "loss": loss,
                "test": problem.test(look.values),
                "time": spent,
                "seconds": round(asked + time.process_time() - begun, 5),
            }
        )
    return {"searcher": spec, "seed": seed, "budget": budget, "steps": steps}


# --- reporting --------------------------------------------------------------------------


def incumbents(steps: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return what a search would return after each training."""
    found: list[Mapping[str, Any]] = []
    for step in steps:
        best = found[-1] if found else step
        better = (-step["epochs"], step["loss"]) < (-best["epochs"], best["loss"])
        found.append(step if better else best)
    return found


def summarise(runs: Mapping[str, Mapping[int, Run]], table: Lengths) -> dict[str, Any]:
    """Return all figures of a report, by searcher; times in mean trainings, `inf` if never."""
    optimum = max(table.problem.test(values) or 0.0 for values in table.problem.grid.members())
    events = {
        spec: {
            seed: (
                [step["time"] for step in run["steps"]],
                [optimum - step["test"] for step in incumbents(run["steps"])],
            )
            for seed, run in seeds.items()
        }
        for spec, seeds in runs.items()
    }
    figures = {}
    for spec, seeds in runs.items():
        times, regrets = over_time(list(events[spec].values()), before=optimum)
        first = first_below(times, regrets, GOAL)
        trainings = [run["steps"] for run in seeds.values()]
        budget = min(run["budget"] for run in seeds.values())
        figures[spec] = {
            "seeds": len(seeds),
            "budget": budget,
            "mean": float(first_below(times, regrets.mean(axis=0), GOAL)),
            "for_good": below_for_good(times, regrets.mean(axis=0), GOAL),
            "median": float(first_below(times, np.median(regrets, axis=0), GOAL)),
            "first": float(np.median(first)),
            "never": int(np.isinf(first).sum()),
            "regret": {
                str(mark): mean_and_error(
                    regrets[:, np.searchsorted(times, mark, side="right") - 1]
                )
                for mark in MARKS
                if times[0] <= mark <= budget
            },
            "looks": statistics.mean(
                sum(step["epochs"] != FULL for step in steps) for steps in trainings
            ),
            "full": statistics.mean(
                sum(step["epochs"] == FULL for step in steps) for steps in trainings
            ),
            "seconds": statistics.mean(
                step["seconds"] for steps in trainings for step in steps
            ),
        }
        if REFERENCE in events and spec != REFERENCE:
            figures[spec]["ratio"] = ratio(events[spec], events[REFERENCE], optimum)
    return {
        "hours": table.mean_seconds / 3600,
        "optimum": optimum,
        "searchers": figures,
    }


Events = Mapping[int, tuple[Sequence[float], Sequence[float]]]
"""When the regret of a run changed, and to what, by seed."""


def ratio(
    ours: Events, theirs: Events, before: float, repeats: int = 2000
) -> tuple[float, float, float]:
    """Return how the times to the goal compare, by the mean over seeds.

    Who never gets there is taken to get there with the last change: where only they do not,
    the ratio is an upper bound, where only we do not, a lower one.

    Args:
        ours: Runs of one searcher.
        theirs: Runs of the other, with seeds in common.
        before: Regret before a run's first training has ended.
        repeats: Bootstrap samples.

    Returns:
        Our time over theirs with all seeds that both ran, and the 95 % bootstrap interval.
    """
    seeds = sorted(ours.keys() & theirs.keys())
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(len(seeds), [1 / len(seeds)] * len(seeds), size=repeats)
    weights = np.vstack([np.ones(len(seeds)), drawn]) / len(seeds)
    reached = []
    for runs in (ours, theirs):
        times, regrets = over_time([runs[seed] for seed in seeds], before)
        reached.append(np.minimum(first_below(times, weights @ regrets, GOAL), times[-1]))
    ratios = reached[0] / reached[1]
    return (float(ratios[0]), *interval(ratios[1:]))


def markdown(data_set: str, summary: Mapping[str, Any]) -> str:
    """Return the report as a table in Markdown, the quickest first."""
    figures = summary["searchers"]
    marks = [
        str(mark)
        for mark in MARKS
        if any(str(mark) in one["regret"] for one in figures.values())
    ]
    heads = [
        "searcher",
        "seeds",
        f"mean <= {GOAL}",
        "hours",
        "for good",
        "median",
        "seeds' median (never)",
        "ratio",
        *(f"test regret @{mark}" for mark in marks),
        "looks + full",
        "CPU s/training",
    ]
    lines = [
        f"### NAS-Bench-201 {data_set}, by mean trainings of {summary['hours']:.2f} h",
        "",
        f"| {' | '.join(heads)} |",
        "|---" * len(heads) + "|",
    ]
    hours = summary["hours"]
    ranked = sorted(figures.items(), key=lambda one: (one[1]["mean"], one[1]["first"]))
    for spec, one in ranked:
        over = one["budget"]
        cells = [
            spec,
            str(one["seeds"]),
            _time(one["mean"], over),
            _time(one["mean"] * hours, over * hours),
            _time(one["for_good"], over),
            _time(one["median"], over),
            f"{_time(one['first'], over)} ({one['never']})",
            _ratio(one, figures.get(REFERENCE, one)),
            *(
                "{:.2f} ± {:.2f}".format(*one["regret"][mark]) if mark in one["regret"] else ""
                for mark in marks
            ),
            f"{one['looks']:.0f} + {one['full']:.0f}",
            f"{one['seconds']:.3f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _ratio(one: Mapping[str, Any], reference: Mapping[str, Any]) -> str:
    """Return the ratio with its interval, or a bound where one of both never got there."""
    if "ratio" not in one or (np.isinf(one["mean"]) and np.isinf(reference["mean"])):
        return ""
    ratio, low, high = one["ratio"]
    if np.isinf(one["mean"]) or np.isinf(reference["mean"]):
        return f"{'>' if np.isinf(one['mean']) else '<'} {ratio:.2f}"
    return f"{ratio:.2f} ({low:.2f} to {high:.2f})"


def _time(reached: float, budget: float) -> str:
    return f"> {budget:.0f}" if np.isinf(reached) else f"{reached:.1f}"


if __name__ == "__main__":
    sys.exit(main())
