"""From the best candidates of a search to one trained network.

Looks rank candidates; here the best few are trained fully, quantized and measured as files,
the best one wins by its *int8* score, and the winner is trained once more on the training and
the validation part together.
"""

from __future__ import annotations

import copy
import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

import tflite_export
from kerasnas.budget import Budget
from kerasnas.data import Data
from kerasnas.examples import Examples
from kerasnas.limits import format_cost
from kerasnas.progress import Progress
from kerasnas.training import Recipe, TimeLimit, Trained, batch_size, full
from tflite_export.verification import decision

__all__ = ["Final", "Finalist"]

_CALIBRATED_ON = 256
_JUDGED_ON = 5_000
_JUDGED_BATCH = 256
_WATCHED = 2_000  # validation examples that early stopping goes by
_LEAST_PATIENCE = 5  # epochs
# A last training that ends this much under the finalist it repeats has gone wrong: it has
# even seen the examples it is judged on.
_TOLERANCE = 0.02
_ORDINALS = ("", "first", "second", "third")


@dataclasses.dataclass(frozen=True)
class Finalist:
    """A candidate that was trained fully.

    Attributes:
        trial: KerasTuner's trial it comes from.
        model: The trained model, compiled.
        scores: Metrics on the validation part, `val_accuracy_int8` among them where the model
            classifies and converts.
        file: The int8 `.tflite`, or `None` where the model does not convert.
        refitted: Whether it learned from the validation part too; `scores` are then those
            from before.
    """

    trial: Any
    model: keras.Model
    scores: Mapping[str, float]
    file: bytes | None
    refitted: bool = False


@dataclasses.dataclass(frozen=True)
class Final:
    """The last part of a search: chooses among its best candidates.

    Args:
        space: A `SearchSpace` or any `keras_tuner.HyperModel`.
        data: The data set; its validation part decides.
        objective: KerasTuner's objective.
        limits: Upper bounds; `flash` is checked on the file itself.
        budget: How much time is left.
        progress: Where to report.
        recipe: Settings of every training.
        load: The model of a trial as the search trained it, compiled.
        epochs: Epochs of each training, or `None` for as many as the data deserve.
        callbacks: Keras callbacks for each training.
        on_finalist: Called with each finalist when it is trained, so that none is lost when
            what follows is interrupted.
    """

    space: Any
    data: Data
    objective: Any
    limits: Mapping[str, float]
    budget: Budget
    progress: Progress
    recipe: Mapping[str, Any]
    load: Callable[[Any], keras.Model]
    epochs: int | None = None
    callbacks: Sequence[keras.callbacks.Callback] = ()
    on_finalist: Callable[[Finalist], None] = lambda finalist: None

    def choose(self, ranked: Sequence[Any], seconds_per_image: float) -> Finalist | None:
        """Train the best few, keep the best, and train it on everything.

        Args:
            ranked: Completed trials, best first.
            seconds_per_image: What training on one image once takes.

        Returns:
            The winner; `None` if no candidate's file keeps the `flash` limit.
        """
        entrants = self._entrants(ranked)
        train = self.data.train
        epochs = self.epochs or full(len(train)).epochs
        count, affordable = self.budget.finalists(epochs, seconds_per_image * len(train))
        finalists: list[Finalist] = []
        for number, trial in enumerate(itertools.islice(entrants, count), start=1):
            finalists.append(self._finalist(trial, number, affordable))
            self.on_finalist(finalists[-1])
        if not finalists:
            return None
        finalists.sort(key=self.rank)
        winner = self._refit(finalists[0], affordable, seconds_per_image)
        ranking = [winner, *finalists] if winner is not None else finalists
        return next((each for each in ranking if self._keeps_flash(each.file)), None)

    def rank(self, finalist: Finalist) -> float:
        """Lower is better: by the int8 accuracy where accuracy counts, else the objective."""
        scores = finalist.scores
        name = self.objective.name
        if name == "val_accuracy" and "val_accuracy_int8" in scores:
            name = "val_accuracy_int8"
        score = float(scores.get(name, finalist.trial.score))
        return -score if self.objective.direction == "max" else score

    def _finalist(self, trial: Any, number: int, epochs: int) -> Finalist:
        if self.epochs is not None or epochs == 0:
            # Trained as long as asked for already, or no time to train it longer.
            return self._judged(trial, self.load(trial))
        self.progress.stage(f"training the {_ORDINALS[number]} of the best, {epochs} epochs")
        watched = self.data.validation.stratified_subset(_WATCHED, 0)
        return self._train(trial, epochs, self.data.train, watched)

    def _refit(
        self, finalist: Finalist, epochs: int, seconds_per_image: float
    ) -> Finalist | None:
        """The finalist trained on with all examples; `None` if time or success is lacking."""
        everything = self.data.merge()
        wanted = self.epochs or full(len(everything)).epochs
        possible = self.budget.final_epochs(wanted, seconds_per_image * len(everything))
        # A much shorter training would lose more than the added examples bring.
        if possible < max(1, 0.6 * epochs):
            return None
        self.progress.stage(f"training the best on all examples, {possible} epochs")
        refit = self._train(finalist.trial, possible, everything, None, finalist.model)
        lost_its_file = finalist.file is not None and refit.file is None
        if lost_its_file or _loss(refit) > _loss(finalist) + _TOLERANCE:
            self.progress.say("training on all examples went worse: the finalist is kept")
            return None
        return dataclasses.replace(refit, refitted=True, scores=finalist.scores)

    def _train(
        self,
        trial: Any,
        epochs: int,
        train: Examples,
        validation: Examples | None,
        start: keras.Model | None = None,
    ) -> Finalist:
        hp = trial.hyperparameters
        patience = max(_LEAST_PATIENCE, epochs // 4)
        recipe = Recipe(epochs, batch_size(len(train)), patience=patience, **self.recipe)
        trained = Trained(self.space, recipe)
        model = trained.build(hp)
        if start is not None:
            model.set_weights(start.get_weights())
        callbacks = [*copy.deepcopy(list(self.callbacks)), TimeLimit(self.budget.left)]
        trained.fit(hp, model, train, validation, callbacks=callbacks)
        return self._judged(trial, trained.ready(hp, model))

    def _judged(self, trial: Any, model: keras.Model) -> Finalist:
        part = self.data.validation.stratified_subset(_JUDGED_ON, 0)
        scores = {
            f"val_{name}": float(value)
            for name, value in model.evaluate(
                part.dataset(_JUDGED_BATCH), verbose=0, return_dict=True
            ).items()
        }
        file = self._int8(model)
        if file is not None and "val_accuracy" in scores:
            answers = tflite_export.TFLiteModel(file).predict(part.x[:])
            decide = decision(model, answers.shape)
            if decide is not None:
                right = decide(answers).ravel() == part.labels
                scores["val_accuracy_int8"] = float(np.mean(right))
        return Finalist(trial, model, scores, file)

    def _entrants(self, ranked: Sequence[Any]) -> Iterator[Any]:
        """The trials whose network, as far as it is trained, makes a file within the limit."""
        if "flash" not in self.limits:
            yield from ranked
            return
        for trial in ranked:
            file = self._int8(self.load(trial))
            if self._keeps_flash(file):
                yield trial
            else:
                size = "no file" if file is None else format_cost("flash", len(file))
                self.progress.say(f"trial {trial.trial_id} is left out: {size} as int8")

    def _keeps_flash(self, file: bytes | None) -> bool:
        if "flash" not in self.limits:
            return True
        return file is not None and len(file) <= self.limits["flash"]

    def _int8(self, model: keras.Model) -> bytes | None:
        samples = self.data.train.stratified_subset(_CALIBRATED_ON, 0).x[:]
        try:
            file: bytes = tflite_export.convert(model, "int8", samples)
            return file
        except Exception as error:
            # Only a foreign model can get here, with any error of its own: all operations of
            # our spaces convert. What was trained is not lost for it.
            self.progress.say(f"no int8 file can be made of this model: {error}")
            return None


def _loss(finalist: Finalist) -> float:
    scores = finalist.scores
    for name in ("val_accuracy_int8", "val_accuracy"):
        if name in scores:
            return 1 - scores[name]
    return scores["val_loss"]
