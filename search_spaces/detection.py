"""Objects in images as points: the task of detection, and boxes to targets and back."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike, NDArray

from search_spaces import blocks
from search_spaces.network import Node
from search_spaces.pyramid import grid_shape
from search_spaces.task import Task, check_feature_map

__all__ = ["CenterLoss", "Detection", "decode", "encode_boxes"]

Array = NDArray[np.float32]

_BOX = 4  # numbers a box: size and offset, down and right
_PRIOR = math.log(0.1 / 0.9)  # an untrained network sees an object in every tenth cell
_LEAST_IOU = 0.7  # of a box that is moved off its centre and still counts as near
_STRIDES = (1, 2, 4, 8, 16, 32, 64)


@dataclasses.dataclass(frozen=True)
class Detection(Task):
    """Objects in images: where their centres are, of which class, and how large.

    The image is covered by a grid of cells, 4 or 8 pixels wide. The head is a 1x1 convolution
    that gives each cell, in this order of channels,

    - a logit a class, of whether the centre of such an object is in the cell;
    - height and width of that object, as binary logarithms of so many cells;
    - how far down and right in the cell the centre is, from 0 to 1.

    These are one output, so that a file has one. Logarithms, where the paper has pixels, keep
    all its channels in one range of a few units, which is what the single scale of an int8
    tensor needs. `encode_boxes` makes the targets, `decode` boxes from what a network
    returns.

    The loss is `CenterLoss`, which Keras does not have. Where this library is not installed,
    load a saved model with `keras.models.load_model(path, compile=False)`, or save it without
    its loss: `keras.Model(model.inputs, model.outputs).save(path)`.

    Args:
        num_classes: Number of classes, at least 1; there is no class for the background.
        size_weight: Weight of the error of sizes in the loss.
        offset_weight: Weight of the error of offsets in the loss.

    Raises:
        ValueError: If there is no class.

    Reference:
        Zhou et al., "Objects as Points", 2019, https://arxiv.org/abs/1904.07850. Unlike there
        the three answers share their last layers, and sizes are logarithms.
    """

    num_classes: int
    size_weight: float = 0.5
    offset_weight: float = 1.0

    def __post_init__(self) -> None:
        if self.num_classes < 1:
            raise ValueError(
                "Detection needs at least 1 class; the background is none. "
                f"Received: num_classes={self.num_classes}. Count the classes of the boxes."
            )

    @property
    def objective(self) -> str:
        return "val_loss"

    def head(self, x: Node) -> Node:
        check_feature_map("Detection", x)
        x = blocks.conv(x, self.num_classes + _BOX, 1, activation="linear", norm=False)
        # Objects are rare. The converter puts the shift into the bias of the convolution.
        return blocks.rescale(x, 1.0, (_PRIOR,) * self.num_classes + (0.0,) * _BOX)

    def compile_arguments(self) -> dict[str, Any]:
        return {"loss": CenterLoss(self.size_weight, self.offset_weight), "metrics": []}


@keras.saving.register_keras_serializable("search_spaces")
class CenterLoss(keras.losses.Loss):
    """Focal loss of where centres are, and absolute errors of sizes and offsets there.

    A centre costs `-(1 - p)**2 * log(p)`, any other cell `-(1 - y)**4 * p**2 * log(1 - p)`,
    where `p` is the probability that is predicted and `y` the target, which falls off with
    the distance from a centre. At centres the absolute errors of sizes and offsets are added.
    The sum is divided by the number of objects in the image.

    Targets may have a finer grid than predictions, twice as fine or any power of two. They
    are then reduced to the grid of the predictions, and the loss is scaled such that it stays
    comparable: a coarse cell counts as much as the fine ones in it, and offsets are counted
    in fine cells.

    Args:
        size_weight: Weight of the errors of sizes.
        offset_weight: Weight of the errors of offsets.
        name: Name of the loss.
        **kwargs: Passed on to `keras.losses.Loss`.

    Reference:
        Zhou et al., "Objects as Points", 2019, https://arxiv.org/abs/1904.07850 (section 3).
    """

    def __init__(
        self,
        size_weight: float = 0.5,
        offset_weight: float = 1.0,
        name: str = "center_loss",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.size_weight = size_weight
        self.offset_weight = offset_weight

    def call(self, y_true: Any, y_pred: Any) -> Any:
        y_pred = ops.convert_to_tensor(y_pred)
        y_true = ops.cast(y_true, y_pred.dtype)
        factor = _coarseness(y_true.shape, y_pred.shape)
        if factor > 1:
            y_true = _coarser(y_true, factor)
        classes = y_pred.shape[-1] - _BOX
        heat, logits = y_true[..., :classes], y_pred[..., :classes]
        is_centre = ops.cast(heat >= 1, y_pred.dtype)
        p = ops.sigmoid(logits)
        centres = is_centre * (1 - p) ** 2 * ops.softplus(-logits)
        others = (1 - heat) ** 4 * p**2 * ops.softplus(logits) * factor**2
        errors = ops.absolute(y_true[..., classes:] - y_pred[..., classes:])
        size, offset = errors[..., :2], errors[..., 2:] * factor
        boxes = self.size_weight * size + self.offset_weight * offset
        boxes = boxes * ops.max(is_centre, axis=-1, keepdims=True)
        total = ops.sum(centres + others, (1, 2, 3)) + ops.sum(boxes, (1, 2, 3))
        return total / ops.maximum(ops.sum(is_centre, (1, 2, 3)), 1)

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = super().get_config()
        return config | {
            "size_weight": self.size_weight,
            "offset_weight": self.offset_weight,
        }


def encode_boxes(
    boxes: ArrayLike,
    classes: ArrayLike,
    *,
    num_classes: int,
    image_shape: tuple[int, ...],
    stride: int = 4,
) -> Array:
    """Make the target that a network for `Detection` learns from the boxes in an image.

    Each object puts a 1 for its class into the cell of its centre, with a Gaussian around it:
    the larger the box, the wider, as a centre that is a little off still gives nearly the
    same box. Size and offset go into the same cell; of two objects there it is the smaller
    one's.

    Args:
        boxes: `(objects, 4)`: top, left, bottom and right as fractions of the image's height
            and width, the order of TensorFlow Datasets. May be empty.
        classes: `(objects,)` whole numbers from 0.
        num_classes: Number of classes.
        image_shape: Height and width of the image in pixels; more numbers are ignored.
        stride: Side of a cell in pixels. With 4, the finest grid of `Detector`, the target
            serves all its members.

    Returns:
        `(rows, columns, num_classes + 4)`: see `Detection` for the channels.

    Raises:
        ValueError: If boxes are no boxes, lie outside the image, have no area, or do not go
            with the classes.
    """
    boxes, classes = _checked(boxes, classes, num_classes)
    rows, columns = grid_shape(image_shape, stride)
    target = np.zeros((rows, columns, num_classes + _BOX), np.float32)
    down, right = np.arange(rows)[:, None], np.arange(columns)
    scale = np.array([image_shape[0], image_shape[1]]) / stride
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2 * scale
    sizes = (boxes[:, 2:] - boxes[:, :2]) * scale
    for index in np.argsort(-sizes.prod(axis=1), kind="stable"):
        cell = np.minimum(centres[index].astype(int), (rows - 1, columns - 1))
        deviation = (2 * _radius(*sizes[index]) + 1) / 6
        squares = (down - cell[0]) ** 2 + (right - cell[1]) ** 2
        heat = target[:, :, classes[index]]
        np.maximum(heat, np.exp(-squares / (2 * deviation**2)), out=heat)
        target[cell[0], cell[1], num_classes:] = [
            *np.log2(sizes[index]),
            *centres[index] - cell,
        ]
    return target


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
    centres. Of boxes of one class that overlap, the one with the highest score stays.

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
    if prediction.ndim != 3 or prediction.shape[-1] <= _BOX:
        raise ValueError(
            "A prediction has rows, columns and 5 or more channels. Received: shape "
            f"{prediction.shape}. Decode one image at a time."
        )
    rows, columns, channels = prediction.shape
    stride = _stride(image_shape, (rows, columns))
    heat = prediction[..., : channels - _BOX]
    peaks = np.argwhere(heat >= _neighbourhood(heat))
    logits = heat[tuple(peaks.T)]
    scores = 1 / (1 + np.exp(-np.clip(logits, -60, 60)))
    best = np.argsort(-scores, kind="stable")
    best = best[scores[best] >= threshold]
    cells, scores, classes = peaks[best, :2], scores[best], peaks[best, 2]
    values = prediction[cells[:, 0], cells[:, 1], channels - _BOX :]
    scale = stride / np.array([image_shape[0], image_shape[1]])
    centres = (cells + np.clip(values[:, 2:], 0, 1)) * scale
    halves = np.exp2(np.clip(values[:, :2], -16, 16)) / 2 * scale
    boxes = np.clip(np.concatenate([centres - halves, centres + halves], axis=1), 0, 1)
    kept = _suppressed(boxes, classes, iou)[:max_boxes]
    return boxes[kept].astype(np.float32), scores[kept], classes[kept]


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
    outside = len(boxes) and (boxes.min() < -1e-6 or boxes.max() > 1 + 1e-6)
    if outside or not (boxes[:, 2:] > boxes[:, :2]).all():
        raise ValueError(
            "Boxes are (top, left, bottom, right) as fractions of the image, with an area. "
            f"Received: {boxes.tolist()}. Divide pixels by height and width, clip, and leave "
            "out empty boxes."
        )
    return np.clip(boxes, 0, 1), classes


def _radius(height: float, width: float) -> float:
    """Cells that a box can be moved by, down and right, and still overlap enough.

    The two boxes share `(height - r) * (width - r)`, from which on the intersection over
    union is a quadratic equation in `r`.
    """
    half = (height + width) / 2
    missing = height * width * (1 - _LEAST_IOU) / (1 + _LEAST_IOU)
    return half - math.sqrt(half**2 - missing)


def _neighbourhood(heat: Array) -> Array:
    """The highest value in the 3x3 cells around each."""
    padded = np.pad(heat, ((1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    rows, columns, _ = heat.shape
    shifted = [
        padded[down : down + rows, right : right + columns]
        for down in range(3)
        for right in range(3)
    ]
    highest: Array = np.max(shifted, axis=0)
    return highest


def _suppressed(boxes: NDArray[Any], classes: NDArray[Any], iou: float) -> list[int]:
    """Positions of the boxes that stay, of boxes with the best first."""
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept: list[int] = []
    for index, box in enumerate(boxes):
        rivals = [i for i in kept if classes[i] == classes[index]]
        sides = np.minimum(boxes[rivals, 2:], box[2:]) - np.maximum(boxes[rivals, :2], box[:2])
        common = np.prod(np.maximum(sides, 0), axis=1)
        union = areas[rivals] + areas[index] - common
        if not (common > iou * union).any():
            kept.append(index)
    return kept


def _stride(image_shape: tuple[int, ...], grid: tuple[int, int]) -> int:
    """Pixels a cell, from the number of cells."""
    for stride in _STRIDES:
        if grid_shape(image_shape, stride) == grid:
            return stride
    raise ValueError(
        "The grid must cover the image with square cells of a power of two pixels. Received: "
        f"{grid[0]}x{grid[1]} cells for an image of {image_shape[0]}x{image_shape[1]} pixels. "
        "Pass the size of the image that the network was given."
    )


def _coarseness(true: tuple[Any, ...], predicted: tuple[Any, ...]) -> int:
    """Cells of the target in a row of a predicted cell."""
    if None in true[1:3] or None in predicted[1:3]:
        return 1
    for factor in _STRIDES:
        if grid_shape(true[1:3], factor) == tuple(predicted[1:3]):
            return factor
    raise ValueError(
        "The grid of the target must be that of the prediction, or finer by a power of two. "
        f"Received: a target of {true[1]}x{true[2]} cells and a prediction of "
        f"{predicted[1]}x{predicted[2]}. Encode boxes with the smallest stride of the space."
    )


def _coarser(target: Any, factor: int) -> Any:
    """The target on a grid of cells `factor` times as wide."""
    _, rows, columns, channels = target.shape
    down, right = grid_shape((rows, columns), factor)
    bottom, outer = down * factor - rows, right * factor - columns
    target = ops.pad(target, ((0, 0), (0, bottom), (0, outer), (0, 0)))
    target = ops.reshape(target, (-1, down, factor, right, factor, channels))
    target = ops.transpose(target, (0, 1, 3, 2, 4, 5))
    target = ops.reshape(target, (-1, down, right, factor * factor, channels))
    heat = target[..., : channels - _BOX]
    # Of several centres in a coarse cell, the box of one counts.
    best = ops.argmax(ops.max(heat, axis=-1), axis=-1)
    picked = ops.expand_dims(ops.one_hot(best, factor * factor, dtype=target.dtype), -1)
    box = ops.sum(target[..., channels - _BOX :] * picked, axis=3)
    within = ops.cast(ops.stack([best // factor, best % factor], axis=-1), target.dtype)
    size = box[..., :2] - math.log2(factor)
    offset = (box[..., 2:] + within) / factor
    return ops.concatenate([ops.max(heat, axis=3), size, offset], axis=-1)
