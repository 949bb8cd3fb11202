"""Kill a search with `kill -9` again and again, and check that nothing is lost.

    python benchmarks/kills.py --kills 50

Trials are trivial, so nearly all time is spent where a kill could hurt: proposing and writing.
For each seed the search first runs undisturbed, then again in another folder, where it is
killed at random moments and reopened until it has finished. Then the two must be equal.
Checked after every kill: the search reopens, every trial that had ended is still there with
its score and is not run again, and the trial that was open is the next one to run.

Importing TensorFlow takes seconds, so this process imports everything once and forks a victim
per kill, before any TensorFlow operation has run and without a GPU.
"""

from __future__ import annotations

import os

os.environ.update(
    CUDA_VISIBLE_DEVICES="-1",
    TF_CPP_MIN_LOG_LEVEL="3",
    OMP_NUM_THREADS="1",
    KERAS_BACKEND="tensorflow",
)

import argparse
import json
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

import numpy as np

from kerasnas.journal import Journal
from kerasnas.oracles.gaussian_process import GaussianProcess
from kerasnas.oracles.random_search import RandomSearch
from kerasnas.testing import conditional, rough
from kerasnas.tuner import Tuner

ORACLES = {"bayesian": GaussianProcess, "random": RandomSearch}


class Trivial(Tuner):
    """Scores a candidate at once, and notes that it did."""

    def run_trial(self, trial, *args, **kwargs):
        with open(Path(self.project_dir).parent / "executed", "ab") as file:
            file.write(f"{trial.trial_id}\n".encode())
            file.flush()
            os.fsync(file.fileno())
        return rough(trial.hyperparameters.values)


def search(folder: Path, oracle: str, seed: int, trials: int) -> None:
    """Run or continue the search in a folder until its end."""
    proposer = ORACLES[oracle]("loss", trials, hyperparameters=conditional(), seed=seed)
    tuner = Trivial(None, proposer, directory=str(folder), project_name="search")
    tuner.search(verbose=0)


def start(*arguments) -> int:
    """Run `search` in a process forked from this one and return its id."""
    process = os.fork()
    if process:
        return process
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # KerasTuner's announcements
        search(*arguments)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def wait(process: int) -> int:
    """Return the exit code of a process, negative if a signal ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def ended(folder: Path) -> dict[str, tuple]:
    """Return values and score of the trials that the journal says have ended."""
    events = Journal(folder / "search" / "journal.jsonl").read()
    return {e["trial"]: (e["values"], e["score"]) for e in events if e["event"] == "ended"}


def executed(folder: Path) -> list[str]:
    """Return the ids of all trials that were started, once per start."""
    file = folder / "executed"
    return file.read_text().split() if file.exists() else []


def main() -> int:
    """Run the benchmark, print its figures as JSON, and return 0 if every check held."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--trials", type=int, default=20, help="of each search")
    parser.add_argument("--oracle", choices=ORACLES, default="bayesian")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    begun, rng = time.monotonic(), np.random.default_rng(options.seed)
    kills = searches = open_trials = torn_records = 0
    wrong = {"not_reopened": 0, "trials_lost": 0, "trials_run_twice": 0, "other_proposals": 0}
    with tempfile.TemporaryDirectory() as scratch:
        while kills < options.kills:
            seed = options.seed + searches
            arguments = (options.oracle, seed, options.trials)
            undisturbed, victim = (
                Path(scratch, f"{kind}{seed}") for kind in ("whole", "killed")
            )
            for folder in (undisturbed, victim):
                folder.mkdir()
            before = time.monotonic()
            if wait(start(undisturbed, *arguments)) != 0:
                raise RuntimeError("The search fails without being killed: see above.")
            duration = time.monotonic() - before

            known: dict[str, tuple] = {}
            code = None
            while code != 0:
                already = len(executed(victim))
                process = start(victim, *arguments)
                if kills < options.kills:
                    time.sleep(rng.uniform(0, 0.6 * duration))
                    os.kill(process, signal.SIGKILL)
                code = wait(process)
                kills += code == -signal.SIGKILL
                if code not in (0, -signal.SIGKILL):
                    wrong["not_reopened"] += 1
                    break
                now = ended(victim)
                wrong["trials_lost"] += sum(now.get(t) != known[t] for t in known)
                wrong["trials_run_twice"] += len(set(executed(victim)[already:]) & set(known))
                known = now
                journal = victim / "search" / "journal.jsonl"
                content = journal.read_bytes() if journal.exists() else b""
                torn_records += not content.endswith(b"\n") and bool(content)
                open_trials += content.count(b'"created"') > len(known)
            wrong["other_proposals"] += list(known.items()) != list(ended(undisturbed).items())
            searches += 1
    print(
        json.dumps(
            {
                "oracle": options.oracle,
                "kills": kills,
                "searches": searches,
                "trials_per_search": options.trials,
                "killed_with_an_open_trial": open_trials,
                "killed_inside_a_record": torn_records,
                **wrong,
                "seconds": round(time.monotonic() - begun, 1),
            }
        )
    )
    return int(any(wrong.values()))


if __name__ == "__main__":
    sys.exit(main())
