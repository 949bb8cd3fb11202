"""KerasTuner's oracle narrowed to one question: which candidate comes next?

This module and `kerasnas/tuner.py` are the only ones that use private names of KerasTuner.
"""

from __future__ import annotations

import abc
import collections
import copy
import json
import math
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras_tuner
import numpy as np
from keras_tuner.engine.hyperparameters import HyperParameters
from keras_tuner.engine.trial import Trial

from edge_devices.units import COSTS, format_cost
from kerasnas.fidelity._fidelity import SOURCE, Fidelity, Record, Run
from kerasnas.fidelity._training import Training
from kerasnas.journal import Event, Journal, write_atomically
from kerasnas.limits import parse_limits, violation
from kerasnas.oracles.candidates import Candidates, Costs, Identity
from kerasnas.oracles.decisions import Decisions, Values
from kerasnas.oracles.pareto import nondominated

__all__ = ["Edit", "SearchOracle", "costs_of"]

Edit = Callable[[Values, np.random.Generator], Values]
"""A small random change of a candidate, as its space knows it."""

_FORMAT = 2


def costs_of(oracle: keras_tuner.Oracle, trial: Trial) -> dict[str, float]:
    """What a trial's candidate costs; nothing is known of it by other libraries' oracles."""
    return oracle.trial_costs(trial) if isinstance(oracle, SearchOracle) else {}


class SearchOracle(keras_tuner.Oracle, abc.ABC):
    """Base of all oracles: proposes candidates, remembers everything, survives kills.

    A subclass answers `suggest`. Around it this class keeps the promises that all oracles
    share:

    - No candidate is proposed twice, and none that breaks a limit. When nothing is left the
      search stops; when there was nothing from the start, `create_trial` says why.
    - Proposal `t` draws from a generator made of `(seed, t)`. So a search that was killed
      and reopened continues as if nothing had happened.
    - The journal, `<directory>/<project_name>/journal.jsonl`, is the truth: whatever
      KerasTuner's own files hold, a search reopens with every trial that ended, and trials
      that were open are run again first. `oracle.json` and `trial.json` are written for
      tools that look at them, never read.
    - A trial without a finite score is a failure: it is not proposed again, and not among
      the trials that `suggest` is given, but in `failed`.

    The oracle works without a tuner too (`create_trial`, `update_trial`, `end_trial`); then
    nothing is written.

    Args:
        objective: As in `keras_tuner.Oracle`. Of several the first is what trials are ranked
            by and what best epochs are chosen by; a plain tuple of values, never their sum, is
            kept of each trial, and `pareto_front` answers. The first is a metric of the trial,
            each other one a metric or one of its `costs`.
        max_trials: Number of candidates to try at most, `None` for no bound. A search that
            is reopened with more continues.
        hyperparameters: The space, or parts of it, if it is not left to the tuner. Copied.
        seed: Seeds every random choice. `None` draws fresh entropy, or takes the seed of the
            search that is reopened; `0` is a seed.
        costs: Costs of a candidate that are known without training, `costs(values)`: always
            the same names.
        limits: Upper bounds on those costs, such as `{"params": "50k", "flash": "128KB"}`.
        identity: `identity(values)`, equal for candidates that are the same network. By
            default all active values.
        slow_costs: Whether one call of `costs` takes longer than some milliseconds, as where
            a model is built to be measured. Costs are then kept in the journal, and guessed
            from those known, so that few have to be asked for.
        start_with: Candidates to try before any other, such as ones known to be good, in place
            of the first that the oracle would try. Decisions left out take their defaults.
            Those that break a limit, or are the same network as another, are passed over.
        fidelity: How much training each candidate deserves, such as
            `kerasnas.SuccessiveHalving`; `None` gives all of them the same. It takes a
            `kerasnas.Tuner`, which carries it out: with another tuner a run is whatever that
            trains, and all runs begin from scratch. `max_trials` still counts candidates,
            however often they are trained on.
        max_retries_per_trial: How often a trial that raised an exception is run again.
        max_consecutive_failed_trials: The search gives up, with an error, after so many
            failed trials in a row.
        **kwargs: Passed on to `keras_tuner.Oracle`.

    Attributes:
        journal: The record of the search; `None` without a tuner.
        rng: The generator of the proposal that `suggest` is asked for.
        parent: The trial whose candidate was changed a little to make the one that `suggest`
            returns. A method that works so sets it there; it is `None` before each proposal.
        inherit: Whether a new candidate's weights are to start from those of its parent, where
            a method names none from those of the completed trial that shares most decisions;
            set by the tuner, which does it.
        edit: How the space itself changes a candidate a little, if it knows better than by
            drawing a decision again; set by the tuner.

    Raises:
        ValueError: If there is no objective in a list of them, if one is given twice, or if
            the seed is negative.
    """

    objective: keras_tuner.Objective
    trials: dict[str, Trial]
    ongoing_trials: dict[str, Trial]
    start_order: list[str]
    end_order: list[str]
    _further: list[keras_tuner.Objective]
    _retry_queue: list[str]
    _run_times: collections.defaultdict[str, int]

    def __init__(
        self,
        objective: Any = None,
        max_trials: int | None = None,
        *,
        hyperparameters: HyperParameters | None = None,
        seed: int | None = None,
        costs: Costs | None = None,
        limits: Mapping[str, float | int | str] | None = None,
        identity: Identity | None = None,
        slow_costs: bool = False,
        start_with: Sequence[Values] = (),
        fidelity: Fidelity | None = None,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int = 10,
        **kwargs: Any,
    ):
        if seed is not None and seed < 0:
            raise ValueError(
                f"A seed must not be negative. Received: seed={seed}. "
                "Use 0 or more, or `None` for fresh entropy."
            )
        if fidelity is not None and not isinstance(fidelity, Fidelity):
            raise TypeError(
                "How much training candidates get is said by a policy. Received: "
                f"fidelity={fidelity!r}. Pass, for example, `kerasnas.SuccessiveHalving(27)`; "
                "names are for `kerasnas.search`."
            )
        super().__init__(
            objective=_objectives(objective),
            max_trials=max_trials,
            hyperparameters=_share(hyperparameters) if hyperparameters is not None else None,
            seed=1,  # a false seed would be replaced from the global generator
            max_retries_per_trial=max_retries_per_trial,
            max_consecutive_failed_trials=max_consecutive_failed_trials,
            **kwargs,
        )
        every: list[Any] = getattr(self.objective, "objectives", [self.objective])
        self.objective, *self._further = every
        self.seed: int = secrets.randbits(32) if seed is None else int(seed)
        self.costs = costs
        self.limits = limits
        self.identity = identity
        self.slow_costs = slow_costs
        if isinstance(start_with, Mapping):
            raise TypeError(
                "`start_with` takes a list of candidates. "
                f"Received: start_with={dict(start_with)}. Write [{{...}}]."
            )
        self.start_with = start_with or ()
        self.fidelity = fidelity
        self.parent: str | None = None
        self.edit: Edit | None = None
        self.inherit = False
        self.journal: Journal | None = None
        self.rng = np.random.default_rng(self.seed)
        self._seed_is_free = seed is None
        self._space_is_complete = False
        self._opened = False
        self._has_header = False
        self._proposed: dict[str, Values] = {}
        self._began: dict[str, float] = {}
        self._seconds: dict[str, float] = {}
        self._measured: list[tuple[Values, dict[str, float]]] = []
        self._settled = 0
        self._trial_costs: dict[str, dict[str, float]] = {}
        self._parents: dict[str, str] = {}
        self._sources: dict[str, str] = {}
        self._trainings: dict[str, Training] = {}
        self._lock = threading.RLock()  # KerasTuner's own stays locked after an exception
        self._candidates: tuple[object, Candidates] | None = None

    # --- for subclasses -----------------------------------------------------------------

    @abc.abstractmethod
    def suggest(self, finished: Sequence[Trial]) -> Values | None:
        """Pick the next candidate.

        Args:
            finished: Scored trials, oldest first. With a `fidelity` the score of each is what
                is expected of it at the highest level; other objectives are as they were at
                the level that it has reached.

        Returns:
            The hyperparameter values to try, or `None` when nothing new is left.
        """

    @property
    def objectives(self) -> tuple[keras_tuner.Objective, ...]:
        """All objectives, the one that trials are ranked by first."""
        return (self.objective, *self._further)

    @property
    def candidates(self) -> Candidates:
        """What may be proposed: the space less broken limits and tried candidates."""
        space = len(self.hyperparameters.space)
        key = (space, self.costs, self.limits, self.identity, self.slow_costs)
        if self._candidates is None or self._candidates[0] != key:
            candidates = Candidates(
                Decisions(self.hyperparameters),
                self._measure if self.slow_costs and self.costs is not None else self.costs,
                self.limits,
                self.identity,
                measured=self._measured if self.slow_costs else None,
                seed=self.seed,
            )
            for trial in self.trials.values():
                candidates.exclude(self._proposed[trial.trial_id])
                candidates.exclude(trial.hyperparameters.values)
            self._candidates = key, candidates
        return self._candidates[1]

    @property
    def running(self) -> list[Trial]:
        """Trials that were proposed and have not ended, oldest first."""
        ended = set(self.end_order)
        return [trial for trial in self.trials.values() if trial.trial_id not in ended]

    @property
    def failed(self) -> list[Trial]:
        """Trials that ended without a score, in the order in which they ended."""
        ended = [self.trials[trial_id] for trial_id in self.end_order]
        return [trial for trial in ended if trial.status == "FAILED"]

    def seconds(self, trial: Trial) -> float:
        """How long a trial that has ended took."""
        return self._seconds[trial.trial_id]

    def parent_of(self, trial: Trial) -> str | None:
        """Which trial a trial's candidate was made from, by a method that works so."""
        return self._parents.get(trial.trial_id)

    def records(self) -> list[Record]:
        """What is known of the training of each trial, oldest first."""
        return [self._trainings[trial_id].record(trial_id) for trial_id in self.trials]

    def level(self, trial: Trial) -> float:
        """How far a trial was trained; 1.0 where all are trained alike."""
        return self._trainings[trial.trial_id].reached or 1.0

    def trial_costs(self, trial: Trial) -> dict[str, float]:
        """What a trial's candidate costs, as known before it was trained."""
        return dict(self._trial_costs[trial.trial_id])

    def value(self, trial: Trial, name: str) -> float | None:
        """What a trial has reached in a metric or costs.

        Args:
            trial: A trial that has ended.
            name: The metric, taken at the trial's best step if it is there and at its last
                finite step otherwise; or the cost.

        Returns:
            The value, NaN if none was finite, `None` if the trial has nothing of that name.
        """
        if name == self.objective.name:
            return None if trial.score is None else float(trial.score)
        if trial.metrics.exists(name):
            finite = {step: value for value, step in _history(trial, name)}
            return finite.get(trial.best_step, finite[max(finite)]) if finite else math.nan
        return self._trial_costs[trial.trial_id].get(name)

    def pareto_front(self) -> list[Trial]:
        """Return the completed trials that no other dominates, the best of the first first.

        Those that were paused compete as they were then.
        """
        with self._lock:
            ranked = self.get_best_trials(len(self.trials))
            if not ranked:
                return []
            losses = np.array([self.losses(trial) for trial in ranked])
            kept = nondominated(losses) & np.isfinite(losses).all(axis=1)
            return [trial for trial, on in zip(ranked, kept, strict=True) if on]

    def losses(self, trial: Trial) -> list[float]:
        """Return a completed trial's objectives, signed so that less is better."""
        values = [(self.value(trial, one.name), one.direction) for one in self.objectives]
        return [
            math.nan if value is None else (-value if direction == "max" else value)
            for value, direction in values
        ]

    # --- what a tuner sets --------------------------------------------------------------

    @property
    def limits(self) -> dict[str, float]:
        """Upper bounds on costs, in base units."""
        return self._limits

    @limits.setter
    def limits(self, limits: Mapping[str, float | int | str] | None) -> None:
        self._limits = parse_limits(limits)

    def _set_project_dir(self, directory: Any, project_name: Any) -> None:
        if "://" in str(directory):
            raise ValueError(
                "A search is recorded in a local folder. "
                f"Received: directory={str(directory)!r}. Use a local path and copy the "
                "folder when the search has ended."
            )
        super()._set_project_dir(directory, project_name)
        self.journal = Journal(Path(directory) / project_name / "journal.jsonl")
        # Not opened yet: with `overwrite=True` the folder is deleted after this call.
        self._opened = False
        self._forget()

    # --- KerasTuner's interface ---------------------------------------------------------

    def create_trial(self, tuner_id: str) -> Trial:
        with self._lock:
            self._begin()
            if tuner_id in self.ongoing_trials:
                self._equip(self.ongoing_trials[tuner_id])  # its run begins again
                return self.ongoing_trials[tuner_id]
            self.tuner_ids.add(tuner_id)
            if self._retry_queue:
                trial = self.trials[self._retry_queue.pop(0)]
                trial.status = "RUNNING"
            else:
                trial = self._next_trial()
            if trial.status == "RUNNING":
                self._equip(trial)
                self.ongoing_trials[tuner_id] = trial
                self._began[trial.trial_id] = time.monotonic()
                self._save_trial(trial)
                self.save()
                self._display.on_trial_begin(trial)
            elif trial.status == "STOPPED":
                self.tuner_ids.discard(tuner_id)
            return trial

    def update_trial(
        self, trial_id: str, metrics: Mapping[str, float], step: int = 0
    ) -> Trial:
        with self._lock:
            self._check_objective_found(metrics)
            trial = self.trials[trial_id]
            for name, value in metrics.items():
                if not trial.metrics.exists(name):
                    directions = {one.name: one.direction for one in self.objectives}
                    trial.metrics.register(name, directions.get(name))
                # The tracker's own `update` warns about NaN on the way.
                trial.metrics.metrics[name].update(float(value), step=step)
            return trial

    def report(self, trial_id: str, epoch: int, metrics: Mapping[str, float]) -> bool:
        """Take what a running trial has reached after an epoch.

        Args:
            trial_id: The trial.
            epoch: Number of the epoch, from 0: over all runs of the trial where levels are
                epochs, else in this run.
            metrics: What was reached, by name.

        Returns:
            Whether the training is worth going on with.
        """
        with self._lock:
            training = self._trainings[trial_id]
            value = float(metrics.get(self.objective.name, math.nan))
            loss = -value if self.objective.direction == "max" else value
            training.note(epoch, loss, in_epochs=self._in_epochs)
            if self.fidelity is None or training.level is None:
                return True
            going = self.fidelity.goes_on(training.record(trial_id), self.records())
            if not going:
                training.give_up()
            return going

    def end_trial(self, trial: Trial) -> None:
        with self._lock:
            ended, trial = trial, self.trials[trial.trial_id]
            trial.hyperparameters = ended.hyperparameters
            trial.status, trial.message = ended.status, ended.message
            self.update_space(trial.hyperparameters)
            _complete(trial.hyperparameters)
            if trial.status == "COMPLETED":
                self.score_trial(trial)
            runs = self._run_times[trial.trial_id] + 1
            if trial.status == "INVALID" and runs <= self.max_retries_per_trial:
                self._record("retry", trial=trial.trial_id, message=trial.message)
                self._queue(trial)
            else:
                if trial.status == "INVALID":
                    trial.status = "FAILED"
                began = self._began.pop(trial.trial_id, time.monotonic())
                seconds = self._seconds.get(trial.trial_id, 0.0) + time.monotonic() - began
                self._seconds[trial.trial_id] = round(seconds, 3)
                self._settle(trial)
                self._record("ended", **self._result(trial))
                if trial.trial_id not in self.end_order:
                    self.end_order.append(trial.trial_id)
            self._run_times[trial.trial_id] = runs
            self._exclude(trial.hyperparameters.values)
            self._save_trial(trial)
            self.save()
            self._display.on_trial_end(trial)
            # Last, because a chief that serves workers stops when nothing is ongoing.
            for tuner_id, ongoing in list(self.ongoing_trials.items()):
                if ongoing.trial_id == trial.trial_id:
                    del self.ongoing_trials[tuner_id]
            self._check_consecutive_failures()

    def score_trial(self, trial: Trial) -> None:
        """Score a trial by its best finite value of the objective, or call it invalid."""
        name, sign = self.objective.name, -1 if self.objective.direction == "max" else 1
        finite = [(sign * value, step) for value, step in _history(trial, name)]
        if finite:
            signed, trial.best_step = min(finite)
            trial.score = sign * signed
            values = {one.name: self.value(trial, one.name) for one in self.objectives}
            self._check_all_reported(trial, values)
            broken = [
                name for name, value in values.items() if not math.isfinite(value or 0.0)
            ]
            if not broken:
                return
            name, trial.score = broken[0], None
        trial.status = "INVALID"
        history = trial.metrics.get_history(name) if trial.metrics.exists(name) else []
        got = f"was {history[-1].mean()}" if history else "was not reported"
        trial.message = trial.message or f"The objective {name!r} {got}."

    def _check_all_reported(self, trial: Trial, values: Mapping[str, float | None]) -> None:
        missing = [name for name, value in values.items() if value is None]
        if missing:
            raise ValueError(
                "An objective is neither a metric nor a cost of the trials. Received: "
                f"{missing}; trial {trial.trial_id} has the metrics "
                f"{sorted(trial.metrics.metrics)} and the costs "
                f"{sorted(self._trial_costs[trial.trial_id])}. Report it, pass `costs`, or "
                "leave it out."
            )

    def update_space(self, hyperparameters: HyperParameters) -> None:
        with self._lock:
            known = len(self.hyperparameters.space)
            super().update_space(hyperparameters)
            self._space_is_complete = True
            added = self.hyperparameters.get_config()["space"][known:]
            if added and self._has_header:
                self._record("space", space=added)

    def get_best_trials(self, num_trials: int = 1) -> list[Trial]:
        """Return the best completed trials, best first; failed ones are never among them."""
        with self._lock:
            self._open()
            completed = [
                self._as_known(trial)
                for trial in self.trials.values()
                if trial.status == "COMPLETED" or self._is_trained_on(trial)
            ]
            best_is_large = self.objective.direction == "max"
            completed.sort(key=lambda trial: trial.score, reverse=best_is_large)
            return completed[:num_trials]

    def _is_trained_on(self, trial: Trial) -> bool:
        """Whether a trial has a score and is trained on, or about to be again."""
        return self._trainings[trial.trial_id].before is not None

    def _as_known(self, trial: Trial) -> Trial:
        """A trial that is being trained on as its last run has left it."""
        before = self._trainings[trial.trial_id].before
        if before is None:
            return trial
        known = copy.copy(trial)
        known.status = "COMPLETED"
        known.metrics, known.score, known.best_step = before
        return known

    def remaining_trials(self) -> int | None:
        with self._lock:
            self._open()
            return None if self.max_trials is None else self.max_trials - len(self.trials)

    def save(self) -> None:
        if self.journal is not None:
            with self._lock:
                self._begin()
                state = json.dumps(self.get_state())
                write_atomically(self.journal.path.with_name("oracle.json"), state)

    def reload(self) -> None:
        """Read the search in the project's folder again, from its journal."""
        with self._lock:
            self._opened = False
            self._open()

    # --- proposals ----------------------------------------------------------------------

    def _propose(self) -> Values | None:
        """Ask `suggest`, and hold its answer to what this class promises."""
        self.rng = np.random.default_rng((self.seed, len(self.trials)))
        self.parent = None
        self.candidates.settled = self._settled
        starts = (self._checked(values) for values in self.start_with)
        values = next((v for v in starts if self.candidates.admits(v)), None)
        if values is None:
            values = self.suggest(self._finished())
        if values is None:
            self._explain_if_never_possible()
        elif not self.candidates.admits(values):
            raise RuntimeError(
                "`suggest` must return a candidate that is new and keeps the limits. "
                f"Received: {values} from {type(self).__name__}. "
                "Choose from `self.candidates`."
            )
        return values

    def _finished(self) -> list[Trial]:
        """Scored trials, oldest first, with scores that compare."""
        ended = [self.trials[trial_id] for trial_id in self.end_order]
        if self.fidelity is None:
            return [trial for trial in ended if trial.status == "COMPLETED"]
        known = [trial for trial in ended if self._trainings[trial.trial_id].losses]
        if not known:
            return []
        records = [self._trainings[trial.trial_id].record(trial.trial_id) for trial in known]
        losses = self.fidelity.expected(records)
        sign = -1.0 if self.objective.direction == "max" else 1.0
        finished = [copy.copy(self._as_known(trial)) for trial in known]
        for trial, loss in zip(finished, losses, strict=True):
            trial.status, trial.score = "COMPLETED", sign * float(loss)
        return finished

    def _checked(self, values: Values) -> Values:
        """Return a candidate of the user's, complete, if it is one of the space."""
        if not self.hyperparameters.space:
            return dict(values)  # it will only be known while a trial runs
        known = {hp.name for hp in self.hyperparameters.space}
        given = _share(self.hyperparameters, values)
        _complete(given)
        decisions = self.candidates.decisions
        read = decisions.values(decisions.encode([given.values])[0])
        wrong = sorted(
            name
            for name, value in values.items()
            if name not in known
            or (name in given.values and (name not in read or not _same(value, read[name])))
        )
        if wrong:
            raise ValueError(
                "A candidate to start with must be one of the space. Received: "
                f"{ {name: values[name] for name in wrong} } in start_with, where the space "
                f"has the decisions {sorted(known)}. Correct or drop it."
            )
        return read

    def _next_trial(self) -> Trial:
        trial_id = f"{len(self.trials):04d}"  # not as wide as `max_trials`, which may grow
        over = self.max_trials is not None and len(self.trials) >= self.max_trials
        run = self._next_run(last=over)
        if isinstance(run, Run):
            return self._resumed(run)
        values = None if over else self._propose()
        if values is None and not over and isinstance(run := self._next_run(last=True), Run):
            return self._resumed(run)
        if values is None:
            # A space that is only seen while a trial runs may yet turn out to be larger, and
            # a trial that still runs may yet deserve more training.
            unseen = not over and not self.hyperparameters.space
            waits = self.ongoing_trials and (unseen or self.fidelity is not None)
            return Trial(self.get_space(), trial_id, "IDLE" if waits else "STOPPED")
        trial = Trial(_share(self.hyperparameters, values), trial_id, "RUNNING")
        costs = {k: float(v) for k, v in self.candidates.costs(values).items()}
        source = (self.parent or self._nearest(values)) if self.inherit else None
        known = {"level": run, "parent": self.parent, "source": source}
        told = {name: fact for name, fact in known.items() if fact is not None}
        self._record("created", trial=trial_id, values=values, costs=costs, **told)
        self._trial_costs[trial_id] = costs
        self._add(trial, told)
        return trial

    def _next_run(self, *, last: bool) -> Run | float | None:
        """What the policy wants trained next; `None` where every trial is trained alike."""
        if self.fidelity is None:
            return None
        records = {record.trial_id: record for record in self.records()}
        run = self.fidelity.next_run(list(records.values()), last=last)
        if isinstance(run, Run):
            record = records.get(run.trial_id)
            possible = (
                record is not None
                and record.running is None
                and not record.settled
                and run.level > record.level
            )
        else:
            possible = run in self.fidelity.levels
        if not possible:
            raise RuntimeError(
                "`next_run` must return the level of a new candidate, or a paused trial and a "
                f"higher level for it. Received: {run!r} from {self.fidelity!r}. Choose from "
                "`levels`, and from trials that are neither running nor settled."
            )
        return run

    def _resumed(self, run: Run) -> Trial:
        """Take a paused trial up again."""
        trial = self.trials[run.trial_id]
        self._record("resumed", trial=run.trial_id, level=run.level)
        self._resume(trial, run.level)
        return trial

    def _resume(self, trial: Trial, level: float) -> None:
        """Ready a trial for a further run; until that ends, the score of the last one counts.

        The tracker is a fresh one: KerasTuner ignores the result of a run whose metrics exist
        already.
        """
        self._trainings[trial.trial_id].resume(trial, level)
        self._run_times[trial.trial_id] = 0
        trial.status, trial.message = "RUNNING", None
        trial.metrics = type(trial.metrics)()

    def _equip(self, trial: Trial) -> None:
        """Tell the tuner, by values as those of KerasTuner's Hyperband, how far to train."""
        training = self._trainings[trial.trial_id]
        training.begin()
        if self.fidelity is not None and training.level is not None:
            settings = self.fidelity.settings(training.level, training.reached)
            trial.hyperparameters.values |= settings
        if training.losses:
            trial.hyperparameters.values[SOURCE] = trial.trial_id
        elif self.inherit and trial.trial_id in self._sources:
            trial.hyperparameters.values[SOURCE] = self._sources[trial.trial_id]

    def _nearest(self, values: Values) -> str | None:
        """Return the completed trial that shares most decisions, if it shares half of them."""

        def shared(trial: Trial) -> int:
            other = trial.hyperparameters.values
            return sum(other.get(name) == value for name, value in values.items())

        ended = [self.trials[trial_id] for trial_id in self.end_order]
        completed = [trial for trial in ended if trial.status == "COMPLETED"]
        nearest = max(completed, key=shared, default=None)
        if nearest is None or 2 * shared(nearest) < len(values):
            return None
        return str(nearest.trial_id)

    def _settle(self, trial: Trial) -> None:
        """Note how a run ended: a trial that fails later keeps what it had before."""
        loss = self.losses(trial)[0] if trial.status == "COMPLETED" else None
        self._trainings[trial.trial_id].end(trial, loss, in_epochs=self._in_epochs)

    @property
    def _in_epochs(self) -> bool:
        return self.fidelity is None or self.fidelity.dimension == "epochs"

    def _explain_if_never_possible(self) -> None:
        """Raise if no candidate at all keeps the limits; used up by trials is no error."""
        if self.trials or not self.limits:
            return
        nearest = self.candidates.costs(self.candidates.nearest(self.rng))
        if violation(nearest, self.limits) > 0.0:
            described = ", ".join(
                f"{name}={format_cost(name, nearest[name])} (limit {format_cost(name, bound)})"
                for name, bound in self.limits.items()
            )
            raise ValueError(
                "No candidate of this space keeps the limits. "
                f"Received: limits={self.limits}; the nearest candidate found has {described}"
                ". Raise the limits or take a space with smaller networks."
            )

    def _check_consecutive_failures(self) -> None:
        failed = self.max_consecutive_failed_trials
        last = [self.trials[trial_id] for trial_id in self.end_order[-failed:]]
        if len(last) == failed and all(trial.status == "FAILED" for trial in last):
            raise RuntimeError(
                f"The last {failed} trials failed, so the search gives up. "
                f"Received, at the last of them: {last[-1].message or 'no message'}\n"
                "Mend the cause and start again to continue, or raise "
                "`max_consecutive_failed_trials`."
            )

    # --- memory and journal -------------------------------------------------------------

    def _add(self, trial: Trial, told: Mapping[str, Any]) -> None:
        """Take in a trial, with what its event tells beside its values and costs."""
        self.trials[trial.trial_id] = trial
        self._trainings[trial.trial_id] = Training(told.get("level"))
        if "parent" in told:
            self._parents[trial.trial_id] = told["parent"]
        if "source" in told:
            self._sources[trial.trial_id] = told["source"]
        self.start_order.append(trial.trial_id)
        self._proposed[trial.trial_id] = dict(trial.hyperparameters.values)
        self._exclude(trial.hyperparameters.values)

    def _exclude(self, values: Values) -> None:
        if self._candidates is not None:
            self._candidates[1].exclude(values)

    def _forget(self) -> None:
        """Empty the memory before it is filled from a journal."""
        self.trials, self.ongoing_trials, self._proposed = {}, {}, {}
        self.start_order, self.end_order, self._retry_queue = [], [], []
        self._began, self._seconds, self._trial_costs = {}, {}, {}
        self._parents, self._sources, self._trainings = {}, {}, {}
        self._measured, self._settled = [], 0
        self._run_times = collections.defaultdict(int)
        self._candidates = None

    def _queue(self, trial: Trial) -> None:
        # A fresh tracker: KerasTuner ignores the result of a run whose metrics exist already.
        trial.metrics, trial.message = type(trial.metrics)(), None
        if trial.trial_id not in self.end_order:
            trial.score, trial.best_step = None, 0
        self._retry_queue.append(trial.trial_id)

    def _measure(self, values: Values) -> Mapping[str, float]:
        """Ask for slow costs once, and keep them; journals of other runs included."""
        known = next((costs for other, costs in self._measured if other == values), None)
        if known is None:
            assert self.costs is not None
            known = {name: float(cost) for name, cost in self.costs(values).items()}
            self._record("measured", values=values, costs=known)
            self._measured.append((dict(values), known))
        return known

    def _record(self, kind: str, **facts: Any) -> None:
        if kind != "measured":
            self._settled = len(self._measured)
        if self.journal is not None:
            self.journal.append({"event": kind, **facts})

    def _save_trial(self, trial: Trial) -> None:
        if self.journal is not None:
            folder = self.journal.path.parent / f"trial_{trial.trial_id}"
            write_atomically(folder / "trial.json", json.dumps(trial.get_state()))

    def _begin(self) -> None:
        """Open the search; if there is none yet, start its journal."""
        self._space_is_complete = True
        if not self._open():
            self._record("search", **self._header())
            self._has_header = True

    def _open(self) -> bool:
        """Read what the folder holds, once. Return whether there is a search in it."""
        if not self._opened:
            events = self.journal.read() if self.journal is not None else []
            header = next((event for event in events if event.get("event") == "search"), None)
            self._check_same_search(header)
            if header is not None:
                self._replay(header, events)
            self._has_header = header is not None
            self._opened = True
        return self._has_header

    def _header(self) -> Event:
        """What makes this search itself."""
        return {
            "format": _FORMAT,
            "oracle": type(self).__name__,
            "objective": self.objective.name,
            "direction": self.objective.direction,
            "objectives": [[one.name, one.direction] for one in self.objectives],
            "seed": self.seed,
            "space": self.hyperparameters.get_config()["space"],
            **({} if self.fidelity is None else {"fidelity": repr(self.fidelity)}),
        }

    def _check_same_search(self, header: Event | None) -> None:
        if self.journal is None:
            return
        folder = self.journal.path.parent
        if header is None:
            if (folder / "oracle.json").exists():
                raise _another_search(folder, "a search of KerasTuner, without a journal", "")
            return
        ours = self._header()
        names = ["format", "oracle", "objective", "direction", "objectives", "fidelity"]
        if not self._seed_is_free:
            names.append("seed")
        other = [name for name in names if header.get(name) != ours.get(name)]
        there = [f"{name}={header.get(name)}" for name in other]
        here = [f"{name}={ours.get(name)}" for name in other]
        theirs, mine = _described(header["space"]), _described(ours["space"])
        if (lost := theirs - mine) and self._space_is_complete:
            there.append(f"decisions {_names(lost)}")
        if added := mine - theirs:
            here.append(f"decisions {_names(added)}")
        if there or here:
            raise _another_search(folder, ", ".join(there), ", ".join(here))

    def _replay(self, header: Event, events: Sequence[Event]) -> None:
        """Take over the state that the journal records; skip events of other writers."""
        self.seed, self._seed_is_free = header["seed"], False
        self.hyperparameters = _space(header["space"])
        self._forget()
        for event in events:
            match event.get("event"):
                case "space":
                    self.hyperparameters.merge(_space(event["space"]))
                case "created":
                    self._replay_created(event)
                case "resumed":
                    self._resume(self.trials[event["trial"]], event["level"])
                case "measured":
                    self._measured.append((event["values"], event["costs"]))
                case "retry":
                    self._run_times[event["trial"]] += 1
                case "ended":
                    self._replay_ended(event)
            if event.get("event") in ("space", "created", "resumed", "retry", "ended"):
                self._settled = len(self._measured)
        _complete(self.hyperparameters)
        for trial in self.trials.values():
            if trial.status != "RUNNING":
                continue
            trial.hyperparameters = _share(self.hyperparameters, trial.hyperparameters.values)
            _complete(trial.hyperparameters)
            self._retry_queue.append(trial.trial_id)

    def _replay_created(self, event: Event) -> None:
        if event["trial"] in self.trials:
            raise ValueError(
                "The journal records a trial twice, as when two programs run one search. "
                f"Received: trial {event['trial']}. Run one program at a time, and start over "
                "with `overwrite=True` or another `project_name`."
            )
        hyperparameters = _share(self.hyperparameters, event["values"])
        self._trial_costs[event["trial"]] = event["costs"]
        trial = Trial(hyperparameters, trial_id=event["trial"], status="RUNNING")
        self._add(trial, event)

    def _replay_ended(self, event: Event) -> None:
        trial = self.trials[event["trial"]]
        trial.hyperparameters = _share(self.hyperparameters, event["values"])
        trial.status, trial.message = event["status"], event["message"]
        trial.score, trial.best_step = event["score"], event["best_step"]
        trial.metrics = type(trial.metrics).from_config(event["metrics"])
        self._seconds[trial.trial_id] = event["seconds"]
        self._run_times[trial.trial_id] += 1
        self._trainings[trial.trial_id] = Training.of(event.get("training"))
        if trial.trial_id not in self.end_order:
            self.end_order.append(trial.trial_id)

    def _result(self, trial: Trial) -> Event:
        completed = trial.status == "COMPLETED"
        return {
            "trial": trial.trial_id,
            "status": trial.status,
            "score": trial.score,
            "losses": self.losses(trial) if completed else None,
            "seconds": self.seconds(trial),
            "best_step": trial.best_step,
            "metrics": trial.metrics.get_config(),
            "message": trial.message,
            "values": trial.hyperparameters.values,
            "training": self._trainings[trial.trial_id].state(),
        }


def _objectives(objective: Any) -> Any:
    """Return objectives as KerasTuner takes them; costs are to be small."""
    several = isinstance(objective, list | tuple)
    every = list(objective) if several else [objective]
    names = [getattr(one, "name", one) for one in every]
    if several and (not all(isinstance(name, str) for name in names) or not names):
        raise ValueError(
            "Objectives are names or `keras_tuner.Objective`s. Received: "
            f"objective={objective!r}. Pass, for example, "
            '["val_accuracy", keras_tuner.Objective("latency_ms", "min")].'
        )
    if len(set(names)) < len(names):
        raise ValueError(
            "Several objectives must be different. Received: "
            f"objective={objective!r}. Name each of them once."
        )
    if names[0] in COSTS:
        raise ValueError(
            "The first objective must be a metric of the training, by which the best epoch is "
            f"chosen. Received: objective={objective!r}, where {names[0]!r} is a cost. Put a "
            'metric such as "val_accuracy" before it, or hold the cost with `limits`.'
        )
    if not several:
        return objective
    is_cost = [isinstance(one, str) and one in COSTS for one in every]
    return [
        keras_tuner.Objective(one, "min") if small else one
        for one, small in zip(every, is_cost, strict=True)
    ]


def _history(trial: Trial, name: str) -> list[tuple[float, int]]:
    """Return the finite values of a metric and their steps."""
    history = trial.metrics.get_history(name) if trial.metrics.exists(name) else []
    values = [(float(observed.mean()), observed.step) for observed in history]
    return [(value, step) for value, step in values if math.isfinite(value)]


def _same(one: Any, two: Any) -> bool:
    if isinstance(one, str | bool) or isinstance(two, str | bool):
        return bool(one == two)
    return math.isclose(one, two, rel_tol=1e-6)


def _share(hyperparameters: HyperParameters, values: Values | None = None) -> HyperParameters:
    """Copy a space for a trial: lists of its own, the same hyperparameters (never changed).

    KerasTuner's `copy` goes through the configuration of every hyperparameter.
    """
    shared = HyperParameters()
    shared._space = list(hyperparameters.space)
    for name, alternatives in hyperparameters._hps.items():
        shared._hps[name] = list(alternatives)
    shared.values = dict(hyperparameters.values if values is None else values)
    return shared


def _complete(hyperparameters: HyperParameters) -> None:
    """Keep the active values only, and fill gaps with defaults.

    KerasTuner's `ensure_active_values` fills them from the global random generator.
    """
    values: Values = {}
    known = -1
    while len(values) > known:  # once, and again if a parent comes after its child
        known = len(values)
        for hp in hyperparameters.space:
            if hp.name not in values and all(c.is_active(values) for c in hp.conditions):
                values[hp.name] = hyperparameters.values.get(hp.name, hp.default)
    hyperparameters.values = values


def _space(config: Sequence[Mapping[str, Any]]) -> HyperParameters:
    # KerasTuner changes the configuration that it reads.
    return HyperParameters.from_config({"space": json.loads(json.dumps(config)), "values": {}})


def _described(space: Sequence[Mapping[str, Any]]) -> set[str]:
    return {json.dumps(hp, sort_keys=True) for hp in space}


def _names(described: set[str]) -> list[str]:
    return sorted({json.loads(hp)["config"]["name"] for hp in described})


def _another_search(folder: Path, there: str, here: str) -> ValueError:
    return ValueError(
        f"This folder holds another search. Received: {folder} with {there or 'less'}; "
        f"this search has {here or 'none of that'}. Choose another `project_name`, or pass "
        "`overwrite=True` to replace the old search."
    )
