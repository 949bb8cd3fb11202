"""One search replayed on a problem, and the cache that keeps finished ones."""

from __future__ import annotations

import functools
import hashlib
import importlib
import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.grid import Values
from benchmarks.peers import Searcher, is_ours, make
from benchmarks.problems import Problem

__all__ = ["cached", "fingerprint", "keep", "loaded_fingerprint", "play", "replay", "run_file"]

Run = dict[str, Any]

_PACKAGES = ("oracles", "fidelity")  # of `kerasnas`: what decides how a search of ours goes
_HOME = Path(__file__).parent.parent / "kerasnas"


def replay(spec: str, problem: Problem, seed: int, trials: int) -> Run:
    """Run a search and record each trial.

    Trial `t` is observed with a generator made of `(seed, t)`, whoever searches.

    Args:
        spec: A searcher, as in `benchmarks/peers.py`.
        problem: What it searches.
        seed: Seeds the searcher and the noise.
        trials: Number of trials; fewer are recorded if the searcher finds nothing new.

    Returns:
        What was run, and `steps`: for each trial its `row` of option indices (`-1` inactive),
        the observed `loss`, the `truth`, the `test` accuracy, known `costs`, and the CPU
        `seconds` of the searcher, asking and telling.
    """

    def observe(values: Values, rng: np.random.Generator) -> tuple[float, dict[str, Any]]:
        loss = problem.observe(values, rng)
        return loss, {
            "row": problem.grid.key(values),
            "loss": loss,
            "truth": problem.truth(values),
            "test": problem.test(values),
            "costs": problem.costs(values),
        }

    steps = play(make(spec, problem, seed, trials), seed, trials, observe)
    return {
        "searcher": spec,
        "problem": problem.name,
        "seed": seed,
        "trials": trials,
        "steps": steps,
    }


def play(
    searcher: Searcher,
    seed: int,
    trials: int,
    observe: Callable[[Values, np.random.Generator], tuple[Any, dict[str, Any]]],
) -> list[dict[str, Any]]:
    """Ask, observe and tell until there are so many trials, or nothing new.

    Args:
        searcher: The search.
        seed: Seeds the noise: trial `t` gets a generator made of `(seed, t)`.
        trials: Number of trials.
        observe: Returns what the searcher is told of a candidate, and what is recorded.
    """
    steps: list[dict[str, Any]] = []
    while len(steps) < trials:
        begun = time.process_time()
        values = searcher.ask()
        asked = time.process_time() - begun
        if values is None:
            break
        told, facts = observe(values, np.random.default_rng((seed, len(steps))))
        begun = time.process_time()
        searcher.tell(values, told)
        seconds = asked + time.process_time() - begun
        steps.append({**facts, "seconds": round(seconds, 5)})
    return steps


@functools.cache
def loaded_fingerprint() -> str:
    """Load our oracles and policies, and return the fingerprint of what was loaded."""
    for package in _PACKAGES:
        for path in sorted((_HOME / package).glob("*.py")):
            importlib.import_module(
                f"kerasnas.{package}.{path.stem}".removesuffix(".__init__")
            )
    return _hash(_HOME)


@functools.cache
def fingerprint(home: Path = _HOME) -> str:
    """Return a short hash of our oracles' and policies' sources, as at the first call."""
    return _hash(home)


def _hash(home: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(
        path for package in _PACKAGES for path in (home / package).glob("*.py")
    ):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:10]


def run_file(cache: Path, spec: str, problem: str, seed: int, label: str = "") -> Path:
    """Return where a run is kept; runs of our oracles also by their sources and a label."""
    parts = [re.sub(r"[^\w.=-]+", "_", spec)]
    if is_ours(spec):
        parts += [part for part in (label, fingerprint()) if part]
    return cache / problem / "-".join(parts) / f"{seed:03d}.json"


def cached(path: Path, length: float, unit: str = "trials") -> Run | None:
    """Return a finished run, cut to a length; `None` if there is none as long.

    Args:
        path: Its file.
        length: How long.
        unit: What lengths are given in: `"trials"`, or `"budget"` where each step says at
            which `time` it ended.
    """
    if not path.exists():
        return None
    run: Run = json.loads(path.read_text())
    if run[unit] < length:
        return None
    steps = [
        step
        for number, step in enumerate(run["steps"], start=1)
        if (number if unit == "trials" else step["time"]) <= length
    ]
    return {**run, unit: length, "steps": steps}


def keep(path: Path, run: Run) -> None:
    """Write a run, all or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(f".{os.getpid()}.tmp")
    scratch.write_text(json.dumps(run))
    scratch.replace(path)
