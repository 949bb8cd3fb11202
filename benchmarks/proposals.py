"""Time one proposal: ours against KerasTuner's Bayesian optimisation, on one core.

    python benchmarks/proposals.py

A space of 20 unordered decisions with 4 options each; the score is a sum over decisions. Both
oracles get random candidates until `n` trials have finished (ours by its design, theirs by its
own random start, of that length); then the next proposals are timed, in CPU seconds of one
thread, with hyperparameter fits and the files that each writes.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", TF_CPP_MIN_LOG_LEVEL="3")

import argparse
import json
import statistics
import sys
import tempfile
import time
import warnings

import keras_tuner
import numpy as np

from kerasnas.oracles.gaussian_process import GaussianProcess
from kerasnas.testing import choices, end

OBJECTIVE = keras_tuner.Objective("loss", "min")
EFFECTS = np.random.default_rng(0).normal(size=(20, 4))


def score(values: dict[str, str]) -> float:
    """Add up the effect of every decision."""
    return float(sum(EFFECTS[i, int(values[f"d{i}"][-1])] for i in range(len(EFFECTS))))


def ours(finished: int) -> keras_tuner.Oracle:
    """Return our oracle, whose model starts after `finished` trials."""
    return GaussianProcess(
        OBJECTIVE, hyperparameters=choices(*[4] * 20), seed=0, num_initial_points=finished
    )


def keras_tuners(finished: int) -> keras_tuner.Oracle:
    """Return KerasTuner's oracle, whose model starts after `finished` trials."""
    return keras_tuner.oracles.BayesianOptimizationOracle(
        OBJECTIVE,
        max_trials=finished + 100,
        hyperparameters=choices(*[4] * 20),
        seed=1,
        num_initial_points=finished,
    )


def seconds(oracle: keras_tuner.Oracle, finished: int, repeats: int) -> float:
    """Return the median time of a proposal after so many finished trials."""
    taken = []
    with tempfile.TemporaryDirectory() as folder:
        oracle._set_project_dir(folder, "search")
        oracle.verbose = 0
        for number in range(finished + repeats):
            begun = time.process_time()
            trial = oracle.create_trial("tuner0")
            if number >= finished:
                taken.append(time.process_time() - begun)
            end(oracle, trial, score(trial.hyperparameters.values))
    return statistics.median(taken)


def main() -> int:
    """Print a JSON record per number of finished trials."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--finished", type=int, nargs="+", default=[20, 100])
    parser.add_argument("--repeats", type=int, default=5, help="proposals timed")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # KerasTuner's, on every call
    for finished in options.finished:
        mine = seconds(ours(finished), finished, options.repeats)
        theirs = seconds(keras_tuners(finished), finished, min(options.repeats, 2))
        record = {
            "finished": finished,
            "kerasnas_seconds": round(mine, 3),
            "keras_tuner_seconds": round(theirs, 3),
            "ratio": round(theirs / mine, 1),
        }
        print(json.dumps(record), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
