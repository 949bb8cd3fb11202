"""A class for each pixel: the task of segmentation."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from search_spaces import blocks
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
    map serves; `UNet` keeps what is fine. Labels are whole numbers `(height, width)`.

    Loss and metric are Keras' own: a saved model loads anywhere.

    Args:
        num_classes: Number of classes, background included, at least 2; the model returns
            logits `(height, width, num_classes)`.
        ignore_class: Label of pixels that count neither in the loss nor in the metric, e.g.
            255 for borders.

    Raises:
        ValueError: If there are fewer than 2 classes.
    """

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
