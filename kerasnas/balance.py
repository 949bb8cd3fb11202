"""Class imbalance: how much examples, or pixels, weigh so that rare classes count too."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from edge_devices.spelling import did_you_mean
from search_spaces.segmentation import Segmentation
from search_spaces.targets import class_numbers
from search_spaces.task import Classification, MultiLabel, Task

__all__ = ["PixelWeights", "balanced", "class_weights"]

ClassWeight = str | Mapping[int, float]

PixelWeights = Callable[..., tf.Tensor]
"""From masks `(batch, height, width)` and, if there are any, weights `(batch,)` to weights."""

_CHUNK = 256  # masks counted at a time


def balanced(
    targets: Any,
    task: Task,
    weight: NDArray[np.float32] | None = None,
    class_weight: ClassWeight = "balanced",
) -> NDArray[np.float32] | PixelWeights:
    """How much each example weighs in the loss when classes have the weights asked for.

    An example of `Classification` weighs what its class does; of several labels, what its
    labels do on average, so that one with rare labels counts more; Keras takes one weight an
    example, and cannot tell a label that is there from one that is not. In `Segmentation` each
    pixel weighs what its class does. The weights of all pixels would take as much memory as
    float32 images, so there they are computed for each batch, after masks have been moved.

    Args:
        targets: All targets of the training part, as the data set stores them.
        task: What is learned.
        weight: Sample weights `(n,)` that are there already; they are multiplied.
        class_weight: As in `class_weights`.

    Returns:
        Weights `(n,)`, float32; for `Segmentation` a function for `tf.data`, from a batch of
        masks, and optionally weights `(batch,)`, to weights `(batch, height, width)`. It then
        takes `weight` from the batch, not from here.

    Raises:
        ValueError: As in `class_weights`.
    """
    of_class = class_weights(targets, task, class_weight)
    if isinstance(task, Segmentation):
        return _of_pixels(of_class, task.ignore_class)
    found = (
        _of_labels(np.asarray(targets), of_class)
        if isinstance(task, MultiLabel)
        else of_class[class_numbers(targets)]
    )
    return found if weight is None else found * np.asarray(weight, np.float32)


def class_weights(
    targets: Any, task: Task, class_weight: ClassWeight = "balanced"
) -> NDArray[np.float32]:
    """How much an example, or a pixel, of each class weighs.

    Args:
        targets: As in `balanced`.
        task: What is learned.
        class_weight: `"balanced"` gives all classes that occur the same sum of weights, `n /
            (classes * count)` each, so that weights are 1 on average, as in scikit-learn.
            With several labels an example without any is of one more class, and weights are
            scaled to that average. A dict `{class: weight}` is taken as it is; classes that
            are not in it weigh 1, as in Keras.

    Returns:
        `(num_classes,)`, float32; 1 for classes that do not occur. With several labels one
        more, the last: of examples without any.

    Raises:
        ValueError: If the task has no classes that could weigh more or less, or if
            `class_weight` is not of these forms, names a class that there is not, or leaves
            nothing that counts.
    """
    if not isinstance(task, Classification | MultiLabel | Segmentation):
        raise ValueError(
            "Class weights are for classification, several labels and segmentation. Received: "
            f"class_weight={class_weight!r} for {type(task).__name__}. Leave it out; weigh "
            "examples by sample weights in the data set instead."
        )
    classes = task.num_classes + isinstance(task, MultiLabel)
    counts = _counts(targets, task, classes)
    if isinstance(class_weight, Mapping):
        return _given(class_weight, task.num_classes, counts)
    if class_weight != "balanced":
        raise ValueError(
            "Class weights are 'balanced' or a dict from classes to weights. Received: "
            f"class_weight={class_weight!r}. {did_you_mean(str(class_weight), ['balanced'])}"
            "Use, for example, {0: 1.0, 1: 5.0}."
        )
    there = counts > 0
    weights = np.ones(classes, np.float64)
    weights[there] = counts.sum() / (there.sum() * counts[there])
    if isinstance(task, MultiLabel):
        weights /= _of_labels(np.asarray(targets), weights).mean()
        weights[~there] = 1.0
    return weights.astype(np.float32)


def _counts(targets: Any, task: Task, classes: int) -> NDArray[np.int64]:
    """How many examples, or pixels, are of each class."""
    if isinstance(task, MultiLabel):
        there = np.asarray(targets) > 0
        none = (~there.any(axis=1)).sum()
        return np.append(there.sum(axis=0), none).astype(np.int64)
    if isinstance(task, Classification):
        return np.bincount(class_numbers(targets), minlength=classes)
    ignored = getattr(task, "ignore_class", None)
    counts = np.zeros(classes, np.int64)
    for start in range(0, len(targets), _CHUNK):
        masks = np.asarray(targets[start : start + _CHUNK])
        inside = masks[(masks >= 0) & (masks < classes)]
        counts += np.bincount(inside[inside != ignored], minlength=classes)
    return counts


def _of_labels(targets: NDArray[Any], of_class: NDArray[Any]) -> NDArray[np.float32]:
    """The mean weight of an example's labels; that of having none where it has none."""
    there = (targets > 0).astype(np.float64)
    number = there.sum(axis=1)
    mean = there @ of_class[:-1].astype(np.float64) / np.maximum(number, 1)
    weights: NDArray[np.float32] = np.where(number > 0, mean, of_class[-1]).astype(np.float32)
    return weights


def _of_pixels(of_class: NDArray[np.float32], ignore_class: int | None) -> PixelWeights:
    def weigh(masks: tf.Tensor, weight: tf.Tensor | None = None) -> tf.Tensor:
        masks = tf.cast(masks, tf.int32)
        inside = tf.logical_and(masks >= 0, masks < len(of_class))
        if ignore_class is not None:
            inside = tf.logical_and(inside, masks != ignore_class)
        found = tf.gather(of_class, tf.where(inside, masks, 0))
        found = tf.where(inside, found, 0.0)
        if weight is None:
            return found
        return found * tf.cast(weight, tf.float32)[:, tf.newaxis, tf.newaxis]

    return weigh


def _given(
    class_weight: Mapping[int, float], num_classes: int, counts: NDArray[np.int64]
) -> NDArray[np.float32]:
    weights = np.ones(len(counts), np.float32)
    for label, weight in class_weight.items():
        if not (
            isinstance(label, numbers.Integral)
            and not isinstance(label, bool)
            and 0 <= label < num_classes
        ):
            raise ValueError(
                f"Classes are whole numbers from 0 to {num_classes - 1}. Received: "
                f"class_weight={dict(class_weight)!r}, with {label!r}. Use their numbers."
            )
        if not (isinstance(weight, numbers.Real) and 0 <= weight < np.inf):
            raise ValueError(
                "A class weighs a number from 0. Received: "
                f"class_weight={dict(class_weight)!r}. Use, for example, 5.0 for a class that "
                "counts five times."
            )
        weights[label] = weight
    if not weights[:num_classes][counts[:num_classes] > 0].any():
        raise ValueError(
            "Some class that occurs must count. Received: "
            f"class_weight={dict(class_weight)!r}. Give one a weight above 0."
        )
    return weights
