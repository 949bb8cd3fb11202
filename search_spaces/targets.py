"""Targets of data sets: what a task cannot take, and groups to split them by."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "check_finite",
    "check_shape",
    "check_whole",
    "class_numbers",
    "merged",
    "most_frequent",
    "quantiles",
]

_FEWEST = 10  # examples that a stratum of quantities has


def check_shape(task: Any, targets: NDArray[Any], expected: tuple[int | None, ...]) -> None:
    """Refuse targets of another shape than a task takes.

    Args:
        task: For the message.
        targets: All targets as one array.
        expected: Sizes of the axes behind the first, `None` where any will do.

    Raises:
        ValueError: If the shape is another.
    """
    shape = targets.shape[1:]
    if len(shape) != len(expected) or any(
        wanted not in (None, size) for size, wanted in zip(shape, expected, strict=True)
    ):
        axes = ", ".join(["n", *("any" if size is None else str(size) for size in expected)])
        raise ValueError(
            f"Targets must have the shape ({axes}{',' * (not expected)}) for this task. "
            f"Received: shape {targets.shape} for {task}. Check the labels, or pass another "
            "`task`."
        )


def check_finite(targets: NDArray[Any]) -> None:
    """Refuse targets that are no finite numbers.

    Raises:
        ValueError: If one is not.
    """
    if targets.dtype.kind not in "biuf" or not np.isfinite(targets).all():
        kind = targets.dtype if targets.dtype.kind not in "biuf" else "NaN or infinity"
        raise ValueError(
            f"Targets must be finite numbers. Received: {kind}. Leave unlabelled examples out."
        )


def check_whole(
    targets: NDArray[Any], count: int, noun: str, other: int | None = None
) -> None:
    """Refuse targets that do not number classes or tokens from 0.

    Args:
        targets: Of any shape.
        count: How many there are of them.
        noun: What they number, for the message.
        other: A number beyond these that is allowed as well.

    Raises:
        ValueError: If one of them is none of these numbers.
    """
    check_finite(targets)
    wrong = (targets < 0) | (targets >= count)
    if targets.dtype.kind == "f":
        wrong |= targets != np.floor(targets)
    if other is not None:
        wrong &= targets != other
    if wrong.any():
        extra = "" if other is None else f", or {other}"
        raise ValueError(
            f"{noun} must be whole numbers from 0 to {count - 1}{extra}. Received: "
            f"{np.unique(targets[wrong])[:5].tolist()}. Number them from 0, or raise their "
            "number in the task."
        )


def class_numbers(labels: ArrayLike) -> NDArray[np.int64]:
    """The class of each example: its number, or the likeliest of a row.

    Args:
        labels: Class numbers `(n,)`, or one-hot rows or probabilities `(n, classes)`.
    """
    labels = np.asarray(labels)
    numbers: NDArray[np.int64] = labels.argmax(axis=1) if labels.ndim == 2 else labels
    return numbers.astype(np.int64)


def merged(strata: NDArray[Any]) -> NDArray[np.int64]:
    """The strata, where those of a single example join the largest."""
    found, inverse, counts = np.unique(strata, return_inverse=True, return_counts=True)
    if len(found):
        found = np.where(counts < 2, found[counts.argmax()], found)
    joined: NDArray[np.int64] = found[inverse.reshape(-1)].astype(np.int64)
    return joined


def quantiles(values: NDArray[Any]) -> NDArray[np.int64]:
    """Up to ten strata of quantities from small to large, of ten examples or more each."""
    count = len(values)
    bins = int(np.clip(count // _FEWEST, 1, 10))
    strata = np.empty(count, np.int64)
    strata[np.argsort(values, kind="stable")] = np.arange(count) * bins // max(count, 1)
    return strata


def most_frequent(labels: NDArray[Any], num_classes: int, least: int) -> NDArray[np.int64]:
    """The most frequent class of each example, `least` or more.

    Args:
        labels: `(n, ...)` whole numbers; those that are no classes do not count.
        num_classes: Number of classes.
        least: The first class that counts.

    Returns:
        `(n,)`: its number plus 1; 0 where there is none.
    """
    strata = np.zeros(len(labels), np.int64)
    for index, row in enumerate(labels.reshape(len(labels), -1)):
        counted = row[(row >= least) & (row < num_classes)].astype(np.int64)
        if len(counted):
            strata[index] = 1 + np.bincount(counted).argmax()
    return strata
