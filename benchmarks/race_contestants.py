"""Contestants of the race that share this project's environment and space.

    python -m benchmarks.race_contestants ENTRY

| method    | what it is                                                                  |
|-----------|-----------------------------------------------------------------------------|
| `search`  | `kerasnas.search`; settings are its arguments, such as `strategy`           |
| `tuner`   | a KerasTuner tuner on the same space, with its recipe or ours: see `tuner`  |
| `largest` | no search: the largest network within the limit that a climb finds          |

`benchmarks.race` starts one process for each run; the clock has begun before it.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import collections
import json
import shutil
import time
from collections.abc import Callable
from typing import Any

import keras
import keras_tuner
import numpy as np
from keras_tuner.errors import FatalError

import kerasnas
from benchmarks.race_clock import Clock
from benchmarks.race_entry import FILE, MODEL, Entry, keep_facts, versions
from benchmarks.race_recipes import RECIPES, Candidate, train_fully
from kerasnas import spaces
from kerasnas.data import Data, load
from kerasnas.oracles.candidates import Candidates
from kerasnas.oracles.decisions import Decisions, Rows
from kerasnas.oracles.maximisation import maximise
from search_spaces import SearchSpace
from search_spaces.costs import flash_bytes

Settings = dict[str, Any]

SPACE = "mobilenet"
_TUNER: Settings = {
    "tuner": "BayesianOptimization",
    "recipe": "guide",
    "epochs": 5,
    "batch_size": 64,
    "last": "retrain",
    "num_initial_points": 8,
}
_SAMPLED = 1_000  # members by which a bound on parameters is chosen
_MOST = 100_000  # trials; the clock ends every search
_STARTS = 2  # random members that a climb to a large one starts from, beside its own


def search(entry: Entry) -> None:
    """`kerasnas.search`, which keeps its time by itself."""
    kerasnas.search(
        entry.examples(),
        space=SPACE,
        limits={"flash": entry.flash},
        max_time=max(1.0, entry.left),
        directory=entry.work,
        seed=entry.seed,
        **entry.settings,
    )
    result = kerasnas.open_search(entry.work)
    for name in (MODEL, FILE):
        shutil.copy(result.folder / name, entry.folder / name)
    winner = result.winner or {}
    keep_facts(
        entry.folder,
        searched_by={name: result.settings.get(name) for name in ("strategy", "fidelity")},
        trials=len(result.leaderboard()),
        refused=0,
        values=winner.get("values"),
        validation=winner.get("scores"),
    )


def tuner(entry: Entry) -> None:
    """A tuner of KerasTuner, as one who has ten minutes would use it.

    KerasTuner knows no flash and no time. Of flash the nearest it has is `max_model_size`, a
    number of parameters; it is given the one that tells best, over a thousand random members,
    which files fit. Hyperband would starve on it: a refused member keeps its place in a round,
    which is then never complete, so a refused member is scored 0 without training there. What
    is over the limit after all is passed over at the end. Time is kept by a callback.

    Settings:
        tuner: `"BayesianOptimization"`, `"Hyperband"` or `"RandomSearch"`.
        recipe: How candidates, and the best at the end, are trained: `"guide"` as KerasTuner's
            guides do, `"ours"` as `kerasnas.search` does, which leaves the search as the only
            difference from it. See `race_recipes.py`, also for settings of a recipe.
        epochs: Of a candidate by the guide's recipe, with early stopping; of Hyperband the
            most.
        last: `"retrain"` trains the best again, on all examples; `"nothing"` takes the model
            of the search and is to be used with a `share` of 1.
        num_initial_points: Random trials of the Bayesian tuner before its model is asked. Its
            own default, three for each decision, would be 63, more than there is time for.
    """
    told = _TUNER | dict(entry.settings)
    data, space = _members(entry)
    most = _parameters_that_fit(space, entry.flash)
    candidate = RECIPES[told["recipe"]](entry, space, data, told)
    made = _tuner(entry, told, candidate, most)
    _tune(entry, told, made, candidate)
    keep_facts(entry.folder, **_tried(made), max_model_size=most, settings=told)
    best = _best(entry, space, made)
    hp = best.hyperparameters
    keep_facts(entry.folder, values=hp.values, validation=best.score)
    entry.keep(candidate.ready(hp, made.load_model(best)))  # if what follows is cut short
    if told["last"] == "retrain":
        candidate.finish(best)


def _members(entry: Entry) -> tuple[Data, SearchSpace]:
    """The examples, and the space of them that `kerasnas.search` takes."""
    data = load(entry.examples(), layout="images", seed=entry.seed)
    space, _ = spaces.for_data(SPACE, data, None, None)
    return data, space


def _tune(entry: Entry, told: Settings, made: Any, candidate: Candidate) -> None:
    """Search until the clock has run down."""
    shown = candidate.shown()
    shown["callbacks"] += [Clock(entry, candidate.share, made.oracle)]
    # Hyperband sets the epochs of each trial itself, our recipe those of a look.
    if told["tuner"] != "Hyperband" and told["recipe"] == "guide":
        shown["epochs"] = told["epochs"]
    try:
        made.search(**shown)
    except FatalError as error:
        print(error)  # of the clock


def _tried(made: Any) -> dict[str, int]:
    """How many trials there were: trained, refused for their size, failed otherwise."""
    fates = collections.Counter(map(_fate, made.oracle.trials.values()))
    return {name: fates[name] for name in ("trials", "refused", "failed")}


def _fate(trial: Any) -> str:
    if trial.score == 0.0 or "Oversized model" in (trial.message or ""):
        return "refused"
    return {"COMPLETED": "trials", "FAILED": "failed"}.get(trial.status, "cut short")


def _best(entry: Entry, space: SearchSpace, made: Any) -> Any:
    """The best trial whose file will fit."""
    ranked = made.oracle.get_best_trials(len(made.oracle.trials))
    for trial in ranked:
        network = space.network(trial.hyperparameters.values, strict=False)
        if trial.score and flash_bytes(network) <= entry.flash:
            return trial
    raise RuntimeError(
        "No trial ended with a network within the limit. Received: "
        f"{len(ranked)} trials, flash={entry.flash}. Allow more minutes or bytes."
    )


class _Sized(keras_tuner.HyperModel):
    """Candidates, of which those of more parameters are scored 0, and not trained."""

    def __init__(self, candidate: Candidate, most: int) -> None:
        super().__init__()
        self._candidate, self._most = candidate, most

    def declare_hyperparameters(self, hp: Any) -> None:
        self._candidate.declare_hyperparameters(hp)

    def build(self, hp: Any) -> keras.Model:
        return self._candidate.build(hp)

    def fit(self, hp: Any, model: keras.Model, *args: Any, **kwargs: Any) -> Any:
        if model.count_params() > self._most:
            return {"val_accuracy": 0.0}
        return self._candidate.fit(hp, model, *args, **kwargs)


def _tuner(entry: Entry, told: Settings, candidate: Candidate, most: int) -> Any:
    common: dict[str, Any] = {
        "objective": "val_accuracy",
        "seed": entry.seed + 1,  # KerasTuner replaces 0
        "directory": str(entry.work),
        "project_name": "tuner",
    }
    if told["tuner"] == "Hyperband":
        return keras_tuner.Hyperband(
            _Sized(candidate, most),
            max_epochs=told["epochs"],
            hyperband_iterations=_MOST,
            **common,
        )
    common |= {
        "max_trials": _MOST,
        "max_model_size": most,
        "max_consecutive_failed_trials": _MOST,
    }
    if told["tuner"] == "BayesianOptimization":
        common["num_initial_points"] = told["num_initial_points"]
    return getattr(keras_tuner, told["tuner"])(candidate, **common)


def _parameters_that_fit(space: SearchSpace, flash: int) -> int:
    """The number of parameters up to which most members that fit, and few others, are."""
    decisions = Decisions(space.hyperparameters())
    rows = decisions.sample(np.random.default_rng(0), _SAMPLED)
    costs = [space.costs(decisions.values(row)) for row in rows]
    params = np.array([each["params"] for each in costs])
    fits = np.array([each["flash"] for each in costs]) <= flash
    if not fits.any():
        raise ValueError(
            f"No member of {_SAMPLED} fits. Received: flash={flash}. Allow more bytes."
        )
    return int(max(params, key=lambda most: np.mean((params <= most) == fits)))


def largest(entry: Entry) -> None:
    """The largest network within the limit that a climb finds, trained for the whole time.

    It is trained by our full recipe on all examples.

    Settings:
        by: The cost that makes a network large: `"flash"`, which the limit is on, or `"macs"`,
            which are what training takes.
    """
    data, space = _members(entry)
    values, costs = _large(space, entry, entry.settings.get("by", "flash"))
    keep_facts(entry.folder, trials=1, refused=0, values=values, predicted=costs)
    hp = space.hyperparameters()
    hp.values = values
    train_fully(entry, space, hp, data)


def _large(
    space: SearchSpace, entry: Entry, by: str
) -> tuple[dict[str, Any], dict[str, float]]:
    """Climb to a member that no change of a decision makes larger within the limit."""
    decisions = Decisions(space.hyperparameters())
    candidates = Candidates(decisions, space.costs, {"flash": entry.flash})

    def size(rows: Rows) -> Any:
        costs = [candidates.costs_of(row) for row in rows]
        fits = [each["flash"] <= entry.flash for each in costs]
        return np.where(fits, [each[by] for each in costs], [-each["flash"] for each in costs])

    rng = np.random.default_rng(entry.seed)
    best = maximise(size, candidates, decisions.sample(rng, _STARTS), rng)
    if best is None:
        raise ValueError(
            f"No member fits. Received: flash={entry.flash}. Allow more bytes than the "
            "smallest takes."
        )
    return dict(decisions.values(best)), candidates.costs_of(best)


METHODS: dict[str, Callable[[Entry], None]] = {
    "search": search,
    "tuner": tuner,
    "largest": largest,
}


def main() -> None:
    """Run one contestant."""
    entry = Entry.of_arguments()
    keras.utils.set_random_seed(entry.seed)
    keep_facts(
        entry.folder,
        versions=versions("keras", "tensorflow", "keras-tuner"),
        ready_after=round(time.time() - entry.began, 1),
    )
    METHODS[entry.method](entry)
    print(json.dumps({"seconds": round(time.time() - entry.began, 1)}))


if __name__ == "__main__":
    main()
