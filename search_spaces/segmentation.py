"""A class for each pixel: the task of segmentation."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from search_spaces import blocks, metrics
from search_spaces import targets as _targets
from search_spaces.network import Node
from search_spaces.task import Task, check_feature_map

if TYPE_CHECKING:
    import keras_tuner

__all__ = ["Segmentation"]


@dataclasses.dataclass(frozen=True)
class Segmentation(Task):
    """One class a pixel.

    The head is a 1x1 convolution to logits, brought to the size of the input by bilinear
    interpolation where the features are coarser. So any space whose body ends in a feature
    map serves; `UNet` keeps what is fine.

    Loss and metric are Keras' own: a saved model loads anywhere.

    Targets are masks `(n, height, width)` of whole numbers; class 0 is the background, which
    matters only for how a data set is split. The scores are `loss`; `accuracy`, the share of
    pixels that are right; and `mean_iou`, the mean over classes of intersection over union.

    Args:
        num_classes: Number of classes, background included, at least 2; the model returns
            logits `(height, width, num_classes)`.
        ignore_class: Label of pixels that count neither in the loss nor in the metric, e.g.
            255 for borders.

    Raises:
        ValueError: If there are fewer than 2 classes.
    """

    dense: ClassVar[bool] = True
    measure: ClassVar[str] = "mean_iou"
    directions: ClassVar[Mapping[str, str]] = {
        "loss": "min",
        "accuracy": "max",
        "mean_iou": "max",
    }

    num_classes: int
    ignore_class: int | None = None

    def __post_init__(self) -> None:
        if self.num_classes < 2:
            raise ValueError(
                "Segmentation needs at least 2 classes, the background is one. "
                f"Received: num_classes={self.num_classes}. Count the labels in the masks."
            )

    @property
    def objective(self) -> keras_tuner.Objective:
        import keras_tuner

        return keras_tuner.Objective("val_mean_iou", "max")

    def head(self, x: Node) -> Node:
        check_feature_map("Segmentation", x)
        x = blocks.conv(x, self.num_classes, 1, activation="linear", norm=False)
        # After the convolution, with which it commutes, there are fewer channels to enlarge.
        height, width = x.input_shape[:2]
        return blocks.resize(x, (height, width), "bilinear")

    def compile_arguments(self) -> dict[str, Any]:
        import keras

        return {
            "loss": keras.losses.SparseCategoricalCrossentropy(
                from_logits=True, ignore_class=self.ignore_class
            ),
            "metrics": [
                keras.metrics.MeanIoU(
                    self.num_classes,
                    name="mean_iou",
                    ignore_class=self.ignore_class,
                    sparse_y_pred=False,
                )
            ],
        }

    def scores(self, targets: ArrayLike, outputs: ArrayLike) -> dict[str, float]:
        masks, logits = np.asarray(targets), np.asarray(outputs)
        answers = logits.argmax(axis=-1)
        overlap = metrics.mean_iou(masks, answers, self.num_classes, self.ignore_class)
        if self.ignore_class is not None:
            counted = masks != self.ignore_class
            if not counted.any():
                return {"mean_iou": overlap}
            masks, answers, logits = masks[counted], answers[counted], logits[counted]
        return {
            "loss": metrics.cross_entropy(masks, logits),
            "accuracy": metrics.accuracy(masks, answers),
            "mean_iou": overlap,
        }

    def strata(self, targets: ArrayLike) -> NDArray[np.int64]:
        """The most frequent class of each mask but the background, plus 1; 0 of none."""
        masks = np.asarray(targets)
        if self.ignore_class is not None:
            masks = np.where(masks == self.ignore_class, -1, masks)
        return _targets.merged(_targets.most_frequent(masks, self.num_classes, least=1))

    def check(self, targets: ArrayLike, input_shape: Any) -> None:
        masks = np.asarray(targets)
        height, width = input_shape[:2]
        if masks.ndim != 3 or masks.shape[1:] != (height, width):
            raise ValueError(
                "Masks must have the size of their images, a class a pixel. Received: masks "
                f"of shape {masks.shape[1:]} for images of {height}x{width}. Resize the masks "
                "to the nearest pixel, and leave their channel axis out."
            )
        _targets.check_whole(masks, self.num_classes, "Classes of pixels", self.ignore_class)
