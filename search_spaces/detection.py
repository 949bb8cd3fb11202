"""Objects in images as points: the task of detection and its loss."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike, NDArray

from search_spaces import blocks
from search_spaces import targets as _targets
from search_spaces.box_metrics import COCO_IOUS, average_precisions, matched
from search_spaces.boxes import (
    BOX_CHANNELS,
    STRIDES,
    check_boxes,
    decode,
    decode_batch,
    encode,
    encode_boxes,
)
from search_spaces.network import Node
from search_spaces.pyramid import grid_shape
from search_spaces.task import Task, check_feature_map

__all__ = ["CenterLoss", "Detection", "decode", "encode_boxes"]

_PRIOR = math.log(0.1 / 0.9)  # an untrained network sees an object in every tenth cell
_FOUND = 0.3  # score from which on a box counts as found
_LISTED = 0.01  # and as ranked


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
    tensor needs. `boxes.encode` makes such grids, `boxes.decode` boxes from what a network
    returns.

    The loss is `CenterLoss`, which Keras does not have. Where this library is not installed,
    load a saved model with `keras.models.load_model(path, compile=False)`, or save it without
    its loss: `keras.Model(model.inputs, model.outputs).save(path)`.

    Targets are `(n, most, 5)`: top, left, bottom and right of each object as fractions of the
    image, and its class; rows of class -1 are padding. The scores are `map50` and `map`, the
    mean average precision at an overlap of 0.5 and as COCO has it, of at most 100 boxes an
    image; and `recall50`, the share of the objects that a box of score 0.3 or more finds. No
    loss is among them.

    Args:
        num_classes: Number of classes, at least 1; there is no class for the background.
        size_weight: Weight of the error of sizes in the loss.
        offset_weight: Weight of the error of offsets in the loss.
        image_shape: Height and width of the images in pixels; more numbers are ignored.
            Needed to encode targets and to score answers, not to describe a network.

    Raises:
        ValueError: If there is no class.

    Reference:
        Zhou et al., "Objects as Points", 2019, https://arxiv.org/abs/1904.07850. Unlike there
        the three answers share their last layers, and sizes are logarithms.
    """

    dense: ClassVar[bool] = True
    measure: ClassVar[str] = "map50"
    directions: ClassVar[Mapping[str, str]] = {
        "loss": "min",
        "map50": "max",
        "map": "max",
        "recall50": "max",
    }

    num_classes: int
    size_weight: float = 0.5
    offset_weight: float = 1.0
    image_shape: tuple[int, ...] | None = None

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
        x = blocks.conv(x, self.num_classes + BOX_CHANNELS, 1, activation="linear", norm=False)
        # Objects are rare. The converter puts the shift into the bias of the convolution.
        return blocks.rescale(x, 1.0, (_PRIOR,) * self.num_classes + (0.0,) * BOX_CHANNELS)

    def compile_arguments(self) -> dict[str, Any]:
        return {"loss": CenterLoss(self.size_weight, self.offset_weight), "metrics": []}

    def scores(self, targets: ArrayLike, outputs: ArrayLike) -> dict[str, float]:
        wanted = np.asarray(targets, np.float64)
        found, ranks, classes = decode_batch(outputs, self._size(), threshold=_LISTED)
        precisions = average_precisions(
            wanted, found, ranks, classes, num_classes=self.num_classes, ious=COCO_IOUS
        )
        present = ~np.isnan(precisions[:, 0])
        if not present.any():
            nothing = float((classes < 0).all())  # as is right where there is no object
            return {"map50": nothing, "map": nothing}
        sure = np.where(ranks >= _FOUND, classes, -1)
        right = matched(wanted, found, sure)[..., 0]
        return {
            "map50": float(precisions[present, 0].mean()),
            "map": float(precisions[present].mean()),
            "recall50": float(right.sum() / (wanted[..., 4] >= 0).sum()),
        }

    def strata(self, targets: ArrayLike) -> NDArray[np.int64]:
        """The most frequent class of each image, plus 1; 0 of images without an object."""
        classes = np.asarray(targets)[..., 4]
        return _targets.merged(_targets.most_frequent(classes, self.num_classes, least=0))

    def encoded(self, targets: ArrayLike) -> NDArray[Any]:
        """The grids of cells of 4 pixels: see `boxes.encode`."""
        return encode(targets, num_classes=self.num_classes, image_shape=self._size())

    def check(self, targets: ArrayLike, input_shape: Any) -> None:
        objects = np.asarray(targets)
        _targets.check_shape(self, objects, (None, 5))
        _targets.check_finite(objects)
        there = objects[..., 4] != -1
        _targets.check_whole(objects[there][:, 4], self.num_classes, "Classes of boxes")
        check_boxes(objects[there][:, :4], np.nonzero(there)[0])

    def _size(self) -> tuple[int, ...]:
        if self.image_shape is None:
            raise ValueError(
                "Boxes are turned into cells by the size of the images. Received: "
                "image_shape=None. Write `dataclasses.replace(task, image_shape=(height, "
                "width))`."
            )
        return self.image_shape


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
        classes = y_pred.shape[-1] - BOX_CHANNELS
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


def _coarseness(true: tuple[Any, ...], predicted: tuple[Any, ...]) -> int:
    """Cells of the target in a row of a predicted cell."""
    if None in true[1:3] or None in predicted[1:3]:
        return 1
    for factor in STRIDES:
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
    heat = target[..., : channels - BOX_CHANNELS]
    # Of several centres in a coarse cell, the box of one counts.
    best = ops.argmax(ops.max(heat, axis=-1), axis=-1)
    picked = ops.expand_dims(ops.one_hot(best, factor * factor, dtype=target.dtype), -1)
    box = ops.sum(target[..., channels - BOX_CHANNELS :] * picked, axis=3)
    within = ops.cast(ops.stack([best // factor, best % factor], axis=-1), target.dtype)
    size = box[..., :2] - math.log2(factor)
    offset = (box[..., 2:] + within) / factor
    return ops.concatenate([ops.max(heat, axis=3), size, offset], axis=-1)
