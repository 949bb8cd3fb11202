"""Time proposals: ours against KerasTuner's and scikit-optimize's, on one core.

    python -m benchmarks.proposals

A space of 20 unordered decisions with 4 options each; the score is a sum over decisions, with
noise. Ours plays whole runs, and the mean of all its proposals counts, hyperparameter fits
included. The others take seconds a proposal, so they are timed at some numbers of finished
trials only: random candidates are told until then, and the next proposals are timed. All
figures are CPU seconds of one thread, without files.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", TF_CPP_MIN_LOG_LEVEL="3")

import argparse
import json
import resource
import statistics
import sys
import time
import warnings
from collections.abc import Callable

import keras_tuner
import numpy as np
import skopt

from kerasnas.oracles.gaussian_process import GaussianProcess
from kerasnas.testing import choices, end

OBJECTIVE = keras_tuner.Objective("loss", "min")
EFFECTS = np.random.default_rng(0).normal(size=(20, 4))
NOISE = 0.3
SETTLED = 200  # trials after which memory should no longer grow by much


def score(options: list[int], rng: np.random.Generator) -> float:
    """Add up the effect of every decision, and noise."""
    return float(EFFECTS[np.arange(20), options].sum() + NOISE * rng.normal())


def picked(trial: keras_tuner.engine.trial.Trial) -> list[int]:
    """Return the options that a trial took."""
    values = trial.hyperparameters.values
    return [int(values[f"d{index}"][-1]) for index in range(20)]


def ours(trials: list[int]) -> dict[int, dict[str, float]]:
    """Return the mean time of all proposals up to so many trials, and the memory in use."""
    oracle = GaussianProcess(OBJECTIVE, hyperparameters=choices(*[4] * 20), seed=0)
    oracle.verbose = 0
    rng, spent, found = np.random.default_rng(1), 0.0, {}
    for number in range(1, max(trials) + 1):
        begun = time.process_time()
        trial = oracle.create_trial("tuner0")
        spent += time.process_time() - begun
        end(oracle, trial, score(picked(trial), rng))
        if number in trials:
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            found[number] = {"seconds": spent / number, "peak_mb": memory}
    return found


def keras_tuners(finished: int, repeats: int) -> float:
    """Return the median time of a proposal of KerasTuner after so many finished trials."""
    oracle = keras_tuner.oracles.BayesianOptimizationOracle(
        OBJECTIVE,
        max_trials=finished + repeats,
        hyperparameters=choices(*[4] * 20),
        seed=1,
        num_initial_points=finished,
    )
    oracle.verbose = 0
    oracle._save_trial = oracle.save = lambda *_: None  # nothing is written
    rng, taken = np.random.default_rng(1), []
    for number in range(finished + repeats):
        begun = time.process_time()
        trial = oracle.create_trial("tuner0")
        if number >= finished:
            taken.append(time.process_time() - begun)
        end(oracle, trial, score(picked(trial), rng))
    return statistics.median(taken)


def scikit_optimizes(finished: int, repeats: int) -> float:
    """Return the median time of scikit-optimize; telling it is where it works."""
    dimensions = [skopt.space.Categorical(list(range(4))) for _ in range(20)]
    optimizer = skopt.Optimizer(
        dimensions, "GP", n_initial_points=finished, acq_func="EI", random_state=0
    )
    rng, taken = np.random.default_rng(1), []
    for number in range(finished + repeats - 1):
        point = optimizer.ask()
        loss = score(point, rng)
        begun = time.process_time()
        optimizer.tell(point, loss)
        if number >= finished - 1:
            taken.append(time.process_time() - begun)
    return statistics.median(taken)


def main() -> int:
    """Print a JSON record per run of ours and per number of finished trials of the others."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, nargs="+", default=[50, 100, SETTLED, 1000])
    parser.add_argument("--finished", type=int, nargs="+", default=[20, 60, 100])
    parser.add_argument("--repeats", type=int, default=2, help="proposals of others timed")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # KerasTuner's, on every call
    mine = ours(options.trials)
    for trials, figures in mine.items():
        print(json.dumps({"kerasnas": trials, **{k: round(v, 4) for k, v in figures.items()}}))
    others: dict[str, Callable[[int, int], float]] = {
        "keras_tuner": keras_tuners,
        "scikit_optimize": scikit_optimizes,
    }
    reference = mine[min(mine, key=lambda trials: abs(trials - max(options.finished)))]
    for name, timed in others.items():
        seconds = {n: timed(n, options.repeats) for n in options.finished}
        mean = statistics.mean(seconds.values())
        record = {
            name: {n: round(taken, 3) for n, taken in seconds.items()},
            "mean": round(mean, 3),
            "ratio": round(mean / reference["seconds"], 1),
        }
        print(json.dumps(record), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
