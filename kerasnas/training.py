"""The training recipe: how every network of a search is trained.

One good recipe for all candidates, so that scores compare architectures: AdamW with warm-up
and cosine decay, a batch size by the size of the data, light augmentation that never enters
the exported graph, and early stopping.
"""

from __future__ import annotations

import dataclasses
import math
import time
import warnings
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import keras
import keras_tuner
import numpy as np
import tensorflow as tf

from kerasnas.augmentation import augmentation, declare
from kerasnas.balance import balanced
from kerasnas.data import Data, Examples
from kerasnas.fidelity._fidelity import EXAMPLES, RESOLUTION
from kerasnas.model_files import compiled
from kerasnas.normalization import FusedBatchNormalization
from kerasnas.scoring import Scoring, served
from search_spaces.costs import params
from search_spaces.decisions import Decisions
from search_spaces.network import Network
from search_spaces.realise import realise
from search_spaces.space import SearchSpace
from search_spaces.task import NextToken, Task

__all__ = [
    "STEP_SECONDS",
    "Recipe",
    "TimeLimit",
    "Trained",
    "batch_size",
    "full",
    "look",
]

STEP_SECONDS = "step_seconds"
"""Metric by which the mean duration of a training step is recorded."""

# What a look shows a candidate: the ranks of candidates settle long before their scores.
_LOOK_IMAGES = 30_000
_LOOK_EPOCHS = 3
_MOST_LOOK_EPOCHS = 40
_FULL_IMAGES = 1_500_000
_FULL_EPOCHS = (30, 120)
_SCORING_BATCH = 256
_LOOK_SCORED_ON = 6_000
_VARIED_FROM = (3, 30)  # epochs


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a network is trained on given data.

    Args:
        epochs: Passes over the training data at most.
        batch_size: Images a step. Larger is faster an image and takes fewer steps.
        learning_rate: Highest learning rate, reached after `warmup` of all steps; from there
            it falls to zero along a cosine.
        weight_decay: Of AdamW. More regularises more.
        warmup: Share of all steps in which the learning rate rises, 0 to 1.
        share: Share of the training data that an epoch shows, every time others; less than 1
            makes trainings of few epochs as long as wanted.
        patience: Epochs without a lower validation loss before training stops; `None` never
            stops early. What was trained longest is kept either way: under a falling
            learning rate the last weights are the settled ones.
        augment: Whether training examples are varied: see `batches` and `augmentation`; how
            much is a decision of each candidate with `"search"`.
        class_weight: `"balanced"` weighs classes alike in the loss however many examples they
            have; a dictionary, as in Keras, says what each weighs; `None` weighs none.
        mixed_precision: Whether activations are float16 while training; weights and the
            returned model are float32. It pays on GPUs with large images.
        layout: What the axes of examples are, as in `data.load`: how they are varied.
        seed: Seeds the first weights, the order of the examples and their variations.
    """

    epochs: int
    batch_size: int
    learning_rate: float = 4e-3
    weight_decay: float = 0.02
    warmup: float = 0.15
    share: float = 1.0
    patience: int | None = None
    augment: bool | str = True
    class_weight: Any = None
    mixed_precision: bool = False
    layout: Any = "images"
    seed: int = 0

    def steps(self, examples: int) -> int:
        """Steps of an epoch."""
        return max(1, round(self.share * math.ceil(examples / self.batch_size)))

    def optimizer(self, examples: int) -> keras.optimizers.Optimizer:
        """A fresh AdamW whose schedule is as long as training on so many examples."""
        steps = self.epochs * self.steps(examples)
        warmup = max(1, round(self.warmup * steps))
        schedule = keras.optimizers.schedules.CosineDecay(
            self.learning_rate / 20,
            max(1, steps - warmup),
            warmup_target=self.learning_rate,
            warmup_steps=warmup,
        )
        optimizer = keras.optimizers.AdamW(schedule, weight_decay=self.weight_decay)
        # Decaying scales, shifts and biases would only work against normalisation.
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
        if self.mixed_precision:
            return keras.optimizers.LossScaleOptimizer(optimizer)  # small gradients survive
        return optimizer

    def batches(
        self,
        train: Examples,
        task: Task | None = None,
        settings: Mapping[str, float] | None = None,
    ) -> tf.data.Dataset:
        """The training examples as the recipe shows them: shuffled, varied and weighed.

        Variation keeps a network from learning examples by heart, which takes many passes; in
        few it only slows learning down. So it grows with the epochs, from none at 3 to all of
        it at 30.

        Args:
            train: The examples.
            task: What they are for; it says what moves with an image, and what a loss takes.
            settings: How examples are varied, as in `augmentation`; `None` is its default.
        """
        few, many = _VARIED_FROM
        strength = float(np.clip((self.epochs - few) / (many - few), 0.0, 1.0))
        vary = None
        if self.augment and strength > 0:
            shape = train.x.example_shape
            vary = augmentation(shape, self.layout, task, settings, strength)
        weigh = None
        if self.class_weight is not None and task is not None:
            weights = balanced(train.y, task, train.weight, self.class_weight)
            if callable(weights):
                weigh = weights
            else:
                train = dataclasses.replace(train, weight=weights)
        return served(
            train,
            self.batch_size,
            task,
            shuffle=self.seed,
            repeat=self.share < 1,
            vary=vary,
            weigh=weigh,
        )

    def callbacks(self, validation: Examples | None) -> list[keras.callbacks.Callback]:
        """Early stopping, where it is asked for and there is something to judge by."""
        if validation is None or self.patience is None:
            return []
        return [keras.callbacks.EarlyStopping("val_loss", patience=self.patience)]


def look(data: Data, **settings: Any) -> tuple[Recipe, Examples, Examples]:
    """A short training that ranks candidates: recipe, training and validation examples.

    About 30,000 images: up to 40 passes over a small data set, three over a stratified part
    of a large one.

    Args:
        data: The data set.
        **settings: Other settings of the `Recipe`.
    """
    seed = settings.get("seed", 0)
    part = data.train.stratified_subset(_LOOK_IMAGES // _LOOK_EPOCHS, seed)
    epochs = min(_LOOK_IMAGES // len(part), _MOST_LOOK_EPOCHS)
    recipe = Recipe(epochs, batch_size(len(part), data.task), **settings)
    return recipe, part, data.validation.stratified_subset(_LOOK_SCORED_ON, seed)


def full(examples: int, **settings: Any) -> Recipe:
    """The whole training on so many examples: 30 to 120 epochs, fewer the more there are."""
    epochs = int(np.clip(_FULL_IMAGES // examples, *_FULL_EPOCHS))
    return Recipe(epochs, batch_size(examples), **settings)


def batch_size(examples: int, task: Task | None = None) -> int:
    """A power of two from 16 to 128 that leaves at least about 40 steps an epoch.

    Examples with an answer for each of many places tell more: 16 images, or 32 sequences, make
    a step, which trains in fewer passes.
    """
    most = 7
    if task is not None and task.dense:
        most = 5 if isinstance(task, NextToken) else 4
    return 1 << int(np.clip(math.log2(max(1, examples / 40)), 4, most))


class Trained(keras_tuner.HyperModel):
    """A space whose candidates are trained by the recipe: KerasTuner's contract.

    The networks of a foreign `HyperModel` keep the optimizer they were compiled with, and its
    own `fit` is called; the recipe then only gives data, batch size and epochs.

    Args:
        space: A `SearchSpace` or any `keras_tuner.HyperModel`.
        recipe: How each candidate is trained.
        task: What the networks are for; `None` is the space's own task.
        scores: Names of the task's scores, without `val_`, that are told after each epoch
            beside the metrics that Keras computes.
    """

    def __init__(
        self,
        space: keras_tuner.HyperModel,
        recipe: Recipe,
        task: Task | None = None,
        scores: Collection[str] = (),
    ) -> None:
        super().__init__()
        self.space = space
        self.recipe = recipe
        self.task: Task | None = getattr(space, "task", None) if task is None else task
        self.scores = tuple(scores)

    @property
    def _varies(self) -> bool:
        """Whether how examples are varied is a decision of each candidate."""
        return self.recipe.augment == "search" and isinstance(self.space, SearchSpace)

    def _settings(self, hp: Any) -> dict[str, float] | None:
        if not self._varies:
            return None
        return dict(declare(hp, self.space.input_shape, self.recipe.layout, self.task))

    def hyperparameters(self) -> keras_tuner.HyperParameters:
        """Every decision of the space, and those of the training."""
        hp = self.space.hyperparameters()
        self._settings(hp)
        return hp

    def identity(self, values: Mapping[str, Any], *, strict: bool = True) -> str:
        """Equal for candidates that are the same network, trained alike."""
        settings = self._settings(Decisions(values, strict=False)) or {}
        made = self.space.identity(values, strict=strict)
        return f"{made}{sorted(settings.items())}" if settings else made

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        if not isinstance(self.space, SearchSpace):
            return self.space.build(hp)
        self._settings(hp)
        return realise(
            self._network(hp),
            seed=self.recipe.seed,
            dtype="mixed_float16" if self.recipe.mixed_precision else None,
            normalization=_normalization(),
        )

    def _network(self, hp: keras_tuner.HyperParameters) -> Network:
        """What is trained: the network of a candidate, for images as small as a run takes."""
        network: Network = self.space.describe(hp)
        share = hp.values.get(RESOLUTION, 1.0)
        if share == 1:
            return network
        smaller: Network = self.space.resized(share).describe(hp)
        if params(smaller) != params(network):
            raise keras_tuner.errors.FailedTrialError(
                f"at {share:g} of the resolution this network has other weights"
            )
        return smaller

    def ready(self, hp: keras_tuner.HyperParameters, model: keras.Model) -> keras.Model:
        """A trained model as users get it: float32, compiled to be evaluated or tuned on.

        The recipe's own optimizer would be of no use: its learning rate is down at zero.
        """
        if not isinstance(self.space, SearchSpace):
            return model
        plain = realise(self.space.describe(hp))
        plain.set_weights(model.get_weights())
        return compiled(plain, self.space.task)

    def fit(
        self,
        hp: keras_tuner.HyperParameters,
        model: keras.Model,
        train: Examples,
        validation: Examples | None = None,
        *,
        epochs: int | None = None,
        initial_epoch: int = 0,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ) -> Any:
        """Train a candidate as the recipe says: KerasTuner's contract.

        Args:
            hp: The candidate. With `tuner/examples` or `tuner/resolution` among its values it
                is trained on that share of the examples, or of their sides.
            model: What `build` made of it.
            train: The examples.
            validation: What it is judged by after each epoch.
            epochs: Epoch at which training ends; `None` is the recipe's. The learning rate
                rises and falls once from `initial_epoch` to there.
            initial_epoch: Epoch from which it continues.
            callbacks: Further callbacks.
        """
        recipe = self.recipe
        if epochs is not None:
            recipe = dataclasses.replace(recipe, epochs=epochs - initial_epoch)
        train = self._shown(hp, train)
        if validation is not None:
            validation = self._at_resolution(hp, validation)
        if isinstance(self.space, SearchSpace):
            model.compile(recipe.optimizer(len(train)), **self.space.task.compile_arguments())
        judged = None
        scoring = []
        if validation is not None:
            judged = served(validation, _SCORING_BATCH, self.task)
            if self.scores and self.task is not None:
                scoring = [Scoring(self.task, validation, self.scores)]
        bounded = {"steps_per_epoch": recipe.steps(len(train))}
        with warnings.catch_warnings():
            # The data set shuffles; Keras warns that it will not do so again.
            warnings.filterwarnings("ignore", "`shuffle=True` was passed")
            return self.space.fit(
                hp,
                model,
                recipe.batches(train, self.task, self._settings(hp)),
                validation_data=judged,
                epochs=initial_epoch + recipe.epochs,
                initial_epoch=initial_epoch,
                callbacks=[
                    _Stopwatch(),
                    *scoring,  # before those that read what it tells
                    *callbacks,
                    *recipe.callbacks(validation),
                ],
                verbose=0,
                **(bounded if recipe.share < 1 else {}),
            )

    def _shown(self, hp: keras_tuner.HyperParameters, train: Examples) -> Examples:
        """The training examples that a run shows, as far as it is to see them."""
        share = hp.values.get(EXAMPLES, 1.0)
        if share < 1:
            count = max(self.recipe.batch_size, round(share * len(train)))
            train = train.stratified_subset(count, self.recipe.seed)
        return self._at_resolution(hp, train)

    def _at_resolution(self, hp: keras_tuner.HyperParameters, examples: Examples) -> Examples:
        """Examples as small as a run takes them."""
        share = hp.values.get(RESOLUTION, 1.0)
        if share == 1:
            return examples
        height, width, _ = self.space.resized(share).input_shape
        return examples.resized((height, width))


def _normalization() -> type[keras.layers.BatchNormalization]:
    # On GPUs the compiler fuses Keras' own layer.
    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    return keras.layers.BatchNormalization if on_gpu else FusedBatchNormalization


class _Stopwatch(keras.callbacks.Callback):
    """Adds `STEP_SECONDS` to the metrics of each epoch: what a longer training would take.

    The first step, which traces the model, is left out.
    """

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._steps, self._seconds = -1, 0.0

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._began = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._steps += 1
        if self._steps:
            self._seconds += time.monotonic() - self._began

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if logs is not None and self._steps > 0:
            logs[STEP_SECONDS] = self._seconds / self._steps


class TimeLimit(keras.callbacks.Callback):
    """Ends a training after the step in which its time is over.

    Args:
        seconds: How long, from the end of the first step, which traces the model.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self._end: float | None = None

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        if self._end is None:
            self._end = time.monotonic() + self.seconds
        if time.monotonic() > self._end:
            self.model.stop_training = True
