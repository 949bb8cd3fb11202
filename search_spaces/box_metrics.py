"""How well boxes are found: mean average precision, as COCO has it.

NumPy only; all images are matched at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["COCO_IOUS", "average_precisions", "matched", "mean_average_precision"]

COCO_IOUS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
"""Intersections over union at which COCO calls a box right: 0.5 to 0.95."""

_RECALLS = np.linspace(0, 1, 101)


def matched(
    targets: ArrayLike,
    boxes: ArrayLike,
    classes: ArrayLike,
    ious: Sequence[float] = (0.5,),
) -> NDArray[np.bool_]:
    """Say which boxes are right.

    In the order in which they come, the best first, each box takes the object of its class
    that it overlaps most, of those not yet taken, if it overlaps it enough.

    Args:
        targets: `(n, most, 5)` objects of each image: top, left, bottom, right and class;
            class -1 is padding.
        boxes: `(n, m, 4)` found in each image, those with the highest scores first.
        classes: `(n, m)`, class of each; -1 is padding.
        ious: Intersections over union that are enough, from 0 to 1.

    Returns:
        `(n, m, len(ious))`: whether the box has an object, at each overlap.
    """
    wanted, found = np.asarray(targets, np.float64), np.asarray(boxes, np.float64)
    kinds = np.asarray(classes)
    count, most = kinds.shape
    least = np.asarray(ious, np.float64)[:, None]
    free = np.repeat((wanted[:, None, :, 4] >= 0), len(least), axis=1)  # (n, ious, objects)
    right = np.zeros((count, most, len(least)), bool)
    if not wanted.shape[1]:
        return right
    images, overlaps = np.arange(count)[:, None], np.arange(len(least))
    for place in range(most):
        same = (kinds[:, place, None] == wanted[..., 4]) & (kinds[:, place, None] >= 0)
        shared = np.where(same, _iou(found[:, place, None], wanted[..., :4]), -1.0)
        open_to = np.where(free & (shared[:, None] >= least), shared[:, None], -1.0)
        best = open_to.argmax(axis=-1)
        right[:, place] = np.take_along_axis(open_to, best[..., None], -1)[..., 0] >= 0
        free[images, overlaps, best] &= ~right[:, place]
    return right


def average_precisions(
    targets: ArrayLike,
    boxes: ArrayLike,
    scores: ArrayLike,
    classes: ArrayLike,
    *,
    num_classes: int,
    ious: Sequence[float] = (0.5,),
) -> NDArray[np.float64]:
    """The average precision of each class at each overlap.

    The boxes of a class in all images are put in order of their scores. Precision, at each of
    101 recalls from 0 to 1, is the best that is reached from that recall on, and zero where
    recall ends; their mean is the average precision. Unlike COCO there are no sizes and no
    crowds, and it is for the caller to keep the best boxes of each image.

    Args:
        targets: As in `matched`.
        boxes: As in `matched`.
        scores: `(n, m)`, highest first in each image.
        classes: As in `matched`.
        num_classes: Number of classes.
        ious: As in `matched`.

    Returns:
        `(num_classes, len(ious))`; NaN for classes without an object.

    Reference:
        Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014,
        https://arxiv.org/abs/1405.0312, as its tools compute it.
    """
    right = matched(targets, boxes, classes, ious)
    wanted = np.asarray(targets)[..., 4]
    kinds, ranks = np.asarray(classes), np.asarray(scores, np.float64)
    precisions = np.full((num_classes, len(ious)), np.nan)
    for label in range(num_classes):
        objects = int((wanted == label).sum())
        if not objects:
            continue
        chosen = kinds == label
        order = np.argsort(-ranks[chosen], kind="stable")
        hits = right[chosen][order].cumsum(axis=0)
        tried = np.arange(1, len(order) + 1)[:, None]
        # From the right, the best precision so far; beyond the last recall it is zero.
        reached = np.maximum.accumulate((hits / tried)[::-1], axis=0)[::-1]
        reached = np.concatenate([reached, np.zeros((1, len(ious)))])
        for column in range(len(ious)):
            places = np.searchsorted(hits[:, column] / objects, _RECALLS, side="left")
            precisions[label, column] = reached[places, column].mean()
    return precisions


def mean_average_precision(
    targets: ArrayLike,
    boxes: ArrayLike,
    scores: ArrayLike,
    classes: ArrayLike,
    *,
    num_classes: int,
    ious: Sequence[float] = COCO_IOUS,
) -> float:
    """The mean of `average_precisions` over overlaps and the classes that have objects.

    Args:
        targets: As in `average_precisions`, as are the others.
        boxes: See there.
        scores: See there.
        classes: See there.
        num_classes: See there.
        ious: `(0.5,)` for the lenient mAP@0.5; all ten of `COCO_IOUS` for COCO's.

    Returns:
        From 0 to 1. In images without an object any box is wrong: 1 if there is none at all,
        else 0.
    """
    found = average_precisions(
        targets, boxes, scores, classes, num_classes=num_classes, ious=ious
    )
    present = ~np.isnan(found[:, 0])
    if not present.any():
        return float((np.asarray(classes) < 0).all())
    return float(found[present].mean())


def _iou(boxes: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union, broadcast over all but the last axis."""
    sides = np.minimum(boxes[..., 2:], others[..., 2:]) - np.maximum(
        boxes[..., :2], others[..., :2]
    )
    common = np.maximum(sides, 0).prod(axis=-1)
    areas = [(one[..., 2:] - one[..., :2]).prod(axis=-1) for one in (boxes, others)]
    union = areas[0] + areas[1] - common
    shared: NDArray[np.float64] = common / np.where(union > 0, union, 1.0)
    return shared
