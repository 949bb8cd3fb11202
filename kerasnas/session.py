"""One session of a search: looks at candidates, then full training for the best."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import keras_tuner

from edge_devices.device import Device
from edge_devices.units import format_cost
from kerasnas import companions, model_files
from kerasnas.budget import Budget, trial_seconds
from kerasnas.data import Data
from kerasnas.examples import Examples
from kerasnas.finalists import Final, Finalist
from kerasnas.journal import Journal
from kerasnas.limits import format_duration
from kerasnas.oracles._oracle import costs_of
from kerasnas.progress import Progress
from kerasnas.result import FILE, JOURNAL, MODEL, SearchResult
from kerasnas.scoring import objectives_of, told_by_keras
from kerasnas.training import STEP_SECONDS, Recipe, TimeLimit, Trained, batch_size, look
from kerasnas.tuner import Tuner
from search_spaces.space import SearchSpace
from search_spaces.waveform import Waveform

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["Session"]

_RUNS_OF_LOOKS = 4  # where candidates are trained for different lengths


@dataclasses.dataclass
class Session:
    """Runs a search from where its folder stands to its end, or to an interruption.

    Args:
        space: A `SearchSpace` or any `keras_tuner.HyperModel`.
        oracle: What to try next.
        data: The problem.
        limits: Upper bounds on costs, in base units.
        budget: The time there is.
        epochs: Epochs of every training, or `None` for looks and full trainings.
        recipe: Settings of every training.
        folder: The search's own folder.
        settings: What was asked for, for the journal.
        budgeted: The bounds that may differ when a search is continued, likewise.
        device: What the network is for, or `None`.
        max_accuracy_drop: How much less accurate than its model the file may be.
        inherit_weights: Whether candidates start from the weights of others.
        overwrite: Whether to start over where the folder holds a search.
        callbacks: Keras callbacks for every training.
        verbose: 0 is silent.
    """

    space: Any
    oracle: keras_tuner.Oracle
    data: Data
    limits: Mapping[str, float]
    budget: Budget
    epochs: int | None
    recipe: Mapping[str, Any]
    folder: Path
    settings: Mapping[str, Any]
    budgeted: Mapping[str, Any]
    device: Device | None = None
    max_accuracy_drop: float | None = 0.01
    inherit_weights: bool = False
    overwrite: bool = False
    callbacks: Sequence[keras.callbacks.Callback] = ()
    verbose: int = 1

    def run(self) -> keras.Model:
        """Search, choose and keep; the model, compiled and trained.

        Raises:
            ValueError: If another program runs this search.
        """
        with _alone(self.folder), _no_retracing_warnings():
            return self._run()

    def _run(self) -> keras.Model:
        recipe, part, judged_on = self._look()
        trained = Trained(self.space, recipe, self.data.task, self._scores())
        objective = self.oracle.objective
        progress = Progress(
            objective.name,
            objective.direction,
            self.oracle.max_trials,
            self.budget,
            verbose=self.verbose,
        )
        with contextlib.redirect_stdout(None):  # KerasTuner says that it reloads
            tuner = Tuner(
                trained,
                oracle=self.oracle,
                device=self.device,
                max_time=self.budget.looking,
                progress=progress,
                inherit_weights=self.inherit_weights,
                directory=str(self.folder.parent),
                project_name=self.folder.name,
                overwrite=self.overwrite,
            )
        self._record("session", settings=self.settings, budgeted=self.budgeted)
        for name, one in self.data.preprocessings.items():
            one.save(self.folder, name)
        finalists: list[Finalist] = []
        final = Final(
            space=self.space,
            data=self.data,
            objective=objective,
            limits=self.limits,
            device=self.device,
            max_accuracy_drop=self.max_accuracy_drop,
            budget=self.budget,
            progress=progress,
            recipe=self.recipe,
            load=lambda trial: self._loaded(tuner, trained, trial),
            epochs=self.epochs,
            callbacks=self.callbacks,
            on_finalist=lambda finalist: self._note(finalist, finalists),
        )
        with progress:
            progress.say(self._expectation(recipe, len(part)))
            try:
                self._try_candidates(tuner, part, judged_on, progress)
                ranked = self._completed()
                self._check_something_was_found(ranked)
                seconds = self._seconds_per_image(ranked[0], recipe, len(part))
                winner = final.choose(ranked, seconds)
                if winner is not None:
                    finalists.append(winner)
                    if self._is_worse_than_before(winner, final):
                        progress.say("an earlier session found better: its model is kept")
                        return SearchResult(self.folder).best_model()
                    self._keep(winner)
            except KeyboardInterrupt:
                best = min(finalists, key=final.rank, default=None)
                if best is None:
                    ranked = self._completed()
                    if not ranked:
                        raise
                    best = Finalist(
                        ranked[0], self._loaded(tuner, trained, ranked[0]), {}, None
                    )
                self._record("interrupted", answer=self._facts(best))
                progress.say(
                    f"interrupted: trial {best.trial.trial_id} is the best so far; "
                    "the same call continues, without `overwrite`"
                )
                return best.model
            if winner is None:
                raise RuntimeError(
                    "No candidate that was trained makes a file within the limits. "
                    f"Received: limits={dict(self.limits)}, {len(ranked)} trained candidates "
                    f"in {self.folder}. Raise the limits, or search longer."
                )
            progress.say(self._summary(winner))
        return winner.model

    def _scores(self) -> list[str]:
        """The objectives that are scores of the task and no metrics of Keras."""
        task = self.data.task
        names = {str(one.name).removeprefix("val_") for one in objectives_of(self.oracle)}
        described = isinstance(self.space, SearchSpace)
        return (
            sorted(names & task.directions.keys() - told_by_keras(task)) if described else []
        )

    def _try_candidates(
        self, tuner: Tuner, part: Examples, judged_on: Examples, progress: Progress
    ) -> None:
        try:
            tuner.search(part, judged_on, callbacks=[*self.callbacks, *self._bounds()])
        except RuntimeError as error:
            # Too many failures in a row end the looks, but what was found before is good.
            if not self._completed():
                raise
            progress.say(str(error))

    def _completed(self) -> list[Any]:
        """Completed trials, best first, of equal scores that of the lower loss.

        Few examples give few different accuracies. KerasTuner's oracles pad theirs with
        failed trials.
        """
        ranked = self.oracle.get_best_trials(len(self.oracle.trials))
        completed = [trial for trial in ranked if trial.status == "COMPLETED"]
        sign = -1.0 if self.oracle.objective.direction == "max" else 1.0
        return sorted(completed, key=lambda trial: (sign * trial.score, _loss(trial)))

    def _note(self, finalist: Finalist, finalists: list[Finalist]) -> None:
        """Keep a finalist while others are still trained: the best so far is the model."""
        finalists.append(finalist)
        self._record("finalist", answer=self._facts(finalist))

    def _is_worse_than_before(self, winner: Finalist, final: Final) -> bool:
        """Whether the search was finished before, with fewer trials, and better."""
        earlier = None if self.overwrite else SearchResult(self.folder).winner
        if earlier is None or not (self.folder / MODEL).exists():
            return False
        before = Finalist(winner.trial, winner.model, earlier["scores"], winner.file)
        if final.rank(before) >= final.rank(winner):
            return False
        self._record("finished", answer=earlier, budgeted=self.budgeted)
        return True

    def _look(self) -> tuple[Recipe, Examples, Examples]:
        if self.epochs is None:
            return look(self.data, **self.recipe)
        train = self.data.train
        recipe = Recipe(self.epochs, batch_size(len(train), self.data.task), **self.recipe)
        return recipe, train, self.data.validation

    def _bounds(self) -> list[keras.callbacks.Callback]:
        """Where time is short, looks are compared at equal time rather than equal images.

        A network too slow to be looked at in a sixteenth of the time for looks could not be
        trained well in the rest either. Where the best are trained on, a run may be longer.
        """
        if self.budget.look is None:
            return []
        staged = getattr(self.oracle, "fidelity", None) is not None
        return [TimeLimit(self.budget.look * (_RUNS_OF_LOOKS if staged else 1))]

    def _expectation(self, recipe: Recipe, examples: int) -> str:
        most = f"{self.oracle.max_trials} trials at most, " if self.oracle.max_trials else ""
        if self.budget.max_time is not None:
            looking = format_duration(self.budget.looking or 0.0)
            return (
                f"{most}{looking} of looks at candidates, then the best are trained: "
                f"{format_duration(max(0.0, self.budget.max_time - self.budget.spent))} in all"
            )
        trial = trial_seconds(self.space, recipe.epochs * examples)
        about = format_duration(trial * (self.oracle.max_trials or 1) * 1.3)
        return f"{most}about {about} on this machine's processors"

    def _loaded(self, tuner: Tuner, trained: Trained, trial: Any) -> keras.Model:
        return trained.ready(trial.hyperparameters, tuner.load_model(trial))

    def _seconds_per_image(self, trial: Any, recipe: Recipe, examples: int) -> float:
        if trial.metrics.exists(STEP_SECONDS):
            step = float(trial.metrics.get_history(STEP_SECONDS)[-1].mean())
            return step / recipe.batch_size
        # A foreign `fit` may return a bare number; whole trials then say it roughly.
        spent = max(self.budget.spent, 1.0) / max(len(self.oracle.trials), 1)
        return spent / (recipe.epochs * examples)

    def _check_something_was_found(self, ranked: Sequence[Any]) -> None:
        if ranked:
            return
        messages = [t.message for t in self.oracle.trials.values() if t.message]
        why = f"the last one failed with: {messages[-1]}" if messages else "none was started"
        raise RuntimeError(
            f"No candidate could be trained. Received: {len(self.oracle.trials)} trials in "
            f"{self.folder}; {why}. Mend the cause, or allow more time or trials."
        )

    def _keep(self, winner: Finalist) -> None:
        """Write the winner's files, then the record that makes the search finished."""
        model_files.save(winner.model, self.folder / MODEL)
        if winner.file is not None:
            partial = self.folder / f".{FILE}"
            partial.write_bytes(winner.file)
            os.replace(partial, self.folder / FILE)
        else:
            (self.folder / FILE).unlink(missing_ok=True)
        if isinstance(self.space, Waveform) and not self.space.in_graph:
            front_end = self.space.front_end(winner.trial.hyperparameters.values)
            companions.keep(front_end, self.folder)
        self._record("finished", answer=self._facts(winner), budgeted=self.budgeted)

    def _facts(self, answer: Finalist) -> dict[str, Any]:
        """What the journal keeps of the network that is returned."""
        values = dict(answer.trial.hyperparameters.values)
        return {
            "trial": answer.trial.trial_id,
            "values": values,
            "scores": dict(answer.scores),
            "costs": costs_of(self.oracle, answer.trial),
            "refitted": answer.refitted,
            "drop": answer.drop,
            "remedies": [dataclasses.asdict(remedy) for remedy in answer.remedies],
            "int8_bytes": None if answer.file is None else len(answer.file),
        }

    def _record(self, kind: str, **facts: Any) -> None:
        Journal(self.folder / JOURNAL).append({"event": kind, **facts})

    def _summary(self, winner: Finalist) -> str:
        scores = "  ".join(f"{name} {value:.4f}" for name, value in winner.scores.items())
        size = (
            "" if winner.file is None else f", {format_cost('flash', len(winner.file))} int8"
        )
        return f"best: trial {winner.trial.trial_id}{size}  {scores}"


def _loss(trial: Any) -> float:
    """The lowest validation loss of a trial, infinite where none was told."""
    if not trial.metrics.exists("val_loss"):
        return math.inf
    lowest = trial.metrics.get_best_value("val_loss")
    return math.inf if lowest is None else float(lowest)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the search's folder, so that no other program writes to it meanwhile."""
    folder.mkdir(parents=True, exist_ok=True)
    # Beside the folder: `overwrite` deletes what is in it.
    with (folder.parent / f".{folder.name}.lock").open("w") as file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise ValueError(
                    "Another program runs this search. Received: directory="
                    f"{str(folder.parent)!r}, project_name={folder.name!r}. Wait for it, stop "
                    "it, or pass another `project_name`."
                ) from error
        yield


@contextlib.contextmanager
def _no_retracing_warnings() -> Iterator[None]:
    """Each candidate is another graph; TensorFlow takes that for a mistake and says so."""
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
