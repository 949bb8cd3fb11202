"""Start from a search of another data set: CIFAR-10 before CIFAR-100, and a misleading one.

    python -m benchmarks.transfer --data ../shared/data --seeds 10 --processes 2

For each seed, a search of `--earlier` trials on NAS-Bench-201 CIFAR-10 is given to another one
on CIFAR-100 as `warm_start`. To mislead, the earlier search runs on the same table with its
rows shuffled, so that it knows nothing of use and is as sure of itself. Regret as in
`benchmarks/oracles.py`: the best seed-mean accuracy among those tried, less the table's best.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", TF_CPP_MIN_LOG_LEVEL="3")

import argparse
import json
import multiprocessing
import sys
from typing import Any

import numpy as np

from benchmarks.peers import Oracle
from benchmarks.problems import Problem, Table, load
from benchmarks.regret import mean_and_error, simple_regret

OURS = "kerasnas.oracles.gaussian_process:GaussianProcess"
CHECKPOINTS = (5, 10, 25, 50)


class Shuffled(Problem):
    """A table whose losses belong to other candidates.

    Args:
        problem: The table.
        seed: Seeds the permutation.
    """

    def __init__(self, problem: Table, seed: int):
        self.problem, self.optimum, self.name = problem, problem.optimum, "shuffled"
        members = list(problem.grid.members())
        order = np.random.default_rng(seed).permutation(len(members))
        keys = [problem.grid.key(one) for one in members]
        self._other = {tuple(keys[i]): members[j] for i, j in enumerate(order)}

    def hyperparameters(self) -> Any:
        return self.problem.hyperparameters()

    def costs(self, values: Any) -> dict[str, float]:
        return self.problem.costs(values)

    def observe(self, values: Any, rng: np.random.Generator) -> float:
        return self.problem.observe(self._other[tuple(self.problem.grid.key(values))], rng)

    def truth(self, values: Any) -> float:
        return self.problem.truth(self._other[tuple(self.problem.grid.key(values))])


def search(problem: Problem, seed: int, trials: int, **settings: Any) -> tuple[Any, Any]:
    """Return the regret after each trial, and the oracle."""
    searcher = Oracle(problem, seed, trials, target=OURS, **settings)
    truths = []
    for number in range(trials):
        values = searcher.ask()
        truths.append(problem.truth(values))
        searcher.tell(values, problem.observe(values, np.random.default_rng((seed, number))))
    return simple_regret(truths, problem.optimum, trials), searcher.oracle


def compared(arguments: tuple[str | None, int, int, int]) -> dict[str, list[float]]:
    """Return the regrets of a cold search, a warm one and a misled one, of one seed."""
    data, seed, earlier, trials = arguments
    before, after = load("nb201-cifar10", data), load("nb201-cifar100", data)
    _, helpful = search(before, 1000 + seed, earlier)
    _, misleading = search(Shuffled(before, seed), 1000 + seed, earlier)
    runs = {
        "cold": search(after, seed, trials),
        "warm": search(after, seed, trials, warm_start=[helpful]),
        "misled": search(after, seed, trials, warm_start=[misleading]),
        "both": search(after, seed, trials, warm_start=[misleading, helpful]),
    }
    return {name: [float(r) for r in regrets] for name, (regrets, _) in runs.items()}


def main() -> int:
    """Print a table in Markdown, and all curves as JSON if asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default=os.environ.get("KERASNAS_DATA"))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--earlier", type=int, default=100, help="trials of earlier searches")
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--output", help="JSON file for all curves")
    options = parser.parse_args()
    jobs = [
        (options.data, seed, options.earlier, options.trials) for seed in range(options.seeds)
    ]
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        found = pool.map(compared, jobs, chunksize=1)
    print("| search | " + " | ".join(f"regret @{n}" for n in CHECKPOINTS) + " |")
    print("|---" * (len(CHECKPOINTS) + 1) + "|")
    for name in found[0]:
        cells = [
            "{:.3f} ± {:.3f}".format(*mean_and_error([run[name][n - 1] for run in found]))
            for n in CHECKPOINTS
            if n <= options.trials
        ]
        print(f"| {name} | " + " | ".join(cells) + " |")
    if options.output:
        with open(options.output, "w", encoding="utf-8") as file:
            json.dump(found, file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
