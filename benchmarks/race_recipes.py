"""How KerasTuner's candidates are trained in the race, and the best of them at the end.

| recipe  | candidates                             | the last training                     |
|---------|----------------------------------------|---------------------------------------|
| `guide` | Adam, early stopping, on four fifths   | for the best number of epochs, on all |
| `ours`  | looks, as `kerasnas.search` takes them | our full recipe, on all               |

Either way candidates are of the same space and normalised by the same fast layer, so that a
step takes equally long; what is handed in has stock layers.
"""

from __future__ import annotations

import abc
import math
import time
from typing import Any

import keras
import keras_tuner
import numpy as np

from benchmarks.race_clock import Clock
from benchmarks.race_entry import Entry, keep_facts
from kerasnas.budget import Budget
from kerasnas.data import Data
from kerasnas.examples import Examples
from kerasnas.training import (
    STEP_SECONDS,
    Recipe,
    TimeLimit,
    Trained,
    batch_size,
    full,
    look,
)
from search_spaces import SearchSpace

__all__ = ["RECIPES", "Candidate", "Guide", "Ours", "train_fully"]

Settings = dict[str, Any]

_MOST = 1_000  # epochs; the clock ends the training
_PATIENCE = 2  # epochs without progress, of a candidate
_LAST_PATIENCE = 6  # likewise, of the last training
# Of the last part of the time; training as long on all examples takes 5/4 of it.
_FINDING = 0.42
_WHOLE = 0.9  # share of a training's steps from which its model is better than an earlier one
_TRACING = 15.0  # seconds to build and trace a network whose speed is known before
_TIMED = 24  # steps by which the speed of training is known


class Candidate(keras_tuner.HyperModel, abc.ABC):
    """What KerasTuner searches: a space, with a way to train its members.

    Args:
        entry: Whose time and examples.
        space: The members.
        data: The examples, split.
        told: The contestant's settings; each recipe says which it reads.
    """

    share: float
    """Of the time, for the search."""

    def __init__(
        self, entry: Entry, space: SearchSpace, data: Data, told: Settings, recipe: Recipe
    ) -> None:
        super().__init__()
        self.entry, self.space, self.data, self.told = entry, space, data, told
        self._trained = Trained(space, recipe, data.task)

    def declare_hyperparameters(self, hp: Any) -> None:
        self.space.declare_hyperparameters(hp)

    def build(self, hp: Any) -> keras.Model:
        # Of a copy: KerasTuner would build once a conditional scope that it sees entered.
        model = self._trained.build(_copied(hp))
        model.compile("adam", **self.data.task.compile_arguments())
        return model

    def ready(self, hp: Any, model: keras.Model) -> keras.Model:
        """A trained model with stock layers."""
        return self._trained.ready(_copied(hp), model)

    @abc.abstractmethod
    def shown(self) -> Settings:
        """Arguments of the tuner's `search`, but for the clock and the epochs of a trial."""

    @abc.abstractmethod
    def finish(self, trial: Any) -> None:
        """Train a trial's hyperparameters from new weights, and hand the model in.

        Args:
            trial: The best of the search, whose own model was handed in before.
        """


class Guide(Candidate):
    """As KerasTuner's guides train: https://www.tensorflow.org/tutorials/keras/keras_tuner.

    In the end the best hyperparameters are trained on the split until nothing moves, with a
    learning rate that falls then, to learn the best number of epochs; and once more for so
    many epochs, at the same rates, on all examples. Where the time is over before that
    training is nearly whole, the model before it stays.

    Settings: `share` of the time for the search, 0.65; `batch_size`, 64.
    """

    def __init__(self, entry: Entry, space: SearchSpace, data: Data, told: Settings) -> None:
        recipe = Recipe(1, told["batch_size"], layout=data.layout, seed=entry.seed)
        super().__init__(entry, space, data, told, recipe)
        self.share = told.get("share", 0.65)
        self._train, self._held = entry.split()
        self._fit = {"batch_size": told["batch_size"], "verbose": 2}

    def fit(self, hp: Any, model: keras.Model, *args: Any, **kwargs: Any) -> Any:
        return self.space.fit(hp, model, *args, **kwargs)

    def shown(self) -> Settings:
        x, y = self._train
        stopping = keras.callbacks.EarlyStopping("val_loss", patience=_PATIENCE)
        return {
            "x": x,
            "y": y,
            "validation_data": self._held,
            "callbacks": [stopping],
            **self._fit,
        }

    def finish(self, trial: Any) -> None:
        hp = trial.hyperparameters
        model, history = self._until_nothing_moves(hp)
        accuracies = history["val_accuracy"]
        best = int(np.argmax(accuracies)) + 1
        if accuracies[best - 1] > trial.score:
            self.entry.keep(self.ready(hp, model))
        keep_facts(self.entry.folder, validation_at_last=accuracies[best - 1], epochs=best)
        if self.entry.left <= 0:
            return
        rates = history["learning_rate"][:best]
        x, y = self.entry.examples()
        model = self.build(hp)
        model.fit(
            x,
            y,
            epochs=best,
            callbacks=[
                keras.callbacks.LearningRateScheduler(lambda epoch: float(rates[epoch])),
                Clock(self.entry, 1.0),
            ],
            **self._fit,
        )
        steps = best * math.ceil(len(y) / self.told["batch_size"])
        trained = int(model.optimizer.iterations) / steps
        if trained >= _WHOLE:
            self.entry.keep(self.ready(hp, model))
        keep_facts(self.entry.folder, of_last_training=round(trained, 3))

    def _until_nothing_moves(self, hp: Any) -> tuple[keras.Model, dict[str, list[float]]]:
        model = self.build(hp)
        callbacks = [
            keras.callbacks.EarlyStopping(
                "val_accuracy", patience=_LAST_PATIENCE, restore_best_weights=True
            ),
            keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.3, patience=2),
            Clock(self.entry, _FINDING),
        ]
        history = model.fit(
            *self._train,
            validation_data=self._held,
            epochs=_MOST,
            callbacks=callbacks,
            **self._fit,
        ).history
        return model, history


class Ours(Candidate):
    """As `kerasnas.search` trains: looks at equal time, then the full recipe on all examples.

    Unlike there no few finalists are compared, and none by its int8 file: the best look wins.

    Settings: `share` of the time for the search, by default that of `kerasnas.search`.
    """

    def __init__(self, entry: Entry, space: SearchSpace, data: Data, told: Settings) -> None:
        recipe, self._part, self._judged_on = look(data, layout=data.layout, seed=entry.seed)
        super().__init__(entry, space, data, told, recipe)
        left = entry.left
        budget = Budget(max(1.0, left))
        self.share = told.get("share", (budget.looking or 0.0) / max(1.0, left))
        self._look = budget.look

    def fit(self, hp: Any, model: keras.Model, *args: Any, **kwargs: Any) -> Any:
        # Epochs are set by Hyperband alone; KerasTuner has no other word for them.
        return self._trained.fit(hp, model, self._part, self._judged_on, **kwargs)

    def shown(self) -> Settings:
        return {"callbacks": [TimeLimit(self._look)] if self._look is not None else []}

    def finish(self, trial: Any) -> None:
        if self.entry.left < _TRACING:
            return  # a late model would take the place of one in time
        each = None
        if trial.metrics.exists(STEP_SECONDS):  # not of a look of a single step
            step = float(trial.metrics.get_history(STEP_SECONDS)[-1].mean())
            each = step / self._trained.recipe.batch_size
        train_fully(self.entry, self.space, _copied(trial.hyperparameters), self.data, each)


RECIPES: dict[str, type[Guide] | type[Ours]] = {"guide": Guide, "ours": Ours}


def train_fully(
    entry: Entry, space: SearchSpace, hp: Any, data: Data, each: float | None = None
) -> None:
    """Train by our full recipe on all examples, for the time left, and hand the model in.

    As many epochs are planned as the time allows by what an image takes; where they turn out
    to be too many, the clock ends the training.

    Args:
        entry: Whose time and folder.
        space: Of the network.
        hp: The network.
        data: The examples, of which both parts are trained on.
        each: Seconds that an image takes; `None` finds out by a few steps.
    """
    everything = data.merge()
    size = batch_size(len(everything), data.task)
    settings = {"batch_size": size, "layout": data.layout, "seed": entry.seed}
    if each is None:
        each, tracing = _speed(space, hp, everything, settings)
    else:
        tracing = _TRACING
    wanted = full(len(everything)).epochs
    affordable = max(0.0, 0.95 * (entry.left - tracing) / (each * len(everything)))
    epochs = max(1, math.ceil(min(wanted, affordable)))
    recipe = Recipe(epochs, share=min(1.0, affordable / epochs), **settings)
    trained = Trained(space, recipe, data.task)
    model = trained.build(hp)
    trained.fit(hp, model, everything, callbacks=[Clock(entry, 1.0)])
    entry.keep(trained.ready(hp, model))
    keep_facts(entry.folder, epochs=round(epochs * recipe.share, 2))


def _speed(
    space: SearchSpace, hp: Any, train: Examples, settings: Settings
) -> tuple[float, float]:
    """Seconds of an image by a few steps, and those before the first step."""
    steps = math.ceil(len(train) / settings["batch_size"])
    recipe = Recipe(1, share=min(1.0, _TIMED / steps), **settings)
    began = time.time()
    trained = Trained(space, recipe)
    history = trained.fit(hp, trained.build(hp), train).history
    step = float(history[STEP_SECONDS][-1])
    tracing = time.time() - began - step * recipe.steps(len(train))
    return step / settings["batch_size"], tracing


def _copied(hp: Any) -> keras_tuner.HyperParameters:
    copied = keras_tuner.HyperParameters()
    copied.values = dict(hp.values)
    return copied
