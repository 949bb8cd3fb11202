"""What a model or a file is worth: the scores of its task, on examples it has not seen."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Collection
from typing import Any

import keras
import keras_tuner
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from kerasnas.examples import Examples, Vary
from search_spaces.task import Task

__all__ = [
    "Scoring",
    "metric_of",
    "objectives_of",
    "outputs_of",
    "part_to_judge",
    "served",
    "through",
    "told_by_keras",
]

_BATCH = 256
_MOST_OUTPUTS = 40_000_000  # numbers that answers may have in all


class Scoring(keras.callbacks.Callback):
    """Adds scores of the task to the metrics of each epoch, as `val_{name}`.

    Keras has no stock metric for some of them, and a model compiled with another would not
    load elsewhere. The callbacks behind this one can read them, KerasTuner's among them.

    Args:
        task: Whose scores.
        validation: What is answered after each epoch.
        names: Of the scores, without `val_`. One that is undefined is told as NaN.
    """

    def __init__(self, task: Task, validation: Examples, names: Collection[str]) -> None:
        super().__init__()
        self._task = task
        self._validation = validation
        self._names = tuple(names)

    def __deepcopy__(self, memo: Any) -> Scoring:
        # KerasTuner copies callbacks for each trial; the examples need not be.
        return Scoring(self._task, self._validation, self._names)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if logs is None:
            return
        part = part_to_judge(self._validation, self.model.output_shape)
        scores = self._task.scores(part.y, outputs_of(self.model, part))
        logs |= {f"val_{name}": scores.get(name, math.nan) for name in self._names}


def served(
    examples: Examples,
    batch_size: int,
    task: Task | None,
    *,
    shuffle: int | None = None,
    repeat: bool = False,
    vary: Vary | None = None,
    weigh: Callable[[tf.Tensor], tf.Tensor] | None = None,
) -> tf.data.Dataset:
    """Batches of examples with targets as the task's loss takes them.

    Args:
        examples: The examples.
        batch_size: Examples a batch.
        task: What they are for; `None` takes the targets as they are.
        shuffle: As in `Examples.dataset`, as are the others.
        repeat: Whether epochs follow one another without end.
        vary: Varies examples.
        weigh: Weighs targets.
    """
    encodes = task is not None and type(task).encoded is not Task.encoded
    return examples.dataset(
        batch_size,
        shuffle=shuffle,
        repeat=repeat,
        vary=vary,
        weigh=weigh,
        encode=task.encoded if task is not None and encodes else None,
    )


def part_to_judge(examples: Examples, output_shape: Any, most: int = 10**9) -> Examples:
    """As many examples as can be answered at once: all, unless answers are large.

    Args:
        examples: The examples.
        output_shape: Shape of the answers, with the batch.
        most: Examples at most.
    """
    known = isinstance(output_shape, tuple)
    size = math.prod(int(side or 1) for side in output_shape[1:]) if known else 1
    return examples.stratified_subset(min(most, max(1, _MOST_OUTPUTS // max(1, size))), 0)


def outputs_of(model: keras.Model, examples: Examples) -> NDArray[np.float32]:
    """What a model answers to examples, real numbers `(n, ...)`."""
    answers = [
        np.asarray(model(chunk, training=False), np.float32)
        for chunk in _batches(examples, model)
    ]
    return np.concatenate(answers)


def _batches(examples: Examples, model: keras.Model) -> Any:
    for start in range(0, len(examples), _BATCH):
        yield examples.x[start : start + _BATCH]


def through(front: keras.Model | None, examples: Examples) -> Examples:
    """Examples as a file takes them: what runs before it has run.

    Args:
        front: What runs before the file, or `None`: see `SearchSpace.exported`.
        examples: The examples.
    """
    if front is None:
        return examples
    x = front.predict(examples.x[:], batch_size=_BATCH, verbose=0)
    return dataclasses.replace(examples, x=x)


def objectives_of(oracle: keras_tuner.Oracle) -> list[keras_tuner.Objective]:
    """What an oracle optimises, the first foremost."""
    # Ours says it itself, Keras' own in an objective of several.
    ours = getattr(oracle, "objectives", None)
    return list(ours or getattr(oracle.objective, "objectives", [oracle.objective]))


def told_by_keras(task: Task) -> set[str]:
    """Names of what Keras tells of a network of this task while it trains, without `val_`."""
    metrics = task.compile_arguments().get("metrics") or []
    return {"loss", *(getattr(metric, "name", str(metric)) for metric in metrics)}


def metric_of(task: Task) -> Callable[[NDArray[Any], NDArray[Any]], float]:
    """The measure of a task as a function of targets and outputs: larger is better."""
    return lambda targets, outputs: float(task.scores(targets, outputs)[task.measure])
