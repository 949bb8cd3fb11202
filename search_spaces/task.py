"""What a network is for: its head, and how it is trained and judged."""

from __future__ import annotations

import abc
import dataclasses
from typing import Any

from search_spaces import blocks
from search_spaces.network import Node

__all__ = ["ImageClassification", "Task"]


class Task(abc.ABC):
    """Turns the features of a space into an answer.

    A space's body ends in features; the task adds the head, and says which loss and metrics
    belong to it.
    """

    @property
    @abc.abstractmethod
    def objective(self) -> str:
        """What a search for this task maximises or minimises unless told otherwise."""

    @abc.abstractmethod
    def head(self, x: Node) -> Node:
        """From features to the answer."""

    @abc.abstractmethod
    def compile_arguments(self) -> dict[str, Any]:
        """Fresh `loss` and `metrics` for `keras.Model.compile`."""


@dataclasses.dataclass(frozen=True)
class ImageClassification(Task):
    """One class an image.

    The head averages over the image and ends in logits: a softmax would cost a device many
    passes and change no decision.

    Args:
        num_classes: Number of classes, at least 2; the model returns this many logits.
        one_hot: Whether labels are one-hot rows rather than integers.
        dropout: Rate of dropout before the last layer; more regularises more.

    Raises:
        ValueError: If there are fewer than 2 classes.
    """

    num_classes: int
    one_hot: bool = False
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if self.num_classes < 2:
            raise ValueError(
                "A classifier needs at least 2 classes. "
                f"Received: num_classes={self.num_classes}. Check the labels."
            )

    @property
    def objective(self) -> str:
        return "val_accuracy"

    def head(self, x: Node) -> Node:
        x = blocks.dropout(blocks.global_average_pool(x), self.dropout)
        return blocks.dense(x, self.num_classes)

    def compile_arguments(self) -> dict[str, Any]:
        import keras

        if self.one_hot:
            return {
                "loss": keras.losses.CategoricalCrossentropy(from_logits=True),
                "metrics": [keras.metrics.CategoricalAccuracy(name="accuracy")],
            }
        return {
            "loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            "metrics": [keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        }
