"""Scores that people use, of what a model or its file returns: pure functions of arrays.

NumPy only, so that a file is judged exactly as its Keras model is. `roc.py` has the scores
of rankings, `box_metrics.py` those of detection.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "accuracy",
    "balanced_accuracy",
    "binary_cross_entropy",
    "confusion",
    "cross_entropy",
    "f1",
    "log_softmax",
    "mae",
    "mean_iou",
    "mse",
    "perplexity",
    "r2",
    "rmse",
]

Floats = NDArray[np.float64]

_CHUNK = 1 << 20  # numbers worked on at a time


def log_softmax(logits: ArrayLike) -> Floats:
    """Logarithms of the probabilities that logits stand for, along the last axis."""
    logits = np.asarray(logits, np.float64)
    shifted = logits - logits.max(axis=-1, keepdims=True)
    result: Floats = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def cross_entropy(labels: ArrayLike, logits: ArrayLike) -> float:
    """Mean of minus the logarithm of the probability that the right class is given.

    Args:
        labels: Whole numbers in any shape; or, in the shape of `logits`, probabilities of the
            classes, such as one-hot rows.
        logits: In the shape of the labels and one axis more, of the classes.

    Returns:
        In nats; `log(classes)` of answers that say nothing.
    """
    labels, logits = np.asarray(labels), np.asarray(logits)
    classes = logits.shape[-1]
    if labels.ndim == logits.ndim:
        rows = labels.reshape(-1, classes).astype(np.float64)
        total = sum(
            -(rows[part] * log_softmax(one)).sum() for part, one in _parts(logits, classes)
        )
        return float(total / len(rows))
    right = labels.reshape(-1, 1).astype(np.int64)
    total = sum(
        -np.take_along_axis(log_softmax(one), right[part], axis=-1).sum()
        for part, one in _parts(logits, classes)
    )
    return float(total / len(right))


def binary_cross_entropy(labels: ArrayLike, logits: ArrayLike) -> float:
    """Mean of minus the logarithm of the probability that each label is given.

    Args:
        labels: 0 or 1, or probabilities, in any shape.
        logits: In the same shape.
    """
    labels, logits = np.asarray(labels, np.float64), np.asarray(logits, np.float64)
    return float((np.logaddexp(0, logits) - labels * logits).mean())


def perplexity(labels: ArrayLike, logits: ArrayLike) -> float:
    """Among how many equally likely tokens the next would be as hard to guess.

    The exponential of `cross_entropy`, with the same arguments; 1 at best, and infinite where
    the cross-entropy is beyond 709.
    """
    nats = cross_entropy(labels, logits)
    return math.exp(nats) if nats < 709 else math.inf


def accuracy(labels: ArrayLike, answers: ArrayLike) -> float:
    """Share of the answers that are right, in any shape."""
    return float((np.asarray(labels) == np.asarray(answers)).mean())


def balanced_accuracy(labels: ArrayLike, answers: ArrayLike, num_classes: int) -> float:
    """Mean over the classes of the share of their examples that are recognised.

    Args:
        labels: Whole numbers from 0. Classes without an example are left out of the mean.
        answers: Whole numbers in the same shape.
        num_classes: Number of classes.
    """
    counts = confusion(labels, answers, num_classes)
    present = counts.sum(axis=1) > 0
    return float((counts.diagonal()[present] / counts.sum(axis=1)[present]).mean())


def f1(
    labels: ArrayLike, answers: ArrayLike, num_classes: int, average: str = "macro"
) -> float:
    """The harmonic mean of precision and recall.

    Args:
        labels: Whole numbers `(n,)` from 0; or `(n, num_classes)` of 0 and 1 where an
            example may have several labels.
        answers: In the same shape.
        num_classes: Number of classes.
        average: `"macro"`: the mean over the classes, in which those that are neither there
            nor answered do not count. `"binary"`: that of class 1 alone.

    Returns:
        From 0 to 1. Where no class counts, nothing is wrong either, and it is 1.

    Raises:
        ValueError: If `average` is neither.
    """
    if average not in ("macro", "binary"):
        raise ValueError(
            f'F1 is averaged as "macro" or "binary". Received: average={average!r}. Use one '
            "of them."
        )
    labels, answers = np.asarray(labels), np.asarray(answers)
    if labels.ndim == 2:
        yes, said = labels.astype(bool), answers.astype(bool)
        right, there, answered = (yes & said).sum(axis=0), yes.sum(axis=0), said.sum(axis=0)
    else:
        counts = confusion(labels, answers, num_classes)
        right, there, answered = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
    if average == "binary":
        right, there, answered = right[1:2], there[1:2], answered[1:2]
    counting = there + answered > 0
    if not counting.any():
        return 1.0
    return float((2 * right[counting] / (there + answered)[counting]).mean())


def mean_iou(
    labels: ArrayLike,
    answers: ArrayLike,
    num_classes: int,
    ignore_class: int | None = None,
) -> float:
    """Mean over the classes of intersection over union, over all pixels of all images.

    Args:
        labels: Whole numbers from 0, in any shape.
        answers: In the same shape.
        num_classes: Number of classes. Those that are neither there nor answered do not
            count.
        ignore_class: Label of pixels that do not count.

    Returns:
        From 0 to 1; 1 where no pixel counts.
    """
    labels, answers = np.asarray(labels), np.asarray(answers)
    if ignore_class is not None:
        counted = labels != ignore_class
        labels, answers = labels[counted], answers[counted]
    counts = confusion(labels, answers, num_classes)
    right = counts.diagonal()
    union = counts.sum(axis=0) + counts.sum(axis=1) - right
    counting = union > 0
    return float((right[counting] / union[counting]).mean()) if counting.any() else 1.0


def confusion(labels: ArrayLike, answers: ArrayLike, num_classes: int) -> NDArray[np.int64]:
    """How often each class (row) is answered by each (column)."""
    pairs = np.asarray(labels, np.int64).reshape(-1) * num_classes
    pairs += np.asarray(answers, np.int64).reshape(-1)
    counts = np.bincount(pairs, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def mse(targets: ArrayLike, outputs: ArrayLike) -> float:
    """Mean of the squared errors."""
    return float((_errors(targets, outputs) ** 2).mean())


def mae(targets: ArrayLike, outputs: ArrayLike) -> float:
    """Mean of the errors without their signs, in the unit of the targets."""
    return float(np.abs(_errors(targets, outputs)).mean())


def rmse(targets: ArrayLike, outputs: ArrayLike) -> float:
    """Root of the mean of the squared errors, in the unit of the targets."""
    return math.sqrt(mse(targets, outputs))


def r2(targets: ArrayLike, outputs: ArrayLike) -> float:
    """Share of the targets' variance that is explained: the coefficient of determination.

    Args:
        targets: `(n,)`, or `(n, units)`: then the mean over the units.
        outputs: In the same shape.

    Returns:
        1 at best, 0 of the mean of the targets, below that if worse. A unit that does not
        vary counts as 1 if it is met exactly and as 0 if not.
    """
    errors = _errors(targets, outputs)
    wanted = np.asarray(targets, np.float64)
    left = (errors**2).sum(axis=0)
    total = ((wanted - wanted.mean(axis=0)) ** 2).sum(axis=0)
    varies = total > 0
    explained = 1 - left / np.where(varies, total, 1.0)
    return float(np.where(varies, explained, left == 0).mean())


def _errors(targets: ArrayLike, outputs: ArrayLike) -> Floats:
    targets, outputs = np.asarray(targets, np.float64), np.asarray(outputs, np.float64)
    if targets.shape != outputs.shape:
        raise ValueError(
            "Each target has one answer. Received: targets of shape "
            f"{targets.shape} and answers of shape {outputs.shape}. Bring them to one shape."
        )
    errors: Floats = outputs - targets
    return errors


def _parts(logits: NDArray[np.generic], classes: int) -> Iterator[tuple[slice, Floats]]:
    """Logits in rows, a few at a time: those of texts and masks are many."""
    rows = logits.reshape(-1, classes)
    step = max(1, _CHUNK // classes)
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        yield part, rows[part].astype(np.float64)
