"""What a network is for: its head, and how it is trained and judged."""

from __future__ import annotations

import abc
import dataclasses
from typing import TYPE_CHECKING, Any

from search_spaces import blocks
from search_spaces.network import Node

if TYPE_CHECKING:
    import keras_tuner

__all__ = ["Classification", "NextToken", "Regression", "Task", "check_feature_map"]


class Task(abc.ABC):
    """Turns the features of a space into an answer.

    A space's body ends in features; the task adds the head, and says which loss and metrics
    belong to it.
    """

    @property
    @abc.abstractmethod
    def objective(self) -> str | keras_tuner.Objective:
        """What a search for this task maximises or minimises unless told otherwise."""

    @abc.abstractmethod
    def head(self, x: Node) -> Node:
        """From features to the answer."""

    @abc.abstractmethod
    def compile_arguments(self) -> dict[str, Any]:
        """Fresh `loss` and `metrics` for `keras.Model.compile`."""


@dataclasses.dataclass(frozen=True)
class Classification(Task):
    """One class an example: of images, sequences or tables.

    The head averages over all axes but the last and ends in logits: a softmax would cost a
    device many passes and change no decision.

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
        return blocks.dense(blocks.dropout(_pooled(x), self.dropout), self.num_classes)

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


@dataclasses.dataclass(frozen=True)
class Regression(Task):
    """One number an example, or several.

    Args:
        units: Numbers the model returns.
        dropout: Rate of dropout before the last layer; more regularises more.

    Raises:
        ValueError: If there is no number to return.
    """

    units: int = 1
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.units < 1:
            raise ValueError(
                f"A regression returns at least 1 number. Received: units={self.units}. "
                "Count the columns of the targets."
            )

    @property
    def objective(self) -> str:
        return "val_loss"

    def head(self, x: Node) -> Node:
        return blocks.dense(blocks.dropout(_pooled(x), self.dropout), self.units)

    def compile_arguments(self) -> dict[str, Any]:
        import keras

        return {
            "loss": keras.losses.MeanSquaredError(),
            "metrics": [keras.metrics.MeanAbsoluteError(name="mae")],
        }


@dataclasses.dataclass(frozen=True)
class NextToken(Task):
    """The next token at each position of a sequence, as language models have it.

    Features must be a sequence `(length, channels)` as long as the input, in which no position
    knows those behind it. The model returns logits `(length, vocabulary)`; the labels are the
    tokens, shifted by one.

    Args:
        vocabulary: Number of different tokens, at least 2.
        dropout: Rate of dropout before the last layer; more regularises more.

    Raises:
        ValueError: If there are fewer than 2 tokens; by `head`, if features are no such
            sequence.
    """

    vocabulary: int
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if self.vocabulary < 2:
            raise ValueError(
                "A language has at least 2 different tokens. "
                f"Received: vocabulary={self.vocabulary}. Count the tokens."
            )

    @property
    def objective(self) -> str:
        return "val_loss"

    def head(self, x: Node) -> Node:
        if len(x.shape) != 2 or len(x.input_shape) > 2 or x.shape[0] != x.input_shape[0]:
            raise ValueError(
                "The next token is asked for at each position of a sequence. Received: "
                f"features of shape {x.shape}, of an input of shape {x.input_shape}. Use a "
                "space of sequences that keeps their length, such as `Transformer`."
            )
        return blocks.dense(blocks.dropout(x, self.dropout), self.vocabulary)

    def compile_arguments(self) -> dict[str, Any]:
        import keras

        return {
            "loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            "metrics": [keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        }


def check_feature_map(name: str, x: Node) -> None:
    """Refuse features that are not the rows and columns of an image.

    Args:
        name: Name of the task, for the message.
        x: Features.

    Raises:
        ValueError: If they are not `(rows, columns, channels)`, or the input is not.
    """
    if len(x.shape) != 3 or len(x.input_shape) != 3:
        raise ValueError(
            f"{name} needs features in rows and columns. Received: features of shape "
            f"{x.shape}, of an input of shape {x.input_shape}. Use a space of images whose "
            "body does not pool."
        )


def _pooled(x: Node) -> Node:
    """One vector an example."""
    return blocks.global_average_pool(x) if len(x.shape) > 1 else x
