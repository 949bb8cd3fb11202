"""Boxes in images: to the grid of cells that a detector learns, and back.

`search_spaces.detection.Detection` says what the channels of the grid are.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from search_spaces.pyramid import grid_shape

__all__ = [
    "BOX_CHANNELS",
    "STRIDES",
    "check_boxes",
    "decode",
    "decode_batch",
    "encode",
    "encode_boxes",
]

Array = NDArray[np.float32]

BOX_CHANNELS = 4
"""Numbers a box: size and offset, down and right."""

STRIDES = (1, 2, 4, 8, 16, 32, 64)
"""Sides that a cell can have, in pixels."""

_LIKE_PIXELS = 2.0  # a coordinate from which on boxes are no fractions by any rounding
_ROUNDING = 1e-4  # by which a fraction may exceed the image
_LEAST_IOU = 0.7  # of a box that is moved off its centre and still counts as near
_PEAKS = 512  # of an image that are looked at
_CHUNK = 256  # images decoded at a time


def check_boxes(
    boxes: NDArray[Any], images: NDArray[np.int64] | None = None, name: str = ""
) -> None:
    """Refuse what is no part of an image, telling apart the ways in which it happens.

    Args:
        boxes: `(objects, 4)`: top, left, bottom and right as fractions of the image. They may
            exceed it by what rounding does.
        images: The number of the image of each, for the message; `None` is one image.
        name: What the data set is called in messages; empty for none.

    Raises:
        ValueError: If boxes are not finite, lie outside the image, or have no area.
    """
    order = "Boxes are top, left, bottom and right as fractions of the image"
    sides = boxes[:, 2:] - boxes[:, :2]
    with np.errstate(invalid="ignore"):
        cases = (
            (~np.isfinite(boxes), "that are not finite", "Leave such boxes out"),
            (boxes > _LIKE_PIXELS, "which looks like pixels", "Divide by height and width"),
            (
                (boxes < -_ROUNDING) | (boxes > 1 + _ROUNDING),
                "which lies outside the image",
                "Clip it to the image",
            ),
            (sides < 0, "which ends before it begins", "Bring the numbers into that order"),
            (
                sides == 0,
                "which has no area",
                "Leave such boxes out; class -1 marks padding",
            ),
        )
    for wrong, what, advice in cases:
        rows = np.flatnonzero(wrong.any(axis=1))
        if len(rows):
            shown = ", ".join(f"{value:.6g}" for value in boxes[rows[0]])
            where = "" if images is None else f" in example {images[rows[0]]}"
            where += f" of the {name}" if name else ""
            raise ValueError(f"{order}. Received: ({shown}){where}, {what}. {advice}.")


def encode(
    targets: ArrayLike, *, num_classes: int, image_shape: tuple[int, ...], stride: int = 4
) -> Array:
    """Make the grids that a network for `Detection` learns from the boxes in many images.

    Each object puts a 1 for its class into the cell of its centre, with a Gaussian around it:
    the larger the box, the wider, as a centre that is a little off still gives nearly the
    same box. Size and offset go into the same cell; of two objects there it is the smaller
    one's.

    Args:
        targets: `(n, most, 5)`: top, left, bottom and right as fractions of the image's
            height and width, and the class. Rows of class -1 are padding, and rows without an
            area are taken for it.
        num_classes: Number of classes.
        image_shape: Height and width of the images in pixels; more numbers are ignored.
        stride: Side of a cell in pixels. With 4, the finest grid of `Detector`, the target
            serves all its members.

    Returns:
        `(n, rows, columns, num_classes + 4)`: see `Detection` for the channels.
    """
    found = np.asarray(targets, np.float64)
    rows, columns = grid_shape(image_shape, stride)
    grid = np.zeros((len(found), rows, columns, num_classes + BOX_CHANNELS), np.float32)
    scale = np.array([image_shape[0], image_shape[1]]) / stride
    centres = (found[..., :2] + found[..., 2:4]) / 2 * scale
    sizes = (found[..., 2:4] - found[..., :2]) * scale
    there = (found[..., 4] >= 0) & (sizes > 0).all(axis=-1)
    cells = np.clip(centres.astype(np.int64), 0, (rows - 1, columns - 1))
    deviations = (2 * _radius(np.where(there[..., None], sizes, 1.0)) + 1) / 6
    # The largest first: what is written later stays.
    order = np.argsort(-sizes.prod(axis=-1), axis=1, kind="stable")
    for place in order.T:
        images = np.flatnonzero(there[np.arange(len(found)), place])
        which = (images, place[images])
        cell, spread = cells[which], 2 * deviations[which][:, None] ** 2
        down = np.exp(-((np.arange(rows) - cell[:, :1]) ** 2) / spread)
        right = np.exp(-((np.arange(columns) - cell[:, 1:]) ** 2) / spread)
        classes = found[..., 4][which].astype(np.int64)
        heat = grid[images, :, :, classes]
        grid[images, :, :, classes] = np.maximum(heat, down[:, :, None] * right[:, None, :])
        grid[images, cell[:, 0], cell[:, 1], num_classes:] = np.concatenate(
            [np.log2(sizes[which]), centres[which] - cell], axis=1
        )
    return grid


def encode_boxes(
    boxes: ArrayLike,
    classes: ArrayLike,
    *,
    num_classes: int,
    image_shape: tuple[int, ...],
    stride: int = 4,
) -> Array:
    """Make the grid that a network for `Detection` learns from the boxes in one image.

    Args:
        boxes: `(objects, 4)`: top, left, bottom and right as fractions of the image's height
            and width, the order of TensorFlow Datasets. May be empty.
        classes: `(objects,)` whole numbers from 0.
        num_classes: As in `encode`, as are `image_shape` and `stride`.
        image_shape: See there.
        stride: See there.

    Returns:
        `(rows, columns, num_classes + 4)`: see `Detection` for the channels.

    Raises:
        ValueError: If boxes are no boxes, lie outside the image, have no area, or do not go
            with the classes.
    """
    checked, labels = _checked(boxes, classes, num_classes)
    rows = np.concatenate([checked, labels[:, None]], axis=1)[None]
    grids = encode(rows, num_classes=num_classes, image_shape=image_shape, stride=stride)
    one: Array = grids[0]
    return one


def decode(
    prediction: ArrayLike,
    image_shape: tuple[int, ...],
    *,
    threshold: float = 0.3,
    max_boxes: int = 100,
    iou: float = 0.5,
) -> tuple[Array, Array, NDArray[np.int64]]:
    """Read the boxes from what a network for `Detection` returns for one image.

    Cells whose score is the highest among their eight neighbours', class by class, are
    centres; the best 512 are looked at. Of boxes of one class that overlap, the one with the
    highest score stays.

    Args:
        prediction: `(rows, columns, num_classes + 4)`, as the network returns it.
        image_shape: Height and width of the image in pixels; more numbers are ignored.
        threshold: Lowest score of a box, from 0 to 1.
        max_boxes: Number of boxes at most, those with the highest scores.
        iou: Intersection over union from which on two boxes of a class are one.

    Returns:
        Boxes `(n, 4)`: top, left, bottom and right as fractions of the image, within it;
        scores `(n,)`, highest first; classes `(n,)`.

    Raises:
        ValueError: If the grid is none of this image.
    """
    prediction = np.asarray(prediction, np.float32)
    if prediction.ndim != 3 or prediction.shape[-1] <= BOX_CHANNELS:
        raise ValueError(
            "A prediction has rows, columns and 5 or more channels. Received: shape "
            f"{prediction.shape}. Decode one image at a time, or use `decode_batch`."
        )
    boxes, scores, classes = decode_batch(
        prediction[None], image_shape, threshold=threshold, max_boxes=max_boxes, iou=iou
    )
    count = int((classes[0] >= 0).sum())
    return boxes[0, :count], scores[0, :count], classes[0, :count]


def decode_batch(
    predictions: ArrayLike,
    image_shape: tuple[int, ...],
    *,
    threshold: float = 0.3,
    max_boxes: int = 100,
    iou: float = 0.5,
) -> tuple[Array, Array, NDArray[np.int64]]:
    """Read the boxes from what a network for `Detection` returns for many images.

    As `decode`, for all images at once, which is many times as fast.

    Args:
        predictions: `(n, rows, columns, num_classes + 4)`, as the network returns it.
        image_shape: As in `decode`, as are `threshold`, `max_boxes` and `iou`.
        threshold: See there.
        max_boxes: See there.
        iou: See there.

    Returns:
        Boxes `(n, most, 4)`, scores `(n, most)`, highest first, and classes `(n, most)`,
        where `most` is the largest number of boxes in an image; padding has class -1.

    Raises:
        ValueError: If the grid is none of these images.
    """
    predictions = np.asarray(predictions, np.float32)
    if predictions.ndim != 4 or predictions.shape[-1] <= BOX_CHANNELS:
        raise ValueError(
            "Predictions have images, rows, columns and 5 or more channels. Received: shape "
            f"{predictions.shape}. Decode one image with `decode`."
        )
    stride = _stride(image_shape, (predictions.shape[1], predictions.shape[2]))
    scale = stride / np.array([image_shape[0], image_shape[1]])
    parts = [
        _suppressed(
            *_peaks(predictions[start : start + _CHUNK], scale, threshold), iou, max_boxes
        )
        for start in range(0, len(predictions), _CHUNK)
    ]
    most = max((part[2].shape[1] for part in parts), default=0)
    boxes = np.zeros((len(predictions), most, 4), np.float32)
    scores = np.zeros((len(predictions), most), np.float32)
    classes = np.full((len(predictions), most), -1, np.int64)
    for number, (part_boxes, part_scores, part_classes) in enumerate(parts):
        rows = slice(number * _CHUNK, number * _CHUNK + len(part_classes))
        count = part_classes.shape[1]
        boxes[rows, :count], scores[rows, :count] = part_boxes, part_scores
        classes[rows, :count] = part_classes
    return boxes, scores, classes


def _peaks(
    predictions: Array, scale: NDArray[np.float64], threshold: float
) -> tuple[NDArray[np.float64], Array, NDArray[np.int64]]:
    """Boxes, scores and classes of the best local maxima, padded with class -1.

    Args:
        predictions: `(n, rows, columns, num_classes + 4)`.
        scale: Height and width of a cell as fractions of the image.
        threshold: Lowest score.
    """
    count, _, columns, channels = predictions.shape
    num_classes = channels - BOX_CHANNELS
    heat = predictions[..., :num_classes]
    least = math.log(threshold / (1 - threshold)) - 1e-3 if 0 < threshold < 1 else -np.inf
    candidates = (heat >= _neighbourhood(heat)) & (heat >= least)
    logits = np.where(candidates, heat, np.float32(-np.inf)).reshape(count, -1)
    kept = max(1, min(_PEAKS, int(candidates.reshape(count, -1).sum(axis=1).max(initial=0))))
    places = np.sort(np.argpartition(-logits, kept - 1, axis=1)[:, :kept], axis=1)
    found = np.take_along_axis(logits, places, axis=1)
    order = np.argsort(-found, axis=1, kind="stable")
    places, found = (np.take_along_axis(one, order, axis=1) for one in (places, found))
    cells, classes = np.divmod(places, num_classes)
    rows, rights = np.divmod(cells, columns)
    values = predictions[np.arange(count)[:, None], rows, rights, num_classes:].astype(float)
    centres = (np.stack([rows, rights], -1) + np.clip(values[..., 2:], 0, 1)) * scale
    halves = np.exp2(np.clip(values[..., :2], -16, 16)) / 2 * scale
    boxes = np.clip(np.concatenate([centres - halves, centres + halves], axis=-1), 0, 1)
    scores: Array = 1 / (1 + np.exp(-np.clip(found, -60, 60)))
    there = (found > -np.inf) & (scores >= threshold)
    return boxes, scores, np.where(there, classes, -1)


def _suppressed(
    boxes: NDArray[np.float64],
    scores: Array,
    classes: NDArray[np.int64],
    iou: float,
    max_boxes: int,
) -> tuple[Array, Array, NDArray[np.int64]]:
    """Of boxes with the best first, those that stay, padded with class -1."""
    count = len(boxes)
    waiting = classes >= 0
    areas = (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
    kept = np.full((count, min(max_boxes, classes.shape[1])), -1)
    for place in range(kept.shape[1]):
        images = np.flatnonzero(waiting.any(axis=1))
        if not len(images):
            kept = kept[:, :place]
            break
        best = waiting[images].argmax(axis=1)
        kept[images, place] = best
        one = boxes[images, best][:, None]
        sides = [
            np.minimum(boxes[images, :, axis + 2], one[..., axis + 2])
            - np.maximum(boxes[images, :, axis], one[..., axis])
            for axis in (0, 1)
        ]
        common = np.maximum(sides[0], 0) * np.maximum(sides[1], 0)
        union = areas[images] + areas[images, best][:, None] - common
        rivals = classes[images] == classes[images, best][:, None]
        waiting[images] &= ~(rivals & (common > iou * union))
        waiting[images, best] = False
    rows, there = np.arange(count)[:, None], kept >= 0
    return (
        np.where(there[..., None], boxes[rows, kept], 0).astype(np.float32),
        np.where(there, scores[rows, kept], 0).astype(np.float32),
        np.where(there, classes[rows, kept], -1),
    )


def _checked(
    boxes: ArrayLike, classes: ArrayLike, num_classes: int
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    boxes = (
        np.asarray(boxes, np.float64).reshape(-1, 4) if np.size(boxes) else np.zeros((0, 4))
    )
    classes = np.asarray(classes).reshape(-1).astype(np.int64)
    if len(boxes) != len(classes):
        raise ValueError(
            f"Each box has a class. Received: {len(boxes)} boxes and {len(classes)} classes. "
            "Pass as many of both."
        )
    if len(classes) and not (0 <= classes.min() and classes.max() < num_classes):
        raise ValueError(
            f"Classes must be whole numbers from 0 to {num_classes - 1}. Received: "
            f"{sorted(set(classes.tolist()))}. Check `num_classes`, or count from 0."
        )
    check_boxes(boxes)
    return np.clip(boxes, 0, 1), classes


def _radius(sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cells that boxes can be moved by, down and right, and still overlap enough.

    The two boxes share `(height - r) * (width - r)`, from which on the intersection over
    union is a quadratic equation in `r`.
    """
    half = sizes.sum(axis=-1) / 2
    missing = sizes.prod(axis=-1) * (1 - _LEAST_IOU) / (1 + _LEAST_IOU)
    radius: NDArray[np.float64] = half - np.sqrt(half**2 - missing)
    return radius


def _neighbourhood(heat: Array) -> Array:
    """The highest value in the 3x3 cells around each, of images `(n, rows, columns, k)`."""
    for axis in (1, 2):
        size = heat.shape[axis]
        padding = [(1, 1) if one == axis else (0, 0) for one in range(4)]
        padded = np.pad(heat, padding, constant_values=-np.inf)
        middle, after = (padded.take(range(by, by + size), axis) for by in (1, 2))
        heat = np.maximum(np.maximum(padded.take(range(size), axis), middle), after)
    return heat


def _stride(image_shape: tuple[int, ...], grid: tuple[int, int]) -> int:
    """Pixels a cell, from the number of cells."""
    for stride in STRIDES:
        if grid_shape(image_shape, stride) == grid:
            return stride
    raise ValueError(
        "The grid must cover the image with square cells of a power of two pixels. Received: "
        f"{grid[0]}x{grid[1]} cells for an image of {image_shape[0]}x{image_shape[1]} pixels. "
        "Pass the size of the image that the network was given."
    )
